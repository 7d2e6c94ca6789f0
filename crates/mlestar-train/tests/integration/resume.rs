use mlestar_model::{Attention, Network as _};
use std::path::Path;

use mlestar_train::{
    ClassWeights, DistillationConfig, EmaConfig, EpochRecord, OptimizerConfig, OptimizerKind,
    PictureMemory, ProgressiveResizing, ScheduleKind, StepRecord, StopReason, StopSignal,
    TrainEvent,
    checkpoint::{self, Checkpoint},
};

use crate::{Setup, attention_spec, bits, plain_spec};

/// The events of a fit that is stopped in `epoch` once `step` of its steps are known.
fn interrupt(setup: &Setup, folder: &Path, epoch: usize) -> usize {
    let mut setup = setup.clone();
    setup.stop = StopSignal::new();
    let stop = setup.stop.clone();
    let outcome = setup
        .fit_observed(folder, &mut |event| {
            // The previous epoch has ended: the next step is the first one of `epoch`.
            let due = match event {
                TrainEvent::Started { first_epoch, .. } => *first_epoch == epoch,
                TrainEvent::Checkpoint {
                    path,
                    epoch: done,
                    steps: 0,
                } => path.ends_with("last") && *done + 1 == epoch,
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
            loader_wait_seconds: 0.0,
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
    // Model, optimizer, best model and early stopping, as a further resume would find them.
    let last =
        |folder: &Path| without_times(checkpoint::load(&folder.join("checkpoints/last")).unwrap());
    assert_eq!(last(folder.path()), last(straight_folder.path()));
    // The log contains every epoch once.
    let log: Vec<EpochRecord> =
        mlestar_artifact::read_json_lines(&folder.path().join("metrics.jsonl")).unwrap();
    assert_eq!(log, resumed.history);
}

#[test]
fn a_resumed_adam_training_gives_the_same_bits() {
    check_same_bits(&Setup::new(5));
}

#[test]
fn a_resumed_training_with_teachers_gives_the_same_bits() {
    let folder = tempfile::tempdir().unwrap();
    let mut setup = Setup::new(5);
    setup.training.epochs = 1;
    setup.fit(folder.path()).unwrap();
    setup.training.epochs = 5;
    setup.training.distillation = Some(DistillationConfig {
        teachers: vec![folder.path().join("checkpoints/best")],
        ..DistillationConfig::default()
    });
    check_same_bits(&setup);
}

#[test]
fn a_resumed_training_of_a_network_with_attention_gives_the_same_bits() {
    for (attention, kind) in [
        (Attention::SqueezeExcitation, OptimizerKind::Muon),
        (Attention::Spatial, OptimizerKind::AdamW),
    ] {
        let mut setup = Setup::new(5);
        setup.spec = attention_spec(attention);
        setup.training.optimizer.kind = kind;
        check_same_bits(&setup);
    }
}

#[test]
fn a_resumed_training_with_few_validations_gives_the_same_bits() {
    let mut setup = Setup::new(5);
    setup.training.validate_every_epochs = 2;
    check_same_bits(&setup);
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
fn a_resumed_lion_training_gives_the_same_bits() {
    let mut setup = Setup::new(4);
    setup.training.optimizer = OptimizerConfig {
        kind: OptimizerKind::Lion,
        learning_rate: 0.003,
        ..OptimizerConfig::default()
    };
    check_same_bits(&setup);
}

#[test]
fn a_resumed_muon_training_gives_the_same_bits() {
    let mut setup = Setup::new(4);
    setup.training.optimizer = OptimizerConfig {
        kind: OptimizerKind::Muon,
        learning_rate: 0.02,
        ..OptimizerConfig::default()
    };
    check_same_bits(&setup);
}

/// Every step is saved; the training is stopped after step `step` of `epoch`, as the checkpoint records.
fn interrupt_within(setup: &Setup, folder: &Path, epoch: usize, step: usize) {
    let mut setup = setup.clone();
    setup.stop = StopSignal::new();
    setup.training.checkpoint_every_minutes = 1e-9;
    let stop = setup.stop.clone();
    let mut interrupted = None;
    let outcome = setup
        .fit_observed(folder, &mut |event| match event {
            TrainEvent::Checkpoint {
                epoch: done, steps, ..
            } if *done + 1 == epoch && *steps == step => stop.request(),
            TrainEvent::Interrupted {
                finished_epochs,
                steps,
            } => interrupted = Some((*finished_epochs, *steps)),
            _ => {}
        })
        .unwrap();
    assert_eq!(outcome.stopped, StopReason::Interrupted);
    assert_eq!(interrupted, Some((epoch - 1, step)));
    let last = checkpoint::load(&folder.join("checkpoints/last")).unwrap();
    assert_eq!(last.record.steps_into_epoch(), step);
}

fn check_same_bits_within_epochs(mut setup: Setup) {
    setup.training.checkpoint_every_minutes = 0.0;
    let straight_folder = tempfile::tempdir().unwrap();
    let straight = setup.fit(straight_folder.path()).unwrap();

    let folder = tempfile::tempdir().unwrap();
    setup.resume = true;
    interrupt_within(&setup, folder.path(), 1, 1);
    interrupt_within(&setup, folder.path(), 1, 3);
    interrupt_within(&setup, folder.path(), 3, 2);
    let resumed = setup.fit(folder.path()).unwrap();
    assert_eq!(bits(&resumed.history), bits(&straight.history));
    assert_eq!(resumed.best_model.state(), straight.best_model.state());
    let last =
        |folder: &Path| without_times(checkpoint::load(&folder.join("checkpoints/last")).unwrap());
    // The settings that do not matter are recorded as they were.
    let mut resumed_last = last(folder.path());
    let mut straight_last = last(straight_folder.path());
    for checkpoint in [&mut resumed_last, &mut straight_last] {
        checkpoint.record.identity.training.checkpoint_every_minutes = 0.0;
        checkpoint.record.files.clear();
    }
    assert_eq!(resumed_last, straight_last);
    // The log of the steps contains every step once.
    let steps = |folder: &Path| -> Vec<StepRecord> {
        mlestar_artifact::read_json_lines(&folder.join("steps.jsonl")).unwrap()
    };
    let log = steps(folder.path());
    assert_eq!(log, steps(straight_folder.path()));
    let numbers: Vec<u64> = log.iter().map(|record| record.step).collect();
    assert_eq!(numbers, (1..=4 * 4).collect::<Vec<_>>());
}

#[test]
fn a_training_resumed_within_epochs_gives_the_same_bits() {
    check_same_bits_within_epochs(Setup::new(4));
}

/// Mixed images, weighted classes, skipped blocks, a plateau, Muon: everything with a state or random draws.
#[test]
fn so_does_one_with_everything_else() {
    let mut setup = Setup::new(4);
    setup.spec = {
        let mut config = setup.spec.config().clone();
        config.stochastic_depth = 0.3;
        config
            .check(crate::CLASSES, crate::SIDE, crate::SIDE)
            .unwrap()
    };
    setup.training.mixing.mixup_alpha = 0.4;
    setup.training.mixing.cutmix_alpha = 1.0;
    setup.training.class_weights = Some(ClassWeights::List(vec![1.0, 2.0, 3.0]));
    setup.training.progressive_resizing = vec![ProgressiveResizing {
        until_fraction: 0.5,
        scale: 0.75,
    }];
    setup.training.schedule.kind = ScheduleKind::Plateau;
    setup.training.schedule.plateau.patience = 0;
    setup.training.schedule.plateau.threshold = 0.5;
    setup.training.optimizer.kind = OptimizerKind::Muon;
    let rates: Vec<f64> = setup
        .fit(tempfile::tempdir().unwrap().path())
        .unwrap()
        .history
        .iter()
        .map(|record| record.learning_rate)
        .collect();
    assert!(
        rates[3] < rates[0],
        "the plateau was not noticed: {rates:?}"
    );
    check_same_bits_within_epochs(setup);
}

#[test]
fn so_does_one_with_averaged_weights_in_parts() {
    let mut setup = Setup::new(4);
    setup.training.ema = Some(EmaConfig {
        decay: 0.9,
        every_steps: 2,
    });
    setup.training.accumulation_steps = 3;
    setup.training.picture_memory = PictureMemory::Device;
    check_same_bits_within_epochs(setup);
}

#[test]
fn a_finished_training_resumes_to_its_result() {
    let folder = tempfile::tempdir().unwrap();
    let mut setup = Setup::new(2);
    let first = setup.fit(folder.path()).unwrap();
    setup.resume = true;
    let again = setup.fit(folder.path()).unwrap();
    assert_eq!(again.stopped, StopReason::Completed);
    assert_eq!(first.first_step.unwrap().epoch, 1);
    assert_eq!(again.first_step, None);
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
fn the_number_of_epochs_is_part_of_a_training_with_fractions_of_them() {
    let folder = tempfile::tempdir().unwrap();
    let mut setup = Setup::new(2);
    setup.training.schedule.kind = ScheduleKind::Constant;
    setup.training.progressive_resizing = vec![ProgressiveResizing {
        until_fraction: 0.5,
        scale: 0.5,
    }];
    setup.fit(folder.path()).unwrap();
    setup.resume = true;
    setup.training.epochs = 3;
    let message = setup.fit(folder.path()).unwrap_err().to_string();
    assert!(
        message.contains("training.epochs is 3 here and 2 there"),
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

#[test]
fn a_plain_network_resumes_too() {
    let mut setup = Setup::new(4);
    setup.spec = plain_spec();
    check_same_bits(&setup);
}
