//! The gate of stage 5. Every figure is recomputed from `predictions.jsonl`.

use super::reader::agree_whole;
use super::{ArtifactReader, Found};
use crate::config::{Config, MetricName};
use crate::stages::evaluation::{DRAWINGS, EvaluationResults, RESULTS};
use crate::{RunFolder, Stage, metrics};
use mlestar_gates::{Evidence, Measurement};

const STAGE: Stage = Stage::Evaluation;
const PREDICTIONS: &str = "predictions.jsonl";
/// The number of charts of an evaluation.
const N_DRAWINGS: usize = 6;

/// Measures the criterion `id` of stage 5; `None` where it has no such criterion.
pub(super) fn measure(
    id: &str,
    reader: &ArtifactReader<'_>,
    config: &Config,
) -> Option<Found<Measurement>> {
    Some(match id {
        "worst_class_recall" => worst_class_recall(reader, config),
        "analysis_complete" => analysis_complete(reader),
        _ => of_predictions(reader, config, MetricName::named(id)?),
    })
}

fn of_predictions(
    reader: &ArtifactReader<'_>,
    config: &Config,
    metric: MetricName,
) -> Found<Measurement> {
    let predictions = reader.predictions(STAGE, PREDICTIONS)?;
    metrics::measure(metric, &predictions, config.evaluation.confidence)
        .map_err(|error| not_computable(STAGE, PREDICTIONS, error))
}

fn worst_class_recall(reader: &ArtifactReader<'_>, config: &Config) -> Found<Measurement> {
    let predictions = reader.predictions(STAGE, PREDICTIONS)?;
    let results: EvaluationResults = reader.artifact(STAGE, RESULTS)?;
    let classes = &results.summary.classes;
    metrics::worst_recall(&predictions, classes, config.evaluation.confidence)
        .map_err(|error| not_computable(STAGE, PREDICTIONS, error))
}

fn analysis_complete(reader: &ArtifactReader<'_>) -> Found<Measurement> {
    analysis_of(reader, STAGE, PREDICTIONS, "evaluation_report.html")
}

/// The share of an analysis's charts that exist, once all its figures follow from the predictions.
pub(super) fn analysis_of(
    reader: &ArtifactReader<'_>,
    stage: Stage,
    predictions: &str,
    page: &str,
) -> Found<Measurement> {
    let results: EvaluationResults = reader.artifact(stage, RESULTS)?;
    let answers = reader.recorded_predictions(stage, predictions)?;
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
            "every figure follows from the predictions; {n_there} of {N_DRAWINGS} charts"
        )),
    )
}

fn not_computable(stage: Stage, file: &str, error: impl ToString) -> Box<Evidence> {
    let file = RunFolder::display_name(stage, file);
    Box::new(Evidence::missing(file, error.to_string()))
}
