//! Reads a growing log incrementally.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use mlestar_artifact::ArtifactError;
use serde::de::DeserializeOwned;

use super::reader::{History, METRICS_FILE, STEPS_FILE, extend_in_order, parse_lines, read_error};
use crate::{EpochRecord, StepRecord};

/// Reads the lines appended to a JSON lines file since the last call. Following a training of 100,000 steps
/// does not have to reread the whole file every second.
///
/// If the file was replaced or truncated, as a resumed training does, it is read again from the start.
#[derive(Debug)]
pub struct Follower {
    path: PathBuf,
    /// Number of bytes read so far. Always ends right after a newline.
    offset: u64,
    n_lines: usize,
    /// The last bytes before `offset`. If they differ, the file has been replaced.
    tail: Vec<u8>,
}

/// The result of one read.
#[derive(Debug, Clone, PartialEq)]
pub struct News<T> {
    /// The new records.
    pub records: Vec<T>,
    /// Whether the records start over. If true, discard the records of earlier reads.
    pub is_anew: bool,
}

const TAIL: usize = 256;

impl Follower {
    /// Follows the file at `path`, which need not exist yet.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            offset: 0,
            n_lines: 0,
            tail: Vec::new(),
        }
    }

    /// The followed file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The records of all lines completed since the last call. Values that are not finite become NaN, as in
    /// [`read_epochs`](super::read_epochs). A file that does not exist yields no records.
    ///
    /// # Errors
    ///
    /// [`ArtifactError::Read`], or [`ArtifactError::Invalid`] with the number of the first line that cannot be
    /// parsed.
    pub fn read<T: DeserializeOwned>(&mut self) -> Result<News<T>, ArtifactError> {
        let mut file = match File::open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let is_anew = self.restart();
                return Ok(News {
                    records: Vec::new(),
                    is_anew,
                });
            }
            Err(error) => return Err(read_error(&self.path, error)),
        };
        let mut bytes = Vec::new();
        let start = self.offset - self.tail.len() as u64;
        let is_same = file
            .seek(SeekFrom::Start(start))
            .and_then(|_| file.read_to_end(&mut bytes))
            .map(|_| bytes.starts_with(&self.tail))
            .map_err(|error| read_error(&self.path, error))?;
        if is_same {
            let new = bytes.split_off(self.tail.len());
            return Ok(News {
                records: self.take(&new)?,
                is_anew: false,
            });
        }
        self.restart();
        bytes.clear();
        file.seek(SeekFrom::Start(0))
            .and_then(|_| file.read_to_end(&mut bytes))
            .map_err(|error| read_error(&self.path, error))?;
        Ok(News {
            records: self.take(&bytes)?,
            is_anew: true,
        })
    }

    /// Forgets everything read so far. Returns true if there was anything to forget.
    fn restart(&mut self) -> bool {
        let had_read = self.offset > 0;
        (self.offset, self.n_lines) = (0, 0);
        self.tail.clear();
        had_read
    }

    fn take<T: DeserializeOwned>(&mut self, bytes: &[u8]) -> Result<Vec<T>, ArtifactError> {
        let (records, whole) = parse_lines(&self.path, bytes, self.n_lines)?;
        let read = &bytes[..whole];
        self.offset += whole as u64;
        self.n_lines += read.iter().filter(|byte| **byte == b'\n').count();
        self.tail
            .extend_from_slice(&read[whole.saturating_sub(TAIL)..]);
        let surplus = self.tail.len().saturating_sub(TAIL);
        self.tail.drain(..surplus);
        Ok(records)
    }
}

/// Follows both files that a training writes.
#[derive(Debug)]
pub struct HistoryFollower {
    metrics: Follower,
    steps: Follower,
    history: History,
}

impl HistoryFollower {
    /// Follows the training in `folder`, whose files need not exist yet.
    #[must_use]
    pub fn new(folder: &Path) -> Self {
        Self {
            metrics: Follower::new(folder.join(METRICS_FILE)),
            steps: Follower::new(folder.join(STEPS_FILE)),
            history: History::default(),
        }
    }

    /// Everything recorded up to the last [`read`](Self::read).
    #[must_use]
    pub fn history(&self) -> &History {
        &self.history
    }

    /// Reads new records. Returns true if the history has changed.
    ///
    /// # Errors
    ///
    /// As [`Follower::read`].
    pub fn read(&mut self) -> Result<bool, ArtifactError> {
        let epochs = self.metrics.read::<EpochRecord>()?;
        let steps = self.steps.read::<StepRecord>()?;
        let is_changed = [
            take_in(&mut self.history.epochs, epochs, |record| {
                record.epoch as u64
            }),
            take_in(&mut self.history.steps, steps, |record| record.step),
        ];
        Ok(is_changed.contains(&true))
    }
}

fn take_in<T>(known: &mut Vec<T>, news: News<T>, number: impl Fn(&T) -> u64) -> bool {
    let is_changed = news.is_anew || !news.records.is_empty();
    if news.is_anew {
        known.clear();
    }
    extend_in_order(known, news.records, number);
    is_changed
}

#[cfg(test)]
mod tests {
    use super::super::testing::Simulation;
    use super::*;
    use crate::StepRecord;
    use std::fs;
    use std::io::Write;

    #[test]
    fn only_what_is_new_is_read_and_a_replaced_file_is_read_anew() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("steps.jsonl");
        let steps = Simulation {
            epochs: 1,
            ..Simulation::default()
        }
        .run()
        .steps;
        let line = |step: &StepRecord| serde_json::to_string(step).unwrap() + "\n";
        let mut follower = Follower::new(&path);
        let mut check = |expected: &[StepRecord], is_anew: bool| {
            let news = follower.read::<StepRecord>().unwrap();
            assert_eq!(news.records, expected);
            assert_eq!(news.is_anew, is_anew);
        };
        check(&[], false);
        fs::write(&path, line(&steps[0]) + &line(&steps[1])).unwrap();
        check(&steps[..2], false);
        check(&[], false);
        // One line written in two pieces.
        let text = line(&steps[2]);
        let mut file = fs::OpenOptions::new().append(true).open(&path).unwrap();
        file.write_all(&text.as_bytes()[..10]).unwrap();
        check(&[], false);
        file.write_all(&text.as_bytes()[10..]).unwrap();
        file.write_all(line(&steps[3]).as_bytes()).unwrap();
        check(&steps[2..4], false);
        // Truncated, then appended to, as by a resumed training. The new file is longer than the old one.
        let others: String = steps[10..30].iter().map(line).collect();
        fs::write(&path, line(&steps[0]) + &others).unwrap();
        let expected: Vec<StepRecord> = steps[..1].iter().chain(&steps[10..30]).copied().collect();
        check(&expected, true);
        fs::remove_file(&path).unwrap();
        check(&[], true);
    }

    #[test]
    fn a_history_is_followed_through_a_resumption() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(STEPS_FILE);
        let record = Simulation {
            epochs: 2,
            ..Simulation::default()
        }
        .run();
        let lines = |steps: &[StepRecord]| -> String {
            let line = |step| serde_json::to_string(step).unwrap() + "\n";
            steps.iter().map(line).collect()
        };
        let mut follower = HistoryFollower::new(folder.path());
        assert!(!follower.read().unwrap());
        fs::write(&path, lines(&record.steps[..60])).unwrap();
        assert!(follower.read().unwrap());
        assert!(!follower.read().unwrap());
        // A resumed training repeats the steps after the last finished epoch.
        let mut file = fs::OpenOptions::new().append(true).open(&path).unwrap();
        file.write_all(lines(&record.steps[50..70]).as_bytes())
            .unwrap();
        let epoch = serde_json::to_string(&record.epochs[0]).unwrap() + "\n";
        fs::write(folder.path().join(METRICS_FILE), epoch).unwrap();
        assert!(follower.read().unwrap());
        assert_eq!(follower.history().steps, record.steps[..70]);
        assert_eq!(follower.history().epochs, record.epochs[..1]);
    }

    #[test]
    fn a_malformed_line_is_counted_from_the_beginning_of_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("steps.jsonl");
        let step = Simulation {
            epochs: 1,
            ..Simulation::default()
        }
        .run()
        .steps[0];
        let line = serde_json::to_string(&step).unwrap() + "\n";
        fs::write(&path, line.repeat(5)).unwrap();
        let mut follower = Follower::new(&path);
        follower.read::<StepRecord>().unwrap();
        fs::write(&path, line.repeat(6) + "?\n").unwrap();
        let message = follower.read::<StepRecord>().unwrap_err().to_string();
        assert!(message.contains("line 7"), "{message}");
    }
}
