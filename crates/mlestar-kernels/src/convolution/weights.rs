//! Weights `[channels_out][channels_in][height][width]`, for the forward and the backward pass.

use super::Conv2dShape;
use crate::{matrix::tile_width, memory::Buffer, simd::Simd};

/// The weights of a convolution, or of the convolution that computes the gradient of its input, with input and
/// output channels exchanged.
#[derive(Clone, Copy)]
pub(crate) struct WeightView<'a> {
    pub values: &'a [f32],
    /// Channels of the result.
    pub results: usize,
    /// Channels of the sums.
    pub summed: usize,
    result_stride: usize,
    summed_stride: usize,
}

impl<'a> WeightView<'a> {
    pub(crate) fn forward(shape: &Conv2dShape, values: &'a [f32]) -> Self {
        let taps = shape.taps();
        Self {
            values,
            results: shape.channels_out,
            summed: shape.channels_in,
            result_stride: shape.channels_in * taps,
            summed_stride: taps,
        }
    }

    pub(crate) fn backward(shape: &Conv2dShape, values: &'a [f32]) -> Self {
        let taps = shape.taps();
        Self {
            values,
            results: shape.channels_in,
            summed: shape.channels_out,
            result_stride: taps,
            summed_stride: shape.channels_in * taps,
        }
    }

    /// Position of the first tap for a pair of channels.
    #[inline(always)]
    pub(crate) fn position(&self, result: usize, summed: usize) -> usize {
        result * self.result_stride + summed * self.summed_stride
    }

    /// Copies the taps named in `taps` into panels `[panel][tap][summed][tile_width]`.
    pub(crate) fn pack<S: Simd>(&self, taps: &[usize], target: &mut Buffer) {
        use rayon::prelude::*;

        let width = tile_width::<S>();
        let panel_len = taps.len() * self.summed * width;
        target.resize(self.results.div_ceil(width) * panel_len);
        if panel_len == 0 {
            return;
        }
        let panels = target.as_mut_slice().par_chunks_exact_mut(panel_len);
        panels.enumerate().for_each(|(panel, values)| {
            let first = panel * width;
            let real = width.min(self.results - first);
            let rows = values.chunks_exact_mut(width);
            for (row, values) in rows.enumerate() {
                let (tap, summed) = (taps[row / self.summed], row % self.summed);
                for (lane, value) in values[..real].iter_mut().enumerate() {
                    *value = self.values[self.position(first + lane, summed) + tap];
                }
                values[real..].fill(0.0);
            }
        });
    }
}
