//! When to prune an unpromising trial.

use serde::{Deserialize, Serialize};

use crate::TuneError;
use crate::record::{IntermediateValue, TrialRecord, TrialState};

/// When to prune an unpromising trial.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Pruner {
    /// If its value at a step is worse than the median of the complete trials at that step (Golovin et al. 2017, "Google
    /// Vizier", section 3.2).
    #[default]
    Median,
    /// If its value at a step is not among the best share of the complete trials at that step.
    Percentile {
        /// The share that goes on, in percent, 1 to 99. With 50 it is the median rule.
        percent: u8,
    },
    /// If its own value has not improved for so many steps.
    Patience {
        /// The number of steps, from 1.
        steps: u64,
    },
    /// Asynchronous successive halving (Li et al. 2020, "A System for Massively Parallel Hyperparameter Tuning"): every trial
    /// pauses at the steps `first`, `first * factor`, `first * factor^2` ... below `last`, and of those that have reached such a step, the best of
    /// every `factor` go on, from where they paused. Only for studies in a journal (module `shared`).
    Halving {
        /// The first step at which trials pause, from 1.
        first: u64,
        /// The step at which a trial is complete, above `first`.
        last: u64,
        /// Of so many trials one goes on, from 2.
        factor: u64,
    },
    /// Never.
    None,
}

impl Pruner {
    /// Refuses settings out of range.
    pub(crate) fn check(self) -> Result<(), TuneError> {
        let refuse = |key, value: u64, limits| {
            Err(TuneError::OutOfRange {
                key,
                value: value.to_string(),
                limits,
            })
        };
        match self {
            Self::Percentile { percent } if !(1..=99).contains(&percent) => {
                refuse("pruner.percentile.percent", percent.into(), "1 to 99")
            }
            Self::Patience { steps: 0 } => refuse("pruner.patience.steps", 0, "at least 1"),
            Self::Halving { first: 0, .. } => refuse("pruner.halving.first", 0, "at least 1"),
            Self::Halving { first, last, .. } if last <= first => {
                refuse("pruner.halving.last", last, "above `first`")
            }
            Self::Halving { factor, .. } if factor < 2 => {
                refuse("pruner.halving.factor", factor, "at least 2")
            }
            _ => Ok(()),
        }
    }

    /// The steps at which trials pause, and the last one; empty without halving.
    pub(crate) fn rungs(self) -> Vec<u64> {
        let Self::Halving {
            first,
            last,
            factor,
        } = self
        else {
            return Vec::new();
        };
        let below = std::iter::successors(Some(first), |step| step.checked_mul(factor));
        below
            .take_while(|step| *step < last)
            .chain([last])
            .collect()
    }
}

/// What the objective should do after reporting a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// Continue the trial.
    Continue,
    /// Prune the trial: return [`TrialError::Pruned`](crate::TrialError::Pruned).
    Prune,
    /// Save what is needed to go on later, and return [`TrialError::Paused`](crate::TrialError::Paused). Only with
    /// [`Pruner::Halving`].
    Pause,
}

/// The rule for one trial.
#[derive(Clone, Copy)]
pub(crate) struct PruningRule<'a> {
    pub(crate) pruner: Pruner,
    /// 1 for an objective that is maximised, -1 for one that is minimised.
    pub(crate) sign: f64,
    /// No trial is pruned at steps below this one.
    pub(crate) warmup_steps: u64,
    /// Number of complete trials that must have reported the step.
    pub(crate) fewest_trials: usize,
    /// The trials that the decision may rest on.
    pub(crate) trials: &'a [TrialRecord],
    /// The step at which the trial pauses.
    pub(crate) pause_at: Option<u64>,
}

impl PruningRule<'_> {
    /// The decision for a trial after the last of these reports.
    pub(crate) fn decide(&self, reports: &[IntermediateValue]) -> Decision {
        let Some(last) = reports.last() else {
            return Decision::Continue;
        };
        if self.pause_at.is_some_and(|step| last.step >= step) {
            return Decision::Pause;
        }
        let keep = match self.pruner {
            _ if last.step < self.warmup_steps => true,
            Pruner::None | Pruner::Halving { .. } => true,
            Pruner::Median => self.is_among_the_best(50, last),
            Pruner::Percentile { percent } => self.is_among_the_best(percent, last),
            Pruner::Patience { steps } => self.has_improved(reports, steps),
        };
        if keep {
            Decision::Continue
        } else {
            Decision::Prune
        }
    }

    /// Whether the value is at least as good as the value that this share of the complete trials reached at its step.
    fn is_among_the_best(&self, percent: u8, last: &IntermediateValue) -> bool {
        let complete = self
            .trials
            .iter()
            .filter(|trial| trial.state == TrialState::Complete);
        let mut scores: Vec<f64> = complete
            .filter_map(|trial| trial.intermediate.iter().find(|at| at.step == last.step))
            .map(|at| self.sign * at.value)
            .collect();
        if scores.is_empty() || scores.len() < self.fewest_trials {
            return true;
        }
        scores.sort_by(f64::total_cmp);
        // Between two trials the limit is interpolated, so that one half is the median.
        let place = (scores.len() - 1) as f64 * (1.0 - f64::from(percent) / 100.0);
        let (below, above) = (
            scores[place.floor() as usize],
            scores[place.ceil() as usize],
        );
        let limit = below + (above - below) * place.fract();
        self.sign * last.value >= limit
    }

    /// Whether one of the last `steps` reports is better than all before them.
    fn has_improved(&self, reports: &[IntermediateValue], steps: u64) -> bool {
        let n_before = reports
            .len()
            .saturating_sub(usize::try_from(steps).unwrap_or(usize::MAX));
        let best = |reports: &[IntermediateValue]| {
            let scores = reports.iter().map(|report| self.sign * report.value);
            scores.fold(f64::NEG_INFINITY, f64::max)
        };
        n_before == 0 || best(&reports[n_before..]) > best(&reports[..n_before])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reports(values: &[f64]) -> Vec<IntermediateValue> {
        let reported = |(index, value): (usize, &f64)| IntermediateValue {
            step: index as u64,
            value: *value,
        };
        values.iter().enumerate().map(reported).collect()
    }

    fn trial(state: TrialState, values: &[f64]) -> TrialRecord {
        TrialRecord {
            number: 0,
            state,
            parameters: Default::default(),
            value: values.last().copied(),
            values: Vec::new(),
            intermediate: reports(values),
            message: None,
        }
    }

    fn rule(pruner: Pruner, trials: &[TrialRecord]) -> PruningRule<'_> {
        PruningRule {
            pruner,
            sign: 1.0,
            warmup_steps: 0,
            fewest_trials: 1,
            trials,
            pause_at: None,
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
                ..rule(Pruner::Median, &trials)
            };
            rule.decide(&[IntermediateValue { step, value }])
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

    #[test]
    fn a_share_of_the_trials_goes_on_in_either_direction() {
        let trials: Vec<TrialRecord> = (0..=10)
            .map(|value| trial(TrialState::Complete, &[f64::from(value)]))
            .collect();
        let decide = |percent, sign, value| {
            let rule = PruningRule {
                sign,
                ..rule(Pruner::Percentile { percent }, &trials)
            };
            rule.decide(&reports(&[value]))
        };
        assert_eq!(decide(20, 1.0, 8.0), Decision::Continue);
        assert_eq!(decide(20, 1.0, 7.9), Decision::Prune);
        assert_eq!(decide(20, -1.0, 2.0), Decision::Continue);
        assert_eq!(decide(20, -1.0, 2.1), Decision::Prune);
    }

    #[test]
    fn patience_ends_after_steps_without_improvement() {
        let rule = rule(Pruner::Patience { steps: 2 }, &[]);
        assert_eq!(rule.decide(&reports(&[0.5, 0.4])), Decision::Continue);
        assert_eq!(rule.decide(&reports(&[0.5, 0.4, 0.5])), Decision::Prune);
        assert_eq!(
            rule.decide(&reports(&[0.5, 0.4, 0.6, 0.1])),
            Decision::Continue
        );
    }

    #[test]
    fn rungs_end_with_the_last_step() {
        let rungs = |first, last, factor| {
            Pruner::Halving {
                first,
                last,
                factor,
            }
            .rungs()
        };
        assert_eq!(rungs(1, 27, 3), [1, 3, 9, 27]);
        assert_eq!(rungs(2, 10, 4), [2, 8, 10]);
        assert!(Pruner::Median.rungs().is_empty());
    }

    #[test]
    fn settings_out_of_range_are_named() {
        for (pruner, expected) in [
            (
                Pruner::Percentile { percent: 100 },
                "study setting `pruner.percentile.percent` is 100; it must be 1 to 99",
            ),
            (
                Pruner::Halving {
                    first: 3,
                    last: 3,
                    factor: 2,
                },
                "study setting `pruner.halving.last` is 3; it must be above `first`",
            ),
        ] {
            assert_eq!(pruner.check().unwrap_err().to_string(), expected);
        }
        let config: crate::StudyConfig =
            toml::from_str("pruner = { halving = { first = 1, last = 9, factor = 3 } }").unwrap();
        assert_eq!(config.pruner.rungs(), [1, 3, 9]);
    }
}
