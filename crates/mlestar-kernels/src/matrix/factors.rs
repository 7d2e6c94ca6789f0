//! The storage of a matrix product's factors: cells of 32 bits, in slices of `f32`.

use crate::simd::Simd;

/// How to multiply cells. Sums are always `f32`.
pub(crate) trait Factors: Copy + Send + Sync + std::fmt::Debug {
    /// Number of consecutive factors of a sum in a cell.
    const PER_CELL: usize;

    /// `c` plus the products of the factors in the cells of `a` and `b`.
    fn mul_add<S: Simd>(simd: S, a: S::Vector, b: S::Vector, c: S::Vector) -> S::Vector;
}

/// A cell is an `f32`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Single;

impl Factors for Single {
    const PER_CELL: usize = 1;

    #[inline(always)]
    fn mul_add<S: Simd>(simd: S, a: S::Vector, b: S::Vector, c: S::Vector) -> S::Vector {
        simd.mul_add(a, b, c)
    }
}

/// A cell is two bfloat16, the first one in its lower half.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pairs;

impl Factors for Pairs {
    const PER_CELL: usize = 2;

    #[inline(always)]
    fn mul_add<S: Simd>(simd: S, a: S::Vector, b: S::Vector, c: S::Vector) -> S::Vector {
        simd.mul_add_pairs(a, b, c)
    }
}
