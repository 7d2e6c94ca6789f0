//! Artifacts of stage 4.

use mlestar_artifact::Artifact;
use mlestar_data::Normalization;
use mlestar_model::{ImageClassifier, ModelSpec, Precision};
use mlestar_train::{EpochRecord, FitOutcome, Remedy, StopReason};
use serde::{Deserialize, Serialize};

/// `training_summary.json`: how the training ended. It holds no clock time, so that the same
/// training leaves the same bytes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrainingSummary {
    /// The network.
    pub model: ModelSpec,
    /// Its trainable parameters.
    pub parameters: u64,
    /// The names of the classes, in the order of the network's outputs.
    pub classes: Vec<String>,
    /// Mean and standard deviation that images are normalised with.
    pub normalization: Normalization,
    /// The seed.
    pub seed: u64,
    /// How exactly convolutions were computed in training.
    #[serde(default)]
    pub precision: Precision,
    /// Images per step.
    pub batch_size: usize,
    /// Epochs that were asked for.
    pub epochs_planned: usize,
    /// Epochs that were run.
    pub epochs_run: usize,
    /// Why it ended.
    pub stopped: StopReason,
    /// The remedies that were applied, as after a loss that was not finite or exhausted memory.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub remedies: Vec<Remedy>,
    /// The epoch (from 1) whose weights are kept: highest validation accuracy.
    pub best_epoch: usize,
    /// Number of validation images.
    pub validation_pictures: usize,
    /// Top-1 accuracy of the best epoch on them.
    pub validation_accuracy: f64,
    /// Cross-entropy on them, in nats.
    pub validation_loss: f64,
    /// Number of training images that the next figure is measured on.
    pub train_pictures: usize,
    /// Top-1 accuracy of the best epoch on training images, without augmentation.
    pub train_accuracy: f64,
    /// Training accuracy minus validation accuracy.
    pub overfitting_gap: f64,
}

impl Artifact for TrainingSummary {
    const SCHEMA: &'static str = "mlestar.training_summary";
    const VERSION: u32 = 2;
}

/// `training_timing.json`: how long it took.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrainingTiming {
    /// Seconds of the steps of all epochs.
    pub training_seconds: f64,
    /// Seconds of all validations.
    pub validation_seconds: f64,
    /// Seconds until the first step, from the last start or resume of the training; absent where no step was left.
    pub seconds_before_first_step: Option<f64>,
    /// Seconds of that step: on a GPU, kernels are compiled and chosen in it.
    pub first_step_seconds: Option<f64>,
    /// Training images per second, validation not counted.
    pub images_per_second: f64,
    /// Seconds of the steps of each epoch.
    pub epoch_seconds: Vec<f64>,
}

impl TrainingTiming {
    /// The time of the epochs of a training, including those before it was resumed.
    pub(crate) fn of(outcome: &FitOutcome<ImageClassifier>) -> Self {
        let seconds: f64 = outcome.history.iter().map(|epoch| epoch.seconds).sum();
        let images_of = |epoch: &EpochRecord| epoch.images_per_second * epoch.seconds;
        let images: f64 = outcome.history.iter().map(images_of).sum();
        Self {
            training_seconds: seconds,
            validation_seconds: outcome
                .history
                .iter()
                .map(|epoch| epoch.validation_seconds)
                .sum(),
            seconds_before_first_step: outcome.first_step.map(|first| first.seconds_before),
            first_step_seconds: outcome.first_step.map(|first| first.seconds),
            images_per_second: images / seconds.max(1e-9),
            epoch_seconds: outcome.history.iter().map(|epoch| epoch.seconds).collect(),
        }
    }

    /// Seconds of training and validation together, which a limit on time covers.
    pub fn total_seconds(&self) -> f64 {
        self.training_seconds + self.validation_seconds
    }
}

impl Artifact for TrainingTiming {
    const SCHEMA: &'static str = "mlestar.training_timing";
    const VERSION: u32 = 1;
}
