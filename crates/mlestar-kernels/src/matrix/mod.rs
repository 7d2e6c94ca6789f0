//! The two matrix products that everything rests on, as tiles that stay in registers.
//!
//! - [`rows`]: rows, given by pointers, times packed weights: convolutions, and the product of each
//!   Winograd position.
//! - [`outer`]: the sum over pixels of a column times a row: weight gradients.

pub(crate) mod outer;
pub(crate) mod rows;

use crate::simd::Simd;

/// Rows of a tile: with two vectors a row, 12 independent sums keep two multiply-add units busy over
/// their latency of four or five cycles, and fit the 16 registers of AVX2.
pub(crate) const TILE_ROWS: usize = 6;

/// Columns of a tile: output channels of one panel of packed weights.
pub(crate) const fn tile_width<S: Simd>() -> usize {
    S::LANES * S::TILE_VECTORS
}

/// Widest tile of any instruction set.
pub(crate) const WIDEST_TILE: usize = 32;
