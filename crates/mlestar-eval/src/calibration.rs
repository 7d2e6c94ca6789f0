use serde::{Deserialize, Serialize};

use crate::{EvalError, Predictions};

/// Samples whose confidence is in one bin of a reliability diagram.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ReliabilityBin {
    /// Lower edge, excluded (included in the first bin).
    pub low: f64,
    /// Upper edge, included.
    pub high: f64,
    /// Number of samples.
    pub count: u64,
    /// Mean confidence of the samples, 0-1; `None` for an empty bin.
    pub mean_confidence: Option<f64>,
    /// Fraction of the samples that are correct, 0-1; `None` for an empty bin.
    pub accuracy: Option<f64>,
}

/// How well the confidence matches the accuracy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Reliability {
    /// Equal-width bins from 0 to 1.
    pub bins: Vec<ReliabilityBin>,
    /// Mean over samples of the gap between their bin's accuracy and mean confidence, 0-1.
    pub expected_calibration_error: f64,
    /// Largest gap among the bins that are not empty, 0-1.
    pub maximum_calibration_error: f64,
}

/// Reliability diagram and calibration errors of the top prediction.
///
/// The confidence of a sample is the probability of its predicted class. Bin i of m holds the confidences in
/// `(i/m, (i+1)/m]`, the first also 0. The expected calibration error is
/// `sum over bins of count/n |accuracy - mean confidence|` (Guo et al. 2017, "On calibration of modern neural
/// networks"; 15 bins there). The points are those of
/// `sklearn.calibration.calibration_curve(correct, confidence, strategy="uniform")`.
///
/// # Errors
/// [`EvalError::ParameterOutOfRange`] for 0 bins or more than 10,000.
///
/// ```
/// use mlestar_eval::{Predictions, reliability};
/// let predictions = Predictions::new(vec![0, 1], vec![0.8, 0.2, 0.8, 0.2], 2)?;
/// let reliability = reliability(&predictions, 10)?;
/// assert_eq!(reliability.bins[7].count, 2); // (0.7, 0.8]
/// assert_eq!(reliability.bins[7].accuracy, Some(0.5));
/// assert!((reliability.expected_calibration_error - 0.3).abs() < 1e-12);
/// # Ok::<(), mlestar_eval::EvalError>(())
/// ```
pub fn reliability(predictions: &Predictions, n_bins: usize) -> Result<Reliability, EvalError> {
    if !(1..=10_000).contains(&n_bins) {
        return Err(EvalError::ParameterOutOfRange {
            name: "n_bins",
            value: n_bins as f64,
            range: "1 to 10000; 15 is usual".to_string(),
        });
    }
    let edges: Vec<f64> = (0..=n_bins)
        .map(|index| index as f64 / n_bins as f64)
        .collect();
    let mut counts = vec![0u64; n_bins];
    let mut right = vec![0u64; n_bins];
    let mut confidence_sums = vec![0.0; n_bins];
    for index in 0..predictions.len() {
        let confidence = predictions.confidence(index);
        // The number of inner edges strictly below the confidence.
        let bin = edges[1..n_bins].partition_point(|&edge| edge < confidence);
        counts[bin] += 1;
        confidence_sums[bin] += confidence;
        if predictions.predicted(index) == predictions.label(index) {
            right[bin] += 1;
        }
    }
    let bins: Vec<ReliabilityBin> = (0..n_bins)
        .map(|bin| {
            let count = counts[bin];
            let mean = |sum: f64| (count > 0).then(|| sum / count as f64);
            ReliabilityBin {
                low: edges[bin],
                high: edges[bin + 1],
                count,
                mean_confidence: mean(confidence_sums[bin]),
                accuracy: mean(right[bin] as f64),
            }
        })
        .collect();
    Ok(with_errors(bins, predictions.len()))
}

/// The expected calibration error of [`reliability`], 0-1; 0 is best.
///
/// # Errors
/// As for [`reliability`].
pub fn expected_calibration_error(
    predictions: &Predictions,
    n_bins: usize,
) -> Result<f64, EvalError> {
    Ok(reliability(predictions, n_bins)?.expected_calibration_error)
}

fn with_errors(bins: Vec<ReliabilityBin>, n: usize) -> Reliability {
    let (mut expected, mut maximum) = (0.0, 0.0);
    for bin in &bins {
        if let (Some(confidence), Some(accuracy)) = (bin.mean_confidence, bin.accuracy) {
            let gap = (accuracy - confidence).abs();
            expected += gap * bin.count as f64 / n as f64;
            maximum = f64::max(maximum, gap);
        }
    }
    Reliability {
        bins,
        expected_calibration_error: expected,
        maximum_calibration_error: maximum,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edges_belong_to_the_bin_below() {
        let predictions = Predictions::new(vec![0, 0, 0], vec![0.5, 0.5, 0.75, 0.25, 1.0, 0.0], 2);
        let reliability = reliability(&predictions.unwrap(), 4).unwrap();
        let counts: Vec<u64> = reliability.bins.iter().map(|bin| bin.count).collect();
        assert_eq!(counts, [0, 1, 1, 1]);
        assert_eq!(reliability.bins[0].accuracy, None);
        assert_eq!(reliability.maximum_calibration_error, 0.5);
    }

    #[test]
    fn bins_are_checked() {
        let predictions = Predictions::new(vec![0], vec![0.5, 0.5], 2).unwrap();
        assert!(reliability(&predictions, 0).is_err());
        assert!(reliability(&predictions, usize::MAX).is_err());
        assert_eq!(expected_calibration_error(&predictions, 1).unwrap(), 0.5);
    }
}
