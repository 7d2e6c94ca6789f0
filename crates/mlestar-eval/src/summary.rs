use serde::{Deserialize, Serialize};

use crate::brier::sample_brier;
use crate::error::{check_confidence, check_same_length};
use crate::log_loss::sample_log_loss;
use crate::{
    Averages, ClassMetric, ConfusedPair, ConfusionMatrix, EvalError, Interval, Predictions,
    Reliability, average_precision_one_vs_rest, averages, bootstrap_many, brier_score,
    class_metric_interval, class_metrics, cohen_kappa, log_loss, most_confused_pairs, reliability,
    roc_auc_one_vs_rest, top_k_accuracy, wilson,
};

/// Bins of the reliability diagram: the number of Guo et al. 2017.
const RELIABILITY_BINS: usize = 15;
/// Number of confusions listed.
const CONFUSED_PAIRS: usize = 20;
/// Resamples of the bootstrap intervals.
const RESAMPLES: usize = 1_000;
/// Fixed, so that a summary depends only on the predictions.
const BOOTSTRAP_SEED: u64 = 0x6d6c_6573_7461_7221;

/// A figure with its confidence interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// The figure.
    pub value: f64,
    /// Its interval.
    pub interval: Interval,
}

/// Top-k accuracy for one k.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct TopKAccuracy {
    /// How many of the most probable classes count.
    pub k: usize,
    /// Fraction of samples whose true class is among them, with a Wilson interval.
    pub accuracy: Estimate,
}

/// The metrics of one class against the rest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClassSummary {
    /// Name of the class.
    pub class: String,
    /// Samples of the class.
    pub support: u64,
    /// Samples predicted as the class.
    pub predicted: u64,
    /// Fraction of the latter that belong to the class; `None` if there are none.
    pub precision: Option<f64>,
    /// Wilson interval of the precision.
    pub precision_interval: Option<Interval>,
    /// Fraction of the class that was found: its accuracy; `None` if the class is absent.
    pub recall: Option<f64>,
    /// Wilson interval of the recall.
    pub recall_interval: Option<Interval>,
    /// Harmonic mean of precision and recall; `None` if the class is absent and never predicted.
    pub f1: Option<f64>,
    /// One-versus-rest area under the ROC curve; `None` if the class is absent or the only one.
    pub roc_auc: Option<f64>,
    /// One-versus-rest average precision; `None` if the class is absent.
    pub average_precision: Option<f64>,
}

/// Everything this crate computes from one set of predictions. The same predictions give the same summary, bit
/// for bit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EvaluationSummary {
    /// Number of samples.
    pub n_samples: u64,
    /// Names of the classes.
    pub classes: Vec<String>,
    /// Confidence level of all intervals.
    pub confidence: f64,
    /// Fraction predicted correctly, with a Wilson interval.
    pub accuracy: Estimate,
    /// Top-k accuracy for k = 2, 3, 5, if below the number of classes.
    pub top_k: Vec<TopKAccuracy>,
    /// Mean recall of the classes present, with a score interval (see [`class_metric_interval`]).
    pub balanced_accuracy: Estimate,
    /// Mean F1 of the classes present, with a score interval.
    pub macro_f1: Estimate,
    /// Matthews' correlation coefficient, with a score interval.
    pub matthews_correlation: Estimate,
    /// Cohen's kappa; `None` if all samples are of one class and predicted as it.
    pub cohen_kappa: Option<f64>,
    /// Mean negative log probability of the truth in nats, with a bootstrap interval.
    pub log_loss: Estimate,
    /// Multi-class Brier score (0-2), with a bootstrap interval.
    pub brier_score: Estimate,
    /// Precision, recall and F1 averaged in three ways.
    pub averages: Averages,
    /// Mean one-versus-rest AUC of the classes where it is defined.
    pub macro_roc_auc: Option<f64>,
    /// The same, weighted by support.
    pub weighted_roc_auc: Option<f64>,
    /// Mean one-versus-rest average precision of the classes present.
    pub mean_average_precision: Option<f64>,
    /// Reliability diagram with 15 bins and the calibration errors.
    pub reliability: Reliability,
    /// One entry per class, in class order.
    pub per_class: Vec<ClassSummary>,
    /// Counts of true against predicted class.
    pub confusion: ConfusionMatrix,
    /// The (at most 20) most frequent confusions.
    pub most_confused: Vec<ConfusedPair>,
}

/// Computes all metrics.
///
/// Proportions have Wilson intervals, metrics that combine classes have score intervals
/// ([`class_metric_interval`]). Log loss and Brier score have 1,000 bootstrap resamples with a fixed seed;
/// these cannot show mistakes that no sample shows.
///
/// # Errors
/// [`EvalError::LengthMismatch`] if `classes` does not name each class; [`EvalError::ParameterOutOfRange`] for
/// an invalid confidence.
///
/// ```
/// use mlestar_eval::{Predictions, summarize};
/// let predictions = Predictions::new(vec![0, 1, 1], vec![0.9, 0.1, 0.2, 0.8, 0.6, 0.4], 2)?;
/// let summary = summarize(&predictions, &["cat".to_string(), "dog".to_string()], 0.95)?;
/// assert_eq!(summary.accuracy.value, 2.0 / 3.0);
/// assert_eq!(summary.per_class[1].recall, Some(0.5));
/// assert!(summarize(&predictions, &["cat".to_string()], 0.95).is_err());
/// # Ok::<(), mlestar_eval::EvalError>(())
/// ```
pub fn summarize(
    predictions: &Predictions,
    classes: &[String],
    confidence: f64,
) -> Result<EvaluationSummary, EvalError> {
    check_same_length(
        "the list of class names",
        classes.len(),
        "the number of classes",
        predictions.n_classes(),
    )?;
    check_confidence(confidence)?;
    let confusion = ConfusionMatrix::from(predictions);
    let n = confusion.total();
    let averages = averages(&confusion);
    let auc = roc_auc_one_vs_rest(predictions);
    let average_precision = average_precision_one_vs_rest(predictions);
    let resampled = resampled_intervals(predictions, confidence)?;
    let [log_loss_interval, brier_interval] = resampled;
    let of_classes = |metric| {
        let (value, interval) = class_metric_interval(predictions, metric, confidence)?;
        Ok::<_, EvalError>(Estimate { value, interval })
    };
    Ok(EvaluationSummary {
        n_samples: n,
        classes: classes.to_vec(),
        confidence,
        accuracy: proportion(confusion.correct(), n, confidence)?,
        top_k: top_k(predictions, confidence)?,
        balanced_accuracy: of_classes(ClassMetric::BalancedAccuracy)?,
        macro_f1: of_classes(ClassMetric::MacroF1)?,
        matthews_correlation: of_classes(ClassMetric::Matthews)?,
        cohen_kappa: cohen_kappa(&confusion),
        log_loss: Estimate {
            value: log_loss(predictions),
            interval: log_loss_interval,
        },
        brier_score: Estimate {
            value: brier_score(predictions),
            interval: brier_interval,
        },
        averages,
        macro_roc_auc: auc.macro_average,
        weighted_roc_auc: auc.weighted_average,
        mean_average_precision: average_precision.macro_average,
        reliability: reliability(predictions, RELIABILITY_BINS)?,
        per_class: per_class(
            &confusion,
            classes,
            &auc.per_class,
            &average_precision.per_class,
            confidence,
        )?,
        most_confused: most_confused_pairs(&confusion, CONFUSED_PAIRS),
        confusion,
    })
}

fn proportion(successes: u64, n: u64, confidence: f64) -> Result<Estimate, EvalError> {
    Ok(Estimate {
        value: successes as f64 / n as f64,
        interval: wilson(successes, n, confidence)?,
    })
}

fn top_k(predictions: &Predictions, confidence: f64) -> Result<Vec<TopKAccuracy>, EvalError> {
    let n = predictions.len() as u64;
    [2, 3, 5]
        .into_iter()
        .filter(|&k| k < predictions.n_classes())
        .map(|k| {
            let hits = (top_k_accuracy(predictions, k)? * n as f64).round() as u64;
            Ok(TopKAccuracy {
                k,
                accuracy: proportion(hits, n, confidence)?,
            })
        })
        .collect()
}

fn per_class(
    confusion: &ConfusionMatrix,
    classes: &[String],
    auc: &[Option<f64>],
    average_precision: &[Option<f64>],
    confidence: f64,
) -> Result<Vec<ClassSummary>, EvalError> {
    let interval = |successes, n| match n {
        0 => Ok(None),
        _ => wilson(successes, n, confidence).map(Some),
    };
    class_metrics(confusion)
        .into_iter()
        .enumerate()
        .map(|(class, metrics)| {
            let right = confusion.right(class);
            let predicted = confusion.predicted_total(class);
            Ok(ClassSummary {
                class: classes[class].clone(),
                support: metrics.support,
                predicted,
                precision: metrics.precision,
                precision_interval: interval(right, predicted)?,
                recall: metrics.recall,
                recall_interval: interval(right, metrics.support)?,
                f1: metrics.f1,
                roc_auc: auc[class],
                average_precision: average_precision[class],
            })
        })
        .collect()
}

/// Intervals of log loss and Brier score, from the same resamples.
fn resampled_intervals(
    predictions: &Predictions,
    confidence: f64,
) -> Result<[Interval; 2], EvalError> {
    let n = predictions.len();
    let samples: Vec<(f64, f64)> = (0..n)
        .map(|index| {
            (
                sample_log_loss(predictions, index),
                sample_brier(predictions, index),
            )
        })
        .collect();
    let intervals = bootstrap_many(n, RESAMPLES, confidence, BOOTSTRAP_SEED, |indices| {
        let (mut log_loss, mut brier) = (0.0, 0.0);
        for &index in indices {
            log_loss += samples[index].0;
            brier += samples[index].1;
        }
        [Some(log_loss / n as f64), Some(brier / n as f64)]
    })?;
    let [log_loss, brier] = intervals;
    Ok([log_loss?, brier?])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary() -> EvaluationSummary {
        let labels = vec![0, 0, 1, 1, 2, 2, 2, 2];
        let rows = [
            [0.7, 0.2, 0.1, 0.0],
            [0.1, 0.8, 0.1, 0.0],
            [0.0, 1.0, 0.0, 0.0],
            [0.3, 0.4, 0.3, 0.0],
            [0.1, 0.1, 0.8, 0.0],
            [0.2, 0.2, 0.6, 0.0],
            [0.5, 0.1, 0.4, 0.0],
            [0.4, 0.2, 0.4, 0.0],
        ];
        let predictions = Predictions::new(labels, rows.concat(), 4).unwrap();
        summarize(&predictions, &["a", "b", "c", "d"].map(String::from), 0.9).unwrap()
    }

    #[test]
    fn an_absent_class_is_undefined_and_the_rest_is_there() {
        let summary = summary();
        let absent = &summary.per_class[3];
        assert_eq!((absent.support, absent.predicted), (0, 0));
        assert_eq!(
            (absent.precision, absent.recall, absent.f1),
            (None, None, None)
        );
        assert_eq!((absent.roc_auc, absent.average_precision), (None, None));
        assert_eq!(
            (absent.precision_interval, absent.recall_interval),
            (None, None)
        );
        assert_eq!(summary.accuracy.value, 5.0 / 8.0);
        assert_eq!(summary.top_k.len(), 2);
        assert!(
            summary
                .balanced_accuracy
                .interval
                .contains(summary.balanced_accuracy.value)
        );
        assert_eq!(summary.most_confused[0].count, 2);
    }

    #[test]
    fn json_round_trip_is_exact() {
        let summary = summary();
        let json = serde_json::to_string(&summary).unwrap();
        assert_eq!(
            serde_json::from_str::<EvaluationSummary>(&json).unwrap(),
            summary
        );
    }
}
