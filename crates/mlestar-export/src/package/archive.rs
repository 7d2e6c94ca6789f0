//! A package as one file: a tape archive compressed with Zstandard, `.tar.zst`.

use std::fs;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use mlestar_artifact::write_atomically;
use ruzstd::decoding::StreamingDecoder;
use ruzstd::encoding::{CompressionLevel, compress_to_vec};

use super::MANIFEST_FILE;
use super::read::{file_path, read_manifest};
use crate::bytes::{MAX_FILE_BYTES, read_file};
use crate::error::ExportError;

/// Ending of the file name of a packed package.
pub const EXTENSION: &str = ".tar.zst";
/// Most files that [`unpack`] writes.
const MOST_FILES: usize = 10_000;

/// Packs the package in the folder `dir` into the file `to`: the manifest first, then the files that it records, by
/// name. Equal packages give equal bytes.
///
/// # Errors
///
/// [`ExportError::Artifact`] if the manifest is missing or invalid or `to` cannot be written, [`ExportError::Read`] if
/// a file of the package cannot be read.
pub fn pack(dir: &Path, to: &Path) -> Result<(), ExportError> {
    Ok(write_atomically(to, &packed(dir)?)?)
}

/// Whether the file `archive` is the package in the folder `dir`, packed by [`pack`].
///
/// # Errors
///
/// As for [`pack`]; [`ExportError::Read`] if the file cannot be read.
pub fn holds(archive: &Path, dir: &Path) -> Result<bool, ExportError> {
    Ok(read_file(archive)? == packed(dir)?)
}

/// The bytes of the packed package.
fn packed(dir: &Path) -> Result<Vec<u8>, ExportError> {
    let manifest = read_manifest(dir)?;
    let path_of = |name: &str| {
        file_path(dir, name)
            .map_err(|reason| ExportError::malformed(&dir.join(MANIFEST_FILE), reason))
    };
    let mut files = vec![(MANIFEST_FILE, dir.join(MANIFEST_FILE))];
    for file in &manifest.files {
        files.push((&file.name, path_of(&file.name)?));
    }
    let failed = |source| ExportError::Read {
        path: dir.to_owned(),
        source,
    };
    let mut archive = tar::Builder::new(Vec::new());
    for (name, path) in files {
        let content = read_file(&path)?;
        let mut header = tar::Header::new_ustar();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        header.set_mtime(0);
        archive
            .append_data(&mut header, name, content.as_slice())
            .map_err(failed)?;
    }
    let plain = archive.into_inner().map_err(failed)?;
    Ok(compress_to_vec(plain.as_slice(), CompressionLevel::Fastest))
}

/// Unpacks a packed package into the folder `dir`, which is created if it is missing. The whole archive is read before
/// the first file is written, the manifest last. It does not check hashes: opening or verifying the package does.
///
/// # Errors
///
/// [`ExportError::Read`] if the file cannot be read, [`ExportError::Malformed`] if it is not such an archive, holds
/// something else than plain files with names inside the folder, or more than 2 GiB or 10,000 files;
/// [`ExportError::Artifact`] if a file cannot be written.
pub fn unpack(packed: &Path, dir: &Path) -> Result<(), ExportError> {
    let malformed = |reason: String| ExportError::malformed(packed, reason);
    let file = fs::File::open(packed).map_err(|source| ExportError::Read {
        path: packed.to_owned(),
        source,
    })?;
    let decoder = StreamingDecoder::new(BufReader::new(file))
        .map_err(|error| malformed(format!("it is no Zstandard file: {error}")))?;
    // A small file can unpack to a huge one.
    let mut archive = tar::Archive::new(decoder.take(MAX_FILE_BYTES));
    let unreadable = |error: std::io::Error| malformed(format!("damaged or cut short: {error}"));
    let mut files = Vec::new();
    for entry in archive.entries().map_err(unreadable)? {
        let mut entry = entry.map_err(unreadable)?;
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        if !entry.header().entry_type().is_file() {
            return Err(malformed(format!("{name:?} is no plain file")));
        }
        let path = match name == MANIFEST_FILE {
            true => dir.join(MANIFEST_FILE),
            false => file_path(dir, &name).map_err(malformed)?,
        };
        let mut content = Vec::new();
        entry.read_to_end(&mut content).map_err(unreadable)?;
        files.push((path, content));
        if files.len() > MOST_FILES {
            return Err(malformed(format!("more than {MOST_FILES} files")));
        }
    }
    if files.is_empty() {
        return Err(malformed("it holds no file".to_owned()));
    }
    // The manifest is the first file of an archive, and the last to be written.
    for (path, content) in files.iter().rev() {
        write_atomically(path, content)?;
    }
    Ok(())
}

/// The names of the files in a folder and the folders inside it, in order, with `/` between folders.
pub(super) fn file_names(dir: &Path) -> Result<Vec<String>, ExportError> {
    let mut names = Vec::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(folder) = folders.pop() {
        let error = |source| ExportError::Read {
            path: dir.join(&folder),
            source,
        };
        for entry in fs::read_dir(dir.join(&folder)).map_err(error)? {
            let entry = entry.map_err(error)?;
            let path = folder.join(entry.file_name());
            match entry.file_type().map_err(error)?.is_dir() {
                true => folders.push(path),
                false => {
                    let parts = path.iter().map(|part| part.to_string_lossy());
                    names.push(parts.collect::<Vec<_>>().join("/"));
                }
            }
        }
    }
    names.sort();
    Ok(names)
}
