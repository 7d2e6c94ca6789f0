//! The hyper-parameter search, judged on validation images.

use super::TRIALS;
use crate::stages::action_planning::ArchitectureCheck;
use crate::stages::implementation::TrainingSummary;
use crate::trial_training::{self, TrialFailure, TrialJob, share_of, with_epochs};
use crate::words::counted;
use crate::{StageContext, WorkflowError, code_version};
use mlestar_artifact::{ContentHash, PARTIAL_PREFIX};
use mlestar_data::ImageSet;
use mlestar_train::checkpoint::hash_of_set;
use mlestar_tune::{
    Parameters, StudyConfig, StudyEvent, StudyReport, Trial, TrialError, carry_over, run_study,
};
use std::path::Path;
use std::sync::Arc;

/// Runs the study of `[refinement]`, the baseline's settings first. Finished trials of an interrupted study are taken
/// from its log. If the study is the same, so are the trials of the stage's last run: going from three trials to five
/// runs two.
pub(super) fn run(
    context: &mut StageContext<'_>,
    baseline: &TrainingSummary,
) -> Result<StudyReport, WorkflowError> {
    let config = context.config;
    let log = context.path(TRIALS);
    let (train, validation) = context.training_sets()?;
    let train = share_of(
        &train,
        config.refinement.train_fraction_per_trial,
        config.seed,
    )?;
    let study = StudyConfig {
        objective: objective(context, baseline, &train, &validation)?,
        ..config.refinement.study()
    };
    let enqueue = [config.baseline_parameters()];
    if !log.exists() && !context.force {
        take_over(context, &study, &log, &enqueue)?;
    }
    // The objective must distinguish a program error from a failed trial.
    let mut failure = None;
    let mut n_damaged = 0;
    let report = run_study(
        &study,
        config.seed,
        &log,
        &enqueue,
        &mut |trial| {
            run_trial(context, baseline, &train, &validation, trial).map_err(|error| match error {
                TrialFailure::Trial(error) => error,
                TrialFailure::Program(error) => {
                    failure = Some(error);
                    TrialError::Stopped
                }
            })
        },
        &mut |event| {
            if let StudyEvent::Damaged { lines } = event {
                n_damaged = *lines;
            }
        },
    )?;
    if let Some(error) = failure {
        return Err(error);
    }
    if n_damaged > 0 {
        context.reporter.note(&format!(
            "{} of {} could not be read; the trials were run again",
            counted(n_damaged, "line"),
            log.display()
        ));
    }
    context.check_stop()?;
    Ok(report)
}

/// Takes over the trials of the stage's last run, if they belong to this study.
fn take_over(
    context: &mut StageContext<'_>,
    study: &StudyConfig,
    log: &Path,
    enqueue: &[Parameters],
) -> Result<(), WorkflowError> {
    let previous = context.run.root().join(".previous");
    let previous = previous.join(context.stage.folder()).join(TRIALS);
    let n = carry_over(study, context.config.seed, &previous, log, enqueue)?;
    if n > 0 {
        context.reporter.note(&format!(
            "{} taken from the last search, which had the same settings, data and code",
            counted(n, "trial")
        ));
    }
    Ok(())
}

/// What decides a trial's value besides its parameters, as a hash: settings, images, code and kind of device.
fn objective(
    context: &StageContext<'_>,
    baseline: &TrainingSummary,
    train: &ImageSet,
    validation: &ImageSet,
) -> Result<String, WorkflowError> {
    let config = context.config;
    let training = with_epochs(&config.training, config.refinement.epochs_per_trial);
    let initial_weights = match &training.initial_weights {
        Some(path) => Some(ContentHash::of_file(path)?),
        None => None,
    };
    let teachers = match training.teaching() {
        Some(teaching) => Some(teaching.hashes()?),
        None => None,
    };
    let decisive = serde_json::json!({
        "model": config.model,
        "augmentation": config.augmentation,
        "training": training,
        "initial_weights": initial_weights,
        "teachers": teachers,
        "normalization": baseline.normalization,
        "train": hash_of_set(train),
        "validation": hash_of_set(validation),
        "device": context.device_name.split(':').next(),
        "code": code_version(context.stage),
    });
    Ok(ContentHash::of_json(&decisive)?.to_string())
}

/// Trains with the trial's settings; its value is the best validation accuracy.
fn run_trial(
    context: &mut StageContext<'_>,
    baseline: &TrainingSummary,
    train: &Arc<ImageSet>,
    validation: &Arc<ImageSet>,
    trial: &mut Trial<'_>,
) -> Result<f64, TrialFailure> {
    let config = context
        .config
        .with_parameters(trial.parameters())
        .map_err(TrialFailure::of_settings)?;
    let model = config
        .model
        .check(train.n_classes(), train.height(), train.width())
        .map_err(TrialFailure::of_settings)?;
    let folder = context.folder();
    let scratch = std::fs::create_dir_all(&folder)
        .and_then(|()| {
            tempfile::Builder::new()
                .prefix(PARTIAL_PREFIX)
                .tempdir_in(&folder)
        })
        .map_err(|source| WorkflowError::RunFolder {
            path: folder,
            source,
        })?;
    let job = TrialJob {
        config: &config,
        model: &model,
        seed: config.seed,
        normalization: baseline.normalization,
        train,
        validation,
        device: context.device,
        threads: context.threads,
        output: scratch.path(),
        resume: false,
        step_costs: ArchitectureCheck::measured_costs(context.run),
        value: |epoch| epoch.validation_accuracy,
        is_to_stop: &|| context.stop.is_requested(),
    };
    let outcome = trial_training::train(&job, trial, context.reporter)?;
    let accuracies = outcome
        .history
        .iter()
        .filter_map(|epoch| epoch.validation_accuracy);
    Ok(accuracies.fold(0.0, f64::max))
}
