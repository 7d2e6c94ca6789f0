//! Sweeps on synthetic images.

use std::sync::Arc;

use burn::tensor::Device;
use mlestar_data::{
    ImageSet,
    augment::AugmentationConfig,
    normalization::Normalization,
    synthetic::{SyntheticConfig, generate},
};
use mlestar_model::{ModelConfig, ModelSpec, StageConfig};

use super::*;
use crate::config::{OptimizerConfig, OptimizerKind, TrainingConfig};

struct Setup {
    spec: ModelSpec,
    training: TrainingConfig,
    augmentation: AugmentationConfig,
    train: Arc<ImageSet>,
    stop: StopSignal,
    threads: usize,
}

impl Setup {
    fn new(kind: OptimizerKind) -> Self {
        let sizes = SyntheticConfig {
            n_train: 100,
            n_validation: 10,
            n_test: 10,
            ..SyntheticConfig::default()
        };
        let stages = vec![StageConfig {
            channels: 6,
            blocks: 1,
            stride: 4,
        }];
        let model = ModelConfig {
            stem_channels: 4,
            stages,
            dropout: 0.1,
            ..ModelConfig::small()
        };
        Self {
            spec: model.check(10, 32, 32).unwrap(),
            training: TrainingConfig {
                batch_size: 16,
                optimizer: OptimizerConfig {
                    kind,
                    ..OptimizerConfig::default()
                },
                ..TrainingConfig::default()
            },
            augmentation: AugmentationConfig {
                random_crop_padding: 2,
                ..AugmentationConfig::default()
            },
            train: Arc::new(generate(&sizes.without_flaws(), 1).unwrap().splits.train),
            stop: StopSignal::new(),
            threads: 1,
        }
    }

    fn find(
        &self,
        options: &LrFindOptions,
        observer: &mut dyn FnMut(&SweepPoint),
    ) -> Result<LrFindOutcome, TrainError> {
        let device = Device::flex();
        let setup = TrainingSetup {
            network: self.spec.init(7, &device),
            training: self.training.check()?,
            augmentation: self.augmentation.clone(),
            normalization: Normalization::new([0.5; 3], [0.25; 3]).unwrap(),
            train: Arc::clone(&self.train),
            seed: 7,
            device: &device,
            threads: self.threads,
        };
        find_learning_rate(setup, options, &self.stop, observer)
    }
}

fn options(steps: usize, lowest: f64, highest: f64) -> LrFindOptions {
    LrFindOptions {
        steps,
        lowest,
        highest,
    }
}

#[test]
fn a_sweep_suggests_rates_within_itself_and_repeats_to_the_bit() {
    let mut setup = Setup::new(OptimizerKind::Adam);
    // More steps than the six batches of an epoch.
    let options = options(200, 1e-4, 1.0);
    let mut seen = Vec::new();
    let outcome = setup
        .find(&options, &mut |point: &SweepPoint| seen.push(*point))
        .unwrap();
    assert_eq!(seen, outcome.points);
    assert_eq!(outcome.points[0].learning_rate, 1e-4);
    let found = outcome.suggestions;
    for suggestion in [found.valley, found.steepest, found.minimum_tenth] {
        let rate = suggestion.unwrap();
        assert!(rate > 1e-4 && rate < 1.0, "{found:?}");
    }
    let smoothed = outcome.points.iter().map(|point| point.smoothed_loss);
    let lowest = smoothed.clone().skip(6).fold(f64::MAX, f64::min);
    let early = smoothed.skip(6).fold(f64::MIN, f64::max);
    assert!(
        lowest < 0.98 * early,
        "nothing was learned: {lowest} and {early}"
    );

    setup.threads = 3;
    assert_eq!(setup.find(&options, &mut |_| ()).unwrap(), outcome);
    setup.training.optimizer.learning_rate = 3.0;
    assert_eq!(
        setup.find(&options, &mut |_| ()).unwrap(),
        outcome,
        "the configured rate is used"
    );
}

/// The labels do not depend on the images. The loss still falls: to the loss of guessing.
#[test]
fn labels_that_cannot_be_learnt_suggest_nothing() {
    let mut setup = Setup::new(OptimizerKind::Adam);
    let train = &setup.train;
    let n = train.len();
    let mut draws = mlestar_random::Stream::new(3, "noise", 0, 0);
    let size = train.height() * train.width() * ImageSet::CHANNELS;
    let pixels = (0..n * size).map(|_| draws.below(256) as u8).collect();
    let labels = (0..n).map(|_| draws.below(10) as u32).collect();
    let origins = (0..n).map(|index| train.origin(index).clone()).collect();
    let classes = train.classes().to_vec().into();
    let noise = ImageSet::new(
        classes,
        train.height(),
        train.width(),
        pixels,
        labels,
        origins,
    );
    setup.train = Arc::new(noise.unwrap());
    let outcome = setup.find(&options(100, 1e-6, 1.0), &mut |_| ()).unwrap();
    let guessing = outcome.guessing.unwrap();
    assert!(guessing > 2.1 && guessing < 10.0_f64.ln() + 1e-12);
    assert!(outcome.points[99].smoothed_loss < outcome.points[10].smoothed_loss);
    assert_eq!(outcome.suggestions, Suggestions::default());
}

/// The loss of the first step is that of the initial weights. The second step has the same loss if the first
/// rate is almost 0.
#[test]
fn a_sweep_begins_at_the_initial_weights() {
    let mut setup = Setup::new(OptimizerKind::Sgd);
    setup.training.batch_size = 100;
    setup.augmentation = AugmentationConfig::default();
    setup.spec = ModelConfig {
        dropout: 0.0,
        ..setup.spec.config().clone()
    }
    .check(10, 32, 32)
    .unwrap();
    let outcome = setup.find(&options(20, 1e-12, 1e-11), &mut |_| ()).unwrap();
    assert_eq!(outcome.ended, SweepEnd::Completed);
    let first = outcome.points[0].loss;
    for point in &outcome.points {
        assert!((point.loss - first).abs() < 1e-4, "{point:?}, {first}");
    }
}

#[test]
fn a_sweep_that_diverges_ends_early() {
    let mut setup = Setup::new(OptimizerKind::Sgd);
    // Each step multiplies the weights by 1 - rate * decay: above a rate of 2 they grow.
    setup.training.optimizer.weight_decay = 1.0;
    let outcome = setup.find(&options(200, 1e-4, 10.0), &mut |_| ()).unwrap();
    assert!(
        matches!(outcome.ended, SweepEnd::Diverged | SweepEnd::NotFinite),
        "{:?}",
        outcome.ended
    );
    assert!(outcome.points.len() < 200);
    let last = outcome.points.last().unwrap();
    assert!(last.learning_rate < 10.0);
    assert!(outcome.points.iter().all(|point| point.loss.is_finite()));
}

#[test]
fn a_stop_ends_the_sweep_at_the_next_step() {
    let setup = Setup::new(OptimizerKind::AdamW);
    let stop = setup.stop.clone();
    let mut stop_at_5 = |point: &SweepPoint| {
        if point.step == 5 {
            stop.request();
        }
    };
    let outcome = setup.find(&options(40, 1e-5, 1.0), &mut stop_at_5).unwrap();
    assert_eq!(outcome.ended, SweepEnd::Interrupted);
    assert_eq!(outcome.points.len(), 5);
}

#[test]
fn what_cannot_be_swept_is_refused_before_the_first_step() {
    let refused = |setup: &Setup, options: &LrFindOptions, expected: &str| {
        let mut never = |_: &SweepPoint| panic!("a step was taken");
        let message = setup.find(options, &mut never).unwrap_err().to_string();
        assert_eq!(message, expected);
    };
    let good = options(20, 1e-5, 1.0);
    let setup = Setup::new(OptimizerKind::Adam);
    refused(
        &setup,
        &options(1, 1e-5, 1.0),
        "steps = 1 is out of range: it must be 20 to 10000",
    );
    let mut other = Setup::new(OptimizerKind::Adam);
    other.threads = 0;
    refused(
        &other,
        &good,
        "threads = 0 is out of range: it must be at least 1",
    );
    other.threads = 1;
    other.training.label_smoothing = 1.0;
    refused(
        &other,
        &good,
        "label_smoothing = 1 is out of range: it must be at least 0 and below 1",
    );
    let mut other = Setup::new(OptimizerKind::Adam);
    other.spec = ModelConfig::small().check(3, 32, 32).unwrap();
    refused(
        &other,
        &good,
        "the training set has 10 classes but the model was specified for 3 classes",
    );
    let mut other = Setup::new(OptimizerKind::Adam);
    other.train = Arc::new(other.train.select(&[]).unwrap());
    refused(
        &other,
        &good,
        "the training set is empty; it needs at least one image",
    );
}
