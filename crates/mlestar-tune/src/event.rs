//! What a study tells whoever watches it.

use crate::pruning::Decision;
use crate::record::TrialRecord;
use crate::space::Parameters;

/// What happens while a study runs.
#[derive(Debug)]
#[non_exhaustive]
pub enum StudyEvent<'a> {
    /// Trials were found in the log and are not run again.
    Resumed {
        /// How many.
        trials: usize,
    },
    /// Lines of the log could not be read; the trials that they held are run again.
    Damaged {
        /// How many.
        lines: usize,
    },
    /// A trial begins.
    Started {
        /// Its number, from 0.
        number: u64,
        /// Trials of the study in all.
        trials: usize,
        /// What is tried.
        parameters: &'a Parameters,
    },
    /// The objective reported a step.
    Reported {
        /// Number of the trial.
        number: u64,
        /// The step.
        step: u64,
        /// The value there.
        value: f64,
        /// What the pruner said.
        decision: Decision,
    },
    /// A trial ended and is in the log.
    Ended {
        /// The trial.
        trial: &'a TrialRecord,
    },
}
