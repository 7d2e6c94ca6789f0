//! The gradient of the weights: for each channel and tap, the sum over pixels of its input pixel times the gradient of
//! the output.

use rayon::prelude::*;

use super::{
    DepthwiseShape,
    lines::Lines,
    plan::{BLOCK, Plan},
};
use crate::{
    memory::{Buffer, ScratchLoan, Shared, check},
    simd::{Operation, Simd},
    values::Values,
};

/// Images whose sums are added in `f32`, at most. Their number decides the order of additions, so it does not depend on
/// the number of threads.
const GROUP: usize = 4;

/// Taps whose sums are in registers at a time, at most.
const TAPS: usize = 9;

/// Sets `gradient`, `[channels][height][width]`. The order of every sum does not depend on the number of threads.
pub(super) fn weight_gradient<S: Simd>(
    simd: S,
    shape: &DepthwiseShape,
    [input, output_gradient]: [&[f32]; 2],
    gradient: &mut [f32],
) {
    let plan = Plan::forward(shape);
    let (blocks, taps) = (plan.blocks(), plan.taps());
    let groups = shape.n.div_ceil(GROUP);
    let part_len = taps * BLOCK;
    // `[group][block][tap][BLOCK]`
    let mut parts = Buffer::zeros(groups * blocks * part_len);
    let shared = Shared::new(parts.as_mut_slice());
    (0..groups * blocks)
        .into_par_iter()
        .with_max_len(1)
        .for_each(|part| {
            simd.vectorize(Piece {
                plan: &plan,
                input,
                output_gradient,
                group: part / blocks,
                block: part % blocks,
                n: shape.n,
                sums: shared,
                start: part * part_len,
            });
        });
    let parts = parts.as_slice();
    let channels = gradient.par_chunks_exact_mut(taps).enumerate();
    channels.for_each(|(channel, kernel)| {
        for (tap, value) in kernel.iter_mut().enumerate() {
            let first = (channel / BLOCK * taps + tap) * BLOCK + channel % BLOCK;
            // Without images there are no parts.
            let of_groups = parts.iter().skip(first).step_by(blocks * part_len);
            *value = of_groups.map(|&part| f64::from(part)).sum::<f64>() as f32;
        }
    });
}

/// The sums of a group of images, for a block of channels.
struct Piece<'a> {
    plan: &'a Plan,
    input: &'a [f32],
    output_gradient: &'a [f32],
    group: usize,
    block: usize,
    n: usize,
    sums: Shared,
    /// Position of the first sum.
    start: usize,
}

impl Operation for Piece<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let plan = self.plan;
        let [height, width] = plan.result;
        let [kernel_height, kernel_width] = plan.kernel();
        let mut loan = ScratchLoan::take();
        let scratch = loan.get();
        let input = Values::F32(self.input).source();
        let errors = &mut scratch.second;
        errors.resize(width * BLOCK);
        let mut all = Vec::with_capacity(plan.taps());
        for image in self.group * GROUP..self.n.min((self.group + 1) * GROUP) {
            let mut lines = Lines::new(plan, input, image, &mut scratch.first);

            for y in 0..height {
                // SAFETY: the input holds all images.
                unsafe { lines.prepare(simd, y, self.block) };
                self.copy_errors(simd, (image * height + y) * width, errors.as_mut_slice());
                let errors = errors.as_slice();
                let taps = &plan.phases[0].taps;
                all.clear();
                for row in 0..kernel_height {
                    let Some(source) = plan.source_row(y, row) else {
                        continue;
                    };
                    let line = lines.line(source);
                    for tap in taps {
                        all.push(Read {
                            values: line + tap.pixel * BLOCK,
                            sum: self.start + (row * kernel_width + tap.column) * BLOCK,
                        });
                    }
                }
                let chunks = all.len().div_ceil(TAPS);
                for chunk in 0..chunks {
                    let taps = &all[chunk * all.len() / chunks..(chunk + 1) * all.len() / chunks];
                    // SAFETY: only this task writes these sums.
                    unsafe { self.add(simd, errors, lines.values(), taps) };
                }
            }
        }
    }
}

/// What a tap reads for a row of the output.
#[derive(Clone, Copy)]
struct Read {
    /// Position of the first pixel in the lines.
    values: usize,
    /// Position of the tap's sum.
    sum: usize,
}

impl Piece<'_> {
    /// Copies a row of the output's gradient, which begins with this pixel, for the block's channels.
    #[inline(always)]
    fn copy_errors<S: Simd>(&self, simd: S, pixel: usize, errors: &mut [f32]) {
        let channels = self.plan.channels();
        let first = self.block * BLOCK;
        let used = BLOCK.min(channels - first);
        let source = Values::F32(self.output_gradient).source();
        for (x, to) in errors.chunks_exact_mut(BLOCK).enumerate() {
            let from = (pixel + x) * channels + first;
            for lane in (0..BLOCK).step_by(S::LANES) {
                let n = S::LANES.min(used.saturating_sub(lane));
                // SAFETY: these channels of the pixel exist; a block is whole vectors.
                unsafe {
                    let values = match n == S::LANES {
                        true => source.load(simd, from + lane),
                        false => source.load_some(simd, (from + lane).min(from + used - n), n),
                    };
                    simd.store(to.as_mut_ptr().add(lane), values);
                }
            }
        }
    }

    /// Adds the products of a row to the sums of up to [`TAPS`] taps.
    ///
    /// # Safety
    ///
    /// Only the caller may use these sums.
    #[inline(always)]
    unsafe fn add<S: Simd>(&self, simd: S, errors: &[f32], lines: &[f32], taps: &[Read]) {
        for lane in (0..BLOCK).step_by(S::LANES) {
            // SAFETY: the caller's promise.
            unsafe {
                match taps.len() {
                    1 => self.add_taps::<S, 1>(simd, errors, lines, taps, lane),
                    2 => self.add_taps::<S, 2>(simd, errors, lines, taps, lane),
                    3 => self.add_taps::<S, 3>(simd, errors, lines, taps, lane),
                    4 => self.add_taps::<S, 4>(simd, errors, lines, taps, lane),
                    5 => self.add_taps::<S, 5>(simd, errors, lines, taps, lane),
                    6 => self.add_taps::<S, 6>(simd, errors, lines, taps, lane),
                    7 => self.add_taps::<S, 7>(simd, errors, lines, taps, lane),
                    8 => self.add_taps::<S, 8>(simd, errors, lines, taps, lane),
                    _ => self.add_taps::<S, TAPS>(simd, errors, lines, taps, lane),
                }
            }
        }
    }

    /// # Safety
    ///
    /// As for [`add`](Self::add).
    #[inline(always)]
    unsafe fn add_taps<S: Simd, const N: usize>(
        &self,
        simd: S,
        errors: &[f32],
        lines: &[f32],
        taps: &[Read],
        lane: usize,
    ) {
        let mut values = [std::ptr::null(); N];
        for n in 0..N {
            check(taps[n].values + errors.len() <= lines.len());
            values[n] = lines.as_ptr().wrapping_add(taps[n].values + lane);
        }
        let mut sums = [simd.splat(0.0); N];
        for at in (0..errors.len()).step_by(BLOCK) {
            // SAFETY: errors and values have as many blocks of whole vectors.
            unsafe {
                let error = simd.load(errors.as_ptr().add(at + lane));
                for n in 0..N {
                    sums[n] = simd.mul_add(error, simd.load(values[n].add(at)), sums[n]);
                }
            }
        }
        for n in 0..N {
            let place = self.sums.at(taps[n].sum + lane);
            // SAFETY: the caller's promise; a sum's block is whole vectors.
            unsafe { simd.store(place, simd.add(simd.load(place), sums[n])) };
        }
    }
}
