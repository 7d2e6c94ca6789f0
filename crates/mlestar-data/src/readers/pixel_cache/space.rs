//! Checks before pixels are made that the disk has room for them.

use std::path::Path;

use super::listing;
use crate::error::{DataError, Result, in_units};

/// Room that is left for other files, in bytes.
const RESERVE: u64 = 64 << 20;

/// Fails if `needed` more bytes do not fit onto the disk of `folder`, in the cache `cache`.
pub(super) fn check(cache: &Path, folder: &Path, needed: u64) -> Result<()> {
    match free_bytes(folder) {
        Some(free) if free < needed.saturating_add(RESERVE) => {
            let others = listing::list(cache).unwrap_or_default();
            let others: Vec<_> = others
                .iter()
                .filter(|other| other.folder != folder)
                .collect();
            let bytes: u128 = others.iter().map(|other| u128::from(other.bytes)).sum();
            Err(DataError::NoRoom {
                cache: cache.to_owned(),
                needed: in_units(needed.into()),
                free: in_units(free.into()),
                others: match others.len() {
                    0 => String::new(),
                    n => format!(
                        " (it holds {n} other(s) with {}, which may be deleted)",
                        in_units(bytes)
                    ),
                },
            })
        }
        _ => Ok(()),
    }
}

/// The bytes that this user may still write; `None` if the system does not say.
#[cfg(unix)]
fn free_bytes(folder: &Path) -> Option<u64> {
    let found = rustix::fs::statvfs(folder).ok()?;
    Some(found.f_bavail.saturating_mul(found.f_frsize))
}

#[cfg(not(unix))]
fn free_bytes(_: &Path) -> Option<u64> {
    None
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_fit_is_refused_before_anything_is_written() {
        let folder = tempfile::tempdir().unwrap();
        check(folder.path(), folder.path(), 1).unwrap();
        let error = check(folder.path(), folder.path(), u64::MAX / 2).unwrap_err();
        let message = error.to_string();
        assert!(
            message.starts_with("the prepared images need 9223372036.9 GB in the folder "),
            "{message}"
        );
        assert!(
            message.contains(" are free there; make room, set data.cache to"),
            "{message}"
        );
    }
}
