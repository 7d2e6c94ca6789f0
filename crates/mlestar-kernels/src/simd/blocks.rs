//! The layout of products of 32x32 blocks of bfloat16, summed in `f32`, as a processor's matrix unit computes them.
//!
//! A cell is two bfloat16 (see `matrix::Pairs`), so a row or column of 32 factors has 16 cells. A block of factors
//! consists of two tiles of 16 times 16 cells, one after the other:
//!
//! - of left factors `[half of the rows][16 rows][16 cells]`,
//! - of right factors `[half of the columns][16 cells][16 columns]`.

/// Rows, columns and factors of a block.
pub(crate) const SIDE: usize = 32;
/// Rows, columns and cells of a tile.
pub(crate) const TILE: usize = 16;
/// Cells of a tile.
pub(crate) const TILE_CELLS: usize = TILE * TILE;
/// Cells of a block of factors.
pub(crate) const CELLS: usize = 2 * TILE_CELLS;
/// Values of a block of sums.
pub(crate) const SUMS: usize = SIDE * SIDE;

/// Start of the factors of a product.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub(crate) struct Product {
    pub left: *const f32,
    pub right: *const f32,
}

/// The products to sum.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Products<'a> {
    pub list: &'a [Product],
    /// Cells from the address in [`Product`] to the first block.
    pub shift: [usize; 2],
    /// Number of consecutive blocks that are multiplied in pairs.
    pub depth: usize,
}

/// A block of sums, 32 rows of 32.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Target {
    pub start: *mut f32,
    /// Distance between rows in values.
    pub row_stride: usize,
    /// Whether to add products to the existing values or to replace them.
    pub add: bool,
}
