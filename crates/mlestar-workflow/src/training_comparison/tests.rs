use super::*;
use mlestar_artifact::read_artifact;
use std::fmt::Write as _;
use std::fs;

fn csv(folder: &Path, name: &str, text: &str) -> PathBuf {
    let path = folder.join(name);
    fs::write(&path, text).unwrap();
    path
}

fn record(folder: &Path, accuracies: &[f64]) {
    fs::create_dir_all(folder).unwrap();
    let mut text = String::new();
    for (index, accuracy) in accuracies.iter().enumerate() {
        let epoch = mlestar_train::EpochRecord {
            epoch: index + 1,
            learning_rate: 0.1,
            train_loss: 1.0,
            train_accuracy: 0.5,
            // What is not finite stands for an epoch without a validation.
            validation_loss: accuracy.is_finite().then_some(1.0),
            validation_accuracy: Some(*accuracy).filter(|accuracy| accuracy.is_finite()),
            images_per_second: 100.0,
            picture_area: 1.0,
            seconds: 100.0,
            validation_seconds: 20.0,
            loader_wait_seconds: 0.0,
            gradient_norm_mean: 1.0,
            head: None,
        };
        writeln!(text, "{}", serde_json::to_string(&epoch).unwrap()).unwrap();
    }
    fs::write(folder.join("metrics.jsonl"), text).unwrap();
}

#[test]
fn an_epoch_without_a_validation_takes_time_and_has_no_point() {
    let folder = tempfile::tempdir().unwrap();
    record(folder.path(), &[f64::NAN, 0.5, f64::NAN, 0.8]);
    let curve = Curve::read("sparse".to_owned(), folder.path()).unwrap();
    assert_eq!(curve.minutes, [4.0, 8.0]);
    assert_eq!(curve.accuracies, [0.5, 0.8]);
}

#[test]
fn groups_have_means_and_medians_over_what_reached_a_level() {
    let folder = tempfile::tempdir().unwrap();
    let place = |name: &str| folder.path().join(name);
    record(&place("a"), &[0.5, 0.86, 0.84]);
    record(&place("b"), &[0.6, 0.7, 0.82]);
    let other = csv(
        folder.path(),
        "peer.csv",
        "seconds,accuracy\n60,0.4\n300, 0.9\n",
    );
    let read = |label: &str, path: &Path| Curve::read(label.to_owned(), path).unwrap();
    let curves = [
        read("fast", &place("a")),
        read("peer", &other),
        read("fast", &place("b")),
    ];
    let comparison = compare(&curves, &[0.85, 0.8]).unwrap();
    assert_eq!(comparison.levels, [0.8, 0.85]);
    let [fast, peer] = &comparison.groups[..] else {
        panic!("{comparison:?}");
    };
    assert_eq!((fast.label.as_str(), peer.label.as_str()), ("fast", "peer"));
    assert!((fast.mean_accuracy - 0.84).abs() < 1e-12);
    // Deviations of 0.02 each: s = 0.02 sqrt 2, divided by sqrt 2.
    assert!((fast.standard_error.unwrap() - 0.02).abs() < 1e-12);
    // Two and three epochs of two minutes; of two trainings one did not reach 0.85.
    assert_eq!(fast.median_minutes, [Some(5.0), None]);
    assert_eq!(fast.trainings[0].minutes_to_level, [Some(4.0), Some(4.0)]);
    assert_eq!(
        (fast.trainings[0].best_accuracy, fast.trainings[0].minutes),
        (0.86, 6.0)
    );
    assert_eq!(fast.trainings[0].best_after_minutes, 4.0);
    assert_eq!(peer.median_minutes, [Some(5.0), Some(5.0)]);
    assert_eq!(peer.standard_error, None);
    assert!(comparison.differences.is_empty());

    let [json, html] = comparison.write(&curves, folder.path()).unwrap();
    assert_eq!(
        read_artifact::<TrainingComparison>(&json).unwrap(),
        comparison
    );
    let page = fs::read_to_string(html).unwrap();
    // A column for each cell, in the same order.
    let [first, last] = [page.rfind("record</th>"), page.rfind("to 0.85")];
    assert!(first > last, "the record is not the last column");
    for text in ["fast (2 trainings)", "peer.csv", "to 0.85"] {
        assert!(page.contains(text), "{text}");
    }
    // The usual levels end at what was reached.
    let usual = compare(&curves, &[]).unwrap().levels;
    assert_eq!(usual, [0.7, 0.8, 0.85, 0.9]);
}

#[test]
fn settings_that_differ_are_named_and_others_are_not() {
    let identity = |seed: u64, epochs: usize| mlestar_train::checkpoint::TrainingIdentity {
        seed,
        model: serde_json::to_value(
            mlestar_model::ModelConfig::small()
                .check(10, 32, 32)
                .unwrap(),
        )
        .unwrap(),
        initial_state: Some(mlestar_artifact::ContentHash::of_bytes(&seed.to_le_bytes())),
        training: mlestar_train::TrainingConfig {
            epochs,
            ..Default::default()
        },
        augmentation: Default::default(),
        normalization: mlestar_data::normalization::Normalization::new([0.5; 3], [0.5; 3]).unwrap(),
        initial_weights: None,
        teachers: Vec::new(),
        train: mlestar_artifact::ContentHash::of_bytes(b"train"),
        validation: mlestar_artifact::ContentHash::of_bytes(b"validation"),
    };
    let curve = |label: &str, identity| Curve {
        label: label.into(),
        path: label.into(),
        minutes: vec![1.0],
        accuracies: vec![0.5],
        identity,
    };
    let curves = [
        curve("a", Some(identity(1, 6))),
        curve("peer", None),
        curve("b", Some(identity(1, 8))),
    ];
    let comparison = compare(&curves, &[]).unwrap();
    let pair = |label: &str, value: &str| (label.to_owned(), value.to_owned());
    assert_eq!(
        comparison.differences,
        [Difference {
            key: "training.epochs".into(),
            values: vec![pair("a", "6"), pair("b", "8")],
        }]
    );
    assert_eq!(comparison.groups[0].trainings[0].seed, Some(1));
}

#[test]
fn what_cannot_be_compared_is_refused_with_file_and_line() {
    let folder = tempfile::tempdir().unwrap();
    let read = |path: &Path| Curve::read("x".into(), path);
    let refused = |path: &Path| read(path).unwrap_err().to_string();
    let of = |text: &str| refused(&csv(folder.path(), "x.csv", text));
    assert!(of("").ends_with("x.csv, line 1: the header must be seconds,accuracy"));
    assert!(of("seconds,accuracy\n").ends_with("line 2: there is no line after the header"));
    assert!(
        of("seconds,accuracy\n\n1;2\n")
            .ends_with("line 3: \"1;2\" is not two numbers with a comma between them")
    );
    assert!(
        of("seconds,accuracy\n2,0.5\n1,0.6\n")
            .ends_with("line 3: the seconds must be 0 or more and rise")
    );
    assert!(of("seconds,accuracy\nnan,0.5\n").contains("line 2: the seconds"));
    assert!(of("seconds,accuracy\n2,85\n").ends_with("line 2: the accuracy must be 0 to 1"));
    assert!(refused(folder.path()).contains("holds no training"));
    assert!(refused(Path::new("nowhere.csv")).contains("cannot be read"));
    for without_validation in [&[][..], &[f64::NAN]] {
        record(folder.path(), without_validation);
        assert!(refused(folder.path()).contains("a finished and validated epoch"));
    }
    assert!(compare(&[], &[]).is_err());
    record(folder.path(), &[0.5]);
    let curve = read(folder.path()).unwrap();
    let message = compare(&[curve], &[f64::NAN]).unwrap_err().to_string();
    assert_eq!(
        message,
        "--reach NaN is not an accuracy: it must be 0 to 1, such as 0.9"
    );
}
