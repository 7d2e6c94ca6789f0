//! Weights `[channels_out][channels_in][height][width]`, for the forward and the backward pass.

use super::Conv2dShape;
use crate::{
    matrix::{Factors, tile_width},
    memory::Buffer,
    simd::Simd,
};

/// The weights of a convolution, or of the convolution that computes the gradient of its input, with input and
/// output channels exchanged.
#[derive(Clone, Copy)]
pub(crate) struct WeightView<'a, T = f32> {
    pub values: &'a [T],
    /// Channels of the result.
    pub results: usize,
    /// Channels of the sums.
    pub summed: usize,
    result_stride: usize,
    summed_stride: usize,
}

impl<'a, T: Copy + Default + Sync> WeightView<'a, T> {
    pub(crate) fn forward(shape: &Conv2dShape, values: &'a [T]) -> Self {
        let taps = shape.taps();
        Self {
            values,
            results: shape.channels_out,
            summed: shape.channels_in,
            result_stride: shape.channels_in * taps,
            summed_stride: taps,
        }
    }

    pub(crate) fn backward(shape: &Conv2dShape, values: &'a [T]) -> Self {
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

    /// Packs the taps named in `taps` into panels of cells `[panel][cell][tile_width]`. A cell has consecutive factors
    /// of `[tap][summed]`; factors beyond the last are zeros.
    pub(crate) fn pack<S: Simd, F: Factors<Weight = T>>(
        &self,
        taps: &[usize],
        target: &mut Buffer,
    ) {
        use rayon::prelude::*;

        let width = tile_width::<S>();
        let factors = taps.len() * self.summed;
        let panel_len = factors.div_ceil(F::PER_CELL) * width;
        target.resize(self.results.div_ceil(width) * panel_len);
        if panel_len == 0 {
            return;
        }
        let panels = target.as_mut_slice().par_chunks_exact_mut(panel_len);
        panels.enumerate().for_each(|(panel, values)| {
            let first = panel * width;
            let real = width.min(self.results - first);
            if F::PER_CELL == 1 {
                return self.pack_single::<F>(taps, first, real, values);
            }
            let rows = values.chunks_exact_mut(width);
            for (cell, values) in rows.enumerate() {
                let mut offsets = [None; 4];
                for (part, offset) in offsets[..F::PER_CELL].iter_mut().enumerate() {
                    let factor = cell * F::PER_CELL + part;
                    if factor < factors {
                        let (tap, summed) = (taps[factor / self.summed], factor % self.summed);
                        *offset = Some(self.position(0, summed) + tap);
                    }
                }
                for (lane, value) in values[..real].iter_mut().enumerate() {
                    let start = self.position(first + lane, 0);
                    let mut weights = [T::default(); 4];
                    for (weight, offset) in weights.iter_mut().zip(offsets) {
                        *weight = offset.map_or(T::default(), |offset| self.values[start + offset]);
                    }
                    *value = F::cell(weights);
                }
                values[real..].fill(0.0);
            }
        });
    }

    /// Packs a panel whose cells hold one factor: `real` results from `first` on.
    fn pack_single<F: Factors<Weight = T>>(
        &self,
        taps: &[usize],
        first: usize,
        real: usize,
        panel: &mut [f32],
    ) {
        let width = panel.len() / (taps.len() * self.summed);
        let cells = taps
            .iter()
            .flat_map(|&tap| (0..self.summed).map(move |summed| (tap, summed)));
        for ((tap, summed), values) in cells.zip(panel.chunks_exact_mut(width)) {
            let weights = &self.values[self.position(first, summed) + tap..];
            let (values, rest) = values.split_at_mut(real);
            let cell = |weight: T| F::cell([weight, T::default(), T::default(), T::default()]);
            // Weights side by side are copied as vectors.
            match self.result_stride {
                1 => {
                    for (value, &weight) in values.iter_mut().zip(weights) {
                        *value = cell(weight);
                    }
                }
                stride => {
                    for (value, &weight) in values.iter_mut().zip(weights.iter().step_by(stride)) {
                        *value = cell(weight);
                    }
                }
            }
            rest.fill(0.0);
        }
    }
}
