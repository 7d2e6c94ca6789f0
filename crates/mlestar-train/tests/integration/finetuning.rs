//! Trainings of a pretrained network: first the head, then the layers below it.

use mlestar_model::Network as _;
use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use burn::tensor::Device;
use mlestar_model::{ImageClassifier, ModelConfig, NamedTensor, StageConfig};
use mlestar_train::{
    EmaConfig, FinetuneConfig, FitOutcome, HeadImages, Statistics, StopSignal, TrainError,
    TrainEvent, checkpoint, cross_validate_head,
};

use crate::{CLASSES, SIDE, Setup, bits};

/// A network of four groups: stem, two stages, head.
fn setup(folder: &Path, epochs: usize) -> Setup {
    let mut setup = Setup::new(4);
    let stage = |channels| StageConfig {
        channels,
        blocks: 1,
        stride: 2,
    };
    let config = ModelConfig {
        stages: vec![stage(6), stage(8)],
        ..setup.spec.config().clone()
    };
    setup.spec = config.check(CLASSES, SIDE, SIDE).unwrap();
    let pretraining = folder.join("pretraining");
    setup.fit(&pretraining).unwrap();
    setup.seed += 1;
    setup.training.epochs = epochs;
    setup.training.initial_weights = Some(pretraining.join("checkpoints/best/model.safetensors"));
    setup.training.finetune = Some(FinetuneConfig::default());
    setup
}

/// The names of the tensors that differ.
fn changed(before: &[NamedTensor], after: &[NamedTensor]) -> BTreeSet<String> {
    let pairs = before.iter().zip(after);
    pairs
        .filter(|(a, b)| a != b)
        .map(|(a, _)| a.name.clone())
        .collect()
}

fn last(folder: &Path) -> Vec<NamedTensor> {
    sorted(
        checkpoint::load(&folder.join("checkpoints/last"))
            .unwrap()
            .model,
    )
}

/// By name: a file has another order than a model.
fn sorted(mut state: Vec<NamedTensor>) -> Vec<NamedTensor> {
    state.sort_by(|a, b| a.name.cmp(&b.name));
    state
}

fn state_before(setup: &Setup) -> Vec<NamedTensor> {
    sorted(setup.steps(&Device::flex()).unwrap().model().state())
}

#[test]
fn the_first_epoch_changes_the_head_alone_and_each_later_one_a_group_more() {
    let folder = tempfile::tempdir().unwrap();
    for statistics in [Statistics::Frozen, Statistics::Batch] {
        let mut setup = setup(folder.path(), 1);
        let before = state_before(&setup);
        let groups = setup.spec.init(0, &Device::flex()).groups();
        assert_eq!(groups.len(), 4);
        for epochs in 1..=4 {
            setup.training.epochs = epochs;
            setup.training.finetune = Some(FinetuneConfig {
                statistics,
                ..FinetuneConfig::default()
            });
            let output = folder.path().join(format!("{statistics:?} {epochs}"));
            setup.fit(&output).unwrap();
            let changed = changed(&before, &last(&output));
            let learning = groups[groups.len() - epochs..].iter().flatten();
            let moves =
                |name: &&String| statistics == Statistics::Batch || !name.contains("running_");
            let expected: BTreeSet<String> = learning.filter(moves).cloned().collect();
            assert_eq!(changed, expected, "{epochs} epochs, {statistics:?}");
        }
    }
}

#[test]
fn the_head_is_cross_validated_alike_on_any_number_of_threads() {
    let folder = tempfile::tempdir().unwrap();
    let setup = setup(folder.path(), 1);
    let device = Device::flex();
    let training = setup
        .with(setup.spec.init(setup.seed, &device), &device)
        .unwrap();
    let images = HeadImages {
        validation: &setup.validation,
        repeats: 2,
    };
    let n = setup.train.len() + setup.validation.len();
    let run = |threads: usize| {
        let mut done = Vec::new();
        let pool = rayon::ThreadPoolBuilder::new();
        let pool = pool.num_threads(threads).build().unwrap();
        let found = pool.install(|| {
            cross_validate_head(&training, images, &StopSignal::new(), &mut |n, of| {
                done.push((n, of));
            })
        });
        assert_eq!(done.last(), Some(&(3 * n, 3 * n)));
        assert!(done.is_sorted());
        found.unwrap().unwrap()
    };
    let found = run(1);
    assert_eq!(found, run(3));
    assert_eq!(
        (found.images, found.groups, found.held_out.len()),
        (n, None, 10)
    );
    for repetition in found.held_out.chunks(5) {
        let held_out: u64 = repetition.iter().map(|part| part.samples).sum();
        assert_eq!(held_out, n as u64);
    }
    let stop = StopSignal::new();
    stop.request();
    let stopped = cross_validate_head(&training, images, &stop, &mut |_, _| ());
    assert_eq!(stopped.unwrap(), None);
}

#[test]
fn the_rates_fall_towards_the_input() {
    let folder = tempfile::tempdir().unwrap();
    let mut setup = setup(folder.path(), 3);
    let before = state_before(&setup);
    let moved = |setup: &Setup, name: &str| {
        let output = folder.path().join(name);
        setup.fit(&output).unwrap();
        let after = last(&output);
        let sum = |prefix: &str| {
            let pairs = before.iter().zip(&after);
            let of = pairs.filter(|(a, _)| a.name.starts_with(prefix));
            of.flat_map(|(a, b)| a.values.iter().zip(&b.values))
                .map(|(a, b)| f64::from((a - b).abs()))
                .sum::<f64>()
        };
        [sum("stem"), sum("stages.0"), sum("stages.1")]
    };
    let finetune = |rate_decay| {
        Some(FinetuneConfig {
            unfreeze_every_epochs: 0,
            rate_decay,
            ..FinetuneConfig::default()
        })
    };
    setup.training.finetune = finetune(1.0);
    let equal = moved(&setup, "equal rates");
    setup.training.finetune = finetune(0.1);
    let falling = moved(&setup, "falling rates");
    // Adam's steps are about as long as the rate.
    for (group, (equal, falling)) in equal.iter().zip(falling).enumerate() {
        let factor = 0.1_f64.powi(3 - group as i32);
        let ratio = falling / equal;
        assert!(
            (0.4 * factor..2.5 * factor).contains(&ratio),
            "{group}: {ratio}"
        );
    }
}

#[test]
fn the_head_is_as_good_as_the_features_allow_and_its_record_says_how() {
    let folder = tempfile::tempdir().unwrap();
    let setup = setup(folder.path(), 2);
    let mut seen = 0;
    let outcome = setup
        .fit_observed(&folder.path().join("out"), &mut |event| {
            if let TrainEvent::Features { done, of, .. } = event {
                assert!(*done <= 70 && *of == 70);
                seen = *done;
            }
        })
        .unwrap();
    assert_eq!(seen, 70);
    let [first, second] = &outcome.history[..] else {
        panic!("{:?}", outcome.history);
    };
    let head = first.head.as_ref().unwrap();
    assert!(head.tried.iter().any(|tried| tried.c == head.c));
    let lowest = head
        .tried
        .iter()
        .map(|tried| tried.loss)
        .fold(f64::INFINITY, f64::min);
    assert!(lowest < (CLASSES as f64).ln());
    assert!(first.train_accuracy > 0.8 && first.validation_accuracy.unwrap() > 0.6);
    assert_eq!((first.learning_rate, second.head.as_ref()), (0.0, None));
    assert!(second.learning_rate < setup.training.optimizer.learning_rate);
}

#[test]
fn stopped_anywhere_it_resumes_with_the_same_bits() {
    let folder = tempfile::tempdir().unwrap();
    let mut setup = setup(folder.path(), 4);
    setup.training.ema = Some(EmaConfig::default());
    setup.training.checkpoint_every_minutes = 1e-9;
    setup.resume = true;
    let whole = setup.fit(&folder.path().join("whole")).unwrap();
    let same = |outcome: &FitOutcome<ImageClassifier>| {
        assert_eq!(bits(&outcome.history), bits(&whole.history));
        assert_eq!(outcome.best_model.state(), whole.best_model.state());
        assert_eq!(outcome.best_epoch, whole.best_epoch);
    };
    let stopped: PathBuf = folder.path().join("stopped");
    let mut calls = 0;
    loop {
        calls += 1;
        setup.stop = mlestar_train::StopSignal::new();
        let stop = setup.stop.clone();
        let mut events = 0;
        let outcome = setup
            .fit_observed(&stopped, &mut |event| {
                if let TrainEvent::Features { .. } | TrainEvent::Step(_) = event {
                    events += 1;
                    // The first call stops within the features, the others at steps.
                    if calls < 8 && events == 2 {
                        stop.request();
                    }
                }
            })
            .unwrap();
        if outcome.stopped == mlestar_train::StopReason::Completed {
            assert!(calls > 3, "{calls}");
            same(&outcome);
            break;
        }
    }
}

#[test]
fn what_cannot_be_fine_tuned_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let mut setup = setup(folder.path(), 2);
    setup.training.initial_weights = None;
    let error = setup.fit(&folder.path().join("out")).unwrap_err();
    assert_eq!(
        error.to_string(),
        "initial_weights = absent is out of range: it must be the file of the pretrained weights, because finetune is on"
    );
    setup.training.finetune = Some(FinetuneConfig {
        rate_decay: 0.0,
        ..FinetuneConfig::default()
    });
    let error = setup.training.check().unwrap_err();
    assert!(matches!(error, TrainError::OutOfRange { .. }));
    assert_eq!(
        error.to_string(),
        "finetune.rate_decay = 0 is out of range: it must be above 0 and at most 1"
    );
}
