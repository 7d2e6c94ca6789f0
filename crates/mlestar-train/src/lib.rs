//! Training of image classifiers: the loop, losses, optimizers, schedules, checkpoints and logs.
//!
//! [`fit`] trains a [`ModelSpec`](mlestar_model::ModelSpec) on an
//! [`ImageSet`](mlestar_data::ImageSet) and leaves in its output folder
//!
//! - `metrics.jsonl`: one [`EpochRecord`] a line,
//! - `steps.jsonl`: one [`StepRecord`] a line,
//! - `tensorboard/events.out.tfevents.*`: the same for TensorBoard,
//! - `checkpoints/`: `last`, `previous` (what `last` was before), `best` and `epoch-NNNN`; see
//!   [`checkpoint`].
//!
//! On the CPU the same request gives the same bits, interrupted and resumed or not.
//!
//! ```
//! use std::sync::Arc;
//!
//! use burn::tensor::Device;
//! use mlestar_data::{
//!     augment::AugmentationConfig,
//!     normalization::Normalization,
//!     synthetic::{SyntheticConfig, generate},
//! };
//! use mlestar_model::{ModelConfig, StageConfig};
//! use mlestar_train::{Faults, FitRequest, StopReason, StopSignal, TrainEvent, TrainingConfig, fit};
//!
//! let sizes = SyntheticConfig { n_train: 64, n_validation: 20, n_test: 10, ..SyntheticConfig::default() };
//! let splits = generate(&sizes.without_flaws(), 1)?.splits;
//! let stages = vec![StageConfig { channels: 4, blocks: 1, stride: 4 }];
//! let spec = ModelConfig { stem_channels: 4, stages, ..ModelConfig::small() }.check(10, 32, 32)?;
//! let output = std::env::temp_dir().join(format!("mlestar-train-doc-{}", std::process::id()));
//!
//! let request = FitRequest {
//!     model: &spec,
//!     training: &TrainingConfig { epochs: 1, batch_size: 32, ..TrainingConfig::default() },
//!     augmentation: &AugmentationConfig::default(),
//!     normalization: Normalization::new([0.5; 3], [0.25; 3])?,
//!     train: Arc::new(splits.train),
//!     validation: Arc::new(splits.validation),
//!     seed: 0,
//!     device: &Device::flex(),
//!     output: &output,
//!     resume: false,
//!     stop: &StopSignal::new(),
//!     threads: 1,
//!     faults: Faults::default(),
//!     step_costs: None,
//! };
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
//! The crate picks no Burn backend; the program that uses it does (`burn = { features = ["flex"] }`
//! for the CPU).

pub mod analysis;
mod batches;
pub mod checkpoint;
pub mod config;
mod distillation;
mod ema;
mod error;
mod faults;
mod fit;
mod gradient_norm;
pub mod history;
mod initial;
mod loss;
pub mod lr_find;
pub mod mix;
mod observer;
pub mod optimizer;
mod plateau;
mod predict;
mod remedy;
mod schedule;
mod step;
mod step_costs;
pub mod tensorboard;
mod training_steps;

pub use config::{
    ClassWeights, Decay, DistillationConfig, EarlyStoppingConfig, EmaConfig, MixingConfig, Monitor,
    OptimizerConfig, OptimizerKind, PictureMemory, PlateauConfig, PrecisionChoice,
    ProgressiveResizing, RecoveryConfig, ScheduleConfig, ScheduleKind, TrainingConfig,
};
pub use error::TrainError;
pub use faults::Faults;
pub use fit::{FirstStep, FitOutcome, FitRequest, fit};
pub use gradient_norm::GradientNorm;
pub use history::{EpochRecord, StepRecord, StopReason};
pub use loss::{Loss, cross_entropy};
pub use mix::{Mixed, Mixer};
pub use observer::{Observer, StepProgress, StopSignal, TrainEvent};
pub use optimizer::Optimizer;
pub use plateau::PlateauState;
pub use predict::{predict, softmax_rows};
pub use remedy::{Remedy, RemedyChange};
pub use schedule::Schedule;
pub use step_costs::StepCosts;
pub use training_steps::{StepsRequest, TakenStep, TrainingSteps};
