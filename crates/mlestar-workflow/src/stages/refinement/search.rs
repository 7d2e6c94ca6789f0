//! The hyper-parameter search, judged on validation images.

use super::TRIALS;
use crate::stages::action_planning::ArchitectureCheck;
use crate::stages::implementation::TrainingSummary;
use crate::training::{self, train_until};
use crate::words::counted;
use crate::{StageContext, WorkflowError, code_version};
use mlestar_artifact::{ContentHash, PARTIAL_PREFIX};
use mlestar_data::ImageSet;
use mlestar_data::split::stratified_subset;
use mlestar_train::checkpoint::hash_of_set;
use mlestar_train::{
    FitRequest, StopReason, StopSignal, TrainError, TrainEvent, TrainingConfig, TrainingSetup,
};
use mlestar_tune::{
    Decision, Parameters, StudyConfig, StudyEvent, StudyReport, Trial, TrialError, carry_over,
    run_study,
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
    let train = trial_pictures(
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

enum TrialFailure {
    Trial(TrialError),
    Program(WorkflowError),
}

impl From<WorkflowError> for TrialFailure {
    fn from(error: WorkflowError) -> Self {
        Self::Program(error)
    }
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
        .map_err(|error| TrialFailure::Trial(TrialError::Failed(error.to_string())))?;
    let mut training = with_epochs(&config.training, config.refinement.epochs_per_trial);
    let model = config
        .model
        .check(train.n_classes(), train.height(), train.width())
        .map_err(|error| TrialFailure::Trial(TrialError::Failed(error.to_string())))?;
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
    let label = format!("trial {}", trial.number());
    let run_stop = context.stop.clone();
    let trial_stop = StopSignal::default();
    // A diverging trial tells the search something. With a remedy it would tell it something else.
    training.recovery.attempts = 0;
    let mut is_pruned = false;
    let mut watch = |event: &TrainEvent| {
        if let TrainEvent::Epoch(epoch) = event
            && let Some(accuracy) = epoch.validation_accuracy
        {
            let decision = trial.report(epoch.epoch as u64, accuracy);
            is_pruned |= decision == Decision::Prune;
        }
        if is_pruned || run_stop.is_requested() {
            trial_stop.request();
        }
    };
    let setup = TrainingSetup {
        training: training.check().map_err(WorkflowError::Train)?,
        ..training::setup(
            &config,
            &model,
            baseline.normalization,
            train,
            context.device,
            context.threads,
        )?
    };
    let request = FitRequest {
        resume: false,
        stop: trial_stop.clone(),
        step_costs: ArchitectureCheck::measured_costs(context.run),
        ..FitRequest::from_setup(setup, Arc::clone(validation), scratch.path())
    };
    let outcome = match train_until(context, &label, &request, &mut watch) {
        Ok(outcome) => outcome,
        Err(WorkflowError::Train(error)) if is_of_the_trial(&error) => {
            return Err(TrialFailure::Trial(TrialError::Failed(error.to_string())));
        }
        Err(error) => return Err(TrialFailure::Program(error)),
    };
    if context.stop.is_requested() {
        return Err(TrialFailure::Trial(TrialError::Stopped));
    }
    if is_pruned && outcome.stopped == StopReason::Interrupted {
        return Err(TrialFailure::Trial(TrialError::Pruned));
    }
    let accuracies = outcome
        .history
        .iter()
        .filter_map(|epoch| epoch.validation_accuracy);
    Ok(accuracies.fold(0.0, f64::max))
}

/// Whether an error is due to the trial's settings, not to the program or the disk. Such a trial is recorded as
/// failed, and the search continues.
fn is_of_the_trial(error: &TrainError) -> bool {
    !matches!(
        error,
        TrainError::Io { .. }
            | TrainError::Artifact(_)
            | TrainError::Data(_)
            | TrainError::EmptySet { .. }
            | TrainError::InitialWeights { .. }
            | TrainError::Teacher { .. }
            | TrainError::Device { .. }
    )
}

/// The training images of a trial: a stratified share.
fn trial_pictures(
    train: &Arc<ImageSet>,
    fraction: f64,
    seed: u64,
) -> Result<Arc<ImageSet>, WorkflowError> {
    if fraction >= 1.0 {
        return Ok(Arc::clone(train));
    }
    let n = ((train.len() as f64 * fraction).round() as usize).max(train.n_classes());
    let indices = stratified_subset(train.labels(), n, seed);
    Ok(Arc::new(train.select(&indices)?))
}

/// The same training with another number of epochs. A schedule without a set length follows.
pub(super) fn with_epochs(training: &TrainingConfig, epochs: usize) -> TrainingConfig {
    TrainingConfig {
        epochs,
        ..training.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trial_without_memory_or_with_impossible_settings_does_not_end_the_search() {
        let of_the_trial = [
            TrainError::OutOfMemory {
                message: "out of memory".into(),
            },
            TrainError::NonFiniteWeights {
                epoch: 1,
                tensor: "head".into(),
            },
            TrainError::OutOfRange {
                key: "batch_size",
                value: "0".into(),
                limit: "at least 1".into(),
            },
        ];
        assert!(of_the_trial.iter().all(is_of_the_trial));
        let full = std::io::Error::from(std::io::ErrorKind::StorageFull);
        let of_the_disk = TrainError::Io {
            action: "writing",
            path: "metrics.jsonl".into(),
            source: full,
        };
        assert!(!is_of_the_trial(&of_the_disk));
    }
}
