//! Lists and removes caches.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use mlestar_image::Preparation;

use super::{IMAGES, PARTIAL, PIXELS, lock, record};
use crate::error::{DataError, Result};

/// The prepared pixels of one folder of images.
#[derive(Debug, Clone, PartialEq)]
pub struct CachedPixels {
    /// The cache's folder.
    pub folder: PathBuf,
    /// The data folder whose images were prepared, as it was named.
    pub root: String,
    /// Number of images.
    pub n: usize,
    /// How they were prepared.
    pub preparation: Preparation,
    /// Bytes on the disk.
    pub bytes: u64,
    /// Whether all images are prepared; otherwise the next reading continues.
    pub is_complete: bool,
    /// When it was last opened, if the system knows.
    pub last_used: Option<SystemTime>,
}

/// The caches in the folder `data.cache`, the least recently used first; none if there is no such folder. Other files and
/// folders in it are left out.
///
/// # Errors
/// If the folder cannot be read.
pub fn list(cache: &Path) -> Result<Vec<CachedPixels>> {
    let entries = match fs::read_dir(cache) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.map_err(|e| DataError::read(cache, e))?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let folder = entry.map_err(|e| DataError::read(cache, e))?.path();
        let Some((header, _)) = record::read(&folder.join(IMAGES)) else {
            continue;
        };
        let bytes = |name: &str| fs::metadata(folder.join(name)).map_or(0, |found| found.len());
        let used = fs::metadata(lock::path(&folder)).and_then(|found| found.modified());
        found.push(CachedPixels {
            root: header.root,
            n: header.n,
            preparation: header.preparation,
            bytes: bytes(PIXELS) + bytes(PARTIAL) + bytes(IMAGES),
            is_complete: folder.join(PIXELS).exists(),
            last_used: used.ok(),
            folder,
        });
    }
    found.sort_by(|a, b| (a.last_used, &a.folder).cmp(&(b.last_used, &b.folder)));
    Ok(found)
}

/// Removes a cache, given by its folder. A process that has mapped its pixels keeps them until it ends.
///
/// # Errors
/// If the folder is no cache, if its pixels are being made or checked, or if it cannot be removed.
pub fn remove(folder: &Path) -> Result<()> {
    if !folder.join(IMAGES).exists() {
        return Err(DataError::Layout {
            path: folder.to_owned(),
            problem: "it is no cache of pixels".to_string(),
            remedy: "give a folder inside data.cache".to_string(),
        });
    }
    let Some(_lock) = lock::attempt(folder)? else {
        return Err(DataError::Layout {
            path: folder.to_owned(),
            problem: "another process is making or checking its pixels".to_string(),
            remedy: "wait for it, or end it".to_string(),
        });
    };
    fs::remove_dir_all(folder).map_err(|e| DataError::write(folder, e))
}
