//! Trainings that learn from trained networks.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use mlestar_data::{ImageSet, normalization::Normalization};
use mlestar_train::{DistillationConfig, ProgressiveResizing, TrainEvent};

use crate::{CLASSES, SIDE, Setup, bits, pictures, plain_spec};

/// A training, and the path of the checkpoint of its best epoch.
fn teacher(setup: &Setup, folder: &Path) -> PathBuf {
    setup.fit(folder).unwrap();
    folder.join("checkpoints/best")
}

fn from_alone(teachers: Vec<PathBuf>) -> Option<DistillationConfig> {
    Some(DistillationConfig {
        teachers,
        weight: 1.0,
        temperature: 1.0,
    })
}

/// The same images, with each label replaced by the next one.
fn mislabelled(set: &ImageSet) -> Arc<ImageSet> {
    let indices: Vec<usize> = (0..set.len()).collect();
    let mut pixels = Vec::new();
    let mut labels = Vec::new();
    let mut origins = Vec::new();
    for index in indices {
        pixels.extend(set.pixels(index));
        labels.push((set.label(index) + 1) % CLASSES as u32);
        origins.push(set.origin(index).clone());
    }
    let classes = set.classes().iter().map(Into::into).collect();
    Arc::new(ImageSet::new(classes, SIDE, SIDE, pixels, labels, origins).unwrap())
}

/// A teacher with another architecture and normalisation, trained on images whose labels are all wrong.
#[test]
fn a_network_learns_what_its_teachers_know_and_the_labels_do_not() {
    let folders = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let mut setup = Setup::new(12);
    let mut teachers = Vec::new();
    for (seed, folder) in (1..).zip(&folders) {
        setup.seed = seed;
        setup.normalization = Normalization::new([0.3, 0.6, 0.4], [0.4, 0.15, 0.2]).unwrap();
        teachers.push(teacher(&setup, folder.path()));
    }
    let mut student = Setup::new(12);
    student.spec = plain_spec();
    student.train = mislabelled(&pictures(7, 120));
    let folder = tempfile::tempdir().unwrap();
    let accuracy = |student: &Setup, events: &mut Vec<TrainEvent>| {
        let outcome = student.fit_observed(folder.path(), &mut |event| {
            if let TrainEvent::Teacher { .. } = event {
                events.push(event.clone());
            }
        });
        outcome.unwrap().history[11].validation_accuracy.unwrap()
    };
    let mut events = Vec::new();
    let by_labels = accuracy(&student, &mut events);
    assert!(by_labels < 0.1, "{by_labels}");
    assert_eq!(events, []);
    for teachers in [&teachers[..1], &teachers[..]] {
        student.training.distillation = from_alone(teachers.to_vec());
        let mut events = Vec::new();
        let by_teachers = accuracy(&student, &mut events);
        assert!(by_teachers > 0.9, "{by_teachers}");
        // They predict none of those labels correctly.
        assert_eq!(events.len(), teachers.len());
        for (event, teacher) in events.iter().zip(teachers) {
            let TrainEvent::Teacher { path, correct, of } = event else {
                panic!("{event:?}");
            };
            assert_eq!((path, *of), (teacher, 120));
            assert!(*correct < 12, "{correct}");
        }
    }
}

#[test]
fn steps_outside_a_training_have_its_teachers() {
    let folder = tempfile::tempdir().unwrap();
    let mut setup = Setup::new(1);
    let teacher = teacher(&setup, folder.path());
    let device = burn::tensor::Device::flex();
    let loss = |setup: &Setup| {
        let mut steps = setup.steps(&device).unwrap();
        steps.take(0.01, false).unwrap().loss
    };
    let by_labels = loss(&setup);
    setup.training.distillation = from_alone(vec![teacher]);
    let by_teacher = loss(&setup);
    setup.training.distillation.as_mut().unwrap().weight = 0.25;
    let expected = 0.75 * by_labels + 0.25 * by_teacher;
    assert!((loss(&setup) - expected).abs() < 1e-6);
    assert!((by_teacher - by_labels).abs() > 1e-3);
}

#[test]
fn smaller_pictures_and_pictures_to_be_learnt_by_heart_are_left_to_their_labels() {
    let folder = tempfile::tempdir().unwrap();
    let teacher = teacher(&Setup::new(1), folder.path());
    let mut setup = Setup::new(2);
    setup.training.progressive_resizing = vec![ProgressiveResizing {
        until_fraction: 0.5,
        scale: 0.5,
    }];
    let history = |setup: &Setup| {
        let folder = tempfile::tempdir().unwrap();
        bits(&setup.fit(folder.path()).unwrap().history)
    };
    let without = history(&setup);
    setup.training.distillation = from_alone(vec![teacher]);
    let with = history(&setup);
    assert_eq!(with[0], without[0]);
    assert_ne!(with[1], without[1]);

    setup.training.overfit_batches = 2;
    let with = history(&setup);
    setup.training.distillation = None;
    assert_eq!(history(&setup), with);
}

#[test]
fn networks_that_cannot_teach_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let setup = Setup::new(1);
    let best = teacher(&setup, &folder.path().join("teacher"));
    let refused = |setup: &Setup, teacher: &Path| {
        let mut setup = setup.clone();
        setup.training.distillation = from_alone(vec![best.clone(), teacher.to_owned()]);
        let error = setup.fit(&folder.path().join("student")).unwrap_err();
        let message = error.to_string();
        let named = format!("the teacher {} cannot be used: ", teacher.display());
        assert!(message.starts_with(&named), "{message}");
        assert!(
            message.ends_with("of networks for the same classes and size of images"),
            "{message}"
        );
        message
    };
    let missing = folder.path().join("missing");
    refused(&setup, &missing);

    let record = fs::read_to_string(best.join("checkpoint.json")).unwrap();
    let copy = folder.path().join("copy");
    let write_copy = |from: &str, to: &str| {
        fs::create_dir_all(&copy).unwrap();
        for file in fs::read_dir(&best).unwrap() {
            let file = file.unwrap();
            fs::copy(file.path(), copy.join(file.file_name())).unwrap();
        }
        assert!(record.contains(from), "{record}");
        fs::write(copy.join("checkpoint.json"), record.replace(from, to)).unwrap();
    };
    // Its head then has another shape too, but that reason would not help the user.
    write_copy("\"n_classes\": 3", "\"n_classes\": 5");
    let message = refused(&setup, &copy);
    assert!(
        message.contains("it was trained for a number of classes of [5], not [3]"),
        "{message}"
    );
    write_copy("\"height\": 8", "\"height\": 16");
    let message = refused(&setup, &copy);
    assert!(
        message.contains("images of the height and width [16, 8], not [8, 8]"),
        "{message}"
    );

    // A teacher needs no optimizer state, but its weights must be intact.
    write_copy("", "");
    fs::remove_file(copy.join("optimizer.safetensors")).unwrap();
    let mut taught = setup.clone();
    taught.training.distillation = from_alone(vec![copy.clone()]);
    taught.fit(&folder.path().join("student")).unwrap();
    let weights = copy.join("model.safetensors");
    let mut bytes = fs::read(&weights).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    fs::write(&weights, &bytes).unwrap();
    assert!(refused(&setup, &copy).contains("is damaged"));
    fs::remove_file(&weights).unwrap();
    refused(&setup, &copy);
}

#[test]
fn a_training_by_other_teachers_is_not_gone_on_with() {
    let folder = tempfile::tempdir().unwrap();
    let mut setup = Setup::new(1);
    let one = teacher(&setup, &folder.path().join("one"));
    setup.seed += 1;
    let two = teacher(&setup, &folder.path().join("two"));
    let output = folder.path().join("student");
    setup.training.distillation = from_alone(vec![one.clone()]);
    setup.fit(&output).unwrap();
    setup.resume = true;
    // Independent of its path.
    let moved = folder.path().join("moved");
    fs::rename(&one, &moved).unwrap();
    setup.training.distillation = from_alone(vec![moved]);
    setup.fit(&output).unwrap();
    setup.training.distillation = from_alone(vec![two]);
    let message = setup.fit(&output).unwrap_err().to_string();
    assert!(message.contains("teachers is "), "{message}");
    setup.training.distillation = None;
    let message = setup.fit(&output).unwrap_err().to_string();
    assert!(message.contains("teachers is [] here"), "{message}");
}
