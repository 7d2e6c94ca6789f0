//! One trial, as the objective sees it.

use crate::event::StudyEvent;
use crate::pruning::{Decision, PruningRule};
use crate::record::{IntermediateValue, TrialRecord, TrialState};
use crate::space::{ParameterValue, Parameters};

/// Why an objective has no value to return.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TrialError {
    /// The trial was pruned because of [`Trial::report`].
    #[error("trial pruned")]
    Pruned,
    /// The whole study stops now; the trial is not recorded and is run again when the study is resumed.
    #[error("study stopped")]
    Stopped,
    /// The trial failed; the message is recorded and the study continues.
    #[error("{0}")]
    Failed(String),
}

impl From<String> for TrialError {
    fn from(message: String) -> Self {
        Self::Failed(message)
    }
}

/// A running trial, as the objective sees it.
pub struct Trial<'a> {
    number: u64,
    parameters: Parameters,
    intermediate: Vec<IntermediateValue>,
    invalid_report: Option<String>,
    pruning: Option<PruningRule<'a>>,
    observer: &'a mut dyn FnMut(&StudyEvent<'_>),
}

impl<'a> Trial<'a> {
    pub(crate) fn new(
        number: u64,
        parameters: Parameters,
        pruning: Option<PruningRule<'a>>,
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

    /// A numeric parameter, integer or real.
    ///
    /// # Errors
    ///
    /// [`TrialError::Failed`] if the search space has no such parameter or it is not a number.
    pub fn float(&self, key: &str) -> Result<f64, TrialError> {
        self.typed(key, "number", ParameterValue::as_f64)
    }

    /// An integer parameter.
    ///
    /// # Errors
    ///
    /// [`TrialError::Failed`] if the search space has no such parameter or it is not an integer.
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

    /// Reports the objective's value so far and returns whether to continue.
    ///
    /// `step` must increase from report to report and `value` must be finite; otherwise the answer is
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
        rule.decide(step, value)
    }

    /// The record of the trial, or `None` if the study stops.
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
