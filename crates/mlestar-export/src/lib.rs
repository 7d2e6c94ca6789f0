//! Deployable models: turns a trained classifier into files that predict anywhere, and checks that they predict
//! the same.
//!
//! [`FrozenModel::freeze`] turns a trained `mlestar-model` classifier into a plain description with
//! batch norm folded into its convolutions. From there:
//!
//! - [`Executor`] and [`Predictor`] run it on the CPU, on image files and raw 8-bit images, without Burn's
//!   backends: on the kernels of `mlestar-kernels` and the threads of the rayon pool.
//! - [`package`] writes it as a folder of safetensors, ONNX and a manifest with hashes, which
//!   [`Predictor::open`] verifies.
//! - [`onnx`] and [`safetensors_file`] write and read the single files; [`torch`] writes Python code for PyTorch.
//! - [`mod@quantize`] turns the model into one that computes in 8-bit integers.
//! - [`parity`] compares two models' logits, [`benchmark`] measures the cost of predictions.
//!
//! ```
//! use burn::tensor::Device;
//! use mlestar_export::{FrozenModel, Predictor, Preparation, package};
//! use mlestar_model::ModelConfig;
//!
//! let spec = ModelConfig::small().check(2, 32, 32)?;
//! let trained = spec.init(0, &Device::flex());
//!
//! let classes = ["cat".to_owned(), "dog".to_owned()];
//! let frozen = FrozenModel::freeze(&trained, &spec, ([0.5; 3], [0.25; 3]), &classes)?;
//!
//! # let folder = tempfile::tempdir()?;
//! # let dir = folder.path();
//! package::write_package(dir, &frozen, &Preparation::new(32, 32), &package::Contents::default())?;
//! let predictor = Predictor::open(dir)?;
//! let picture = vec![128_u8; 32 * 32 * 3];
//! let prediction = predictor.predict(&picture, 32, 32)?;
//! println!("{} ({:.3})", prediction.class, prediction.probability);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod benchmark;
mod bytes;
mod confidence;
mod error;
mod executor;
mod freeze;
mod frozen;
mod graph;
mod int8_model;
pub mod onnx;
pub mod package;
pub mod parity;
mod predictor;
pub mod quantize;
pub mod safetensors_file;
pub mod torch;

pub use confidence::{Confidence, familiarity};
pub use error::ExportError;
pub use executor::{Choice, ChoiceOptions, Executor, Precision, Timing};
pub use frozen::FrozenModel;
pub use graph::{
    AttentionLayer, BufferShape, Convolution, Factors, Layer, Linear, MAX_ACTIVATIONS, MAX_KERNEL,
    MAX_OPERATIONS, MAX_SIDE, Operation, PixelNormalization,
};
pub use mlestar_image::Preparation;
pub use mlestar_model::Padding;
pub use predictor::{Prediction, Predictor, RankedClass};
pub use safetensors_file::write_state_safetensors;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
