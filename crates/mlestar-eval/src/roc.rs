use serde::{Deserialize, Serialize};

use crate::thresholds::{ThresholdCounts, check_scores, threshold_counts};
use crate::{EvalError, Predictions};

/// Receiver operating characteristic: the three lists have one entry per point, from (0, 0) to (1, 1).
#[derive(Debug, Clone, PartialEq)]
pub struct RocCurve {
    /// Fraction of negatives predicted as positive, 0-1, never decreasing.
    pub false_positive_rate: Vec<f64>,
    /// Fraction of positives predicted as positive (the recall), 0-1, never decreasing.
    pub true_positive_rate: Vec<f64>,
    /// Samples with a score of at least this are predicted as positive; infinity at the first point, then
    /// decreasing.
    pub thresholds: Vec<f64>,
}

impl RocCurve {
    /// Number of points, at least 2.
    #[allow(clippy::len_without_is_empty)] // never empty
    pub fn len(&self) -> usize {
        self.thresholds.len()
    }

    /// Area under the curve by the trapezoidal rule, 0-1; the same number as [`roc_auc`].
    pub fn area(&self) -> f64 {
        let (x, y) = (&self.false_positive_rate, &self.true_positive_rate);
        (1..self.len())
            .map(|i| (x[i] - x[i - 1]) * 0.5 * (y[i] + y[i - 1]))
            .sum()
    }

    /// About `max_points` points (at least 2) spread evenly along the curve, ends included: for charts, where tens
    /// of thousands of points make a large file and the same image.
    #[must_use]
    pub fn thinned(&self, max_points: usize) -> RocCurve {
        let kept = evenly_spread(self.len(), max_points);
        let pick = |values: &[f64]| kept.iter().map(|&index| values[index]).collect();
        RocCurve {
            false_positive_rate: pick(&self.false_positive_rate),
            true_positive_rate: pick(&self.true_positive_rate),
            thresholds: pick(&self.thresholds),
        }
    }
}

/// ROC curve of `scores` (higher means more likely positive) against the truth; `None` if all samples are
/// positive or none is.
///
/// One point per distinct score: `sklearn.metrics.roc_curve(drop_intermediate=False)`.
///
/// # Errors
/// [`EvalError::Empty`], [`EvalError::LengthMismatch`], [`EvalError::NotFinite`].
///
/// ```
/// use mlestar_eval::roc_curve;
/// let curve = roc_curve(&[true, false, true], &[0.9, 0.5, 0.4])?;
/// let rates = curve.map(|curve| (curve.false_positive_rate, curve.true_positive_rate));
/// assert_eq!(rates, Some((vec![0.0, 0.0, 1.0, 1.0], vec![0.0, 0.5, 0.5, 1.0])));
/// assert_eq!(roc_curve(&[true, true], &[0.9, 0.5])?, None);
/// # Ok::<(), mlestar_eval::EvalError>(())
/// ```
pub fn roc_curve(truth: &[bool], scores: &[f64]) -> Result<Option<RocCurve>, EvalError> {
    let counts = threshold_counts(truth, scores)?;
    let Some((positives, negatives)) = both_sides(&counts) else {
        return Ok(None);
    };
    let mut curve = RocCurve {
        false_positive_rate: vec![0.0],
        true_positive_rate: vec![0.0],
        thresholds: vec![f64::INFINITY],
    };
    for count in counts {
        curve
            .false_positive_rate
            .push(count.false_positives as f64 / negatives);
        curve
            .true_positive_rate
            .push(count.true_positives as f64 / positives);
        curve.thresholds.push(count.threshold);
    }
    Ok(Some(curve))
}

/// Area under the ROC curve, 0-1: the probability that a positive sample scores higher than a negative one,
/// where an equal score counts half; `None` if all samples are positive or none is.
///
/// Mann and Whitney's U, divided by the number of pairs; `sklearn.metrics.roc_auc_score`.
///
/// # Errors
/// [`EvalError::Empty`], [`EvalError::LengthMismatch`], [`EvalError::NotFinite`].
///
/// ```
/// use mlestar_eval::roc_auc;
/// assert_eq!(roc_auc(&[false, true, true], &[0.2, 0.2, 0.7])?, Some(0.75));
/// assert_eq!(roc_auc(&[true, true], &[0.2, 0.7])?, None);
/// # Ok::<(), mlestar_eval::EvalError>(())
/// ```
pub fn roc_auc(truth: &[bool], scores: &[f64]) -> Result<Option<f64>, EvalError> {
    check_scores(truth, scores)?;
    let (positives, negatives) = split(truth, scores);
    if positives.is_empty() || negatives.is_empty() {
        return Ok(None);
    }
    let pairs = positives.len() as f64 * negatives.len() as f64;
    // Only the smaller side is sorted: with many classes, each has few positives.
    let positives_are_few = positives.len() < negatives.len();
    let (mut few, many) = match positives_are_few {
        true => (positives, negatives),
        false => (negatives, positives),
    };
    few.sort_unstable_by(f64::total_cmp);
    // Twice the number of won pairs is an integer, so the sum is exact below 2^127.
    let mut doubled_wins: u128 = 0;
    for score in many {
        let below = few.partition_point(|&other| other < score);
        let not_above = few.partition_point(|&other| other <= score);
        let beaten = match positives_are_few {
            true => few.len() - not_above,
            false => below,
        };
        doubled_wins += 2 * beaten as u128 + (not_above - below) as u128;
    }
    Ok(Some(doubled_wins as f64 / (2.0 * pairs)))
}

/// The scores of the positives and of the negatives.
pub(crate) fn split(truth: &[bool], scores: &[f64]) -> (Vec<f64>, Vec<f64>) {
    let (mut positives, mut negatives) = (Vec::new(), Vec::new());
    for (&positive, &score) in truth.iter().zip(scores) {
        match positive {
            true => positives.push(score),
            false => negatives.push(score),
        }
    }
    (positives, negatives)
}

/// One-versus-rest AUC of every class.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PerClassAuc {
    /// In class order; `None` for classes that are always or never true.
    pub per_class: Vec<Option<f64>>,
    /// Mean of the defined values; `None` if there are none.
    pub macro_average: Option<f64>,
    /// Mean of the defined values, weighted by support; `None` if there are none.
    pub weighted_average: Option<f64>,
}

/// [`roc_auc`] of every class against the rest.
///
/// `sklearn.metrics.roc_auc_score(multi_class="ovr")` if every class is present. If one is absent, scikit-learn
/// fails, while this leaves the class out.
pub fn roc_auc_one_vs_rest(predictions: &Predictions) -> PerClassAuc {
    let per_class = for_each_class(predictions, roc_auc);
    let (macro_average, weighted_average) = defined_means(predictions, &per_class);
    PerClassAuc {
        per_class,
        macro_average,
        weighted_average,
    }
}

/// A one-versus-rest figure of every class.
pub(crate) fn for_each_class(
    predictions: &Predictions,
    figure: impl Fn(&[bool], &[f64]) -> Result<Option<f64>, EvalError>,
) -> Vec<Option<f64>> {
    (0..predictions.n_classes())
        .map(|class| {
            let (truth, scores) = predictions.one_vs_rest(class).ok()?;
            // `Predictions` are checked, so no error can occur here.
            figure(&truth, &scores).ok().flatten()
        })
        .collect()
}

/// Plain and support-weighted mean of the defined values.
pub(crate) fn defined_means(
    predictions: &Predictions,
    per_class: &[Option<f64>],
) -> (Option<f64>, Option<f64>) {
    let mut supports = vec![0u64; predictions.n_classes()];
    for &label in predictions.labels() {
        supports[label as usize] += 1;
    }
    let (mut count, mut sum, mut weight, mut weighted_sum) = (0.0, 0.0, 0.0, 0.0);
    for (value, support) in per_class.iter().zip(supports) {
        if let Some(value) = value {
            count += 1.0;
            sum += value;
            weight += support as f64;
            weighted_sum += value * support as f64;
        }
    }
    (
        (count > 0.0).then(|| sum / count),
        (weight > 0.0).then(|| weighted_sum / weight),
    )
}

/// Number of positives and negatives; `None` if one of the two is 0.
fn both_sides(counts: &[ThresholdCounts]) -> Option<(f64, f64)> {
    let last = counts.last()?;
    (last.true_positives > 0 && last.false_positives > 0)
        .then_some((last.true_positives as f64, last.false_positives as f64))
}

/// Indices `0..length`, at most `max` of them (at least the two ends).
pub(crate) fn evenly_spread(length: usize, max: usize) -> Vec<usize> {
    let max = max.max(2);
    if length <= max {
        return (0..length).collect();
    }
    let last = (length - 1) as f64;
    (0..max)
        .map(|step| (step as f64 * last / (max - 1) as f64).round() as usize)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thinning_keeps_the_ends() {
        let truth: Vec<bool> = (0..1000).map(|i| i % 3 == 0).collect();
        let scores: Vec<f64> = (0..1000).map(|i| f64::from((i * 617) % 1000)).collect();
        let curve = roc_curve(&truth, &scores).unwrap().unwrap();
        let thin = curve.thinned(50);
        assert_eq!(thin.len(), 50);
        assert_eq!(
            (thin.false_positive_rate[0], thin.true_positive_rate[0]),
            (0.0, 0.0)
        );
        assert_eq!(
            (thin.false_positive_rate[49], thin.true_positive_rate[49]),
            (1.0, 1.0)
        );
        assert!((thin.area() - curve.area()).abs() < 0.01);
        assert_eq!(curve.thinned(5000), curve);
    }

    #[test]
    fn area_and_midranks_agree() {
        let truth = [true, false, true, true, false, false];
        let scores = [0.5, 0.5, 0.9, 0.1, 0.1, 0.3];
        let curve = roc_curve(&truth, &scores).unwrap().unwrap();
        let auc = roc_auc(&truth, &scores).unwrap().unwrap();
        assert!((curve.area() - auc).abs() < 1e-15);
    }

    #[test]
    fn nonsense_is_refused() {
        assert!(matches!(roc_auc(&[], &[]), Err(EvalError::Empty { .. })));
        assert!(matches!(
            roc_auc(&[true], &[]),
            Err(EvalError::LengthMismatch { .. })
        ));
        assert!(matches!(
            roc_curve(&[true, false], &[0.1, f64::NAN]),
            Err(EvalError::NotFinite { index: 1, .. })
        ));
    }
}
