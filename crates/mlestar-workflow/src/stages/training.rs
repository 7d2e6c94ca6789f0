//! One training run inside a stage: the baseline of stage 4, the trials and the final training of
//! stage 6.

use crate::stages::action_planning::{self, ArchitectureCheck};
use crate::{RunFolder, Stage, StageContext, WorkflowError};
use mlestar_artifact::read_artifact;
use mlestar_data::{AugmentationConfig, ImageSet, Normalization};
use mlestar_model::ModelSpec;
use mlestar_train::{
    Faults, FitOutcome, FitRequest, StepCosts, StopReason, StopSignal, TrainEvent, TrainingConfig,
};
use std::path::Path;
use std::sync::Arc;

/// What is to be trained, on what.
pub struct TrainingJob<'a> {
    /// How progress names it, such as `baseline` or `trial 3`.
    pub label: &'a str,
    /// The network.
    pub model: &'a ModelSpec,
    /// Optimizer, schedule, epochs.
    pub training: &'a TrainingConfig,
    /// Augmentation of the training pictures.
    pub augmentation: &'a AugmentationConfig,
    /// Normalization of all pictures.
    pub normalization: Normalization,
    /// The training pictures.
    pub train: Arc<ImageSet>,
    /// The validation pictures.
    pub validation: Arc<ImageSet>,
    /// The seed of initial weights, order, augmentation and dropout.
    pub seed: u64,
    /// The folder that receives metrics and checkpoints.
    pub output: &'a Path,
    /// Whether to go on from a checkpoint that stands there.
    pub resume: bool,
    /// Accidents to be had on purpose.
    pub faults: Faults,
}

/// What steps take beside each other, as stage 3 measured it; `None` where it left nothing. Only the time left rests on
/// it, so that no stage has it among its inputs: that would make a training stale by the clock.
pub(crate) fn measured_costs(run: &RunFolder) -> Option<StepCosts> {
    let path = run.artifact(Stage::ActionPlanning, action_planning::CHECK);
    let check: ArchitectureCheck = read_artifact(&path).ok()?;
    check.figures.timing.step_costs()
}

/// Trains and reports every event to whoever watches the run.
///
/// `after_epoch` sees each event and may end the training by requesting `stop`.
///
/// # Errors
/// [`WorkflowError::Interrupted`] when the run was asked to stop; otherwise whatever training says.
pub fn train(
    context: &mut StageContext<'_>,
    job: &TrainingJob<'_>,
) -> Result<FitOutcome, WorkflowError> {
    let stop = context.stop.clone();
    let outcome = train_until(context, job, &stop, &mut |_| {})?;
    match outcome.stopped {
        StopReason::Interrupted => Err(WorkflowError::Interrupted {
            stage: context.stage,
        }),
        _ => Ok(outcome),
    }
}

/// As [`train`], but under a stop signal of its own and with a view of every event, so that a
/// search can end a hopeless trial. An interrupted training is an outcome here, not an error.
///
/// # Errors
/// Whatever training says.
pub fn train_until(
    context: &mut StageContext<'_>,
    job: &TrainingJob<'_>,
    stop: &StopSignal,
    watch: &mut dyn FnMut(&TrainEvent),
) -> Result<FitOutcome, WorkflowError> {
    let request = FitRequest {
        model: job.model,
        training: job.training,
        augmentation: job.augmentation,
        normalization: job.normalization,
        train: Arc::clone(&job.train),
        validation: Arc::clone(&job.validation),
        seed: job.seed,
        device: context.device,
        output: job.output,
        resume: job.resume,
        stop,
        threads: context.threads,
        faults: job.faults.clone(),
        step_costs: measured_costs(context.run),
    };
    let reporter = &mut *context.reporter;
    let mut observer = |event: &TrainEvent| {
        watch(event);
        reporter.training(job.label, event);
    };
    Ok(mlestar_train::fit(&request, &mut observer)?)
}
