//! The objective of one trial.

use super::StudyFolder;
use super::images::Shelf;
use crate::config::{Config, Objective};
use crate::trial_training::{self, TrialFailure, TrialJob, Watch};
use crate::{Reporter, WorkflowError};
use burn::tensor::Device;
use mlestar_data::DataError;
use mlestar_model::{ImageClassifier, ModelSpec};
use mlestar_random::Stream;
use mlestar_train::{EpochRecord, FitOutcome, StopSignal, TrainError};
use mlestar_tune::{Trial, TrialError};
use std::path::Path;

/// What the trials of a process share.
pub(super) struct Bench<'a> {
    pub(super) folder: &'a StudyFolder,
    pub(super) config: &'a Config,
    pub(super) device: &'a Device,
    pub(super) threads: usize,
    pub(super) stop: &'a StopSignal,
    pub(super) is_to_stop: &'a dyn Fn() -> bool,
    pub(super) shelf: Shelf,
}

impl Bench<'_> {
    /// Trains with the trial's parameters, from where an earlier process left it; a value for each objective.
    pub(super) fn run(
        &mut self,
        trial: &mut Trial<'_>,
        reporter: &mut dyn Reporter,
    ) -> Result<Vec<f64>, TrialFailure> {
        let config = self
            .config
            .with_parameters(trial.parameters())
            .map_err(TrialFailure::of_settings)?;
        let images = match self.shelf.images(&config, self.stop, reporter) {
            Err(WorkflowError::Data(DataError::Stopped { .. })) => {
                return Err(TrialFailure::Trial(TrialError::Stopped));
            }
            images => images?,
        };
        let train = &images.train;
        config
            .check_against(train)
            .map_err(TrialFailure::of_settings)?;
        let model = config
            .model
            .check(train.n_classes(), train.height(), train.width())
            .map_err(TrialFailure::of_settings)?;
        let output = self.folder.trial_path(trial.number(), trial.moved());
        self.take_over(trial.number(), trial.moved());
        let objectives = &self.config.refinement.objectives;
        let job = TrialJob {
            config: &config,
            model: &model,
            seed: seed_of(config.seed, trial.number()),
            normalization: images.normalization,
            train,
            validation: &images.validation,
            device: self.device,
            threads: self.threads,
            output: &output,
            resume: true,
            step_costs: None,
            value: match Objective::watched(objectives) {
                Objective::Loss => |epoch| epoch.validation_loss,
                _ => |epoch| epoch.validation_accuracy,
            },
            is_to_stop: self.is_to_stop,
        };
        let label = format!("trial {}", trial.number());
        let mut train = |job: &TrialJob<'_>| {
            let watch = Watch {
                label: &label,
                reported: trial.resumed_after(),
                report: &mut |epoch, value| trial.report(epoch, value),
            };
            trial_training::train(job, watch, reporter)
        };
        let outcome = match train(&job) {
            // A power cut can leave such checkpoints, or a copy that was interrupted; the trial then begins again.
            Err(TrialFailure::Program(WorkflowError::Train(TrainError::NoUsableCheckpoint {
                ..
            }))) => train(&TrialJob {
                resume: false,
                ..job
            })?,
            outcome => outcome?,
        };
        let value = |objective: &Objective| value(*objective, &model, &outcome);
        Ok(objectives.iter().map(value).collect())
    }

    /// Copies what a process has trained that may go on writing, where nothing was copied yet.
    fn take_over(&self, number: u64, moved: u64) {
        let output = self.folder.trial_path(number, moved);
        let mut earlier = (0..moved).rev().map(|n| self.folder.trial_path(number, n));
        if let Some(earlier) = earlier
            .find(|path| path.exists())
            .filter(|_| !output.exists())
        {
            // What is not there, or changed meanwhile, does not fit its hash, and is trained again.
            let _ = copy_folder(&earlier, &output);
        }
    }
}

fn copy_folder(from: &Path, to: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let to = to.join(entry.file_name());
        match entry.file_type()?.is_dir() {
            true => copy_folder(&entry.path(), &to)?,
            false => std::fs::copy(entry.path(), &to).map(drop)?,
        }
    }
    Ok(())
}

fn value(objective: Objective, model: &ModelSpec, outcome: &FitOutcome<ImageClassifier>) -> f64 {
    let history =
        |figure: fn(&EpochRecord) -> Option<f64>| outcome.history.iter().filter_map(figure);
    match objective {
        Objective::Accuracy => history(|epoch| epoch.validation_accuracy).fold(0.0, f64::max),
        Objective::Loss => history(|epoch| epoch.validation_loss).fold(f64::INFINITY, f64::min),
        Objective::TrainingTime => outcome.train_seconds,
        Objective::Parameters => model.summary().parameters as f64,
        Objective::Flops => model.summary().flops_per_image as f64,
    }
}

/// The seed of the training of a trial: 0 to 2^63 - 1, as a config has it.
fn seed_of(study: u64, number: u64) -> u64 {
    Stream::new(study, "training of a trial", 0, number).next_u64() >> 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_trial_has_its_own_seed_that_depends_on_nothing_else() {
        let seeds: std::collections::BTreeSet<u64> = (0..100).map(|n| seed_of(3, n)).collect();
        assert_eq!(seeds.len(), 100);
        assert_eq!(seed_of(3, 5), seed_of(3, 5));
        assert_ne!(seed_of(3, 5), seed_of(4, 5));
    }
}
