//! Means over the pixels of a picture.

use rayon::prelude::*;

/// Values that one piece of work sums at least: less is not worth handing to another thread.
const PIECE_VALUES: usize = 1 << 14;

/// Writes the mean of every channel, `[picture, channel]`, of `[picture, pixel, channel]`.
pub(super) fn average(input: &[f32], output: &mut [f32], channels: usize, pixels: usize) {
    let picture = channels * pixels;
    let pictures = output
        .par_chunks_exact_mut(channels)
        .zip(input.par_chunks_exact(picture));
    pictures
        .with_min_len(PIECE_VALUES.div_ceil(picture))
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
}
