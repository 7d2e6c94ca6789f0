//! The gate of stage 5. Every figure is recomputed from `predictions.jsonl`.

use super::reader::agree_whole;
use super::{ArtifactReader, Check, Found};
use crate::config::{Config, MetricName};
use crate::stages::evaluation::{DRAWINGS, EvaluationResults, RESULTS};
use crate::{RunFolder, Stage};
use mlestar_eval::{ClassMetric, Predictions, accuracy, class_metric_interval, wilson};
use mlestar_gates::{Evidence, Limit, Measurement, Unit};

const STAGE: Stage = Stage::Evaluation;
const PREDICTIONS: &str = "predictions.jsonl";
/// The drawings that an evaluation leaves.
const N_DRAWINGS: usize = 6;
/// Classes that a note names one by one.
const CLASSES_NAMED: usize = 5;

/// The checks of stage 5: the primary metric and the secondary ones that it is not, each class, and
/// the analysis itself.
pub fn checks(config: &Config) -> Vec<Check> {
    let primary = &config.task.primary;
    let secondary = config
        .task
        .secondary
        .iter()
        .filter(|(metric, _)| *metric != primary.name);
    let mut checks = vec![metric_check(primary.name, primary.target)];
    checks.extend(secondary.map(|(metric, target)| metric_check(metric, target)));
    checks.extend([
        Check {
            id: "worst_class_recall",
            title: "recall of the worst class",
            unit: Unit::Fraction,
            limit: Limit::AtLeast(config.task.quality.per_class_recall_min),
            remedy: "Look at the class's confused pairs and at the mislabels that stage 1 suspects; more \
                     pictures of that class help most.",
            measure: worst_class_recall,
        },
        Check {
            id: "analysis_complete",
            title: "the analysis follows from the answers, and its drawings are there",
            unit: Unit::Fraction,
            limit: Limit::AtLeast(1.0),
            remedy: "Run the stage again: mlestar stage evaluation --force.",
            measure: analysis_complete,
        },
    ]);
    checks
}

fn metric_check(metric: MetricName, target: f64) -> Check {
    let (title, measure): (_, super::Measure) = match metric {
        MetricName::Accuracy => ("test accuracy", test_accuracy),
        MetricName::BalancedAccuracy => ("balanced accuracy", |reader, config| {
            of_predictions(reader, config, MetricName::BalancedAccuracy)
        }),
        MetricName::PrecisionWeighted => ("weighted precision", |reader, config| {
            of_predictions(reader, config, MetricName::PrecisionWeighted)
        }),
        MetricName::RecallWeighted => ("weighted recall", |reader, config| {
            of_predictions(reader, config, MetricName::RecallWeighted)
        }),
        MetricName::F1Weighted => ("weighted F1", |reader, config| {
            of_predictions(reader, config, MetricName::F1Weighted)
        }),
    };
    let remedy = match metric {
        MetricName::Accuracy => {
            "Train longer, search hyper-parameters (stage 6), or use a larger model."
        }
        _ => "Look at the per-class table of evaluation_report.html: one weak class pulls it down.",
    };
    Check {
        id: metric.as_str(),
        title,
        unit: Unit::Fraction,
        limit: Limit::AtLeast(target),
        remedy,
        measure,
    }
}

fn test_accuracy(reader: &ArtifactReader<'_>, config: &Config) -> Found<Measurement> {
    let predictions = reader.predictions(STAGE, PREDICTIONS)?;
    accuracy_measurement(&predictions, config, STAGE, PREDICTIONS)
}

/// Accuracy with its Wilson interval.
fn accuracy_measurement(
    predictions: &Predictions,
    config: &Config,
    stage: Stage,
    file: &str,
) -> Found<Measurement> {
    let n = predictions.len() as u64;
    let correct = predictions.correct().iter().filter(|is| **is).count() as u64;
    let interval = wilson(correct, n, config.evaluation.confidence)
        .map_err(|error| not_computable(stage, file, error))?;
    let value = accuracy(predictions);
    Ok(Measurement::proportion(value, [interval.low, interval.high], n).noted("Wilson interval"))
}

fn of_predictions(
    reader: &ArtifactReader<'_>,
    config: &Config,
    metric: MetricName,
) -> Found<Measurement> {
    let predictions = reader.predictions(STAGE, PREDICTIONS)?;
    metric_measurement(metric, &predictions, config, STAGE, PREDICTIONS)
}

/// A metric with its interval: Wilson's for accuracy, which weighted recall is too, a score interval for the others.
pub(crate) fn metric_measurement(
    metric: MetricName,
    predictions: &Predictions,
    config: &Config,
    stage: Stage,
    file: &str,
) -> Found<Measurement> {
    let metric = match metric {
        MetricName::Accuracy | MetricName::RecallWeighted => {
            return accuracy_measurement(predictions, config, stage, file);
        }
        MetricName::BalancedAccuracy => ClassMetric::BalancedAccuracy,
        MetricName::PrecisionWeighted => ClassMetric::WeightedPrecision,
        MetricName::F1Weighted => ClassMetric::WeightedF1,
    };
    let (value, interval) =
        class_metric_interval(predictions, metric, config.evaluation.confidence)
            .map_err(|error| not_computable(stage, file, error))?;
    let samples = predictions.len() as u64;
    Ok(Measurement::proportion(value, interval.ends(), samples)
        .noted("score interval, each class drawn on its own"))
}

fn worst_class_recall(reader: &ArtifactReader<'_>, config: &Config) -> Found<Measurement> {
    let predictions = reader.predictions(STAGE, PREDICTIONS)?;
    let results: EvaluationResults = reader.artifact(STAGE, RESULTS)?;
    worst_recall(
        &predictions,
        &results.summary.classes,
        config,
        STAGE,
        PREDICTIONS,
    )
}

/// The smallest recall of any class that occurs, with an interval that knows that the class was picked.
pub(crate) fn worst_recall(
    predictions: &Predictions,
    classes: &[String],
    config: &Config,
    stage: Stage,
    file: &str,
) -> Found<Measurement> {
    let worst = mlestar_eval::worst_recall(predictions, config.evaluation.confidence)
        .map_err(|error| not_computable(stage, file, error))?;
    let name = |class: usize| classes.get(class).map_or("?", String::as_str);
    let n_compared = predictions.n_classes() - worst.absent.len();
    let note = format!(
        "{}, {} test pictures; lower end Wilson's, upper end for {n_compared} classes at once{}",
        name(worst.class),
        worst.support,
        absent_classes(&worst.absent, name),
    );
    let ends = worst.interval.ends();
    Ok(Measurement::proportion(worst.recall, ends, worst.support).noted(note))
}

/// Names the classes of which a split holds no picture.
fn absent_classes<'a>(absent: &[usize], name: impl Fn(usize) -> &'a str) -> String {
    if absent.is_empty() {
        return String::new();
    }
    let absent: Vec<&str> = absent.iter().map(|&class| name(class)).collect();
    format!("; support 0 and not judged: {}", first_of(&absent))
}

/// The first of these classes, and how many more there are.
pub(super) fn first_of(classes: &[&str]) -> String {
    let named = classes[..classes.len().min(CLASSES_NAMED)].join(", ");
    match classes.len().saturating_sub(CLASSES_NAMED) {
        0 => named,
        more => format!("{named} and {more} more"),
    }
}

fn analysis_complete(reader: &ArtifactReader<'_>, _config: &Config) -> Found<Measurement> {
    analysis_of(reader, STAGE, PREDICTIONS, "evaluation_report.html")
}

/// The share of an analysis's drawings that are there, once all that it says follows from the answers.
pub(super) fn analysis_of(
    reader: &ArtifactReader<'_>,
    stage: Stage,
    predictions: &str,
    page: &str,
) -> Found<Measurement> {
    let results: EvaluationResults = reader.artifact(stage, RESULTS)?;
    let answers = reader.answers(stage, predictions)?;
    reader.path(stage, page)?;
    let drawings = reader.files_under(stage, DRAWINGS)?;
    let section = reader.section(stage, "evaluation")?;
    let recomputed = EvaluationResults::of(
        &answers.predictions,
        &results.summary.classes,
        |index| answers.origins[index].clone(),
        section["confidence"].as_f64().unwrap_or(f64::NAN),
        results.model.clone(),
    )
    .map_err(|error| not_computable(stage, RESULTS, error))?;
    let file = RunFolder::display_name(stage, RESULTS);
    agree_whole(&file, &results, &recomputed)?;
    let n_there = drawings.len().min(N_DRAWINGS);
    Ok(
        Measurement::exact(n_there as f64 / N_DRAWINGS as f64).noted(format!(
            "every figure follows from the answers; {n_there} of {N_DRAWINGS} drawings"
        )),
    )
}

fn not_computable(stage: Stage, file: &str, error: impl ToString) -> Box<Evidence> {
    let file = RunFolder::display_name(stage, file);
    Box::new(Evidence::missing(file, error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use mlestar_gates::{Status, judge};

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
        let config = Config::default();
        let measurement = metric_measurement(metric, predictions, &config, STAGE, PREDICTIONS);
        let check = metric_check(metric, target);
        let evidence = Evidence::measured(measurement.unwrap(), [PREDICTIONS]);
        let verdict = judge(&check.criterion(check.limit), evidence);
        (verdict.status, verdict.message)
    }

    #[test]
    fn three_right_answers_decide_nothing() {
        let predictions = answers(&[(0, 0, 1), (1, 1, 1), (2, 2, 1)], 3);
        for metric in [
            MetricName::Accuracy,
            MetricName::BalancedAccuracy,
            MetricName::PrecisionWeighted,
            MetricName::RecallWeighted,
            MetricName::F1Weighted,
        ] {
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
        // One picture of the rare class is no proof: a recall of 0.6 misses it in four of ten cases.
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
        let config = Config::default();
        let worst = worst_recall(&predictions, &classes, &config, STAGE, PREDICTIONS).unwrap();
        assert_eq!((worst.value, worst.samples), (0.9, Some(10)));
        insta::assert_snapshot!(worst.note, @"cat, 10 test pictures; lower end Wilson's, upper end for 2 classes at once; support 0 and not judged: dog");
    }
}
