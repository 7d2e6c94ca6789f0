//! Reads the records of a finished or running training.

use std::fs;
use std::path::Path;

use mlestar_artifact::ArtifactError;
use serde::de::value::MapDeserializer;
use serde::de::{DeserializeOwned, Deserializer, IntoDeserializer, Visitor};
use serde_json::{Map, Value};

use crate::{EpochRecord, StepRecord};

/// The file with one [`EpochRecord`] per line.
pub const METRICS_FILE: &str = "metrics.jsonl";
/// The file with one [`StepRecord`] per line, beside the other.
pub const STEPS_FILE: &str = "steps.jsonl";

/// The records of a training.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct History {
    /// Its epochs, in order.
    pub epochs: Vec<EpochRecord>,
    /// Its steps, in order; empty if none were recorded.
    pub steps: Vec<StepRecord>,
}

impl History {
    /// Whether there are no records.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.epochs.is_empty() && self.steps.is_empty()
    }
}

/// Reads `metrics.jsonl` and `steps.jsonl` in `folder`. Each may be absent, but not both.
///
/// # Errors
///
/// [`ArtifactError::Missing`] if neither file exists; otherwise as for [`read_epochs`].
pub fn read_history(folder: &Path) -> Result<History, ArtifactError> {
    let epochs = read_epochs(folder);
    let steps = read_steps(folder)?;
    match epochs {
        Ok(epochs) => Ok(History { epochs, steps }),
        // The first epoch may still be running.
        Err(error) if error.is_missing() && !steps.is_empty() => Ok(History {
            epochs: Vec::new(),
            steps,
        }),
        Err(error) => Err(error),
    }
}

/// Reads `metrics.jsonl` in `folder`.
///
/// An incomplete last line is skipped, because its writer has not finished it. `null`, the JSON form of a
/// number that is not finite, is read as NaN. If a training was resumed and repeated epochs, the later record
/// of an epoch counts.
///
/// # Errors
///
/// [`ArtifactError::Missing`], [`ArtifactError::Read`], or [`ArtifactError::Invalid`] with the file and the
/// number of the first line that cannot be parsed.
pub fn read_epochs(folder: &Path) -> Result<Vec<EpochRecord>, ArtifactError> {
    let records = read_lines(&folder.join(METRICS_FILE))?;
    Ok(without_repeats(records, |record: &EpochRecord| {
        record.epoch as u64
    }))
}

/// Reads `steps.jsonl` in `folder` as [`read_epochs`] does. If the file is missing, there are no steps.
///
/// # Errors
///
/// As for [`read_epochs`], except for a missing file.
pub fn read_steps(folder: &Path) -> Result<Vec<StepRecord>, ArtifactError> {
    match read_lines(&folder.join(STEPS_FILE)) {
        Ok(records) => Ok(without_repeats(records, |record: &StepRecord| record.step)),
        Err(error) if error.is_missing() => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

fn without_repeats<T>(records: Vec<T>, number: impl Fn(&T) -> u64) -> Vec<T> {
    let mut kept: Vec<T> = Vec::with_capacity(records.len());
    extend_in_order(&mut kept, records, number);
    kept
}

/// Appends records. A record whose number is not above the one before it starts a repetition and replaces the
/// records it repeats.
pub(super) fn extend_in_order<T>(known: &mut Vec<T>, records: Vec<T>, number: impl Fn(&T) -> u64) {
    for record in records {
        while known
            .last()
            .is_some_and(|last| number(last) >= number(&record))
        {
            known.pop();
        }
        known.push(record);
    }
}

fn read_lines<T: DeserializeOwned>(path: &Path) -> Result<Vec<T>, ArtifactError> {
    let bytes = fs::read(path).map_err(|source| read_error(path, source))?;
    let (records, whole) = parse_lines(path, &bytes, 0)?;
    // The last piece may be a complete record without its newline.
    let last = parse_line(&bytes[whole..]).ok().flatten();
    Ok(records.into_iter().chain(last).collect())
}

pub(super) fn read_error(path: &Path, source: std::io::Error) -> ArtifactError {
    let path = path.to_owned();
    match source.kind() {
        std::io::ErrorKind::NotFound => ArtifactError::Missing { path },
        _ => ArtifactError::Read { path, source },
    }
}

/// The records of the lines that end in a newline, and the total length of these lines in bytes. Error messages
/// count lines from the one after `n_before`.
pub(super) fn parse_lines<T: DeserializeOwned>(
    path: &Path,
    bytes: &[u8],
    n_before: usize,
) -> Result<(Vec<T>, usize), ArtifactError> {
    let whole = bytes
        .iter()
        .rposition(|byte| *byte == b'\n')
        .map_or(0, |at| at + 1);
    let mut records = Vec::new();
    for (index, line) in bytes[..whole]
        .split_inclusive(|byte| *byte == b'\n')
        .enumerate()
    {
        match parse_line(line) {
            Ok(record) => records.extend(record),
            Err(error) => {
                return Err(ArtifactError::Invalid {
                    path: path.to_owned(),
                    message: format!("line {}: {error}", n_before + index + 1),
                });
            }
        }
    }
    Ok((records, whole))
}

/// `None` for an empty line.
fn parse_line<T: DeserializeOwned>(line: &[u8]) -> Result<Option<T>, serde_json::Error> {
    if line.iter().all(u8::is_ascii_whitespace) {
        return Ok(None);
    }
    let fields: Map<String, Value> = serde_json::from_slice(line)?;
    let fields = fields.into_iter().map(|(key, value)| (key, Field(value)));
    T::deserialize(MapDeserializer::new(fields)).map(Some)
}

/// A number; `null` is read as NaN.
struct Field(Value);

impl<'de> IntoDeserializer<'de, serde_json::Error> for Field {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

impl<'de> Deserializer<'de> for Field {
    type Error = serde_json::Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        self.0.deserialize_any(visitor)
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        match self.0 {
            Value::Null => visitor.visit_f64(f64::NAN),
            value => value.deserialize_f64(visitor),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        self.0.deserialize_option(visitor)
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 char str string bytes byte_buf unit
        unit_struct newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::Simulation;
    use super::*;
    use std::fmt::Write as _;

    fn lines<T: serde::Serialize>(records: &[T]) -> String {
        let mut text = String::new();
        for record in records {
            writeln!(text, "{}", serde_json::to_string(record).unwrap()).unwrap();
        }
        text
    }

    #[test]
    fn what_is_written_is_read_and_either_file_may_be_absent() {
        let folder = tempfile::tempdir().unwrap();
        assert!(read_history(folder.path()).unwrap_err().is_missing());
        let record = Simulation {
            epochs: 3,
            ..Simulation::default()
        }
        .run();
        fs::write(folder.path().join(STEPS_FILE), lines(&record.steps)).unwrap();
        let history = read_history(folder.path()).unwrap();
        assert_eq!((history.epochs.len(), &history.steps), (0, &record.steps));
        fs::write(folder.path().join(METRICS_FILE), lines(&record.epochs)).unwrap();
        assert_eq!(read_history(folder.path()).unwrap().epochs, record.epochs);
        fs::remove_file(folder.path().join(STEPS_FILE)).unwrap();
        let history = read_history(folder.path()).unwrap();
        assert!(history.steps.is_empty() && !history.is_empty());
    }

    #[test]
    fn a_line_that_is_being_written_is_passed_over_and_a_malformed_one_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(STEPS_FILE);
        let record = Simulation {
            epochs: 1,
            ..Simulation::default()
        }
        .run();
        let text = lines(&record.steps[..3]);
        fs::write(&path, &text[..text.len() - 20]).unwrap();
        assert_eq!(read_steps(folder.path()).unwrap(), record.steps[..2]);
        fs::write(&path, text.trim_end()).unwrap();
        assert_eq!(read_steps(folder.path()).unwrap(), record.steps[..3]);
        for (line, expected) in [
            ("{\"step\": 4,", "EOF"),
            ("[1]", "invalid type"),
            (
                "{\"step\":4,\"epoch\":1,\"loss\":1.0}",
                "missing field `learning_rate`",
            ),
            (
                "{\"step\":4,\"epoch\":1,\"loss\":\"x\",\"learning_rate\":1,\"gradient_norm\":1}",
                "invalid type: string",
            ),
            (
                "{\"step\":null,\"epoch\":1,\"loss\":1,\"learning_rate\":1,\"gradient_norm\":1}",
                "invalid type: null",
            ),
        ] {
            fs::write(&path, format!("{text}{line}\n{text}")).unwrap();
            let message = read_steps(folder.path()).unwrap_err().to_string();
            assert!(
                message.contains("steps.jsonl is not valid: line 4: "),
                "{message}"
            );
            assert!(message.contains(expected), "{message}");
        }
    }

    #[test]
    fn what_is_not_finite_reads_as_nan() {
        let folder = tempfile::tempdir().unwrap();
        let mut record = Simulation {
            epochs: 1,
            ..Simulation::default()
        }
        .run();
        record.steps[1].loss = f64::NAN;
        record.epochs[0].validation_loss = Some(f64::INFINITY);
        record.epochs[0].validation_accuracy = None;
        fs::write(folder.path().join(STEPS_FILE), lines(&record.steps)).unwrap();
        fs::write(folder.path().join(METRICS_FILE), lines(&record.epochs)).unwrap();
        let history = read_history(folder.path()).unwrap();
        assert!(history.steps[1].loss.is_nan());
        assert!(history.epochs[0].validation_loss.is_some_and(f64::is_nan));
        assert_eq!(history.epochs[0].validation_accuracy, None);
        assert_eq!(history.steps[2], record.steps[2]);
    }

    #[test]
    fn the_later_record_of_a_step_counts() {
        let folder = tempfile::tempdir().unwrap();
        let record = Simulation {
            epochs: 1,
            ..Simulation::default()
        }
        .run();
        let mut again = record.steps[20..].to_vec();
        again[0].loss = 7.0;
        let text = lines(&record.steps[..30]) + &lines(&again);
        fs::write(folder.path().join(STEPS_FILE), text).unwrap();
        let steps = read_steps(folder.path()).unwrap();
        assert_eq!((steps.len(), steps[20].loss), (50, 7.0));
    }
}
