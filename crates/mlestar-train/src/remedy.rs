//! What was done about accidents in a training.

use serde::{Deserialize, Serialize};

/// A return to the last good checkpoint, and what was changed for the next try.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Remedy {
    /// The epoch, from 1, in which it went wrong.
    pub epoch: usize,
    /// The step within it, from 1.
    pub step: usize,
    /// Steps of the whole training after which the checkpoint stands that was returned to.
    pub returned_to_step: u64,
    /// What went wrong and what was changed.
    pub change: RemedyChange,
}

/// What went wrong and what was changed about it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum RemedyChange {
    /// Loss, gradient or weights left the range of numbers: the learning rate is lowered.
    LowerRate {
        /// The learning rate of all further steps is multiplied by this.
        factor: f64,
        /// What was not finite.
        cause: String,
        /// Indices, in the training set, of the pictures of the step's batch; empty where the step
        /// is not known.
        pictures: Vec<usize>,
        /// The tensors with the largest gradients of that step and their norms (`null` where not a
        /// number), largest first.
        largest_gradients: Vec<(String, Option<f64>)>,
    },
    /// The device's memory did not suffice: a batch is computed in more parts, whose gradients are
    /// added up, so that the step remains the same but for the statistics of batch normalisation.
    SmallerParts {
        /// Parts of each batch from now on.
        accumulation_steps: usize,
        /// What the device said.
        cause: String,
    },
}

impl Remedy {
    /// The factor of the learning rate after all of `remedies`.
    pub(crate) fn rate_factor(remedies: &[Self]) -> f64 {
        let factor = |remedy: &Self| match remedy.change {
            RemedyChange::LowerRate { factor, .. } => factor,
            RemedyChange::SmallerParts { .. } => 1.0,
        };
        remedies.iter().map(factor).product()
    }

    /// The parts of a batch after all of `remedies`, `configured` without any.
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

    /// Remedies that lowered the rate, and those that made parts smaller.
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
