use mlestar_model::Network as _;
use std::{fs, path::Path};

use burn::tensor::Device;
use mlestar_train::{TrainEvent, checkpoint, logits};

use crate::{Setup, bits, normalization};

fn checkpoint_names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder.join("checkpoints"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// Resumes a finished training of three epochs after its checkpoints were changed. Returns the name of the
/// folder from which it resumed and the reasons why others were rejected.
fn resume_after(damage: impl FnOnce(&Path)) -> (Option<String>, Vec<String>) {
    let folder = tempfile::tempdir().unwrap();
    let mut setup = Setup::new(3);
    let straight = setup.fit(folder.path()).unwrap();
    damage(&folder.path().join("checkpoints"));
    setup.resume = true;
    let mut resumed_from = None;
    let mut reasons = Vec::new();
    let outcome = setup.fit_observed(folder.path(), &mut |event| match event {
        TrainEvent::Resumed { path, .. } => {
            resumed_from = Some(path.file_name().unwrap().to_str().unwrap().to_owned());
        }
        TrainEvent::CheckpointRefused { reason, .. } => reasons.push(reason.clone()),
        _ => {}
    });
    match outcome {
        Ok(outcome) => assert_eq!(bits(&outcome.history), bits(&straight.history)),
        Err(error) => reasons.push(error.to_string()),
    }
    (resumed_from, reasons)
}

#[test]
fn the_promised_checkpoints_are_there_and_whole() {
    let folder = tempfile::tempdir().unwrap();
    let outcome = Setup::new(5).fit(folder.path()).unwrap();
    assert_eq!(
        checkpoint_names(folder.path()),
        ["best", "epoch-0002", "epoch-0004", "last", "previous"]
    );
    for (name, epoch) in [
        ("best", outcome.best_epoch),
        ("epoch-0002", 2),
        ("epoch-0004", 4),
        ("last", 5),
        ("previous", 4),
    ] {
        let path = folder.path().join("checkpoints").join(name);
        assert_eq!(checkpoint::verify(&path).unwrap().epoch, epoch, "{name}");
    }
    let best = folder.path().join("checkpoints/best");
    let model = checkpoint::load_model(&best, &Device::flex()).unwrap();
    assert_eq!(model.state(), outcome.best_model.state());
}

#[test]
fn the_recorded_validation_accuracy_is_the_best_model_s() {
    let folder = tempfile::tempdir().unwrap();
    let setup = Setup::new(3);
    let outcome = setup.fit(folder.path()).unwrap();
    let logits = logits(
        &outcome.best_model,
        &setup.validation,
        &normalization(),
        30,
        &Device::flex(),
        &mut |_, _| (),
    )
    .unwrap();
    let correct = logits
        .chunks(3)
        .zip(setup.validation.labels())
        .filter(|(row, label)| (0..3).all(|class| row[class] <= row[**label as usize]))
        .count();
    let record = &outcome.history[outcome.best_epoch - 1];
    assert_eq!(record.validation_accuracy, Some(correct as f64 / 30.0));
}

#[test]
fn a_truncated_file_is_refused_and_the_checkpoint_before_used() {
    let (resumed, reasons) = resume_after(|folder| {
        let path = folder.join("last/optimizer.safetensors");
        let bytes = fs::read(&path).unwrap();
        fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
        // They are of the same epoch and would do as well.
        fs::remove_dir_all(folder.join("best")).unwrap();
    });
    assert_eq!(resumed.as_deref(), Some("previous"));
    assert_eq!(reasons.len(), 1);
    assert!(
        reasons[0].contains("last is damaged: optimizer.safetensors has"),
        "{reasons:?}"
    );
}

#[test]
fn one_changed_byte_is_found() {
    let (resumed, reasons) = resume_after(|folder| {
        let path = folder.join("last/model.safetensors");
        let mut bytes = fs::read(&path).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        fs::write(&path, bytes).unwrap();
        fs::remove_dir_all(folder.join("best")).unwrap();
    });
    assert_eq!(resumed.as_deref(), Some("previous"));
    assert!(reasons[0].contains("model.safetensors has"), "{reasons:?}");
}

#[test]
fn a_missing_or_torn_record_is_refused() {
    let (resumed, reasons) = resume_after(|folder| {
        fs::remove_file(folder.join("last/checkpoint.json")).unwrap();
        let path = folder.join("previous/checkpoint.json");
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, &text[..text.len() / 2]).unwrap();
        fs::remove_dir_all(folder.join("best")).unwrap();
    });
    assert_eq!(resumed.as_deref(), Some("epoch-0002"));
    assert_eq!(reasons.len(), 2, "{reasons:?}");
}

#[test]
fn if_all_are_damaged_every_reason_is_given() {
    let (resumed, reasons) = resume_after(|folder| {
        for entry in fs::read_dir(folder).unwrap() {
            fs::write(entry.unwrap().path().join("model.safetensors"), b"nothing").unwrap();
        }
    });
    assert_eq!(resumed, None);
    let last = reasons.last().unwrap();
    assert!(
        last.starts_with("cannot resume from any checkpoint in "),
        "{last}"
    );
    assert_eq!(last.matches("is damaged").count(), 4, "{last}");
}

#[test]
fn another_training_s_checkpoint_is_refused_with_what_differs() {
    let folder = tempfile::tempdir().unwrap();
    let mut setup = Setup::new(1);
    setup.fit(folder.path()).unwrap();
    setup.resume = true;
    let refused = |change: &dyn Fn(&mut Setup)| {
        let mut other = setup.clone();
        change(&mut other);
        other.fit(folder.path()).unwrap_err().to_string()
    };
    let message = refused(&|setup| setup.seed = 7);
    assert!(
        message.contains("belongs to another training: seed is 7 here and 42 there"),
        "{message}"
    );
    let message = refused(&|setup| setup.training.optimizer.weight_decay = 0.0);
    assert!(
        message.contains("training.optimizer.weight_decay is 0.0 here"),
        "{message}"
    );
    let message = refused(&|setup| setup.train = crate::pictures(9, 70));
    assert!(message.contains("train is \""), "{message}");
    let message = refused(&|setup| {
        let mut config = setup.spec.config().clone();
        config.stem_channels = 5;
        setup.spec = config.check(3, 8, 8).unwrap();
    });
    assert!(
        message.contains("model.config.stem_channels is 5 here and 4 there"),
        "{message}"
    );
}

/// A record that claims the right settings over another model's weights.
#[test]
fn weights_of_another_model_are_refused() {
    let (a, b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut setup = Setup::new(1);
    setup.fit(a.path()).unwrap();
    let mut config = setup.spec.config().clone();
    config.stages[0].channels = 5;
    let mut other = setup.clone();
    other.spec = config.check(3, 8, 8).unwrap();
    other.fit(b.path()).unwrap();

    let mut forged = checkpoint::load(&a.path().join("checkpoints/last")).unwrap();
    forged.model = checkpoint::load(&b.path().join("checkpoints/last"))
        .unwrap()
        .model;
    for name in ["previous", "best"] {
        fs::remove_dir_all(a.path().join("checkpoints").join(name)).unwrap();
    }
    checkpoint::save(&a.path().join("checkpoints/last"), &forged).unwrap();
    fs::remove_dir_all(a.path().join("checkpoints/previous")).unwrap();
    setup.resume = true;
    let message = setup.fit(a.path()).unwrap_err().to_string();
    assert!(
        message.contains("has shape [5, 4, 3, 3], the model needs [6, 4, 3, 3]"),
        "{message}"
    );
}

#[test]
fn saving_replaces_a_folder_and_keeps_the_last_one_as_previous() {
    let folder = tempfile::tempdir().unwrap();
    Setup::new(2).fit(folder.path()).unwrap();
    let checkpoints = folder.path().join("checkpoints");
    let older = checkpoint::load(&checkpoints.join("previous")).unwrap();
    let newer = checkpoint::load(&checkpoints.join("last")).unwrap();

    checkpoint::save(&checkpoints.join("last"), &older).unwrap();
    assert_eq!(checkpoint::load(&checkpoints.join("last")).unwrap(), older);
    assert_eq!(
        checkpoint::load(&checkpoints.join("previous")).unwrap(),
        newer
    );
    checkpoint::save(&checkpoints.join("best"), &older).unwrap();
    let hidden = checkpoint_names(folder.path())
        .into_iter()
        .filter(|n| n.starts_with('.'));
    assert_eq!(hidden.count(), 0);
}

/// Killed between two renames: a retired `best` that nothing has replaced, half of a new one, and a
/// `last` that is an epoch behind `best`.
#[test]
fn what_a_kill_leaves_between_two_renames_is_put_right() {
    let folder = tempfile::tempdir().unwrap();
    let mut setup = Setup::new(3);
    let straight = setup.fit(folder.path()).unwrap();
    setup.resume = true;
    let checkpoints = folder.path().join("checkpoints");
    let place = |name: &str| checkpoints.join(name);

    fs::rename(place("best"), place(".best.old")).unwrap();
    fs::create_dir(place(".best.new")).unwrap();
    fs::write(place(".best.new/.partial-x"), "half").unwrap();
    setup.fit(folder.path()).unwrap();
    let whole = ["best", "epoch-0002", "last", "previous"];
    assert_eq!(checkpoint_names(folder.path()), whole);
    let best = checkpoint::verify(&place("best")).unwrap();
    assert_eq!(best.epoch, straight.best_epoch);

    let third = checkpoint::load(&place("last")).unwrap();
    checkpoint::save(&place("best"), &third).unwrap();
    fs::remove_dir_all(place("last")).unwrap();
    fs::rename(place("previous"), place("last")).unwrap();
    let outcome = setup.fit(folder.path()).unwrap();
    assert_eq!(bits(&outcome.history), bits(&straight.history));
    assert_eq!(checkpoint_names(folder.path()), whole);
    assert_eq!(checkpoint::verify(&place("last")).unwrap().epoch, 3);
    assert_eq!(checkpoint::verify(&place("previous")).unwrap().epoch, 2);
}

#[test]
fn starting_anew_forgets_what_was_there() {
    let folder = tempfile::tempdir().unwrap();
    Setup::new(4).fit(folder.path()).unwrap();
    fs::write(folder.path().join("notes.txt"), "mine").unwrap();
    Setup::new(1).fit(folder.path()).unwrap();
    assert_eq!(
        checkpoint_names(folder.path()),
        ["best", "last", "previous"]
    );
    assert!(folder.path().join("notes.txt").exists());
    let log = fs::read_to_string(folder.path().join("metrics.jsonl")).unwrap();
    assert_eq!(log.lines().count(), 1);
    assert_eq!(
        fs::read_dir(folder.path().join("tensorboard"))
            .unwrap()
            .count(),
        1
    );
}
