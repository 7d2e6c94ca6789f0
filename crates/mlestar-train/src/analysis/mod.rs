//! Analyses the records of a training and suggests config changes.
//!
//! [`analyse`] examines the recorded epochs and steps. Each kind of finding has its own file: loss spikes,
//! gradient norm, divergence, wild validation loss, plateaus, overfitting, underfitting, drops in speed, steps
//! that wait for images, and an early best epoch. It works on the data it is given and reads no files.
//! [`read_history`] reads the records of a finished or running training; [`Follower`] reads new records as they
//! are appended.
//!
//! The limits are chosen so that an ordinary training has no finding. Each limit stands at the top of the file
//! that uses it, with its reason.
//!
//! ```
//! use mlestar_train::analysis::{Kind, Settings, analyse};
//! use mlestar_train::{StepRecord, TrainingConfig};
//!
//! // The loss falls until step 120 and is NaN from then on.
//! let steps: Vec<StepRecord> = (1..=130_u32)
//!     .map(|step| StepRecord {
//!         step: u64::from(step),
//!         epoch: 1,
//!         loss: if step <= 120 { 2.3 - 0.01 * f64::from(step) } else { f64::NAN },
//!         learning_rate: 0.1,
//!         gradient_norm: 1.0,
//!     })
//!     .collect();
//! let findings = analyse(&[], &steps, &Settings::of(&TrainingConfig::default()));
//! assert_eq!(findings[0].kind, Kind::Divergence);
//! assert_eq!(findings[0].steps, [121]);
//! assert!(findings[0].suggestions.iter().any(|s| s.key == "training.optimizer.learning_rate"));
//! ```

mod divergence;
mod early_best;
mod finding;
mod follow;
mod gradient_norm;
mod loss_spikes;
mod overfitting;
mod plateau;
mod reader;
pub(crate) mod robust;
mod slow_loader;
mod suggest;
#[cfg(test)]
mod testing;
mod throughput;
mod underfitting;
mod wild_validation;

use mlestar_data::augment::AugmentationConfig;
use mlestar_model::ModelConfig;

pub use finding::{Finding, Kind, Severity, Suggestion};
pub use follow::{Follower, HistoryFollower, News};
pub use reader::{History, METRICS_FILE, STEPS_FILE, read_epochs, read_history, read_steps};

use crate::config::TrainingConfig;
use crate::{EpochRecord, StepRecord};

/// The settings of a training, as far as they are known.
#[derive(Debug, Clone, Copy)]
pub struct Settings<'a> {
    /// The `[training]` section.
    pub training: &'a TrainingConfig,
    /// The `[augmentation]` section. Without it, no change of the augmentation is suggested.
    pub augmentation: Option<&'a AugmentationConfig>,
    /// The `[model]` section. Without it, no change of the network is suggested.
    pub model: Option<&'a ModelConfig>,
}

impl<'a> Settings<'a> {
    /// Only the training section is known.
    #[must_use]
    pub fn of(training: &'a TrainingConfig) -> Self {
        Self {
            training,
            augmentation: None,
            model: None,
        }
    }
}

/// Analyses everything a training has recorded so far. The most serious findings come first.
///
/// Either record may be empty or hold values that are not finite; findings that need the missing data are
/// skipped. `epochs` and `steps` must be in the order in which they were trained.
#[must_use]
pub fn analyse(
    epochs: &[EpochRecord],
    steps: &[StepRecord],
    settings: &Settings<'_>,
) -> Vec<Finding> {
    let record = Record {
        epochs,
        steps,
        settings,
    };
    let divergence = divergence::find(&record);
    let has_diverged = divergence.is_some();
    let mut findings: Vec<Finding> = divergence.into_iter().collect();
    findings.extend(loss_spikes::find(&record, has_diverged));
    findings.extend(gradient_norm::find(&record, has_diverged));
    let wild = wild_validation::find(&record);
    // A learning rate that is far too high looks like overfitting, but the remedies for overfitting do not
    // help.
    if wild.is_none() {
        findings.extend(overfitting::find(&record));
    }
    findings.extend(wild);
    // A diverged training shows other findings too, but they are consequences of the divergence.
    if !has_diverged {
        findings.extend(plateau::find(&record));
        findings.extend(underfitting::find(&record));
        findings.extend(early_best::find(&record));
    }
    findings.extend(throughput::find(&record));
    findings.extend(slow_loader::find(&record));
    findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    findings
}

/// The input of the analysis files.
pub(super) struct Record<'a> {
    epochs: &'a [EpochRecord],
    steps: &'a [StepRecord],
    settings: &'a Settings<'a>,
}

/// A validated epoch.
#[derive(Clone, Copy)]
pub(super) struct Validated<'a> {
    epoch: &'a EpochRecord,
    loss: f64,
    accuracy: f64,
}

impl Record<'_> {
    fn column(&self, field: impl Fn(&EpochRecord) -> f64) -> Vec<f64> {
        self.epochs.iter().map(field).collect()
    }

    /// The epochs with a validation.
    fn validated(&self) -> Vec<Validated<'_>> {
        let epochs = self.epochs.iter();
        epochs
            .filter_map(|epoch| {
                Some(Validated {
                    epoch,
                    loss: epoch.validation_loss?,
                    accuracy: epoch.validation_accuracy?,
                })
            })
            .collect()
    }

    /// The initial loss, against which changes of the loss are measured: the median of the first steps, or else
    /// the loss of the first epoch.
    fn initial_loss(&self) -> Option<f64> {
        const FIRST_STEPS: usize = 20;
        let first: Vec<f64> = self
            .steps
            .iter()
            .take(FIRST_STEPS)
            .map(|s| s.loss)
            .collect();
        robust::median(&first).or_else(|| {
            let mut losses = self.epochs.iter().map(|epoch| epoch.train_loss);
            losses.find(|loss| loss.is_finite())
        })
    }

    /// The highest and the last learning rate; `None` if none is known or all are 0.
    fn rates(&self) -> Option<(f64, f64)> {
        let rates: Vec<f64> = if self.steps.is_empty() {
            self.column(|epoch| epoch.learning_rate)
        } else {
            self.steps.iter().map(|step| step.learning_rate).collect()
        };
        let finite = || rates.iter().copied().filter(|rate| rate.is_finite());
        let highest = finite().fold(0.0, f64::max);
        finite()
            .next_back()
            .filter(|_| highest > 0.0)
            .map(|last| (highest, last))
    }

    /// Whether all configured epochs have been trained.
    fn is_complete(&self) -> bool {
        self.epochs.len() >= self.settings.training.epochs
    }
}

#[cfg(test)]
mod tests {
    use super::testing::{Simulation, nothing_found};
    use super::*;

    #[test]
    fn ordinary_trainings_have_no_finding() {
        for seed in 0..12 {
            // The noise of a batch depends on its size.
            for noise in [0.03, 0.1, 0.3] {
                nothing_found(&Simulation {
                    seed,
                    noise,
                    ..Simulation::default()
                });
            }
            nothing_found(&Simulation {
                seed,
                epochs: 100,
                ..Simulation::default()
            });
            nothing_found(&Simulation {
                seed,
                epochs: 6,
                ..Simulation::default()
            });
        }
    }

    #[test]
    fn ordinary_trainings_with_few_validations_have_no_finding() {
        for (seed, every) in [(0, 2), (1, 3), (2, 7), (3, 30)] {
            let mut record = Simulation {
                seed,
                epochs: 30,
                ..Simulation::default()
            }
            .run();
            for epoch in &mut record.epochs {
                if epoch.epoch % every != 0 {
                    epoch.validation_loss = None;
                    epoch.validation_accuracy = None;
                }
            }
            let found = analyse(&record.epochs, &record.steps, &Settings::of(&record.config));
            assert!(found.is_empty(), "{seed}, {every}: {found:?}");
        }
    }

    #[test]
    fn next_to_nothing_is_no_reason_to_find_anything() {
        for epochs in [0, 1, 2] {
            nothing_found(&Simulation {
                epochs,
                ..Simulation::default()
            });
            nothing_found(&Simulation {
                epochs,
                steps_per_epoch: 0,
                ..Simulation::default()
            });
            nothing_found(&Simulation {
                epochs,
                steps_per_epoch: 1,
                ..Simulation::default()
            });
        }
    }

    #[test]
    fn values_that_are_not_finite_do_no_harm() {
        let config = TrainingConfig::default();
        for value in [
            f64::NAN,
            f64::INFINITY,
            f64::NEG_INFINITY,
            0.0,
            -1.0,
            f64::MAX,
        ] {
            let mut record = Simulation::default().run();
            for (index, epoch) in record.epochs.iter_mut().enumerate() {
                if index % 2 == 0 {
                    epoch.learning_rate = value;
                    epoch.train_accuracy = value;
                    epoch.validation_loss = Some(value);
                    epoch.validation_accuracy = Some(value);
                    epoch.images_per_second = value;
                    epoch.seconds = value;
                    epoch.gradient_norm_mean = value;
                }
            }
            for step in record.steps.iter_mut().step_by(3) {
                step.loss = value;
                step.learning_rate = value;
                step.gradient_norm = value;
            }
            for n_epochs in [0, 1, 5, record.epochs.len()] {
                for n_steps in [0, 1, 40, record.steps.len()] {
                    let (epochs, steps) = (&record.epochs[..n_epochs], &record.steps[..n_steps]);
                    for finding in analyse(epochs, steps, &Settings::of(&config)) {
                        assert!(!finding.statement.is_empty());
                        for suggestion in &finding.suggestions {
                            assert!(!suggestion.value.contains("NaN"), "{suggestion:?}");
                            assert!(!suggestion.value.contains("inf"), "{suggestion:?}");
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn the_gravest_finding_comes_first_and_all_are_written_and_read_back() {
        let mut record = Simulation {
            epochs: 30,
            ..Simulation::default()
        }
        .run();
        record.epochs[20].images_per_second = 90.0;
        let last = record.steps.len() - 1;
        record.steps[last].loss = f64::NAN;
        let findings = analyse(&record.epochs, &record.steps, &Settings::of(&record.config));
        let kinds: Vec<Kind> = findings.iter().map(|finding| finding.kind).collect();
        assert_eq!(kinds, [Kind::Divergence, Kind::ThroughputDrop]);
        let json = serde_json::to_string(&findings).unwrap();
        assert_eq!(
            serde_json::from_str::<Vec<Finding>>(&json).unwrap(),
            findings
        );
        assert!(
            json.contains(r#""kind":"divergence","severity":"problem""#),
            "{json}"
        );
    }
}
