//! A linear classifier with a closed-form solution: ridge regression on one-hot targets.

use super::features::Features;
use rayon::prelude::*;

/// Added to the diagonal, as a share of the number of images; features are standardised.
const RIDGE: f64 = 1e-3;
/// Number of rows in one partial sum. Fixed, so that the result does not depend on threads.
const ROWS_A_PART: usize = 512;

/// Scores are `weights * standardised features + bias`; the largest wins.
#[derive(Clone, Debug)]
pub(super) struct LinearProbe {
    mean: Vec<f64>,
    inverse_std: Vec<f64>,
    /// `n_classes` rows of `dimension + 1` values, the bias last.
    weights: Vec<Vec<f64>>,
}

impl LinearProbe {
    /// Fits the probe; `None` without images.
    pub(super) fn fit(features: &Features, n_classes: usize) -> Option<Self> {
        if features.len() == 0 {
            return None;
        }
        let (mean, inverse_std) = standardisation(features);
        let mut probe = Self {
            mean,
            inverse_std,
            weights: Vec::new(),
        };
        let size = features.dimension() + 1;
        let (mut gram, targets) = probe.normal_equations(features, n_classes);
        for row in 0..features.dimension() {
            gram[row * size + row] += RIDGE * features.len() as f64;
        }
        cholesky(&mut gram, size)?;
        probe.weights = targets
            .into_iter()
            .map(|target| solve(&gram, size, target))
            .collect();
        Some(probe)
    }

    /// The fraction of `features` whose class has the largest score (ties: the lowest index).
    pub(super) fn accuracy(&self, features: &Features) -> f64 {
        let n_correct = (0..features.len())
            .into_par_iter()
            .filter(|index| self.classify(features.row(*index)) == features.labels()[*index])
            .count();
        n_correct as f64 / features.len().max(1) as f64
    }

    fn classify(&self, row: &[f32]) -> u32 {
        let input = self.standardise(row);
        let mut best = (0, f64::NEG_INFINITY);
        for (class, weights) in self.weights.iter().enumerate() {
            let score = weights.iter().zip(&input).map(|(w, x)| w * x).sum();
            if score > best.1 {
                best = (class as u32, score);
            }
        }
        best.0
    }

    /// The standardised features with a 1 for the bias at the end.
    fn standardise(&self, row: &[f32]) -> Vec<f64> {
        let scaled = row
            .iter()
            .zip(self.mean.iter().zip(&self.inverse_std))
            .map(|(x, (mean, inverse))| (f64::from(*x) - mean) * inverse);
        scaled.chain([1.0]).collect()
    }

    /// The lower triangle of `XᵀX`, and `XᵀY` with one row per class.
    fn normal_equations(&self, features: &Features, n_classes: usize) -> (Vec<f64>, Vec<Vec<f64>>) {
        let size = features.dimension() + 1;
        let starts: Vec<usize> = (0..features.len()).step_by(ROWS_A_PART).collect();
        let parts: Vec<(Vec<f64>, Vec<Vec<f64>>)> = starts
            .par_iter()
            .map(|start| {
                let mut gram = vec![0.0; size * size];
                let mut targets = vec![vec![0.0; size]; n_classes];
                for index in *start..features.len().min(start + ROWS_A_PART) {
                    let x = self.standardise(features.row(index));
                    for row in 0..size {
                        add_scaled(&mut gram[row * size..=row * size + row], &x[..=row], x[row]);
                    }
                    let class = features.labels()[index] as usize;
                    add_scaled(&mut targets[class], &x, 1.0);
                }
                (gram, targets)
            })
            .collect();
        let mut total = (vec![0.0; size * size], vec![vec![0.0; size]; n_classes]);
        for (gram, targets) in parts {
            add_scaled(&mut total.0, &gram, 1.0);
            for (sum, target) in total.1.iter_mut().zip(targets) {
                add_scaled(sum, &target, 1.0);
            }
        }
        total
    }
}

fn add_scaled(sum: &mut [f64], values: &[f64], factor: f64) {
    for (sum, value) in sum.iter_mut().zip(values) {
        *sum += value * factor;
    }
}

/// Mean and 1/std of each feature; a constant feature gets 0, which removes it.
fn standardisation(features: &Features) -> (Vec<f64>, Vec<f64>) {
    let n = features.len() as f64;
    let mut mean = vec![0.0; features.dimension()];
    let mut square = vec![0.0; features.dimension()];
    for index in 0..features.len() {
        for (column, value) in features.row(index).iter().enumerate() {
            mean[column] += f64::from(*value);
            square[column] += f64::from(*value) * f64::from(*value);
        }
    }
    for (mean, square) in mean.iter_mut().zip(&mut square) {
        *mean /= n;
        let variance = (*square / n - *mean * *mean).max(0.0);
        *square = if variance > 1e-12 {
            1.0 / variance.sqrt()
        } else {
            0.0
        };
    }
    (mean, square)
}

/// Replaces the lower triangle of a symmetric matrix by its Cholesky factor; `None` unless it is
/// positive definite.
fn cholesky(matrix: &mut [f64], size: usize) -> Option<()> {
    for row in 0..size {
        for column in 0..=row {
            let (before, current) = matrix.split_at(row * size);
            let products = if column == row {
                current[..column]
                    .iter()
                    .map(|value| value * value)
                    .sum::<f64>()
            } else {
                let other = &before[column * size..column * size + column];
                current[..column]
                    .iter()
                    .zip(other)
                    .map(|(a, b)| a * b)
                    .sum()
            };
            let rest = matrix[row * size + column] - products;
            matrix[row * size + column] = if column == row {
                // A comparison that is false for NaN.
                if rest > 0.0 { rest.sqrt() } else { return None }
            } else {
                rest / matrix[column * size + column]
            };
        }
    }
    Some(())
}

/// Solves `L Lᵀ x = b`.
fn solve(factor: &[f64], size: usize, mut b: Vec<f64>) -> Vec<f64> {
    for row in 0..size {
        let known: f64 = (0..row)
            .map(|column| factor[row * size + column] * b[column])
            .sum();
        b[row] = (b[row] - known) / factor[row * size + row];
    }
    for row in (0..size).rev() {
        let known: f64 = (row + 1..size)
            .map(|later| factor[later * size + row] * b[later])
            .sum();
        b[row] = (b[row] - known) / factor[row * size + row];
    }
    b
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_system_is_solved_exactly() {
        // [4 2; 2 3] x = [8; 7] has the solution [1.25, 1.5].
        let mut matrix = vec![4.0, 0.0, 2.0, 3.0];
        cholesky(&mut matrix, 2).unwrap();
        let x = solve(&matrix, 2, vec![8.0, 7.0]);
        assert!(
            (x[0] - 1.25).abs() < 1e-12 && (x[1] - 1.5).abs() < 1e-12,
            "{x:?}"
        );
        assert!(cholesky(&mut [1.0, 0.0, 2.0, 1.0], 2).is_none());
    }
}
