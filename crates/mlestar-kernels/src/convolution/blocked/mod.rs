//! Convolutions with any kernel, stride and dilation as products of 32x32 blocks of bfloat16, for processors
//! with a matrix unit.
//!
//! The rows of a block are the same pixel of 32 images. The rows of each pixel are contiguous, a tap shifts by
//! whole pixels, and taps beyond the edge are left out.

mod layout;
mod view;
mod weight_gradient;

use std::ops::Range;

use rayon::prelude::*;

use super::{Conv2dShape, weights::WeightView};
use crate::{
    matrix::{
        block::{self, CELLS, Multiplier, Product, Products, SIDE, Sums, TILE, TILE_CELLS},
        rows::Finish,
    },
    memory::{Buffer, ScratchLoan, Shared},
    simd::{Operation, Simd},
    values::{Stored, Target},
};
use layout::Pictures;
use view::View;
pub(crate) use weight_gradient::weight_gradient;

/// Cells of the pixels that a task reads: 768 KiB, which fit a second-level cache together with the weights.
const PIECE_CELLS: usize = 192 << 10;

/// Cells of weights that are used pixel by pixel: 384 KiB.
const WEIGHT_CELLS: usize = 96 << 10;

/// For fewer images than this, Winograd's algorithm may be faster, because it does not pad groups: see
/// `docs/kernels.md`.
pub(crate) const LEAST_PICTURES: usize = 8;

/// Blocks are halves of 16 channels.
pub(crate) fn applies(shape: &Conv2dShape) -> bool {
    [shape.channels_in, shape.channels_out]
        .iter()
        .all(|channels| channels.is_multiple_of(TILE))
}

/// A convolution, or the convolution that computes the gradient of its input, with packed weights.
#[derive(Debug)]
pub(crate) struct Blocked {
    view: View,
    taps: usize,
    summed: usize,
    results: usize,
    /// Blocks `[result / SIDE][tap][summed / SIDE]` of right factors: columns are results.
    weights: Buffer,
}

impl Blocked {
    pub(crate) fn forward<S: Simd>(simd: S, shape: &Conv2dShape, weights: WeightView) -> Self {
        Self::pack(simd, View::forward(shape), shape.taps(), weights)
    }

    pub(crate) fn input_gradient<S: Simd>(
        simd: S,
        shape: &Conv2dShape,
        weights: WeightView,
    ) -> Self {
        Self::pack(simd, View::backward(shape), shape.taps(), weights)
    }

    fn pack<S: Simd>(simd: S, view: View, taps: usize, weights: WeightView) -> Self {
        let [summed, results] = [weights.summed, weights.results].map(|c| c.div_ceil(SIDE));
        let mut packed = Buffer::new(results * taps * summed * CELLS);
        let shared = Shared::new(packed.as_mut_slice());
        (0..results * summed).into_par_iter().for_each(|block| {
            simd.vectorize(PackWeights {
                weights,
                taps,
                block: [block / summed, block % summed],
                packed: shared,
            });
        });
        Self {
            view,
            taps,
            summed: weights.summed,
            results: weights.results,
            weights: packed,
        }
    }

    fn summed_blocks(&self) -> usize {
        self.summed.div_ceil(SIDE)
    }

    /// Bytes of the packed weights.
    pub(crate) fn bytes(&self) -> usize {
        size_of_val(self.weights.as_slice())
    }

    /// Computes the results of `n` images. `target` has as many values as the results.
    pub(crate) fn run<S: Simd, T: Stored>(
        &self,
        simd: S,
        n: usize,
        source: &[T],
        finish: Finish,
        target: Target,
    ) {
        let [height, _] = self.view.result;
        let [source_height, source_width] = self.view.source;
        let source = Pictures {
            values: source,
            n,
            pixels: source_height * source_width,
            channels: self.summed,
        };
        source.check();
        let job = Job {
            blocked: self,
            source,
            target,
            finish,
        };
        let groups = n.div_ceil(SIDE);
        let row_cells = source_width * self.summed_blocks() * CELLS;
        let most = (PIECE_CELLS / row_cells.max(1)).clamp(1, height.max(1));
        // Rows, so that each thread has a task.
        let fair = (groups * height / rayon::current_num_threads()).max(1);
        let parts = height.div_ceil(most.min(fair));
        (0..groups * parts)
            .into_par_iter()
            .with_max_len(1)
            .for_each(|piece| {
                let (group, part) = (piece / parts, piece % parts);
                simd.vectorize(Piece {
                    job: &job,
                    group,
                    rows: part * height / parts..(part + 1) * height / parts,
                });
            });
    }
}

struct PackWeights<'a> {
    weights: WeightView<'a>,
    taps: usize,
    /// Block of results and of summed channels.
    block: [usize; 2],
    packed: Shared,
}

impl Operation for PackWeights<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let WeightView {
            values,
            results,
            summed,
            ..
        } = self.weights;
        let blocks = summed.div_ceil(SIDE);
        let [result_block, summed_block] = self.block;
        let taps = self.taps;
        // Of each channel of a cell, `[tap][result]`.
        let mut lanes = [Vec::new(), Vec::new()];
        for half in 0..2 {
            let first = result_block * SIDE + half * TILE;
            let real = TILE.min(results.saturating_sub(first));
            for cell in 0..TILE {
                for (part, lanes) in lanes.iter_mut().enumerate() {
                    lanes.clear();
                    lanes.resize(taps, [0.0; TILE]);
                    let channel = summed_block * SIDE + cell * 2 + part;
                    if channel >= summed {
                        continue;
                    }
                    for lane in 0..real {
                        let kernel =
                            &values[self.weights.position(first + lane, channel)..][..taps];
                        for (lanes, value) in lanes.iter_mut().zip(kernel) {
                            lanes[lane] = *value;
                        }
                    }
                }
                for tap in 0..taps {
                    let block = ((result_block * taps + tap) * blocks + summed_block) * CELLS;
                    let (first, second) = (&lanes[0][tap], &lanes[1][tap]);
                    for v in (0..TILE).step_by(S::LANES) {
                        let place = block + half * TILE_CELLS + cell * TILE + v;
                        // SAFETY: both arrays hold a tile's columns; only this task writes these blocks.
                        unsafe {
                            let first = simd.load(first.as_ptr().add(v));
                            let second = simd.load(second.as_ptr().add(v));
                            simd.store(self.packed.at(place), simd.pack_pairs(first, second));
                        }
                    }
                }
            }
        }
    }
}

struct Job<'a, T> {
    blocked: &'a Blocked,
    source: Pictures<'a, T>,
    target: Target,
    finish: Finish<'a>,
}

/// Some rows of the result of a group of images.
struct Piece<'a, T> {
    job: &'a Job<'a, T>,
    group: usize,
    rows: Range<usize>,
}

impl<T: Stored> Operation for Piece<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Blocked {
            ref view,
            taps,
            results,
            ref weights,
            ..
        } = *self.job.blocked;
        let mut loan = ScratchLoan::take();
        let scratch = loan.get();
        let depth = self.job.blocked.summed_blocks();
        let [_, source_width] = view.source;
        let [_, width] = view.result;
        let source_rows = view.source_rows(self.rows.clone());
        let pixels = source_rows.start * source_width..source_rows.end * source_width;
        scratch.first.resize(pixels.len() * depth * CELLS);
        let blocks = scratch.first.as_mut_slice();
        layout::left_rows(simd, self.job.source, self.group, pixels.clone(), blocks);
        let (blocks, weights) = (blocks.as_ptr(), weights.as_slice());

        // The inputs of each result pixel, for the first block of results.
        let mut products = Vec::new();
        let mut ends = Vec::new();
        for y in self.rows.clone() {
            for x in 0..width {
                view.for_each_tap([y, x], |[sy, sx], tap| {
                    let pixel = sy * source_width + sx - pixels.start;
                    products.push(Product {
                        left: blocks.wrapping_add(pixel * depth * CELLS),
                        right: weights[tap * depth * CELLS..].as_ptr(),
                    });
                });
                ends.push(products.len());
            }
        }
        let mut multiplier = Multiplier::new(simd);
        let mut sums = Sums::ZERO;
        let block_weights = taps * depth * CELLS;
        let all = results.div_ceil(SIDE);
        let most = (WEIGHT_CELLS / block_weights.max(1)).max(1);
        for first in (0..all).step_by(most) {
            let mut start = 0;
            for (index, &end) in ends.iter().enumerate() {
                let list = &products[start..end];
                start = end;
                let pixel = self.rows.start * width + index;
                for block in first..all.min(first + most) {
                    let products = Products {
                        list,
                        shift: [0, block * block_weights],
                        depth,
                    };
                    let target = self.target(pixel, block);
                    let is_direct = target.is_some();
                    let target = target.unwrap_or(block::Target {
                        start: sums.0.as_mut_ptr(),
                        row_stride: SIDE,
                        add: false,
                    });
                    // SAFETY: each source pixel and each tap of a block of results has `depth` blocks; only
                    // this task writes this pixel of these images.
                    unsafe { multiplier.multiply(products, target) };
                    if !is_direct {
                        self.store(simd, pixel, block, &sums);
                    }
                }
            }
        }
    }
}

impl<T: Stored> Piece<'_, T> {
    /// The target of a pixel's sums if they can be stored directly: nothing is added to them, they stay `f32`, and all
    /// are results.
    #[inline(always)]
    fn target(&self, pixel: usize, block: usize) -> Option<block::Target> {
        let Job {
            blocked,
            finish,
            target,
            ..
        } = self.job;
        let plain =
            finish.bias.is_none() && finish.residual.is_none() && finish.activation.is_none();
        let whole = self.pictures() == SIDE && (block + 1) * SIDE <= blocked.results;
        match plain && whole {
            true => Some(block::Target {
                start: target.f32_at(self.place(0, pixel) + block * SIDE)?,
                row_stride: self.place(1, pixel) - self.place(0, pixel),
                add: false,
            }),
            false => None,
        }
    }

    /// Images of the group.
    fn pictures(&self) -> usize {
        SIDE.min(self.job.source.n - self.group * SIDE)
    }

    /// Start of the results of a pixel for one of the group's images.
    #[inline(always)]
    fn place(&self, picture: usize, pixel: usize) -> usize {
        let Blocked { view, results, .. } = self.job.blocked;
        let [height, width] = view.result;
        ((self.group * SIDE + picture) * height * width + pixel) * results
    }

    /// Stores the sums of a pixel.
    #[inline(always)]
    fn store<S: Simd>(&self, simd: S, pixel: usize, block: usize, sums: &Sums) {
        let Job {
            blocked,
            target,
            finish,
            ..
        } = *self.job;
        let channels = block * SIDE..blocked.results.min((block + 1) * SIDE);
        for row in 0..self.pictures() {
            let start = self.place(row, pixel);
            for channel in channels.clone().step_by(S::LANES) {
                let place = row * SIDE + channel - channels.start;
                let index = start + channel;
                // SAFETY: there are whole vectors of channels; the lengths of bias and residual were checked. Only
                // this task writes this pixel of this image.
                unsafe {
                    let sum = simd.load(sums.0[place..][..S::LANES].as_ptr());
                    let value = finish.apply(simd, sum, [channel, index], S::LANES);
                    target.store(simd, index, value);
                }
            }
        }
    }
}
