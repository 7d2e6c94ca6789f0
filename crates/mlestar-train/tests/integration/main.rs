//! Tests of the public interface on Burn's CPU backend, with a network of a few hundred weights.

// Clippy's exemption for tests does not reach their helper functions.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod accumulation;
mod checkpoints;
mod determinism;
mod distillation;
mod event_files;
mod finetuning;
mod initial_weights;
mod kill;
mod learning;
mod limits;
mod malformed;
mod optimizers;
mod own_network;
mod remedies;
mod resume;
mod stopping;
mod training_steps;

use std::{path::Path, sync::Arc};

use burn::tensor::Device;
use mlestar_data::{ImageSet, Origin, augment::AugmentationConfig, normalization::Normalization};
use mlestar_model::{
    Architecture, Attention, ImageClassifier, ModelConfig, ModelSpec, Network, StageConfig,
};
use mlestar_random::Stream;
use mlestar_train::{
    EpochRecord, Faults, FitOutcome, FitRequest, OptimizerConfig, StepCosts, StopSignal,
    TrainError, TrainEvent, TrainingConfig, TrainingSetup, TrainingSteps, fit,
};

type Outcome = FitOutcome<ImageClassifier>;

const SIDE: usize = 8;
const CLASSES: usize = 3;

/// Images whose class is the brightest channel, under noise.
fn pictures(seed: u64, n: usize) -> Arc<ImageSet> {
    let mut draws = Stream::new(seed, "test pictures", 0, 0);
    let mut pixels = Vec::new();
    let mut labels = Vec::new();
    for index in 0..n {
        let label = (index % CLASSES) as u32;
        labels.push(label);
        for channel in 0..3 {
            let base = if channel == label { 140 } else { 100 };
            pixels.extend((0..SIDE * SIDE).map(|_| base + draws.below(80) as u8));
        }
    }
    let classes = (0..CLASSES).map(|c| format!("class {c}")).collect();
    let origins = (0..n as u64)
        .map(|index| Origin::Synthetic { index })
        .collect();
    Arc::new(ImageSet::new(classes, SIDE, SIDE, pixels, labels, origins).unwrap())
}

fn tiny_spec() -> ModelSpec {
    let config = ModelConfig {
        stem_channels: 4,
        stages: vec![StageConfig {
            channels: 6,
            blocks: 1,
            stride: 2,
        }],
        dropout: 0.2,
        ..ModelConfig::small()
    };
    config.check(CLASSES, SIDE, SIDE).unwrap()
}

/// A network with attention, whose branches are skipped at times.
fn attention_spec(attention: Attention) -> ModelSpec {
    let config = ModelConfig {
        attention,
        stochastic_depth: 0.3,
        ..tiny_spec().config().clone()
    };
    config.check(CLASSES, SIDE, SIDE).unwrap()
}

/// A network with a max pool.
fn plain_spec() -> ModelSpec {
    let config = ModelConfig {
        architecture: Architecture::PlainCnn,
        ..tiny_spec().config().clone()
    };
    config.check(CLASSES, SIDE, SIDE).unwrap()
}

/// A training with everything that has state: momentum, schedule, dropout, augmentation.
#[derive(Clone)]
struct Setup {
    spec: ModelSpec,
    training: TrainingConfig,
    augmentation: AugmentationConfig,
    normalization: Normalization,
    train: Arc<ImageSet>,
    validation: Arc<ImageSet>,
    seed: u64,
    resume: bool,
    stop: StopSignal,
    threads: usize,
    faults: Faults,
    step_costs: Option<StepCosts>,
}

impl Setup {
    fn new(epochs: usize) -> Self {
        Self {
            spec: tiny_spec(),
            training: TrainingConfig {
                epochs,
                batch_size: 16,
                optimizer: OptimizerConfig {
                    learning_rate: 0.01,
                    ..OptimizerConfig::default()
                },
                label_smoothing: 0.1,
                max_gradient_norm: Some(1.0),
                checkpoint_every_epochs: 2,
                evaluation_batch_size: 7,
                ..TrainingConfig::default()
            },
            augmentation: AugmentationConfig {
                random_crop_padding: 1,
                horizontal_flip_probability: 0.5,
                ..AugmentationConfig::default()
            },
            normalization: normalization(),
            train: pictures(1, 70),
            validation: pictures(2, 30),
            seed: 42,
            resume: false,
            stop: StopSignal::new(),
            threads: 1,
            faults: Faults::default(),
            step_costs: None,
        }
    }

    fn with<'a, M>(
        &self,
        network: M,
        device: &'a Device,
    ) -> Result<TrainingSetup<'a, M>, TrainError> {
        Ok(TrainingSetup {
            network,
            training: self.training.check()?,
            augmentation: self.augmentation.clone(),
            normalization: self.normalization,
            train: Arc::clone(&self.train),
            seed: self.seed,
            device,
            threads: self.threads,
        })
    }

    fn steps<'a>(
        &self,
        device: &'a Device,
    ) -> Result<TrainingSteps<'a, ImageClassifier>, TrainError> {
        TrainingSteps::new(self.with(self.spec.init(self.seed, device), device)?)
    }

    fn fit(&self, output: &Path) -> Result<Outcome, TrainError> {
        self.fit_observed(output, &mut |_| ())
    }

    fn fit_observed(
        &self,
        output: &Path,
        observer: &mut dyn FnMut(&TrainEvent),
    ) -> Result<Outcome, TrainError> {
        let network = self.spec.init(self.seed, &Device::flex());
        self.fit_network(network, output, observer)
    }

    fn fit_network<M: Network>(
        &self,
        network: M,
        output: &Path,
        observer: &mut dyn FnMut(&TrainEvent),
    ) -> Result<FitOutcome<M>, TrainError> {
        let device = Device::flex();
        let request = FitRequest {
            setup: self.with(network, &device)?,
            validation: Arc::clone(&self.validation),
            output,
            resume: self.resume,
            stop: self.stop.clone(),
            faults: self.faults.clone(),
            step_costs: self.step_costs,
        };
        fit(&request, &mut |event: &TrainEvent| observer(event))
    }
}

fn normalization() -> Normalization {
    Normalization::new([0.5, 0.45, 0.55], [0.2, 0.25, 0.3]).unwrap()
}

/// The bits of everything in a history that does not depend on the clock.
fn bits(history: &[EpochRecord]) -> Vec<[u64; 7]> {
    let of = |record: &EpochRecord| {
        [
            record.epoch as u64,
            record.learning_rate.to_bits(),
            record.train_loss.to_bits(),
            record.train_accuracy.to_bits(),
            record.validation_loss.unwrap_or(f64::NAN).to_bits(),
            record.validation_accuracy.unwrap_or(f64::NAN).to_bits(),
            record.gradient_norm_mean.to_bits(),
        ]
    };
    history.iter().map(of).collect()
}
