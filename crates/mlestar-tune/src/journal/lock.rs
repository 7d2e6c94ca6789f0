//! The lock of a journal.

use std::fs::{self, File, OpenOptions};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use crate::TuneError;

/// Content of the file that stands for a lock of ours.
const OURS: &[u8] = b"mlestar\n";
/// After so long, a lock of another program that does not change is taken away, as Optuna does.
const GRACE: Duration = Duration::from_secs(30);

/// A held lock; dropping it ends it.
///
/// It is two locks: one of the operating system on `<journal>.guard`, which ends with the process, and the file
/// `<journal>.lock`, which Optuna's writers create and wait for. Only the holder of the first creates the second, so one that is found with our
/// content belongs to a process that was killed, and is taken over at once.
#[derive(Debug)]
pub(crate) struct Locked {
    lock: PathBuf,
    _guard: File,
}

impl Drop for Locked {
    fn drop(&mut self) {
        // If it cannot be removed, the next holder of the guard takes it over.
        let _ = fs::remove_file(&self.lock);
    }
}

/// Waits for the lock of a journal.
pub(crate) fn acquire(journal: &Path) -> Result<Locked, TuneError> {
    let beside = |suffix: &str| {
        let mut name = journal.as_os_str().to_owned();
        name.push(suffix);
        PathBuf::from(name)
    };
    let (guard_path, lock) = (beside(".guard"), beside(".lock"));
    let fail = |path: &Path, source| TuneError::journal(path, source);
    let guard = open_guard(&guard_path).map_err(|source| fail(&guard_path, source))?;
    guard.lock().map_err(|source| fail(&guard_path, source))?;
    let mut unchanged: Option<(SystemTime, Instant)> = None;
    let mut pause = Duration::from_millis(1);
    loop {
        // The guard's file has our content, and a link appears with it in one step.
        match fs::hard_link(&guard_path, &lock) {
            Ok(()) => {
                return Ok(Locked {
                    lock,
                    _guard: guard,
                });
            }
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(source) => return Err(fail(&lock, source)),
        }
        let is_left_over = match &unchanged {
            _ if fs::read(&lock).is_ok_and(|content| content == OURS) => true,
            Some((_, since)) => since.elapsed() > GRACE,
            None => false,
        };
        if is_left_over {
            match fs::remove_file(&lock) {
                Err(source) if source.kind() != ErrorKind::NotFound => {
                    return Err(fail(&lock, source));
                }
                _ => unchanged = None,
            }
            continue;
        }
        let changed = fs::symlink_metadata(&lock).and_then(|lock| lock.modified());
        if let Ok(changed) = changed
            && unchanged.is_none_or(|(before, _)| before != changed)
        {
            unchanged = Some((changed, Instant::now()));
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(100));
    }
}

/// The file of the guard, with our content.
fn open_guard(path: &Path) -> std::io::Result<File> {
    if !fs::metadata(path).is_ok_and(|file| file.len() == OURS.len() as u64) {
        fs::write(path, OURS)?;
    }
    OpenOptions::new().read(true).write(true).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lock_of_a_killed_process_is_taken_over_and_a_foreign_one_is_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let journal = folder.path().join("journal.log");
        let lock = folder.path().join("journal.log.lock");
        fs::write(&lock, OURS).unwrap();
        let begin = Instant::now();
        drop(acquire(&journal).unwrap());
        assert!(begin.elapsed() < Duration::from_secs(5));
        assert!(!lock.exists());

        fs::write(&lock, "").unwrap();
        let other = lock.clone();
        let waiting = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(150));
            fs::remove_file(other).unwrap();
        });
        let begin = Instant::now();
        drop(acquire(&journal).unwrap());
        assert!(begin.elapsed() >= Duration::from_millis(140));
        waiting.join().unwrap();
    }
}
