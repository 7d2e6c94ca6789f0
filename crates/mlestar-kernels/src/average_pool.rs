//! Mean over the pixels of each image.

use rayon::prelude::*;

use crate::{KernelError, error::check_length};

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
    let n = output.len() / channels.max(1);
    check_length("output", output, n * channels)?;
    check_length("input", input, n * pixels * channels)?;
    if input.is_empty() {
        output.fill(f32::NAN);
        return Ok(());
    }
    let pictures = input.par_chunks_exact(pixels * channels);
    output
        .par_chunks_exact_mut(channels)
        .zip(pictures)
        .with_min_len(piece_pictures(pixels * channels))
        .for_each(|(means, picture)| {
            means.fill(0.0);
            for pixel in picture.chunks_exact(channels) {
                for (mean, value) in means.iter_mut().zip(pixel) {
                    *mean += value;
                }
            }
            for mean in means {
                *mean /= pixels as f32;
            }
        });
    Ok(())
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
