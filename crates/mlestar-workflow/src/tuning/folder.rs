//! The folder of a study.

use super::StudyFile;
use crate::WorkflowError;
use mlestar_tune::shared::SharedStudy;
use mlestar_tune::{StudyReport, TrialState};
use std::path::{Path, PathBuf};

/// The folder of a study and the places of its files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StudyFolder {
    root: PathBuf,
}

impl StudyFolder {
    /// The study folder at `root`, which need not exist.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// The folder itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The settings of the study.
    pub fn study_path(&self) -> PathBuf {
        self.root.join("study.toml")
    }

    /// The journal of the trials.
    pub fn journal_path(&self) -> PathBuf {
        self.root.join("journal.log")
    }

    /// The folder of the training of a trial.
    pub fn trial_path(&self, number: u64) -> PathBuf {
        self.trials_path().join(number.to_string())
    }

    /// The config with the best parameters.
    pub fn optimized_path(&self) -> PathBuf {
        self.root.join("optimized.toml")
    }

    /// The page about the study.
    pub fn report_path(&self) -> PathBuf {
        self.root.join("report.html")
    }

    /// Whether a study has begun here.
    pub fn has_study(&self) -> bool {
        self.study_path().is_file()
    }

    /// The settings of the study.
    ///
    /// # Errors
    /// [`WorkflowError::NoStudy`] without one; [`WorkflowError::DamagedStudy`].
    pub fn read(&self) -> Result<StudyFile, WorkflowError> {
        StudyFile::read(self)
    }

    fn trials_path(&self) -> PathBuf {
        self.root.join("trials")
    }

    /// Removes the trainings of finished trials, except those of the best ones.
    ///
    /// # Errors
    /// When the journal cannot be read, or a folder cannot be removed.
    pub(super) fn tidy(&self, name: &str) -> Result<(), WorkflowError> {
        let report = SharedStudy::read(&self.journal_path(), name)?;
        for entry in std::fs::read_dir(self.trials_path())
            .into_iter()
            .flatten()
            .flatten()
        {
            let name = entry.file_name();
            let number = name.to_str().and_then(|name| name.parse::<u64>().ok());
            if number.is_some_and(|number| is_done_with(&report, number)) {
                match std::fs::remove_dir_all(entry.path()) {
                    // Another process tidies, too.
                    Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                        return Err(self.unusable(&entry.path(), error));
                    }
                    _ => {}
                }
            }
        }
        Ok(())
    }

    pub(super) fn unusable(&self, path: &Path, source: std::io::Error) -> WorkflowError {
        WorkflowError::StudyFolder {
            path: path.to_owned(),
            source,
        }
    }
}

/// Whether the trial is finished and not one of the best.
fn is_done_with(report: &StudyReport, number: u64) -> bool {
    let mut trials = report.trials.iter();
    let trial = trials.find(|trial| trial.number == number);
    trial.is_some_and(|trial| {
        let is_best = report.best == Some(number) || report.front.contains(&number);
        trial.state != TrialState::Complete || !is_best
    })
}
