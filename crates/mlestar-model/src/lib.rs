//! Image classifiers on [Burn](https://burn.dev), from configuration, with parameter, FLOP and
//! memory counts.
//!
//! A user writes a [`ModelConfig`]. [`ModelConfig::check`] turns it into a [`ModelSpec`]: a valid architecture
//! for a given image size and number of classes. Its [`Description`] is the network as a list of blocks. From
//! it come the [`ModelSummary`] (computed without building the model) and the [`ImageClassifier`], whose
//! initial weights depend only on the seed and on the names of the parameters, never on the device.
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
//! Burn's own `BatchNorm` decides by the device of its input whether it trains, so that evaluation on an
//! autodiff device silently uses (and updates) batch statistics. Here the caller decides:
//! [`ImageClassifier::forward`] always uses the running statistics and changes nothing,
//! [`ImageClassifier::forward_train_with`] always uses those of the batch and updates the running ones.
//!
//! # Features
//!
//! `burn` (on by default) contains the networks. Without it, the crate compiles without Burn and contains
//! configurations, specifications, summaries and the reading of [`pretrained`] weights.
//!
//! The crate picks no Burn backend; the program that uses it does (`burn = { features = ["flex"] }`
//! for the CPU).

mod activation;
mod architectures;
mod attention;
#[cfg(feature = "burn")]
mod attention_unit;
#[cfg(feature = "burn")]
mod batch_norm;
#[cfg(feature = "burn")]
mod block;
#[cfg(feature = "burn")]
mod classifier;
mod config;
mod description;
#[cfg(feature = "burn")]
mod dropout;
mod error;
#[cfg(feature = "burn")]
mod head;
#[cfg(feature = "burn")]
mod init;
#[cfg(feature = "burn")]
mod network;
#[cfg(feature = "burn")]
mod path;
mod precision;
pub mod pretrained;
mod spec;
#[cfg(feature = "burn")]
mod state;
#[cfg(feature = "burn")]
mod stochastic_depth;
mod summary;
mod tensor;
mod views;

pub use activation::Activation;
pub use attention::{Attention, AttentionDescription, AttentionKind};
#[cfg(feature = "burn")]
pub use batch_norm::BatchNorm;
#[cfg(feature = "burn")]
pub use classifier::{ImageClassifier, TrainingPass};
pub use config::{Architecture, ModelConfig, StageConfig};
pub use description::{
    BlockDescription, Description, InitialWeights, MaxPool, PoolPosition, Shortcut, UnitDescription,
};
#[cfg(feature = "burn")]
pub use dropout::dropout_mask;
pub use error::ModelError;
#[cfg(feature = "burn")]
pub use head::Head;
pub use mlestar_kernels::Padding;
#[cfg(feature = "burn")]
pub use network::{BatchPart, Network};
pub use precision::Precision;
pub use spec::ModelSpec;
#[cfg(feature = "burn")]
pub use stochastic_depth::branch_factors;
pub use summary::{LayerKind, LayerSummary, ModelSummary};
pub use tensor::{NamedTensor, StateKind};
pub use views::{View, Views};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
