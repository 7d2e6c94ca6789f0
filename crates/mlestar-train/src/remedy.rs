//! Remedies for failures during a training.

use serde::{Deserialize, Serialize};

/// A return to the last good checkpoint, and what was changed for the next attempt.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Remedy {
    /// The epoch of the failure, from 1.
    pub epoch: usize,
    /// The step of the failure within the epoch, from 1.
    pub step: usize,
    /// Number of steps, over the whole training, in the checkpoint that the training returned to.
    pub returned_to_step: u64,
    /// The failure and the change.
    pub change: RemedyChange,
}

/// The failure and the change made because of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum RemedyChange {
    /// Loss, gradient or weights were not finite: the learning rate is lowered.
    LowerRate {
        /// Factor for the learning rate of all further steps.
        factor: f64,
        /// What was not finite.
        cause: String,
        /// Indices, in the training set, of the images of the step's batch; empty if the step is not known.
        pictures: Vec<usize>,
        /// The tensors with the largest gradients of that step and their norms (`null` if not finite), largest
        /// first.
        largest_gradients: Vec<(String, Option<f64>)>,
    },
    /// The device was out of memory: each batch is split into more parts, whose gradients are added up. The
    /// step stays the same, except for the statistics of batch normalisation.
    SmallerParts {
        /// Parts of each batch from now on.
        accumulation_steps: usize,
        /// The message of the device.
        cause: String,
    },
}

impl Remedy {
    /// The factor of the learning rate after all `remedies`.
    pub(crate) fn rate_factor(remedies: &[Self]) -> f64 {
        let factor = |remedy: &Self| match remedy.change {
            RemedyChange::LowerRate { factor, .. } => factor,
            RemedyChange::SmallerParts { .. } => 1.0,
        };
        remedies.iter().map(factor).product()
    }

    /// The parts of a batch after all `remedies`; `configured` if there are none.
    pub(crate) fn accumulation_steps(remedies: &[Self], configured: usize) -> usize {
        let parts = |remedy: &Self| match remedy.change {
            RemedyChange::SmallerParts {
                accumulation_steps, ..
            } => accumulation_steps,
            RemedyChange::LowerRate { .. } => 1,
        };
        remedies
            .iter()
            .map(parts)
            .max()
            .unwrap_or(1)
            .max(configured)
    }

    /// The number of remedies that lowered the rate, and of those that made the parts smaller.
    pub(crate) fn counts(remedies: &[Self]) -> [usize; 2] {
        let lowered = remedies
            .iter()
            .filter(|remedy| matches!(remedy.change, RemedyChange::LowerRate { .. }))
            .count();
        [lowered, remedies.len() - lowered]
    }
}

impl std::fmt::Display for Remedy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            epoch,
            step,
            returned_to_step,
            change,
        } = self;
        match change {
            RemedyChange::LowerRate { factor, cause, .. } => write!(
                f,
                "epoch {epoch}, step {step}: {cause}; went back to step {returned_to_step} with the \
                 learning rate times {factor}"
            ),
            RemedyChange::SmallerParts {
                accumulation_steps,
                cause,
            } => write!(
                f,
                "epoch {epoch}, step {step}: {cause}; went back to step {returned_to_step} with each \
                 batch in {accumulation_steps} parts"
            ),
        }
    }
}
