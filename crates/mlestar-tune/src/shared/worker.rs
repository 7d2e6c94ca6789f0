//! Which processes are at work.

use std::fs::{self, File, OpenOptions};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::TuneError;

/// The file by which others see that this process lives: it is locked as long as it does, and touched regularly.
#[derive(Debug)]
pub(super) struct Presence {
    id: String,
    folder: PathBuf,
    file: File,
}

/// Touches the file until it is dropped.
pub(super) struct Beating {
    end: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Presence {
    pub(super) fn new(journal: &Path) -> Result<Self, TuneError> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let folder = folder(journal);
        let since = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let id = format!("{}-{:x}-{count}", std::process::id(), since.as_nanos());
        let path = folder.join(&id);
        let open = || OpenOptions::new().create_new(true).write(true).open(&path);
        let file = fs::create_dir_all(&folder)
            .and_then(|()| open())
            .and_then(|file| file.lock().map(|()| file))
            .map_err(|source| TuneError::journal(&path, source))?;
        Ok(Self { id, folder, file })
    }

    /// Name of this process in the journal.
    pub(super) fn id(&self) -> &str {
        &self.id
    }

    /// Touches the file several times within `patience`, until the result is dropped.
    pub(super) fn beat(&self, patience: Duration) -> Beating {
        let (end, ended) = mpsc::channel();
        let Ok(file) = self.file.try_clone() else {
            return Beating {
                end: None,
                thread: None,
            };
        };
        let touch = move || {
            while ended.recv_timeout(patience / 10) == Err(RecvTimeoutError::Timeout) {
                // A beat that fails is made up for by the next one.
                let _ = file.set_modified(SystemTime::now());
            }
        };
        Beating {
            end: Some(end),
            thread: Some(std::thread::spawn(touch)),
        }
    }

    /// Whether the process of that name has ended.
    pub(super) fn has_ended(&self, id: &str, patience: Duration) -> bool {
        if id == self.id {
            return false;
        }
        // Names come from the journal: they must not lead elsewhere.
        if id.contains(['/', '\\']) {
            return true;
        }
        let path = self.folder.join(id);
        let Ok(other) = OpenOptions::new().write(true).open(&path) else {
            return true;
        };
        if other.try_lock().is_ok() {
            let _ = fs::remove_file(&path);
            return true;
        }
        // Where locks do not reach another machine, the time of the last beat tells. It is compared with a file of our own, whose time
        // comes from the same clock.
        let _ = self.file.set_modified(SystemTime::now());
        let modified = |file: &File| file.metadata().and_then(|data| data.modified()).ok();
        match (modified(&self.file), modified(&other)) {
            (Some(now), Some(last)) => now.duration_since(last).is_ok_and(|since| since > patience),
            _ => false,
        }
    }
}

/// Whether the process of that name is at work, as far as its lock tells; nothing is written.
pub(super) fn is_at_work(journal: &Path, id: &str) -> bool {
    if id.contains(['/', '\\']) {
        return false;
    }
    let file = File::open(folder(journal).join(id));
    file.is_ok_and(|file| file.try_lock_shared().is_err())
}

impl Drop for Presence {
    fn drop(&mut self) {
        // One that stays is removed by the first process that looks for its owner.
        let _ = fs::remove_file(self.folder.join(&self.id));
    }
}

impl Drop for Beating {
    fn drop(&mut self) {
        self.end.take();
        if let Some(thread) = self.thread.take() {
            // A panic of the thread would only have ended the beats.
            let _ = thread.join();
        }
    }
}

fn folder(journal: &Path) -> PathBuf {
    let mut name = journal.as_os_str().to_owned();
    name.push(".workers");
    PathBuf::from(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_ended_or_hangs_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let journal = folder.path().join("journal.log");
        let (one, two) = (
            Presence::new(&journal).unwrap(),
            Presence::new(&journal).unwrap(),
        );
        let patience = Duration::from_secs(60);
        assert!(!one.has_ended(two.id(), patience));
        let long_ago = SystemTime::now() - Duration::from_secs(90);
        two.file.set_modified(long_ago).unwrap();
        assert!(one.has_ended(two.id(), patience));
        let beating = two.beat(Duration::from_millis(100));
        std::thread::sleep(Duration::from_millis(300));
        assert!(!one.has_ended(two.id(), patience));
        drop(beating);
        let name = two.id().to_owned();
        drop(two);
        assert!(one.has_ended(&name, patience));
        assert!(one.has_ended("../journal", patience));
    }
}
