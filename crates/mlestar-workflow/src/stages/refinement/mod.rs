//! Stage 6, refinement: what the mistakes suggest, a search, a final training, and proof that the
//! result is better.
//!
//! The search and the choice between baseline and refined model look at validation pictures only.
//! The test pictures are read once, for the chosen model's figures.

mod artifact;
mod improvement;
mod page;
mod search;

pub use artifact::{
    Choice, Comparison, FinalModel, ImprovementAnalysis, Opportunity, StudyArtifact,
};

use crate::config::Config;
use crate::stages::evaluation::EvaluationResults;
use crate::stages::implementation::TrainingSummary;
use crate::stages::training::{TrainingJob, train};
use crate::{Stage, StageContext, WorkflowError, predictions};
use mlestar_artifact::{ContentHash, write_artifact, write_atomically};
use mlestar_eval::{Predictions, mcnemar};
use mlestar_model::ModelSpec;
use mlestar_train::{Faults, checkpoint, predict};
use mlestar_tune::StudyReport;
use std::path::PathBuf;
use std::sync::Arc;

/// Searches, trains the final model, and compares it with the baseline.
///
/// # Errors
/// When an earlier stage's artifacts or the data cannot be read, a training fails, the run is
/// interrupted, or the run folder cannot be written.
pub fn run(context: &mut StageContext<'_>) -> Result<(), WorkflowError> {
    let baseline: TrainingSummary =
        context.upstream(Stage::Implementation, "training_summary.json")?;
    let results: EvaluationResults =
        context.upstream(Stage::Evaluation, "evaluation_results.json")?;
    let analysis = improvement::analyse(context.config, &results, &baseline);
    write_artifact(&context.path("improvement_analysis.json"), &analysis)?;

    let (study, candidate) = match context.config.refinement.enabled {
        true => {
            let study = search::run(context, &baseline)?;
            let candidate = train_candidate(context, &baseline, &study)?;
            (Some(study), Some(candidate))
        }
        false => (None, None),
    };
    if let Some(report) = &study {
        let artifact = StudyArtifact {
            report: report.clone(),
        };
        write_artifact(&context.path("study.json"), &artifact)?;
    }
    let chosen = choose(context, &baseline, candidate)?;
    let comparison = compare(context, &chosen)?;
    write_artifact(&context.path("comparison.json"), &comparison)?;
    let page = page::render(
        context.config,
        &analysis,
        study.as_ref(),
        &chosen,
        &comparison,
    )?;
    context.write_text("refinement_report.html", &page)
}

/// The result of the final training.
struct Candidate {
    config: Config,
    model: ModelSpec,
    validation_accuracy: f64,
    validation_loss: f64,
    best_epoch: usize,
    weights: PathBuf,
}

/// Trains with the best settings of the search, on all training pictures.
fn train_candidate(
    context: &mut StageContext<'_>,
    baseline: &TrainingSummary,
    study: &StudyReport,
) -> Result<Candidate, WorkflowError> {
    let config = match study.best_trial() {
        Some(trial) => context.config.with_parameters(&trial.parameters)?,
        None => context.config.clone(),
    };
    let mut training = config.training.clone();
    if let Some(epochs) = config.refinement.final_epochs {
        training = search::with_epochs(&training, epochs);
    }
    let (train_set, validation_set) = context.training_sets()?;
    let model = config
        .model
        .check(train_set.n_classes(), train_set.height(), train_set.width())?;
    let output = context.path("training");
    let outcome = train(
        context,
        &TrainingJob {
            label: "final",
            model: &model,
            training: &training,
            augmentation: &config.augmentation,
            normalization: baseline.normalization,
            train: Arc::clone(&train_set),
            validation: Arc::clone(&validation_set),
            seed: config.seed,
            output: &output,
            resume: context.resume,
            faults: Faults::default(),
        },
    )?;
    write_atomically(
        &context.path("optimized_config.toml"),
        config.to_toml()?.as_bytes(),
    )?;
    let best = outcome
        .history
        .iter()
        .find(|epoch| epoch.epoch == outcome.best_epoch);
    Ok(Candidate {
        config,
        model,
        validation_accuracy: best
            .and_then(|epoch| epoch.validation_accuracy)
            .unwrap_or(0.0),
        validation_loss: best
            .and_then(|epoch| epoch.validation_loss)
            .unwrap_or(f64::INFINITY),
        best_epoch: outcome.best_epoch,
        weights: output.join("checkpoints/best/model.safetensors"),
    })
}

/// Takes the candidate when it is better on the validation pictures, the baseline otherwise, and
/// copies the chosen weights to `final/`.
fn choose(
    context: &StageContext<'_>,
    baseline: &TrainingSummary,
    candidate: Option<Candidate>,
) -> Result<FinalModel, WorkflowError> {
    let baseline_weights =
        context.upstream_path(Stage::Implementation, "checkpoints/best/model.safetensors")?;
    let is_better = |candidate: &Candidate| {
        (candidate.validation_accuracy, -candidate.validation_loss)
            > (baseline.validation_accuracy, -baseline.validation_loss)
    };
    let candidate_accuracy = candidate
        .as_ref()
        .map(|candidate| candidate.validation_accuracy);
    let (choice, weights, model, training, accuracy, best_epoch) = match candidate.filter(is_better)
    {
        Some(candidate) => (
            Choice::Refined,
            candidate.weights,
            candidate.model,
            candidate.config.training.clone(),
            candidate.validation_accuracy,
            candidate.best_epoch,
        ),
        None => (
            Choice::Baseline,
            baseline_weights,
            baseline.model.clone(),
            context.config.training.clone(),
            baseline.validation_accuracy,
            baseline.best_epoch,
        ),
    };
    let bytes =
        std::fs::read(&weights).map_err(|source| mlestar_artifact::ArtifactError::Read {
            path: weights.clone(),
            source,
        })?;
    write_atomically(&context.path("final/model.safetensors"), &bytes)?;
    let chosen = FinalModel {
        choice,
        weights: ContentHash::of_bytes(&bytes),
        parameters: model.summary().parameters,
        model,
        training,
        classes: baseline.classes.clone(),
        normalization: baseline.normalization,
        best_epoch,
        validation_accuracy: accuracy,
        baseline_validation_accuracy: baseline.validation_accuracy,
        candidate_validation_accuracy: candidate_accuracy,
    };
    write_artifact(&context.path("final/final_model.json"), &chosen)?;
    Ok(chosen)
}

/// Predicts the test pictures with the chosen model and pairs the answers with the baseline's.
fn compare(
    context: &mut StageContext<'_>,
    chosen: &FinalModel,
) -> Result<Comparison, WorkflowError> {
    let rows: Vec<predictions::PredictionRow> =
        context.upstream_lines(Stage::Evaluation, "predictions.jsonl")?;
    let before = predictions::from_rows(&rows)?;
    let weights = context.path("final/model.safetensors");
    let model = checkpoint::load_weights(&weights, &chosen.model, context.device)?;
    let test = context.read_test("figures of the final model")?;
    let batch_size = context.config.evaluation.batch_size;
    let logits = {
        let reporter = &mut *context.reporter;
        let mut progress = |done: usize, total: usize| {
            reporter.progress("predicting", done as u64, total as u64);
        };
        predict(
            &model,
            &test,
            &chosen.normalization,
            batch_size,
            context.device,
            &mut progress,
        )?
    };
    let after: Predictions =
        predictions::write(&context.path("test_predictions.jsonl"), &test, &logits)?;
    let paired = mcnemar(
        &before.correct(),
        &after.correct(),
        context.config.evaluation.confidence,
    )?;
    Ok(Comparison {
        choice: chosen.choice,
        paired,
    })
}
