//! What can go wrong, with the name, the value and the limit.

use std::path::{Path, PathBuf};

use mlestar_artifact::ArtifactError;

/// Everything that freezing, writing, reading or running an exported model can refuse.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExportError {
    /// The graph of a model does not hold together.
    #[error("invalid model graph at {place}: {reason}")]
    InvalidGraph {
        /// The operation or property that is wrong.
        place: String,
        /// What is wrong, with value and limit.
        reason: String,
    },
    /// The trained model's state lacks a tensor or has one of an unexpected shape.
    #[error("cannot freeze the model: tensor `{name}` {reason}")]
    State {
        /// Name of the tensor in the model's state.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A picture is not of the size that the model takes.
    #[error(
        "the model takes pictures of {expected_height}x{expected_width} (height x width), but this \
         one is {height}x{width}: resize it as the training pictures were"
    )]
    PictureSize {
        /// Height that the model takes.
        expected_height: usize,
        /// Width that the model takes.
        expected_width: usize,
        /// Height of the refused picture.
        height: usize,
        /// Width of the refused picture.
        width: usize,
    },
    /// The number of bytes is not that of the stated pictures.
    #[error(
        "{n_pictures} pictures of {height}x{width} RGB pixels have {expected} bytes, but {found} \
         were given"
    )]
    PixelCount {
        /// Number of pictures that the caller stated.
        n_pictures: usize,
        /// Height of one picture.
        height: usize,
        /// Width of one picture.
        width: usize,
        /// Bytes that the pictures should have.
        expected: usize,
        /// Bytes that were given.
        found: usize,
    },
    /// An image file cannot be read as one.
    #[error("{name}: {reason}")]
    Image {
        /// The file, or `the image` where its content was given.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A file is not what this crate writes.
    #[error("{}: {reason}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What was found and what was expected.
        reason: String,
    },
    /// A file of a package is not the one that the package's manifest records.
    #[error(
        "{}: altered since the package was written: {what} is {found}, recorded is {recorded}; \
         export the model again or restore the file",
        path.display()
    )]
    Altered {
        /// The file that differs.
        path: PathBuf,
        /// The property that differs.
        what: String,
        /// Its recorded value.
        recorded: String,
        /// Its value now.
        found: String,
    },
    /// Figures that were to be compared do not belong together, or cannot be computed.
    #[error("invalid {what}: {reason}")]
    InvalidArgument {
        /// The argument.
        what: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// A file could not be read or written.
    #[error(transparent)]
    Artifact(#[from] ArtifactError),
    /// A file could not be read.
    #[error("{}: cannot be read: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

impl ExportError {
    pub(crate) fn graph(place: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::InvalidGraph {
            place: place.into(),
            reason: reason.into(),
        }
    }

    pub(crate) fn malformed(path: &Path, reason: impl Into<String>) -> Self {
        Self::Malformed {
            path: path.to_owned(),
            reason: reason.into(),
        }
    }

    pub(crate) fn argument(what: &'static str, reason: impl Into<String>) -> Self {
        Self::InvalidArgument {
            what,
            reason: reason.into(),
        }
    }
}
