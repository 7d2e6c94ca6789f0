use std::{
    fs::{self, File, OpenOptions},
    io::Write,
    path::{Path, PathBuf},
};

use mlestar_artifact::write_atomically;

use crate::{StepRecord, TrainError};

/// `steps.jsonl`: one line per step, in the order of the steps.
pub(super) struct StepLog {
    path: PathBuf,
    file: File,
}

impl StepLog {
    /// Opens the log and keeps its first `steps` steps. Later lines, from a discarded part of the training, are
    /// removed.
    ///
    /// Lines are not forced to disk, so after a power loss there may be fewer than `steps`, or unreadable
    /// lines, which are dropped. The file is only a view of the training and must never prevent resuming.
    pub(super) fn open(path: &Path, steps: u64) -> Result<Self, TrainError> {
        let mut kept = Vec::new();
        if steps > 0 && path.exists() {
            let bytes = fs::read(path).map_err(TrainError::io("reading", path))?;
            let records = bytes.split(|byte| *byte == b'\n');
            for record in records.filter_map(|line| serde_json::from_slice(line).ok()) {
                let record: StepRecord = record;
                if record.step <= steps {
                    push_line(&mut kept, &record);
                }
            }
        }
        write_atomically(path, &kept)?;
        let file = OpenOptions::new()
            .append(true)
            .open(path)
            .map_err(TrainError::io("opening", path))?;
        Ok(Self {
            path: path.to_owned(),
            file,
        })
    }

    pub(super) fn append(&mut self, records: &[StepRecord]) -> Result<(), TrainError> {
        let mut lines = Vec::new();
        for record in records {
            push_line(&mut lines, record);
        }
        self.file
            .write_all(&lines)
            .map_err(TrainError::io("writing", &self.path))
    }
}

fn push_line(lines: &mut Vec<u8>, record: &StepRecord) {
    // A record of numbers has a JSON form, and writing to memory does not fail.
    if serde_json::to_writer(&mut *lines, record).is_ok() {
        lines.push(b'\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn later_steps_and_damaged_lines_are_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("steps.jsonl");
        let record = |step| StepRecord {
            step,
            epoch: 1,
            loss: 0.5,
            learning_rate: 0.1,
            gradient_norm: 2.0,
        };
        let mut log = StepLog::open(&path, 0).unwrap();
        log.append(&[record(1), record(2)]).unwrap();
        let mut bytes = fs::read(&path).unwrap();
        bytes.extend(b"\0\0{\"step\":3\n");
        fs::write(&path, bytes).unwrap();
        let mut log = StepLog::open(&path, 4).unwrap();
        log.append(&[record(4), record(5)]).unwrap();
        drop(StepLog::open(&path, 4).unwrap());
        let kept: Vec<StepRecord> = mlestar_artifact::read_json_lines(&path).unwrap();
        let steps: Vec<u64> = kept.iter().map(|record| record.step).collect();
        assert_eq!(steps, [1, 2, 4]);
    }
}
