//! The hyper-parameter search, judged on validation pictures.

use crate::stages::implementation::TrainingSummary;
use crate::stages::training::{TrainingJob, train_until};
use crate::{StageContext, WorkflowError};
use mlestar_artifact::PARTIAL_PREFIX;
use mlestar_data::ImageSet;
use mlestar_data::split::stratified_subset;
use mlestar_train::{Faults, StopReason, StopSignal, TrainError, TrainEvent, TrainingConfig};
use mlestar_tune::{Decision, StudyReport, Trial, TrialError, run_study};
use std::sync::Arc;

/// Runs the study of `[refinement]`, the baseline's settings first. What an interrupted study has
/// finished is taken from its log.
pub(super) fn run(
    context: &mut StageContext<'_>,
    baseline: &TrainingSummary,
) -> Result<StudyReport, WorkflowError> {
    let config = context.config;
    let log = context.path("trials.jsonl");
    let (train, validation) = context.training_sets()?;
    let train = trial_pictures(
        &train,
        config.refinement.train_fraction_per_trial,
        config.seed,
    )?;
    let enqueue = [config.baseline_parameters()];
    // The objective must tell an error of the program from a trial that went wrong.
    let mut failure = None;
    let report = run_study(
        &config.refinement.study(),
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
        &mut |_| {},
    )?;
    if let Some(error) = failure {
        return Err(error);
    }
    context.check_stop()?;
    Ok(report)
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
        .map_err(WorkflowError::from)?;
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
    // A trial that diverges tells the search something; rescued, it would tell it something else.
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
    let job = TrainingJob {
        label: &label,
        model: &model,
        training: &training,
        augmentation: &config.augmentation,
        normalization: baseline.normalization,
        train: Arc::clone(train),
        validation: Arc::clone(validation),
        seed: config.seed,
        output: scratch.path(),
        resume: false,
        faults: Faults::default(),
    };
    let outcome = match train_until(context, &job, &trial_stop, &mut watch) {
        Ok(outcome) => outcome,
        // A diverged trial says something about its settings and nothing about the program.
        Err(WorkflowError::Train(
            error @ (TrainError::NonFinite { .. } | TrainError::NonFiniteLogits { .. }),
        )) => {
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

/// The training pictures of a trial: a stratified share.
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

/// The same training over another number of epochs. A schedule whose length was not set follows.
pub(super) fn with_epochs(training: &TrainingConfig, epochs: usize) -> TrainingConfig {
    TrainingConfig {
        epochs,
        ..training.clone()
    }
}
