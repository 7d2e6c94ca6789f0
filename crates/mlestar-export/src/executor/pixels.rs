//! Converts 8-bit pixels to the input values of the network.

use mlestar_kernels::{Values, ValuesMut, convert};
use mlestar_model::View;
use rayon::prelude::*;

use super::forms::{Form, Slot};
use crate::graph::PixelNormalization;

/// Number of pixels in one task.
const PIECE_PIXELS: usize = 4096;

/// The network's input for each channel and pixel value.
pub(super) struct PixelTable<T = f32>(Box<[[T; 256]; 3]>);

/// The same in the form of the input's buffer.
pub(super) enum Pixels {
    F32(PixelTable),
    Bfloat16(PixelTable<u16>),
    Bytes(PixelTable<u8>),
}

impl Pixels {
    pub(super) fn new(normalization: &PixelNormalization, form: Form) -> Self {
        let table = PixelTable::new(normalization);
        let values = Values::F32(table.0.as_flattened());
        match form {
            Form::F32 => Self::F32(table),
            Form::Bfloat16 => {
                let mut rounded = Box::new([[0; 256]; 3]);
                convert_all(values, ValuesMut::Bfloat16(rounded.as_flattened_mut()));
                Self::Bfloat16(PixelTable(rounded))
            }
            Form::Bytes(scale) => {
                let mut bytes = Box::new([[0; 256]; 3]);
                convert_all(values, ValuesMut::Bytes(bytes.as_flattened_mut(), scale));
                Self::Bytes(PixelTable(bytes))
            }
        }
    }

    /// Looks up interleaved RGB `pixels`, or a view of them.
    pub(super) fn look_up(&self, pixels: &[u8], view: Option<&Sources>, slot: &mut Slot) {
        match (self, slot) {
            (Self::F32(table), Slot::F32(values)) => table.look_up(pixels, view, values),
            (Self::Bfloat16(table), Slot::Bfloat16(values)) => table.look_up(pixels, view, values),
            (Self::Bytes(table), Slot::Bytes(values)) => table.look_up(pixels, view, values),
            // The slot has the form of the input's buffer, for which this was made.
            _ => {}
        }
    }
}

fn convert_all(from: Values, to: ValuesMut) {
    #[allow(clippy::expect_used)] // Both have 3 times 256 values.
    convert(from, to).expect("tables of the same size");
}

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
}

impl<T: Copy + Send + Sync> PixelTable<T> {
    fn look_up(&self, pixels: &[u8], view: Option<&Sources>, values: &mut [T]) {
        let values = &mut values[..pixels.len()];
        match view {
            Some(view) => self.normalize_view(pixels, view, values),
            None => self.normalize(pixels, values),
        }
    }

    /// As [`normalize`](Self::normalize) for a view of the images.
    pub(super) fn normalize_view(&self, pixels: &[u8], view: &Sources, values: &mut [T]) {
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
    pub(super) fn normalize(&self, pixels: &[u8], values: &mut [T]) {
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
