//! The log of a study: one JSON line a trial.

use std::path::Path;

use mlestar_artifact::{append_json_line, write_atomically};
use serde::{Deserialize, Serialize};

use crate::TuneError;
use crate::trial::TrialRecord;

/// A line of the log: the trial, and the study it belongs to.
#[derive(Serialize, Deserialize)]
struct LogLine<T> {
    /// Hash of everything that decides the suggestions of the study.
    study: String,
    #[serde(flatten)]
    trial: T,
}

/// Reads the finished trials of the study with that hash; a missing file is a study without trials.
///
/// A last line that a crash cut short is removed from the file: its trial is run again.
pub(crate) fn read(path: &Path, study: &str) -> Result<Vec<TrialRecord>, TuneError> {
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => {
            return Err(TuneError::ReadLog {
                path: path.to_owned(),
                source,
            });
        }
    };
    let whole_lines = bytes
        .iter()
        .rposition(|&byte| byte == b'\n')
        .map_or(0, |last| last + 1);
    let trials = bytes[..whole_lines]
        .split_inclusive(|&byte| byte == b'\n')
        .enumerate()
        .map(|(index, line)| parse(path, index, line, study))
        .collect::<Result<Vec<_>, _>>()?;
    if whole_lines < bytes.len() {
        write_atomically(path, &bytes[..whole_lines])?;
    }
    Ok(trials)
}

fn parse(path: &Path, index: usize, line: &[u8], study: &str) -> Result<TrialRecord, TuneError> {
    let parsed: LogLine<TrialRecord> = serde_json::from_slice(line)
        .map_err(|error| TuneError::damaged_log(path, index + 1, error))?;
    if parsed.study != study {
        return Err(TuneError::ForeignLog {
            path: path.to_owned(),
            line: index + 1,
            expected: study.to_owned(),
            found: parsed.study,
        });
    }
    if parsed.trial.number != index as u64 {
        let message = format!(
            "trial {} stands where trial {index} belongs",
            parsed.trial.number
        );
        return Err(TuneError::damaged_log(path, index + 1, message));
    }
    Ok(parsed.trial)
}

pub(crate) fn append(path: &Path, study: &str, trial: &TrialRecord) -> Result<(), TuneError> {
    let line = LogLine {
        study: study.to_owned(),
        trial,
    };
    Ok(append_json_line(path, &line)?)
}
