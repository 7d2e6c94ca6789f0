//! Files that appear completely or not at all.

use crate::{ArtifactError, PARTIAL_PREFIX};
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use tempfile::NamedTempFile;

/// A file under construction. It gets its final name only in [`AtomicFile::commit`]. If it is dropped before
/// that, nothing is left. If the process is killed before that, the remaining file is removed by
/// [`remove_leftovers`](crate::remove_leftovers).
#[derive(Debug)]
pub struct AtomicFile {
    path: PathBuf,
    writer: BufWriter<NamedTempFile>,
}

impl AtomicFile {
    /// Starts a file for `path`; creates its parent folders.
    ///
    /// # Errors
    /// [`ArtifactError::Write`] if the folder cannot be created or written.
    pub fn create(path: &Path) -> Result<Self, ArtifactError> {
        let folder = folder_of(path);
        let temporary = fs::create_dir_all(folder)
            .and_then(|()| NamedTempFile::with_prefix_in(PARTIAL_PREFIX, folder))
            .map_err(|source| ArtifactError::write(path, source))?;
        Ok(Self {
            path: path.to_owned(),
            writer: BufWriter::new(temporary),
        })
    }

    /// Makes the content durable and gives the file its final name, replacing an existing file.
    ///
    /// # Errors
    /// [`ArtifactError::Write`]; an existing file at the path is then unchanged.
    pub fn commit(self) -> Result<(), ArtifactError> {
        let path = self.path;
        let fail = |source| ArtifactError::write(&path, source);
        let temporary = self
            .writer
            .into_inner()
            .map_err(|error| fail(error.into_error()))?;
        widen_permissions(temporary.as_file()).map_err(fail)?;
        temporary.as_file().sync_all().map_err(fail)?;
        temporary
            .persist(&path)
            .map_err(|error| fail(error.error))?;
        sync_folder(folder_of(&path)).map_err(fail)
    }
}

impl Write for AtomicFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.writer.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}

/// Writes `bytes` to `path` so that a reader sees the old or the new content, never a part.
///
/// # Errors
/// [`ArtifactError::Write`]: no space, no permission, or a folder that cannot be created.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> Result<(), ArtifactError> {
    let mut file = AtomicFile::create(path)?;
    file.write_all(bytes)
        .map_err(|source| ArtifactError::write(path, source))?;
    file.commit()
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// Temporary files are private to their owner; artifacts should be as readable as any file.
#[cfg(unix)]
fn widen_permissions(file: &File) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    file.set_permissions(fs::Permissions::from_mode(0o644))
}

#[cfg(not(unix))]
fn widen_permissions(_file: &File) -> io::Result<()> {
    Ok(())
}

/// Makes the rename itself durable. Windows has no folder handle that could be synced and journals the rename.
#[cfg(unix)]
fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

#[cfg(not(unix))]
fn sync_folder(_folder: &Path) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names_in(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn a_write_replaces_the_whole_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/er/file");
        write_atomically(&path, b"a longer first content").unwrap();
        write_atomically(&path, b"second").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"second");
        assert_eq!(names_in(path.parent().unwrap()), ["file"]);
    }

    #[test]
    fn what_is_not_committed_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        write_atomically(&path, b"old").unwrap();
        let mut file = AtomicFile::create(&path).unwrap();
        file.write_all(b"half").unwrap();
        file.flush().unwrap();
        drop(file);
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(names_in(folder.path()), ["file"]);
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_an_error_that_names_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let in_the_way = folder.path().join("file");
        fs::write(&in_the_way, "").unwrap();
        let error = write_atomically(&in_the_way.join("below"), b"").unwrap_err();
        assert!(matches!(error, ArtifactError::Write { .. }), "{error}");
        assert!(error.to_string().contains("below"), "{error}");
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_full_disk_is_an_error_and_leaves_nothing() {
        // Writing to /dev/full fails like a full disk; the rename is never reached.
        let full = fs::OpenOptions::new()
            .write(true)
            .open("/dev/full")
            .unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let mut file = AtomicFile::create(&path).unwrap();
        *file.writer.get_mut().as_file_mut() = full;
        file.write_all(b"content").unwrap();
        let error = file.commit().unwrap_err();
        assert!(error.to_string().contains("free space"), "{error}");
        assert!(names_in(folder.path()).is_empty());
    }
}
