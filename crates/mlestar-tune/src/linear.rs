//! Linear algebra for small dense symmetric matrices, stored by rows.

/// A lower triangular factor `L` with `L * L^T` equal to a symmetric positive definite matrix.
pub(crate) struct Cholesky {
    n: usize,
    factor: Vec<f64>,
}

impl Cholesky {
    /// Factors an `n` by `n` matrix, of which only the lower triangle is read; `None` if it is not positive definite.
    pub(crate) fn new(mut matrix: Vec<f64>, n: usize) -> Option<Self> {
        for row in 0..n {
            for column in 0..=row {
                let (before, rest) = matrix.split_at_mut(row * n);
                let own = &mut rest[..n];
                if column == row {
                    let rest = own[row] - dot(&own[..row], &own[..row]);
                    if !(rest > 0.0 && rest.is_finite()) {
                        return None;
                    }
                    own[row] = rest.sqrt();
                } else {
                    let other = &before[column * n..column * n + n];
                    own[column] =
                        (own[column] - dot(&own[..column], &other[..column])) / other[column];
                }
            }
        }
        Some(Self { n, factor: matrix })
    }

    fn row(&self, row: usize) -> &[f64] {
        &self.factor[row * self.n..row * self.n + self.n]
    }

    /// `x` with `L x = b`, in place.
    pub(crate) fn solve_lower(&self, b: &mut [f64]) {
        for row in 0..self.n {
            let factor = self.row(row);
            b[row] = (b[row] - dot(&factor[..row], &b[..row])) / factor[row];
        }
    }

    /// `x` with `L^T x = b`, in place.
    pub(crate) fn solve_upper(&self, b: &mut [f64]) {
        for row in (0..self.n).rev() {
            let factor = self.row(row);
            b[row] /= factor[row];
            let solved = b[row];
            for (value, factor) in b[..row].iter_mut().zip(&factor[..row]) {
                *value -= factor * solved;
            }
        }
    }

    /// The inverse of the factored matrix.
    pub(crate) fn inverse(&self) -> Vec<f64> {
        let n = self.n;
        let mut inverse = vec![0.0; n * n];
        for column in 0..n {
            let row = &mut inverse[column * n..column * n + n];
            row[column] = 1.0;
            self.solve_lower(row);
            self.solve_upper(row);
        }
        inverse
    }

    /// The logarithm of the determinant of the factored matrix.
    pub(crate) fn log_determinant(&self) -> f64 {
        2.0 * (0..self.n).map(|row| self.row(row)[row].ln()).sum::<f64>()
    }
}

/// The scalar product, in four sums, so that it does not wait for each addition.
pub(crate) fn dot(a: &[f64], b: &[f64]) -> f64 {
    let mut sums = [0.0; 4];
    let (mut a4, mut b4) = (a.chunks_exact(4), b.chunks_exact(4));
    for (a, b) in (&mut a4).zip(&mut b4) {
        for lane in 0..4 {
            sums[lane] += a[lane] * b[lane];
        }
    }
    let rest = a4.remainder().iter().zip(b4.remainder());
    sums[0] + sums[1] + sums[2] + sums[3] + rest.map(|(a, b)| a * b).sum::<f64>()
}

/// Eigenvalues and eigenvectors (rows of the second result) of a symmetric `n` by `n` matrix, by Jacobi's rotations.
pub(crate) fn eigen(mut matrix: Vec<f64>, n: usize) -> (Vec<f64>, Vec<Vec<f64>>) {
    let mut vectors: Vec<Vec<f64>> = (0..n)
        .map(|row| {
            (0..n)
                .map(|column| f64::from(u8::from(row == column)))
                .collect()
        })
        .collect();
    for _ in 0..60 {
        let off: f64 = (0..n)
            .flat_map(|p| (p + 1..n).map(move |q| (p, q)))
            .map(|(p, q)| matrix[p * n + q].powi(2))
            .sum();
        let size: f64 = (0..n).map(|p| matrix[p * n + p].powi(2)).sum();
        if off <= 1e-28 * size || !off.is_finite() {
            break;
        }
        for p in 0..n {
            for q in p + 1..n {
                rotate(&mut matrix, &mut vectors, n, p, q);
            }
        }
    }
    ((0..n).map(|p| matrix[p * n + p]).collect(), vectors)
}

/// Makes the entry in row `p`, column `q` zero.
fn rotate(matrix: &mut [f64], vectors: &mut [Vec<f64>], n: usize, p: usize, q: usize) {
    let entry = matrix[p * n + q];
    if entry == 0.0 {
        return;
    }
    let theta = (matrix[q * n + q] - matrix[p * n + p]) / (2.0 * entry);
    let t = theta.signum() / (theta.abs() + (theta * theta + 1.0).sqrt());
    let cosine = 1.0 / (t * t + 1.0).sqrt();
    let sine = t * cosine;
    for k in 0..n {
        let (a, b) = (matrix[k * n + p], matrix[k * n + q]);
        matrix[k * n + p] = cosine * a - sine * b;
        matrix[k * n + q] = sine * a + cosine * b;
    }
    for k in 0..n {
        let (a, b) = (matrix[p * n + k], matrix[q * n + k]);
        matrix[p * n + k] = cosine * a - sine * b;
        matrix[q * n + k] = sine * a + cosine * b;
    }
    let (before, rest) = vectors.split_at_mut(q);
    for (a, b) in before[p].iter_mut().zip(&mut rest[0]) {
        (*a, *b) = (cosine * *a - sine * *b, sine * *a + cosine * *b);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mlestar_random::Stream;

    /// A positive definite matrix: `A * A^T` of random numbers, and 0.1 on the diagonal.
    fn positive_definite(n: usize) -> Vec<f64> {
        let mut stream = Stream::new(3, "linear", n as u64, 0);
        let rows: Vec<Vec<f64>> = (0..n)
            .map(|_| (0..n).map(|_| stream.normal()).collect())
            .collect();
        let entry = |p: usize, q: usize| dot(&rows[p], &rows[q]) + if p == q { 0.1 } else { 0.0 };
        (0..n * n).map(|at| entry(at / n, at % n)).collect()
    }

    fn times(matrix: &[f64], vector: &[f64]) -> Vec<f64> {
        matrix
            .chunks(vector.len())
            .map(|row| dot(row, vector))
            .collect()
    }

    #[test]
    fn a_factored_matrix_is_inverted() {
        for n in [1, 2, 3, 7, 20] {
            let matrix = positive_definite(n);
            let inverse = Cholesky::new(matrix.clone(), n).unwrap().inverse();
            for column in inverse.chunks(n).enumerate() {
                for (row, value) in times(&matrix, column.1).into_iter().enumerate() {
                    let expected = f64::from(u8::from(row == column.0));
                    assert!((value - expected).abs() < 1e-9, "n = {n}: {value}");
                }
            }
        }
    }

    #[test]
    fn the_determinant_is_the_product_of_the_eigenvalues() {
        for n in [1, 2, 5, 12] {
            let matrix = positive_definite(n);
            let (values, vectors) = eigen(matrix.clone(), n);
            let logarithm: f64 = values.iter().map(|value| value.ln()).sum();
            let determinant = Cholesky::new(matrix.clone(), n).unwrap().log_determinant();
            assert!((logarithm - determinant).abs() < 1e-9);
            for (value, vector) in values.iter().zip(&vectors) {
                for (a, b) in times(&matrix, vector).iter().zip(vector) {
                    assert!((a - value * b).abs() < 1e-9);
                }
            }
        }
    }

    #[test]
    fn an_indefinite_matrix_has_no_factor() {
        assert!(Cholesky::new(vec![1.0, 2.0, 2.0, 1.0], 2).is_none());
        assert!(Cholesky::new(vec![f64::NAN], 1).is_none());
    }
}
