//! A hash of the content to be read. It detects changed images, and an unchanged set of 60,000 files need not
//! be read again.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use mlestar_artifact::{ContentHash, write_atomically};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::config::{DataConfig, SourceKind};
use crate::error::{DataError, Result};
use crate::file_state::FileState;
use crate::load::{cifar_kind, scan_folder};
use crate::readers::{manifest, name};

/// Which files to read and hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reread {
    /// Files whose size, times or identity differ from the cache.
    Changed,
    /// All files, whatever the cache says. The cache is rewritten.
    All,
}

/// Fingerprint of the content that [`load`](crate::load()) would read with `config`.
///
/// It covers the kind of source and, for each file that is read, its name relative to the data folder and its
/// bytes; for the synthetic set, its settings. It does not cover the seed, the other settings, files that are
/// not read, modification times, or the location of the folder. An unreadable image counts as such: the
/// fingerprint changes when it becomes readable.
///
/// With `cache`, a JSON file, a file is not read again if its size and modification time are unchanged; on
/// Unix, its inode and the change time of its entry (which no program can set) must be unchanged too. A cache
/// that is missing, damaged or of another folder is rewritten if possible.
///
/// # Errors
/// If the source is missing or malformed as far as names show, or a file cannot be read.
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
    fingerprint_with(config, cache, Reread::Changed)
}

/// Like [`fingerprint`], with a choice of which files to read. [`Reread::All`] finds an edit that left
/// everything the system reports about a file unchanged.
///
/// # Errors
/// As for [`fingerprint`].
pub fn fingerprint_with(
    config: &DataConfig,
    cache: Option<&Path>,
    reread: Reread,
) -> Result<ContentHash> {
    config.check()?;
    let Some((root, files)) = files(config)? else {
        return Ok(ContentHash::of_json(&("synthetic", &config.synthetic))?);
    };
    let known = match (cache, reread) {
        (Some(path), Reread::Changed) => Cache::read(path, &root),
        (_, Reread::All) | (None, _) => Cache::default(),
    };
    let now = SystemTime::now();
    let hashed: Vec<Hashed> = files
        .par_iter()
        .map(|file| known.hash(&root, file, now))
        .map(|hashed| match hashed {
            // Loading leaves such an image out, or fails with the list of all of them.
            Hashed::Failed(name, _) if has_image_files(config.source) => {
                Ok(Hashed::Unreadable(name))
            }
            Hashed::Failed(_, error) => Err(error),
            other => Ok(other),
        })
        .collect::<Result<_>>()?;
    let mut text = format!("{}\n", config.source);
    for file in &hashed {
        // A name cannot hold a zero byte, so different lists of files give different texts.
        match file {
            Hashed::Known(entry) | Hashed::New(entry) => {
                text.push_str(&format!("{}\0{}\n", entry.path, entry.hash));
            }
            Hashed::Unreadable(name) | Hashed::Failed(name, _) => {
                text.push_str(&format!("{name}\0unreadable\n"));
            }
        }
    }
    if let Some(path) = cache {
        let is_new = |file: &Hashed| !matches!(file, Hashed::Known(_));
        if hashed.iter().any(is_new) || known.entries.len() != hashed.len() {
            let files = hashed
                .into_iter()
                .filter_map(Hashed::entry)
                .filter(|e| e.is_settled(now))
                .collect();
            // A cache that cannot be written, for example in a read-only folder, costs only time.
            let _ = Cache::write(
                path,
                CacheFile {
                    root: absolute(&root),
                    files,
                },
            );
        }
    }
    Ok(ContentHash::of_bytes(text.as_bytes()))
}

/// What is known about a file.
enum Hashed {
    /// Its hash was in the cache.
    Known(CacheEntry),
    /// It was read and hashed.
    New(CacheEntry),
    /// It could not be read, and that is part of the fingerprint.
    Unreadable(String),
    /// It could not be read, and that is an error.
    Failed(String, DataError),
}

impl Hashed {
    fn entry(self) -> Option<CacheEntry> {
        match self {
            Self::Known(entry) | Self::New(entry) => Some(entry),
            Self::Unreadable(_) | Self::Failed(..) => None,
        }
    }
}

/// The root and, relative to it, the files to read; `None` for the synthetic set.
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
    if config.source == SourceKind::Manifest {
        let listing = manifest::scan(folder)?;
        let own_name = folder.file_name().map(PathBuf::from);
        let images = listing.entries().map(|entry| entry.path.clone());
        let paths = own_name.into_iter().chain(images).collect();
        return Ok(Some((listing.root, paths)));
    }
    let listing = scan_folder(folder)?;
    let paths = listing.entries().map(|entry| entry.path.clone()).collect();
    Ok(Some((folder.to_owned(), paths)))
}

fn has_image_files(source: SourceKind) -> bool {
    matches!(source, SourceKind::Folder | SourceKind::Manifest)
}

fn absolute(root: &Path) -> String {
    name::shown(&fs::canonicalize(root).unwrap_or_else(|_| root.to_owned()))
}

/// The cache as stored on disk.
#[derive(Debug, Serialize, Deserialize)]
struct CacheFile {
    root: String,
    files: Vec<CacheEntry>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct CacheEntry {
    /// The name relative to the root; bytes that are not UTF-8 are escaped, so that different names stay
    /// different.
    path: String,
    #[serde(flatten)]
    state: FileState,
    hash: ContentHash,
}

impl CacheEntry {
    fn is_settled(&self, now: SystemTime) -> bool {
        self.state.is_settled(now)
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

    fn hash(&self, root: &Path, file: &Path, now: SystemTime) -> Hashed {
        let (path, name) = (root.join(file), name::shown(file));
        let state = match fs::metadata(&path) {
            Ok(metadata) => FileState::of(&metadata),
            Err(error) => return Hashed::Failed(name, DataError::read(&path, error)),
        };
        if let Some(known) = self.entries.get(&name)
            && known.state == state
            && known.is_settled(now)
        {
            return Hashed::Known(known.clone());
        }
        match ContentHash::of_file(&path) {
            Ok(hash) => Hashed::New(CacheEntry {
                path: name,
                state,
                hash,
            }),
            Err(error) => Hashed::Failed(name, error.into()),
        }
    }
}
