//! Removes what killed processes leave behind.

use crate::ArtifactError;
use std::fs;
use std::io;
use std::path::Path;

/// Prefix of the names of unfinished files and scratch folders; no other names have it. A process removes its
/// own when it ends, unless it is killed.
pub const PARTIAL_PREFIX: &str = ".partial-";

/// Removes every file and folder in `folder` and below whose name starts with [`PARTIAL_PREFIX`]. The folder
/// may be absent. Only the single process that writes there may call this: it cannot distinguish leftovers from
/// files that are being written.
///
/// # Errors
/// [`ArtifactError::Read`] or [`ArtifactError::Write`] with the path that cannot be read or removed.
pub fn remove_leftovers(folder: &Path) -> Result<(), ArtifactError> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(ArtifactError::read(folder, error)),
    };
    for entry in entries {
        let entry = entry.map_err(|error| ArtifactError::read(folder, error))?;
        let path = entry.path();
        // A link is not followed.
        let is_folder = entry
            .file_type()
            .map_err(|error| ArtifactError::read(&path, error))?
            .is_dir();
        let is_left_over = entry
            .file_name()
            .as_encoded_bytes()
            .starts_with(PARTIAL_PREFIX.as_bytes());
        match (is_left_over, is_folder) {
            (true, true) => {
                fs::remove_dir_all(&path).map_err(|error| ArtifactError::write(&path, error))?;
            }
            (true, false) => {
                fs::remove_file(&path).map_err(|error| ArtifactError::write(&path, error))?;
            }
            (false, true) => remove_leftovers(&path)?,
            (false, false) => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::AtomicFile;
    use std::io::Write;

    #[test]
    fn what_a_killed_process_was_writing_goes_and_all_else_stays() {
        let folder = tempfile::tempdir().unwrap();
        let whole = folder.path().join("deep/file");
        crate::write_atomically(&whole, b"whole").unwrap();
        fs::write(folder.path().join("deep/.hidden"), "mine").unwrap();
        fs::create_dir_all(folder.path().join("deep/.partial-scratch/deeper")).unwrap();
        // Not dropped, as when the process is killed.
        let mut file = AtomicFile::create(&whole).unwrap();
        file.write_all(b"half").unwrap();
        std::mem::forget(file);

        let names = || {
            let mut names: Vec<_> = fs::read_dir(folder.path().join("deep"))
                .unwrap()
                .map(|entry| entry.unwrap().file_name())
                .collect();
            names.sort();
            names
        };
        assert_eq!(names().len(), 4);
        remove_leftovers(folder.path()).unwrap();
        assert_eq!(names(), [".hidden", "file"]);
        assert_eq!(fs::read(&whole).unwrap(), b"whole");
        remove_leftovers(&folder.path().join("none")).unwrap();
    }
}
