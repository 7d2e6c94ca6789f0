//! Training of image classifiers: the loop, losses, optimizers, schedules, checkpoints and logs.
//!
//! [`fit`] trains a [`Network`](mlestar_model::Network), either one of `mlestar-model` or your own Burn module,
//! on an [`ImageSet`](mlestar_data::ImageSet). It writes to its output folder:
//!
//! - `metrics.jsonl`: one [`EpochRecord`] per line,
//! - `steps.jsonl`: one [`StepRecord`] per line,
//! - `tensorboard/events.out.tfevents.*`: the same for TensorBoard,
//! - `checkpoints/`: `last`, `previous` (the one that `last` replaced), `best` and `epoch-NNNN`; see
//!   [`checkpoint`].
//!
//! On the CPU the same request gives the same bits, whether or not the training was interrupted and resumed.
//!
//! ```
//! use burn::tensor::Device;
//! use mlestar_data::synthetic::{SyntheticConfig, generate};
//! use mlestar_model::{ModelConfig, StageConfig};
//! use mlestar_train::{FitRequest, StopReason, TrainEvent, TrainingConfig, fit};
//!
//! let sizes = SyntheticConfig { n_train: 64, n_validation: 20, n_test: 10, ..SyntheticConfig::default() };
//! let splits = generate(&sizes.without_flaws(), 1)?.splits;
//! let stages = vec![StageConfig { channels: 4, blocks: 1, stride: 4 }];
//! let spec = ModelConfig { stem_channels: 4, stages, ..ModelConfig::small() }.check(10, 32, 32)?;
//! let output = std::env::temp_dir().join(format!("mlestar-train-doc-{}", std::process::id()));
//!
//! let device = Device::flex();
//! let mut request = FitRequest::new(spec.init(0, &device), &splits, &device, &output)?;
//! request.setup.training = TrainingConfig { epochs: 1, batch_size: 32, ..TrainingConfig::default() }.check()?;
//! let outcome = fit(&request, &mut |event: &TrainEvent| {
//!     if let TrainEvent::Epoch(record) = event {
//!         println!("epoch {}: loss {:.3}", record.epoch, record.train_loss);
//!     }
//! })?;
//! assert_eq!(outcome.stopped, StopReason::Completed);
//! assert!(output.join("checkpoints/best/model.safetensors").exists());
//! # std::fs::remove_dir_all(&output)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Features
//!
//! `burn` (on by default) contains the training itself. Without it, the crate compiles without Burn and
//! contains everything around a training: settings, records of epochs and steps, TensorBoard event files and
//! the [`analysis`].
//!
//! The crate selects no Burn backend; the program that uses it does (`burn = { features = ["flex"] }` for the
//! CPU).

// Without the loop, the settings and records have functions that nothing calls.
#![cfg_attr(not(feature = "burn"), allow(dead_code))]

pub mod analysis;
#[cfg(feature = "burn")]
mod batches;
#[cfg(feature = "burn")]
pub mod checkpoint;
pub mod config;
#[cfg(feature = "burn")]
mod device;
#[cfg(feature = "burn")]
mod distillation;
#[cfg(feature = "burn")]
mod ema;
mod error;
mod faults;
#[cfg(feature = "burn")]
mod finetune;
#[cfg(feature = "burn")]
mod fit;
#[cfg(feature = "burn")]
mod gradient_norm;
pub mod history;
#[cfg(feature = "burn")]
mod initial;
#[cfg(feature = "burn")]
mod logits;
#[cfg(feature = "burn")]
mod loss;
#[cfg(feature = "burn")]
pub mod lr_find;
#[cfg(feature = "burn")]
mod meter;
#[cfg(feature = "burn")]
pub mod mix;
mod observer;
#[cfg(feature = "burn")]
pub mod optimizer;
mod plateau;
mod remedy;
mod schedule;
#[cfg(feature = "burn")]
mod setup;
#[cfg(feature = "burn")]
mod step;
mod step_costs;
pub mod tensorboard;
#[cfg(feature = "burn")]
mod training_steps;

pub use config::{
    ClassWeights, Decay, DistillationConfig, EarlyStoppingConfig, EmaConfig, FinetuneConfig,
    MixingConfig, Monitor, OptimizerConfig, OptimizerKind, PictureMemory, PlateauConfig,
    PrecisionChoice, ProgressiveResizing, RecoveryConfig, ScheduleConfig, ScheduleKind, Statistics,
    TrainingConfig, TrainingSpec,
};
pub use error::TrainError;
pub use faults::Faults;
#[cfg(feature = "burn")]
pub use finetune::{HeadCrossValidation, HeadImages, cross_validate_head};
#[cfg(feature = "burn")]
pub use fit::{FirstStep, FitOutcome, FitRequest, fit};
#[cfg(feature = "burn")]
pub use gradient_norm::GradientNorm;
pub use history::{EpochRecord, HeadFit, StepRecord, StopReason, TriedStrength};
#[cfg(feature = "burn")]
pub use initial::check_initial_weights;
#[cfg(feature = "burn")]
pub use logits::logits;
#[cfg(feature = "burn")]
pub use loss::{Loss, cross_entropy};
#[cfg(feature = "burn")]
pub use mix::{Mixed, Mixer};
pub use observer::{Observer, StepProgress, StopSignal, TrainEvent};
#[cfg(feature = "burn")]
pub use optimizer::Optimizer;
pub use plateau::PlateauState;
pub use remedy::{Remedy, RemedyChange};
pub use schedule::Schedule;
#[cfg(feature = "burn")]
pub use setup::TrainingSetup;
pub use step_costs::StepCosts;
#[cfg(feature = "burn")]
pub use training_steps::{TakenStep, TrainingSteps};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
