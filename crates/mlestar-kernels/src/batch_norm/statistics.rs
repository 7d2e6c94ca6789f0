use rayon::prelude::*;

use super::{check_channels, piece_pixels};
use crate::{
    KernelError, Level,
    memory::Shared,
    simd::{Operation, Portable, Simd},
};

/// Mean and variance of each channel.
#[derive(Debug, Clone, PartialEq)]
pub struct ChannelStatistics {
    /// Means.
    pub mean: Vec<f32>,
    /// Biased variances: mean squares of the differences from the mean.
    pub variance: Vec<f32>,
}

/// Mean and biased variance of each channel of `[pixel, channel]` values. Without pixels, both are NaN.
///
/// # Errors
///
/// [`KernelError::Shape`] if `values` does not hold whole pixels.
///
/// ```
/// let statistics = mlestar_kernels::channel_statistics(&[1.0, 10.0, 3.0, 10.0], 2)?;
/// assert_eq!(statistics.mean, [2.0, 10.0]);
/// assert_eq!(statistics.variance, [1.0, 0.0]);
/// # Ok::<(), mlestar_kernels::KernelError>(())
/// ```
pub fn channel_statistics(
    values: &[f32],
    channels: usize,
) -> Result<ChannelStatistics, KernelError> {
    check_channels(values, channels)?;
    let piece_len = piece_pixels(channels) * channels;
    let pieces = values.len().div_ceil(piece_len);
    let mut partial = vec![0.0; pieces * 2 * channels];
    let level = Level::current();
    values
        .par_chunks(piece_len)
        .zip(partial.par_chunks_exact_mut(2 * channels))
        .for_each(|(values, moments)| {
            level.run(Moments {
                values,
                channels,
                moments,
            });
        });
    Ok(combine(values.len() / channels, channels, &partial))
}

/// Combines the pieces (Chan, Golub and LeVeque 1979), in order.
fn combine(pixels: usize, channels: usize, partial: &[f32]) -> ChannelStatistics {
    let piece = piece_pixels(channels);
    let mut mean = Vec::with_capacity(channels);
    let mut variance = Vec::with_capacity(channels);
    for channel in 0..channels {
        let (mut count, mut total, mut squares) = (0.0, 0.0, 0.0);
        for (index, moments) in partial.chunks_exact(2 * channels).enumerate() {
            let here = piece.min(pixels - index * piece) as f64;
            let difference = f64::from(moments[channel]) - total;
            let sum = count + here;
            total += difference * here / sum;
            squares += f64::from(moments[channels + channel])
                + difference * difference * count * here / sum;
            count = sum;
        }
        let none = if pixels == 0 { f64::NAN } else { 0.0 };
        mean.push((total + none) as f32);
        variance.push((squares / count.max(1.0) + none) as f32);
    }
    ChannelStatistics { mean, variance }
}

/// Mean of each channel, then sum of squared differences from it, of one piece.
struct Moments<'a> {
    values: &'a [f32],
    channels: usize,
    moments: &'a mut [f32],
}

impl Operation for Moments<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self {
            values, channels, ..
        } = self;
        let moments = Shared::new(self.moments);
        let mut first = 0;
        // SAFETY: each call gets channels below `channels`, of which every pixel has a value.
        unsafe {
            while first + 4 * S::LANES <= channels {
                piece::<S, 4>(simd, values, channels, first, moments);
                first += 4 * S::LANES;
            }
            while first + S::LANES <= channels {
                piece::<S, 1>(simd, values, channels, first, moments);
                first += S::LANES;
            }
            while first < channels {
                piece::<_, 1>(Portable::<1>, values, channels, first, moments);
                first += 1;
            }
        }
    }
}

/// # Safety
///
/// `first + VECTORS * LANES` must be at most `channels`; `moments` must have `2 * channels` values.
#[inline(always)]
unsafe fn piece<S: Simd, const VECTORS: usize>(
    simd: S,
    values: &[f32],
    channels: usize,
    first: usize,
    moments: Shared,
) {
    let pixels = values.len() / channels;
    let zero = [simd.splat(0.0); VECTORS];
    let start = values.as_ptr().wrapping_add(first);
    let mut sums = zero;
    for pixel in 0..pixels {
        for (v, sum) in sums.iter_mut().enumerate() {
            // SAFETY: the caller's promise.
            let x = unsafe { simd.load(start.add(pixel * channels + v * S::LANES)) };
            *sum = simd.add(*sum, x);
        }
    }
    let count = simd.splat(1.0 / pixels as f32);
    let mut means = sums;
    for mean in &mut means {
        *mean = simd.mul(*mean, count);
    }
    let mut squares = zero;
    for pixel in 0..pixels {
        for v in 0..VECTORS {
            // SAFETY: the caller's promise.
            let x = unsafe { simd.load(start.add(pixel * channels + v * S::LANES)) };
            let difference = simd.sub(x, means[v]);
            squares[v] = simd.mul_add(difference, difference, squares[v]);
        }
    }
    for v in 0..VECTORS {
        let at = first + v * S::LANES;
        // SAFETY: the caller's promise.
        unsafe {
            simd.store(moments.at(at), means[v]);
            simd.store(moments.at(channels + at), squares[v]);
        }
    }
}
