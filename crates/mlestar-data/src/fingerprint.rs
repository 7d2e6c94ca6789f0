//! A hash of the content that would be read, so that a changed picture is noticed and an unchanged
//! set of 60,000 files is not read again.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use mlestar_artifact::{ContentHash, write_atomically};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::config::{DataConfig, SourceKind};
use crate::error::{DataError, Result};
use crate::load::{cifar_kind, scan_folder};

/// A file that changed less than this before it was hashed is hashed again the next time: a second
/// change within the clock's granularity could leave its time as it was.
const UNSETTLED: Duration = Duration::from_secs(2);

/// Fingerprint of the content that [`load`](crate::load()) would read with `config`.
///
/// It covers the source kind and, for each file that is read, its name relative to the data folder and
/// its bytes; for the synthetic set its settings. It does not cover the seed, the other settings, files
/// that are not read, times of change, or where the folder is.
///
/// With `cache`, a JSON file, a file whose size and time of change are as they were is not read again.
/// A cache that is missing, damaged or of another folder is made anew.
///
/// # Errors
/// When the source is missing or malformed as far as its names show, a file cannot be read, or the
/// cache cannot be written.
///
/// ```
/// use mlestar_data::{DataConfig, fingerprint, synthetic::SyntheticConfig};
/// # fn main() -> Result<(), mlestar_data::DataError> {
/// let config = DataConfig::default();
/// let other = DataConfig { synthetic: SyntheticConfig { noise: 0.1, ..config.synthetic.clone() }, ..config.clone() };
/// assert_eq!(fingerprint(&config, None)?, fingerprint(&config, None)?);
/// assert_ne!(fingerprint(&config, None)?, fingerprint(&other, None)?);
/// # Ok(())
/// # }
/// ```
pub fn fingerprint(config: &DataConfig, cache: Option<&Path>) -> Result<ContentHash> {
    config.check()?;
    let Some((root, files)) = files(config)? else {
        return Ok(ContentHash::of_json(&("synthetic", &config.synthetic))?);
    };
    let known = cache
        .map(|path| Cache::read(path, &root))
        .unwrap_or_default();
    let now = SystemTime::now();
    let hashed: Vec<(CacheEntry, bool)> = files
        .par_iter()
        .map(|file| known.hash(&root, file, now))
        .collect::<Result<_>>()?;
    let mut text = format!("{}\n", config.source);
    for (entry, _) in &hashed {
        // A name cannot hold a zero byte, so that no two lists of files give the same text.
        text.push_str(&format!("{}\0{}\n", entry.path, entry.hash));
    }
    if let Some(path) = cache {
        let is_stale =
            hashed.iter().any(|(_, is_new)| *is_new) || known.entries.len() != hashed.len();
        if is_stale {
            let files = hashed
                .into_iter()
                .map(|(entry, _)| entry)
                .filter(|e| e.is_settled(now))
                .collect();
            Cache::write(
                path,
                CacheFile {
                    root: absolute(&root),
                    files,
                },
            )?;
        }
    }
    Ok(ContentHash::of_bytes(text.as_bytes()))
}

/// The root and, relative to it, the files that are read; `None` for the synthetic set.
fn files(config: &DataConfig) -> Result<Option<(PathBuf, Vec<PathBuf>)>> {
    if config.source == SourceKind::Synthetic {
        return Ok(None);
    }
    let folder = config.folder()?;
    if let Some(kind) = cifar_kind(config.source) {
        let found = kind.files(folder)?;
        let names = found
            .all()
            .filter_map(|path| path.file_name())
            .map(PathBuf::from)
            .collect();
        return Ok(Some((found.folder, names)));
    }
    let listing = scan_folder(folder)?;
    let paths = listing.entries().map(|entry| entry.path.clone()).collect();
    Ok(Some((folder.to_owned(), paths)))
}

fn absolute(root: &Path) -> String {
    fs::canonicalize(root)
        .unwrap_or_else(|_| root.to_owned())
        .to_string_lossy()
        .into_owned()
}

/// The cache as it is on disk.
#[derive(Debug, Serialize, Deserialize)]
struct CacheFile {
    root: String,
    files: Vec<CacheEntry>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct CacheEntry {
    path: String,
    bytes: u64,
    /// Nanoseconds from 1970, negative before; `None` where the system does not tell.
    changed_ns: Option<i64>,
    hash: ContentHash,
}

impl CacheEntry {
    fn is_settled(&self, now: SystemTime) -> bool {
        let now = nanoseconds(now);
        matches!((self.changed_ns, now), (Some(changed), Some(now))
            if now.saturating_sub(changed) > UNSETTLED.as_nanos() as i64)
    }
}

fn nanoseconds(time: SystemTime) -> Option<i64> {
    match time.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(after) => i64::try_from(after.as_nanos()).ok(),
        Err(before) => i64::try_from(before.duration().as_nanos())
            .ok()
            .map(|ns| -ns),
    }
}

#[derive(Default)]
struct Cache {
    entries: HashMap<String, CacheEntry>,
}

impl Cache {
    fn read(path: &Path, root: &Path) -> Self {
        let parsed = fs::read(path)
            .ok()
            .and_then(|bytes| serde_json::from_slice::<CacheFile>(&bytes).ok());
        let entries = match parsed {
            Some(file) if file.root == absolute(root) => file
                .files
                .into_iter()
                .map(|entry| (entry.path.clone(), entry))
                .collect(),
            _ => HashMap::new(),
        };
        Self { entries }
    }

    fn write(path: &Path, file: CacheFile) -> Result<()> {
        let bytes = serde_json::to_vec(&file)
            .map_err(|e| DataError::write(path, std::io::Error::other(e)))?;
        Ok(write_atomically(path, &bytes)?)
    }

    /// The file's entry, and whether it had to be read.
    fn hash(&self, root: &Path, file: &Path, now: SystemTime) -> Result<(CacheEntry, bool)> {
        let path = root.join(file);
        let metadata = fs::metadata(&path).map_err(|e| DataError::read(&path, e))?;
        let name = crate::image_set::Origin::File(file.to_owned()).to_string();
        let bytes = metadata.len();
        let changed_ns = metadata.modified().ok().and_then(nanoseconds);
        if let Some(known) = self.entries.get(&name)
            && known.bytes == bytes
            && known.changed_ns == changed_ns
            && known.is_settled(now)
        {
            return Ok((known.clone(), false));
        }
        let hash = ContentHash::of_file(&path)?;
        Ok((
            CacheEntry {
                path: name,
                bytes,
                changed_ns,
                hash,
            },
            true,
        ))
    }
}
