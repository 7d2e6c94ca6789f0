//! The gate of stage 5. Every figure is recomputed from `predictions.jsonl`.

use super::{ArtifactReader, Check, Found, agree};
use crate::config::{Config, MetricName};
use crate::stages::evaluation::EvaluationResults;
use crate::{RunFolder, Stage};
use mlestar_eval::{
    ConfusionMatrix, Interval, Predictions, accuracy, averages, balanced_accuracy, bootstrap,
    wilson,
};
use mlestar_gates::{Evidence, Limit, Measurement, Unit};

const STAGE: Stage = Stage::Evaluation;
const PREDICTIONS: &str = "predictions.jsonl";
const RESULTS: &str = "evaluation_results.json";
const RESAMPLES: usize = 1_000;
const BOOTSTRAP_SEED: u64 = 5;

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
            title: "parts of the analysis that are there",
            unit: Unit::Fraction,
            limit: Limit::AtLeast(1.0),
            remedy: "Run the stage again: cargo xtask stage evaluation --force.",
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
    let results: EvaluationResults = reader.artifact(STAGE, RESULTS)?;
    let value = accuracy(&predictions);
    let claimed = results.summary.accuracy.value;
    agree(
        RunFolder::display_name(STAGE, RESULTS),
        "accuracy",
        claimed,
        value,
    )?;
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

/// A metric with its interval: Wilson's for accuracy, a bootstrap for the others.
pub(crate) fn metric_measurement(
    metric: MetricName,
    predictions: &Predictions,
    config: &Config,
    stage: Stage,
    file: &str,
) -> Found<Measurement> {
    let of: fn(&ConfusionMatrix) -> f64 = match metric {
        MetricName::Accuracy => return accuracy_measurement(predictions, config, stage, file),
        MetricName::BalancedAccuracy => balanced_accuracy,
        MetricName::PrecisionWeighted => |matrix| averages(matrix).weighted_average.precision,
        MetricName::RecallWeighted => |matrix| averages(matrix).weighted_average.recall,
        MetricName::F1Weighted => |matrix| averages(matrix).weighted_average.f1,
    };
    let n_classes = predictions.n_classes();
    let (labels, predicted) = (predictions.labels(), predictions.predicted_labels());
    let statistic = |indices: &[usize]| {
        let mut counts = vec![vec![0_u64; n_classes]; n_classes];
        for index in indices {
            counts[labels[*index] as usize][predicted[*index] as usize] += 1;
        }
        ConfusionMatrix::from_counts(counts)
            .ok()
            .map(|matrix| of(&matrix))
    };
    let interval: Interval = bootstrap(
        predictions.len(),
        RESAMPLES,
        config.evaluation.confidence,
        BOOTSTRAP_SEED,
        statistic,
    )
    .map_err(|error| not_computable(stage, file, error))?;
    let value = of(&ConfusionMatrix::from(predictions));
    Ok(
        Measurement::with_interval(value, [interval.low, interval.high])
            .noted(format!("bootstrap interval, {RESAMPLES} resamples")),
    )
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

/// The smallest recall of any class that occurs, with its Wilson interval.
pub(crate) fn worst_recall(
    predictions: &Predictions,
    classes: &[String],
    config: &Config,
    stage: Stage,
    file: &str,
) -> Found<Measurement> {
    let matrix = ConfusionMatrix::from(predictions);
    let worst = (0..matrix.n_classes())
        .filter(|class| matrix.support(*class) > 0)
        .map(|class| (class, matrix.counts()[class][class], matrix.support(class)))
        .min_by(|a, b| (a.1 as f64 / a.2 as f64).total_cmp(&(b.1 as f64 / b.2 as f64)));
    let Some((class, correct, support)) = worst else {
        return Err(not_computable(stage, file, "it holds no picture"));
    };
    let interval = wilson(correct, support, config.evaluation.confidence)
        .map_err(|error| not_computable(stage, file, error))?;
    let value = correct as f64 / support as f64;
    let name = classes.get(class).map_or("?", String::as_str);
    Ok(
        Measurement::proportion(value, [interval.low, interval.high], support)
            .noted(format!("{name}, {support} test pictures, Wilson interval")),
    )
}

fn analysis_complete(reader: &ArtifactReader<'_>, _config: &Config) -> Found<Measurement> {
    analysis_of(reader, STAGE, PREDICTIONS, "evaluation_report.html")
}

/// The share of an analysis's parts that are there and agree with the answers that they are about.
pub(super) fn analysis_of(
    reader: &ArtifactReader<'_>,
    stage: Stage,
    predictions: &str,
    page: &str,
) -> Found<Measurement> {
    let results: EvaluationResults = reader.artifact(stage, RESULTS)?;
    let predictions = reader.predictions(stage, predictions)?;
    reader.path(stage, page)?;
    let drawings = reader.files_under(stage, "visualizations/")?;
    let matrix = ConfusionMatrix::from(&predictions);
    let n_classes = predictions.n_classes();
    let n_wrong = matrix.total() - matrix.correct();
    let parts = [
        results.summary.confusion.counts() == matrix.counts(),
        results.summary.per_class.len() == n_classes,
        results.curves.len() == n_classes,
        results.summary.most_confused.is_empty() == (n_wrong == 0),
        results.mistakes.is_empty() == (n_wrong == 0),
        drawings.len() >= 6,
    ];
    let n_there = parts.iter().filter(|part| **part).count();
    Ok(Measurement::exact(n_there as f64 / parts.len() as f64)
        .noted("confusion matrix, per-class metrics, curves, confused pairs, mistakes, drawings"))
}

fn not_computable(stage: Stage, file: &str, error: impl ToString) -> Box<Evidence> {
    let file = RunFolder::display_name(stage, file);
    Box::new(Evidence::missing(file, error.to_string()))
}
