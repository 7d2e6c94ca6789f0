//! The sum of squares of many values.

use rayon::prelude::*;

use crate::{
    Level,
    simd::{Operation, Simd},
};

/// Values per task.
const PIECE_VALUES: usize = 32 << 10;

/// Values that are summed in 32 bits, in many parallel sums: each has so few additions that rounding errors do
/// not accumulate.
const BLOCK_VALUES: usize = 1 << 10;

/// Number of sum vectors: enough to keep the multiply-add units busy over their latency.
const SUMS: usize = 4;

/// The sum of the squares of `values`; 0 without values.
///
/// Blocks of 1024 values are summed in 32 bits and the blocks in 64, always in the same order. The bits depend
/// on the instructions used, but not on the number of threads.
///
/// ```
/// assert_eq!(mlestar_kernels::sum_of_squares(&[3.0, 4.0]), 25.0);
/// ```
#[must_use]
pub fn sum_of_squares(values: &[f32]) -> f64 {
    let level = Level::current();
    let pieces: Vec<f64> = values
        .par_chunks(PIECE_VALUES)
        .map(|values| level.run(Squares { values }))
        .collect();
    pieces.iter().sum()
}

struct Squares<'a> {
    values: &'a [f32],
}

impl Operation for Squares<'_> {
    type Output = f64;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> f64 {
        let mut total = 0.0;
        for block in self.values.chunks(BLOCK_VALUES) {
            total += sum_block(simd, block);
        }
        total
    }
}

#[inline(always)]
fn sum_block<S: Simd>(simd: S, block: &[f32]) -> f64 {
    let stride = SUMS * S::LANES;
    let whole = block.len() / stride * stride;
    let mut sums = [simd.splat(0.0); SUMS];
    for at in (0..whole).step_by(stride) {
        for s in 0..SUMS {
            // SAFETY: `at + stride` is within the block.
            let value = unsafe { simd.load(block.as_ptr().add(at + s * S::LANES)) };
            sums[s] = simd.mul_add(value, value, sums[s]);
        }
    }
    let mut total = 0.0;
    for sum in sums {
        // No vector is longer.
        let mut lanes = [0.0_f32; 16];
        // SAFETY: `lanes` has room for a vector.
        unsafe { simd.store(lanes.as_mut_ptr(), sum) };
        for lane in &lanes[..S::LANES] {
            total += f64::from(*lane);
        }
    }
    for value in &block[whole..] {
        total += f64::from(*value) * f64::from(*value);
    }
    total
}
