use std::{
    fs::{File, OpenOptions},
    io::Write,
    path::{Path, PathBuf},
};

use mlestar_artifact::{read_json_lines, write_atomically};

use crate::{StepRecord, TrainError};

/// `steps.jsonl`: one line a step, in the order of the steps.
pub(super) struct StepLog {
    path: PathBuf,
    file: File,
}

impl StepLog {
    /// Opens the log and keeps its first `steps` steps; what a later, given up part of the training
    /// wrote is removed.
    ///
    /// Lines are not forced to disk, so that a loss of power can leave fewer than `steps`; the file is
    /// a view of the training, and nothing is computed from it.
    pub(super) fn open(path: &Path, steps: u64) -> Result<Self, TrainError> {
        let mut kept = Vec::new();
        if steps > 0 && path.exists() {
            for record in read_json_lines::<StepRecord>(path)? {
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
