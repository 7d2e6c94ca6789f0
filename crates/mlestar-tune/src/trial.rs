//! One trial, as the objective sees it.

use std::cell::Cell;

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
    /// The trial paused because of [`Decision::Pause`]; it may go on later.
    #[error("trial paused")]
    Paused,
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
    /// How many of the intermediate values are from before the trial was taken up again.
    n_earlier: usize,
    invalid_report: Option<String>,
    pruning: Option<PruningRule<'a>>,
    moved: u64,
    /// Whether nothing more can be written about the trial.
    is_over: Option<&'a Cell<bool>>,
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
            n_earlier: 0,
            invalid_report: None,
            pruning,
            moved: 0,
            is_over: None,
            observer,
        }
    }

    /// The trial of a study that several processes work on.
    pub(crate) fn shared(self, moved: u64, is_over: &'a Cell<bool>) -> Self {
        Self {
            moved,
            is_over: Some(is_over),
            ..self
        }
    }

    /// How often the trial was taken from a process that had not shown itself for too long. Such a process may go on, until its next
    /// report: so an objective that saves its state uses another place after each time.
    pub fn moved(&self) -> u64 {
        self.moved
    }

    /// The trial with the values that it reported before it was paused, or before its process ended.
    pub(crate) fn resumed(self, intermediate: Vec<IntermediateValue>) -> Self {
        Self {
            n_earlier: intermediate.len(),
            intermediate,
            ..self
        }
    }

    /// The last step that was reported before the trial was paused or its process ended; `None` for a new trial. An
    /// objective that saved its state may go on after any step up to this one; otherwise it begins with the first step and
    /// reports all again.
    pub fn resumed_after(&self) -> Option<u64> {
        self.intermediate.last().map(|reported| reported.step)
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
    /// [`Decision::Prune`] and the trial is recorded as failed. The answer is [`Decision::Pause`] if another process has taken the
    /// trial over; what the objective returns is then left out.
    pub fn report(&mut self, step: u64, value: f64) -> Decision {
        let decision = self.decide(step, value);
        (self.observer)(&StudyEvent::Reported {
            number: self.number,
            step,
            value,
            decision,
        });
        match self.is_over.is_some_and(Cell::get) {
            true => Decision::Pause,
            false => decision,
        }
    }

    fn decide(&mut self, step: u64, value: f64) -> Decision {
        let earlier = &self.intermediate[..self.n_earlier.min(self.intermediate.len())];
        if earlier.last().is_some_and(|last| step <= last.step)
            && self.n_earlier == self.intermediate.len()
        {
            self.intermediate.retain(|reported| reported.step < step);
            self.n_earlier = self.intermediate.len();
        }
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
        rule.decide(&self.intermediate)
    }

    /// The record of the trial, or `None` if it pauses or the study stops.
    pub(crate) fn finish(
        self,
        outcome: Result<Vec<f64>, TrialError>,
        n_objectives: usize,
    ) -> Option<TrialRecord> {
        let failed = |message: String| (TrialState::Failed, Vec::new(), Some(message));
        let (state, values, message) = match (self.invalid_report, outcome) {
            (_, Err(TrialError::Stopped)) => return None,
            (Some(message), _) | (None, Err(TrialError::Failed(message))) => failed(message),
            (None, Err(TrialError::Paused)) => return None,
            (None, Err(TrialError::Pruned)) => (TrialState::Pruned, Vec::new(), None),
            (None, Ok(values)) if values.len() != n_objectives => failed(format!(
                "the objective returned {} values; the study has {n_objectives} directions",
                values.len()
            )),
            (None, Ok(values)) => match values.iter().find(|value| !value.is_finite()) {
                Some(value) => failed(format!("the objective was {value}")),
                None => (TrialState::Complete, values, None),
            },
        };
        let several = values.len() > 1;
        Some(TrialRecord {
            number: self.number,
            state,
            parameters: self.parameters,
            value: values.first().copied().filter(|_| !several),
            values: if several { values } else { Vec::new() },
            intermediate: self.intermediate,
            message,
        })
    }
}
