//! Symmetric products by bands of rows, each from the diagonal to the right.

use rayon::prelude::*;

use super::multiply_directly;
use crate::{
    KernelError, Level,
    error::check_length,
    memory::{Buffer, Shared},
};

/// Rows of a band: whole tiles of rows, and their columns whole panels of every instruction set.
const ROWS: usize = 96;
/// Side of the squares in which a band is mirrored, so that the lines written stay in the first-level cache.
const SQUARE: usize = 16;

/// Like [`multiply_symmetric`](super::multiply_symmetric), with factors of 24 bits.
pub(super) fn multiply_symmetric(
    level: Level,
    left: &[f32],
    right: &[f32],
    [side, summed]: [usize; 2],
    added: Option<&[f32]>,
    out: &mut [f32],
) -> Result<(), KernelError> {
    if side <= ROWS {
        return multiply_directly(level, left, right, [side, summed, side], added, out);
    }
    check_length("left factors", left, side * summed)?;
    check_length("right factors", right, side * summed)?;
    check_length("products", out, side * side)?;
    added.map_or(Ok(()), |added| {
        check_length("added values", added, side * side)
    })?;
    let out = Shared::new(out);
    (0..side.div_ceil(ROWS))
        .into_par_iter()
        .try_for_each(|band| {
            let first = band * ROWS;
            let last = side.min(first + ROWS);
            let (rows, columns) = (last - first, side - first);
            let mut products = Buffer::new(rows * columns);
            multiply_directly(
                level,
                &left[first * summed..last * summed],
                &right[first * summed..],
                [rows, summed, columns],
                None,
                products.as_mut_slice(),
            )?;
            let products = products.as_slice();
            for left_column in (0..columns).step_by(SQUARE) {
                for row in 0..rows {
                    // On the diagonal and to its right.
                    for column in left_column.max(row)..columns.min(left_column + SQUARE) {
                        let place = (first + row) * side + first + column;
                        let value = products[row * columns + column]
                            + added.map_or(0.0, |added| added[place]);
                        // SAFETY: both are within the result, and only this task writes them: a value and its
                        // mirror belong to the band of the smaller of their two indices.
                        unsafe {
                            *out.at(place) = value;
                            *out.at((first + column) * side + first + row) = value;
                        }
                    }
                }
            }
            Ok(())
        })
}
