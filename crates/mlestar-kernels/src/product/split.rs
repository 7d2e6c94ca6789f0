//! Products in a matrix unit: each factor is the sum of two bfloat16 values, and the product of the two lower
//! parts is left out, so that factors effectively have 16 bits.

use rayon::prelude::*;

use crate::{
    matrix::block::{CELLS, Multiplier, Product, Products, SIDE, TILE, TILE_CELLS, Target},
    memory::{Buffer, Shared},
    simd::{Operation, Simd},
};

/// `out = left rightᵀ + added`; all sizes (rows, summed values, columns) are multiples of [`SIDE`].
pub(super) struct SplitProduct<'a> {
    pub left: &'a [f32],
    pub right: &'a [f32],
    pub sizes: [usize; 3],
    pub added: Option<&'a [f32]>,
    pub out: &'a mut [f32],
    /// Whether the result is its own transpose: its blocks below the diagonal are then copied from those above.
    pub symmetric: bool,
}

impl Operation for SplitProduct<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let [rows, summed, columns] = self.sizes;
        assert!(self.sizes.iter().all(|size| size.is_multiple_of(SIDE)));
        assert_eq!(self.left.len(), rows * summed);
        assert_eq!(self.right.len(), columns * summed);
        assert_eq!(self.out.len(), rows * columns);
        assert!(rows == columns || !self.symmetric);
        if let Some(added) = self.added {
            self.out.copy_from_slice(added);
        }
        let depth = summed / SIDE;
        // `[group of SIDE rows][upper, lower][block]`
        let left = split::<S, false>(simd, self.left, summed);
        let right = split::<S, true>(simd, self.right, summed);
        let (left, right) = (left.as_slice(), right.as_slice());
        let out = Shared::new(self.out);
        let add = self.added.is_some();
        let blocks_of = |row: usize| match self.symmetric {
            true => row..columns / SIDE,
            false => 0..columns / SIDE,
        };
        let pairs: Vec<[usize; 2]> = (0..rows / SIDE)
            .flat_map(|row| blocks_of(row).map(move |column| [row, column]))
            .collect();
        let start_of = |[row, column]: [usize; 2]| out.at((row * columns + column) * SIDE);
        pairs.into_par_iter().for_each(|[row, column]| {
            simd.vectorize(MultiplyPair {
                left: &left[row * 2 * depth * CELLS..][..2 * depth * CELLS],
                right: &right[column * 2 * depth * CELLS..][..2 * depth * CELLS],
                depth,
                target: Target {
                    start: start_of([row, column]),
                    row_stride: columns,
                    add,
                },
                mirror: (self.symmetric && row != column).then(|| start_of([column, row])),
            });
        });
    }
}

struct MultiplyPair<'a> {
    left: &'a [f32],
    right: &'a [f32],
    depth: usize,
    target: Target,
    /// Target of the transposed block, if any, with the same distance between rows.
    mirror: Option<*mut f32>,
}

impl Operation for MultiplyPair<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let lower = self.depth * CELLS;
        let product = |left: usize, right: usize| Product {
            left: self.left[left..].as_ptr(),
            right: self.right[right..].as_ptr(),
        };
        let products = Products {
            list: &[product(0, 0), product(0, lower), product(lower, 0)],
            shift: [0, 0],
            depth: self.depth,
        };
        // SAFETY: both sides hold `depth` upper blocks and as many lower ones. Only this task writes this block
        // of the result, and the block holds the values to add if requested.
        unsafe { Multiplier::new(simd).multiply(products, self.target) };
        if let Some(mirror) = self.mirror {
            // SAFETY: the block above is complete, and only this task writes the one below the diagonal.
            unsafe { copy_transposed(simd, self.target.start, mirror, self.target.row_stride) };
        }
    }
}

/// Writes a block of sums at `from` transposed to `to`.
///
/// # Safety
///
/// Both must hold [`SIDE`] rows of as many values, each `row_stride` after the previous one, and must not
/// overlap.
#[inline(always)]
unsafe fn copy_transposed<S: Simd>(simd: S, from: *const f32, to: *mut f32, row_stride: usize) {
    let [mut tile, mut turned] = [[0.0; TILE_CELLS]; 2];
    for row in (0..SIDE).step_by(TILE) {
        for column in (0..SIDE).step_by(TILE) {
            // SAFETY: rows of tiles within the blocks, as the caller promises.
            unsafe {
                for (line, values) in tile.chunks_exact_mut(TILE).enumerate() {
                    let from = from.add((row + line) * row_stride + column);
                    values.as_mut_ptr().copy_from_nonoverlapping(from, TILE);
                }
                simd.transpose(tile.as_ptr(), turned.as_mut_ptr());
                for (line, values) in turned.chunks_exact(TILE).enumerate() {
                    let to = to.add((column + line) * row_stride + row);
                    to.copy_from_nonoverlapping(values.as_ptr(), TILE);
                }
            }
        }
    }
}

/// Converts rows of `summed` values to blocks of factors: right ones with `RIGHT`, otherwise left ones.
fn split<S: Simd, const RIGHT: bool>(simd: S, values: &[f32], summed: usize) -> Buffer {
    let depth = summed / SIDE;
    // As many bytes: a cell holds two values, and each has two parts.
    let mut blocks = Buffer::new(values.len());
    blocks
        .as_mut_slice()
        .par_chunks_exact_mut((2 * depth * CELLS).max(1))
        .zip(values.par_chunks_exact((SIDE * summed).max(1)))
        .for_each(|(blocks, values)| {
            simd.vectorize(Split::<RIGHT> {
                values,
                summed,
                blocks,
            });
        });
    blocks
}

/// A group of rows.
struct Split<'a, const RIGHT: bool> {
    values: &'a [f32],
    summed: usize,
    blocks: &'a mut [f32],
}

impl<const RIGHT: bool> Operation for Split<'_, RIGHT> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let depth = self.summed / SIDE;
        let (upper, lower) = self.blocks.split_at_mut(depth * CELLS);
        // Rows of cells, of the upper parts and of the lower ones.
        let [mut upper_rows, mut lower_rows] = [[0.0; TILE_CELLS]; 2];
        for block in 0..depth {
            for half in 0..2 {
                let start = block * CELLS + half * TILE_CELLS;
                let first = &mut upper[start..][..TILE_CELLS];
                let second = &mut lower[start..][..TILE_CELLS];
                for row in 0..TILE {
                    let start = (half * TILE + row) * self.summed + block * SIDE;
                    let values = &self.values[start..][..SIDE];
                    for v in (0..SIDE).step_by(S::LANES) {
                        // SAFETY: a row of a tile holds as many 16-bit values as there are 32-bit values here.
                        unsafe {
                            let values = simd.load(values.as_ptr().add(v));
                            let to = upper_rows[row * TILE..][..TILE].as_mut_ptr();
                            simd.store_rounded(to.cast::<u16>().add(v), values);
                            // The upper half of a cell is a rounded value as `f32`.
                            let rounded = simd.pack_pairs(simd.splat(0.0), values);
                            let to = lower_rows[row * TILE..][..TILE].as_mut_ptr();
                            simd.store_rounded(to.cast::<u16>().add(v), simd.sub(values, rounded));
                        }
                    }
                }
                match RIGHT {
                    // SAFETY: all hold a tile.
                    true => unsafe {
                        simd.transpose(upper_rows.as_ptr(), first.as_mut_ptr());
                        simd.transpose(lower_rows.as_ptr(), second.as_mut_ptr());
                    },
                    false => {
                        first.copy_from_slice(&upper_rows);
                        second.copy_from_slice(&lower_rows);
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{expected, random, random_symmetric};
    use super::*;
    use crate::{Level, simd::Portable};

    /// The largest error of the split product, in units of the sums' deviation.
    fn error<S: Simd>(simd: S, sizes: [usize; 3], with_added: bool, symmetric: bool) -> f64 {
        let [rows, summed, columns] = sizes;
        let left = random("left", rows * summed);
        let right = match symmetric {
            true => left.clone(),
            false => random("right", columns * summed),
        };
        let added = with_added.then(|| match symmetric {
            true => random_symmetric(rows),
            false => random("added", rows * columns),
        });
        let mut out = vec![f32::NAN; rows * columns];
        simd.vectorize(SplitProduct {
            left: &left,
            right: &right,
            sizes,
            added: added.as_deref(),
            out: &mut out,
            symmetric,
        });
        let expected = expected(&left, &right, sizes, added.as_deref());
        // An unwritten value is NaN, which `max` would ignore.
        assert!(out.iter().all(|value| value.is_finite()));
        let errors = out
            .iter()
            .zip(expected)
            .map(|(&found, expected)| (f64::from(found) - expected).abs() / (summed as f64).sqrt());
        errors.fold(0.0, f64::max)
    }

    /// Factors of 16 bits have an error of at most 2^-17, bfloat16 ones of 2^-9. The omitted product of the
    /// lower parts is about 2^-18.
    #[test]
    fn factors_count_with_sixteen_bits() {
        struct Error([usize; 3], bool, bool);
        impl Operation for Error {
            type Output = f64;

            #[inline(always)]
            fn run<S: Simd>(self, simd: S) -> f64 {
                error(simd, self.0, self.1, self.2)
            }
        }
        for (sizes, added, symmetric) in [
            ([32, 32, 32], false, false),
            ([64, 96, 32], true, false),
            ([32, 320, 96], true, false),
            ([32, 64, 32], true, true),
            ([96, 64, 96], false, true),
            ([160, 32, 160], true, true),
        ] {
            let at_once = [
                error(Portable::<1>, sizes, added, symmetric),
                error(Portable::<8>, sizes, added, symmetric),
            ];
            let levels = Level::available().into_iter();
            let levels =
                levels.map(|level| level.run_with_bfloat16(Error(sizes, added, symmetric)));
            for error in levels.chain(at_once) {
                assert!((1e-7..1e-4).contains(&error), "{sizes:?}: {error}");
            }
        }
    }
}
