//! The folder of repeated splits.

use super::SplitsFile;
use super::result::SplitResult;
use crate::WorkflowError;
use mlestar_artifact::{ArtifactError, read_artifact};
use std::fs::{self, File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};

/// The results together.
pub(super) const SUMMARY: &str = "splits.json";
/// The page about them.
pub(super) const PAGE: &str = "splits.html";

/// The folder of repeated splits and the places of its files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SplitsFolder {
    root: PathBuf,
}

impl SplitsFolder {
    /// The folder at `root`, which need not exist.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// The folder itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The settings.
    pub fn file_path(&self) -> PathBuf {
        self.root.join("splits.toml")
    }

    /// The result of a split.
    pub fn result_path(&self, number: u64) -> PathBuf {
        self.root.join("results").join(format!("{number}.json"))
    }

    /// The folder of the training of a split.
    pub fn training_path(&self, number: u64) -> PathBuf {
        self.root.join("trainings").join(number.to_string())
    }

    /// The results together.
    pub fn summary_path(&self) -> PathBuf {
        self.root.join(SUMMARY)
    }

    /// The page about them.
    pub fn page_path(&self) -> PathBuf {
        self.root.join(PAGE)
    }

    /// Whether splits have begun here.
    pub fn has_begun(&self) -> bool {
        self.file_path().is_file()
    }

    /// The settings.
    ///
    /// # Errors
    /// [`WorkflowError::NoSplits`] without them; [`WorkflowError::DamagedSplits`].
    pub fn read(&self) -> Result<SplitsFile, WorkflowError> {
        SplitsFile::read(self)
    }

    /// How many splits have a result, also those beyond the number that is asked for now.
    pub fn n_results(&self) -> usize {
        let entries = fs::read_dir(self.root.join("results"));
        let names = entries
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| entry.path());
        names
            .filter(|path| path.extension().is_some_and(|end| end == "json"))
            .count()
    }

    pub(super) fn result(&self, number: u64) -> Result<Option<SplitResult>, WorkflowError> {
        optional(read_artifact(&self.result_path(number)))
    }

    /// Takes the split for this process, for as long as the value lives and this process does. `None` while another one
    /// has it.
    pub(super) fn claim(&self, number: u64) -> Result<Option<File>, WorkflowError> {
        let path = self.root.join("claims").join(number.to_string());
        let open = || {
            fs::create_dir_all(self.root.join("claims"))?;
            OpenOptions::new()
                .create(true)
                .truncate(false)
                .write(true)
                .open(&path)
        };
        let file = open().map_err(|source| self.unusable(&path, source))?;
        match file.try_lock() {
            Ok(()) => Ok(Some(file)),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(source)) => Err(self.unusable(&path, source)),
        }
    }

    pub(super) fn unusable(&self, path: &Path, source: std::io::Error) -> WorkflowError {
        WorkflowError::SplitsFolder {
            path: path.to_owned(),
            source,
        }
    }
}

fn optional<T>(read: Result<T, ArtifactError>) -> Result<Option<T>, WorkflowError> {
    match read {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.is_missing() => Ok(None),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_split_belongs_to_one_process_at_a_time() {
        let root = tempfile::tempdir().unwrap();
        let folder = SplitsFolder::new(root.path());
        let claim = folder.claim(3).unwrap();
        assert!(claim.is_some());
        assert!(folder.claim(3).unwrap().is_none());
        assert!(folder.claim(4).unwrap().is_some());
        drop(claim);
        assert!(folder.claim(3).unwrap().is_some());
    }
}
