use rayon::prelude::*;

use super::{ChannelStatistics, check_channels, forward::scales, piece_pixels};
use crate::{
    Activation, KernelError, Level,
    error::check_length,
    memory::Shared,
    simd::{Operation, Portable, Simd},
};

/// Gradients of the parameters of [`batch_norm_forward`](super::batch_norm_forward).
#[derive(Debug, Clone, PartialEq)]
pub struct BatchNormGradients {
    /// Of each channel's weight.
    pub weight: Vec<f32>,
    /// Of each channel's bias.
    pub bias: Vec<f32>,
}

/// What the backward pass must know of the activation with which the forward pass ended.
#[derive(Debug, Clone, Copy)]
pub enum Activated<'a> {
    /// There was none.
    Nothing,
    /// A ReLU, which let pass what its output shows.
    Relu {
        /// The forward pass's output.
        output: &'a [f32],
    },
    /// Another one, whose input is computed again.
    Other {
        /// Which one.
        activation: Activation,
        /// The bias of the forward pass.
        bias: &'a [f32],
        /// Its residual.
        residual: Option<&'a [f32]>,
    },
}

/// What the forward pass left, and the gradient of its output.
#[derive(Clone, Copy)]
struct Saved<'a> {
    input: &'a [f32],
    mean: &'a [f32],
    /// What centred inputs were multiplied with.
    scale: &'a [f32],
    activated: Activated<'a>,
    output_gradient: &'a [f32],
}

/// Gradients of [`batch_norm_forward`](super::batch_norm_forward) with the statistics of `input`
/// itself, which depend on it too.
///
/// `residual_gradient`, where the forward pass added a residual, is set to that one's gradient.
///
/// # Errors
///
/// [`KernelError`] when slices do not fit each other.
#[allow(clippy::too_many_arguments)]
pub fn batch_norm_backward(
    input: &[f32],
    statistics: &ChannelStatistics,
    weight: &[f32],
    epsilon: f64,
    activated: Activated<'_>,
    output_gradient: &[f32],
    input_gradient: &mut [f32],
    residual_gradient: Option<&mut [f32]>,
) -> Result<BatchNormGradients, KernelError> {
    let channels = weight.len();
    check_channels(input, channels)?;
    check_length("mean", &statistics.mean, channels)?;
    check_length("variance", &statistics.variance, channels)?;
    check_length("output gradient", output_gradient, input.len())?;
    check_length("input gradient", input_gradient, input.len())?;
    match activated {
        Activated::Nothing => {}
        Activated::Relu { output } => check_length("output", output, input.len())?,
        Activated::Other { bias, residual, .. } => {
            check_length("bias", bias, channels)?;
            if let Some(residual) = residual {
                check_length("residual", residual, input.len())?;
            }
        }
    }
    if let Some(gradient) = &residual_gradient {
        check_length("residual gradient", gradient, input.len())?;
    }
    let scale = scales(weight, &statistics.variance, epsilon);
    let saved = Saved {
        input,
        mean: &statistics.mean,
        scale: &scale,
        activated,
        output_gradient,
    };
    let sums = sums(saved, channels);
    let pixels = (input.len() / channels).max(1) as f64;
    let (mut gate, mut slope, mut shift) = (vec![], vec![], vec![]);
    let (mut weight_gradient, mut bias_gradient) = (vec![], vec![]);
    for channel in 0..channels {
        let (of_bias, of_product) = (sums[channel], sums[channels + channel]);
        let inverse = 1.0 / (f64::from(statistics.variance[channel]) + epsilon).sqrt();
        let factor = f64::from(weight[channel]) * inverse;
        // dx = factor * (g - mean(g) - x_hat * mean(g * x_hat)), x_hat = (x - mean) * inverse
        gate.push(factor as f32);
        slope.push((-factor * inverse * inverse * of_product / pixels) as f32);
        shift.push((-factor * of_bias / pixels) as f32);
        weight_gradient.push((of_product * inverse) as f32);
        bias_gradient.push(of_bias as f32);
    }
    let spread = Spread {
        saved,
        gate: &gate,
        slope: &slope,
        shift: &shift,
    };
    spread.run(input_gradient, residual_gradient);
    Ok(BatchNormGradients {
        weight: weight_gradient,
        bias: bias_gradient,
    })
}

/// For each channel the sum of gradients, then that of gradients times centred inputs.
fn sums(saved: Saved, channels: usize) -> Vec<f64> {
    let piece_len = piece_pixels(channels) * channels;
    let pieces = saved.input.len().div_ceil(piece_len);
    let mut partial = vec![0.0; pieces * 2 * channels];
    let level = Level::current();
    partial
        .par_chunks_exact_mut(2 * channels)
        .enumerate()
        .for_each(|(index, sums)| {
            let start = index * piece_len;
            let end = saved.input.len().min(start + piece_len);
            level.run(Sums {
                saved: saved.part(start..end),
                sums,
            });
        });
    let mut total = vec![0.0; 2 * channels];
    for sums in partial.chunks_exact(2 * channels) {
        for (total, &sum) in total.iter_mut().zip(sums) {
            *total += f64::from(sum);
        }
    }
    total
}

impl<'a> Saved<'a> {
    fn part(self, range: std::ops::Range<usize>) -> Self {
        Self {
            input: &self.input[range.clone()],
            mean: self.mean,
            scale: self.scale,
            activated: match self.activated {
                Activated::Nothing => Activated::Nothing,
                Activated::Relu { output } => Activated::Relu {
                    output: &output[range.clone()],
                },
                Activated::Other {
                    activation,
                    bias,
                    residual,
                } => Activated::Other {
                    activation,
                    bias,
                    residual: residual.map(|residual| &residual[range.clone()]),
                },
            },
            output_gradient: &self.output_gradient[range],
        }
    }

    /// The gradient before the activation.
    ///
    /// # Safety
    ///
    /// `LANES` values must lie at `at`, and as many channels at `channel`.
    #[inline(always)]
    unsafe fn gradient<S: Simd>(&self, simd: S, at: usize, channel: usize) -> S::Vector {
        // SAFETY: the caller's promise.
        unsafe {
            let gradient = simd.load(self.output_gradient.as_ptr().add(at));
            match self.activated {
                Activated::Nothing => gradient,
                Activated::Relu { output } => {
                    simd.gate(simd.load(output.as_ptr().add(at)), gradient)
                }
                Activated::Other {
                    activation,
                    bias,
                    residual,
                } => {
                    let scale = simd.load(self.scale.as_ptr().add(channel));
                    let bias = simd.load(bias.as_ptr().add(channel));
                    let mut x = simd.mul_add(self.centred(simd, at, channel), scale, bias);
                    if let Some(residual) = residual {
                        x = simd.add(x, simd.load(residual.as_ptr().add(at)));
                    }
                    activation.pull_back(simd, x, gradient)
                }
            }
        }
    }

    /// Input minus mean.
    ///
    /// # Safety
    ///
    /// `LANES` values must lie at `at`, and as many channels at `channel`.
    #[inline(always)]
    unsafe fn centred<S: Simd>(&self, simd: S, at: usize, channel: usize) -> S::Vector {
        // SAFETY: the caller's promise.
        unsafe {
            let input = simd.load(self.input.as_ptr().add(at));
            simd.sub(input, simd.load(self.mean.as_ptr().add(channel)))
        }
    }
}

struct Sums<'a> {
    saved: Saved<'a>,
    sums: &'a mut [f32],
}

impl Operation for Sums<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let channels = self.saved.mean.len();
        let sums = Shared::new(self.sums);
        let mut first = 0;
        // SAFETY: each call gets channels below `channels`, of which every pixel has a value.
        unsafe {
            while first + 4 * S::LANES <= channels {
                sum_piece::<S, 4>(simd, &self.saved, first, sums);
                first += 4 * S::LANES;
            }
            while first + S::LANES <= channels {
                sum_piece::<S, 1>(simd, &self.saved, first, sums);
                first += S::LANES;
            }
            while first < channels {
                sum_piece::<_, 1>(Portable::<1>, &self.saved, first, sums);
                first += 1;
            }
        }
    }
}

/// # Safety
///
/// `first + VECTORS * LANES` must be at most the number of channels; `sums` must have twice as many
/// values as there are channels.
#[inline(always)]
unsafe fn sum_piece<S: Simd, const VECTORS: usize>(
    simd: S,
    saved: &Saved,
    first: usize,
    sums: Shared,
) {
    let channels = saved.mean.len();
    let mut gradients = [simd.splat(0.0); VECTORS];
    let mut products = gradients;
    for start in (0..saved.input.len()).step_by(channels) {
        for v in 0..VECTORS {
            let channel = first + v * S::LANES;
            // SAFETY: the caller's promise.
            let (gradient, centred) = unsafe {
                (
                    saved.gradient(simd, start + channel, channel),
                    saved.centred(simd, start + channel, channel),
                )
            };
            gradients[v] = simd.add(gradients[v], gradient);
            products[v] = simd.mul_add(gradient, centred, products[v]);
        }
    }
    for v in 0..VECTORS {
        let channel = first + v * S::LANES;
        // SAFETY: the caller's promise.
        unsafe {
            simd.store(sums.at(channel), gradients[v]);
            simd.store(sums.at(channels + channel), products[v]);
        }
    }
}

/// Leads the gradient back to the values: `gate * g + slope * (x - mean) + shift`.
#[derive(Clone, Copy)]
struct Spread<'a> {
    saved: Saved<'a>,
    gate: &'a [f32],
    slope: &'a [f32],
    shift: &'a [f32],
}

impl Spread<'_> {
    fn run(self, input_gradient: &mut [f32], residual_gradient: Option<&mut [f32]>) {
        let piece_len = piece_pixels(self.gate.len()) * self.gate.len();
        let level = Level::current();
        let piece = |index: usize, input_gradient: &mut [f32], residual: Option<&mut [f32]>| {
            let start = index * piece_len;
            let saved = self.saved.part(start..start + input_gradient.len());
            level.run(SpreadPiece {
                spread: Spread { saved, ..self },
                input_gradient,
                residual_gradient: residual,
            });
        };
        let pieces = input_gradient.par_chunks_mut(piece_len).enumerate();
        match residual_gradient {
            Some(residual) => pieces
                .zip(residual.par_chunks_mut(piece_len))
                .for_each(|((index, values), residual)| piece(index, values, Some(residual))),
            None => pieces.for_each(|(index, values)| piece(index, values, None)),
        }
    }
}

struct SpreadPiece<'a> {
    spread: Spread<'a>,
    input_gradient: &'a mut [f32],
    residual_gradient: Option<&'a mut [f32]>,
}

impl Operation for SpreadPiece<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let channels = self.spread.gate.len();
        let whole = channels / S::LANES * S::LANES;
        let target = Shared::new(self.input_gradient);
        let residual = self.residual_gradient.map(Shared::new);
        let spread = self.spread;
        for start in (0..spread.saved.input.len()).step_by(channels) {
            for channel in (0..whole).step_by(S::LANES) {
                // SAFETY: all slices have been checked; the vector lies within the pixel.
                unsafe { spread.lanes(simd, start + channel, channel, target, residual) };
            }
            for channel in whole..channels {
                let at = start + channel;
                // SAFETY: as above, for a vector of one value.
                unsafe { spread.lanes(Portable::<1>, at, channel, target, residual) };
            }
        }
    }
}

impl Spread<'_> {
    /// # Safety
    ///
    /// `LANES` values must lie at `at`, and as many channels at `channel`.
    #[inline(always)]
    unsafe fn lanes<S: Simd>(
        &self,
        simd: S,
        at: usize,
        channel: usize,
        target: Shared,
        residual: Option<Shared>,
    ) {
        // SAFETY: the caller's promise; every slice is as long as the input or the channels.
        unsafe {
            let gradient = self.saved.gradient(simd, at, channel);
            let centred = self.saved.centred(simd, at, channel);
            let gate = simd.load(self.gate.as_ptr().add(channel));
            let slope = simd.load(self.slope.as_ptr().add(channel));
            let shift = simd.load(self.shift.as_ptr().add(channel));
            let value = simd.mul_add(slope, centred, simd.mul_add(gate, gradient, shift));
            simd.store(target.at(at), value);
            if let Some(residual) = residual {
                simd.store(residual.at(at), gradient);
            }
        }
    }
}
