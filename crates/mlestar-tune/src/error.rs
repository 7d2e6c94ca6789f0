use std::path::{Path, PathBuf};

use mlestar_artifact::ArtifactError;

/// Errors of a study itself.
///
/// A failed trial is not one of them: it is recorded with its message and the study continues.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TuneError {
    /// The search space names no parameter.
    #[error("search space is empty: give at least one parameter to search")]
    EmptySpace,
    /// A parameter of the search space is invalid.
    #[error("search space, `{key}`: {message}")]
    BadParameter {
        /// The parameter's key.
        key: String,
        /// What is wrong with it, the value and the limit.
        message: String,
    },
    /// A setting of the study is out of range.
    #[error("study setting `{key}` is {value}; it must be {limits}")]
    OutOfRange {
        /// The setting.
        key: &'static str,
        /// Its value.
        value: String,
        /// The allowed range.
        limits: &'static str,
    },
    /// A set in `enqueue` does not fit the search space.
    #[error("parameters to try first, set {index}, `{key}`: {message}")]
    BadEnqueued {
        /// Position in the list given to the study.
        index: usize,
        /// The parameter's key.
        key: String,
        /// What is wrong with it.
        message: String,
    },
    /// A line of the log is not a trial.
    #[error("{}, line {line}: not a trial of a study: {message}; move the log away to restart the study", path.display())]
    DamagedLog {
        /// The log.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
        /// What is wrong with it.
        message: String,
    },
    /// The log belongs to a study with other settings; using it would mix the two.
    #[error(
        "{}, line {line}: this trial belongs to another study ({found} instead of {expected}): seed, \
         search space, sampler, pruner, first parameters or objective differ; move the log away to restart the study",
        path.display()
    )]
    ForeignLog {
        /// The log.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
        /// Hash of the settings of this study.
        expected: String,
        /// Hash in the line.
        found: String,
    },
    /// The log could not be read.
    #[error("cannot read the log of trials {}: {source}", path.display())]
    ReadLog {
        /// The log.
        path: PathBuf,
        /// The reason.
        source: std::io::Error,
    },
    /// The journal, or a file beside it, could not be read or written.
    #[error("journal {}: {source}", path.display())]
    Journal {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: std::io::Error,
    },
    /// A line of the journal is not an operation.
    #[error("{}, line {line}: not a line of a journal: {message}; restore the file, or move it away to begin a new study", path.display())]
    DamagedJournal {
        /// The journal.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
        /// What is wrong with it.
        message: String,
    },
    /// The journal has no study of that name, or one that this crate did not begin.
    #[error("{}: study `{study}` {message}", path.display())]
    NoStudy {
        /// The journal.
        path: PathBuf,
        /// The study.
        study: String,
        /// What is the matter, and what to do.
        message: String,
    },
    /// The log could not be written.
    #[error(transparent)]
    Artifact(#[from] ArtifactError),
}

impl TuneError {
    pub(crate) fn bad_parameter(key: &str, message: impl Into<String>) -> Self {
        Self::BadParameter {
            key: key.to_owned(),
            message: message.into(),
        }
    }

    pub(crate) fn journal(path: &Path, source: std::io::Error) -> Self {
        Self::Journal {
            path: path.to_owned(),
            source,
        }
    }

    pub(crate) fn damaged_journal(path: &Path, line: usize, message: String) -> Self {
        Self::DamagedJournal {
            path: path.to_owned(),
            line,
            message,
        }
    }

    pub(crate) fn no_study(path: &Path, study: &str, message: impl Into<String>) -> Self {
        Self::NoStudy {
            path: path.to_owned(),
            study: study.to_owned(),
            message: message.into(),
        }
    }

    pub(crate) fn damaged_log(path: &Path, line: usize, message: impl ToString) -> Self {
        Self::DamagedLog {
            path: path.to_owned(),
            line,
            message: message.to_string(),
        }
    }
}
