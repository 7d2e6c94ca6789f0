use serde::{Deserialize, Serialize};

use crate::error::check_confidence;
use crate::student::two_sided_quantile;
use crate::{EvalError, Interval, wilson};

/// One split of a set: the samples that were held out, and how many of them were classified correctly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldOut {
    /// Samples held out, at least 1.
    pub samples: u64,
    /// Correct answers among them.
    pub correct: u64,
}

/// The accuracy over several splits of one set, see [`resampled_accuracy`]. Fractions, 0-1.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ResampledAccuracy {
    /// Mean of the splits' accuracies, each weighted by its samples.
    pub mean: f64,
    /// Standard deviation of the accuracies of single splits around it.
    pub deviation: f64,
    /// Standard error of the mean, corrected for the overlap of the splits.
    pub standard_error: f64,
    /// Where the mean would be with other samples.
    pub interval: Interval,
}

/// Mean accuracy of a training that is repeated over several splits of the same `n_samples` samples, such as the parts of a
/// repeated cross-validation, each with a new model.
///
/// The trainings of different splits share samples, so their accuracies are not independent, and the usual standard error
/// `s / sqrt(J)` of `J` splits is far too small: it shrinks with every repetition, although nothing new is learnt about
/// other samples. The corrected variance is
///
/// `(1/J + n2/n1) s^2`
///
/// for `n2` samples held out and `n1` for training, with Student's distribution of `J - 1` degrees of freedom (Nadeau and
/// Bengio 2003, "Inference for the generalization error", Machine Learning 52, the corrected resampled t-test; Bouckaert
/// and Frank 2004, "Evaluating the replicability of significance tests for comparing learning algorithms", for repeated
/// cross-validation). Splits of unequal size count by their samples.
///
/// The interval is within 0-1 and holds [Wilson's](wilson) of `n_samples` independent samples with this accuracy: no
/// repetition says more about other samples than as many new ones would. So it has a width even if all splits agree.
///
/// # Errors
/// [`EvalError::ParameterOutOfRange`] for fewer than two splits, an invalid confidence, a split without held-out samples,
/// with none left for training or with more correct answers than samples.
///
/// ```
/// use mlestar_eval::{HeldOut, resampled_accuracy};
/// let splits = [17, 19, 18, 20, 18].map(|correct| HeldOut { samples: 20, correct });
/// let found = resampled_accuracy(&splits, 100, 0.95)?;
/// assert!((found.mean - 0.92).abs() < 1e-15);
/// // (1/5 + 20/80) of the variance, where independent splits would have 1/5.
/// assert!((found.standard_error - 0.45_f64.sqrt() * found.deviation).abs() < 1e-15);
/// assert_eq!(format!("{:.3} {:.3}", found.interval.low, found.interval.high), "0.814 1.000");
/// # Ok::<(), mlestar_eval::EvalError>(())
/// ```
pub fn resampled_accuracy(
    splits: &[HeldOut],
    n_samples: u64,
    confidence: f64,
) -> Result<ResampledAccuracy, EvalError> {
    check_confidence(confidence)?;
    check_splits(splits, n_samples)?;
    let n_splits = splits.len() as f64;
    let held_out: f64 = splits.iter().map(|split| split.samples as f64).sum();
    let correct: f64 = splits.iter().map(|split| split.correct as f64).sum();
    let mean = correct / held_out;
    let squares: f64 = splits
        .iter()
        .map(|split| {
            let samples = split.samples as f64;
            samples * (split.correct as f64 / samples - mean).powi(2)
        })
        .sum();
    let variance = squares / held_out * n_splits / (n_splits - 1.0);
    let held_out_share = held_out / n_splits / n_samples as f64;
    let overlap = held_out_share / (1.0 - held_out_share);
    let standard_error = ((1.0 / n_splits + overlap) * variance).sqrt();
    let half = two_sided_quantile(confidence, splits.len() as u64 - 1) * standard_error;
    // As a float, the number of correct answers may be rounded to more than there are samples.
    let of_all = ((mean * n_samples as f64).round() as u64).min(n_samples);
    let least = wilson(of_all, n_samples, confidence)?;
    Ok(ResampledAccuracy {
        mean,
        deviation: variance.sqrt(),
        standard_error,
        interval: Interval {
            low: (mean - half).min(least.low).clamp(0.0, mean),
            high: (mean + half).max(least.high).clamp(mean, 1.0),
            confidence,
        },
    })
}

fn check_splits(splits: &[HeldOut], n_samples: u64) -> Result<(), EvalError> {
    let out_of_range = |name, value: u64, range: String| {
        Err(EvalError::ParameterOutOfRange {
            name,
            value: value as f64,
            range,
        })
    };
    if splits.len() < 2 {
        let range = "at least 2: one split says nothing about how splits differ".to_owned();
        return out_of_range("splits", splits.len() as u64, range);
    }
    for split in splits {
        if split.samples == 0 || split.samples >= n_samples {
            let range = format!("at least 1 and below n_samples = {n_samples}");
            return out_of_range("samples", split.samples, range);
        }
        if split.correct > split.samples {
            let range = format!("0 to samples = {}", split.samples);
            return out_of_range("correct", split.correct, range);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn splits(samples: u64, correct: &[u64]) -> Vec<HeldOut> {
        let split = |correct: &u64| HeldOut {
            samples,
            correct: *correct,
        };
        correct.iter().map(split).collect()
    }

    #[test]
    fn splits_that_agree_keep_the_width_of_as_many_samples() {
        for correct in [20, 10, 0] {
            let found = resampled_accuracy(&splits(20, &[correct; 5]), 100, 0.95).unwrap();
            assert_eq!((found.deviation, found.standard_error), (0.0, 0.0));
            assert_eq!(found.interval, wilson(5 * correct, 100, 0.95).unwrap());
        }
    }

    #[test]
    fn repetitions_do_not_shrink_the_interval_below_that_of_the_samples() {
        let once = [17, 19, 18, 20, 18];
        let width = |times: usize| {
            let found = resampled_accuracy(&splits(20, &once.repeat(times)), 100, 0.95);
            found.unwrap().interval.width()
        };
        let of_samples = wilson(92, 100, 0.95).unwrap().width();
        assert!(width(1) > width(4) && width(4) > width(40));
        assert!(width(400) > of_samples, "{}", width(400));
    }

    #[test]
    fn splits_count_by_their_samples() {
        let uneven = [(1, 0), (30, 30)].map(|(samples, correct)| HeldOut { samples, correct });
        let found = resampled_accuracy(&uneven, 60, 0.95).unwrap();
        assert!((found.mean - 30.0 / 31.0).abs() < 1e-15);
    }

    #[test]
    fn nonsense_is_refused() {
        let one = splits(20, &[17]);
        let error = resampled_accuracy(&one, 100, 0.95).unwrap_err().to_string();
        assert!(error.contains("splits = 1"), "{error}");
        assert!(resampled_accuracy(&[], 100, 0.95).is_err());
        for (samples, correct, n) in [(0, 0, 10), (10, 3, 10), (11, 3, 10), (4, 5, 10)] {
            assert!(
                resampled_accuracy(&splits(samples, &[correct; 2]), n, 0.95).is_err(),
                "{samples} {correct} {n}"
            );
        }
        assert!(resampled_accuracy(&splits(2, &[1, 2]), 10, 95.0).is_err());
    }

    proptest! {
        #[test]
        fn it_holds_the_mean_and_is_within_0_and_1(
            parts in prop::collection::vec((1_u64..50, 0.0_f64..=1.0), 2..40),
            confidence in 0.01_f64..0.999,
        ) {
            let parts = parts.into_iter().map(|(samples, share)| HeldOut {
                samples,
                correct: (share * samples as f64) as u64,
            });
            let parts: Vec<HeldOut> = parts.collect();
            let found = resampled_accuracy(&parts, 60, confidence).unwrap();
            prop_assert!((0.0..=1.0).contains(&found.interval.low) && found.interval.high <= 1.0);
            prop_assert!(found.interval.contains(found.mean));
            let as_if_independent = found.deviation / (parts.len() as f64).sqrt();
            prop_assert!(found.standard_error >= as_if_independent);
        }
    }
}
