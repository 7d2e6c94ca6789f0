use std::path::Path;

use mlestar_train::{
    EpochRecord, OptimizerConfig, OptimizerKind, StopReason, StopSignal, TrainEvent,
    checkpoint::{self, Checkpoint},
};

use crate::{Setup, bits};

/// The events of a fit that is stopped in `epoch` once `step` of its steps are known.
fn interrupt(setup: &Setup, folder: &Path, epoch: usize) -> usize {
    let mut setup = setup.clone();
    setup.stop = StopSignal::new();
    let stop = setup.stop.clone();
    let outcome = setup
        .fit_observed(folder, &mut |event| {
            // The epoch before has ended: the next step is the first one of `epoch`.
            let due = match event {
                TrainEvent::Started { first_epoch, .. } => *first_epoch == epoch,
                TrainEvent::Checkpoint { path, epoch: done } => {
                    path.ends_with("last") && *done + 1 == epoch
                }
                _ => false,
            };
            if due {
                stop.request();
            }
        })
        .unwrap();
    assert_eq!(outcome.stopped, StopReason::Interrupted);
    outcome.history.len()
}

fn without_times(mut checkpoint: Checkpoint) -> Checkpoint {
    for record in &mut checkpoint.record.history {
        *record = EpochRecord {
            images_per_second: 0.0,
            seconds: 0.0,
            validation_seconds: 0.0,
            ..record.clone()
        };
    }
    checkpoint
}

fn check_same_bits(setup: &Setup) {
    let straight_folder = tempfile::tempdir().unwrap();
    let straight = setup.fit(straight_folder.path()).unwrap();

    let folder = tempfile::tempdir().unwrap();
    let mut resuming = setup.clone();
    resuming.resume = true;
    assert_eq!(interrupt(&resuming, folder.path(), 1), 0);
    assert_eq!(interrupt(&resuming, folder.path(), 3), 2);
    assert_eq!(interrupt(&resuming, folder.path(), 4), 3);
    let resumed = resuming.fit(folder.path()).unwrap();

    assert_eq!(resumed.stopped, straight.stopped);
    assert_eq!(bits(&resumed.history), bits(&straight.history));
    assert_eq!(resumed.best_epoch, straight.best_epoch);
    assert_eq!(resumed.best_model.state(), straight.best_model.state());
    // Model, optimizer, best model and early stopping, as they would be resumed from again.
    let last =
        |folder: &Path| without_times(checkpoint::load(&folder.join("checkpoints/last")).unwrap());
    assert_eq!(last(folder.path()), last(straight_folder.path()));
    // The log has every epoch once.
    let log: Vec<EpochRecord> =
        mlestar_artifact::read_json_lines(&folder.path().join("metrics.jsonl")).unwrap();
    assert_eq!(log, resumed.history);
}

#[test]
fn a_resumed_adam_training_gives_the_same_bits() {
    check_same_bits(&Setup::new(5));
}

#[test]
fn a_resumed_adamw_training_gives_the_same_bits() {
    let mut setup = Setup::new(4);
    setup.training.optimizer.kind = OptimizerKind::AdamW;
    check_same_bits(&setup);
}

#[test]
fn a_resumed_sgd_training_gives_the_same_bits() {
    let mut setup = Setup::new(4);
    setup.training.optimizer = OptimizerConfig {
        kind: OptimizerKind::Sgd,
        learning_rate: 0.05,
        nesterov: true,
        ..OptimizerConfig::default()
    };
    check_same_bits(&setup);
}

#[test]
fn a_stop_within_an_epoch_goes_back_to_its_beginning() {
    let folder = tempfile::tempdir().unwrap();
    let mut setup = Setup::new(2);
    setup.resume = true;
    let straight = setup.fit(tempfile::tempdir().unwrap().path()).unwrap();

    let stop = setup.stop.clone();
    let mut lost = None;
    let mut in_second = false;
    let outcome = setup
        .fit_observed(folder.path(), &mut |event| match event {
            // The pause makes the first step's result be read, and so reported, at once.
            TrainEvent::Epoch(_) => in_second = true,
            TrainEvent::Checkpoint { path, .. } if in_second && path.ends_with("last") => {
                let stop = stop.clone();
                std::thread::spawn(move || {
                    std::thread::sleep(std::time::Duration::from_millis(2));
                    stop.request();
                });
            }
            TrainEvent::Interrupted {
                finished_epochs,
                lost_steps,
            } => {
                lost = Some((*finished_epochs, *lost_steps));
            }
            _ => {}
        })
        .unwrap();
    // The second epoch may have been faster than the stop.
    if outcome.stopped == StopReason::Interrupted {
        assert_eq!(outcome.history.len(), 1);
        assert!(lost.is_none_or(|(epochs, steps)| epochs == 1 && steps <= 4));
    }
    setup.stop = StopSignal::new();
    let resumed = setup.fit(folder.path()).unwrap();
    assert_eq!(bits(&resumed.history), bits(&straight.history));
}

#[test]
fn a_finished_training_resumes_to_its_result() {
    let folder = tempfile::tempdir().unwrap();
    let mut setup = Setup::new(2);
    let first = setup.fit(folder.path()).unwrap();
    setup.resume = true;
    let again = setup.fit(folder.path()).unwrap();
    assert_eq!(again.stopped, StopReason::Completed);
    assert_eq!(again.history, first.history);
    assert_eq!(again.best_model.state(), first.best_model.state());
}

#[test]
fn more_epochs_can_be_asked_for_where_the_rate_does_not_depend_on_them() {
    let folder = tempfile::tempdir().unwrap();
    let mut setup = Setup::new(2);
    setup.training.schedule.t_max_epochs = Some(4.0);
    setup.fit(folder.path()).unwrap();
    setup.resume = true;
    setup.training.epochs = 3;
    assert_eq!(setup.fit(folder.path()).unwrap().history.len(), 3);
    setup.training.schedule.t_max_epochs = None;
    let message = setup.fit(folder.path()).unwrap_err().to_string();
    assert!(
        message.contains("training.schedule.t_max_epochs is 3.0 here and 4.0 there"),
        "{message}"
    );
}

#[test]
fn without_a_checkpoint_resuming_starts_at_the_beginning() {
    let folder = tempfile::tempdir().unwrap();
    let mut setup = Setup::new(1);
    setup.resume = true;
    let mut first = None;
    setup
        .fit_observed(folder.path(), &mut |event| {
            if let TrainEvent::Started { first_epoch, .. } = event {
                first = Some(*first_epoch);
            }
        })
        .unwrap();
    assert_eq!(first, Some(1));
}
