//! Why the server cannot start or cannot load a package.

use mlestar_export::ExportError;
use std::path::PathBuf;

/// Errors of starting the server and of loading packages. What is wrong with a request is a
/// [`Refusal`](crate::Refusal).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// A setting is outside its range.
    #[error("{name} is {value}, but must be {range}")]
    Setting {
        /// The option, such as `--max-batch`.
        name: &'static str,
        /// Its value.
        value: String,
        /// The values that it can have.
        range: String,
    },
    /// Neither a package nor a run with one.
    #[error(
        "{}: there is no package here and none in its 7-deployment/package: give the folder of a package, or a run that \
         finished stage 7",
        path.display()
    )]
    NoPackage {
        /// The path as given.
        path: PathBuf,
    },
    /// The package is damaged or was altered.
    #[error(transparent)]
    Package(#[from] ExportError),
    /// The model does not predict a golden image as recorded.
    #[error(
        "{}: the prediction differs from the recorded one (logits by {difference:.1e}, the limit is {limit:.0e}; or the \
         pixels or the class): this machine computes otherwise, or the package was altered",
        path.display()
    )]
    Golden {
        /// The golden image.
        path: PathBuf,
        /// The largest relative difference of a logit.
        difference: f64,
        /// The limit of that difference.
        limit: f64,
    },
    /// A file for TLS or the token cannot be used.
    #[error("{}: {reason}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The server cannot listen at its address.
    #[error("cannot listen at {address}: {source}; choose another --host or --port")]
    Listen {
        /// The address as given.
        address: String,
        /// The reason.
        source: std::io::Error,
    },
    /// The operating system refuses threads or signal handlers.
    #[error("cannot start {what}: {reason}")]
    Start {
        /// What could not be started.
        what: &'static str,
        /// The reason.
        reason: String,
    },
}
