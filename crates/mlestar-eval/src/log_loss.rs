use crate::Predictions;

/// Mean negative logarithm of the probability of the true class, in nats; 0 is best.
///
/// Probabilities are clipped to `[eps, 1 - eps]` with `eps` = 2.2e-16, so that a probability of 0 costs 36 nats
/// and not infinity; `sklearn.metrics.log_loss` does the same. For predictions made from logits the logarithm
/// is exact and nothing is clipped.
///
/// ```
/// use mlestar_eval::{Predictions, log_loss};
/// let predictions = Predictions::new(vec![0], vec![0.5, 0.5], 2)?;
/// assert!((log_loss(&predictions) - 2f64.ln()).abs() < 1e-15);
/// # Ok::<(), mlestar_eval::EvalError>(())
/// ```
pub fn log_loss(predictions: &Predictions) -> f64 {
    let sum: f64 = (0..predictions.len())
        .map(|index| sample_log_loss(predictions, index))
        .sum();
    sum / predictions.len() as f64
}

pub(crate) fn sample_log_loss(predictions: &Predictions, index: usize) -> f64 {
    -predictions.log_probability_of_truth(index)
}
