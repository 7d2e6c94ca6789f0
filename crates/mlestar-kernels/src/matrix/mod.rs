//! Matrix products, the basis of all kernels, as tiles that stay in registers.
//!
//! - [`rows`]: rows, given by pointers, times packed weights: convolutions, and the product of each
//!   Winograd position.
//! - [`outer`]: the sum over pixels of a column times a row: weight gradients.
//! - [`block`]: blocks of bfloat16, for a matrix unit.

pub(crate) mod block;
mod factors;
pub(crate) mod outer;
pub(crate) mod rows;

use crate::simd::Simd;
pub(crate) use factors::{Factors, Pairs, Quads, Single};

/// Rows of a tile: with two vectors per row, 12 independent sums keep two multiply-add units busy over their
/// latency of four or five cycles, and fit the 16 registers of AVX2.
pub(crate) const TILE_ROWS: usize = 6;

/// Columns of a tile: output channels of one panel of packed weights.
pub(crate) const fn tile_width<S: Simd>() -> usize {
    S::LANES * S::TILE_VECTORS
}

/// Widest tile of any instruction set.
pub(crate) const WIDEST_TILE: usize = 32;

/// Calls `$tile::<S, F, ROWS, VECTORS>($arguments)` for 1 to [`TILE_ROWS`] rows and the vectors of a tile,
/// because the compiler must know these sizes.
macro_rules! call_tile {
    ($simd:ty, $factors:ty, $rows:expr, $tile:ident($($argument:expr),*)) => {
        if <$simd>::TILE_VECTORS == 2 {
            match $rows {
                1 => $tile::<$simd, $factors, 1, 2>($($argument),*),
                2 => $tile::<$simd, $factors, 2, 2>($($argument),*),
                3 => $tile::<$simd, $factors, 3, 2>($($argument),*),
                4 => $tile::<$simd, $factors, 4, 2>($($argument),*),
                5 => $tile::<$simd, $factors, 5, 2>($($argument),*),
                _ => $tile::<$simd, $factors, 6, 2>($($argument),*),
            }
        } else {
            match $rows {
                1 => $tile::<$simd, $factors, 1, 4>($($argument),*),
                2 => $tile::<$simd, $factors, 2, 4>($($argument),*),
                3 => $tile::<$simd, $factors, 3, 4>($($argument),*),
                4 => $tile::<$simd, $factors, 4, 4>($($argument),*),
                5 => $tile::<$simd, $factors, 5, 4>($($argument),*),
                _ => $tile::<$simd, $factors, 6, 4>($($argument),*),
            }
        }
    };
}
use call_tile;
