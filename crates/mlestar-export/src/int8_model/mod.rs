//! A model whose heavy layers compute in 8-bit integers, with the exact meaning of its numbers.

mod layer;
mod reference;

use crate::error::ExportError;
use crate::frozen::FrozenModel;
use crate::graph::{Layer, Operation};

pub(crate) use layer::MAX_BIAS_STEPS;
pub use layer::{BufferScale, QuantizedWeights};

/// A frozen model of which some layers run in 8-bit integers, as QuantizeLinear and DequantizeLinear mean it in
/// ONNX Runtime.
///
/// Buffers are numbered as in the frozen graph: operation `i` writes buffer `i + 1`, and buffer 0 is the
/// normalised image. A buffer that an int8 layer reads has a [`BufferScale`]: whoever writes it rounds it to 8
/// bits, and all its readers see the rounded values. An int8 layer (a convolution without groups or a depthwise one,
/// or the linear layer) computes for each output channel `c`
///
/// `y = (sum((q_x - zero_point) * q_w) + bias_steps[c]) * (s_x * s_w[c])`
///
/// with an exact integer sum. The residual sum and the activation follow in `f32`. Other layers compute in
/// `f32`.
///
/// [`model`](Self::model) holds the weights and biases as the integers represent them, so running it in `f32`
/// shows what rounding the weights alone costs.
///
/// ```
/// use mlestar_export::quantize::{BufferScale, QuantizedModel, QuantizedWeights};
#[doc = include_str!("../doc_model.in")]
/// // The linear layer, operation 1, reads the mean colour, buffer 1, in steps of 1/255.
/// let buffers = vec![None, Some(BufferScale { scale: 1.0 / 255.0, zero_point: 0 }), None];
/// let weights = QuantizedWeights { values: vec![127, 0, 0, 0, 0, 127], scales: vec![1.0 / 127.0; 2] };
/// let quantized = QuantizedModel::new(model, buffers, vec![None, Some(weights)])?;
/// let logits = quantized.reference_logits(&[255, 0, 0].repeat(4), 1)?;
/// assert!((logits[0] - 1.0).abs() < 1e-6 && logits[1] == 0.0);
/// # Ok::<(), mlestar_export::ExportError>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct QuantizedModel {
    model: FrozenModel,
    buffers: Vec<Option<BufferScale>>,
    layers: Vec<Option<QuantizedWeights>>,
    bias_steps: Vec<Option<Vec<i32>>>,
}

impl QuantizedModel {
    /// Checks the parts and joins them.
    ///
    /// `buffers` has one entry for each buffer of `model` and `layers` one for each operation. The weights of int8
    /// layers replace those of `model`, and their biases are rounded to whole steps.
    ///
    /// # Errors
    ///
    /// [`ExportError::InvalidGraph`] if a scale is not a normal number above 0, an int8 layer has groups
    /// other than single channels, weights that do not fill its shape, a weight of -128, more than 32,768 products to
    /// a sum (a depthwise one 512) or a bias of more than 2^22 steps, its input has no scale, or a buffer has a scale
    /// that no int8 layer reads.
    pub fn new(
        model: FrozenModel,
        buffers: Vec<Option<BufferScale>>,
        layers: Vec<Option<QuantizedWeights>>,
    ) -> Result<Self, ExportError> {
        check_buffers(&model, &buffers, &layers)?;
        let mut operations = model.operations().to_vec();
        let mut bias_steps = Vec::with_capacity(layers.len());
        for (operation, weights) in operations.iter_mut().zip(&layers) {
            let scale = buffers[operation.input];
            let steps = match (weights, scale) {
                (Some(weights), Some(scale)) => {
                    let steps = weights
                        .replace(&mut operation.layer, scale)
                        .map_err(|reason| ExportError::graph(&operation.name, reason))?;
                    Some(steps)
                }
                _ => None,
            };
            bias_steps.push(steps);
        }
        Ok(Self {
            model: model.with_operations(operations)?,
            buffers,
            layers,
            bias_steps,
        })
    }

    /// The same network in `f32`, with the weights and biases that the integers represent.
    #[must_use]
    pub fn model(&self) -> &FrozenModel {
        &self.model
    }

    /// How each buffer is rounded to 8 bits; `None` for those that stay `f32`.
    #[must_use]
    pub fn buffers(&self) -> &[Option<BufferScale>] {
        &self.buffers
    }

    /// The integer weights of each operation; `None` for those that compute in `f32`.
    #[must_use]
    pub fn layers(&self) -> &[Option<QuantizedWeights>] {
        &self.layers
    }

    /// The bias of each output channel of an int8 layer in steps of `s_x * s_w[c]`; `None` for an operation that
    /// computes in `f32` or does not exist.
    #[must_use]
    pub fn bias_steps(&self, operation: usize) -> Option<&[i32]> {
        self.bias_steps.get(operation)?.as_deref()
    }

    /// Names of the operations that compute in integers, in their order.
    pub fn int8_layers(&self) -> impl Iterator<Item = &str> {
        let operations = self.model.operations().iter().zip(&self.layers);
        operations
            .filter(|(_, layer)| layer.is_some())
            .map(|(operation, _)| operation.name.as_str())
    }
}

/// Whether an operation has a form that can compute in integers.
pub(crate) fn can_be_int8(operation: &Operation) -> bool {
    let products: usize = match &operation.layer {
        Layer::Convolution(convolution) => convolution.weight_shape[1..].iter().product(),
        Layer::Linear(linear) => linear.weight_shape[1],
        Layer::Attention(_) | Layer::MaxPool { .. } | Layer::GlobalAveragePool => return false,
    };
    layer::most_products(&operation.layer).is_some_and(|most| products <= most)
}

/// Checks the lengths of the lists, the scales, and that exactly the buffers that int8 layers read have one.
fn check_buffers(
    model: &FrozenModel,
    buffers: &[Option<BufferScale>],
    layers: &[Option<QuantizedWeights>],
) -> Result<(), ExportError> {
    let operations = model.operations();
    if layers.len() != operations.len() || buffers.len() != operations.len() + 1 {
        return Err(ExportError::graph(
            "quantisation",
            format!(
                "{} layers and {} buffers for {} operations and {} buffers",
                layers.len(),
                buffers.len(),
                operations.len(),
                operations.len() + 1
            ),
        ));
    }
    let mut is_read = vec![false; buffers.len()];
    for (operation, _) in (operations.iter().zip(layers)).filter(|(_, layer)| layer.is_some()) {
        is_read[operation.input] = true;
    }
    for (index, (scale, is_read)) in buffers.iter().zip(is_read).enumerate() {
        let place = || format!("buffer {index}");
        match scale {
            Some(_) if !is_read => {
                return Err(ExportError::graph(
                    place(),
                    "has a scale, but no int8 layer reads it",
                ));
            }
            None if is_read => {
                return Err(ExportError::graph(
                    place(),
                    "is read by an int8 layer and has no scale",
                ));
            }
            Some(BufferScale { scale, .. }) if !layer::is_scale(*scale) => {
                return Err(ExportError::graph(
                    place(),
                    format!("has the scale {scale}, not a normal number above 0"),
                ));
            }
            _ => {}
        }
    }
    Ok(())
}
