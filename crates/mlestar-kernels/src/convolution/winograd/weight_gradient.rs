//! The gradient of the weights, by the transposed algorithm: patches and output gradients are
//! transformed, multiplied position by position and summed over the tiles; the 36 sums of a pair of
//! channels become its 9 gradients.

use std::ops::Range;

use rayon::prelude::*;

use super::{
    super::Conv2dShape,
    PLANE_PADDING,
    tiles::{PATCH, POSITIONS, TILE, Tiles},
    transform, transform_patch,
};
use crate::{
    matrix::{
        outer::{self, PANEL_ROWS},
        tile_width,
    },
    memory::{Buffer, Shared},
    simd::{Operation, Simd},
};

/// Tiles that are transformed before they are multiplied.
const CHUNK_TILES: usize = 256;
/// Tiles that one piece of work transforms.
const PIECE_TILES: usize = 16;
/// Tiles that are multiplied at a time: two panels of as many rows fit the first-level cache.
const DEPTH_TILES: usize = 128;

/// Sets `gradient`, `[channels_out][channels_in][3][3]`. Every sum is taken in the same order whatever
/// the number of threads.
pub(crate) fn weight_gradient<S: Simd>(
    simd: S,
    shape: &Conv2dShape,
    input: &[f32],
    output_gradient: &[f32],
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
        padding: shape.padding,
    };
    let total = shape.n * tiles.per_picture();
    let chunk = CHUNK_TILES.min(total);
    let k_padded = k.next_multiple_of(width);
    let planes = [c, k_padded].map(|channels| chunk * channels + PLANE_PADDING);
    let mut patches = Buffer::default();
    patches.resize(POSITIONS * planes[0]);
    let mut errors = Buffer::default();
    errors.resize(POSITIONS * planes[1]);
    // `[position][c][k]`
    let mut sums = Buffer::zeros(POSITIONS * c * k);
    let zeros = vec![0.0; c.max(k)];

    for first in (0..total).step_by(chunk.max(1)) {
        let n = chunk.min(total - first);
        let transformed = Transformed {
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
struct Transformed {
    /// Tiles in the chunk.
    n: usize,
    channels: [usize; 2],
    planes: [usize; 2],
    /// `[position][c / PANEL_ROWS][tile][PANEL_ROWS]`
    patches: Shared,
    /// `[position][k / tile_width][tile][tile_width]`
    errors: Shared,
}

struct TransformTiles<'a> {
    tiles: &'a Tiles,
    /// First tile of the chunk.
    first: usize,
    /// Tiles of the chunk.
    range: Range<usize>,
    input: &'a [f32],
    output_gradient: &'a [f32],
    zeros: &'a [f32],
    target: &'a Transformed,
}

impl Operation for TransformTiles<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Transformed {
            n,
            channels: [c, _],
            planes,
            patches,
            ..
        } = *self.target;
        for index in self.range.clone() {
            let tile = self.tiles.tile(self.first + index);
            let place = |position: usize, channel: usize, panel: usize, plane: usize| {
                position * plane + (channel / panel * n + index) * panel + channel % panel
            };
            // SAFETY: `weight_gradient` has checked the input; the planes hold whole panels of every
            // channel for each tile of the chunk, and this tile's are written here alone.
            unsafe {
                let (tiles, input, zeros) = (self.tiles, self.input, self.zeros);
                transform_patch(simd, tiles, tile, input, zeros, c, |position, c, v| {
                    simd.store(patches.at(place(position, c, PANEL_ROWS, planes[0])), v);
                });
            }
            self.transform_errors(simd, index);
        }
    }
}

impl TransformTiles<'_> {
    #[inline(always)]
    fn transform_errors<S: Simd>(&self, simd: S, index: usize) {
        let Transformed {
            n,
            channels: [_, k],
            planes,
            errors,
            ..
        } = *self.target;
        let width = tile_width::<S>();
        let tile = self.tiles.tile(self.first + index);
        let pixels: [*const f32; TILE * TILE] = std::array::from_fn(|index| {
            match self.tiles.result_pixel(tile, [index / TILE, index % TILE]) {
                Some(pixel) => self.output_gradient[pixel * k..][..k].as_ptr(),
                None => self.zeros.as_ptr(),
            }
        });
        for channel in (0..k).step_by(S::LANES) {
            let mut columns = [[simd.splat(0.0); TILE]; PATCH];
            for x in 0..TILE {
                let mut d = [simd.splat(0.0); TILE];
                for (y, value) in d.iter_mut().enumerate() {
                    // SAFETY: every pixel has `k` values, a multiple of the lanes.
                    *value = unsafe { simd.load(pixels[y * TILE + x].add(channel)) };
                }
                let e = transform::output_gradient(simd, d);
                for y in 0..PATCH {
                    columns[y][x] = e[y];
                }
            }
            for (y, row) in columns.into_iter().enumerate() {
                let e = transform::output_gradient(simd, row);
                for (x, value) in e.into_iter().enumerate() {
                    let place = (y * PATCH + x) * planes[1]
                        + (channel / width * n + index) * width
                        + channel % width;
                    // SAFETY: as for the patches.
                    unsafe { simd.store(errors.at(place), value) };
                }
            }
        }
    }
}

struct MultiplyPosition<'a> {
    transformed: &'a Transformed,
    position: usize,
    /// Panels of output channels.
    panels: Range<usize>,
    sums: Shared,
}

impl Operation for MultiplyPosition<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Transformed {
            n,
            channels: [c, k],
            planes,
            patches,
            errors,
        } = *self.transformed;
        let width = tile_width::<S>();
        for start in (0..n).step_by(DEPTH_TILES) {
            let depth = DEPTH_TILES.min(n - start);
            for panel in self.panels.clone() {
                let b = self.position * planes[1] + (panel * n + start) * width;
                for row in (0..c).step_by(PANEL_ROWS) {
                    let a = self.position * planes[0] + row * n + start * PANEL_ROWS;
                    let target = outer::Target {
                        start: self.sums.at((self.position * c + row) * k + panel * width),
                        row_stride: k,
                        rows: PANEL_ROWS.min(c - row),
                        columns: width.min(k - panel * width),
                    };
                    // SAFETY: both panels hold `n` tiles; this part of the sums is this piece's alone.
                    unsafe {
                        outer::accumulate(simd, patches.at(a), errors.at(b), depth, target);
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
                        // SAFETY: this input channel's gradients are written here alone.
                        unsafe { *self.gradient.at(pair * 9 + y * 3 + x) = *value };
                    }
                }
            }
        }
    }
}
