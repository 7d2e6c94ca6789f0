//! The log of a study: one JSON line per trial.

use std::collections::BTreeMap;
use std::path::Path;

use mlestar_artifact::{append_json_line, write_atomically};
use serde::{Deserialize, Serialize};

use crate::TuneError;
use crate::record::TrialRecord;

/// The trials of a log by number.
pub(crate) type Trials = BTreeMap<u64, TrialRecord>;

/// A line of the log: the trial, and the study it belongs to.
#[derive(Serialize, Deserialize)]
struct LogLine<T> {
    /// Hash of everything that determines the suggestions of the study and the values of its objective.
    study: String,
    #[serde(flatten)]
    trial: T,
}

/// One line of the file.
struct Line {
    /// From 1.
    number: usize,
    /// Its contents, or what is wrong with it.
    content: Result<LogLine<TrialRecord>, String>,
}

/// The lines of a log; a missing file has none.
fn lines(path: &Path) -> Result<Vec<Line>, TuneError> {
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
    let parse = |line: &[u8]| match line.strip_suffix(b"\n") {
        Some(whole) => serde_json::from_slice(whole).map_err(|error| error.to_string()),
        None => Err("the line is incomplete".to_owned()),
    };
    Ok(bytes
        .split_inclusive(|&byte| byte == b'\n')
        .enumerate()
        .map(|(index, line)| Line {
            number: index + 1,
            content: parse(line),
        })
        .collect())
}

/// Reads the finished trials of the study with that hash, and returns the number of damaged lines.
///
/// A damaged line affects only its own trial: it is removed from the file, and its trial is run again.
pub(crate) fn read(path: &Path, study: &str) -> Result<(Trials, usize), TuneError> {
    let mut trials = Trials::new();
    let mut damaged = 0;
    for line in lines(path)? {
        match line.content {
            Ok(found) if found.study == study => {
                trials.entry(found.trial.number).or_insert(found.trial);
            }
            Ok(found) => {
                return Err(TuneError::ForeignLog {
                    path: path.to_owned(),
                    line: line.number,
                    expected: study.to_owned(),
                    found: found.study,
                });
            }
            Err(_) => damaged += 1,
        }
    }
    if damaged > 0 {
        write(path, study, &trials)?;
    }
    Ok((trials, damaged))
}

/// The trials of a log in which every line must be intact, of one study, and in order.
pub(crate) fn read_strictly(path: &Path) -> Result<Vec<TrialRecord>, TuneError> {
    let mut study: Option<String> = None;
    let mut trials = Vec::new();
    for (index, line) in lines(path)?.into_iter().enumerate() {
        let found = line
            .content
            .map_err(|message| TuneError::damaged_log(path, line.number, message))?;
        if found.trial.number != index as u64 {
            let message = format!(
                "trial {} is at the position of trial {index}",
                found.trial.number
            );
            return Err(TuneError::damaged_log(path, line.number, message));
        }
        let expected = study.get_or_insert_with(|| found.study.clone());
        if *expected != found.study {
            return Err(TuneError::ForeignLog {
                path: path.to_owned(),
                line: line.number,
                expected: expected.clone(),
                found: found.study,
            });
        }
        trials.push(found.trial);
    }
    Ok(trials)
}

/// The trials of a log that belong to the study with that hash; everything else is skipped.
pub(crate) fn of_study(path: &Path, study: &str) -> Result<Trials, TuneError> {
    let found = lines(path)?
        .into_iter()
        .filter_map(|line| line.content.ok());
    Ok(found
        .filter(|line| line.study == study)
        .map(|line| (line.trial.number, line.trial))
        .collect())
}

/// Writes the whole log, in the order of the trials.
pub(crate) fn write(path: &Path, study: &str, trials: &Trials) -> Result<(), TuneError> {
    let mut text = Vec::new();
    for trial in trials.values() {
        let line = LogLine {
            study: study.to_owned(),
            trial,
        };
        // A record of numbers and texts has a JSON form, and writing to memory does not fail.
        if serde_json::to_writer(&mut text, &line).is_ok() {
            text.push(b'\n');
        }
    }
    Ok(write_atomically(path, &text)?)
}

pub(crate) fn append(path: &Path, study: &str, trial: &TrialRecord) -> Result<(), TuneError> {
    let line = LogLine {
        study: study.to_owned(),
        trial,
    };
    Ok(append_json_line(path, &line)?)
}
