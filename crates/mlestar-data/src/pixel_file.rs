//! A finished file of pixels, mapped into memory: it is read from the disk page by page as images are used, and the
//! system drops pages when it needs their memory.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

use memmap2::Mmap;

/// A read-only mapping of a whole file.
#[derive(Debug)]
pub(crate) struct PixelFile {
    map: Mmap,
    /// Open for the check in [`PixelFile::get`], with a shared lock: a program that asks for the lock leaves the file alone.
    file: File,
    path: PathBuf,
}

impl PixelFile {
    /// Maps a file of exactly `bytes` bytes, at least one. The file must be finished: nothing of this crate writes to a file
    /// under its final name.
    pub fn open(path: &Path, bytes: u64) -> io::Result<Self> {
        let file = File::open(path)?;
        file.lock_shared()?;
        let found = file.metadata()?.len();
        if found != bytes || bytes == 0 {
            let problem = format!("it has {found} bytes, but should have {bytes}");
            return Err(io::Error::new(io::ErrorKind::InvalidData, problem));
        }
        // SAFETY: the bytes behind a `&[u8]` must stay as they are and stay there. The mapping is private to `self`,
        // read-only, and lives as long as every slice that `get` returns. The file is written under another name, made
        // read-only and only then renamed to `path`; this crate never opens it for writing again, and removes it by its
        // name alone, which leaves the mapped content in place. Other programs would have to make it writable first. If
        // one shortens it all the same, `get` notices the length before it hands out a slice.
        #[allow(unsafe_code)]
        let map = unsafe { Mmap::map(&file)? };
        Ok(Self {
            map,
            file,
            path: path.to_owned(),
        })
    }

    pub fn len(&self) -> usize {
        self.map.len()
    }

    /// # Panics
    /// If the range is beyond the end, or another program has shortened the file.
    #[allow(clippy::panic)] // Documented by `ImageSet::pixels`; touching the missing pages would end the process.
    pub fn get(&self, range: Range<usize>) -> &[u8] {
        let path = self.path.display();
        match self.file.metadata().map(|metadata| metadata.len()) {
            Ok(found) if found >= self.map.len() as u64 => &self.map[range],
            Ok(found) => panic!(
                "{path} was shortened from {} to {found} bytes while it was in use: run the same command again",
                self.map.len()
            ),
            Err(e) => panic!("cannot read the length of {path}: {e}: run the same command again"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mapped_file_survives_its_removal_and_notices_that_it_was_shortened() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pixels");
        std::fs::write(&path, [1, 2, 3, 4]).unwrap();
        assert!(
            PixelFile::open(&path, 5)
                .unwrap_err()
                .to_string()
                .contains("should have 5")
        );
        let first = PixelFile::open(&path, 4).unwrap();
        let second = PixelFile::open(&path, 4).unwrap();
        assert_eq!(first.get(1..3), [2, 3]);
        let writable = File::options().write(true).open(&path).unwrap();
        assert!(writable.try_lock().is_err(), "it is in use");
        std::fs::remove_file(&path).unwrap();
        assert_eq!(first.get(1..3), [2, 3]);
        writable.set_len(3).unwrap();
        let touched =
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| second.get(0..1).len()));
        let message = *touched.unwrap_err().downcast::<String>().unwrap();
        assert!(
            message.contains("was shortened from 4 to 3 bytes"),
            "{message}"
        );
    }
}
