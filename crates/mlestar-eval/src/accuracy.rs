use crate::Predictions;

/// Fraction of samples whose predicted class is the true one, 0-1.
///
/// `sklearn.metrics.accuracy_score`. For its interval, see [`wilson`](crate::wilson).
///
/// ```
/// use mlestar_eval::{Predictions, accuracy};
/// let predictions = Predictions::new(vec![0, 0], vec![0.9, 0.1, 0.2, 0.8], 2)?;
/// assert_eq!(accuracy(&predictions), 0.5);
/// # Ok::<(), mlestar_eval::EvalError>(())
/// ```
pub fn accuracy(predictions: &Predictions) -> f64 {
    let correct = predictions
        .labels()
        .iter()
        .zip(predictions.predicted_labels())
        .filter(|(label, predicted)| label == predicted)
        .count();
    correct as f64 / predictions.len() as f64
}
