//! One trial: what the objective sees, and what is recorded.

use optimizer::pruner::Pruner as _;
use serde::{Deserialize, Serialize};

use crate::space::{ParameterValue, Parameters};
use crate::study::{PruningRule, StudyEvent};

/// What the objective should do after it reported a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// Go on with the trial.
    Continue,
    /// Give the trial up: return [`TrialError::Pruned`].
    Prune,
}

/// Why an objective has no value to return.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TrialError {
    /// The trial was given up because [`Trial::report`] said so.
    #[error("trial pruned")]
    Pruned,
    /// The whole study is to stop now; the trial leaves no record and is run again on resumption.
    #[error("study stopped")]
    Stopped,
    /// The trial failed; the message is recorded and the study goes on.
    #[error("{0}")]
    Failed(String),
}

impl From<String> for TrialError {
    fn from(message: String) -> Self {
        Self::Failed(message)
    }
}

/// How a trial ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TrialState {
    /// With a value of the objective.
    Complete,
    /// Given up early.
    Pruned,
    /// With an error.
    Failed,
}

/// A value that the objective reported on its way, usually after an epoch.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IntermediateValue {
    /// The step, usually the epoch.
    pub step: u64,
    /// The objective's value at that step.
    pub value: f64,
}

/// A finished trial, one line of the log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrialRecord {
    /// Number of the trial, from 0.
    pub number: u64,
    /// How it ended.
    pub state: TrialState,
    /// The parameters tried.
    pub parameters: Parameters,
    /// The objective's value, higher is better; `None` unless complete.
    pub value: Option<f64>,
    /// What was reported on the way, in order of the steps.
    pub intermediate: Vec<IntermediateValue>,
    /// Why the trial failed; `None` unless failed.
    pub message: Option<String>,
}

impl TrialRecord {
    /// The value that tells the sampler how good these parameters were: the final value, or for a
    /// pruned trial the last one it reported.
    pub(crate) fn score(&self) -> Option<f64> {
        match self.state {
            TrialState::Complete => self.value,
            TrialState::Pruned => self.intermediate.last().map(|reported| reported.value),
            TrialState::Failed => None,
        }
    }
}

/// A running trial, as the objective sees it.
pub struct Trial<'a> {
    number: u64,
    parameters: Parameters,
    intermediate: Vec<IntermediateValue>,
    invalid_report: Option<String>,
    pruning: Option<&'a PruningRule>,
    observer: &'a mut dyn FnMut(&StudyEvent<'_>),
}

impl<'a> Trial<'a> {
    pub(crate) fn new(
        number: u64,
        parameters: Parameters,
        pruning: Option<&'a PruningRule>,
        observer: &'a mut dyn FnMut(&StudyEvent<'_>),
    ) -> Self {
        Self {
            number,
            parameters,
            intermediate: Vec::new(),
            invalid_report: None,
            pruning,
            observer,
        }
    }

    /// Number of the trial, from 0.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// The parameters to try.
    pub fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    /// The value of one parameter.
    pub fn get(&self, key: &str) -> Option<&ParameterValue> {
        self.parameters.get(key)
    }

    /// A numeric parameter, whole or real.
    ///
    /// # Errors
    ///
    /// [`TrialError::Failed`] when the search space has no such parameter or it is not a number.
    pub fn float(&self, key: &str) -> Result<f64, TrialError> {
        self.typed(key, "number", ParameterValue::as_f64)
    }

    /// A whole-number parameter.
    ///
    /// # Errors
    ///
    /// [`TrialError::Failed`] when the search space has no such parameter or it is not a whole number.
    pub fn int(&self, key: &str) -> Result<i64, TrialError> {
        self.typed(key, "whole number", ParameterValue::as_i64)
    }

    fn typed<T>(
        &self,
        key: &str,
        kind: &str,
        read: impl Fn(&ParameterValue) -> Option<T>,
    ) -> Result<T, TrialError> {
        let value = self
            .get(key)
            .ok_or_else(|| format!("the search space has no parameter `{key}`"))?;
        read(value).ok_or_else(|| {
            TrialError::Failed(format!("parameter `{key}` is {value}, not a {kind}"))
        })
    }

    /// Reports the objective's value so far and asks whether to go on.
    ///
    /// `step` must grow from report to report and `value` must be finite; otherwise the answer is
    /// [`Decision::Prune`] and the trial is recorded as failed.
    pub fn report(&mut self, step: u64, value: f64) -> Decision {
        let decision = self.decide(step, value);
        (self.observer)(&StudyEvent::Reported {
            number: self.number,
            step,
            value,
            decision,
        });
        decision
    }

    fn decide(&mut self, step: u64, value: f64) -> Decision {
        let previous = self.intermediate.last().map(|reported| reported.step);
        if self.invalid_report.is_some() {
            return Decision::Prune;
        }
        if !value.is_finite() {
            self.invalid_report = Some(format!("the objective was {value} at step {step}"));
            return Decision::Prune;
        }
        if let Some(previous) = previous.filter(|previous| step <= *previous) {
            self.invalid_report = Some(format!("step {step} was reported after step {previous}"));
            return Decision::Prune;
        }
        self.intermediate.push(IntermediateValue { step, value });
        let Some(rule) = self.pruning else {
            return Decision::Continue;
        };
        let reported: Vec<(u64, f64)> = self
            .intermediate
            .iter()
            .map(|at| (at.step, at.value))
            .collect();
        if rule
            .pruner
            .should_prune(self.number, step, &reported, &rule.completed)
        {
            Decision::Prune
        } else {
            Decision::Continue
        }
    }

    /// The record of the trial, or `None` when the study is to stop.
    pub(crate) fn finish(self, outcome: Result<f64, TrialError>) -> Option<TrialRecord> {
        let (state, value, message) = match (self.invalid_report, outcome) {
            (_, Err(TrialError::Stopped)) => return None,
            (Some(message), _) | (None, Err(TrialError::Failed(message))) => {
                (TrialState::Failed, None, Some(message))
            }
            (None, Ok(value)) if !value.is_finite() => (
                TrialState::Failed,
                None,
                Some(format!("the objective was {value}")),
            ),
            (None, Ok(value)) => (TrialState::Complete, Some(value), None),
            (None, Err(TrialError::Pruned)) => (TrialState::Pruned, None, None),
        };
        Some(TrialRecord {
            number: self.number,
            state,
            parameters: self.parameters,
            value,
            intermediate: self.intermediate,
            message,
        })
    }
}
