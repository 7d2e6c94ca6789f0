//! Stage 6, refinement: what the mistakes suggest, a search, a final training, and proof that the result is better.
//!
//! The search and the choice between baseline and refined model look at validation images only.
//! The test images are read once, for the chosen model's figures.

mod artifact;
mod candidate;
mod events;
mod final_report;
mod improvement;
mod page;
mod search;
mod targets;

pub use artifact::{
    Choice, Comparison, FinalModel, FinalTraining, ImprovementAnalysis, Opportunity, Reason,
    StudyArtifact,
};

use crate::page_headers::FINAL_REPORT;
use crate::stages::evaluation::{Evaluation, EvaluationResults, RESULTS};
use crate::stages::implementation::TrainingSummary;
use crate::{Stage, StageContext, WorkflowError, predictions};
use mlestar_artifact::{write_artifact, write_atomically};
use mlestar_data::ImageSet;
use mlestar_eval::{Predictions, mcnemar};
use mlestar_model::ImageClassifier;
use mlestar_train::analysis::METRICS_FILE;
use mlestar_train::{EpochRecord, checkpoint};
use mlestar_tune::StudyReport;
use std::sync::Arc;

/// The trials for TensorBoard, a folder each.
const TRIAL_EVENTS: &str = "tensorboard";
/// Every trial of the search, one per line.
pub(crate) const TRIALS: &str = "trials.jsonl";
/// The report of the search.
pub(crate) const STUDY: &str = "study.json";
/// The config with the best settings of the search.
pub(crate) const OPTIMIZED: &str = "optimized_config.toml";
/// The folder of the final training.
pub(crate) const TRAINING: &str = "training";
/// The weights of the chosen model.
pub(crate) const WEIGHTS: &str = "final/model.safetensors";
/// The record of the chosen model.
pub(crate) const FINAL_MODEL: &str = "final/final_model.json";
/// The predictions of the chosen model for the test images.
pub(crate) const PREDICTIONS: &str = "test_predictions.jsonl";
/// The chosen model against the baseline.
pub(crate) const COMPARISON: &str = "comparison.json";
/// The page about the search and the choice.
pub(crate) const REPORT: &str = "refinement_report.html";
/// The page about the search, where there was one.
const STUDY_REPORT: &str = "study_report.html";

/// Searches, trains the final model where the search found better settings, evaluates the chosen model, and compares it
/// with the baseline.
///
/// # Errors
/// When an earlier stage's artifacts or the data cannot be read, a training fails, the run is
/// interrupted, or the run folder cannot be written.
pub fn run(context: &mut StageContext<'_>) -> Result<(), WorkflowError> {
    let baseline: TrainingSummary =
        context.upstream(Stage::Implementation, "training_summary.json")?;
    let results: EvaluationResults = context.upstream(Stage::Evaluation, RESULTS)?;
    let analysis = improvement::analyse(context.config, &results, &baseline);
    write_artifact(&context.path("improvement_analysis.json"), &analysis)?;

    let mut study = None;
    let mut candidate = None;
    if context.config.refinement.enabled {
        let report = search::run(context, &baseline)?;
        let best = candidate::best_config(context.config, &report)?;
        write_study(context, &report)?;
        events::write(context, &report)?;
        write_atomically(&context.path(OPTIMIZED), best.to_toml()?.as_bytes())?;
        candidate = candidate::train_candidate(context, &baseline, &best)?;
        study = Some(report);
    }
    let chosen = candidate::choose(context, &baseline, candidate)?;
    let examined = examine(context, &chosen)?;
    let comparison = Comparison {
        choice: chosen.choice,
        paired: mcnemar(
            &examined.before.correct(),
            &examined.after.correct(),
            context.config.evaluation.confidence,
        )?,
    };
    write_artifact(&context.path(COMPARISON), &comparison)?;
    let evaluation = Evaluation::of(
        context,
        &examined.after,
        &examined.test,
        chosen.weights.clone(),
    )?;
    evaluation.write(context, &examined.after, &examined.test)?;

    let targets = targets::measure(context, &baseline, &chosen, &examined)?;
    let outcome = page::Outcome {
        config: context.config,
        chosen: &chosen,
        comparison: &comparison,
        targets: &targets,
    };
    let page = page::render(&outcome, &analysis, study.as_ref());
    context.write_text(REPORT, &page)?;
    if let Some(study) = &study {
        context.write_text(STUDY_REPORT, &page::study(context.config, study)?)?;
    }
    let report = final_report::FinalReport {
        outcome: &outcome,
        baseline: &results,
        evaluation: &evaluation,
        examined: &examined,
        history: &history(context, chosen.choice)?,
    };
    context.write_text(FINAL_REPORT, &report.render()?)
}

/// The epochs of the training that gave the chosen model.
fn history(context: &StageContext<'_>, choice: Choice) -> Result<Vec<EpochRecord>, WorkflowError> {
    match choice {
        Choice::Baseline => context.upstream_lines(Stage::Implementation, METRICS_FILE),
        Choice::Refined => {
            let path = context.path(TRAINING).join(METRICS_FILE);
            Ok(mlestar_artifact::read_json_lines(&path)?)
        }
    }
}

fn write_study(context: &StageContext<'_>, report: &StudyReport) -> Result<(), WorkflowError> {
    let artifact = StudyArtifact {
        report: report.clone(),
    };
    Ok(write_artifact(&context.path(STUDY), &artifact)?)
}

/// Both models' predictions for the same test images.
struct Examined {
    /// The baseline's, as stage 5 wrote them.
    before: Predictions,
    /// The chosen model's.
    after: Predictions,
    model: ImageClassifier,
    test: Arc<ImageSet>,
}

/// Predicts the test images with the chosen model.
fn examine(context: &mut StageContext<'_>, chosen: &FinalModel) -> Result<Examined, WorkflowError> {
    let rows: Vec<predictions::PredictionRow> =
        context.upstream_lines(Stage::Evaluation, "predictions.jsonl")?;
    let before = predictions::from_rows(&rows)?;
    let weights = context.path(WEIGHTS);
    let model = checkpoint::load_weights(&weights, &chosen.model, context.device)?;
    let test = context.read_test("figures of the final model")?;
    let logits = context.logits("predicting", &model, &test, &chosen.normalization)?;
    context.check_stop()?;
    let after = predictions::write(&context.path(PREDICTIONS), &test, &logits)?;
    Ok(Examined {
        before,
        after,
        model,
        test,
    })
}
