//! The storage of a matrix product's factors: cells of 32 bits, in slices of `f32`.

use crate::simd::{Simd, pack_pair};

/// How to multiply cells.
pub(crate) trait Factors: Copy + Send + Sync + std::fmt::Debug {
    /// Number of consecutive factors of a sum in a cell.
    const PER_CELL: usize;

    /// A left factor, as a layer's input stores it. Any bits are a value.
    type Value: Copy + Send + Sync + std::fmt::Debug + Default;
    /// A right factor before it is packed.
    type Weight: Copy + Send + Sync + Default;

    /// `c` plus the products of the factors in the cells of `a` and `b`.
    fn mul_add<S: Simd>(simd: S, a: S::Vector, b: S::Vector, c: S::Vector) -> S::Vector;

    /// The cell of these factors, of which there are [`PER_CELL`](Self::PER_CELL).
    fn cell(weights: [Self::Weight; 4]) -> f32;
}

/// A cell is an `f32`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Single;

impl Factors for Single {
    const PER_CELL: usize = 1;

    type Value = f32;
    type Weight = f32;

    #[inline(always)]
    fn mul_add<S: Simd>(simd: S, a: S::Vector, b: S::Vector, c: S::Vector) -> S::Vector {
        simd.mul_add(a, b, c)
    }

    #[inline(always)]
    fn cell([weight, ..]: [f32; 4]) -> f32 {
        weight
    }
}

/// A cell is two bfloat16, the first one in its lower half. Sums are `f32`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pairs;

impl Factors for Pairs {
    const PER_CELL: usize = 2;

    type Value = u16;
    type Weight = f32;

    #[inline(always)]
    fn mul_add<S: Simd>(simd: S, a: S::Vector, b: S::Vector, c: S::Vector) -> S::Vector {
        simd.mul_add_pairs(a, b, c)
    }

    #[inline(always)]
    fn cell([first, second, ..]: [f32; 4]) -> f32 {
        pack_pair(first, second)
    }
}

/// A cell is four bytes, the first one in its lowest bits: left factors without sign, right ones with. Sums are the
/// bits of `i32`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Quads;

impl Factors for Quads {
    const PER_CELL: usize = 4;

    type Value = u8;
    type Weight = i8;

    #[inline(always)]
    fn mul_add<S: Simd>(simd: S, a: S::Vector, b: S::Vector, c: S::Vector) -> S::Vector {
        simd.mul_add_quads(a, b, c)
    }

    #[inline(always)]
    fn cell(weights: [i8; 4]) -> f32 {
        // In memory the first byte has the lowest address, where integers have their lowest bits.
        f32::from_bits(u32::from_le_bytes(weights.map(|weight| weight as u8)))
    }
}
