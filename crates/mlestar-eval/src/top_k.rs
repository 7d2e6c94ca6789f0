use crate::{EvalError, Predictions};

/// Fraction of samples whose true class is among the `k` most probable ones, 0-1.
///
/// Of equal probabilities, the lower class index ranks first, so that `k = 1` is [`accuracy`](crate::accuracy).
/// `sklearn.metrics.top_k_accuracy_score` ranks the higher index first, so it may differ if probabilities are
/// exactly equal.
///
/// # Errors
/// [`EvalError::ParameterOutOfRange`] if `k` is 0 or above the number of classes.
///
/// ```
/// use mlestar_eval::{Predictions, top_k_accuracy};
/// let predictions = Predictions::new(vec![1], vec![0.5, 0.3, 0.2], 3)?;
/// assert_eq!(top_k_accuracy(&predictions, 1)?, 0.0);
/// assert_eq!(top_k_accuracy(&predictions, 2)?, 1.0);
/// # Ok::<(), mlestar_eval::EvalError>(())
/// ```
pub fn top_k_accuracy(predictions: &Predictions, k: usize) -> Result<f64, EvalError> {
    let n_classes = predictions.n_classes();
    if k == 0 || k > n_classes {
        return Err(EvalError::ParameterOutOfRange {
            name: "k",
            value: k as f64,
            range: format!("1 to {n_classes}, the number of classes"),
        });
    }
    let hits = (0..predictions.len())
        .filter(|&index| rank(predictions.row(index), predictions.label(index) as usize) < k)
        .count();
    Ok(hits as f64 / predictions.len() as f64)
}

/// How many classes rank before `class`.
fn rank(row: &[f64], class: usize) -> usize {
    let own = row[class];
    row.iter()
        .enumerate()
        .filter(|&(other, &value)| value > own || (value == own && other < class))
        .count()
}
