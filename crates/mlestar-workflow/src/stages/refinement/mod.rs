//! Stage 6, refinement: what the mistakes suggest, each proposal alone, a search, the best of them with several seeds, a
//! final training, and proof that the result is better.
//!
//! Everything that chooses, and the choice between baseline and refined model, looks at validation images only.
//! The test images are read once, for the chosen model's figures.

mod ablation;
mod artifact;
mod candidate;
mod events;
mod final_report;
mod finalists;
mod improvement;
mod page;
mod retraining;
mod search;
mod short_training;
mod targets;

pub(crate) use ablation::{best_line, compare, quality};
pub use artifact::{
    Ablation, AblationLine, AblationOutcome, Choice, Comparison, CostEstimate, EstimateQuality,
    FinalModel, FinalTraining, Finalist, Finalists, GainEstimate, ImprovementAnalysis,
    MeasuredChange, Opportunity, Proposal, Reason, Retraining, SeedFigures, StudyArtifact,
};
pub(crate) use candidate::selection_optimism;
pub(crate) use finalists::{best, figures, seeds, selection};
pub(crate) use retraining::schedule;
pub use short_training::ShortTraining;

use crate::config::Config;
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
use short_training::ShortTrainings;
use std::sync::Arc;

/// The trials for TensorBoard, a folder each.
const TRIAL_EVENTS: &str = "tensorboard";
/// What the evaluation suggests.
pub(crate) const ANALYSIS: &str = "improvement_analysis.json";
/// Every short training, one per line: proposals, trials, finalists.
pub(crate) const TRAININGS: &str = "trainings.jsonl";
/// What each proposal brought.
pub(crate) const ABLATION: &str = "ablation.json";
/// The best settings with several seeds.
pub(crate) const FINALISTS: &str = "finalists.json";
/// Every trial of the search, one per line.
pub(crate) const TRIALS: &str = "trials.jsonl";
/// The report of the search.
pub(crate) const STUDY: &str = "study.json";
/// The config with the chosen settings.
pub(crate) const OPTIMIZED: &str = "optimized_config.toml";
/// The folder of the final training.
pub(crate) const TRAINING: &str = "training";
/// The folder of the retraining, where the config asks for one.
pub(crate) const RETRAINING: &str = "retraining";
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

/// Tries the proposals, searches, trains the final model where better settings were found, evaluates the chosen model, and compares it
/// with the baseline.
///
/// # Errors
/// When an earlier stage's artifacts or the data cannot be read, a training fails, the run is
/// interrupted, or the run folder cannot be written.
pub fn run(context: &mut StageContext<'_>) -> Result<(), WorkflowError> {
    let baseline: TrainingSummary =
        context.upstream(Stage::Implementation, "training_summary.json")?;
    let results: EvaluationResults = context.upstream(Stage::Evaluation, RESULTS)?;
    let analysis = improvement::analyse(context.config, &results, &baseline)?;
    write_artifact(&context.path(ANALYSIS), &analysis)?;

    let search = match context.config.refinement.enabled {
        true => Some(Search::run(context, &baseline, &analysis)?),
        false => None,
    };
    let candidate = match &search {
        Some(search) => candidate::train_candidate(context, &baseline, &search.best)?,
        None => None,
    };
    let finalists = search.as_ref().and_then(|search| search.finalists.as_ref());
    let mut chosen = candidate::choose(context, &baseline, candidate, finalists)?;
    if let Some(search) = &search {
        chosen = retraining::run(context, &search.best, chosen)?;
    }
    write_artifact(&context.path(FINAL_MODEL), &chosen)?;
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
    let page = page::render(&outcome, &analysis, search.as_ref());
    context.write_text(REPORT, &page)?;
    if let Some(search) = &search {
        context.write_text(STUDY_REPORT, &page::study(context.config, search)?)?;
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

/// What was tried, and what it led to.
struct Search {
    ablation: Ablation,
    study: StudyReport,
    /// None where the config's own settings cannot be trained.
    finalists: Option<Finalists>,
    /// The config with the chosen settings.
    best: Config,
}

impl Search {
    /// Tries the proposals, searches from the best of them, and compares the best settings with several seeds.
    fn run(
        context: &mut StageContext<'_>,
        baseline: &TrainingSummary,
        analysis: &ImprovementAnalysis,
    ) -> Result<Self, WorkflowError> {
        let mut trainings = ShortTrainings::open(context, baseline)?;
        let ablation = ablation::run(context, &mut trainings, analysis)?;
        write_artifact(&context.path(ABLATION), &ablation)?;
        let start = context.config.with_parameters(&ablation.start_settings())?;
        let study = search::run(context, &mut trainings, &start)?;
        write_study(context, &study)?;
        events::write(context, &study)?;
        let finalists = finalists::run(context, &mut trainings, &ablation, &study)?;
        if let Some(finalists) = &finalists {
            write_artifact(&context.path(FINALISTS), finalists)?;
        }
        let best = candidate::best_config(context.config, &ablation, &study, finalists.as_ref())?;
        write_atomically(&context.path(OPTIMIZED), best.to_toml()?.as_bytes())?;
        Ok(Self {
            ablation,
            study,
            finalists,
            best,
        })
    }
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
