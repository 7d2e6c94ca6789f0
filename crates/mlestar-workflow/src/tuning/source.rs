//! Another study to learn from.

use super::StudyFolder;
use crate::WorkflowError;
use mlestar_tune::shared::SharedStudy;
use std::path::{Path, PathBuf};

/// A study in a journal: of a study folder, or a journal of its own, also one of Optuna's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    journal: PathBuf,
    name: String,
}

impl Source {
    /// Finds it by what a user names: a study folder, a journal with one study, or `JOURNAL#NAME`.
    ///
    /// # Errors
    /// Nothing there, or a journal without such a study or with several.
    pub fn find(named: &str) -> Result<Self, WorkflowError> {
        let folder = StudyFolder::new(named);
        if folder.root().is_dir() {
            let file = folder.read()?;
            return Ok(Self {
                journal: folder.journal_path(),
                name: file.name,
            });
        }
        let (journal, wanted) = match named.rsplit_once('#') {
            Some((journal, name)) if !Path::new(named).exists() => (journal, Some(name)),
            _ => (named, None),
        };
        let names = SharedStudy::names(Path::new(journal))?;
        let name = match (wanted, names.as_slice()) {
            (Some(name), names) if names.iter().any(|known| known == name) => name.to_owned(),
            (None, [only]) => only.clone(),
            _ => {
                return Err(WorkflowError::Usage(format!(
                    "{journal} holds the studies {names:?}; name one of them: {journal}#NAME"
                )));
            }
        };
        Ok(Self {
            journal: journal.into(),
            name,
        })
    }

    /// The journal.
    pub fn journal(&self) -> &Path {
        &self.journal
    }

    /// The study's name in it.
    pub fn name(&self) -> &str {
        &self.name
    }
}
