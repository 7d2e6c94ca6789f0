//! The gradient of the weights, by the transposed algorithm: patches and output gradients are transformed,
//! multiplied position by position and summed over the tiles. The 36 sums of a pair of channels become its 9
//! gradients.

use std::{marker::PhantomData, ops::Range};

use rayon::prelude::*;

use super::{
    super::Conv2dShape,
    PLANE_PADDING, Patch, patch,
    tiles::{PATCH, POSITIONS, TILE, Tiles},
    transform,
};
use crate::{
    matrix::{
        Factors,
        outer::{self, Left, PANEL_ROWS},
        tile_width,
    },
    memory::{Buffer, Shared},
    simd::{Operation, Simd},
};

/// Cells of tiles that are transformed before they are multiplied.
const CHUNK_CELLS: usize = 256;
/// Number of tiles that one task transforms.
const PIECE_TILES: usize = 16;
/// Cells of tiles multiplied at a time: two panels with this number of rows fit the first-level cache.
const DEPTH_CELLS: usize = 128;

/// Sets `gradient`, `[channels_out][channels_in][3][3]`. The order of every sum does not depend on the number
/// of threads.
pub(crate) fn weight_gradient<S: Simd, F: Factors>(
    simd: S,
    shape: &Conv2dShape,
    [input, output_gradient]: [&[f32]; 2],
    gradient: &mut [f32],
) {
    assert_eq!(input.len(), shape.input_len());
    assert_eq!(output_gradient.len(), shape.output_len());
    assert_eq!(gradient.len(), shape.weight_len());
    let width = tile_width::<S>();
    let [c, k] = [shape.channels_in, shape.channels_out];
    let tiles = Tiles {
        source: shape.input,
        result: shape.output(),
        padding: shape.padding.start,
    };
    let total = shape.n * tiles.per_picture();
    let chunk = (CHUNK_CELLS * F::PER_CELL).min(total);
    let k_padded = k.next_multiple_of(width);
    let chunk_cells = chunk.div_ceil(F::PER_CELL);
    let planes = [c, k_padded].map(|channels| chunk_cells * channels + PLANE_PADDING);
    let mut patches = Buffer::new(POSITIONS * planes[0]);
    let mut errors = Buffer::new(POSITIONS * planes[1]);
    // `[position][c][k]`
    let mut sums = Buffer::zeros(POSITIONS * c * k);
    let zeros = vec![0.0; c.max(k)];

    for first in (0..total).step_by(chunk.max(1)) {
        let n = chunk.min(total - first);
        let transformed = Transformed::<F> {
            factors: PhantomData,
            n,
            channels: [c, k],
            planes,
            patches: Shared::new(patches.as_mut_slice()),
            errors: Shared::new(errors.as_mut_slice()),
        };
        (0..n.div_ceil(PIECE_TILES))
            .into_par_iter()
            .with_max_len(1)
            .for_each(|piece| {
                let start = piece * PIECE_TILES;
                simd.vectorize(TransformTiles {
                    tiles: &tiles,
                    first,
                    range: start..n.min(start + PIECE_TILES),
                    input,
                    output_gradient,
                    zeros: &zeros,
                    target: &transformed,
                });
            });
        let shared = Shared::new(sums.as_mut_slice());
        let panels = k_padded / width;
        let parts = (4 * rayon::current_num_threads())
            .div_ceil(POSITIONS)
            .clamp(1, panels);
        (0..POSITIONS * parts)
            .into_par_iter()
            .with_max_len(1)
            .for_each(|piece| {
                let (position, part) = (piece / parts, piece % parts);
                simd.vectorize(MultiplyPosition {
                    transformed: &transformed,
                    position,
                    panels: part * panels / parts..(part + 1) * panels / parts,
                    sums: shared,
                });
            });
    }

    let shared = Shared::new(gradient);
    let sums = sums.as_slice();
    (0..c).into_par_iter().for_each(|channel| {
        simd.vectorize(TransformBack {
            sums,
            channel,
            channels: [c, k],
            gradient: shared,
        });
    });
}

/// Transformed tiles of a chunk.
struct Transformed<F> {
    factors: PhantomData<F>,
    /// Tiles in the chunk.
    n: usize,
    channels: [usize; 2],
    planes: [usize; 2],
    /// Cells `[position][c / PANEL_ROWS][tile / PER_CELL][PANEL_ROWS]`
    patches: Shared,
    /// Cells `[position][k / tile_width][tile / PER_CELL][tile_width]`
    errors: Shared,
}

impl<F: Factors> Transformed<F> {
    /// Cells of the chunk's tiles. If its last tile does not fill a cell, zeros do.
    fn cells(&self) -> usize {
        self.n.div_ceil(F::PER_CELL)
    }
}

struct TransformTiles<'a, F> {
    tiles: &'a Tiles,
    /// First tile of the chunk.
    first: usize,
    /// Tiles of the chunk, starting with the first one of a cell.
    range: Range<usize>,
    input: &'a [f32],
    output_gradient: &'a [f32],
    zeros: &'a [f32],
    target: &'a Transformed<F>,
}

impl<F: Factors> Operation for TransformTiles<'_, F> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Transformed {
            channels: [c, k],
            planes,
            patches,
            errors,
            ..
        } = *self.target;
        let width = tile_width::<S>();
        let cells = self.target.cells();
        for start in self.range.clone().step_by(F::PER_CELL) {
            let cell = start / F::PER_CELL;
            let place = |position: usize, channel: usize, panel: usize, plane: usize| {
                position * plane + (channel / panel * cells + cell) * panel + channel % panel
            };
            let second = start + 1;
            let pair = [Some(start), (second < self.range.end).then_some(second)];
            let input = pair.map(|index| self.patch(index));
            for channel in (0..c).step_by(S::LANES) {
                // SAFETY: every pixel has `c` values, a multiple of the lanes. The planes hold whole panels of
                // every channel for each cell of the chunk, and only this task writes this one.
                unsafe {
                    let values = patch::cells::<S, F>(simd, &input, channel);
                    for (position, value) in values.into_iter().enumerate() {
                        let place = place(position, channel, PANEL_ROWS, planes[0]);
                        simd.store(patches.at(place), value);
                    }
                }
            }
            let output = pair.map(|index| self.error(index));
            for channel in (0..k).step_by(S::LANES) {
                // SAFETY: as for the patches, with `k` values.
                unsafe {
                    let values = patch::cells::<S, F>(simd, &output, channel);
                    for (position, value) in values.into_iter().enumerate() {
                        let place = place(position, channel, width, planes[1]);
                        simd.store(errors.at(place), value);
                    }
                }
            }
        }
    }
}

impl<F: Factors> TransformTiles<'_, F> {
    /// Input pixels of a tile; zeros without a tile.
    #[inline(always)]
    fn patch(&self, index: Option<usize>) -> Patch<POSITIONS> {
        let pixels = match index {
            Some(index) => self
                .tiles
                .source_pixels(self.tiles.tile(self.first + index)),
            None => [None; POSITIONS],
        };
        Patch::new(pixels, self.input, self.target.channels[0], self.zeros)
    }

    /// Pixels of the output's gradient in a tile; zeros without a tile.
    #[inline(always)]
    fn error(&self, index: Option<usize>) -> Patch<{ TILE * TILE }> {
        let pixels = match index {
            Some(index) => self
                .tiles
                .result_pixels(self.tiles.tile(self.first + index)),
            None => [None; TILE * TILE],
        };
        Patch::new(
            pixels,
            self.output_gradient,
            self.target.channels[1],
            self.zeros,
        )
    }
}

struct MultiplyPosition<'a, F> {
    transformed: &'a Transformed<F>,
    position: usize,
    /// Panels of output channels.
    panels: Range<usize>,
    sums: Shared,
}

impl<F: Factors> Operation for MultiplyPosition<'_, F> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Transformed {
            channels: [c, k],
            planes,
            patches,
            errors,
            ..
        } = *self.transformed;
        let cells = self.transformed.cells();
        let width = tile_width::<S>();
        for start in (0..cells).step_by(DEPTH_CELLS) {
            let depth = DEPTH_CELLS.min(cells - start);
            for panel in self.panels.clone() {
                let b = self.position * planes[1] + (panel * cells + start) * width;
                for row in (0..c).step_by(PANEL_ROWS) {
                    let a = self.position * planes[0] + row * cells + start * PANEL_ROWS;
                    let target = outer::Target {
                        start: self.sums.at((self.position * c + row) * k + panel * width),
                        row_stride: k,
                        rows: PANEL_ROWS.min(c - row),
                        columns: width.min(k - panel * width),
                    };
                    // SAFETY: both panels hold `cells` cells; only this task writes this part of the sums.
                    unsafe {
                        let (a, b) = (patches.at(a), errors.at(b));
                        outer::accumulate::<S, F>(simd, Left::panel(a), b, depth, target);
                    }
                }
            }
        }
    }
}

struct TransformBack<'a> {
    sums: &'a [f32],
    channel: usize,
    channels: [usize; 2],
    gradient: Shared,
}

impl Operation for TransformBack<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let [c, k] = self.channels;
        let mut lanes = [0.0; 16];
        for channel_out in (0..k).step_by(S::LANES) {
            let mut columns = [[simd.splat(0.0); PATCH]; 3];
            for x in 0..PATCH {
                let mut u = [simd.splat(0.0); PATCH];
                for (y, value) in u.iter_mut().enumerate() {
                    let row = (y * PATCH + x) * c + self.channel;
                    let sums = &self.sums[row * k + channel_out..][..S::LANES];
                    // SAFETY: `sums` has as many values as a vector has lanes.
                    *value = unsafe { simd.load(sums.as_ptr()) };
                }
                let g = transform::filter_gradient(simd, u);
                for y in 0..3 {
                    columns[y][x] = g[y];
                }
            }
            for (y, row) in columns.into_iter().enumerate() {
                for (x, value) in transform::filter_gradient(simd, row)
                    .into_iter()
                    .enumerate()
                {
                    // SAFETY: no vector is longer than `lanes`.
                    unsafe { simd.store(lanes.as_mut_ptr(), value) };
                    for (lane, value) in lanes[..S::LANES].iter().enumerate() {
                        let pair = (channel_out + lane) * c + self.channel;
                        // SAFETY: only this task writes the gradients of this input channel.
                        unsafe { *self.gradient.at(pair * 9 + y * 3 + x) = *value };
                    }
                }
            }
        }
    }
}
