//! The training of one split.

use super::draw::{Pool, seed_of};
use super::result::{SplitOutcome, SplitResult};
use crate::config::Config;
use crate::trial_training::is_of_the_trial;
use crate::{Reporter, WorkflowError, context, training};
use burn::tensor::Device;
use mlestar_data::describe::describe;
use mlestar_model::ImageClassifier;
use mlestar_train::{
    FitOutcome, FitRequest, StopReason, StopSignal, TrainError, TrainEvent, TrainingSetup,
};
use std::path::Path;
use std::sync::Arc;

/// What the trainings of a process share.
pub(super) struct Bench<'a> {
    pub(super) config: &'a Config,
    pub(super) pool: Pool,
    pub(super) device: &'a Device,
    pub(super) threads: usize,
    pub(super) stop: &'a StopSignal,
}

impl Bench<'_> {
    /// Trains a split in the folder `output`, from where an earlier process left it. `None` if it was asked to stop.
    pub(super) fn train(
        &self,
        number: u64,
        output: &Path,
        reporter: &mut dyn Reporter,
    ) -> Result<Option<SplitResult>, WorkflowError> {
        let seed = seed_of(self.config.seed, number);
        let [train, validation] = self.pool.split(seed)?.map(Arc::new);
        let (n_train, n_validation) = (train.len() as u64, validation.len() as u64);
        self.config.check_against(&train)?;
        let normalization = context::normalization(&self.config.data, &describe(&train))?;
        let config = self.config;
        let model = config
            .model
            .check(train.n_classes(), train.height(), train.width())?;
        let setup = TrainingSetup {
            network: model.init(seed, self.device),
            seed,
            ..training::setup(
                config,
                &model,
                normalization,
                &train,
                self.device,
                self.threads,
            )?
        };
        let request = FitRequest {
            stop: self.stop.clone(),
            ..FitRequest::from_setup(setup, validation, output)
        };
        let label = format!("split {number}");
        let mut fit = |request: &FitRequest<'_, ImageClassifier>| {
            let mut observer = |event: &TrainEvent| reporter.training(&label, event);
            mlestar_train::fit(request, &mut observer)
        };
        let found = match fit(&request) {
            // A power cut can leave such checkpoints; the training then begins again.
            Err(TrainError::NoUsableCheckpoint { .. }) => fit(&FitRequest {
                resume: false,
                ..request
            }),
            found => found,
        };
        let (outcome, seconds) = match found {
            Ok(found) if found.stopped == StopReason::Interrupted => return Ok(None),
            Ok(found) => (measured(&found, n_validation), found.train_seconds),
            Err(error) if is_of_the_trial(&error) => {
                let reason = error.to_string();
                (SplitOutcome::Failed { reason }, 0.0)
            }
            Err(error) => return Err(error.into()),
        };
        Ok(Some(SplitResult {
            split: number,
            seed,
            train_images: n_train,
            validation_images: n_validation,
            outcome,
            seconds,
        }))
    }
}

fn measured(found: &FitOutcome<ImageClassifier>, n_validation: u64) -> SplitOutcome {
    let kept = found
        .history
        .iter()
        .find(|epoch| epoch.epoch == found.best_epoch);
    let Some((kept, accuracy)) = kept.and_then(|kept| Some((kept, kept.validation_accuracy?)))
    else {
        return SplitOutcome::Failed {
            reason: "no epoch was validated: training.max_minutes ended the training too early"
                .into(),
        };
    };
    SplitOutcome::Measured {
        epoch: kept.epoch as u64,
        epochs: found.history.len() as u64,
        correct: (accuracy * n_validation as f64).round() as u64,
        accuracy,
        loss: kept.validation_loss,
    }
}
