//! Weights in integers, symmetric, with a scale for each output channel.

use crate::graph::Layer;
use crate::int8_model::{BufferScale, MAX_BIAS_STEPS, QuantizedWeights};

/// The integer weights of a layer whose input has the scale `input`: the largest magnitude of a channel becomes 127.
/// `None` for a layer without weights.
///
/// A channel whose bias is very large for its weights gets a larger scale, so that the bias has at most 2^22 steps.
pub(super) fn quantize_weights(layer: &Layer, input: BufferScale) -> Option<QuantizedWeights> {
    let (weight, bias) = match layer {
        Layer::Convolution(convolution) => (&convolution.weight, &convolution.bias),
        Layer::Linear(linear) => (&linear.weight, &linear.bias),
        Layer::Attention(_) | Layer::MaxPool { .. } | Layer::GlobalAveragePool => return None,
    };
    let per_channel = weight.len() / bias.len();
    let mut values = Vec::with_capacity(weight.len());
    let mut scales = Vec::with_capacity(bias.len());
    for (weights, bias) in weight.chunks_exact(per_channel).zip(bias) {
        let scale = channel_scale(weights, *bias, input);
        let integers = weights.iter().map(|weight| {
            let steps = (weight / scale).round_ties_even();
            steps.clamp(-127.0, 127.0) as i8
        });
        values.extend(integers);
        scales.push(scale);
    }
    Some(QuantizedWeights { values, scales })
}

fn channel_scale(weights: &[f32], bias: f32, input: BufferScale) -> f32 {
    /// Far above the smallest normal number, so that its product with the input's scale is normal too.
    const LEAST: f32 = 1e-18;
    let largest = weights
        .iter()
        .fold(0.0_f32, |most, weight| most.max(weight.abs()));
    // A little less than the limit, for the rounding of the scale.
    let for_bias = bias.abs() / (input.scale * (MAX_BIAS_STEPS - 2) as f32);
    let scale = (largest / 127.0).max(for_bias);
    if scale < LEAST { 1.0 } else { scale }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Linear;

    fn quantized(weight: Vec<f32>, bias: Vec<f32>) -> QuantizedWeights {
        let linear = Linear {
            weight_shape: [bias.len(), weight.len() / bias.len()],
            weight,
            bias,
        };
        let input = BufferScale {
            scale: 0.5,
            zero_point: 0,
        };
        quantize_weights(&Layer::Linear(linear), input).unwrap()
    }

    #[test]
    fn each_channel_uses_its_whole_range() {
        let found = quantized(vec![1.0, -2.0, 0.5, 0.01, 0.02, -0.0254], vec![0.0, 0.0]);
        assert_eq!(found.values, [64, -127, 32, 50, 100, -127]);
        assert_eq!(found.scales, [2.0 / 127.0, 0.0254 / 127.0]);
    }

    #[test]
    fn dead_channels_and_large_biases_have_usable_scales() {
        let found = quantized(vec![0.0, 0.0, 1e-9, -1e-9, 1e-30, 0.0], vec![0.0, 1e6, 0.0]);
        assert_eq!(found.scales[0], 1.0);
        let steps = f64::from(1e6_f32) / f64::from(0.5 * found.scales[1]);
        assert!((4_000_000.0..=4_194_304.0).contains(&steps), "{steps}");
        assert_eq!(found.values, [0; 6]);
        assert_eq!(found.scales[2], 1.0);
    }
}
