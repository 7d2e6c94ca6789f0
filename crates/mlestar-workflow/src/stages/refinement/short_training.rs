//! The short trainings of stage 6: proposals, trials and finalists, all as long as a trial. Each is kept under what decides
//! its result, so an interrupted stage, or one that runs again, repeats none.

use super::TRAININGS;
use crate::config::Config;
use crate::stages::action_planning::ArchitectureCheck;
use crate::stages::implementation::TrainingSummary;
use crate::trial_training::{self, TrialFailure, TrialJob, Watch, share_of, with_epochs};
use crate::words::counted;
use crate::{StageContext, WorkflowError, code_version};
use mlestar_artifact::{ContentHash, PARTIAL_PREFIX, append_json_line};
use mlestar_data::{ImageSet, Normalization};
use mlestar_model::ImageClassifier;
use mlestar_train::FitOutcome;
use mlestar_train::checkpoint::hash_of_set;
use mlestar_tune::{Decision, IntermediateValue, TrialError};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// A line of `trainings.jsonl`: a short training and its answers for the validation images.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShortTraining {
    /// Hash of everything that decides the result: settings, seed, images, code and kind of device.
    pub key: ContentHash,
    /// What it was trained for first.
    pub label: String,
    /// Validation accuracy after each validated epoch.
    pub epochs: Vec<IntermediateValue>,
    /// Validation accuracy of the best epoch, 0 to 1.
    pub accuracy: f64,
    /// Seconds of training and validation.
    pub seconds: f64,
    /// Values of the network.
    pub parameters: u64,
    /// The answers of the best epoch's weights for the validation images, in order: a digit of base 16 for four images, the
    /// first of them in the highest bit, 1 if the answer is right.
    pub right: String,
    /// Validation images.
    pub images: usize,
}

impl ShortTraining {
    /// For each validation image whether the answer is right; `None` if the digits do not fit the number of images.
    pub fn answers(&self) -> Option<Vec<bool>> {
        let digits: Option<Vec<u32>> = self.right.chars().map(|c| c.to_digit(16)).collect();
        let digits = digits.filter(|digits| digits.len() == self.images.div_ceil(4))?;
        let bit = |index: usize| digits[index / 4] >> (3 - index % 4) & 1 == 1;
        Some((0..self.images).map(bit).collect())
    }
}

/// Answers as [`ShortTraining::right`] has them.
fn digits_of(right: &[bool]) -> String {
    let digit = |bits: &[bool]| {
        let bits = (0..4).map(|at| u32::from(bits.get(at) == Some(&true)));
        bits.fold(0, |value, bit| value * 2 + bit)
    };
    let digits = right.chunks(4).map(digit);
    digits
        .filter_map(|digit| char::from_digit(digit, 16))
        .collect()
}

/// The short trainings of a run of the stage.
pub(super) struct ShortTrainings {
    known: BTreeMap<ContentHash, ShortTraining>,
    /// The share of the training images that a trial uses.
    train: Arc<ImageSet>,
    validation: Arc<ImageSet>,
    normalization: Normalization,
    /// What decides results besides settings and seed.
    surroundings: serde_json::Value,
}

impl ShortTrainings {
    /// Loads the images and the trainings of an interrupted run of the stage, or of its last one.
    pub(super) fn open(
        context: &mut StageContext<'_>,
        baseline: &TrainingSummary,
    ) -> Result<Self, WorkflowError> {
        let (train, validation) = context.training_sets()?;
        let share = context.config.refinement.train_fraction_per_trial;
        let train = share_of(&train, share, context.config.seed)?;
        let surroundings = serde_json::json!({
            "normalization": baseline.normalization,
            "train": hash_of_set(&train),
            "validation": hash_of_set(&validation),
            "device": context.device_name.split(':').next(),
            "code": code_version(context.stage),
        });
        let path = context.path(TRAININGS);
        if !path.exists() && !context.force {
            let previous = context.run.root().join(".previous");
            let previous = previous.join(context.stage.folder()).join(TRAININGS);
            for training in read(&previous).0 {
                append_json_line(&path, &training)?;
            }
        }
        let (lines, n_damaged) = read(&path);
        if n_damaged > 0 {
            context.reporter.note(&format!(
                "{} of {} could not be read; the trainings are run again",
                counted(n_damaged, "line"),
                path.display()
            ));
        }
        Ok(Self {
            known: lines
                .into_iter()
                .map(|training| (training.key.clone(), training))
                .collect(),
            train,
            validation,
            normalization: baseline.normalization,
            surroundings,
        })
    }

    /// What decides the values of a search's trials besides their parameters.
    pub(super) fn objective(&self, config: &Config) -> Result<String, WorkflowError> {
        Ok(self.key(config, config.seed)?.to_string())
    }

    /// What decides the result of a training with these settings.
    pub(super) fn key(&self, config: &Config, seed: u64) -> Result<ContentHash, WorkflowError> {
        let training = with_epochs(&config.training, config.refinement.epochs_per_trial);
        let initial_weights = match &training.initial_weights {
            Some(path) => Some(ContentHash::of_file(path)?),
            None => None,
        };
        let teachers = match training.teaching() {
            Some(teaching) => Some(teaching.hashes()?),
            None => None,
        };
        Ok(ContentHash::of_json(&serde_json::json!({
            "model": config.model,
            "augmentation": config.augmentation,
            "training": training,
            "initial_weights": initial_weights,
            "teachers": teachers,
            "seed": seed,
            "surroundings": self.surroundings,
        }))?)
    }

    /// A training that is already known.
    pub(super) fn find(&self, key: &ContentHash) -> Option<&ShortTraining> {
        self.known.get(key)
    }

    /// Trains as long as a trial, unless the result is known; then only its epochs are reported. `report` may end the
    /// training early, which leaves no result.
    pub(super) fn train(
        &mut self,
        context: &mut StageContext<'_>,
        label: &str,
        config: &Config,
        seed: u64,
        report: &mut dyn FnMut(u64, f64) -> Decision,
    ) -> Result<ShortTraining, TrialFailure> {
        let key = self.key(config, seed)?;
        if let Some(known) = self.known.get(&key) {
            let goes_on = known
                .epochs
                .iter()
                .all(|epoch| report(epoch.step, epoch.value) == Decision::Continue);
            return match goes_on {
                true => Ok(known.clone()),
                false => Err(TrialFailure::Trial(TrialError::Pruned)),
            };
        }
        let mut epochs = Vec::new();
        let watch = Watch {
            label,
            reported: None,
            report: &mut |step, value| {
                epochs.push(IntermediateValue { step, value });
                report(step, value)
            },
        };
        let (outcome, parameters) = self.fit(context, config, seed, watch)?;
        let batch_size = config.training.evaluation_batch_size;
        let right = self.answers(context, &outcome.best_model, batch_size)?;
        let best = outcome
            .history
            .iter()
            .filter_map(|epoch| epoch.validation_accuracy);
        let training = ShortTraining {
            key: key.clone(),
            label: label.to_owned(),
            accuracy: best.fold(0.0, f64::max),
            epochs,
            seconds: outcome.train_seconds,
            parameters,
            images: right.len(),
            right: digits_of(&right),
        };
        append_json_line(&context.path(TRAININGS), &training).map_err(WorkflowError::from)?;
        self.known.insert(key, training.clone());
        Ok(training)
    }

    fn fit(
        &self,
        context: &mut StageContext<'_>,
        config: &Config,
        seed: u64,
        watch: Watch<'_>,
    ) -> Result<(FitOutcome<ImageClassifier>, u64), TrialFailure> {
        let train = &self.train;
        let model = config
            .model
            .check(train.n_classes(), train.height(), train.width())
            .map_err(TrialFailure::of_settings)?;
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
        let job = TrialJob {
            config,
            model: &model,
            seed,
            normalization: self.normalization,
            train,
            validation: &self.validation,
            device: context.device,
            threads: context.threads,
            output: scratch.path(),
            resume: false,
            step_costs: ArchitectureCheck::measured_costs(context.run),
            value: |epoch| epoch.validation_accuracy,
            is_to_stop: &|| context.stop.is_requested(),
        };
        let outcome = trial_training::train(&job, watch, context.reporter)?;
        Ok((outcome, model.summary().parameters))
    }

    /// For each validation image whether the model's answer is right, in batches as the training validates in: sums of other
    /// batches differ in their last bits.
    fn answers(
        &self,
        context: &mut StageContext<'_>,
        model: &ImageClassifier,
        batch_size: usize,
    ) -> Result<Vec<bool>, WorkflowError> {
        let validation = &self.validation;
        let reporter = &mut *context.reporter;
        let mut progress = |done: usize, total: usize| {
            reporter.progress("validating", done as u64, total as u64);
        };
        let logits = mlestar_train::logits(
            model,
            validation,
            &self.normalization,
            batch_size,
            context.device,
            &mut progress,
        )?;
        let answers = logits.chunks_exact(validation.n_classes().max(1));
        let right = |(logits, label): (&[f32], &u32)| {
            let best = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            // Of equal logits the first one counts.
            logits.iter().position(|&logit| logit == best) == Some(*label as usize)
        };
        Ok(answers.zip(validation.labels()).map(right).collect())
    }
}

/// The trainings of a file that can be read, and how many cannot.
fn read(path: &Path) -> (Vec<ShortTraining>, usize) {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let mut trainings = Vec::new();
    let mut n_damaged = 0;
    for line in text.lines() {
        match serde_json::from_str::<ShortTraining>(line) {
            Ok(training) if training.answers().is_some() => trainings.push(training),
            _ => n_damaged += 1,
        }
    }
    (trainings, n_damaged)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn training(right: &[bool]) -> ShortTraining {
        ShortTraining {
            key: ContentHash::of_bytes(b"key"),
            label: "trial 0".into(),
            epochs: Vec::new(),
            accuracy: 0.5,
            seconds: 1.0,
            parameters: 10,
            right: digits_of(right),
            images: right.len(),
        }
    }

    #[test]
    fn answers_of_any_number_of_images_are_kept() {
        for n in [1, 3, 4, 5, 8, 153] {
            let right: Vec<bool> = (0..n).map(|index| index % 3 != 1).collect();
            assert_eq!(training(&right).answers(), Some(right));
        }
        assert_eq!(training(&[true, false, true, true, true]).right, "b8");
        let mut other = training(&[true; 8]);
        other.images = 9;
        assert_eq!(other.answers(), None);
        other.right = "fg0".into();
        assert_eq!(other.answers(), None);
    }

    #[test]
    fn a_damaged_line_costs_its_own_training_only() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(TRAININGS);
        let whole = training(&[true, false]);
        append_json_line(&path, &whole).unwrap();
        let mut text = std::fs::read_to_string(&path).unwrap();
        text.push_str("{\"key\": \"torn");
        std::fs::write(&path, text).unwrap();
        assert_eq!(read(&path), (vec![whole.clone()], 1));
        // A line after a torn one is whole.
        append_json_line(&path, &whole).unwrap();
        assert_eq!(read(&path).0.len(), 2);
        assert_eq!(read(&folder.path().join("absent")), (Vec::new(), 0));
    }
}
