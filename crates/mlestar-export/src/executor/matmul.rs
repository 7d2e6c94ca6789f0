//! The matrix product: the crate's only unsafe code.

use gemm::Parallelism;

/// Longest sum that one call computes.
///
/// `gemm` splits longer sums at points that depend on the shape of the product. Below this limit
/// it never does, so that a picture's result has the same bits in every batch and on any number
/// of threads.
pub(super) const MAX_DEPTH: usize = 512;

/// `sums[j * m + i] (+)= sum over k of weights[k * m + i] * columns[j * column_stride + k]`
/// for `i < m`, `j < n`, `k < depth`. Adds to `sums` when `accumulate`, else overwrites.
///
/// # Panics
///
/// When a slice is shorter than the formula reads or writes, or a size is 0.
pub(super) fn multiply(
    weights: &[f32],
    columns: &[f32],
    sums: &mut [f32],
    [m, n, depth]: [usize; 3],
    column_stride: usize,
    accumulate: bool,
) {
    if n == 1 {
        return multiply_single_column(weights, columns, sums, [m, depth], accumulate);
    }
    assert!(
        m > 0 && n > 0 && depth > 0 && depth <= MAX_DEPTH,
        "sizes {m} {n} {depth}"
    );
    assert!(column_stride >= depth, "columns overlap");
    assert!(weights.len() >= m * depth, "weights are too short");
    assert!(
        columns.len() >= (n - 1) * column_stride + depth,
        "columns are too short"
    );
    assert!(sums.len() >= m * n, "sums are too short");
    product(
        weights,
        columns,
        sums,
        [m, n, depth],
        column_stride,
        accumulate,
    );
}

/// A product with one column takes another path through `gemm`, which may round differently; two
/// equal columns (stride 0) take the usual one.
fn multiply_single_column(
    weights: &[f32],
    column: &[f32],
    sums: &mut [f32],
    [m, depth]: [usize; 2],
    accumulate: bool,
) {
    assert!(
        m > 0 && depth > 0 && depth <= MAX_DEPTH,
        "sizes {m} {depth}"
    );
    assert!(weights.len() >= m * depth, "weights are too short");
    assert!(column.len() >= depth, "column is too short");
    assert!(sums.len() >= m, "sums are too short");
    let mut pair = vec![0.0; 2 * m];
    pair[..m].copy_from_slice(&sums[..m]);
    product(weights, column, &mut pair, [m, 2, depth], 0, accumulate);
    sums[..m].copy_from_slice(&pair[..m]);
}

/// Both callers have asserted: `weights.len() >= m * depth`, `sums.len() >= m * n`,
/// `columns.len() >= (n - 1) * column_stride + depth`.
#[allow(unsafe_code)]
fn product(
    weights: &[f32],
    columns: &[f32],
    sums: &mut [f32],
    [m, n, depth]: [usize; 3],
    column_stride: usize,
    accumulate: bool,
) {
    // Slices have at most isize::MAX bytes, and every stride is at most a slice's length.
    let [lhs_column_stride, rhs_column_stride] = [m as isize, column_stride as isize];
    // SAFETY: `gemm` reads `weights[k * m + i]` and `columns[j * column_stride + k]` and reads and
    // writes `sums[j * m + i]` for i < m, j < n, k < depth. The largest of these indices are
    // `depth * m - 1`, `(n - 1) * column_stride + depth - 1` and `n * m - 1`, which both callers
    // have asserted to be inside the slices. All three are valid `f32`; `sums` is borrowed
    // mutably, so that it does not overlap the others.
    unsafe {
        gemm::gemm(
            m,
            n,
            depth,
            sums.as_mut_ptr(),
            lhs_column_stride,
            1,
            accumulate,
            weights.as_ptr(),
            lhs_column_stride,
            1,
            columns.as_ptr(),
            rhs_column_stride,
            1,
            1.0_f32,
            1.0_f32,
            false,
            false,
            false,
            Parallelism::None,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn product_is_that_of_the_formula_and_accumulates() {
        let (m, n, depth, stride) = (16, 3, 5, 7);
        let weights: Vec<f32> = (0..m * depth).map(|i| i as f32 * 0.25 - 3.0).collect();
        let columns: Vec<f32> = (0..n * stride).map(|i| 1.5 - i as f32 * 0.125).collect();
        let mut sums = vec![2.0; m * n];
        multiply(&weights, &columns, &mut sums, [m, n, depth], stride, true);
        for j in 0..n {
            for i in 0..m {
                let expected: f32 = (0..depth)
                    .map(|k| weights[k * m + i] * columns[j * stride + k])
                    .sum();
                assert!((sums[j * m + i] - 2.0 - expected).abs() < 1e-4);
            }
        }
        let mut single = vec![f32::NAN; m];
        multiply(
            &weights,
            &columns,
            &mut single,
            [m, 1, depth],
            stride,
            false,
        );
        for i in 0..m {
            assert!((single[i] + 2.0 - sums[i]).abs() < 1e-4);
        }
    }

    #[test]
    #[should_panic(expected = "columns are too short")]
    fn short_columns_are_refused_before_the_call() {
        multiply(&[0.0; 16], &[0.0; 1], &mut [0.0; 32], [16, 2, 1], 1, false);
    }
}
