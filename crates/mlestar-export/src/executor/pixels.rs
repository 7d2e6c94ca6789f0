//! 8-bit pixels to the values that the network sees.

use rayon::prelude::*;

use crate::graph::PixelNormalization;

/// Pixels of one piece of work.
const PIECE_PIXELS: usize = 4096;

/// The network's input for each channel and pixel value.
pub(super) struct PixelTable(Box<[[f32; 256]; 3]>);

impl PixelTable {
    pub(super) fn new(normalization: &PixelNormalization) -> Self {
        let values = std::array::from_fn(|channel| {
            std::array::from_fn(|pixel| normalization.apply(pixel as u8, channel))
        });
        Self(Box::new(values))
    }

    /// As [`normalize`](Self::normalize) with each row of `width` pixels from right to left.
    pub(super) fn normalize_mirrored(&self, pixels: &[u8], width: usize, values: &mut [f32]) {
        let [red, green, blue] = &*self.0;
        let rows = values
            .par_chunks_exact_mut(3 * width)
            .zip(pixels.par_chunks_exact(3 * width))
            .with_min_len(PIECE_PIXELS.div_ceil(width));
        rows.for_each(|(values, pixels)| {
            let from_right = pixels.chunks_exact(3).rev();
            for (values, pixel) in values.chunks_exact_mut(3).zip(from_right) {
                values[0] = red[usize::from(pixel[0])];
                values[1] = green[usize::from(pixel[1])];
                values[2] = blue[usize::from(pixel[2])];
            }
        });
    }

    /// Looks up interleaved RGB `pixels`.
    pub(super) fn normalize(&self, pixels: &[u8], values: &mut [f32]) {
        let [red, green, blue] = &*self.0;
        let pieces = values
            .par_chunks_mut(3 * PIECE_PIXELS)
            .zip(pixels.par_chunks(3 * PIECE_PIXELS));
        pieces.for_each(|(values, pixels)| {
            for (values, pixel) in values.chunks_exact_mut(3).zip(pixels.chunks_exact(3)) {
                values[0] = red[usize::from(pixel[0])];
                values[1] = green[usize::from(pixel[1])];
                values[2] = blue[usize::from(pixel[2])];
            }
        });
    }
}
