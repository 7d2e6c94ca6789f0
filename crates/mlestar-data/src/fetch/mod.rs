//! Fetches known data sets: download, verify, unpack.
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

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

pub use manifest::{ArchiveFile, ArchiveManifest};
pub use unpack::{UnpackLimits, unpack};

use crate::error::{DataError, Result};

/// How to fetch.
#[derive(Debug, Clone)]
pub struct FetchOptions {
    /// Where to download from instead of the manifest's address, such as a mirror. What comes from
    /// there is verified all the same.
    pub url: Option<String>,
    /// A PEM file of the certificate authorities to trust instead of the built-in ones (Mozilla's), for
    /// networks whose proxy has its own.
    pub certificates: Option<PathBuf>,
    /// How many times in a row nothing may arrive before it gives up; at least 1.
    pub attempts: usize,
    /// How long to wait before trying again.
    pub retry_wait: Duration,
    /// Whether the archive stays once it is unpacked.
    pub keep_archive: bool,
    /// What the archive may hold at most.
    pub limits: UnpackLimits,
    /// Becomes true when the work is to stop; may be set from another thread or a signal's handler.
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
    /// [`DataError::Stopped`] when a stop was asked for.
    fn check_stop(&self, doing: &'static str) -> Result<()> {
        match &self.stop {
            Some(stop) if stop.load(Ordering::Acquire) => Err(DataError::Stopped { doing }),
            _ => Ok(()),
        }
    }

    /// The defaults, with the certificates that the environment variable `SSL_CERT_FILE` names, as
    /// other programs take them.
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

/// What is being done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FetchStage {
    /// The archive arrives.
    Downloading,
    /// The archive's SHA-256 is computed.
    Verifying,
    /// Files are written. How many bytes there will be is known only for the files that the manifest
    /// names with their sizes.
    Unpacking,
}

/// How far it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FetchProgress {
    /// What is being done.
    pub stage: FetchStage,
    /// Bytes done in this stage.
    pub bytes_done: u64,
    /// Bytes of this stage.
    pub bytes_total: u64,
}

/// Downloads `archive` into the folder `into`, verifies and unpacks it there, and returns the data
/// set's folder.
///
/// Each step is skipped where its result is there: an unpacked folder whose files have the sizes that
/// the manifest names is taken as it is (their content is not hashed); an archive that was put there
/// by hand is verified and unpacked; a download that was interrupted is continued. The data set's
/// folder appears whole or not at all.
///
/// # Errors
/// When the address cannot be reached (the message says which file to put where by hand), when the
/// archive is not the one that the manifest names, when it holds what must not be unpacked, when the
/// data set's folder exists but is incomplete, or when the disk cannot be written.
/// [`DataError::Stopped`] when `options.stop` asks for it; what was downloaded stays for the next call.
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
        download::verify(archive, &place, options, progress)?;
    } else {
        download::download(archive, &place, options, progress)?;
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
