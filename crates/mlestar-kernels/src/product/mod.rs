//! The product of a matrix and another matrix's transpose.

mod bands;
mod split;
#[cfg(test)]
mod testing;

use crate::{
    Algorithm, Conv2dShape, Epilogue, KernelError, Level, Values, conv2d_with, matrix::block::SIDE,
};
use split::SplitProduct;

/// `out = left rightᵀ + added` with `left` of `[rows, summed]` and `right` of `[columns, summed]`, computed on
/// all threads in an order that does not depend on their number.
///
/// In a matrix unit, if the sides are multiples of 32, factors have 16 bits instead of 24.
pub(crate) fn multiply_transposed(
    level: Level,
    left: &[f32],
    right: &[f32],
    sizes: [usize; 3],
    added: Option<&[f32]>,
    out: &mut [f32],
) -> Result<(), KernelError> {
    if !fits_matrix_unit(level, &sizes) {
        return multiply_directly(level, left, right, sizes, added, out);
    }
    multiply_in_unit(level, left, right, sizes, added, out, false);
    Ok(())
}

/// The same for a result of `side` rows and columns that is its own transpose, as is `added`: slightly more
/// than half of it is computed, and the rest is mirrored.
pub(crate) fn multiply_symmetric(
    level: Level,
    left: &[f32],
    right: &[f32],
    [side, summed]: [usize; 2],
    added: Option<&[f32]>,
    out: &mut [f32],
) -> Result<(), KernelError> {
    let sizes = [side, summed, side];
    if !fits_matrix_unit(level, &sizes) {
        return bands::multiply_symmetric(level, left, right, [side, summed], added, out);
    }
    multiply_in_unit(level, left, right, sizes, added, out, true);
    Ok(())
}

fn multiply_in_unit(
    level: Level,
    left: &[f32],
    right: &[f32],
    sizes: [usize; 3],
    added: Option<&[f32]>,
    out: &mut [f32],
    symmetric: bool,
) {
    level.run_with_bfloat16(SplitProduct {
        left,
        right,
        sizes,
        added,
        out,
        symmetric,
    });
}

fn fits_matrix_unit(level: Level, sizes: &[usize; 3]) -> bool {
    level.has_matrix_unit() && sizes.iter().all(|size| size.is_multiple_of(SIDE))
}

/// With factors of 24 bits, as a 1x1 convolution.
fn multiply_directly(
    level: Level,
    left: &[f32],
    right: &[f32],
    [rows, summed, columns]: [usize; 3],
    added: Option<&[f32]>,
    out: &mut [f32],
) -> Result<(), KernelError> {
    let shape = Conv2dShape::square(1, [rows, 1], [summed, columns], 1, 1, 0);
    let epilogue = Epilogue {
        residual: added.map(Values::F32),
        ..Epilogue::default()
    };
    conv2d_with(level, Algorithm::Direct, &shape, left, right, epilogue, out)
}

#[cfg(test)]
mod tests {
    use super::testing::{expected, random, random_symmetric};
    use super::*;

    #[test]
    fn products_are_those_of_f64_at_every_level() {
        // Multiples of 32, and others.
        for sizes in [[64, 96, 32], [33, 96, 32], [32, 9, 64], [1, 1, 1]] {
            let [rows, summed, columns] = sizes;
            let left = random("left", rows * summed);
            let right = random("right", columns * summed);
            let added = random("added", rows * columns);
            let expected = expected(&left, &right, sizes, Some(&added));
            for level in Level::available() {
                let mut out = vec![f32::NAN; rows * columns];
                multiply_transposed(level, &left, &right, sizes, Some(&added), &mut out).unwrap();
                for (&found, expected) in out.iter().zip(&expected) {
                    let error = (f64::from(found) - expected).abs();
                    assert!(error < 1e-3, "{level:?} {sizes:?}: {found} {expected}");
                }
            }
        }
    }

    #[test]
    fn symmetric_products_are_those_of_f64_at_every_level() {
        for [side, summed] in [
            [1, 3],
            [31, 5],
            [64, 96],
            [96, 64],
            [97, 32],
            [200, 17],
            [288, 32],
        ] {
            let sizes = [side, summed, side];
            let factors = random("factors", side * summed);
            let symmetric = random_symmetric(side);
            for added in [None, Some(symmetric.as_slice())] {
                let expected = expected(&factors, &factors, sizes, added);
                for level in Level::available() {
                    let mut out = vec![f32::NAN; side * side];
                    let sizes = [side, summed];
                    multiply_symmetric(level, &factors, &factors, sizes, added, &mut out).unwrap();
                    for (&found, expected) in out.iter().zip(&expected) {
                        let error = (f64::from(found) - expected).abs();
                        assert!(error < 1e-3, "{level:?} {sizes:?}: {found} {expected}");
                    }
                }
            }
        }
    }
}
