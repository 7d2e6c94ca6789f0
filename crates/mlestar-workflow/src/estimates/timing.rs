//! The cost of steps and predictions, and of a whole training computed from it.

use mlestar_eval::median;
use mlestar_train::{StepCosts, TrainingConfig};
use serde::{Deserialize, Serialize};

/// Warn when an epoch leaves out a tenth of the images.
const MUCH_LEFT_OUT: f64 = 0.1;

/// The cost of a few steps on this machine. Differs from run to run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StepTiming {
    /// Images per step.
    pub batch_size: usize,
    /// Warm-up steps before the measurement.
    pub n_warm_up_steps: usize,
    /// Time of each measured step, from fetching the batch to the updated weights, in seconds.
    pub step_seconds: Vec<f64>,
    /// The same with the smallest images of the training; absent where all are of full size.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub smallest_pictures: Option<SmallStepTiming>,
    /// Training images per second that the loader delivers while nothing else runs.
    pub loader_images_per_second: f64,
    /// Times of predicting one image with the deployed program, in milliseconds: the frozen network of
    /// `mlestar-export` on the CPU, with initial weights.
    pub latency_ms: Vec<f64>,
    /// Time of predicting many images in batches, in seconds per image.
    pub prediction_seconds_per_image: f64,
    /// Memory of this process after the steps, without mapped files, in bytes; 0 where the system does not report it.
    pub resident_bytes: u64,
}

/// The cost of steps with smaller images.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SmallStepTiming {
    /// Area of an image as a fraction of the full one.
    pub picture_area: f64,
    /// Time of each measured step, in seconds.
    pub step_seconds: Vec<f64>,
}

impl SmallStepTiming {
    /// The median time of a step, in seconds.
    pub fn median_step_seconds(&self) -> f64 {
        median(&self.step_seconds).unwrap_or(f64::NAN)
    }
}

impl StepTiming {
    /// The median time of a step, in seconds.
    pub fn median_step_seconds(&self) -> f64 {
        median(&self.step_seconds).unwrap_or(f64::NAN)
    }

    /// Training images per second of the steps.
    pub fn step_images_per_second(&self) -> f64 {
        self.batch_size as f64 / self.median_step_seconds()
    }

    /// The shortest and the longest step, in seconds.
    pub fn step_range_seconds(&self) -> [f64; 2] {
        let shortest = self
            .step_seconds
            .iter()
            .copied()
            .fold(f64::INFINITY, f64::min);
        let longest = self.step_seconds.iter().copied().fold(0.0, f64::max);
        [shortest, longest]
    }

    /// The cost of steps with smaller images relative to full-size ones; `None` where only full size was measured.
    pub fn step_costs(&self) -> Option<StepCosts> {
        let small = self.smallest_pictures.as_ref()?;
        StepCosts::of_steps(&[
            (small.picture_area, small.median_step_seconds()),
            (1.0, self.median_step_seconds()),
        ])
    }

    /// The median latency of one image, in milliseconds.
    pub fn median_latency_ms(&self) -> f64 {
        median(&self.latency_ms).unwrap_or(f64::NAN)
    }

    /// The 95th percentile of the latency of one image, in milliseconds, which the gate of stage 7 limits: the
    /// smallest measured time that 95% of them do not exceed. NaN without values.
    pub fn p95_latency_ms(&self) -> f64 {
        let mut sorted = self.latency_ms.clone();
        sorted.sort_by(f64::total_cmp);
        let place = (0.95 * sorted.len() as f64).ceil() as usize;
        sorted.get(place.max(1) - 1).copied().unwrap_or(f64::NAN)
    }

    /// The time of the steps of all epochs and of the passes over the validation images, when a full-size step takes
    /// `step_seconds` and smaller ones cost what [`StepTiming::step_costs`] says.
    pub fn training_seconds(&self, step_seconds: f64, work: &TrainingWork) -> f64 {
        let costs = self.step_costs().unwrap_or_default();
        // The cost is linear in the area, so the mean cost is the cost at the mean area.
        let epoch = work.steps_per_epoch as f64 * step_seconds * costs.of(work.mean_picture_area);
        let validation = work.n_validation as f64 * self.prediction_seconds_per_image;
        let features = work.n_features as f64 * self.prediction_seconds_per_image;
        work.epochs as f64 * epoch + work.validations as f64 * validation + features
    }
}

/// The amount of work of a training.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainingWork {
    /// Epochs of steps at most.
    pub epochs: usize,
    /// Steps per epoch.
    pub steps_per_epoch: usize,
    /// Training images.
    pub n_train: usize,
    /// Training images that an epoch leaves out: its incomplete last batch, with other images in every epoch.
    pub n_left_out: usize,
    /// Area of a training image as a fraction of the full one, the mean over the epochs.
    pub mean_picture_area: f64,
    /// Epochs that are validated, at most.
    pub validations: usize,
    /// Images of a validation.
    pub n_validation: usize,
    /// Training images whose features a fine-tuning computes once.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub n_features: usize,
}

// Serde passes a reference.
#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_zero(n: &usize) -> bool {
    *n == 0
}

impl TrainingWork {
    /// The work of training on `n_train` and validating on `n_validation` images.
    pub fn new(training: &TrainingConfig, n_train: usize, n_validation: usize) -> Self {
        let areas = (1..=training.epochs).map(|epoch| training.picture_area(epoch));
        Self {
            epochs: training.epochs_of_steps(),
            steps_per_epoch: training.steps_per_epoch(n_train),
            n_train,
            n_left_out: training.left_out_per_epoch(n_train),
            mean_picture_area: areas.sum::<f64>() / training.epochs.max(1) as f64,
            validations: training.validations_after(0),
            n_validation,
            n_features: match training.finetune {
                Some(_) => n_train,
                None => 0,
            },
        }
    }

    /// Whether an epoch leaves out so many images that it needs attention.
    pub fn is_left_out_much(&self) -> bool {
        self.left_out_share() >= MUCH_LEFT_OUT
    }

    /// Training images that an epoch leaves out, as a share of all, 0-1.
    pub fn left_out_share(&self) -> f64 {
        self.n_left_out as f64 / self.n_train.max(1) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mlestar_train::ProgressiveResizing;

    fn timing(step_seconds: Vec<f64>) -> StepTiming {
        StepTiming {
            batch_size: 10,
            n_warm_up_steps: 2,
            step_seconds,
            smallest_pictures: None,
            loader_images_per_second: 1_000.0,
            latency_ms: vec![3.0, 1.0, 2.0],
            prediction_seconds_per_image: 0.01,
            resident_bytes: 0,
        }
    }

    #[test]
    fn training_time_is_steps_and_validation_times_epochs() {
        let training = TrainingConfig {
            epochs: 3,
            batch_size: 10,
            ..TrainingConfig::default()
        };
        let work = TrainingWork::new(&training, 101, 20);
        assert_eq!((work.steps_per_epoch, work.n_left_out), (10, 1));
        let timing = timing(vec![0.5, 0.1, 0.3]);
        assert_eq!(timing.median_step_seconds(), 0.3);
        assert_eq!(timing.step_range_seconds(), [0.1, 0.5]);
        let seconds = timing.training_seconds(0.3, &work);
        assert!(
            (seconds - 3.0 * (10.0 * 0.3 + 0.2)).abs() < 1e-9,
            "{seconds}"
        );
        // One epoch of three at a quarter of the area, whose steps take 0.4 of the others'.
        let progressive_resizing = vec![ProgressiveResizing {
            until_fraction: 0.34,
            scale: 0.5,
        }];
        let work = TrainingWork::new(
            &TrainingConfig {
                progressive_resizing,
                ..training
            },
            101,
            20,
        );
        let timing = StepTiming {
            smallest_pictures: Some(SmallStepTiming {
                picture_area: 0.25,
                step_seconds: vec![0.12, 9.0, 0.12],
            }),
            ..timing
        };
        let seconds = timing.training_seconds(0.3, &work);
        assert!(
            (seconds - (2.4 * 10.0 * 0.3 + 3.0 * 0.2)).abs() < 1e-9,
            "{seconds}"
        );
        assert_eq!(
            (timing.median_latency_ms(), timing.p95_latency_ms()),
            (2.0, 3.0)
        );
    }

    #[test]
    fn the_95th_percentile_lets_one_in_twenty_be_longer() {
        let with = |latency_ms| StepTiming {
            latency_ms,
            ..timing(vec![0.1])
        };
        let times: Vec<f64> = (1..=20).map(f64::from).collect();
        assert_eq!(with(times).p95_latency_ms(), 19.0);
        assert_eq!(with(vec![4.0]).p95_latency_ms(), 4.0);
        assert!(with(Vec::new()).p95_latency_ms().is_nan());
    }

    /// What the plan counts is what the loader of a training makes.
    #[test]
    fn an_incomplete_last_batch_is_counted_as_training_does() {
        use mlestar_data::loader::{Loader, LoaderConfig};
        use mlestar_data::normalization::Normalization;
        use mlestar_data::{ImageSet, Origin};
        use std::sync::Arc;
        for (n, batch_size) in [(86, 44), (86, 43), (86, 86), (86, 100), (1, 1), (100, 30)] {
            let training = TrainingConfig {
                batch_size,
                ..TrainingConfig::default()
            };
            let work = TrainingWork::new(&training, n, 10);
            let classes = vec!["a".to_owned(), "b".to_owned()].into();
            let origins = (0..n as u64)
                .map(|index| Origin::Synthetic { index })
                .collect();
            let set = ImageSet::new(classes, 1, 1, vec![0; 3 * n], vec![0; n], origins).unwrap();
            let normalization = Normalization::new([0.5; 3], [0.5; 3]).unwrap();
            let config = LoaderConfig {
                batch_size,
                drop_last: n > batch_size,
                ..LoaderConfig::default()
            };
            let loader = Loader::new(Arc::new(set), None, normalization, config).unwrap();
            assert_eq!(
                work.steps_per_epoch,
                loader.batches_per_epoch(),
                "{n} {batch_size}"
            );
            let seen = work.steps_per_epoch * batch_size.min(n);
            assert_eq!(work.n_left_out, n - seen, "{n} {batch_size}");
        }
        let half = TrainingConfig {
            batch_size: 44,
            ..TrainingConfig::default()
        };
        assert!((TrainingWork::new(&half, 86, 10).left_out_share() - 0.488).abs() < 1e-3);
    }

    #[test]
    fn epochs_without_a_validation_take_no_time_for_one() {
        let work = |validate_every_epochs| {
            let training = TrainingConfig {
                epochs: 7,
                validate_every_epochs,
                ..TrainingConfig::default()
            };
            TrainingWork::new(&training, 100, 20).validations
        };
        // The last epoch is always validated.
        assert_eq!([1, 2, 3, 7, 8].map(work), [7, 4, 3, 1, 1]);
    }
}
