//! The product of a matrix with another's transpose.

use rayon::prelude::*;

use crate::{
    Algorithm, Conv2dShape, Epilogue, KernelError, Level, conv2d_with,
    matrix::block::{CELLS, Multiplier, Product, Products, SIDE, TILE, TILE_CELLS, Target},
    memory::{Buffer, Shared},
    simd::{Operation, Simd},
};

/// `out = left rightᵀ + added` with `left` of `[rows, summed]` and `right` of `[columns, summed]`: on all threads
/// and in an order that does not depend on their number.
///
/// In a matrix unit, where the sides are multiples of 32, each factor is the sum of two of bfloat16, and the product
/// of the two lower ones is left out: factors count with 16 bits, and not with 24.
pub(crate) fn multiply_transposed(
    level: Level,
    left: &[f32],
    right: &[f32],
    sizes: [usize; 3],
    added: Option<&[f32]>,
    out: &mut [f32],
) -> Result<(), KernelError> {
    let [rows, summed, columns] = sizes;
    if level.has_matrix_unit() && sizes.iter().all(|size| size.is_multiple_of(SIDE)) {
        level.run_with_bfloat16(SplitProduct {
            left,
            right,
            sizes,
            added,
            out,
        });
        return Ok(());
    }
    // A 1x1 convolution.
    let shape = Conv2dShape::square(1, [rows, 1], [summed, columns], 1, 1, 0);
    let epilogue = Epilogue {
        residual: added,
        ..Epilogue::default()
    };
    conv2d_with(level, Algorithm::Direct, &shape, left, right, epilogue, out)
}

/// With factors of twice bfloat16; all sizes are multiples of [`SIDE`].
struct SplitProduct<'a> {
    left: &'a [f32],
    right: &'a [f32],
    sizes: [usize; 3],
    added: Option<&'a [f32]>,
    out: &'a mut [f32],
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
        if let Some(added) = self.added {
            self.out.copy_from_slice(added);
        }
        let depth = summed / SIDE;
        // `[group of SIDE rows][upper, lower][block]`
        let left = split::<S, false>(simd, self.left, summed);
        let right = split::<S, true>(simd, self.right, summed);
        let (left, right) = (left.as_slice(), right.as_slice());
        let out = Shared::new(self.out);
        let groups = columns / SIDE;
        let add = self.added.is_some();
        (0..rows / SIDE * groups).into_par_iter().for_each(|pair| {
            simd.vectorize(MultiplyPair {
                left: &left[pair / groups * 2 * depth * CELLS..][..2 * depth * CELLS],
                right: &right[pair % groups * 2 * depth * CELLS..][..2 * depth * CELLS],
                depth,
                target: Target {
                    start: out.at(pair / groups * SIDE * columns + pair % groups * SIDE),
                    row_stride: columns,
                    add,
                },
            });
        });
    }
}

struct MultiplyPair<'a> {
    left: &'a [f32],
    right: &'a [f32],
    depth: usize,
    target: Target,
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
        // SAFETY: both sides hold `depth` upper blocks and as many lower ones; this block of the result is written
        // here alone, and holds what is added where that is asked for.
        unsafe { Multiplier::new(simd).multiply(products, self.target) };
    }
}

/// Rows of `summed` values as blocks of factors: right ones with `RIGHT`, else left ones.
fn split<S: Simd, const RIGHT: bool>(simd: S, values: &[f32], summed: usize) -> Buffer {
    let depth = summed / SIDE;
    // As many bytes: a cell holds two values, and there are two parts of each.
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
                        // SAFETY: a row of a tile holds as many values of 16 bits as these of 32.
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
    use super::*;
    use crate::simd::Portable;

    fn random(what: &str, len: usize) -> Vec<f32> {
        let mut stream = mlestar_random::Stream::new(5, what, 0, 0);
        (0..len).map(|_| stream.normal() as f32).collect()
    }

    /// The largest error of the split product, in units of the sums' deviation.
    fn error<S: Simd>(simd: S, sizes: [usize; 3], with_added: bool) -> f64 {
        let [rows, summed, columns] = sizes;
        let left = random("left", rows * summed);
        let right = random("right", columns * summed);
        let added = with_added.then(|| random("added", rows * columns));
        let mut out = vec![f32::NAN; rows * columns];
        simd.vectorize(SplitProduct {
            left: &left,
            right: &right,
            sizes,
            added: added.as_deref(),
            out: &mut out,
        });
        let mut largest = 0.0_f64;
        for (index, &found) in out.iter().enumerate() {
            let (row, column) = (index / columns, index % columns);
            let factors = left[row * summed..][..summed].iter();
            let products = factors.zip(&right[column * summed..][..summed]);
            let sum: f64 = products.map(|(&a, &b)| f64::from(a) * f64::from(b)).sum();
            let expected = sum + added.as_ref().map_or(0.0, |added| f64::from(added[index]));
            largest = largest.max((f64::from(found) - expected).abs() / (summed as f64).sqrt());
        }
        largest
    }

    /// Factors of 16 bits are off by 2^-17 at most, where those of bfloat16 would be by 2^-9. What is left out, the
    /// product of the lower parts, is of 2^-18.
    #[test]
    fn factors_count_with_sixteen_bits() {
        struct Error([usize; 3], bool);
        impl Operation for Error {
            type Output = f64;

            #[inline(always)]
            fn run<S: Simd>(self, simd: S) -> f64 {
                error(simd, self.0, self.1)
            }
        }
        for (sizes, added) in [
            ([32, 32, 32], false),
            ([64, 96, 32], true),
            ([32, 320, 96], true),
        ] {
            let at_once = [
                error(Portable::<1>, sizes, added),
                error(Portable::<8>, sizes, added),
            ];
            let levels = Level::available().into_iter();
            let levels = levels.map(|level| level.run_with_bfloat16(Error(sizes, added)));
            for error in levels.chain(at_once) {
                assert!((1e-7..1e-4).contains(&error), "{sizes:?}: {error}");
            }
        }
    }

    #[test]
    fn a_product_is_the_same_whether_split_or_not() {
        // Multiples of 32, and not.
        for sizes in [[64, 96, 32], [33, 96, 32], [32, 9, 64], [1, 1, 1]] {
            let [rows, summed, columns] = sizes;
            let left = random("left", rows * summed);
            let right = random("right", columns * summed);
            let added = random("added", rows * columns);
            let [found, expected] = [Level::current(), Level::Portable].map(|level| {
                let mut out = vec![f32::NAN; rows * columns];
                multiply_transposed(level, &left, &right, sizes, Some(&added), &mut out).unwrap();
                out
            });
            for (found, expected) in found.into_iter().zip(expected) {
                assert!((found - expected).abs() < 1e-3, "{found} {expected}");
            }
        }
    }
}
