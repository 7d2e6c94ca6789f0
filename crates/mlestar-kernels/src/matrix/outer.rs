//! The sum over pixels of a column times a row, added to a matrix: `out += aᵀ b`.
//!
//! `a` and `b` are panels of cells (see [`Factors`]), of one or more pixels each, usually `[cell][PANEL_ROWS]` and
//! `[cell][tile_width]`, so that both are read sequentially.

use super::{Factors, TILE_ROWS, WIDEST_TILE, call_tile, tile_width};
use crate::simd::Simd;

/// Rows of the result for one panel of `a`.
pub(crate) const PANEL_ROWS: usize = 16;

/// The destination of the result.
#[derive(Clone, Copy)]
pub(crate) struct Target {
    /// First row and column of this pair of panels.
    pub start: *mut f32,
    /// Distance between rows in values.
    pub row_stride: usize,
    /// Rows to write, at most [`PANEL_ROWS`].
    pub rows: usize,
    /// Columns to write, at most a tile's width.
    pub columns: usize,
}

/// The left panel.
#[derive(Clone, Copy)]
pub(crate) struct Left {
    /// The first cell of the first row.
    pub start: *const f32,
    /// Distance between cells of a row.
    pub stride: usize,
}

impl Left {
    /// A panel `[cell][PANEL_ROWS]`.
    pub(crate) fn panel(start: *const f32) -> Self {
        Self {
            start,
            stride: PANEL_ROWS,
        }
    }
}

/// Adds the product of two panels of `cells` cells of pixels to `target`.
///
/// # Safety
///
/// `cells` cells of the target's rows must be readable in `a`, `cells * tile_width` at `b`. The rows and columns of
/// `target` must be writable by this call only.
#[inline(always)]
pub(crate) unsafe fn accumulate<S: Simd, F: Factors>(
    simd: S,
    a: Left,
    b: *const f32,
    cells: usize,
    target: Target,
) {
    for first in (0..target.rows).step_by(TILE_ROWS) {
        let a = Left {
            start: a.start.wrapping_add(first),
            ..a
        };
        let part = Target {
            start: target.start.wrapping_add(first * target.row_stride),
            rows: TILE_ROWS.min(target.rows - first),
            ..target
        };
        // SAFETY: the caller's promise, for some of the rows.
        unsafe { call_tile!(S, F, part.rows, tile(simd, a, b, cells, part)) };
    }
}

/// # Safety
///
/// As for [`accumulate`], with `ROWS` rows.
#[inline(always)]
unsafe fn tile<S: Simd, F: Factors, const ROWS: usize, const VECTORS: usize>(
    simd: S,
    mut a: Left,
    mut b: *const f32,
    cells: usize,
    target: Target,
) {
    let mut sums = [[simd.splat(0.0); VECTORS]; ROWS];
    for _ in 0..cells {
        // SAFETY: both panels hold `cells` cells of each row and column.
        unsafe {
            let mut row = [simd.splat(0.0); VECTORS];
            for v in 0..VECTORS {
                row[v] = simd.load(b.add(v * S::LANES));
            }
            for r in 0..ROWS {
                let value = simd.splat(*a.start.add(r));
                for v in 0..VECTORS {
                    sums[r][v] = F::mul_add(simd, value, row[v], sums[r][v]);
                }
            }
            a.start = a.start.wrapping_add(a.stride);
            b = b.wrapping_add(tile_width::<S>());
        }
    }
    for (r, sums) in sums.into_iter().enumerate() {
        let start = target.start.wrapping_add(r * target.row_stride);
        if target.columns == VECTORS * S::LANES {
            for (v, sum) in sums.into_iter().enumerate() {
                let place = start.wrapping_add(v * S::LANES);
                // SAFETY: all columns of the tile are within the target.
                unsafe { simd.store(place, simd.add(simd.load(place), sum)) };
            }
            continue;
        }
        let mut lanes = [0.0; WIDEST_TILE];
        for (v, sum) in sums.into_iter().enumerate() {
            // SAFETY: no tile is wider than `lanes`.
            unsafe { simd.store(lanes.as_mut_ptr().add(v * S::LANES), sum) };
        }
        for (lane, sum) in lanes[..target.columns].iter().enumerate() {
            // SAFETY: `lane` is below the number of the target's columns.
            unsafe { *start.wrapping_add(lane) += sum };
        }
    }
}
