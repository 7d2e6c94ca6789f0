//! The metrics that a target can be set for, measured on predictions, each with its interval.

use crate::config::MetricName;
use crate::words::counted;
use mlestar_eval::{ClassMetric, EvalError, Predictions, accuracy, class_metric_interval, wilson};
use mlestar_gates::Measurement;

/// Classes that a note names one by one.
const CLASSES_NAMED: usize = 5;

/// A metric with its interval: Wilson's for accuracy, which weighted recall is too, a score interval for the others.
///
/// # Errors
/// When there is no prediction, or `confidence` is not above 0 and below 1.
pub fn measure(
    metric: MetricName,
    predictions: &Predictions,
    confidence: f64,
) -> Result<Measurement, EvalError> {
    let metric = match metric {
        MetricName::Accuracy | MetricName::RecallWeighted => {
            return accuracy_measurement(predictions, confidence);
        }
        MetricName::BalancedAccuracy => ClassMetric::BalancedAccuracy,
        MetricName::PrecisionWeighted => ClassMetric::WeightedPrecision,
        MetricName::F1Weighted => ClassMetric::WeightedF1,
    };
    let (value, interval) = class_metric_interval(predictions, metric, confidence)?;
    let samples = predictions.len() as u64;
    Ok(Measurement::proportion(value, interval.ends(), samples)
        .noted("score interval, each class drawn on its own"))
}

/// Accuracy with its Wilson interval.
fn accuracy_measurement(
    predictions: &Predictions,
    confidence: f64,
) -> Result<Measurement, EvalError> {
    let n = predictions.len() as u64;
    let correct = predictions.correct().iter().filter(|is| **is).count() as u64;
    let interval = wilson(correct, n, confidence)?;
    let value = accuracy(predictions);
    Ok(Measurement::proportion(value, [interval.low, interval.high], n).noted("Wilson interval"))
}

/// The smallest recall of any class that occurs. Its interval accounts for picking the worst class.
///
/// # Errors
/// As [`measure`].
pub fn worst_recall(
    predictions: &Predictions,
    classes: &[String],
    confidence: f64,
) -> Result<Measurement, EvalError> {
    let worst = mlestar_eval::worst_recall(predictions, confidence)?;
    let name = |class: usize| classes.get(class).map_or("?", String::as_str);
    let n_compared = predictions.n_classes() - worst.absent.len();
    let note = format!(
        "{}, {}; lower end Wilson's, upper end for {} at once{}",
        name(worst.class),
        counted(worst.support as usize, "test image"),
        counted(n_compared, "class"),
        absent_classes(&worst.absent, name),
    );
    let ends = worst.interval.ends();
    Ok(Measurement::proportion(worst.recall, ends, worst.support).noted(note))
}

/// Names the classes of which a split holds no image.
fn absent_classes<'a>(absent: &[usize], name: impl Fn(usize) -> &'a str) -> String {
    if absent.is_empty() {
        return String::new();
    }
    let absent: Vec<&str> = absent.iter().map(|&class| name(class)).collect();
    format!("; support 0 and not judged: {}", first_of(&absent))
}

/// The first of these classes, and how many more there are.
pub(crate) fn first_of(classes: &[&str]) -> String {
    let named = classes[..classes.len().min(CLASSES_NAMED)].join(", ");
    match classes.len().saturating_sub(CLASSES_NAMED) {
        0 => named,
        more => format!("{named} and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mlestar_gates::{Criterion, Limit, Status, Unit};

    const CONFIDENCE: f64 = 0.95;

    /// Predictions from `(label, answer, how many)`.
    fn answers(cells: &[(u32, u32, usize)], n_classes: usize) -> Predictions {
        let (mut labels, mut logits) = (Vec::new(), Vec::new());
        for &(label, answer, count) in cells {
            for _ in 0..count {
                labels.push(label);
                let row = (0..n_classes).map(|class| f32::from(u8::from(class as u32 == answer)));
                logits.extend(row);
            }
        }
        Predictions::from_logits(labels, logits, n_classes).unwrap()
    }

    fn verdict(metric: MetricName, predictions: &Predictions, target: f64) -> (Status, String) {
        let title = metric.as_str().replace('_', " ");
        let criterion = Criterion::new(title, Limit::AtLeast(target), Unit::Fraction);
        let verdict = criterion.judge(measure(metric, predictions, CONFIDENCE).unwrap());
        (verdict.status, verdict.message)
    }

    #[test]
    fn three_right_answers_decide_nothing() {
        let predictions = answers(&[(0, 0, 1), (1, 1, 1), (2, 2, 1)], 3);
        for metric in MetricName::ALL {
            let (status, message) = verdict(metric, &predictions, 0.99);
            assert_eq!(status, Status::Inconclusive, "{message}");
            assert!(message.contains("more samples (now 3)"), "{message}");
        }
        let (_, message) = verdict(MetricName::BalancedAccuracy, &predictions, 0.99);
        insta::assert_snapshot!(message, @"balanced accuracy 1.0000 [0.4385, 1.0000] cannot be told from the limit 0.99: about 380 more samples (now 3) would decide it if the value stayed the same");
    }

    #[test]
    fn a_majority_answer_fails() {
        let predictions = answers(&[(0, 0, 80), (1, 0, 4)], 2);
        let (status, message) = verdict(MetricName::BalancedAccuracy, &predictions, 0.8);
        assert_eq!(status, Status::Fail, "{message}");
        // One image of the rare class is no proof: a recall of 0.6 misses it in four of ten cases.
        let one = answers(&[(0, 0, 80), (1, 0, 1)], 2);
        assert_eq!(
            verdict(MetricName::BalancedAccuracy, &one, 0.8).0,
            Status::Inconclusive
        );
    }

    #[test]
    fn the_worst_class_is_judged_and_absent_ones_are_named() {
        let predictions = answers(&[(0, 0, 9), (0, 2, 1), (2, 2, 10)], 3);
        let classes = ["cat", "dog", "ship"].map(String::from);
        let worst = worst_recall(&predictions, &classes, CONFIDENCE).unwrap();
        assert_eq!((worst.value, worst.samples), (0.9, Some(10)));
        insta::assert_snapshot!(worst.note, @"cat, 10 test images; lower end Wilson's, upper end for 2 classes at once; support 0 and not judged: dog");
    }
}
