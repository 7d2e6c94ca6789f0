//! Static quantisation after training: from a frozen model to one that computes in 8-bit integers.
//!
//! [`quantize()`] observes the model on calibration images, compares several methods for the ranges of its buffers on
//! validation images, finds out which layers suffer most, and puts them back to `f32` if the accuracy demands it. Its
//! [`QuantizationRecord`] says what was tried and chosen. [`QuantizedModel`] is the result; its documentation defines
//! what the numbers mean. [`Simulation`] runs it fast on the kernels for `f32`, up to rounding.
//! [`PrecisionFigures`] compares its logits with the `f32` model's, for a gate.

mod choice;
mod comparison;
mod figures;
mod histogram;
mod observation;
mod ranges;
mod record;
mod simulation;
mod weights;

pub use choice::{Quantization, QuantizationOptions, is_quantization_of, quantize};
pub use comparison::LabelledImages;
pub use figures::{PrecisionFigures, compare_precisions};
pub use ranges::RangeMethod;
pub use record::{Candidate, KeptLayer, LayerSensitivity, ModelFigures, QuantizationRecord};
pub use simulation::Simulation;

pub use crate::int8_model::{BufferScale, QuantizedModel, QuantizedWeights};
