//! The folder of a study.

use super::StudyFile;
use crate::WorkflowError;
use mlestar_tune::shared::{Overview, SharedStudy};
use mlestar_tune::{Trial, TrialState};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

pub(super) const STUDY: &str = "study.toml";
pub(super) const JOURNAL: &str = "journal.log";
pub(super) const OPTIMIZED: &str = "optimized.toml";

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
        self.root.join(STUDY)
    }

    /// The journal of the trials.
    pub fn journal_path(&self) -> PathBuf {
        self.root.join(JOURNAL)
    }

    /// The folder of the training of a trial that was taken so often from a process that may go on
    /// ([`Trial::moved`](mlestar_tune::Trial::moved)): `7`, then `7.1`, `7.2` ... Two processes never write the same one.
    pub fn trial_path(&self, number: u64, moved: u64) -> PathBuf {
        self.trials_path().join(match moved {
            0 => number.to_string(),
            moved => format!("{number}.{moved}"),
        })
    }

    /// The config with the best parameters.
    pub fn optimized_path(&self) -> PathBuf {
        self.root.join(OPTIMIZED)
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

    /// Removes the trainings of finished trials, except those of the best ones, and what a process wrote whose trial was
    /// taken over.
    ///
    /// # Errors
    /// When the journal cannot be read, or a folder cannot be removed.
    pub(super) fn tidy(&self, name: &str) -> Result<(), WorkflowError> {
        let overview = SharedStudy::overview(&self.journal_path(), name)?;
        for entry in std::fs::read_dir(self.trials_path())
            .into_iter()
            .flatten()
            .flatten()
        {
            let name = entry.file_name();
            let place = name.to_str().and_then(number_and_moved);
            if place.is_some_and(|(number, moved)| is_done_with(&overview, number, moved)) {
                match std::fs::remove_dir_all(entry.path()) {
                    // Another process tidies, too; or one whose trial was taken over still writes, and tidies when it ends.
                    Err(error)
                        if ![ErrorKind::NotFound, ErrorKind::DirectoryNotEmpty]
                            .contains(&error.kind()) =>
                    {
                        return Err(self.unusable(&entry.path(), error));
                    }
                    _ => {}
                }
            }
        }
        Ok(())
    }

    /// Whether another process has taken the trial from this one, because this one was paused for too long.
    pub(super) fn is_taken_over(&self, name: &str, trial: &Trial<'_>) -> bool {
        let overview = SharedStudy::overview(&self.journal_path(), name);
        overview.is_ok_and(|overview| {
            let moved = overview.moved.get(&trial.number());
            moved.is_some_and(|moved| *moved > trial.moved())
        })
    }

    pub(super) fn unusable(&self, path: &Path, source: std::io::Error) -> WorkflowError {
        WorkflowError::StudyFolder {
            path: path.to_owned(),
            source,
        }
    }
}

/// Reads the name of a trial's folder.
fn number_and_moved(name: &str) -> Option<(u64, u64)> {
    match name.split_once('.') {
        Some((number, moved)) => Some((number.parse().ok()?, moved.parse().ok()?)),
        None => Some((name.parse().ok()?, 0)),
    }
}

/// Whether the trial is finished, and either not one of the best or finished elsewhere.
fn is_done_with(overview: &Overview, number: u64, moved: u64) -> bool {
    let report = &overview.report;
    let mut trials = report.trials.iter();
    let trial = trials.find(|trial| trial.number == number);
    let last = overview.moved.get(&number).copied().unwrap_or(0);
    trial.is_some_and(|trial| {
        let is_best = report.best == Some(number) || report.front.contains(&number);
        trial.state != TrialState::Complete || !is_best || moved != last
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_folder_says_whose_it_is() {
        let folder = StudyFolder::new("study");
        for place in [(7, 0), (7, 1), (0, 12)] {
            let path = folder.trial_path(place.0, place.1);
            let name = path.file_name().unwrap().to_str().unwrap();
            assert_eq!(number_and_moved(name), Some(place));
        }
        assert_eq!(number_and_moved("notes.txt"), None);
    }
}
