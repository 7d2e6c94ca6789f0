//! What a training does if the loss is not finite or the device is out of memory.

use std::time::Instant;

use super::{CHECKPOINTS, Session, TENSORBOARD, plateau_after};
use mlestar_model::Network;

use crate::{
    Observer, Remedy, RemedyChange, TrainError, TrainEvent,
    analysis::{METRICS_FILE, STEPS_FILE},
    checkpoint,
    fit::{
        beginning::{self, Beginning},
        event_log::EventLog,
        step_log::StepLog,
    },
};

impl<M: Network> Session<'_, M> {
    /// Returns to the newest good checkpoint and applies the remedy for `error`.
    ///
    /// # Errors
    ///
    /// `error` itself if it has no remedy or all attempts are used up.
    pub(in crate::fit) fn recover(
        &mut self,
        error: TrainError,
        observer: &mut dyn Observer,
    ) -> Result<(), TrainError> {
        let Some(change) = self.change_for(&error) else {
            return Err(error);
        };
        let step = match error {
            TrainError::NonFinite { step, .. } => step,
            _ => (self.optimizer.steps() as usize).saturating_sub(self.steps_before_epoch()) + 1,
        };
        let epoch = self.history.len() + 1;
        let checkpoints = self.request.output.join(CHECKPOINTS);
        let Some((begin, _)) = beginning::newest(
            &checkpoints,
            &self.request.setup.network,
            &self.identity,
            &self.machinery.autodiff,
            observer,
        )?
        else {
            return Err(error);
        };
        let steps = begin.optimizer.steps();
        let Beginning {
            model,
            ema,
            optimizer,
            history,
            progress,
            best_state,
            position,
            remedies: _,
        } = begin;
        self.model = model;
        self.ema = ema;
        self.optimizer = optimizer;
        self.history = history;
        self.progress = progress;
        self.best_state = best_state;
        self.position = position;
        self.is_time_up = false;
        let remedy = Remedy {
            epoch,
            step,
            returned_to_step: steps,
            change,
        };
        self.remedies.push(remedy.clone());
        let output = self.request.output;
        beginning::rewrite_metrics(&output.join(METRICS_FILE), &self.history)?;
        self.step_log = StepLog::open(&output.join(STEPS_FILE), steps)?;
        self.events = EventLog::create(&output.join(TENSORBOARD), steps)?;
        self.plateau = plateau_after(&self.request.setup.training, &self.history);
        // A training that is killed now resumes with the remedy.
        self.save(checkpoint::LAST, &self.checkpoint()?, observer)?;
        self.last_saved = Instant::now();
        observer.event(&TrainEvent::Remedy(remedy));
        Ok(())
    }

    /// Steps of the whole training before the running epoch, if no epoch was cut short.
    fn steps_before_epoch(&self) -> usize {
        let epochs = self.history.iter().filter(|record| record.head.is_none());
        epochs.count() * self.steps_per_epoch
    }

    fn change_for(&self, error: &TrainError) -> Option<RemedyChange> {
        let training = &self.request.setup.training;
        let [lowered, smaller] = Remedy::counts(&self.remedies);
        let attempts = training.recovery.attempts;
        let lower = |cause: String, pictures: &[usize]| RemedyChange::LowerRate {
            factor: training.recovery.rate_factor,
            cause,
            pictures: pictures.to_vec(),
            largest_gradients: match error {
                TrainError::NonFinite {
                    largest_gradients, ..
                } => largest_gradients
                    .iter()
                    .map(|(name, norm)| (name.clone(), norm.is_finite().then_some(*norm)))
                    .collect(),
                _ => Vec::new(),
            },
        };
        match error {
            TrainError::NonFinite {
                loss,
                gradient_norm,
                indices,
                ..
            } if lowered < attempts => {
                let cause = format!("loss {loss}, gradient norm {gradient_norm}");
                Some(lower(cause, indices))
            }
            TrainError::NonFiniteWeights { .. } | TrainError::NonFiniteLogits { .. }
                if lowered < attempts =>
            {
                Some(lower(error.to_string(), &[]))
            }
            TrainError::OutOfMemory { message } if smaller < attempts => {
                let configured = training.accumulation_steps;
                let parts = Remedy::accumulation_steps(&self.remedies, configured);
                (parts < training.batch_size).then(|| RemedyChange::SmallerParts {
                    accumulation_steps: (parts * 2).min(training.batch_size),
                    cause: message.clone(),
                })
            }
            _ => None,
        }
    }
}
