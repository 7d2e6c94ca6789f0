//! Proves that a package is intact and predicts as recorded.

use std::collections::BTreeSet;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::MANIFEST_FILE;
use super::golden::GoldenResult;
use super::read::{Hashes, file_path, open_with, read_checked, read_file};
use crate::error::ExportError;
use crate::predictor::Predictor;

/// What [`verify`] found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Verification {
    /// Files whose size, BLAKE3 and SHA-256 are as recorded, besides the manifest.
    pub files: usize,
    /// Bytes of these files.
    pub bytes: u64,
    /// Files in the folder that the manifest does not record. They are not used.
    pub unknown_files: Vec<String>,
    /// The golden images, in the order of the manifest.
    pub golden: Vec<GoldenResult>,
}

impl Verification {
    /// Whether every golden prediction was reproduced. A package without golden images proves nothing here.
    #[must_use]
    pub fn reproduces(&self) -> bool {
        self.golden.iter().all(GoldenResult::is_reproduced)
    }
}

/// Checks every file of the package in the folder `dir` with both hashes, opens its model, and predicts its golden
/// images again on this machine.
///
/// # Errors
///
/// As for [`open`](super::open), for every file of the package; [`ExportError::Image`] if a golden image cannot be decoded. A
/// prediction that differs is no error: see [`Verification::reproduces`].
pub fn verify(dir: &Path) -> Result<Verification, ExportError> {
    let (model, manifest) = open_with(dir, |_| false)?;
    let predictor = Predictor::new(model).with_preparation(manifest.preparation);
    let mut bytes = 0;
    for file in &manifest.files {
        bytes += read_checked(dir, file, Hashes::Both)?.len() as u64;
    }
    let mut golden = Vec::new();
    for image in &manifest.golden {
        golden.push(image.compare(&predictor, &read_file(dir, &image.file)?)?);
    }
    let known: BTreeSet<&str> = manifest
        .files
        .iter()
        .map(|file| file.name.as_str())
        .collect();
    let found = super::archive::file_names(dir)?;
    let is_unknown = |name: &String| {
        name != MANIFEST_FILE && !known.contains(name.as_str()) && file_path(dir, name).is_ok()
    };
    Ok(Verification {
        files: manifest.files.len(),
        bytes,
        unknown_files: found.into_iter().filter(is_unknown).collect(),
        golden,
    })
}
