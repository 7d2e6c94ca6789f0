//! One training run inside a stage: the baseline of stage 4, the trials and the final training of
//! stage 6.

use crate::stages::action_planning::{self, ArchitectureCheck};
use crate::{RunFolder, Stage, StageContext, WorkflowError, machine};
use mlestar_artifact::{Artifact, read_artifact, write_artifact};
use mlestar_data::{AugmentationConfig, ImageSet, Normalization};
use mlestar_model::ModelSpec;
use mlestar_train::{
    Faults, FitOutcome, FitRequest, StepCosts, StopReason, StopSignal, TrainEvent, TrainingConfig,
};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The memory of a training: a file of its folder.
pub(crate) const MEMORY: &str = "training_memory.json";

/// `training_memory.json`: the memory of the process that trained. A training that was interrupted keeps the largest of
/// the processes that had a part in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrainingMemory {
    /// Largest resident memory in bytes, pictures included; absent where the system does not tell. What a GPU holds is
    /// not in it.
    pub peak_bytes: Option<u64>,
    /// What the peak is the peak of.
    pub since: PeakSince,
}

/// From when on a peak of memory was measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PeakSince {
    /// From the beginning of the training on.
    TrainingBegan,
    /// From the beginning of the process on: the system lets nobody begin anew.
    ProcessBegan,
}

impl PeakSince {
    /// In words.
    pub fn describe(self) -> &'static str {
        match self {
            Self::TrainingBegan => {
                "of the process that trained, from the beginning of the training on"
            }
            Self::ProcessBegan => "of the process that trained, whatever it did before included",
        }
    }
}

impl Artifact for TrainingMemory {
    const SCHEMA: &'static str = "mlestar.training_memory";
    const VERSION: u32 = 1;
}

/// Writes down the peak of memory as it grows, so that a killed process does not take it along.
struct MemoryWatch {
    path: PathBuf,
    memory: TrainingMemory,
}

impl MemoryWatch {
    /// Begins to watch; `resume` keeps what earlier processes needed.
    fn begin(output: &Path, resume: bool) -> Self {
        let path = output.join(MEMORY);
        let since = match machine::restart_peak_memory() {
            true => PeakSince::TrainingBegan,
            false => PeakSince::ProcessBegan,
        };
        let earlier = resume
            .then(|| read_artifact::<TrainingMemory>(&path).ok())
            .flatten();
        let memory = earlier.unwrap_or(TrainingMemory {
            peak_bytes: None,
            since,
        });
        Self { path, memory }
    }

    /// Whether the peak has grown since the last look.
    fn grew(&mut self) -> bool {
        let now = machine::peak_memory_bytes();
        let grew = now > self.memory.peak_bytes;
        self.memory.peak_bytes = self.memory.peak_bytes.max(now);
        grew
    }

    fn write(&self) -> Result<(), WorkflowError> {
        Ok(write_artifact(&self.path, &self.memory)?)
    }
}

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

/// Trains, reports every event to whoever watches the run, and leaves the memory that it took in the folder of the
/// training.
///
/// # Errors
/// [`WorkflowError::Interrupted`] when the run was asked to stop; otherwise whatever training says.
pub fn train(
    context: &mut StageContext<'_>,
    job: &TrainingJob<'_>,
) -> Result<FitOutcome, WorkflowError> {
    let stop = context.stop.clone();
    let mut memory = MemoryWatch::begin(job.output, job.resume);
    let outcome = train_until(context, job, &stop, &mut |event| {
        if matches!(event, TrainEvent::Epoch(_)) && memory.grew() {
            // What keeps it from being written is said at the end.
            let _ = memory.write();
        }
    })?;
    memory.grew();
    memory.write()?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_training_that_is_gone_on_with_keeps_the_larger_peak() {
        let folder = tempfile::tempdir().unwrap();
        let of_a_larger_process = TrainingMemory {
            peak_bytes: Some(1 << 60),
            since: PeakSince::TrainingBegan,
        };
        write_artifact(&folder.path().join(MEMORY), &of_a_larger_process).unwrap();
        let mut resumed = MemoryWatch::begin(folder.path(), true);
        assert!(!resumed.grew());
        assert_eq!(resumed.memory, of_a_larger_process);
        let mut begun = MemoryWatch::begin(folder.path(), false);
        begun.grew();
        begun.write().unwrap();
        let found: TrainingMemory = read_artifact(&folder.path().join(MEMORY)).unwrap();
        assert!(found.peak_bytes < of_a_larger_process.peak_bytes);
    }
}
