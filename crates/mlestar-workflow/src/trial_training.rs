//! One training of a search: of a trial, a proposal or a finalist, in stage 6 and in a study of several processes.

use crate::config::Config;
use crate::{Reporter, WorkflowError, training};
use burn::tensor::Device;
use mlestar_data::split::stratified_subset;
use mlestar_data::{ImageSet, Normalization};
use mlestar_model::{ImageClassifier, ModelSpec};
use mlestar_train::{
    EpochRecord, FitOutcome, FitRequest, StepCosts, StopReason, StopSignal, TrainError, TrainEvent,
    TrainingConfig, TrainingSetup, checkpoint,
};
use mlestar_tune::{Decision, TrialError};
use std::path::Path;
use std::sync::Arc;

/// Why a trial has no outcome.
pub(crate) enum TrialFailure {
    /// The trial ends; the search continues.
    Trial(TrialError),
    /// The search ends.
    Program(WorkflowError),
}

impl From<WorkflowError> for TrialFailure {
    fn from(error: WorkflowError) -> Self {
        Self::Program(error)
    }
}

impl TrialFailure {
    /// The trial's settings do not work.
    pub(crate) fn of_settings(error: impl ToString) -> Self {
        Self::Trial(TrialError::Failed(error.to_string()))
    }
}

/// What a trial trains, and where.
pub(crate) struct TrialJob<'a> {
    /// The config with the trial's parameters.
    pub config: &'a Config,
    /// The network that it describes.
    pub model: &'a ModelSpec,
    /// The seed of the training's random choices.
    pub seed: u64,
    /// How pixels become network input.
    pub normalization: Normalization,
    /// The training images of a trial.
    pub train: &'a Arc<ImageSet>,
    /// The images that judge it.
    pub validation: &'a Arc<ImageSet>,
    /// The device that computes, without autodiff.
    pub device: &'a Device,
    /// Threads for preparing images.
    pub threads: usize,
    /// The folder of the training.
    pub output: &'a Path,
    /// Whether the training resumes from a checkpoint in that folder.
    pub resume: bool,
    /// The relative cost of steps with images of different sizes, if it was measured.
    pub step_costs: Option<StepCosts>,
    /// The value of an epoch that decides about pruning.
    pub value: fn(&EpochRecord) -> Option<f64>,
    /// Whether the whole search is to stop.
    pub is_to_stop: &'a dyn Fn() -> bool,
}

/// Who hears of a training's epochs.
pub(crate) struct Watch<'a> {
    /// What the training is called.
    pub label: &'a str,
    /// The last epoch that was reported before the training was interrupted.
    pub reported: Option<u64>,
    /// Takes an epoch, from 1, with its value, and decides whether the training goes on.
    pub report: &'a mut dyn FnMut(u64, f64) -> Decision,
}

/// Trains, reports each validated epoch, and ends early where the answer says so. An epoch that a checkpoint holds and
/// that was not reported is reported first.
pub(crate) fn train(
    job: &TrialJob<'_>,
    watch: Watch<'_>,
    reporter: &mut dyn Reporter,
) -> Result<FitOutcome<ImageClassifier>, TrialFailure> {
    let stop = StopSignal::default();
    let request = request(job, &stop)?;
    let mut decision = Decision::Continue;
    let mut observer = |event: &TrainEvent| {
        let epochs = match event {
            TrainEvent::Epoch(epoch) => vec![epoch.clone()],
            TrainEvent::Resumed { path, .. } => unreported(path, watch.reported),
            _ => Vec::new(),
        };
        for epoch in &epochs {
            if let Some(value) = (job.value)(epoch)
                && decision == Decision::Continue
            {
                decision = (watch.report)(epoch.epoch as u64, value);
            }
        }
        if decision != Decision::Continue || (job.is_to_stop)() {
            stop.request();
        }
        reporter.training(watch.label, event);
    };
    let outcome = match mlestar_train::fit(&request, &mut observer) {
        Ok(outcome) => outcome,
        Err(error) if is_of_the_trial(&error) => return Err(TrialFailure::of_settings(error)),
        Err(error) => return Err(TrialFailure::Program(error.into())),
    };
    match (outcome.stopped.clone(), decision) {
        (StopReason::Interrupted, _) if (job.is_to_stop)() => {
            Err(TrialFailure::Trial(TrialError::Stopped))
        }
        (StopReason::Interrupted, Decision::Pause) => Err(TrialFailure::Trial(TrialError::Paused)),
        (StopReason::Interrupted, Decision::Prune) => Err(TrialFailure::Trial(TrialError::Pruned)),
        _ => Ok(outcome),
    }
}

fn request<'a>(
    job: &TrialJob<'a>,
    stop: &StopSignal,
) -> Result<FitRequest<'a, ImageClassifier>, WorkflowError> {
    let config = job.config;
    let mut training = with_epochs(&config.training, config.refinement.epochs_per_trial);
    // A diverging trial tells the search something. With a remedy it would tell it something else.
    training.recovery.attempts = 0;
    let setup = TrainingSetup {
        network: job.model.init(job.seed, job.device),
        training: training.check()?,
        seed: job.seed,
        ..training::setup(
            config,
            job.model,
            job.normalization,
            job.train,
            job.device,
            job.threads,
        )?
    };
    Ok(FitRequest {
        resume: job.resume,
        stop: stop.clone(),
        step_costs: job.step_costs,
        ..FitRequest::from_setup(setup, Arc::clone(job.validation), job.output)
    })
}

/// The epochs of a checkpoint after `reported`.
fn unreported(checkpoint: &Path, reported: Option<u64>) -> Vec<EpochRecord> {
    // A checkpoint whose record cannot be read is not resumed from.
    let record = checkpoint::read_record(checkpoint).ok();
    let history = record.map(|record| record.history).unwrap_or_default();
    let reported = reported.unwrap_or(0);
    let after = |epoch: &EpochRecord| epoch.epoch as u64 > reported;
    history.into_iter().filter(after).collect()
}

/// Whether an error is due to the trial's settings, not to the program or the disk. Such a trial is recorded as
/// failed, and the search continues.
pub(crate) fn is_of_the_trial(error: &TrainError) -> bool {
    !matches!(
        error,
        TrainError::Io { .. }
            | TrainError::Artifact(_)
            | TrainError::Data(_)
            | TrainError::EmptySet { .. }
            | TrainError::InitialWeights { .. }
            | TrainError::Teacher { .. }
            | TrainError::Device { .. }
            | TrainError::NoUsableCheckpoint { .. }
    )
}

/// The training images of a trial: a stratified share.
///
/// # Errors
/// When the images cannot be read.
pub(crate) fn share_of(
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
pub(crate) fn with_epochs(training: &TrainingConfig, epochs: usize) -> TrainingConfig {
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
