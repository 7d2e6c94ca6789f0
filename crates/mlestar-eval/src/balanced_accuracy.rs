use crate::{ConfusionMatrix, class_metrics};

/// Mean recall of the classes that are present, 0-1: the accuracy on a set with equally many samples of each.
///
/// `sklearn.metrics.balanced_accuracy_score`; classes without samples are left out, as there.
///
/// ```
/// use mlestar_eval::{ConfusionMatrix, balanced_accuracy};
/// // 99 of one class, all correct; 1 of the other, wrong.
/// let matrix = ConfusionMatrix::from_counts(vec![vec![99, 0], vec![1, 0]])?;
/// assert_eq!(balanced_accuracy(&matrix), 0.5);
/// # Ok::<(), mlestar_eval::EvalError>(())
/// ```
pub fn balanced_accuracy(matrix: &ConfusionMatrix) -> f64 {
    let recalls: Vec<f64> = class_metrics(matrix)
        .iter()
        .filter_map(|class| class.recall)
        .collect();
    // A matrix holds at least one sample, so there is at least one recall.
    recalls.iter().sum::<f64>() / recalls.len() as f64
}
