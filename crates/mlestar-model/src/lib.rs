//! Image classifiers on [Burn](https://burn.dev), from configuration, with parameter, FLOP and
//! memory counts.
//!
//! A [`ModelConfig`] is what a user writes. [`ModelConfig::check`] turns it into a [`ModelSpec`]:
//! an architecture together with the pictures and classes it is for, known to be buildable. From
//! the specification come the [`ModelSummary`] (computed, no model needed) and the
//! [`ImageClassifier`] itself, whose initial weights depend only on the seed and on the names of
//! the parameters, never on the device.
//!
//! ```
//! use burn::tensor::{Device, Tensor};
//! use mlestar_model::ModelConfig;
//!
//! let spec = ModelConfig::small().check(10, 32, 32)?;
//! println!("{} parameters", spec.summary().parameters);
//!
//! let device = Device::flex();
//! let model = spec.init(0, &device);
//! let images = Tensor::<4>::zeros([2, 3, 32, 32], &device);
//! let logits = model.forward(images);
//! assert_eq!(logits.dims(), [2, 10]);
//! # Ok::<(), mlestar_model::ModelError>(())
//! ```
//!
//! # Training and evaluation
//!
//! Burn's own `BatchNorm` decides by the device of its input whether it trains, so that evaluating
//! on an autodiff device silently uses (and updates) batch statistics. Here the caller decides:
//! [`ImageClassifier::forward`] always uses the running statistics and changes nothing,
//! [`ImageClassifier::forward_train`] always uses those of the batch and updates the running ones.
//!
//! # Features
//!
//! The crate picks no Burn backend; the program that uses it does (`burn = { features = ["flex"] }`
//! for the CPU).

mod activation;
mod batch_norm;
mod block;
mod classifier;
mod config;
mod dropout;
mod error;
mod init;
mod path;
mod precision;
mod spec;
mod state;
mod stochastic_depth;
mod summary;
mod views;

pub use activation::Activation;
pub use batch_norm::BatchNorm;
pub use block::{Block, Shortcut};
pub use classifier::{Head, ImageClassifier, Stem, TrainingPass};
pub use config::{Architecture, BlockKind, ModelConfig, StageConfig};
pub use dropout::dropout_mask;
pub use error::ModelError;
pub use precision::Precision;
pub use spec::ModelSpec;
pub use state::{NamedTensor, StateKind};
pub use stochastic_depth::branch_factors;
pub use summary::{LayerKind, LayerSummary, ModelSummary};
pub use views::{View, Views};
