//! The final training with the chosen settings, and the choice between it and the baseline.

use super::{Ablation, Choice, FinalModel, FinalTraining, Finalists, Reason, TRAINING};
use crate::config::Config;
use crate::stages::action_planning::ArchitectureCheck;
use crate::stages::implementation::{TIMING, TrainingSummary, TrainingTiming};
use crate::training::{self, train};
use crate::{CODE_VERSION, Stage, StageContext, WorkflowError};
use mlestar_artifact::{ContentHash, write_artifact, write_atomically};
use mlestar_model::ModelSpec;
use mlestar_train::{FitRequest, TrainingConfig, TrainingSetup, checkpoint};
use mlestar_tune::StudyReport;
use std::path::{Path, PathBuf};

/// The result of the final training.
pub(super) struct Candidate {
    training: TrainingConfig,
    model: ModelSpec,
    record: FinalTraining,
    validation_loss: f64,
    weights: PathBuf,
}

/// The config with the chosen settings: those of the finalist with the highest mean; without finalists, those of the best
/// trial; the config itself where nothing was better.
pub(super) fn best_config(
    config: &Config,
    ablation: &Ablation,
    study: &StudyReport,
    finalists: Option<&Finalists>,
) -> Result<Config, WorkflowError> {
    let settings = match (finalists, study.best_trial()) {
        (Some(finalists), _) => finalists.candidates[finalists.chosen].settings.clone(),
        (None, Some(trial)) => {
            let mut settings = ablation.start_settings();
            settings.extend(trial.parameters.clone());
            settings
        }
        (None, None) => return Ok(config.clone()),
    };
    Ok(config.with_parameters(&settings)?)
}

/// Whether a training with these settings would repeat the baseline's.
fn is_baseline(config: &Config, best: &Config) -> bool {
    best.training == config.training
        && best.model == config.model
        && best.augmentation == config.augmentation
}

/// Trains with the chosen settings, on all training images and for as many epochs as the baseline. Does nothing where that
/// would repeat the baseline's training.
pub(super) fn train_candidate(
    context: &mut StageContext<'_>,
    baseline: &TrainingSummary,
    best: &Config,
) -> Result<Option<Candidate>, WorkflowError> {
    let output = context.path(TRAINING);
    if is_baseline(context.config, best) {
        remove(&output)?;
        context
            .reporter
            .note("nothing was better than the baseline's settings: nothing is trained again");
        return Ok(None);
    }
    let training = best.training.check()?;
    let (train_set, validation_set) = context.training_sets()?;
    let model = best
        .model
        .check(train_set.n_classes(), train_set.height(), train_set.width())?;
    let setup = TrainingSetup {
        training: training.clone(),
        ..training::setup(
            best,
            &model,
            baseline.normalization,
            &train_set,
            context.device,
            context.threads,
        )?
    };
    let goes_on = context.resume && is_begun(&output, best, &model, &training);
    if !goes_on {
        remove(&output)?;
    }
    let outcome = train(
        context,
        "final",
        FitRequest {
            resume: goes_on,
            step_costs: ArchitectureCheck::measured_costs(context.run),
            ..FitRequest::from_setup(setup, validation_set, &output)
        },
    )?;
    write_artifact(&output.join(TIMING), &TrainingTiming::of(&outcome))?;
    let best_epoch = outcome
        .history
        .iter()
        .find(|epoch| epoch.epoch == outcome.best_epoch);
    Ok(Some(Candidate {
        training: TrainingConfig::clone(&training),
        model,
        record: FinalTraining {
            epochs_run: outcome.history.len(),
            best_epoch: outcome.best_epoch,
            validation_accuracy: best_epoch
                .and_then(|epoch| epoch.validation_accuracy)
                .unwrap_or(0.0),
        },
        validation_loss: best_epoch
            .and_then(|epoch| epoch.validation_loss)
            .unwrap_or(f64::INFINITY),
        weights: output.join("checkpoints/best/model.safetensors"),
    }))
}

/// Whether `output` holds the beginning of this training. A resumed search may have found other settings than those
/// that the earlier training used.
pub(super) fn is_begun(
    output: &Path,
    best: &Config,
    model: &ModelSpec,
    training: &TrainingConfig,
) -> bool {
    ["last", "previous"].iter().any(|name| {
        let folder = output.join("checkpoints").join(name);
        checkpoint::read_record(&folder).is_ok_and(|record| {
            let begun = &record.identity;
            begun.spec().is_ok_and(|begun| begun == *model)
                && begun.augmentation == best.augmentation
                && training.extends(&begun.training)
        })
    })
}

/// Removes a training that is not resumed.
pub(super) fn remove(output: &Path) -> Result<(), WorkflowError> {
    match std::fs::remove_dir_all(output) {
        Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
            Err(WorkflowError::RunFolder {
                path: output.to_owned(),
                source,
            })
        }
        _ => Ok(()),
    }
}

/// Selects the candidate when it is better on the validation images, the baseline otherwise, and copies the chosen
/// weights to `final/`.
pub(super) fn choose(
    context: &StageContext<'_>,
    baseline: &TrainingSummary,
    candidate: Option<Candidate>,
    finalists: Option<&Finalists>,
) -> Result<FinalModel, WorkflowError> {
    let record = candidate.as_ref().map(|candidate| candidate.record);
    let is_better = |candidate: &Candidate| {
        (
            candidate.record.validation_accuracy,
            -candidate.validation_loss,
        ) > (baseline.validation_accuracy, -baseline.validation_loss)
    };
    let reason = match &candidate {
        Some(candidate) if is_better(candidate) => Reason::Better,
        Some(_) => Reason::NoBetterWhenTrained,
        None if context.config.refinement.enabled => Reason::NothingBetterFound,
        None => Reason::NotSearched,
    };
    let (choice, weights, model, training, kept) = match candidate.filter(is_better) {
        Some(candidate) => (
            Choice::Refined,
            candidate.weights,
            candidate.model,
            candidate.training,
            candidate.record,
        ),
        None => (
            Choice::Baseline,
            context.upstream_path(Stage::Implementation, "checkpoints/best/model.safetensors")?,
            baseline.model.clone(),
            context.config.training.clone(),
            FinalTraining {
                epochs_run: baseline.epochs_run,
                best_epoch: baseline.best_epoch,
                validation_accuracy: baseline.validation_accuracy,
            },
        ),
    };
    let bytes =
        std::fs::read(&weights).map_err(|source| mlestar_artifact::ArtifactError::Read {
            path: weights.clone(),
            source,
        })?;
    write_atomically(&context.path(super::WEIGHTS), &bytes)?;
    Ok(FinalModel {
        choice,
        reason,
        weights: ContentHash::of_bytes(&bytes),
        parameters: model.summary().parameters,
        model,
        training,
        seed: context.config.seed,
        code_version: CODE_VERSION.into(),
        classes: baseline.classes.clone(),
        normalization: baseline.normalization,
        epochs_run: kept.epochs_run,
        best_epoch: kept.best_epoch,
        validation_accuracy: kept.validation_accuracy,
        baseline_validation_accuracy: baseline.validation_accuracy,
        baseline_epochs_run: baseline.epochs_run,
        final_training: record,
        retraining: None,
        selection_optimism: match choice {
            Choice::Refined => selection_optimism(finalists),
            Choice::Baseline => None,
        },
    })
}

/// How much the validation accuracy of the best of all settings flatters it.
pub(crate) fn selection_optimism(finalists: Option<&Finalists>) -> Option<f64> {
    let selection = finalists?.selection?;
    Some(selection.optimism())
}
