//! Sums over the taps of a kernel, channel by channel: a depthwise convolution, or the gradient of its input.

use std::ops::Range;

use rayon::prelude::*;

use super::{
    lines::Lines,
    plan::{BLOCK, Phase, Plan},
};
use crate::{
    matrix::rows::Finish,
    memory::{ScratchLoan, check},
    simd::{Operation, Simd},
    values::{Source, Target},
};

/// Columns whose sums are in registers at a time, at most: enough independent ones for two multiply-add units.
const COLUMNS: usize = 8;

/// Source values of a band of rows, at most: they stay in the second-level cache for all blocks of channels.
const BAND_VALUES: usize = 128 << 10;

/// The fewest rows of a band, since its first row needs a kernel's height of source rows.
const LEAST_ROWS: usize = 8;

/// The operands of the sums.
#[derive(Clone, Copy)]
pub(super) struct Sums<'a> {
    pub plan: &'a Plan,
    pub n: usize,
    pub source: Source,
    /// `[block][tap][BLOCK]`.
    pub weights: &'a [f32],
    pub integers: Option<&'a Integers>,
    pub finish: Finish<'a>,
    pub target: Target,
}

/// What sums of whole numbers mean: `(sum + bias) * step`, for all channels of all blocks. The bias is in two parts, so
/// that neither its sum with the first nor the second rounds: only the addition of the second part rounds, once,
/// as the conversion of a whole number to `f32` does.
#[derive(Debug)]
pub(super) struct Integers {
    /// Sums start with these.
    pub low: Vec<f32>,
    pub high: Vec<f32>,
    pub steps: Vec<f32>,
}

impl Sums<'_> {
    /// Sets all of the target.
    pub(super) fn run<S: Simd>(self, simd: S) {
        let plan = self.plan;
        let [height, width] = plan.result;
        let row_values = plan.source[1] * plan.channels() * plan.source[0].div_ceil(height.max(1));
        let rows = (BAND_VALUES / row_values.max(1)).max(LEAST_ROWS);
        let bands = height.div_ceil(rows).max(1);
        let threads = rayon::current_num_threads();
        // With few bands, threads take some of a band's blocks each.
        let parts = match threads {
            1 => 1,
            _ => (2 * threads)
                .div_ceil((self.n * bands).max(1))
                .min(plan.blocks()),
        };
        if width == 0 {
            return;
        }
        (0..self.n * bands * parts)
            .into_par_iter()
            .with_max_len(1)
            .for_each(|piece| {
                let (image, piece) = (piece / (bands * parts), piece % (bands * parts));
                let (band, part) = (piece / parts, piece % parts);
                simd.vectorize(Piece {
                    sums: &self,
                    image,
                    rows: band * height / bands..(band + 1) * height / bands,
                    blocks: part * plan.blocks() / parts..(part + 1) * plan.blocks() / parts,
                });
            });
    }
}

/// Some rows of an image's results, for some blocks of channels.
struct Piece<'a> {
    sums: &'a Sums<'a>,
    image: usize,
    rows: Range<usize>,
    blocks: Range<usize>,
}

/// A source row and the weights that it is multiplied with.
#[derive(Clone, Copy)]
struct Row {
    /// Position of its line.
    line: usize,
    /// Position of the first column's weights in those of the block.
    weights: usize,
}

impl Operation for Piece<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let (sums, plan) = (self.sums, self.sums.plan);
        let mut loan = ScratchLoan::take();
        let mut lines = Lines::new(plan, sums.source, self.image, &mut loan.get().first);
        let [_, kernel_width] = plan.kernel();
        let [height, width] = plan.result;
        let block_len = plan.taps() * BLOCK;
        let mut rows = Vec::with_capacity(plan.rows());
        for block in self.blocks {
            let weights = &sums.weights[block * block_len..][..block_len];
            lines.restart();
            for y in self.rows.clone() {
                // SAFETY: the source holds all images.
                unsafe { lines.prepare(simd, y, block) };
                rows.clear();
                for tap in 0..plan.kernel()[0] {
                    if let Some(row) = plan.source_row(y, tap) {
                        rows.push(Row {
                            line: lines.line(row),
                            weights: tap * kernel_width * BLOCK,
                        });
                    }
                }
                for phase in &plan.phases {
                    let part = Part {
                        sums,
                        phase,
                        rows: &rows,
                        lines: lines.values(),
                        weights,
                        channel: block * BLOCK,
                        target: ((self.image * height + y) * width + phase.start) * plan.channels(),
                    };
                    // SAFETY: the target holds this row, and only this task writes its block of channels.
                    unsafe { part.run(simd) };
                }
            }
        }
    }
}

/// A phase's results in one row, for one block of channels.
#[derive(Clone, Copy)]
struct Part<'a> {
    sums: &'a Sums<'a>,
    phase: &'a Phase,
    rows: &'a [Row],
    lines: &'a [f32],
    /// `[tap][BLOCK]`.
    weights: &'a [f32],
    /// First channel of the block.
    channel: usize,
    /// Position of the first result's first channel in the target.
    target: usize,
}

impl Part<'_> {
    /// # Safety
    ///
    /// The results must be within the target, and only the caller may use them.
    #[inline(always)]
    unsafe fn run<S: Simd>(self, simd: S) {
        let used = BLOCK.min(self.sums.plan.channels() - self.channel);
        let count = self.phase.count;
        for lane in (0..used).step_by(S::LANES) {
            let mut first = 0;
            while first < count {
                let left = count - first;
                // The last results may be computed twice: that takes less time than one by one.
                // SAFETY: the caller's promise; these are results of the phase.
                unsafe {
                    match (left, count) {
                        (COLUMNS.., _) => self.tile::<S, COLUMNS>(simd, lane, first),
                        (5.., COLUMNS..) => self.tile::<S, COLUMNS>(simd, lane, count - COLUMNS),
                        (4.., _) => self.tile::<S, 4>(simd, lane, first),
                        (3.., 4..) => self.tile::<S, 4>(simd, lane, count - 4),
                        (2.., _) => self.tile::<S, 2>(simd, lane, first),
                        _ => self.tile::<S, 1>(simd, lane, first),
                    }
                }
                first += match (left, count) {
                    (COLUMNS.., _) => COLUMNS,
                    (5.., COLUMNS..) | (3, 4..) => left,
                    (4.., _) => 4,
                    (2.., _) => 2,
                    _ => 1,
                };
            }
        }
    }

    /// Computes `N` results from result `first` on, for a vector of channels.
    ///
    /// # Safety
    ///
    /// As for [`run`](Self::run).
    #[inline(always)]
    unsafe fn tile<S: Simd, const N: usize>(&self, simd: S, lane: usize, first: usize) {
        let Sums {
            plan,
            integers,
            finish,
            target,
            ..
        } = *self.sums;
        let channel = self.channel + lane;
        let mut start = simd.splat(0.0);
        if let Some(integers) = integers {
            check(channel + S::LANES <= integers.low.len());
            // SAFETY: there is one for every channel of every block.
            start = unsafe { simd.load(integers.low.as_ptr().add(channel)) };
        }
        let mut sums = [start; N];
        for row in self.rows {
            for tap in &self.phase.taps {
                let weight = row.weights + tap.column * BLOCK;
                let values = row.line + (tap.pixel + first) * BLOCK;
                check(weight + BLOCK <= self.weights.len());
                check(values + N * BLOCK <= self.lines.len());
                // SAFETY: the line holds the pixels that the phase's results read, in blocks of whole vectors.
                unsafe {
                    let weight = simd.load(self.weights.as_ptr().add(weight + lane));
                    let values = self.lines.as_ptr().add(values + lane);
                    for n in 0..N {
                        let value = simd.load(values.add(n * BLOCK));
                        sums[n] = simd.mul_add(value, weight, sums[n]);
                    }
                }
            }
        }
        let n = S::LANES.min(plan.channels() - channel);
        let spacing = self.phase.spacing * plan.channels();
        for (result, mut sum) in sums.into_iter().enumerate() {
            let index = self.target + (first + result) * spacing + channel;
            // SAFETY: there are values for every channel of every block; the caller's promise for the target.
            unsafe {
                if let Some(integers) = integers {
                    let high = simd.load(integers.high.as_ptr().add(channel));
                    let steps = simd.load(integers.steps.as_ptr().add(channel));
                    sum = simd.mul(simd.add(sum, high), steps);
                }
                if n == S::LANES {
                    let value = finish.apply(simd, sum, [channel, index], S::LANES);
                    target.store(simd, index, value);
                } else {
                    let value = finish.apply(simd, sum, [channel, index], n);
                    target.store_some(simd, index, n, value);
                }
            }
        }
    }
}
