//! Records of a training: epochs, steps and the best epoch.

use serde::{Deserialize, Deserializer, Serialize};

/// The figures of one epoch. Accuracies are fractions (0-1).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EpochRecord {
    /// Epoch, from 1.
    pub epoch: usize,
    /// Learning rate of the epoch's last step.
    pub learning_rate: f64,
    /// Mean loss of the training batches as the network saw them (augmented, with dropout and label smoothing),
    /// each measured before its own step.
    pub train_loss: f64,
    /// Share of training images classified correctly, as the network saw them. For a mixed image, the share of
    /// the predicted class in it.
    pub train_accuracy: f64,
    /// Mean cross-entropy over the validation set, without label smoothing; `None` if the epoch was not
    /// validated, see [`validate_every_epochs`](crate::TrainingConfig::validate_every_epochs).
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "measured"
    )]
    pub validation_loss: Option<f64>,
    /// Share of validation images classified correctly; `None` if the loss is `None`.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "measured"
    )]
    pub validation_accuracy: Option<f64>,
    /// Training images per second, without the validation.
    pub images_per_second: f64,
    /// Area of a training image as a fraction of the full area; less than 1 if images were resized to a smaller
    /// size, see [`ProgressiveResizing`](crate::ProgressiveResizing).
    #[serde(default = "full_area", skip_serializing_if = "is_full_area")]
    pub picture_area: f64,
    /// Seconds spent on the epoch's training steps.
    pub seconds: f64,
    /// Seconds spent on its validation; 0 without one.
    pub validation_seconds: f64,
    /// Seconds of these spent waiting for images; 0 if the loader keeps up.
    #[serde(default)]
    pub loader_wait_seconds: f64,
    /// Mean over the steps of the global gradient norm, before clipping.
    pub gradient_norm_mean: f64,
    /// How the epoch fitted the head of a pretrained network; `None` for an epoch of steps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub head: Option<HeadFit>,
}

/// How the head of a pretrained network was fitted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HeadFit {
    /// The chosen inverse strength of the L2 penalty, as scikit-learn's `C`.
    pub c: f64,
    /// The strengths that were tried, from the strongest penalty.
    pub tried: Vec<TriedStrength>,
}

/// A strength of the penalty that was tried for a head.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TriedStrength {
    /// Inverse strength.
    pub c: f64,
    /// Mean cross-entropy on the held-out parts of the training images.
    pub loss: f64,
}

impl EpochRecord {
    /// Whether a validation followed the epoch.
    #[must_use]
    pub fn is_validated(&self) -> bool {
        self.validation_accuracy.is_some()
    }
}

/// A field that is present was measured: `null` is the JSON form of a number that is not finite.
fn measured<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<f64>, D::Error> {
    let value = Option::<f64>::deserialize(deserializer)?;
    Ok(Some(value.unwrap_or(f64::NAN)))
}

fn full_area() -> f64 {
    1.0
}

// Serde passes a reference.
#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_full_area(area: &f64) -> bool {
    *area == full_area()
}

/// The figures of one optimizer step; one line of `steps.jsonl`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StepRecord {
    /// Step, from 1, counted over the whole training.
    pub step: u64,
    /// Its epoch, from 1.
    pub epoch: usize,
    /// Mean loss of its images before the step, with augmentation, dropout and label smoothing.
    pub loss: f64,
    /// Its learning rate.
    pub learning_rate: f64,
    /// Global gradient norm, before clipping.
    pub gradient_norm: f64,
}

/// Why a training ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StopReason {
    /// All epochs were trained.
    Completed,
    /// The validation accuracy has not risen for `patience` epochs.
    EarlyStopping {
        /// Epochs since it last rose.
        epochs_without_progress: usize,
    },
    /// The stop signal was given. The checkpoint `last` holds everything up to the last step.
    Interrupted,
    /// The time limit was reached. The last epoch may have been cut short.
    TimeUp,
}

/// The best epoch so far.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BestEpoch {
    /// Epoch, from 1.
    pub epoch: usize,
    /// Its validation accuracy.
    pub validation_accuracy: f64,
    /// Its validation loss.
    pub validation_loss: f64,
}

/// The progress of a training: the best epoch, and how long there has been no progress.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Progress {
    /// The epoch with the highest validation accuracy; of equal ones the one with the lowest loss, then the
    /// earliest. `None` before the first validation.
    pub best: Option<BestEpoch>,
    /// The next validated epoch counts as progress if its accuracy exceeds this by `min_delta`.
    pub reference_accuracy: Option<f64>,
    /// Epochs since the last progress, including epochs without validation.
    pub epochs_without_progress: usize,
}

impl Progress {
    /// Adds an epoch; returns true if it is the best so far.
    pub(crate) fn record(&mut self, record: &EpochRecord, min_delta: f64) -> bool {
        let (Some(accuracy), Some(loss)) = (record.validation_accuracy, record.validation_loss)
        else {
            self.epochs_without_progress += usize::from(self.reference_accuracy.is_some());
            return false;
        };
        match self.reference_accuracy {
            Some(reference) if accuracy <= reference + min_delta => {
                self.epochs_without_progress += 1;
            }
            _ => {
                self.reference_accuracy = Some(accuracy);
                self.epochs_without_progress = 0;
            }
        }
        let is_best = self.best.as_ref().is_none_or(|best| {
            accuracy > best.validation_accuracy
                || (accuracy == best.validation_accuracy && loss < best.validation_loss)
        });
        if is_best {
            self.best = Some(BestEpoch {
                epoch: record.epoch,
                validation_accuracy: accuracy,
                validation_loss: loss,
            });
        }
        is_best
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(epoch: usize, validation: Option<(f64, f64)>) -> EpochRecord {
        EpochRecord {
            epoch,
            learning_rate: 0.1,
            train_loss: 1.0,
            train_accuracy: 0.5,
            validation_loss: validation.map(|(_, loss)| loss),
            validation_accuracy: validation.map(|(accuracy, _)| accuracy),
            images_per_second: 1.0,
            picture_area: 1.0,
            seconds: 1.0,
            validation_seconds: 1.0,
            loader_wait_seconds: 0.0,
            gradient_norm_mean: 1.0,
            head: None,
        }
    }

    fn run(epochs: &[(f64, f64)], min_delta: f64) -> Progress {
        let mut progress = Progress::default();
        for (index, &validation) in epochs.iter().enumerate() {
            progress.record(&record(index + 1, Some(validation)), min_delta);
        }
        progress
    }

    #[test]
    fn an_epoch_without_a_validation_is_waited_for_and_never_the_best() {
        let mut progress = Progress::default();
        assert!(!progress.record(&record(1, None), 0.0));
        assert_eq!(progress, Progress::default());
        assert!(progress.record(&record(2, Some((0.5, 1.0))), 0.0));
        assert!(!progress.record(&record(3, None), 0.0));
        assert!(!progress.record(&record(4, Some((0.4, 1.0))), 0.0));
        assert_eq!(progress.epochs_without_progress, 2);
        assert!(!progress.record(&record(5, None), 0.0));
        assert!(progress.record(&record(6, Some((0.6, 1.0))), 0.0));
        assert_eq!(progress.epochs_without_progress, 0);
        assert_eq!(progress.best.unwrap().epoch, 6);
    }

    #[test]
    fn a_record_without_a_validation_has_no_such_fields_and_null_is_a_value_that_is_not_finite() {
        let text = serde_json::to_string(&record(1, None)).unwrap();
        assert!(!text.contains("validation_loss") && !text.contains("validation_accuracy"));
        for validation in [None, Some((0.5, 1.0))] {
            let record = record(1, validation);
            let text = serde_json::to_string(&record).unwrap();
            assert_eq!(serde_json::from_str::<EpochRecord>(&text).unwrap(), record);
        }
        let text = serde_json::to_string(&record(1, Some((0.5, f64::INFINITY)))).unwrap();
        assert!(text.contains("\"validation_loss\":null"), "{text}");
        let read: EpochRecord = serde_json::from_str(&text).unwrap();
        assert!(read.validation_loss.is_some_and(f64::is_nan));
    }

    #[test]
    fn the_best_epoch_has_the_highest_accuracy_then_the_lowest_loss_then_comes_first() {
        let best = |epochs| run(epochs, 0.0).best.unwrap().epoch;
        assert_eq!(best(&[(0.5, 1.0), (0.7, 2.0), (0.6, 0.1)]), 2);
        assert_eq!(best(&[(0.7, 1.0), (0.7, 0.9), (0.7, 0.95)]), 2);
        assert_eq!(best(&[(0.7, 1.0), (0.7, 1.0)]), 1);
    }

    #[test]
    fn patience_counts_epochs_since_the_accuracy_last_rose() {
        let waited = |epochs, min_delta| run(epochs, min_delta).epochs_without_progress;
        assert_eq!(waited(&[(0.5, 1.0)], 0.0), 0);
        assert_eq!(waited(&[(0.5, 1.0), (0.5, 0.5), (0.4, 0.1)], 0.0), 2);
        assert_eq!(waited(&[(0.5, 1.0), (0.4, 1.0), (0.6, 1.0)], 0.0), 0);
        // Small steps add up: the reference is the last epoch that counted as progress.
        let creeping = [(0.50, 1.0), (0.54, 1.0), (0.58, 1.0), (0.62, 1.0)];
        assert_eq!(waited(&creeping[..3], 0.1), 2);
        assert_eq!(waited(&creeping, 0.1), 0);
    }
}
