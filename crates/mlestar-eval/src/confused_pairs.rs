use serde::{Deserialize, Serialize};

use crate::ConfusionMatrix;

/// Samples of one class predicted as another.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ConfusedPair {
    /// The true class.
    pub truth: u32,
    /// The class predicted instead.
    pub predicted: u32,
    /// How many samples, at least 1.
    pub count: u64,
    /// `count` as a fraction of the samples of the true class, 0-1.
    pub fraction_of_truth: f64,
}

/// The `n` most frequent confusions, most frequent first; equal counts are ordered by fraction, then by class.
/// Pairs that never occur are left out, so there may be fewer.
///
/// ```
/// use mlestar_eval::{ConfusionMatrix, most_confused_pairs};
/// let matrix = ConfusionMatrix::from_counts(vec![vec![8, 2, 0], vec![5, 5, 0], vec![0, 0, 9]])?;
/// let pairs = most_confused_pairs(&matrix, 10);
/// assert_eq!(pairs.len(), 2);
/// assert_eq!((pairs[0].truth, pairs[0].predicted, pairs[0].fraction_of_truth), (1, 0, 0.5));
/// # Ok::<(), mlestar_eval::EvalError>(())
/// ```
pub fn most_confused_pairs(matrix: &ConfusionMatrix, n: usize) -> Vec<ConfusedPair> {
    let mistakes = matrix
        .cells()
        .filter(|(truth, predicted, _)| truth != predicted);
    let mut pairs: Vec<ConfusedPair> = mistakes
        .map(|(truth, predicted, count)| ConfusedPair {
            truth,
            predicted,
            count,
            fraction_of_truth: count as f64 / matrix.support(truth as usize) as f64,
        })
        .collect();
    // The sort is stable, so equal pairs stay in the order of their classes.
    pairs.sort_by(|a, b| {
        b.count
            .cmp(&a.count)
            .then(b.fraction_of_truth.total_cmp(&a.fraction_of_truth))
    });
    pairs.truncate(n);
    pairs
}
