use mlestar_data::{
    loader::{Loader, LoaderConfig},
    normalization::Normalization,
};
use mlestar_model::Network as _;
use mlestar_train::{EarlyStoppingConfig, ScheduleKind, StopReason, TrainError, TrainEvent};

use crate::Setup;

#[test]
fn only_validated_epochs_are_judged_and_the_last_is_validated() {
    let folder = tempfile::tempdir().unwrap();
    let mut setup = Setup::new(7);
    setup.training.validate_every_epochs = 3;
    let outcome = setup.fit(folder.path()).unwrap();
    let validated = |epoch: &mlestar_train::EpochRecord| {
        assert_eq!(epoch.validation_loss.is_some(), epoch.is_validated());
        assert_eq!(epoch.validation_seconds > 0.0, epoch.is_validated());
        epoch.is_validated().then_some(epoch.epoch)
    };
    let epochs: Vec<usize> = outcome.history.iter().filter_map(validated).collect();
    assert_eq!(epochs, [3, 6, 7]);
    assert!(epochs.contains(&outcome.best_epoch));
    // The weights do not depend on how often they are validated.
    setup.training.validate_every_epochs = 1;
    let other = tempfile::tempdir().unwrap();
    let often = setup.fit(other.path()).unwrap();
    for (a, b) in often.history.iter().zip(&outcome.history) {
        assert_eq!(a.train_loss.to_bits(), b.train_loss.to_bits());
        if b.is_validated() {
            assert_eq!(a.validation_loss, b.validation_loss);
            assert_eq!(a.validation_accuracy, b.validation_accuracy);
        }
    }
}

#[test]
fn training_stops_early_after_a_validation() {
    let folder = tempfile::tempdir().unwrap();
    let mut setup = Setup::new(60);
    setup.training.validate_every_epochs = 4;
    setup.training.early_stopping = Some(EarlyStoppingConfig {
        patience: 3,
        min_delta: 0.0,
    });
    let outcome = setup.fit(folder.path()).unwrap();
    let epochs = outcome.history.len();
    assert!(epochs < 60 && epochs.is_multiple_of(4), "{epochs} epochs");
    assert_eq!(
        outcome.stopped,
        StopReason::EarlyStopping {
            epochs_without_progress: 4
        }
    );
}

#[test]
fn training_stops_when_the_accuracy_no_longer_rises() {
    let folder = tempfile::tempdir().unwrap();
    let mut setup = Setup::new(50);
    setup.training.early_stopping = Some(EarlyStoppingConfig {
        patience: 3,
        min_delta: 0.0,
    });
    let mut announced = None;
    let outcome = setup
        .fit_observed(folder.path(), &mut |event| {
            if let TrainEvent::EarlyStop {
                epochs_without_progress,
                ..
            } = event
            {
                announced = Some(*epochs_without_progress);
            }
        })
        .unwrap();
    assert_eq!(
        outcome.stopped,
        StopReason::EarlyStopping {
            epochs_without_progress: 3
        }
    );
    assert_eq!(announced, Some(3));
    let epochs = outcome.history.len();
    assert!(epochs < 50, "{epochs} epochs");
    let highest = outcome
        .history
        .iter()
        .filter_map(|record| record.validation_accuracy)
        .fold(0.0, f64::max);
    let best = &outcome.history[outcome.best_epoch - 1];
    assert_eq!(best.validation_accuracy, Some(highest));
    // None of the last three epochs exceeds the highest before them.
    let (before, last) = outcome.history.split_at(epochs - 3);
    let before = before
        .iter()
        .filter_map(|r| r.validation_accuracy)
        .fold(0.0, f64::max);
    assert!(
        last.iter()
            .all(|record| record.validation_accuracy.unwrap() <= before)
    );

    setup.resume = true;
    let again = setup.fit(folder.path()).unwrap();
    assert_eq!(again.stopped, outcome.stopped);
    assert_eq!(again.history.len(), epochs);
}

#[test]
fn a_signal_before_the_start_leaves_the_initial_state() {
    let folder = tempfile::tempdir().unwrap();
    let setup = Setup::new(3);
    setup.stop.request();
    let outcome = setup.fit(folder.path()).unwrap();
    assert_eq!(outcome.stopped, StopReason::Interrupted);
    assert_eq!((outcome.best_epoch, outcome.history.len()), (0, 0));
    let initial = setup.spec.init(setup.seed, &burn::tensor::Device::flex());
    assert_eq!(outcome.best_model.state(), initial.state());
    let last = folder.path().join("checkpoints/last");
    assert_eq!(mlestar_train::checkpoint::verify(&last).unwrap().epoch, 0);
}

/// Images that are too large for f32 once normalised.
#[test]
fn a_loss_or_gradient_that_is_not_finite_names_the_step_and_its_pictures() {
    let folder = tempfile::tempdir().unwrap();
    let mut setup = Setup::new(2);
    setup.normalization = Normalization::new([0.5; 3], [1e-38; 3]).unwrap();
    let error = setup.fit(folder.path()).unwrap_err();
    let message = error.to_string();
    let TrainError::NonFinite {
        epoch,
        step,
        loss,
        gradient_norm,
        largest_gradients,
        indices,
    } = error
    else {
        panic!("{message}");
    };
    assert_eq!((epoch, step), (1, 1));
    assert!(!(loss.is_finite() && gradient_norm.is_finite()));
    assert_eq!(largest_gradients.len(), 5);
    let config = LoaderConfig {
        batch_size: 16,
        seed: setup.seed,
        ..LoaderConfig::default()
    };
    let loader = Loader::new(setup.train.clone(), None, crate::normalization(), config).unwrap();
    assert_eq!(indices, loader.order(1)[..16]);
    assert!(
        message.contains(&format!("images {indices:?}")),
        "{message}"
    );
    let last = folder.path().join("checkpoints/last");
    assert_eq!(mlestar_train::checkpoint::verify(&last).unwrap().epoch, 0);
}

#[test]
fn divergence_is_an_error_and_keeps_the_checkpoints() {
    let folder = tempfile::tempdir().unwrap();
    let mut setup = Setup::new(50);
    // Each step multiplies the weights by 1 - 10 * 1.
    setup.training.optimizer.kind = mlestar_train::OptimizerKind::Sgd;
    setup.training.optimizer.learning_rate = 10.0;
    setup.training.optimizer.weight_decay = 1.0;
    setup.training.optimizer.momentum = 0.0;
    setup.training.schedule.kind = ScheduleKind::Constant;
    setup.training.max_gradient_norm = None;
    let error = setup.fit(folder.path()).unwrap_err();
    let message = error.to_string();
    // The overflow of the numbers determines which of these is detected first.
    let expected = matches!(
        error,
        TrainError::NonFinite { .. }
            | TrainError::NonFiniteWeights { .. }
            | TrainError::NonFiniteLogits { .. }
    );
    assert!(expected, "{message}");
    assert!(message.contains("lower the learning rate"), "{message}");
    let last = folder.path().join("checkpoints/last");
    let checkpoint = mlestar_train::checkpoint::load(&last).unwrap();
    let finite = |values: &[f32]| values.iter().all(|value| value.is_finite());
    assert!(checkpoint.model.iter().all(|tensor| finite(&tensor.values)));
}
