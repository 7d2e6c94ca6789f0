use crate::ConfusionMatrix;

/// Matthews' correlation coefficient of prediction and truth for any number of classes; -1 to 1.
///
/// With s samples, c of them correct, t_k of true class k and p_k predicted as k:
/// `(c s - sum p_k t_k) / sqrt((s^2 - sum p_k^2) (s^2 - sum t_k^2))` (Gorodkin 2004, "Comparing two K-category assignments by a
/// K-category correlation coefficient"). 0 if all samples are of one class or all are predicted as one, as in
/// `sklearn.metrics.matthews_corrcoef`.
///
/// ```
/// use mlestar_eval::{ConfusionMatrix, matthews_correlation};
/// let perfect = ConfusionMatrix::from_counts(vec![vec![5, 0], vec![0, 7]])?;
/// assert_eq!(matthews_correlation(&perfect), 1.0);
/// # Ok::<(), mlestar_eval::EvalError>(())
/// ```
pub fn matthews_correlation(matrix: &ConfusionMatrix) -> f64 {
    let total = matrix.total() as f64;
    let sum_over_classes =
        |term: &dyn Fn(usize) -> f64| -> f64 { (0..matrix.n_classes()).map(term).sum() };
    let truth = |class: usize| matrix.support(class) as f64;
    let predicted = |class: usize| matrix.predicted_total(class) as f64;

    let covariance = matrix.correct() as f64 * total
        - sum_over_classes(&|class| truth(class) * predicted(class));
    let truth_variance = total * total - sum_over_classes(&|class| truth(class) * truth(class));
    let predicted_variance =
        total * total - sum_over_classes(&|class| predicted(class) * predicted(class));
    if truth_variance <= 0.0 || predicted_variance <= 0.0 {
        return 0.0;
    }
    // The product of the roots, because the root of the product could overflow.
    (covariance / truth_variance.sqrt() / predicted_variance.sqrt()).clamp(-1.0, 1.0)
}
