//! Converts 8-bit pixels to the input values of the network.

use mlestar_model::View;
use rayon::prelude::*;

use crate::graph::PixelNormalization;

/// Number of pixels in one task.
const PIECE_PIXELS: usize = 4096;

/// The network's input for each channel and pixel value.
pub(super) struct PixelTable(Box<[[f32; 256]; 3]>);

/// The source rows and columns of a view of an image.
pub(super) struct Sources {
    rows: Vec<usize>,
    columns: Vec<usize>,
}

impl Sources {
    pub(super) fn new(view: View, height: usize, width: usize) -> Self {
        Self {
            rows: view.rows(height),
            columns: view.columns(width),
        }
    }
}

impl PixelTable {
    pub(super) fn new(normalization: &PixelNormalization) -> Self {
        let values = std::array::from_fn(|channel| {
            std::array::from_fn(|pixel| normalization.apply(pixel as u8, channel))
        });
        Self(Box::new(values))
    }

    /// As [`normalize`](Self::normalize) for a view of the images.
    pub(super) fn normalize_view(&self, pixels: &[u8], view: &Sources, values: &mut [f32]) {
        let [red, green, blue] = &*self.0;
        let (height, row_length) = (view.rows.len(), 3 * view.columns.len());
        let rows = values
            .par_chunks_exact_mut(row_length)
            .enumerate()
            .with_min_len(PIECE_PIXELS.div_ceil(view.columns.len()));
        rows.for_each(|(row, values)| {
            let source = row / height * height + view.rows[row % height];
            let pixels = &pixels[source * row_length..][..row_length];
            for (values, &column) in values.chunks_exact_mut(3).zip(&view.columns) {
                let pixel = &pixels[3 * column..][..3];
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
