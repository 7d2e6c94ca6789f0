//! One training inside a stage: the baseline of stage 4, the trials and the final training of stage 6.

use crate::config::Config;
use crate::machine::MemorySamples;
use crate::{StageContext, WorkflowError, machine};
use burn::tensor::Device;
use mlestar_artifact::{Artifact, read_artifact, write_artifact};
use mlestar_data::{ImageSet, Normalization};
use mlestar_model::{ImageClassifier, ModelSpec};
use mlestar_train::{FitOutcome, FitRequest, StopReason, TrainEvent, TrainingSetup};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The memory of a training: a file of its folder.
pub(crate) const MEMORY: &str = "training_memory.json";

/// `training_memory.json`: the memory of the training process. An interrupted training keeps the largest value of all
/// its processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrainingMemory {
    /// Largest resident memory in bytes, with the images that are held in memory and without those in a mapped file;
    /// absent where the system does not report it. GPU memory is not included.
    pub peak_bytes: Option<u64>,
    /// What the peak covers.
    pub since: PeakSince,
}

/// When the measurement of the peak started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PeakSince {
    /// At the start of the training.
    TrainingBegan,
    /// At the start of the process: the system cannot restart the measurement.
    ProcessBegan,
    /// At the start of the training, by samples, because the system's own measurement counts mapped files.
    Sampled,
}

impl PeakSince {
    /// In words.
    pub fn describe(self) -> &'static str {
        match self {
            Self::TrainingBegan => "of the training process, from the start of the training",
            Self::Sampled => {
                "of the training process without the mapped file of images, from the start of the training"
            }
            Self::ProcessBegan => "of the training process, including what it did before",
        }
    }
}

impl Artifact for TrainingMemory {
    const SCHEMA: &'static str = "mlestar.training_memory";
    const VERSION: u32 = 1;
}

/// Records the peak of memory as it grows, so a killed process does not lose it.
struct MemoryWatch {
    path: PathBuf,
    memory: TrainingMemory,
    /// Where images are in a mapped file.
    samples: Option<MemorySamples>,
}

impl MemoryWatch {
    /// Starts watching; `resume` keeps the peaks of earlier processes. `is_mapped` says that the images are in a file.
    fn begin(output: &Path, resume: bool, is_mapped: bool) -> Self {
        let path = output.join(MEMORY);
        let samples = is_mapped.then(MemorySamples::begin).flatten();
        let since = match &samples {
            Some(_) => PeakSince::Sampled,
            None if machine::restart_peak_memory() => PeakSince::TrainingBegan,
            None => PeakSince::ProcessBegan,
        };
        let earlier = resume
            .then(|| read_artifact::<TrainingMemory>(&path).ok())
            .flatten();
        let memory = earlier.unwrap_or(TrainingMemory {
            peak_bytes: None,
            since,
        });
        Self {
            path,
            memory,
            samples,
        }
    }

    /// Whether the peak has grown since the last look.
    fn grew(&mut self) -> bool {
        let now = match &self.samples {
            Some(samples) => Some(samples.largest()),
            None => machine::peak_memory_bytes(),
        };
        let grew = now > self.memory.peak_bytes;
        self.memory.peak_bytes = self.memory.peak_bytes.max(now);
        grew
    }

    fn write(&self) -> Result<(), WorkflowError> {
        Ok(write_artifact(&self.path, &self.memory)?)
    }
}

/// The network of `spec` with its initial weights, the images that it learns from, and the settings of `config`.
///
/// # Errors
/// When a setting of the training is out of its range.
pub(crate) fn setup<'a>(
    config: &Config,
    spec: &ModelSpec,
    normalization: Normalization,
    train: &Arc<ImageSet>,
    device: &'a Device,
    threads: usize,
) -> Result<TrainingSetup<'a, ImageClassifier>, WorkflowError> {
    Ok(TrainingSetup {
        network: spec.init(config.seed, device),
        training: config.training.check()?,
        augmentation: config.augmentation.clone(),
        normalization,
        train: Arc::clone(train),
        seed: config.seed,
        device,
        threads: threads.max(1),
    })
}

/// Trains until the run is asked to stop, reports every event under `label` (such as `baseline`), and writes the
/// memory that it took to the folder of the training.
///
/// # Errors
/// [`WorkflowError::Interrupted`] when the run was asked to stop; otherwise whatever training says.
pub fn train(
    context: &mut StageContext<'_>,
    label: &str,
    request: FitRequest<'_, ImageClassifier>,
) -> Result<FitOutcome<ImageClassifier>, WorkflowError> {
    let request = FitRequest {
        stop: context.stop.clone(),
        ..request
    };
    let mut memory = MemoryWatch::begin(
        request.output,
        request.resume,
        request.setup.train.is_in_file(),
    );
    let outcome = train_until(context, label, &request, &mut |event| {
        if matches!(event, TrainEvent::Epoch(_)) && memory.grew() {
            // An error of writing it is reported at the end.
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

/// As [`train`], but with the request's own stop signal and a view of every event, so that a search can prune a
/// hopeless trial. An interrupted training is an outcome here, not an error.
///
/// # Errors
/// Whatever training says.
pub fn train_until(
    context: &mut StageContext<'_>,
    label: &str,
    request: &FitRequest<'_, ImageClassifier>,
    watch: &mut dyn FnMut(&TrainEvent),
) -> Result<FitOutcome<ImageClassifier>, WorkflowError> {
    let reporter = &mut *context.reporter;
    let mut observer = |event: &TrainEvent| {
        watch(event);
        reporter.training(label, event);
    };
    Ok(mlestar_train::fit(request, &mut observer)?)
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
        let mut resumed = MemoryWatch::begin(folder.path(), true, false);
        assert!(!resumed.grew());
        assert_eq!(resumed.memory, of_a_larger_process);
        let mut begun = MemoryWatch::begin(folder.path(), false, false);
        begun.grew();
        begun.write().unwrap();
        let found: TrainingMemory = read_artifact(&folder.path().join(MEMORY)).unwrap();
        assert!(found.peak_bytes < of_a_larger_process.peak_bytes);
        #[cfg(target_os = "linux")]
        {
            let mut mapped = MemoryWatch::begin(folder.path(), false, true);
            assert!(mapped.grew() && mapped.memory.peak_bytes > Some(1 << 20));
            assert_eq!(mapped.memory.since, PeakSince::Sampled);
        }
    }
}
