//! The integers of one buffer and of one layer.

use crate::graph::{Convolution, Layer, Linear};

/// Maximum number of products in one sum: 255 * 127 * 2^15 and the bias fit an `i32`.
const MAX_PRODUCTS: usize = 1 << 15;
/// Maximum number of taps of a depthwise kernel: its sums stay below 2^24, where `f32` has all whole numbers.
const MAX_TAPS: usize = 512;
/// Maximum magnitude of a bias in its steps. Up to here the bias as `f32` gives back the same steps.
pub(crate) const MAX_BIAS_STEPS: i32 = 1 << 22;

/// How a buffer is rounded to 8 bits: `value = (q - zero_point) * scale` for `q` in 0 to 255.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BufferScale {
    /// The value of one step, a normal number above 0.
    pub scale: f32,
    /// The integer that stands for 0.
    pub zero_point: u8,
}

impl BufferScale {
    /// The nearest integer: ties go to the even one, values beyond the range to its end.
    ///
    /// ```
    /// use mlestar_export::quantize::BufferScale;
    ///
    /// let scale = BufferScale { scale: 0.5, zero_point: 10 };
    /// assert_eq!([1.25, 1.75, -100.0, 1e9].map(|value| scale.quantize(value)), [12, 14, 0, 255]);
    /// assert_eq!(scale.dequantize(12), 1.0);
    /// ```
    #[must_use]
    pub fn quantize(self, value: f32) -> u8 {
        (self.steps(value) + f32::from(self.zero_point)) as u8
    }

    /// The value of an integer.
    #[must_use]
    pub fn dequantize(self, value: u8) -> f32 {
        (f32::from(value) - f32::from(self.zero_point)) * self.scale
    }

    /// The nearest value that has an integer.
    #[must_use]
    pub fn round(self, value: f32) -> f32 {
        self.steps(value) * self.scale
    }

    /// The nearest whole number of steps from 0 that has an integer.
    fn steps(self, value: f32) -> f32 {
        // Adding 1.5 * 2^23 leaves no bits for fractions, so that the sum is rounded to the even of two nearest
        // integers. Unlike `round_ties_even`, vectors do this with any instruction set.
        const NO_FRACTION: f32 = 12_582_912.0;
        let zero_point = f32::from(self.zero_point);
        let steps = (value / self.scale).clamp(-zero_point, 255.0 - zero_point);
        (steps + NO_FRACTION) - NO_FRACTION
    }
}

/// The weights of a layer in integers, without zero points.
#[derive(Debug, Clone, PartialEq)]
pub struct QuantizedWeights {
    /// The integers, -127 to 127, in the order of the layer's weights.
    pub values: Vec<i8>,
    /// The value of one step for each output channel, a normal number above 0.
    pub scales: Vec<f32>,
}

/// The most products that a sum of this layer may have in int8; `None` if layers of its kind have no int8 form.
pub(super) fn most_products(layer: &Layer) -> Option<usize> {
    match layer {
        Layer::Convolution(convolution) if convolution.groups == 1 => Some(MAX_PRODUCTS),
        Layer::Convolution(convolution) if convolution.is_depthwise() => Some(MAX_TAPS),
        Layer::Linear(_) => Some(MAX_PRODUCTS),
        Layer::Convolution(_)
        | Layer::Attention(_)
        | Layer::MaxPool { .. }
        | Layer::GlobalAveragePool => None,
    }
}

/// Whether a number can be a scale.
pub(super) fn is_scale(scale: f32) -> bool {
    scale.is_normal() && scale > 0.0
}

impl QuantizedWeights {
    /// Replaces the weights and biases of `layer` by those that the integers represent. Returns the bias in
    /// integer steps.
    pub(super) fn replace(
        &self,
        layer: &mut Layer,
        input: BufferScale,
    ) -> Result<Vec<i32>, String> {
        let (most, weight, bias) = match (most_products(layer), layer) {
            (
                Some(most),
                Layer::Convolution(Convolution { weight, bias, .. })
                | Layer::Linear(Linear { weight, bias, .. }),
            ) => (most, weight, bias),
            _ => {
                return Err(
                    "only convolutions without groups, depthwise ones and linear layers can be int8"
                        .to_owned(),
                );
            }
        };
        // The graph's checks exclude layers without output channels.
        let per_channel = weight.len() / bias.len();
        self.check(weight.len(), bias.len())?;
        if per_channel > most {
            return Err(format!(
                "{per_channel} products in a sum, but such int8 layers have at most {most}"
            ));
        }
        let channels = (weight.chunks_exact_mut(per_channel))
            .zip(self.values.chunks_exact(per_channel))
            .zip(bias.iter_mut().zip(&self.scales));
        let mut steps = Vec::with_capacity(self.scales.len());
        for ((weight, values), (bias, &scale)) in channels {
            for (weight, &value) in weight.iter_mut().zip(values) {
                *weight = f32::from(value) * scale;
            }
            let step = bias_step(input, scale)?;
            let n = (f64::from(*bias) / step).round_ties_even();
            if n.abs() > f64::from(MAX_BIAS_STEPS) {
                return Err(format!(
                    "a bias of {bias} has {n} steps of {step}, more than {MAX_BIAS_STEPS}"
                ));
            }
            *bias = (n * step) as f32;
            steps.push(n as i32);
        }
        Ok(steps)
    }

    fn check(&self, weights: usize, channels: usize) -> Result<(), String> {
        if self.values.len() != weights || self.scales.len() != channels {
            return Err(format!(
                "{} integer weights with {} scales for {weights} weights of {channels} output channels",
                self.values.len(),
                self.scales.len()
            ));
        }
        if self.values.contains(&i8::MIN) {
            return Err("a weight is -128, but -127 to 127 are allowed".to_owned());
        }
        match self.scales.iter().find(|&&scale| !is_scale(scale)) {
            Some(scale) => Err(format!(
                "a scale of weights is {scale}, not a normal number above 0"
            )),
            None => Ok(()),
        }
    }
}

/// The value of one step of a sum and of its bias: the product of both scales, rounded to `f32`.
fn bias_step(input: BufferScale, weights: f32) -> Result<f64, String> {
    let step = input.scale * weights;
    match is_scale(step) {
        true => Ok(f64::from(step)),
        false => Err(format!(
            "the product of the scales {} and {weights} is {step}, not a normal number above 0",
            input.scale
        )),
    }
}
