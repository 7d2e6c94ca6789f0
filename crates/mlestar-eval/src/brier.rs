use crate::Predictions;

/// Mean squared distance of the probabilities from the truth: `mean over samples of sum over classes (p - y)^2`; 0
/// is best, 2 worst.
///
/// Brier 1950, "Verification of forecasts expressed in terms of probability". Equals
/// `sklearn.metrics.brier_score_loss` with `scale_by_half=False`, its default for three or more classes (for
/// two it halves).
///
/// ```
/// use mlestar_eval::{Predictions, brier_score};
/// let predictions = Predictions::new(vec![0, 0], vec![1.0, 0.0, 0.0, 1.0], 2)?;
/// assert_eq!(brier_score(&predictions), 1.0); // one right for sure: 0; one wrong for sure: 2
/// # Ok::<(), mlestar_eval::EvalError>(())
/// ```
pub fn brier_score(predictions: &Predictions) -> f64 {
    let sum: f64 = (0..predictions.len())
        .map(|index| sample_brier(predictions, index))
        .sum();
    sum / predictions.len() as f64
}

pub(crate) fn sample_brier(predictions: &Predictions, index: usize) -> f64 {
    let label = predictions.label(index) as usize;
    predictions
        .row(index)
        .iter()
        .enumerate()
        .map(|(class, &probability)| {
            let truth = if class == label { 1.0 } else { 0.0 };
            (probability - truth) * (probability - truth)
        })
        .sum()
}
