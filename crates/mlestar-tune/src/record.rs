//! The record of a trial.

use serde::{Deserialize, Serialize};

use crate::space::Parameters;

/// How a trial ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TrialState {
    /// With a value of the objective.
    Complete,
    /// Pruned.
    Pruned,
    /// With an error.
    Failed,
}

/// A value that the objective reported during the trial, usually after an epoch.
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
    /// The objective's value; `None` unless complete, or with several objectives.
    pub value: Option<f64>,
    /// The values of several objectives; empty unless complete, or with one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<f64>,
    /// The values reported during the trial, in order of the steps.
    pub intermediate: Vec<IntermediateValue>,
    /// Why the trial failed; `None` unless it failed.
    pub message: Option<String>,
}

impl TrialRecord {
    /// The values with which the sampler rates these parameters: those of the objectives, or for a pruned trial the
    /// last value reported.
    pub(crate) fn scores(&self) -> Option<Vec<f64>> {
        match self.state {
            TrialState::Complete if !self.values.is_empty() => Some(self.values.clone()),
            TrialState::Complete => self.value.map(|value| vec![value]),
            TrialState::Pruned => self
                .intermediate
                .last()
                .map(|reported| vec![reported.value]),
            TrialState::Failed => None,
        }
    }
}
