//! What a quantisation tried, measured and chose.

use serde::{Deserialize, Serialize};

use super::ranges::RangeMethod;

/// What [`quantize`](super::quantize) tried, measured and chose. All figures are of the validation images, simulated
/// in `f32` ([`Simulation`](super::Simulation)).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QuantizationRecord {
    /// Images from which the ranges of the buffers were taken.
    pub calibration_images: usize,
    /// Images on which the methods and the choice of layers were compared.
    pub comparison_images: usize,
    /// Images on which the layers were compared.
    pub sensitivity_images: usize,
    /// The share of the `f32` accuracy that had to be kept, 0-1.
    pub min_accuracy_kept: f64,
    /// Accuracy of the `f32` model, 0-1.
    pub f32_accuracy: f64,
    /// Log loss of the `f32` model, in nats.
    pub f32_log_loss: f64,
    /// The methods with all layers in int8, in the order in which they were tried.
    pub candidates: Vec<Candidate>,
    /// Of the methods whose accuracy is not lower than the highest one beyond chance, the one with the smallest mean
    /// logit difference.
    pub method: RangeMethod,
    /// What each layer alone in int8 costs, most harmful first.
    pub sensitivities: Vec<LayerSensitivity>,
    /// Layers that could be int8 and were put back to `f32`, in that order.
    pub kept_in_f32: Vec<KeptLayer>,
    /// Layers that compute in int8, in the order of the network.
    pub int8_layers: Vec<String>,
    /// The figures of the chosen model.
    pub chosen: ModelFigures,
}

/// The figures of a quantised model on the comparison images.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelFigures {
    /// Share of correct predictions, 0-1.
    pub accuracy: f64,
    /// Log loss, in nats.
    pub log_loss: f64,
    /// Mean absolute difference of a logit from the `f32` model's.
    pub mean_logit_difference: f64,
    /// Share of images for which both models predict the same class, 0-1.
    pub agreement: f64,
}

/// A method for the ranges and what it gives.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Candidate {
    /// The method.
    pub method: RangeMethod,
    /// What all layers in int8 give.
    pub figures: ModelFigures,
}

/// What one layer costs if it alone computes in int8.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LayerSensitivity {
    /// Name of the operation.
    pub layer: String,
    /// The figures on the sensitivity images.
    pub figures: ModelFigures,
}

/// A layer that was put back to `f32`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeptLayer {
    /// Name of the operation.
    pub layer: String,
    /// The figures with this layer and those before it in the list in `f32`.
    pub figures: ModelFigures,
}
