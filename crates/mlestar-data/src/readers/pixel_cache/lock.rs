//! The lock of a cache: one process makes or checks its pixels at a time.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::Request;
use crate::error::{DataError, Result};

const NAME: &str = "lock";

/// Time between two attempts to get the lock.
const PAUSE: Duration = Duration::from_millis(100);

pub(super) fn path(folder: &Path) -> PathBuf {
    folder.join(NAME)
}

/// Waits for the lock, which is released when the file is dropped or the process ends, and notes the time of use.
pub(super) fn exclusive(folder: &Path, request: &Request<'_>) -> Result<File> {
    loop {
        match attempt(folder)? {
            Some(file) => {
                // The time is only information for `list`.
                let _ = file.set_modified(SystemTime::now());
                return Ok(file);
            }
            None => {
                request.check_stop()?;
                std::thread::sleep(PAUSE);
            }
        }
    }
}

/// The lock, unless another process holds it.
pub(super) fn attempt(folder: &Path) -> Result<Option<File>> {
    let path = path(folder);
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path);
    let file = file.map_err(|e| DataError::write(&path, e))?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(e)) => Err(DataError::write(&path, e)),
    }
}
