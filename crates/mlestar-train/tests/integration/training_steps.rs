use burn::tensor::Device;
use mlestar_model::Network as _;
use mlestar_train::{
    OptimizerKind, PictureMemory, ProgressiveResizing, ScheduleConfig, ScheduleKind, StepRecord,
    TrainError,
};

use crate::{SIDE, Setup, pictures};

/// Two epochs with every option of a step.
fn setup() -> Setup {
    let mut setup = Setup::new(2);
    setup.training.schedule = ScheduleConfig {
        kind: ScheduleKind::Constant,
        ..ScheduleConfig::default()
    };
    setup.training.optimizer.kind = OptimizerKind::Muon;
    setup.training.accumulation_steps = 2;
    setup.training.mixing.cutmix_alpha = 1.0;
    setup
}

#[test]
fn they_are_those_of_a_training() {
    let device = Device::flex();
    for memory in [PictureMemory::Host, PictureMemory::Device] {
        let mut setup = setup();
        setup.training.picture_memory = memory;
        let folder = tempfile::tempdir().unwrap();
        let trained = setup.fit(folder.path()).unwrap();
        let lines = std::fs::read_to_string(folder.path().join("steps.jsonl")).unwrap();
        let records: Vec<StepRecord> = lines
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!(records.len(), 2 * 4);

        let mut steps = setup.steps(&device).unwrap();
        let rate = setup.training.optimizer.learning_rate;
        for record in &records {
            let loss = steps.take(rate, false).unwrap().loss;
            assert_eq!(
                loss.to_bits(),
                record.loss.to_bits(),
                "step {}",
                record.step
            );
        }
        // With this seed the last epoch is the best, so that its weights are those of the last step.
        assert_eq!(trained.best_epoch, 2);
        assert_eq!(steps.model().state(), trained.best_model.state());
    }
}

/// Of three epochs the second has small images.
#[test]
fn resized_pictures_are_those_of_a_training() {
    let device = Device::flex();
    let mut setup = setup();
    setup.training.epochs = 3;
    setup.training.progressive_resizing = vec![
        ProgressiveResizing {
            until_fraction: 0.34,
            scale: 1.0,
        },
        ProgressiveResizing {
            until_fraction: 0.67,
            scale: 0.5,
        },
    ];
    let folder = tempfile::tempdir().unwrap();
    setup.fit(folder.path()).unwrap();
    let lines = std::fs::read_to_string(folder.path().join("steps.jsonl")).unwrap();
    let mut steps = setup.steps(&device).unwrap();
    let rate = setup.training.optimizer.learning_rate;
    for line in lines.lines() {
        let record: StepRecord = serde_json::from_str(line).unwrap();
        match record.step {
            5 => steps.resize([SIDE / 2; 2]).unwrap(),
            9 => steps.resize([SIDE; 2]).unwrap(),
            _ => {}
        }
        let loss = steps.take(rate, false).unwrap().loss;
        assert_eq!(loss.to_bits(), record.loss.to_bits(), "{record:?}");
    }

    let message = steps.resize([SIDE + 1, SIDE]).unwrap_err().to_string();
    assert!(message.contains("height"), "{message}");
    assert!(steps.resize([SIDE, 0]).is_err());
    // The rejected call changed nothing.
    assert!(steps.take(rate, false).unwrap().loss.is_finite());
}

#[test]
fn gradients_come_when_asked_for() {
    let (device, setup) = (Device::flex(), setup());
    let mut steps = setup.steps(&device).unwrap();
    assert_eq!(steps.batch_size(), 16);
    assert!(steps.take(0.01, false).unwrap().gradients.is_none());
    let gradients = steps.take(0.01, true).unwrap().gradients.unwrap();
    let names: Vec<&str> = gradients
        .iter()
        .map(|tensor| tensor.name.as_str())
        .collect();
    assert!(
        names.contains(&"stem.conv.weight") && names.contains(&"head.bias"),
        "{names:?}"
    );
    assert!(
        gradients
            .iter()
            .flat_map(|tensor| &tensor.values)
            .all(|value| value.is_finite())
    );
}

#[test]
fn a_set_smaller_than_a_batch_is_one_batch() {
    let device = Device::flex();
    let mut setup = setup();
    setup.train = pictures(1, 5);
    let mut steps = setup.steps(&device).unwrap();
    assert_eq!(steps.batch_size(), 5);
    assert_eq!(steps.load().unwrap(), 5);
    for _ in 0..3 {
        assert!(steps.take(0.01, false).unwrap().loss.is_finite());
    }
}

#[test]
fn a_batch_that_is_only_loaded_is_left_out() {
    let device = Device::flex();
    for memory in [PictureMemory::Host, PictureMemory::Device] {
        let mut setup = setup();
        setup.training.picture_memory = memory;
        let losses = |left_out: usize| {
            let mut steps = setup.steps(&device).unwrap();
            for _ in 0..left_out {
                assert_eq!(steps.load().unwrap(), 16);
            }
            steps.take(0.01, false).unwrap().loss
        };
        // Epochs have four batches.
        assert_ne!(losses(0), losses(1));
        assert!(losses(5).is_finite());
    }
}

#[test]
fn what_a_training_refuses_is_refused() {
    let device = Device::flex();
    let mut setup = setup();
    setup.train = pictures(1, 0);
    let refused = setup.steps(&device).err();
    assert!(matches!(
        refused,
        Some(TrainError::EmptySet { split: "training" })
    ));
    let mut setup = Setup::new(1);
    setup.training.batch_size = 0;
    let message = setup.steps(&device).err().unwrap().to_string();
    assert!(message.contains("batch_size"), "{message}");
}
