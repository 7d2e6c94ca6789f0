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

/// The activation of the forward pass, and the values needed to compute its input again.
#[derive(Debug, Clone, Copy)]
pub struct Activated<'a> {
    /// The activation.
    pub activation: Activation,
    /// The bias of the forward pass.
    pub bias: &'a [f32],
    /// Its residual.
    pub residual: Option<&'a [f32]>,
}

/// The results of the forward pass, and the gradient of its output.
#[derive(Clone, Copy)]
struct Saved<'a> {
    input: &'a [f32],
    mean: &'a [f32],
    /// The factor of centred inputs.
    scale: &'a [f32],
    activated: Option<Activated<'a>>,
    output_gradient: &'a [f32],
}

/// Gradients of [`batch_norm_forward`](super::batch_norm_forward) with the statistics of `input`
/// itself, which depend on it too.
///
/// If the forward pass added a residual, `residual_gradient` is set to its gradient.
///
/// # Errors
///
/// [`KernelError`] if slices do not fit each other.
#[allow(clippy::too_many_arguments)]
pub fn batch_norm_backward(
    input: &[f32],
    statistics: &ChannelStatistics,
    weight: &[f32],
    epsilon: f64,
    activated: Option<Activated<'_>>,
    output_gradient: &[f32],
    input_gradient: &mut [f32],
    mut residual_gradient: Option<&mut [f32]>,
) -> Result<BatchNormGradients, KernelError> {
    let channels = weight.len();
    check_channels(input, channels)?;
    check_length("mean", &statistics.mean, channels)?;
    check_length("variance", &statistics.variance, channels)?;
    check_length("output gradient", output_gradient, input.len())?;
    check_length("input gradient", input_gradient, input.len())?;
    if let Some(Activated { bias, residual, .. }) = activated {
        check_length("bias", bias, channels)?;
        if let Some(residual) = residual {
            check_length("residual", residual, input.len())?;
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
    // The gradient before the activation is computed once: it is the residual's, or is stored in place of the
    // input's.
    let kept = match (&mut residual_gradient, activated) {
        (Some(gradient), _) => Some(&mut **gradient),
        (None, Some(_)) => Some(&mut *input_gradient),
        (None, None) => None,
    };
    let sums = sums(saved, channels, kept);
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
        input,
        mean: &statistics.mean,
        gradient: match (residual_gradient, activated) {
            (Some(gradient), _) => Some(gradient),
            (None, Some(_)) => None,
            (None, None) => Some(output_gradient),
        },
        gate: &gate,
        slope: &slope,
        shift: &shift,
    };
    spread.run(input_gradient);
    Ok(BatchNormGradients {
        weight: weight_gradient,
        bias: bias_gradient,
    })
}

/// For each channel, the sum of gradients, then that of gradients times centred inputs. `kept` is set to the
/// gradients.
fn sums(saved: Saved, channels: usize, kept: Option<&mut [f32]>) -> Vec<f64> {
    let piece_len = piece_pixels(channels) * channels;
    let pieces = saved.input.len().div_ceil(piece_len);
    let mut partial = vec![0.0; pieces * 2 * channels];
    let level = Level::current();
    let piece = |index: usize, sums: &mut [f32], kept: Option<&mut [f32]>| {
        let start = index * piece_len;
        let end = saved.input.len().min(start + piece_len);
        level.run(Sums {
            saved: saved.part(start..end),
            sums,
            kept,
        });
    };
    let pieces = partial.par_chunks_exact_mut(2 * channels).enumerate();
    match kept {
        Some(kept) => pieces
            .zip(kept.par_chunks_mut(piece_len))
            .for_each(|((index, sums), kept)| piece(index, sums, Some(kept))),
        None => pieces.for_each(|(index, sums)| piece(index, sums, None)),
    }
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
            activated: self.activated.map(|activated| Activated {
                residual: activated.residual.map(|residual| &residual[range.clone()]),
                ..activated
            }),
            output_gradient: &self.output_gradient[range],
        }
    }

    /// The gradient before the activation, and input minus mean.
    ///
    /// # Safety
    ///
    /// There must be `LANES` values at `at`, and as many channels at `channel`.
    #[inline(always)]
    unsafe fn gradient<S: Simd>(&self, simd: S, at: usize, channel: usize) -> [S::Vector; 2] {
        // SAFETY: the caller's promise; every slice is as long as the input or the channels.
        unsafe {
            let input = simd.load(self.input.as_ptr().add(at));
            let centred = simd.sub(input, simd.load(self.mean.as_ptr().add(channel)));
            let gradient = simd.load(self.output_gradient.as_ptr().add(at));
            let Some(activated) = self.activated else {
                return [gradient, centred];
            };
            let scale = simd.load(self.scale.as_ptr().add(channel));
            let bias = simd.load(activated.bias.as_ptr().add(channel));
            let mut x = simd.mul_add(centred, scale, bias);
            if let Some(residual) = activated.residual {
                x = simd.add(x, simd.load(residual.as_ptr().add(at)));
            }
            [activated.activation.pull_back(simd, x, gradient), centred]
        }
    }
}

struct Sums<'a> {
    saved: Saved<'a>,
    sums: &'a mut [f32],
    kept: Option<&'a mut [f32]>,
}

impl Operation for Sums<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let channels = self.saved.mean.len();
        let sums = Shared::new(self.sums);
        let kept = self.kept.map(Shared::new);
        let mut first = 0;
        // SAFETY: each call gets channels below `channels`, of which every pixel has a value.
        unsafe {
            while first + 4 * S::LANES <= channels {
                sum_piece::<S, 4>(simd, &self.saved, first, sums, kept);
                first += 4 * S::LANES;
            }
            while first + S::LANES <= channels {
                sum_piece::<S, 1>(simd, &self.saved, first, sums, kept);
                first += S::LANES;
            }
            while first < channels {
                sum_piece::<_, 1>(Portable::<1>, &self.saved, first, sums, kept);
                first += 1;
            }
        }
    }
}

/// # Safety
///
/// `first + VECTORS * LANES` must be at most the number of channels; `sums` must have twice as many
/// values as there are channels, `kept` as many as the input.
#[inline(always)]
unsafe fn sum_piece<S: Simd, const VECTORS: usize>(
    simd: S,
    saved: &Saved,
    first: usize,
    sums: Shared,
    kept: Option<Shared>,
) {
    let channels = saved.mean.len();
    let mut gradients = [simd.splat(0.0); VECTORS];
    let mut products = gradients;
    for start in (0..saved.input.len()).step_by(channels) {
        for v in 0..VECTORS {
            let channel = first + v * S::LANES;
            // SAFETY: the caller's promise.
            let [gradient, centred] = unsafe { saved.gradient(simd, start + channel, channel) };
            if let Some(kept) = kept {
                // SAFETY: as above.
                unsafe { simd.store(kept.at(start + channel), gradient) };
            }
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

/// Propagates the gradient to the values: `gate * g + slope * (x - mean) + shift`.
#[derive(Clone, Copy)]
struct Spread<'a> {
    input: &'a [f32],
    mean: &'a [f32],
    /// Set if it is not in the memory of the input's gradient.
    gradient: Option<&'a [f32]>,
    gate: &'a [f32],
    slope: &'a [f32],
    shift: &'a [f32],
}

impl Spread<'_> {
    fn run(self, target: &mut [f32]) {
        let piece_len = piece_pixels(self.gate.len()) * self.gate.len();
        let level = Level::current();
        target
            .par_chunks_mut(piece_len)
            .enumerate()
            .for_each(|(index, target)| {
                let start = index * piece_len;
                let range = start..start + target.len();
                let spread = Spread {
                    input: &self.input[range.clone()],
                    gradient: self.gradient.map(|gradient| &gradient[range]),
                    ..self
                };
                level.run(SpreadPiece { spread, target });
            });
    }
}

struct SpreadPiece<'a> {
    spread: Spread<'a>,
    target: &'a mut [f32],
}

impl Operation for SpreadPiece<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let channels = self.spread.gate.len();
        let whole = channels / S::LANES * S::LANES;
        let target = Shared::new(self.target);
        let spread = self.spread;
        for start in (0..spread.input.len()).step_by(channels) {
            for channel in (0..whole).step_by(S::LANES) {
                // SAFETY: all slices have been checked; the vector lies within the pixel.
                unsafe { spread.lanes(simd, start + channel, channel, target) };
            }
            for channel in whole..channels {
                // SAFETY: as above, for a vector of one value.
                unsafe { spread.lanes(Portable::<1>, start + channel, channel, target) };
            }
        }
    }
}

impl Spread<'_> {
    /// # Safety
    ///
    /// There must be `LANES` values at `at`, and as many channels at `channel`.
    #[inline(always)]
    unsafe fn lanes<S: Simd>(&self, simd: S, at: usize, channel: usize, target: Shared) {
        // SAFETY: the caller's promise; every slice is as long as the input or the channels.
        unsafe {
            let gradient = match self.gradient {
                Some(gradient) => simd.load(gradient.as_ptr().add(at)),
                None => simd.load(target.at(at)),
            };
            let input = simd.load(self.input.as_ptr().add(at));
            let centred = simd.sub(input, simd.load(self.mean.as_ptr().add(channel)));
            let gate = simd.load(self.gate.as_ptr().add(channel));
            let slope = simd.load(self.slope.as_ptr().add(channel));
            let shift = simd.load(self.shift.as_ptr().add(channel));
            let value = simd.mul_add(slope, centred, simd.mul_add(gate, gradient, shift));
            simd.store(target.at(at), value);
        }
    }
}
