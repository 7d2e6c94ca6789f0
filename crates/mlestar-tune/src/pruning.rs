//! When to prune an unpromising trial.

use mlestar_eval::median;
use serde::{Deserialize, Serialize};

use crate::record::{TrialRecord, TrialState};

/// When to prune an unpromising trial.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Pruner {
    /// If its value at a step is below the median of the complete trials at that step.
    #[default]
    Median,
    /// Never.
    None,
}

/// What the objective should do after reporting a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// Continue the trial.
    Continue,
    /// Prune the trial: return [`TrialError::Pruned`](crate::TrialError::Pruned).
    Prune,
}

/// The median rule (Golovin et al. 2017, "Google Vizier", section 3.2): a trial is pruned if its value at a
/// step is below the median of the values that the complete trials reported at that step.
#[derive(Clone, Copy)]
pub(crate) struct PruningRule<'a> {
    /// No trial is pruned at steps below this one.
    pub(crate) warmup_steps: u64,
    /// Number of complete trials that must have reported the step.
    pub(crate) fewest_trials: usize,
    /// The trials before this one.
    pub(crate) trials: &'a [TrialRecord],
}

impl PruningRule<'_> {
    /// The decision for a trial that has `value` at `step`.
    pub(crate) fn decide(&self, step: u64, value: f64) -> Decision {
        if step < self.warmup_steps {
            return Decision::Continue;
        }
        let complete = self
            .trials
            .iter()
            .filter(|trial| trial.state == TrialState::Complete);
        let at_step: Vec<f64> = complete
            .filter_map(|trial| trial.intermediate.iter().find(|at| at.step == step))
            .map(|at| at.value)
            .collect();
        match median(&at_step) {
            Some(median) if at_step.len() >= self.fewest_trials && value < median => {
                Decision::Prune
            }
            _ => Decision::Continue,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::IntermediateValue;

    fn trial(state: TrialState, values: &[f64]) -> TrialRecord {
        let reported = |(index, value): (usize, &f64)| IntermediateValue {
            step: index as u64,
            value: *value,
        };
        TrialRecord {
            number: 0,
            state,
            parameters: Default::default(),
            value: values.last().copied(),
            intermediate: values.iter().enumerate().map(reported).collect(),
            message: None,
        }
    }

    #[test]
    fn a_trial_below_the_median_of_the_complete_ones_is_given_up() {
        let trials = [
            trial(TrialState::Complete, &[0.1, 0.5]),
            trial(TrialState::Complete, &[0.2, 0.6]),
            trial(TrialState::Complete, &[0.3]),
            trial(TrialState::Pruned, &[0.9, 0.9]),
        ];
        let decide = |warmup_steps, fewest_trials, step, value| {
            let rule = PruningRule {
                warmup_steps,
                fewest_trials,
                trials: &trials,
            };
            rule.decide(step, value)
        };
        assert_eq!(decide(0, 1, 0, 0.19), Decision::Prune);
        assert_eq!(decide(0, 1, 0, 0.2), Decision::Continue);
        // Two have reported step 1: their median is 0.55.
        assert_eq!(decide(0, 2, 1, 0.54), Decision::Prune);
        assert_eq!(decide(0, 2, 1, 0.55), Decision::Continue);
        assert_eq!(decide(0, 3, 1, 0.0), Decision::Continue);
        assert_eq!(decide(1, 1, 0, 0.0), Decision::Continue);
        assert_eq!(decide(0, 1, 2, 0.0), Decision::Continue);
    }
}
