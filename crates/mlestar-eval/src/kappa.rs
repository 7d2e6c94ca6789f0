use crate::ConfusionMatrix;

/// Cohen's kappa: agreement of prediction and truth beyond what the class frequencies give by chance; -1 to 1.
///
/// `(p_o - p_e) / (1 - p_e)` with p_o the accuracy and p_e the sum over classes of the product of the two
/// frequencies (Cohen 1960, "A coefficient of agreement for nominal scales"). `None` if p_e is 1: every sample
/// is of one class and predicted as it. `sklearn.metrics.cohen_kappa_score` returns NaN then.
///
/// ```
/// use mlestar_eval::{ConfusionMatrix, cohen_kappa};
/// let chance = ConfusionMatrix::from_counts(vec![vec![25, 25], vec![25, 25]])?;
/// assert_eq!(cohen_kappa(&chance), Some(0.0));
/// let one_class = ConfusionMatrix::from_counts(vec![vec![9, 0], vec![0, 0]])?;
/// assert_eq!(cohen_kappa(&one_class), None);
/// # Ok::<(), mlestar_eval::EvalError>(())
/// ```
pub fn cohen_kappa(matrix: &ConfusionMatrix) -> Option<f64> {
    let total = matrix.total() as f64;
    // Kept as counts times the total, so that the test against zero is exact below 2^53.
    let by_chance: f64 = (0..matrix.n_classes())
        .map(|class| matrix.support(class) as f64 * matrix.predicted_total(class) as f64)
        .sum();
    let room = total * total - by_chance;
    (room > 0.0).then(|| (matrix.correct() as f64 * total - by_chance) / room)
}
