use crate::{ModelError, ModelSpec};

/// Side of the patches.
const SIDE: usize = 2;
/// Values of a patch.
const SIZE: usize = ModelSpec::CHANNELS * SIDE * SIDE;
/// Added to a variance before its square root is taken, so that directions in which patches hardly
/// differ are not blown up.
const EPSILON: f64 = 5e-4;
/// Side of the stem's filters.
const KERNEL: usize = 3;

/// Second moments of the 2x2 patches of normalised pictures, and the filters that whiten them: for a
/// stem that needs no training (Jordan 2024, <https://arxiv.org/abs/2404.00498>).
///
/// A filter is an eigenvector of the moments divided by the root of its eigenvalue, so that its outputs
/// have variance 1 and are uncorrelated with those of the others. Every filter comes with its negative,
/// because the ReLU after it cuts off one half. The patches lie in the lower right corner of the stem's
/// 3x3 filters, whose other weights are 0.
///
/// ```
/// let mut patches = mlestar_model::PatchCovariance::new(4, 4);
/// let picture: Vec<f32> = (0..48).map(|i| (i * 37 % 11) as f32 / 11.0 - 0.5).collect();
/// patches.add(&picture)?;
/// assert_eq!(patches.filters(24).len(), 24 * 3 * 3 * 3);
/// # Ok::<(), mlestar_model::ModelError>(())
/// ```
#[derive(Debug, Clone)]
pub struct PatchCovariance {
    height: usize,
    width: usize,
    patches: u64,
    /// Sums of products, symmetric.
    sums: [[f64; SIZE]; SIZE],
}

impl PatchCovariance {
    /// The most filters that there are: each direction and its negative.
    pub const MAX_FILTERS: usize = 2 * SIZE;

    /// Of no picture yet. Pictures are of `height` x `width` pixels.
    #[must_use]
    pub fn new(height: usize, width: usize) -> Self {
        Self {
            height,
            width,
            patches: 0,
            sums: [[0.0; SIZE]; SIZE],
        }
    }

    /// Adds every patch of a normalised picture, `[3, height, width]` in row-major order.
    ///
    /// # Errors
    ///
    /// [`ModelError::ValueCount`] when it is of another size.
    pub fn add(&mut self, picture: &[f32]) -> Result<(), ModelError> {
        let area = self.height * self.width;
        if picture.len() != ModelSpec::CHANNELS * area {
            return Err(ModelError::ValueCount {
                name: "picture".to_owned(),
                shape: vec![ModelSpec::CHANNELS, self.height, self.width],
                values: picture.len(),
            });
        }
        for y in 0..self.height.saturating_sub(SIDE - 1) {
            for x in 0..self.width.saturating_sub(SIDE - 1) {
                let patch: [f64; SIZE] = std::array::from_fn(|index| {
                    let (channel, tap) = (index / (SIDE * SIDE), index % (SIDE * SIDE));
                    let at = (y + tap / SIDE) * self.width + x + tap % SIDE;
                    f64::from(picture[channel * area + at])
                });
                for (row, a) in self.sums.iter_mut().zip(&patch) {
                    for (sum, b) in row.iter_mut().zip(&patch) {
                        *sum += a * b;
                    }
                }
                self.patches += 1;
            }
        }
        Ok(())
    }

    /// The first `count` filters, `[count, 3, 3, 3]` in row-major order: the directions in which patches
    /// differ most, each followed by its negative. Beyond [`MAX_FILTERS`](Self::MAX_FILTERS) they are 0.
    #[must_use]
    pub fn filters(&self, count: usize) -> Vec<f32> {
        let n = self.patches.max(1) as f64;
        let moments = self.sums.map(|row| row.map(|sum| sum / n));
        let directions = eigenvectors(moments);
        let mut filters = vec![0.0; count * ModelSpec::CHANNELS * KERNEL * KERNEL];
        let each = filters.chunks_exact_mut(ModelSpec::CHANNELS * KERNEL * KERNEL);
        for (index, filter) in each.enumerate().take(Self::MAX_FILTERS) {
            let (eigenvalue, vector) = &directions[index / 2];
            let sign = if index % 2 == 0 { 1.0 } else { -1.0 };
            let scale = sign / (eigenvalue.max(0.0) + EPSILON).sqrt();
            for (place, value) in vector.iter().enumerate() {
                let (channel, tap) = (place / (SIDE * SIDE), place % (SIDE * SIDE));
                // Below and to the right of the middle.
                let (y, x) = (1 + tap / SIDE, 1 + tap % SIDE);
                filter[(channel * KERNEL + y) * KERNEL + x] = (value * scale) as f32;
            }
        }
        filters
    }
}

/// Eigenvalues with their unit eigenvectors, the largest first, by Jacobi's method (Golub and Van Loan,
/// "Matrix Computations", 8.5). An eigenvector's largest component is positive.
fn eigenvectors(mut matrix: [[f64; SIZE]; SIZE]) -> Vec<(f64, [f64; SIZE])> {
    let mut vectors = [[0.0; SIZE]; SIZE];
    for (index, row) in vectors.iter_mut().enumerate() {
        row[index] = 1.0;
    }
    // It converges quadratically: for so small a matrix ten sweeps reach the last bit.
    for _ in 0..30 {
        for p in 0..SIZE {
            for q in p + 1..SIZE {
                rotate(&mut matrix, &mut vectors, p, q);
            }
        }
    }
    let mut pairs: Vec<(f64, [f64; SIZE])> = (0..SIZE)
        .map(|index| {
            let mut vector: [f64; SIZE] = std::array::from_fn(|row| vectors[row][index]);
            let largest = vector
                .iter()
                .fold(0.0_f64, |a, &b| if b.abs() > a.abs() { b } else { a });
            if largest < 0.0 {
                vector = vector.map(|value| -value);
            }
            (matrix[index][index], vector)
        })
        .collect();
    pairs.sort_by(|a, b| b.0.total_cmp(&a.0));
    pairs
}

/// Turns the plane of axes `p` and `q` so that the matrix's element between them becomes 0.
fn rotate(matrix: &mut [[f64; SIZE]; SIZE], vectors: &mut [[f64; SIZE]; SIZE], p: usize, q: usize) {
    if matrix[p][q] == 0.0 {
        return;
    }
    let theta = (matrix[q][q] - matrix[p][p]) / (2.0 * matrix[p][q]);
    let t = theta.signum() / (theta.abs() + (theta * theta + 1.0).sqrt());
    let c = 1.0 / (t * t + 1.0).sqrt();
    let s = t * c;
    for row in matrix.iter_mut() {
        (row[p], row[q]) = (c * row[p] - s * row[q], s * row[p] + c * row[q]);
    }
    let (row_p, row_q) = (matrix[p], matrix[q]);
    matrix[p] = std::array::from_fn(|column| c * row_p[column] - s * row_q[column]);
    matrix[q] = std::array::from_fn(|column| s * row_p[column] + c * row_q[column]);
    for row in vectors.iter_mut() {
        (row[p], row[q]) = (c * row[p] - s * row[q], s * row[p] + c * row[q]);
    }
}

#[cfg(test)]
mod tests {
    use mlestar_random::Stream;

    use super::*;

    /// Pictures whose neighbouring pixels and channels resemble each other.
    fn pictures(n: usize, height: usize, width: usize) -> Vec<Vec<f32>> {
        let picture = |index: usize| {
            let mut draws = Stream::new(3, "correlated pictures", 0, index as u64);
            let level = draws.normal();
            let tints: Vec<f64> = (0..3).map(|_| 0.5 * draws.normal()).collect();
            let noise = (0..3 * height * width).map(|place| {
                let tint = tints[place / (height * width)];
                (level + tint + 0.3 * draws.normal()) as f32
            });
            noise.collect()
        };
        (0..n).map(picture).collect()
    }

    #[test]
    fn filtered_patches_are_white() {
        let (height, width) = (9, 7);
        let pictures = pictures(400, height, width);
        let mut covariance = PatchCovariance::new(height, width);
        for picture in &pictures {
            covariance.add(picture).unwrap();
        }
        let filters = covariance.filters(24);
        // The filters' outputs at every place that does not need the padding, by the definition.
        let mut moments = vec![0.0; 24 * 24];
        let mut n = 0.0;
        for picture in &pictures {
            for (y, x) in (0..height - 1).flat_map(|y| (0..width - 1).map(move |x| (y, x))) {
                let outputs: Vec<f64> = filters
                    .chunks_exact(27)
                    .map(|filter| {
                        let at = |c: usize, dy: usize, dx: usize| {
                            let weight = f64::from(filter[(c * 3 + dy) * 3 + dx]);
                            // The tap at (1, 1) is the pixel itself.
                            match (y + dy).checked_sub(1).zip((x + dx).checked_sub(1)) {
                                Some((y, x)) => {
                                    weight * f64::from(picture[(c * height + y) * width + x])
                                }
                                None => {
                                    assert_eq!(weight, 0.0);
                                    0.0
                                }
                            }
                        };
                        (0..27).map(|tap| at(tap / 9, tap / 3 % 3, tap % 3)).sum()
                    })
                    .collect();
                for (i, a) in outputs.iter().enumerate() {
                    for (j, b) in outputs.iter().enumerate() {
                        moments[i * 24 + j] += a * b;
                    }
                }
                n += 1.0;
            }
        }
        for i in 0..24 {
            for j in 0..24 {
                let expected = match (i == j, i / 2 == j / 2) {
                    (true, _) => 1.0,
                    (false, true) => -1.0,
                    _ => 0.0,
                };
                // Epsilon takes a little off the directions of small variance.
                let found = moments[i * 24 + j] / n;
                assert!((found - expected).abs() < 0.01, "{i} {j}: {found}");
            }
        }
    }

    #[test]
    fn fewer_filters_are_the_first_ones_and_none_breaks_on_flat_pictures() {
        let mut covariance = PatchCovariance::new(4, 4);
        assert!(covariance.filters(24).iter().all(|value| value.is_finite()));
        covariance.add(&[0.5; 48]).unwrap();
        let all = covariance.filters(24);
        assert!(all.iter().all(|value| value.is_finite()));
        assert_eq!(covariance.filters(6), all[..6 * 27]);
        let error = covariance.add(&[0.0; 47]).unwrap_err();
        assert!(error.to_string().contains("47 values"), "{error}");
        // Nothing to look at in pictures of a single row.
        let mut thin = PatchCovariance::new(1, 16);
        thin.add(&[1.0; 48]).unwrap();
        assert!(thin.filters(24).iter().all(|value| value.is_finite()));
    }
}
