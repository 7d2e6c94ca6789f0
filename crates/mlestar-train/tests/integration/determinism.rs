use burn::tensor::Device;
use mlestar_model::{
    Architecture, Attention, ModelConfig, NamedTensor, Network as _, Precision, StageConfig,
};
use mlestar_train::{OptimizerKind, PictureMemory, PrecisionChoice, TrainEvent};

use crate::{CLASSES, SIDE, Setup, attention_spec, bits};

#[test]
fn the_same_request_gives_the_same_bits_on_any_number_of_threads() {
    let mut setup = Setup::new(3);
    let folders = [(); 3].map(|()| tempfile::tempdir().unwrap());
    let mut outcomes = Vec::new();
    for (folder, threads) in folders.iter().zip([1, 1, 3]) {
        setup.threads = threads;
        outcomes.push(setup.fit(folder.path()).unwrap());
    }
    for other in &outcomes[1..] {
        assert_eq!(bits(&other.history), bits(&outcomes[0].history));
        assert_eq!(other.best_epoch, outcomes[0].best_epoch);
        assert_eq!(other.best_model.state(), outcomes[0].best_model.state());
    }
}

#[test]
fn the_seed_matters() {
    let folder = tempfile::tempdir().unwrap();
    let mut setup = Setup::new(1);
    let first = setup.fit(folder.path()).unwrap();
    setup.seed += 1;
    let second = setup.fit(folder.path()).unwrap();
    assert_ne!(bits(&first.history), bits(&second.history));
}

#[test]
fn when_results_are_read_does_not_matter() {
    let folder = tempfile::tempdir().unwrap();
    let mut setup = Setup::new(2);
    setup.training.optimizer.kind = OptimizerKind::Sgd;
    let quick = setup.fit(folder.path()).unwrap();
    // With a slow observer, the result of every step is read separately.
    let mut steps = 0;
    let slow = setup
        .fit_observed(folder.path(), &mut |event| {
            if let TrainEvent::Step(_) | TrainEvent::Started { .. } = event {
                steps += 1;
                std::thread::sleep(std::time::Duration::from_millis(60));
            }
        })
        .unwrap();
    assert!(steps >= 3);
    assert_eq!(bits(&quick.history), bits(&slow.history));
}

#[test]
fn pictures_that_the_device_augments_train_to_the_same_bits() {
    let mut setup = Setup::new(2);
    setup.augmentation.cutout_size = 3;
    setup.training.mixing.mixup_alpha = 0.4;
    setup.training.mixing.cutmix_alpha = 1.0;
    setup.training.accumulation_steps = 2;
    let mut fit = |memory| {
        setup.training.picture_memory = memory;
        let mut on_device = None;
        let outcome = setup.fit_observed(tempfile::tempdir().unwrap().path(), &mut |event| {
            if let TrainEvent::Started {
                pictures_on_device, ..
            } = event
            {
                on_device = Some(*pictures_on_device);
            }
        });
        (outcome.unwrap(), on_device)
    };
    let (host, on_host) = fit(PictureMemory::Host);
    let (device, on_device) = fit(PictureMemory::Device);
    assert_eq!([on_host, on_device], [Some(false), Some(true)]);
    assert_eq!(bits(&host.history), bits(&device.history));
    assert_eq!(host.best_model.state(), device.best_model.state());
}

#[test]
fn attention_is_trained_with_the_same_bits_on_any_number_of_threads() {
    for attention in [Attention::SqueezeExcitation, Attention::Spatial] {
        let [one, three] = [1, 3].map(|threads| {
            let mut setup = Setup::new(4);
            setup.spec = attention_spec(attention);
            setup.threads = threads;
            setup.fit(tempfile::tempdir().unwrap().path()).unwrap()
        });
        assert_eq!(bits(&one.history), bits(&three.history));
        assert_eq!(one.best_model.state(), three.best_model.state());
        // The layers learn.
        let [before, after] = [&setup_state(attention), &one.best_model.state()].map(|state| {
            let of_attention = state
                .iter()
                .filter(|tensor| tensor.name.contains("attention"));
            of_attention.cloned().collect::<Vec<_>>()
        });
        assert!(before.len() >= 2);
        for (before, after) in before.iter().zip(&after) {
            assert_eq!(before.name, after.name);
            assert_ne!(before.values, after.values, "{}", before.name);
        }
    }
}

/// The state before a training.
fn setup_state(attention: Attention) -> Vec<NamedTensor> {
    let seed = Setup::new(1).seed;
    attention_spec(attention)
        .init(seed, &Device::flex())
        .state()
}

/// A network whose convolutions can be computed with bfloat16, trained with it.
fn fit_with(precision: PrecisionChoice, threads: usize) -> crate::Outcome {
    let mut setup = Setup::new(6);
    let config = ModelConfig {
        architecture: Architecture::PlainCnn,
        stem_channels: 16,
        stages: vec![StageConfig {
            channels: 16,
            blocks: 1,
            stride: 2,
        }],
        ..ModelConfig::small()
    };
    setup.spec = config.check(CLASSES, SIDE, SIDE).unwrap();
    setup.training.precision = precision;
    setup.threads = threads;
    setup.fit(tempfile::tempdir().unwrap().path()).unwrap()
}

#[test]
fn bfloat16_learns_as_well_and_gives_the_same_bits_on_any_number_of_threads() {
    let exact = fit_with(PrecisionChoice::F32, 1);
    let [one, three] = [1, 3].map(|threads| fit_with(PrecisionChoice::Bf16, threads));
    assert_eq!(exact.precision, Precision::F32);
    assert_eq!(one.precision, Precision::Bf16);
    assert_eq!(bits(&one.history), bits(&three.history));
    assert_eq!(one.best_model.state(), three.best_model.state());
    // Another path to the same folder.
    assert_ne!(bits(&one.history), bits(&exact.history));
    let loss = |outcome: &crate::Outcome, epoch: usize| outcome.history[epoch].train_loss;
    assert!(loss(&exact, 5) < 0.8 * loss(&exact, 0));
    for epoch in 0..6 {
        let (found, expected) = (loss(&one, epoch), loss(&exact, epoch));
        assert!(
            (found - expected).abs() < 0.05,
            "{epoch}: {found} {expected}"
        );
    }
}
