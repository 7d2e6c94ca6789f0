//! Events of a study, for observers.

use crate::pruning::Decision;
use crate::record::TrialRecord;
use crate::space::Parameters;

/// An event while a study runs.
#[derive(Debug)]
#[non_exhaustive]
pub enum StudyEvent<'a> {
    /// Trials were found in the log and are not run again.
    Resumed {
        /// How many.
        trials: usize,
    },
    /// Lines of the log could not be read; their trials are run again.
    Damaged {
        /// How many.
        lines: usize,
    },
    /// A trial starts.
    Started {
        /// Its number, from 0.
        number: u64,
        /// Total number of trials of the study.
        trials: usize,
        /// Its parameters.
        parameters: &'a Parameters,
    },
    /// The objective reported a step.
    Reported {
        /// Number of the trial.
        number: u64,
        /// The step.
        step: u64,
        /// The objective's value at the step.
        value: f64,
        /// The decision of the pruner.
        decision: Decision,
    },
    /// A trial ended and is in the log.
    Ended {
        /// The trial.
        trial: &'a TrialRecord,
    },
}
