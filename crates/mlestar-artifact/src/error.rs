//! Errors when reading or writing a file.

use std::io;
use std::path::{Path, PathBuf};

/// A failure to read or write an artifact; every variant names the file.
#[derive(Debug, thiserror::Error)]
pub enum ArtifactError {
    /// The file does not exist.
    #[error("{path} does not exist", path = path.display())]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// The operating system cannot read it.
    #[error("cannot read {path}: {source}", path = path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// The operating system cannot write it. No partial file has the final name.
    #[error("cannot write {path}: {source}; check free space and permissions", path = path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
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
        /// The expected schema.
        expected: String,
        /// The schema in the file, or a note that there is none.
        found: String,
    },
    /// It was written by another version of the schema.
    #[error(
        "{path} is version {found} of \"{schema}\", this program reads version {expected}; {advice}",
        path = path.display(),
        advice = match *found > u64::from(*expected) {
            true => "a newer program wrote it: use that program, or another folder",
            false => "rerun the command that writes it",
        }
    )]
    WrongVersion {
        /// The file.
        path: PathBuf,
        /// The schema.
        schema: String,
        /// The version that this program reads.
        expected: u32,
        /// The version of the file.
        found: u64,
    },
}

impl ArtifactError {
    /// The file in the error.
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

    /// Whether the file does not exist.
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
