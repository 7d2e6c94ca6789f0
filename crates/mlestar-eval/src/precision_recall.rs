use serde::{Deserialize, Serialize};

use crate::roc::{defined_means, evenly_spread, for_each_class, split};
use crate::thresholds::{check_scores, threshold_counts};
use crate::{EvalError, Predictions};

/// Precision and recall at every threshold, from the lowest threshold (recall 1) to the end point (recall 0,
/// precision 1), which has no threshold: `precision` and `recall` are one longer than `thresholds`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PrecisionRecallCurve {
    /// Fraction of the samples predicted as positive that are positive, 0-1.
    pub precision: Vec<f64>,
    /// Fraction of the positives predicted as positive, 0-1, never increasing.
    pub recall: Vec<f64>,
    /// Samples with a score of at least this are predicted as positive; increasing.
    pub thresholds: Vec<f64>,
}

impl PrecisionRecallCurve {
    /// Number of points, at least 2.
    #[allow(clippy::len_without_is_empty)] // never empty
    pub fn len(&self) -> usize {
        self.precision.len()
    }

    /// About `max_points` points (at least 2) spread evenly along the curve, ends included: for charts.
    #[must_use]
    pub fn thinned(&self, max_points: usize) -> PrecisionRecallCurve {
        let kept = evenly_spread(self.len(), max_points);
        let pick = |values: &[f64]| {
            kept.iter()
                .filter_map(|&index| values.get(index).copied())
                .collect()
        };
        PrecisionRecallCurve {
            precision: pick(&self.precision),
            recall: pick(&self.recall),
            thresholds: pick(&self.thresholds),
        }
    }
}

/// Precision-recall curve of `scores` (higher means more likely positive) against the truth; `None` if no
/// sample is positive.
///
/// `sklearn.metrics.precision_recall_curve(drop_intermediate=False)`, which returns a recall of 1 if there are
/// no positives.
///
/// # Errors
/// [`EvalError::Empty`], [`EvalError::LengthMismatch`], [`EvalError::NotFinite`].
///
/// ```
/// use mlestar_eval::precision_recall_curve;
/// let curve = precision_recall_curve(&[true, false, true], &[0.9, 0.5, 0.4])?;
/// let recall = curve.map(|curve| curve.recall);
/// assert_eq!(recall, Some(vec![1.0, 0.5, 0.5, 0.0]));
/// # Ok::<(), mlestar_eval::EvalError>(())
/// ```
pub fn precision_recall_curve(
    truth: &[bool],
    scores: &[f64],
) -> Result<Option<PrecisionRecallCurve>, EvalError> {
    let counts = threshold_counts(truth, scores)?;
    let positives = counts.last().map_or(0, |last| last.true_positives);
    if positives == 0 {
        return Ok(None);
    }
    let mut curve = PrecisionRecallCurve {
        precision: Vec::with_capacity(counts.len() + 1),
        recall: Vec::with_capacity(counts.len() + 1),
        thresholds: Vec::with_capacity(counts.len()),
    };
    for count in counts.iter().rev() {
        let called = count.true_positives + count.false_positives;
        curve
            .precision
            .push(count.true_positives as f64 / called as f64);
        curve
            .recall
            .push(count.true_positives as f64 / positives as f64);
        curve.thresholds.push(count.threshold);
    }
    curve.precision.push(1.0);
    curve.recall.push(0.0);
    Ok(Some(curve))
}

/// Average precision, 0-1: the sum over thresholds of the precision times the gain in recall, without
/// interpolation; `None` if no sample is positive.
///
/// `sklearn.metrics.average_precision_score`, which returns 0 and a warning if there are no positives.
///
/// # Errors
/// [`EvalError::Empty`], [`EvalError::LengthMismatch`], [`EvalError::NotFinite`].
///
/// ```
/// use mlestar_eval::average_precision;
/// let precision = average_precision(&[true, false, true], &[0.9, 0.5, 0.4])?;
/// assert_eq!(precision, Some(0.5 * 1.0 + 0.5 * 2.0 / 3.0));
/// # Ok::<(), mlestar_eval::EvalError>(())
/// ```
pub fn average_precision(truth: &[bool], scores: &[f64]) -> Result<Option<f64>, EvalError> {
    check_scores(truth, scores)?;
    let (mut positives, negatives) = split(truth, scores);
    if positives.is_empty() {
        return Ok(None);
    }
    // From the highest down. Recall grows only at the positives' scores, so nothing else has to be sorted.
    positives.sort_unstable_by(|a, b| b.total_cmp(a));
    // How many negatives score at least as high as a positive, but lower than the one before it.
    let mut joining = vec![0u64; positives.len()];
    for score in negatives {
        let place = positives.partition_point(|&positive| positive > score);
        if let Some(count) = joining.get_mut(place) {
            *count += 1;
        }
    }
    let n_positives = positives.len() as f64;
    let (mut sum, mut called_wrongly, mut start) = (0.0, 0, 0);
    for equal in positives.chunk_by(|a, b| a == b) {
        let end = start + equal.len();
        called_wrongly += joining[start];
        let precision = end as f64 / (end as f64 + called_wrongly as f64);
        sum += equal.len() as f64 / n_positives * precision;
        start = end;
    }
    Ok(Some(sum))
}

/// One-versus-rest average precision of every class.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PerClassAveragePrecision {
    /// In class order; `None` for classes that are never true.
    pub per_class: Vec<Option<f64>>,
    /// Mean of the defined values ("mean average precision"); `None` if there are none.
    pub macro_average: Option<f64>,
    /// Mean of the defined values, weighted by support; `None` if there are none.
    pub weighted_average: Option<f64>,
}

/// [`average_precision`] of every class against the rest.
pub fn average_precision_one_vs_rest(predictions: &Predictions) -> PerClassAveragePrecision {
    let per_class = for_each_class(predictions, average_precision);
    let (macro_average, weighted_average) = defined_means(predictions, &per_class);
    PerClassAveragePrecision {
        per_class,
        macro_average,
        weighted_average,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_sided_truth() {
        assert_eq!(
            average_precision(&[false, false], &[0.1, 0.2]).unwrap(),
            None
        );
        assert_eq!(
            average_precision(&[true, true], &[0.1, 0.2]).unwrap(),
            Some(1.0)
        );
    }

    #[test]
    fn thinning_keeps_the_ends() {
        let truth: Vec<bool> = (0..500).map(|i| i % 4 == 1).collect();
        let scores: Vec<f64> = (0..500).map(|i| f64::from((i * 311) % 500)).collect();
        let curve = precision_recall_curve(&truth, &scores).unwrap().unwrap();
        let thin = curve.thinned(20);
        assert_eq!(
            (
                thin.precision.len(),
                thin.recall.len(),
                thin.thresholds.len()
            ),
            (20, 20, 19)
        );
        assert_eq!((thin.recall[0], thin.recall[19]), (1.0, 0.0));
    }

    #[test]
    fn nonsense_is_refused() {
        assert!(precision_recall_curve(&[], &[]).is_err());
        assert!(precision_recall_curve(&[true], &[0.1, 0.2]).is_err());
        assert!(average_precision(&[true], &[f64::INFINITY]).is_err());
    }
}
