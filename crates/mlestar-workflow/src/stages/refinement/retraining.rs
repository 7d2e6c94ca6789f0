//! The retraining of the chosen model on training and validation images, where the config asks for it.

use super::candidate::{is_begun, remove};
use super::{Choice, FinalModel, RETRAINING, Retraining, WEIGHTS};
use crate::config::Config;
use crate::stages::action_planning::ArchitectureCheck;
use crate::stages::implementation::{TIMING, TrainingTiming};
use crate::training::{self, train};
use crate::{StageContext, WorkflowError};
use mlestar_artifact::{ContentHash, write_artifact, write_atomically};
use mlestar_train::{FitRequest, TrainingConfig, TrainingSetup};

/// Trains the chosen settings again, on the training images and four fifths of the validation images, and replaces the
/// weights. Does nothing for a baseline that was kept.
pub(super) fn run(
    context: &mut StageContext<'_>,
    best: &Config,
    chosen: FinalModel,
) -> Result<FinalModel, WorkflowError> {
    let output = context.path(RETRAINING);
    if !context.config.refinement.retrain_with_validation || chosen.choice == Choice::Baseline {
        remove(&output)?;
        return Ok(chosen);
    }
    let (more, held_out) = context.training_sets_with_validation()?;
    let n_images = more.len();
    let training = schedule(&chosen).check()?;
    let setup = TrainingSetup {
        training: training.clone(),
        ..training::setup(
            best,
            &chosen.model,
            chosen.normalization,
            &more,
            context.device,
            context.threads,
        )?
    };
    let goes_on = context.resume && is_begun(&output, best, &chosen.model, &training);
    if !goes_on {
        remove(&output)?;
    }
    let n_held_out = held_out.len();
    let outcome = train(
        context,
        "final, with validation images",
        FitRequest {
            resume: goes_on,
            step_costs: ArchitectureCheck::measured_costs(context.run),
            ..FitRequest::from_setup(setup, held_out, &output)
        },
    )?;
    write_artifact(&output.join(TIMING), &TrainingTiming::of(&outcome))?;
    let weights = output.join("checkpoints/best/model.safetensors");
    let bytes =
        std::fs::read(&weights).map_err(|source| mlestar_artifact::ArtifactError::Read {
            path: weights.clone(),
            source,
        })?;
    write_atomically(&context.path(WEIGHTS), &bytes)?;
    let last = outcome.history.last();
    Ok(FinalModel {
        weights: ContentHash::of_bytes(&bytes),
        retraining: Some(Retraining {
            images: n_images,
            held_out: n_held_out,
            epochs_run: outcome.history.len(),
            held_out_accuracy: last
                .and_then(|epoch| epoch.validation_accuracy)
                .unwrap_or(0.0),
        }),
        ..chosen
    })
}

/// The settings of the retraining. Its length is fixed beforehand, as many epochs as the kept model was trained for, and
/// only the last epoch is validated, so no epoch is chosen.
pub(crate) fn schedule(chosen: &FinalModel) -> TrainingConfig {
    TrainingConfig {
        early_stopping: None,
        epochs: chosen.best_epoch,
        validate_every_epochs: chosen.best_epoch,
        ..chosen.training.clone()
    }
}
