//! Products of blocks of bfloat16, laid out as in `simd::blocks`, in the matrix unit or with vectors.

use super::{Factors, Pairs};
pub(crate) use crate::simd::blocks::{
    CELLS, Product, Products, SIDE, SUMS, TILE, TILE_CELLS, Target,
};
use crate::simd::{MatrixUnit, Simd};

/// A block of sums, at the start of a cache line.
#[repr(C, align(64))]
pub(crate) struct Sums(pub [f32; SUMS]);

impl Sums {
    pub(crate) const ZERO: Self = Self([0.0; SUMS]);
}

/// Multiplies blocks, in a matrix unit if there is one, which stays configured as long as this exists.
pub(crate) struct Multiplier<S> {
    simd: S,
    unit: Option<MatrixUnit>,
}

impl<S: Simd> Multiplier<S> {
    #[inline(always)]
    pub(crate) fn new(simd: S) -> Self {
        let unit = simd.matrix_unit();
        Self { simd, unit }
    }

    /// The sums of `products`. How often they are rounded depends on the processor.
    ///
    /// # Safety
    ///
    /// `depth` blocks must be readable at each address in `products`. The rows of `target` must be writable by
    /// this call only, and hold values if products are added to them.
    #[inline(always)]
    pub(crate) unsafe fn multiply(&mut self, products: Products, target: Target) {
        // SAFETY: the caller's promise.
        unsafe {
            match &mut self.unit {
                Some(unit) => unit.multiply(products, target),
                None => multiply(self.simd, products, target),
            }
        }
    }
}

/// Rows whose sums are in registers at a time.
const ROWS: usize = 8;

/// # Safety
///
/// As for [`Multiplier::multiply`].
#[inline(always)]
unsafe fn multiply<S: Simd>(simd: S, products: Products, target: Target) {
    for row in (0..SIDE).step_by(ROWS) {
        for column in (0..SIDE).step_by(S::LANES) {
            // SAFETY: these rows and columns belong to the blocks.
            unsafe { multiply_part(simd, products, [row, column], target) };
        }
    }
}

/// # Safety
///
/// As for [`multiply`]; `ROWS` rows starting with `row` and a vector of columns starting with `column`.
#[inline(always)]
unsafe fn multiply_part<S: Simd>(
    simd: S,
    products: Products,
    [row, column]: [usize; 2],
    target: Target,
) {
    let left_start = products.shift[0] + row * TILE;
    let right_start = products.shift[1] + column / TILE * TILE_CELLS + column % TILE;
    let place = |part: usize| {
        let row = (row + part) * target.row_stride;
        target.start.wrapping_add(row + column)
    };
    let mut sums = [simd.splat(0.0); ROWS];
    // SAFETY: the offsets stay within the blocks, as the caller promises.
    unsafe {
        if target.add {
            for (row, sum) in sums.iter_mut().enumerate() {
                *sum = simd.load(place(row));
            }
        }
        for product in products.list {
            for block in 0..products.depth {
                let left = product.left.add(left_start + block * CELLS);
                let right = product.right.add(right_start + block * CELLS);
                for cell in 0..TILE {
                    let weights = simd.load(right.add(cell * TILE));
                    for (row, sum) in sums.iter_mut().enumerate() {
                        let value = simd.splat(*left.add(row * TILE + cell));
                        *sum = Pairs::mul_add(simd, value, weights, *sum);
                    }
                }
            }
        }
        for (row, sum) in sums.into_iter().enumerate() {
            simd.store(place(row), sum);
        }
    }
}
