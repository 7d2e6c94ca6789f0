//! What the system reports about a file, to tell whether it changed.

use std::fs;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

/// A file that changed less than this ago may change again without a new time: within the clock's granularity, a second
/// change could leave its time as it is.
pub(crate) const UNSETTLED: Duration = Duration::from_secs(2);

/// What the system reports about a file. Times are in nanoseconds since 1970, negative before; a part is `None`
/// if the system does not report it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FileState {
    pub bytes: u64,
    changed_ns: Option<i64>,
    /// When content, name or attributes last changed; programs cannot set it.
    entry_changed_ns: Option<i64>,
    inode: Option<u64>,
}

impl FileState {
    pub fn of(metadata: &fs::Metadata) -> Self {
        #[cfg(unix)]
        let (entry_changed_ns, inode) = {
            use std::os::unix::fs::MetadataExt;
            let seconds = metadata.ctime().checked_mul(1_000_000_000);
            let ns = seconds.and_then(|ns| ns.checked_add(metadata.ctime_nsec()));
            (ns, Some(metadata.ino()))
        };
        #[cfg(not(unix))]
        let (entry_changed_ns, inode) = (None, None);
        Self {
            bytes: metadata.len(),
            changed_ns: metadata.modified().ok().and_then(nanoseconds),
            entry_changed_ns,
            inode,
        }
    }

    /// Whether the last change is long enough ago at `now` for the next one to show.
    pub fn is_settled(&self, now: SystemTime) -> bool {
        let last_change = self.changed_ns.max(self.entry_changed_ns);
        matches!((last_change, nanoseconds(now)), (Some(changed), Some(now))
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
