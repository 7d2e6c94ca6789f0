//! Mean over the pixels of each image.

use rayon::prelude::*;

use crate::{
    KernelError, Level,
    error::check_length,
    simd::{Operation, Simd},
    values::{MOST_LANES, Source, Values},
};

/// Minimum number of values that a task reads or writes: fewer are not worth another thread.
const PIECE_VALUES: usize = 1 << 14;

/// Images per task, of this many values each.
fn piece_pictures(values: usize) -> usize {
    PIECE_VALUES.div_ceil(values)
}

/// Sets `output`, `[n, channels]`, to the mean over `pixels` of `input`, `[n, pixels, channels]`.
///
/// # Errors
///
/// [`KernelError::Length`] if a slice does not have the length of its shape.
///
/// ```
/// let mut means = [0.0; 2];
/// mlestar_kernels::global_average_pool(&[1.0, 10.0, 3.0, 20.0], 2, 2, &mut means)?;
/// assert_eq!(means, [2.0, 15.0]);
/// # Ok::<(), mlestar_kernels::KernelError>(())
/// ```
pub fn global_average_pool(
    input: &[f32],
    pixels: usize,
    channels: usize,
    output: &mut [f32],
) -> Result<(), KernelError> {
    global_average_pool_values(Values::F32(input), pixels, channels, output)
}

/// Like [`global_average_pool`], of values of any form. The sums are `f32`.
///
/// # Errors
///
/// [`KernelError::Length`] if a slice does not have the length of its shape.
pub fn global_average_pool_values(
    input: Values,
    pixels: usize,
    channels: usize,
    output: &mut [f32],
) -> Result<(), KernelError> {
    let n = output.len() / channels.max(1);
    check_length("output", output, n * channels)?;
    input.check_length("input", n * pixels * channels)?;
    if input.is_empty() {
        output.fill(f32::NAN);
        return Ok(());
    }
    let (level, source) = (Level::current(), input.source());
    output
        .par_chunks_exact_mut(channels)
        .enumerate()
        .with_min_len(piece_pictures(pixels * channels))
        .for_each(|(picture, means)| {
            level.run(Means {
                source,
                first: picture * pixels * channels,
                pixels,
                means,
            });
        });
    Ok(())
}

/// The means of one image, whose values begin at `first`.
struct Means<'a> {
    source: Source,
    first: usize,
    pixels: usize,
    means: &'a mut [f32],
}

impl Operation for Means<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self {
            source,
            first,
            pixels,
            means,
        } = self;
        let channels = means.len();
        let count = simd.splat(pixels as f32);
        for (index, means) in means.chunks_mut(S::LANES).enumerate() {
            let first = first + index * S::LANES;
            let mut sums = simd.splat(0.0);
            let mut lanes = [0.0; MOST_LANES];
            // SAFETY: the image has these values, and no vector is longer than `lanes`.
            unsafe {
                for pixel in 0..pixels {
                    let place = first + pixel * channels;
                    let values = match means.len() == S::LANES {
                        true => source.load(simd, place),
                        false => source.load_some(simd, place, means.len()),
                    };
                    sums = simd.add(sums, values);
                }
                simd.store(lanes.as_mut_ptr(), simd.div(sums, count));
            }
            means.copy_from_slice(&lanes[..means.len()]);
        }
    }
}

/// Sets `input_gradient`, `[n, pixels, channels]`, from the gradient of
/// [`global_average_pool`]'s output, `[n, channels]`.
///
/// # Errors
///
/// [`KernelError::Length`] if a slice does not have the length of its shape.
pub fn global_average_pool_backward(
    output_gradient: &[f32],
    pixels: usize,
    channels: usize,
    input_gradient: &mut [f32],
) -> Result<(), KernelError> {
    let n = output_gradient.len() / channels.max(1);
    check_length("output gradient", output_gradient, n * channels)?;
    check_length("input gradient", input_gradient, n * pixels * channels)?;
    if input_gradient.is_empty() {
        return Ok(());
    }
    let factor = 1.0 / pixels as f32;
    input_gradient
        .par_chunks_exact_mut(pixels * channels)
        .zip(output_gradient.par_chunks_exact(channels))
        .with_min_len(piece_pictures(pixels * channels))
        .for_each(|(picture, gradient)| {
            for pixel in picture.chunks_exact_mut(channels) {
                for (value, gradient) in pixel.iter_mut().zip(gradient) {
                    *value = gradient * factor;
                }
            }
        });
    Ok(())
}
