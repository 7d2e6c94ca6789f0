//! Fetches known datasets (download, verify, unpack) and published weights.
//!
//! ```
//! use mlestar_data::fetch::ArchiveManifest;
//! let manifest = ArchiveManifest::known("cifar10")?;
//! println!("{}: {} bytes from {}", manifest.title, manifest.bytes, manifest.url);
//! # Ok::<(), mlestar_data::DataError>(())
//! ```

mod download;
mod manifest;
mod unpack;
mod weights;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

pub use manifest::{ArchiveFile, ArchiveManifest};
pub use unpack::{UnpackLimits, unpack};
pub use weights::{PublishedWeights, fetch_weights};

use crate::error::{DataError, Result};

/// Options of a fetch.
#[derive(Debug, Clone)]
pub struct FetchOptions {
    /// Download address that replaces the manifest's, such as a mirror. The download is still verified.
    pub url: Option<String>,
    /// A PEM file of the certificate authorities to trust instead of the built-in ones (Mozilla's), for
    /// networks whose proxy uses its own.
    pub certificates: Option<PathBuf>,
    /// Number of attempts in a row without any data before it gives up; at least 1.
    pub attempts: usize,
    /// Waiting time between attempts.
    pub retry_wait: Duration,
    /// Whether to keep the archive after it is unpacked.
    pub keep_archive: bool,
    /// Limits of the archive's contents.
    pub limits: UnpackLimits,
    /// Set this to true to stop the work, from another thread or a signal handler.
    pub stop: Option<Arc<AtomicBool>>,
}

impl Default for FetchOptions {
    fn default() -> Self {
        Self {
            url: None,
            certificates: None,
            attempts: 3,
            retry_wait: Duration::from_secs(2),
            keep_archive: false,
            limits: UnpackLimits::default(),
            stop: None,
        }
    }
}

impl FetchOptions {
    /// # Errors
    /// [`DataError::Stopped`] if a stop was requested.
    fn check_stop(&self, doing: &'static str) -> Result<()> {
        match &self.stop {
            Some(stop) if stop.load(Ordering::Acquire) => Err(DataError::Stopped { doing }),
            _ => Ok(()),
        }
    }

    /// The defaults, with the certificates in the file that the environment variable `SSL_CERT_FILE` names, as
    /// in other programs.
    pub fn from_environment() -> Self {
        let certificates = std::env::var_os("SSL_CERT_FILE")
            .filter(|v| !v.is_empty())
            .map(PathBuf::from);
        Self {
            certificates,
            ..Self::default()
        }
    }
}

/// A stage of a fetch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FetchStage {
    /// The archive is being downloaded.
    Downloading,
    /// The SHA-256 of the archive is being computed.
    Verifying,
    /// Files are being written. The total number of bytes is known only if the manifest gives the sizes of all
    /// files.
    Unpacking,
}

/// The progress of a fetch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FetchProgress {
    /// The current stage.
    pub stage: FetchStage,
    /// Bytes done in this stage.
    pub bytes_done: u64,
    /// Bytes of this stage.
    pub bytes_total: u64,
}

/// Downloads `archive` into the folder `into`, verifies and unpacks it there, and returns the folder of the
/// dataset.
///
/// Stages that are already done are skipped. An unpacked folder whose files have the sizes in the manifest is
/// used as it is (their content is not hashed). An archive that was put there by hand is verified and unpacked.
/// An interrupted download is resumed. The dataset's folder appears complete or not at all.
///
/// # Errors
/// If the address cannot be reached (the message says which file to put where by hand), if the archive differs
/// from the manifest, if it holds forbidden entries, if the dataset's folder exists but is incomplete, or if
/// the disk cannot be written. [`DataError::Stopped`] if `options.stop` is set; the download is kept for the
/// next call.
pub fn fetch(
    archive: &ArchiveManifest,
    into: &Path,
    options: &FetchOptions,
    progress: &mut dyn FnMut(FetchProgress),
) -> Result<PathBuf> {
    archive.check()?;
    let folder = into.join(&archive.folder);
    if folder.exists() {
        return match archive.first_difference(&folder) {
            None => Ok(folder),
            Some(difference) => Err(DataError::Layout {
                path: folder,
                problem: format!(
                    "it exists, but is not a complete {}: {difference}",
                    archive.title
                ),
                remedy: "delete or rename it, and fetch again".to_string(),
            }),
        };
    }
    fs::create_dir_all(into).map_err(|e| DataError::write(into, e))?;
    let place = into.join(&archive.file_name);
    if place.exists() {
        download::verify(&archive.into(), &place, options, progress)?;
    } else {
        download::download(&archive.into(), &place, options, progress)?;
    }
    options.check_stop("unpacking")?;
    unpack_into(archive, &place, &folder, options.limits, progress)?;
    if !options.keep_archive {
        fs::remove_file(&place).map_err(|e| DataError::write(&place, e))?;
    }
    Ok(folder)
}

fn unpack_into(
    archive: &ArchiveManifest,
    place: &Path,
    folder: &Path,
    limits: UnpackLimits,
    progress: &mut dyn FnMut(FetchProgress),
) -> Result<()> {
    let into = folder.parent().unwrap_or(Path::new("."));
    let temporary = tempfile::Builder::new()
        .prefix(mlestar_artifact::PARTIAL_PREFIX)
        .tempdir_in(into)
        .map_err(|e| DataError::write(into, e))?;
    let bytes_total = archive.files.iter().filter_map(|f| f.bytes).sum();
    unpack(place, temporary.path(), limits, &mut |bytes_done| {
        progress(FetchProgress {
            stage: FetchStage::Unpacking,
            bytes_done,
            bytes_total,
        });
    })?;
    let unpacked = temporary.path().join(&archive.folder);
    if let Some(difference) = archive.first_difference(&unpacked) {
        return Err(DataError::Layout {
            path: place.to_owned(),
            problem: format!(
                "the archive does not hold what its manifest says: {}/{difference}",
                archive.folder
            ),
            remedy: "check the manifest".to_string(),
        });
    }
    fs::rename(&unpacked, folder).map_err(|e| DataError::write(folder, e))
}
