//! Which processes are at work.

use std::collections::HashSet;
use std::fs::{self, File, OpenOptions};
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::TuneError;

/// The file by which others see that this process lives: it is locked as long as it does, and touched regularly.
#[derive(Debug)]
pub(super) struct Presence {
    id: String,
    folder: PathBuf,
    file: File,
    awake: Arc<Mutex<Awake>>,
    /// The processes that were there while this one looked.
    seen: Mutex<HashSet<String>>,
}

/// Another process, as far as this one can tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sign {
    AtWork,
    /// It exists, but has not shown itself for too long: it is paused, or hangs, or its machine is gone. It may go on any time.
    Silent,
    /// It does not exist any more.
    Ended,
}

/// When this process ran. A process that was paused itself, as when a laptop sleeps, knows nothing about the others: they
/// may have been paused with it.
#[derive(Debug, Default)]
struct Awake {
    last_beat: Option<SystemTime>,
    /// The end of the last pause.
    since: Option<SystemTime>,
}

impl Awake {
    /// Notes a beat.
    fn beat(&mut self, now: SystemTime, patience: Duration) {
        if self
            .last_beat
            .is_some_and(|last| is_longer(last, now, patience / 2))
        {
            self.since = Some(now);
        }
        self.last_beat = Some(now);
    }

    /// Whether the others had time to show themselves.
    fn may_judge(&self, now: SystemTime, patience: Duration) -> bool {
        let is_paused = self
            .last_beat
            .is_some_and(|last| is_longer(last, now, patience / 2));
        !is_paused
            && self
                .since
                .is_none_or(|since| is_longer(since, now, patience / 2))
    }
}

fn is_longer(from: SystemTime, to: SystemTime, than: Duration) -> bool {
    to.duration_since(from).is_ok_and(|time| time > than)
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
        Ok(Self {
            id,
            folder,
            file,
            awake: Arc::default(),
            seen: Mutex::default(),
        })
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
        let awake = Arc::clone(&self.awake);
        let touch = move || {
            loop {
                lock(&awake).beat(SystemTime::now(), patience);
                if ended.recv_timeout(patience / 10) != Err(RecvTimeoutError::Timeout) {
                    break;
                }
                // A beat that fails is made up for by the next one.
                let _ = touch(&file);
            }
            // Without beats a gap between them says nothing.
            *lock(&awake) = Awake::default();
        };
        Beating {
            end: Some(end),
            thread: Some(std::thread::spawn(touch)),
        }
    }

    /// What the process of that name shows of itself.
    pub(super) fn sign_of(&self, id: &str, patience: Duration) -> Sign {
        if id == self.id {
            return Sign::AtWork;
        }
        // Names come from the journal: they must not lead elsewhere.
        if id.contains(['/', '\\']) {
            return Sign::Ended;
        }
        let path = self.folder.join(id);
        let Ok(other) = OpenOptions::new().write(true).open(&path) else {
            return Sign::Ended;
        };
        if other.try_lock().is_ok() {
            let _ = fs::remove_file(&path);
            return Sign::Ended;
        }
        lock(&self.seen).insert(id.to_owned());
        if !lock(&self.awake).may_judge(SystemTime::now(), patience) {
            return Sign::AtWork;
        }
        // The time of the last beat is compared with a file of our own, whose time comes from the same clock: that of the file system.
        let _ = touch(&self.file);
        let modified = |file: &File| file.metadata().and_then(|data| data.modified()).ok();
        match (modified(&self.file), modified(&other)) {
            (Some(now), Some(last)) if is_longer(last, now, patience) => Sign::Silent,
            _ => Sign::AtWork,
        }
    }
}

impl Presence {
    /// Whether that process ended while this one was there, or is the one that this one replaces.
    pub(super) fn has_outlived(&self, id: &str, replaces: Option<u32>) -> bool {
        let is_replaced = replaces.is_some_and(|process| id.starts_with(&format!("{process}-")));
        is_replaced || lock(&self.seen).contains(id)
    }
}

/// Writes the file, so that its file system sets the time; a time that is set comes from this machine's clock.
fn touch(mut file: &File) -> std::io::Result<()> {
    file.seek(SeekFrom::Start(0))?;
    file.write_all(b"\n")?;
    // Other machines see it only then.
    file.sync_data()
}

fn lock<T>(value: &Mutex<T>) -> MutexGuard<'_, T> {
    value.lock().unwrap_or_else(PoisonError::into_inner)
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
        assert_eq!(one.sign_of(two.id(), patience), Sign::AtWork);
        let long_ago = SystemTime::now() - Duration::from_secs(90);
        two.file.set_modified(long_ago).unwrap();
        assert_eq!(one.sign_of(two.id(), patience), Sign::Silent);
        let beating = two.beat(Duration::from_millis(100));
        std::thread::sleep(Duration::from_millis(300));
        assert_eq!(one.sign_of(two.id(), patience), Sign::AtWork);
        drop(beating);
        let name = two.id().to_owned();
        drop(two);
        assert_eq!(one.sign_of(&name, patience), Sign::Ended);
        assert_eq!(one.sign_of("../journal", patience), Sign::Ended);
    }

    #[test]
    fn a_process_that_was_paused_itself_waits_for_the_beats_of_the_others() {
        let (patience, begin) = (Duration::from_secs(100), SystemTime::UNIX_EPOCH);
        let at = |seconds| begin + Duration::from_secs(seconds);
        let mut awake = Awake::default();
        assert!(awake.may_judge(at(0), patience));
        for beat in [0, 10, 20] {
            awake.beat(at(beat), patience);
        }
        assert!(awake.may_judge(at(30), patience));
        // Paused from 20 to 500: first the thread that judges runs again, then the one that beats.
        assert!(!awake.may_judge(at(500), patience));
        awake.beat(at(501), patience);
        assert!(!awake.may_judge(at(501), patience));
        for beat in (511..=551).step_by(10) {
            awake.beat(at(beat), patience);
            assert!(!awake.may_judge(at(beat), patience));
        }
        awake.beat(at(561), patience);
        assert!(awake.may_judge(at(561), patience));
    }
}
