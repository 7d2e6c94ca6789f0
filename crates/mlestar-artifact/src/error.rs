//! What can go wrong with a file.

use std::io;
use std::path::{Path, PathBuf};

/// A failure to read or write an artifact; every variant names the file.
#[derive(Debug, thiserror::Error)]
pub enum ArtifactError {
    /// The file is not there.
    #[error("{path} does not exist", path = path.display())]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// The operating system refused to read it.
    #[error("cannot read {path}: {source}", path = path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The operating system refused to write it. Nothing is left under the file's name.
    #[error("cannot write {path}: {source}; check free space and permissions", path = path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// It is not valid JSON or lacks a field.
    #[error("{path} is not valid: {message}", path = path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// Where and why.
        message: String,
    },
    /// It is an artifact of another kind.
    #[error(
        "{path} holds \"{found}\" where \"{expected}\" was expected",
        path = path.display()
    )]
    WrongSchema {
        /// The file.
        path: PathBuf,
        /// The schema that was asked for.
        expected: String,
        /// The schema that the file names, or a note that it names none.
        found: String,
    },
    /// It was written by another version of the schema.
    #[error(
        "{path} is version {found} of \"{schema}\", this program reads version {expected}; {advice}",
        path = path.display(),
        advice = match *found > u64::from(*expected) {
            true => "a newer program wrote it: use that one, or another folder",
            false => "write it anew",
        }
    )]
    WrongVersion {
        /// The file.
        path: PathBuf,
        /// The schema.
        schema: String,
        /// The version that this program reads.
        expected: u32,
        /// The version that the file names.
        found: u64,
    },
}

impl ArtifactError {
    /// The file that the error is about.
    pub fn path(&self) -> &Path {
        match self {
            Self::Missing { path }
            | Self::Read { path, .. }
            | Self::Write { path, .. }
            | Self::Invalid { path, .. }
            | Self::WrongSchema { path, .. }
            | Self::WrongVersion { path, .. } => path,
        }
    }

    /// Whether the file is simply not there.
    pub fn is_missing(&self) -> bool {
        matches!(self, Self::Missing { .. })
    }

    pub(crate) fn read(path: &Path, source: io::Error) -> Self {
        let path = path.to_owned();
        match source.kind() {
            io::ErrorKind::NotFound => Self::Missing { path },
            _ => Self::Read { path, source },
        }
    }

    pub(crate) fn write(path: &Path, source: io::Error) -> Self {
        Self::Write {
            path: path.to_owned(),
            source,
        }
    }

    pub(crate) fn invalid(path: &Path, message: impl ToString) -> Self {
        Self::Invalid {
            path: path.to_owned(),
            message: message.to_string(),
        }
    }
}
