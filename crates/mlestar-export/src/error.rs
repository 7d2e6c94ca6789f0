//! Errors, with the name, the value and the limit.

use std::path::{Path, PathBuf};

use mlestar_artifact::ArtifactError;

/// Errors of freezing, writing, reading or running an exported model.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExportError {
    /// The graph of a model is inconsistent.
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
    /// An image does not have the size that the model expects.
    #[error(
        "the model takes images of {expected_height}x{expected_width} (height x width), but this \
         one is {height}x{width}: resize it as the training images were"
    )]
    PictureSize {
        /// Height that the model expects.
        expected_height: usize,
        /// Width that the model expects.
        expected_width: usize,
        /// Height of the refused image.
        height: usize,
        /// Width of the refused image.
        width: usize,
    },
    /// The number of bytes does not match the stated images.
    #[error(
        "{n_pictures} images of {height}x{width} RGB pixels have {expected} bytes, but {found} \
         were given"
    )]
    PixelCount {
        /// Number of images stated by the caller.
        n_pictures: usize,
        /// Height of one image.
        height: usize,
        /// Width of one image.
        width: usize,
        /// Bytes that the images should have.
        expected: usize,
        /// Bytes that were given.
        found: usize,
    },
    /// An image file cannot be decoded.
    #[error("{name}: {reason}")]
    Image {
        /// The file, or `the image` if its content was given.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A file does not have this crate's format.
    #[error("{}: {reason}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What was found and what was expected.
        reason: String,
    },
    /// A file of a package differs from the package's manifest.
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
    /// Figures to be compared do not fit together, or cannot be computed.
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
        /// The reason.
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
