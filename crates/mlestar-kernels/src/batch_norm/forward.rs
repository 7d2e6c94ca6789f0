use rayon::prelude::*;

use super::{ChannelStatistics, check_channels, piece_pixels};
use crate::{
    Activation, KernelError, Level,
    error::check_length,
    memory::Shared,
    simd::{Operation, Portable, Simd},
};

/// Sets `output` to `f((input - mean) / sqrt(variance + epsilon) * weight + bias + residual)`, with an optional
/// residual and activation `f`. Values are `[pixel, channel]`.
///
/// # Errors
///
/// [`KernelError`] if slices do not fit each other.
#[allow(clippy::too_many_arguments)]
pub fn batch_norm_forward(
    input: &[f32],
    statistics: &ChannelStatistics,
    weight: &[f32],
    bias: &[f32],
    epsilon: f64,
    residual: Option<&[f32]>,
    activation: Option<Activation>,
    output: &mut [f32],
) -> Result<(), KernelError> {
    let channels = weight.len();
    check_channels(input, channels)?;
    check_length("bias", bias, channels)?;
    check_length("mean", &statistics.mean, channels)?;
    check_length("variance", &statistics.variance, channels)?;
    check_length("output", output, input.len())?;
    if let Some(residual) = residual {
        check_length("residual", residual, input.len())?;
    }
    let scale = scales(weight, &statistics.variance, epsilon);
    let level = Level::current();
    let piece_len = piece_pixels(channels) * channels;
    output
        .par_chunks_mut(piece_len)
        .enumerate()
        .for_each(|(index, output)| {
            let range = index * piece_len..index * piece_len + output.len();
            level.run(Normalize {
                input: &input[range.clone()],
                mean: &statistics.mean,
                scale: &scale,
                bias,
                residual: residual.map(|residual| &residual[range]),
                activation,
                output,
            });
        });
    Ok(())
}

/// The factor of each channel's centred values.
pub(super) fn scales(weight: &[f32], variance: &[f32], epsilon: f64) -> Vec<f32> {
    let channels = weight.iter().zip(variance);
    channels
        .map(|(&weight, &variance)| {
            (f64::from(weight) / (f64::from(variance) + epsilon).sqrt()) as f32
        })
        .collect()
}

struct Normalize<'a> {
    input: &'a [f32],
    mean: &'a [f32],
    scale: &'a [f32],
    bias: &'a [f32],
    residual: Option<&'a [f32]>,
    activation: Option<Activation>,
    output: &'a mut [f32],
}

impl Operation for Normalize<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let channels = self.mean.len();
        let whole = channels / S::LANES * S::LANES;
        let output = Shared::new(self.output);
        for start in (0..self.input.len()).step_by(channels) {
            for channel in (0..whole).step_by(S::LANES) {
                // SAFETY: all slices have been checked; the vector lies within the pixel.
                unsafe { self.lanes(simd, start + channel, channel, output) };
            }
            for channel in whole..channels {
                // SAFETY: as above, for a vector of one value.
                unsafe { self.lanes(Portable::<1>, start + channel, channel, output) };
            }
        }
    }
}

impl Normalize<'_> {
    /// # Safety
    ///
    /// There must be `LANES` values at `at` of the input and at `channel` of the channels.
    #[inline(always)]
    unsafe fn lanes<S: Simd>(&self, simd: S, at: usize, channel: usize, output: Shared) {
        // SAFETY: the caller's promise; every slice is as long as the input or the channels.
        unsafe {
            let mean = simd.load(self.mean.as_ptr().add(channel));
            let scale = simd.load(self.scale.as_ptr().add(channel));
            let bias = simd.load(self.bias.as_ptr().add(channel));
            let centred = simd.sub(simd.load(self.input.as_ptr().add(at)), mean);
            let mut value = simd.mul_add(centred, scale, bias);
            if let Some(residual) = self.residual {
                value = simd.add(value, simd.load(residual.as_ptr().add(at)));
            }
            if let Some(activation) = self.activation {
                value = activation.apply(simd, value);
            }
            simd.store(output.at(at), value);
        }
    }
}
