//! The journal of a study: a file with one JSON object per line, in the format of Optuna's `JournalStorage`
//! (optuna/storages/journal, versions 3 to 5). Optuna's tools read the studies of this crate, and this crate reads theirs.
//!
//! Lines are only ever appended, under a lock that Optuna's writers respect and that ends with the process that holds it. A line that a killed
//! process left incomplete is removed by the next writer.

mod distribution;
mod line;
mod lock;
mod replay;
mod time;

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use crate::TuneError;
pub(crate) use line::Operation;
pub(crate) use lock::Locked;
pub(crate) use replay::{JournalTrial, Replay, State};

/// A journal, and what its lines say so far.
#[derive(Debug)]
pub(crate) struct Journal {
    path: PathBuf,
    file: File,
    /// Bytes that were read.
    read: u64,
    /// Complete lines that were read.
    n_lines: usize,
    replay: Replay,
    /// Name of this process in the lines that it writes.
    worker: String,
}

impl Journal {
    /// Opens the journal, or starts it, and reads it.
    pub(crate) fn open(path: &Path, worker: &str) -> Result<Self, TuneError> {
        let file = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .open(path)
            .map_err(|source| TuneError::journal(path, source))?;
        Self::of(path, file, worker)
    }

    /// Opens a journal that must exist, without writing it.
    pub(crate) fn open_to_read(path: &Path) -> Result<Self, TuneError> {
        let file = File::open(path).map_err(|source| TuneError::journal(path, source))?;
        Self::of(path, file, "")
    }

    fn of(path: &Path, file: File, worker: &str) -> Result<Self, TuneError> {
        let mut journal = Self {
            path: path.to_owned(),
            file,
            read: 0,
            n_lines: 0,
            replay: Replay::default(),
            worker: worker.to_owned(),
        };
        journal.sync()?;
        Ok(journal)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// What the lines say.
    pub(crate) fn replay(&self) -> &Replay {
        &self.replay
    }

    /// Reads the lines that were added since the last time. An incomplete last line is left for later.
    pub(crate) fn sync(&mut self) -> Result<(), TuneError> {
        let fail = |source| TuneError::journal(&self.path, source);
        let mut bytes = Vec::new();
        self.file.seek(SeekFrom::Start(self.read)).map_err(fail)?;
        self.file.read_to_end(&mut bytes).map_err(fail)?;
        let complete = bytes
            .iter()
            .rposition(|byte| *byte == b'\n')
            .map_or(0, |at| at + 1);
        for line in bytes[..complete].split_inclusive(|byte| *byte == b'\n') {
            let applied = line::parse(line, &mut |line| self.replay.apply(line));
            applied.map_err(|message| {
                TuneError::damaged_journal(&self.path, self.n_lines + 1, message)
            })?;
            self.n_lines += 1;
            self.read += line.len() as u64;
        }
        Ok(())
    }

    /// Takes the lock, and reads what others wrote. The journal does not change while the guard lives.
    pub(crate) fn lock(&mut self) -> Result<Locked, TuneError> {
        let locked = lock::acquire(&self.path)?;
        self.sync()?;
        Ok(locked)
    }

    /// Appends operations. Either all are written, or none and there is an error. They survive the end of this process; results and what
    /// people asked for are on the disk when this returns, and with them all that was written before.
    pub(crate) fn append(
        &mut self,
        _locked: &Locked,
        operations: &[Operation],
    ) -> Result<(), TuneError> {
        let mut text = Vec::new();
        for operation in operations {
            let object = operation.to_json(&self.worker);
            text.extend_from_slice(object.to_string().as_bytes());
            text.push(b'\n');
        }
        let fail = |source| TuneError::journal(&self.path, source);
        let length = self.file.metadata().map_err(fail)?.len();
        if length > self.read {
            // A writer was killed in the middle of a line: everything complete has been read.
            self.file.set_len(self.read).map_err(fail)?;
        }
        let must_last = operations.iter().any(Operation::must_last);
        let written = self.file.write_all(&text).and_then(|()| match must_last {
            true => self.file.sync_data(),
            false => Ok(()),
        });
        if let Err(source) = written {
            // Takes a partial line back. If that fails too, the next writer removes it.
            let _ = self.file.set_len(self.read);
            return Err(fail(source));
        }
        self.sync()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::study::Direction;

    fn create(name: &str) -> Operation {
        Operation::CreateStudy {
            name: name.into(),
            directions: vec![Direction::Maximize],
        }
    }

    #[test]
    fn an_incomplete_line_is_ignored_and_then_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.log");
        let mut journal = Journal::open(&path, "a").unwrap();
        let locked = journal.lock().unwrap();
        journal.append(&locked, &[create("one")]).unwrap();
        drop(locked);
        let whole = std::fs::read(&path).unwrap();
        for cut in 0..whole.len() {
            std::fs::write(&path, [&whole[..], &whole[..cut]].concat()).unwrap();
            let mut torn = Journal::open(&path, "b").unwrap();
            assert_eq!(torn.replay().studies().count(), 1);
            let locked = torn.lock().unwrap();
            torn.append(&locked, &[create("two")]).unwrap();
            drop(locked);
            let again = Journal::open_to_read(&path).unwrap();
            assert_eq!(again.replay().studies().count(), 2, "cut at {cut}");
        }
    }

    #[test]
    fn a_damaged_line_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.log");
        std::fs::write(&path, "{\"op_code\":0,\"worker_id\":\"w\",\"study_name\":\"s\",\"directions\":[2]}\n{\"op_code\":4,\n").unwrap();
        let error = Journal::open(&path, "a").unwrap_err().to_string();
        assert!(error.contains("journal.log, line 2"), "{error}");
        let error = Journal::open_to_read(&folder.path().join("none")).unwrap_err();
        assert!(error.to_string().contains("none"), "{error}");
    }

    #[test]
    fn writers_take_turns() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.log");
        let threads: Vec<_> = (0..4)
            .map(|thread| {
                let path = path.clone();
                std::thread::spawn(move || {
                    let mut journal = Journal::open(&path, &thread.to_string()).unwrap();
                    for number in 0..20 {
                        let locked = journal.lock().unwrap();
                        let name = format!("{thread} {number}");
                        journal.append(&locked, &[create(&name)]).unwrap();
                    }
                })
            })
            .collect();
        threads
            .into_iter()
            .for_each(|thread| thread.join().unwrap());
        let journal = Journal::open_to_read(&path).unwrap();
        assert_eq!(journal.replay().studies().count(), 80);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_full_disk_is_an_error_that_names_the_file() {
        // Every write to this device fails with "no space left on device".
        let file = OpenOptions::new()
            .read(true)
            .append(true)
            .open("/dev/full")
            .unwrap();
        let journal = Journal {
            path: PathBuf::from("/dev/full"),
            file,
            read: 0,
            n_lines: 0,
            replay: Replay::default(),
            worker: "a".into(),
        };
        let folder = tempfile::tempdir().unwrap();
        let locked = lock::acquire(&folder.path().join("other")).unwrap();
        let mut journal = journal;
        let error = journal
            .append(&locked, &[create("one")])
            .unwrap_err()
            .to_string();
        assert!(error.contains("/dev/full"), "{error}");
        assert_eq!(journal.replay().studies().count(), 0);
    }
}
