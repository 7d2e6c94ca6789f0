//! Unpacks an archive so that nothing can be written outside the target folder.

use std::fs::{self, File};
use std::io::{self, BufReader, Read, Write};
use std::path::{Component, Path, PathBuf};

use flate2::read::MultiGzDecoder;
use tar::EntryType;

use crate::error::{DataError, Result};

/// Limits of an archive's contents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnpackLimits {
    /// Total bytes after decompression.
    pub max_bytes: u64,
    /// Files and folders.
    pub max_entries: usize,
}

impl Default for UnpackLimits {
    /// 1 GiB and 1,000 entries: the known archives have 185 MB and eight.
    fn default() -> Self {
        Self {
            max_bytes: 1 << 30,
            max_entries: 1000,
        }
    }
}

/// Unpacks a gzipped tar file into `target`, an existing folder. `progress` receives the number of bytes
/// written.
///
/// Only plain files and folders are accepted. Owners, permissions, times and extended attributes are ignored.
///
/// # Errors
/// If the archive is damaged; if an entry is a link, a device or anything else that is not a file or a folder,
/// has an absolute path or one with `..`, or occurs twice; if a limit is exceeded; if a file cannot be written.
/// Files unpacked before the error stay, so `target` should be a temporary folder.
pub fn unpack(
    archive: &Path,
    target: &Path,
    limits: UnpackLimits,
    progress: &mut dyn FnMut(u64),
) -> Result<()> {
    let refused = |problem: String| DataError::UnsafeArchive {
        path: archive.to_owned(),
        problem,
    };
    let damaged = |e: io::Error| refused(format!("it is damaged: {e}"));
    let file = File::open(archive).map_err(|e| DataError::read(archive, e))?;
    let gzip = MultiGzDecoder::new(BufReader::with_capacity(1 << 16, file));
    // Everything counts, including headers, so that no kind of entry can fill the memory.
    let limited = Limited {
        inner: gzip,
        left: limits
            .max_bytes
            .saturating_add(1024 * limits.max_entries as u64),
    };
    let mut tar = tar::Archive::new(limited);
    let mut written = 0_u64;
    for (index, entry) in tar.entries().map_err(damaged)?.enumerate() {
        let mut entry = entry.map_err(damaged)?;
        if index >= limits.max_entries {
            return Err(refused(format!(
                "it holds more than {} files and folders",
                limits.max_entries
            )));
        }
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let kind = entry.header().entry_type();
        if kind == EntryType::XGlobalHeader {
            continue;
        }
        let inside =
            safe_path(&name).map_err(|problem| refused(format!("its entry {name:?} {problem}")))?;
        let path = target.join(inside);
        match kind {
            EntryType::Directory => {
                fs::create_dir_all(&path).map_err(|e| DataError::write(&path, e))?
            }
            EntryType::Regular => {
                if entry.size() > limits.max_bytes - written {
                    return Err(refused(format!(
                        "it holds more than {} bytes",
                        limits.max_bytes
                    )));
                }
                write_entry(&mut entry, &path, &mut written, progress).map_err(|e| match e {
                    Failure::Reading(e) => damaged(e),
                    Failure::Writing(e) if e.kind() == io::ErrorKind::AlreadyExists => {
                        refused(format!("its entry {name:?} occurs twice"))
                    }
                    Failure::Writing(e) => DataError::write(&path, e),
                })?;
            }
            other => {
                return Err(refused(format!(
                    "its entry {name:?} is a {other:?}, but an archive may contain only files and folders"
                )));
            }
        }
    }
    Ok(())
}

enum Failure {
    Reading(io::Error),
    Writing(io::Error),
}

fn write_entry(
    entry: &mut impl Read,
    path: &Path,
    written: &mut u64,
    progress: &mut dyn FnMut(u64),
) -> Result<(), Failure> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(Failure::Writing)?;
    }
    let mut out = File::create_new(path).map_err(Failure::Writing)?;
    let mut buffer = vec![0; 1 << 18];
    loop {
        let n = entry.read(&mut buffer).map_err(Failure::Reading)?;
        if n == 0 {
            return out.sync_all().map_err(Failure::Writing);
        }
        out.write_all(&buffer[..n]).map_err(Failure::Writing)?;
        *written += n as u64;
        progress(*written);
    }
}

/// The path below the target folder for an entry's name.
fn safe_path(name: &str) -> Result<PathBuf, &'static str> {
    // A backslash or a colon would have another meaning on Windows.
    if name.contains(['\\', ':', '\0']) {
        return Err("has a character that is not allowed in a file name");
    }
    let mut path = PathBuf::new();
    for part in Path::new(name).components() {
        match part {
            Component::Normal(part) => path.push(part),
            Component::CurDir => {}
            Component::ParentDir => return Err("leaves its folder with .."),
            Component::RootDir | Component::Prefix(_) => return Err("has an absolute path"),
        }
    }
    Ok(path)
}

/// Fails if more bytes are read than allowed.
struct Limited<R> {
    inner: R,
    left: u64,
}

impl<R: Read> Read for Limited<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buffer)?;
        self.left = self
            .left
            .checked_sub(n as u64)
            .ok_or_else(|| io::Error::other("its unpacked size is far larger than expected"))?;
        Ok(n)
    }
}
