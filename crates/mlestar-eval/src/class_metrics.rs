use serde::{Deserialize, Serialize};

use crate::ConfusionMatrix;

/// Precision, recall and F1 of one class against the rest; fractions 0-1.
///
/// With TP, FP and FN counted from the confusion matrix: precision = TP / (TP + FP), recall = TP / (TP + FN),
/// F1 = 2 TP / (2 TP + FP + FN); `None` if the denominator is 0.
/// `sklearn.metrics.precision_recall_fscore_support` reports 0 there (its `zero_division=0`).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ClassMetrics {
    /// Fraction of the samples predicted as this class that belong to it; `None` if it was never predicted.
    pub precision: Option<f64>,
    /// Fraction of the samples of this class that were found; `None` if the class is absent.
    pub recall: Option<f64>,
    /// Harmonic mean of the two; `None` if the class is absent and never predicted.
    pub f1: Option<f64>,
    /// Samples of this class.
    pub support: u64,
}

/// Precision, recall and F1 averaged over classes; fractions 0-1.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct MeanMetrics {
    /// Mean precision.
    pub precision: f64,
    /// Mean recall.
    pub recall: f64,
    /// Mean F1 (not the F1 of the mean precision and recall).
    pub f1: f64,
}

/// The three usual averages over the classes that occur. A class without a sample says nothing about the
/// classifier and is left out. A precision that is undefined because the class was never predicted counts as 0
/// (`sklearn.metrics.precision_recall_fscore_support` with `labels` = the classes present and
/// `zero_division=0`; with `labels` = all classes, scikit-learn counts an absent class as 0).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Averages {
    /// Every class that occurs has the same weight.
    pub macro_average: MeanMetrics,
    /// Every sample has the same weight: all three equal the accuracy, because each sample has one label.
    pub micro_average: MeanMetrics,
    /// Every class is weighted by its support.
    pub weighted_average: MeanMetrics,
}

/// One [`ClassMetrics`] per class, in class order.
///
/// ```
/// use mlestar_eval::{ConfusionMatrix, class_metrics};
/// let metrics = class_metrics(&ConfusionMatrix::from_counts(vec![vec![3, 1], vec![0, 4]])?);
/// assert_eq!(metrics[0].precision, Some(1.0));
/// assert_eq!(metrics[0].recall, Some(0.75));
/// # Ok::<(), mlestar_eval::EvalError>(())
/// ```
pub fn class_metrics(matrix: &ConfusionMatrix) -> Vec<ClassMetrics> {
    (0..matrix.n_classes())
        .map(|class| {
            let true_positives = matrix.right(class);
            let support = matrix.support(class);
            let predicted = matrix.predicted_total(class);
            ClassMetrics {
                precision: ratio(true_positives as f64, predicted as f64),
                recall: ratio(true_positives as f64, support as f64),
                f1: ratio(
                    2.0 * true_positives as f64,
                    support as f64 + predicted as f64,
                ),
                support,
            }
        })
        .collect()
}

/// Macro, micro and weighted averages of [`class_metrics`].
pub fn averages(matrix: &ConfusionMatrix) -> Averages {
    let metrics = class_metrics(matrix);
    let total = matrix.total() as f64;
    let n_present = metrics.iter().filter(|class| class.support > 0).count();
    let accuracy = matrix.correct() as f64 / total;
    Averages {
        macro_average: weighted(&metrics, |class| match class.support {
            0 => 0.0,
            _ => 1.0 / n_present as f64,
        }),
        micro_average: MeanMetrics {
            precision: accuracy,
            recall: accuracy,
            f1: accuracy,
        },
        weighted_average: weighted(&metrics, |class| class.support as f64 / total),
    }
}

fn weighted(metrics: &[ClassMetrics], weight: impl Fn(&ClassMetrics) -> f64) -> MeanMetrics {
    let mean = |value: fn(&ClassMetrics) -> Option<f64>| {
        metrics
            .iter()
            .map(|class| weight(class) * value(class).unwrap_or(0.0))
            .sum()
    };
    MeanMetrics {
        precision: mean(|class| class.precision),
        recall: mean(|class| class.recall),
        f1: mean(|class| class.f1),
    }
}

fn ratio(numerator: f64, denominator: f64) -> Option<f64> {
    (denominator > 0.0).then(|| numerator / denominator)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absent_and_never_predicted_classes_are_undefined() {
        let matrix =
            ConfusionMatrix::from_counts(vec![vec![2, 0, 1], vec![1, 0, 0], vec![0, 0, 0]])
                .unwrap();
        let metrics = class_metrics(&matrix);
        assert_eq!(metrics[1].precision, None);
        assert_eq!(metrics[1].recall, Some(0.0));
        assert_eq!(metrics[1].f1, Some(0.0));
        assert_eq!(metrics[2].precision, Some(0.0));
        assert_eq!(metrics[2].recall, None);
        assert_eq!(metrics[2].support, 0);
        assert_eq!(averages(&matrix).macro_average.recall, (2.0 / 3.0) / 2.0);
    }
}
