//! Early layers that stop learning.

use burn::tensor::Device;
use mlestar_train::{Freezing, ProgressiveResizing, ScheduleConfig, ScheduleKind, checkpoint};

use crate::{Setup, bits};

fn freezing(from_fraction: f64, stages: usize) -> Freezing {
    Freezing {
        from_fraction,
        stages,
    }
}

/// The stem stops after two of six epochs, the first stage after four.
fn setup() -> Setup {
    let mut setup = Setup::new(6);
    // An ordinary rate to the end, and everything that could move a weight without a gradient.
    setup.training.schedule = ScheduleConfig {
        kind: ScheduleKind::Constant,
        ..ScheduleConfig::default()
    };
    setup.training.optimizer.weight_decay = 0.1;
    setup.training.checkpoint_every_epochs = 2;
    setup.training.keep_checkpoints = 0;
    setup.training.accumulation_steps = 2;
    setup.training.freezing = vec![freezing(1.0 / 3.0, 0), freezing(2.0 / 3.0, 1)];
    setup
}

#[test]
fn frozen_weights_stay_and_all_others_move() {
    let setup = setup();
    let folder = tempfile::tempdir().unwrap();
    let outcome = setup.fit(folder.path()).unwrap();
    let state_after = |epoch: usize| {
        let path = folder.path().join(format!("checkpoints/epoch-{epoch:04}"));
        checkpoint::load_model(&path, &Device::flex())
            .unwrap()
            .state()
    };
    let states = [2, 4, 6].map(state_after);
    for (pair, is_frozen) in states.windows(2).zip([
        (|name: &str| name.starts_with("stem.")) as fn(&str) -> bool,
        |name: &str| name.starts_with("stem.") || name.starts_with("stages.0."),
    ]) {
        for (before, after) in pair[0].iter().zip(&pair[1]) {
            let is_statistic = before.name.contains("running");
            assert_eq!(
                before.values == after.values,
                is_frozen(&before.name) && !is_statistic,
                "{}",
                before.name
            );
        }
    }

    // Until then it is the training that it would be without.
    let mut without = setup;
    without.training.freezing.clear();
    let learnt = without.fit(tempfile::tempdir().unwrap().path()).unwrap();
    let [frozen, learnt] = [&outcome, &learnt].map(|outcome| bits(&outcome.history));
    assert_eq!(frozen[..2], learnt[..2]);
    assert_ne!(frozen[2], learnt[2]);
}

#[test]
fn more_stages_than_the_network_has_are_refused() {
    let mut setup = setup();
    let stages = setup.spec.config().stages.len();
    setup.training.freezing = vec![freezing(0.5, stages)];
    // All but the head.
    setup.fit(tempfile::tempdir().unwrap().path()).unwrap();
    setup.training.freezing = vec![freezing(0.2, 0), freezing(0.5, stages + 1)];
    let error = setup.fit(tempfile::tempdir().unwrap().path()).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "freezing.stages = {} is out of range: it must be at most {stages}, the stages of the network",
            stages + 1
        )
    );
}

#[test]
fn the_number_of_epochs_is_part_of_a_training_with_fractions_of_them() {
    let mut setup = Setup::new(2);
    setup.training.schedule.kind = ScheduleKind::Constant;
    let resizing = ProgressiveResizing {
        until_fraction: 0.5,
        scale: 0.5,
    };
    for (resizing, freezing) in [(vec![resizing], vec![]), (vec![], vec![freezing(0.5, 0)])] {
        setup.training.epochs = 2;
        setup.training.progressive_resizing = resizing;
        setup.training.freezing = freezing;
        let folder = tempfile::tempdir().unwrap();
        setup.resume = false;
        setup.fit(folder.path()).unwrap();
        setup.resume = true;
        setup.training.epochs = 3;
        let message = setup.fit(folder.path()).unwrap_err().to_string();
        assert!(
            message.contains("training.epochs is 3 here and 2 there"),
            "{message}"
        );
    }
}
