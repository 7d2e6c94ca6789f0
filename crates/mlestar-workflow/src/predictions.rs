//! Files of predictions: the raw rows that every reported figure is recomputed from.

use crate::WorkflowError;
use mlestar_artifact::AtomicFile;
use mlestar_data::ImageSet;
use mlestar_eval::{EvalError, Predictions};
use serde::{Deserialize, Serialize};
use std::io::Write;
use std::path::Path;

/// One image: one line of a `predictions.jsonl`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PredictionRow {
    /// Where the image comes from.
    pub origin: String,
    /// The index of its class.
    pub label: u32,
    /// The model's score of each class before the softmax. Probabilities that round to 1 could not be told apart.
    pub logits: Vec<f32>,
}

/// Writes the predictions for `set` and returns them.
///
/// `logits` holds one row of class scores per image.
///
/// # Errors
/// When a logit is not finite or the file cannot be written.
pub fn write(path: &Path, set: &ImageSet, logits: &[f32]) -> Result<Predictions, WorkflowError> {
    let n_classes = set.n_classes();
    let predictions = Predictions::from_logits(set.labels().to_vec(), logits.to_vec(), n_classes)?;
    let mut file = AtomicFile::create(path)?;
    for (index, logits) in logits.chunks_exact(n_classes).enumerate() {
        let row = PredictionRow {
            origin: set.origin(index).to_string(),
            label: set.label(index),
            logits: logits.to_vec(),
        };
        serde_json::to_writer(&mut file, &row)
            .map_err(std::io::Error::from)
            .and_then(|()| file.write_all(b"\n"))
            .map_err(|source| mlestar_artifact::ArtifactError::Write {
                path: path.to_owned(),
                source,
            })?;
    }
    file.commit()?;
    Ok(predictions)
}

/// The predictions that the rows of a file hold.
///
/// # Errors
/// [`EvalError::LengthMismatch`] when a row has another number of classes than the first; otherwise as
/// [`Predictions::from_logits`].
pub fn from_rows(rows: &[PredictionRow]) -> Result<Predictions, EvalError> {
    let n_classes = rows.first().map_or(0, |row| row.logits.len());
    if let Some(odd) = rows.iter().find(|row| row.logits.len() != n_classes) {
        return Err(EvalError::LengthMismatch {
            what: "a row of logits",
            other: "the first row",
            expected: n_classes,
            found: odd.logits.len(),
        });
    }
    let labels = rows.iter().map(|row| row.label).collect();
    let logits = rows
        .iter()
        .flat_map(|row| row.logits.iter().copied())
        .collect();
    Predictions::from_logits(labels, logits, n_classes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(label: u32, logits: &[f32]) -> PredictionRow {
        PredictionRow {
            origin: "synthetic 0".into(),
            label,
            logits: logits.to_vec(),
        }
    }

    #[test]
    fn rows_of_another_length_are_refused() {
        // Six values for three rows of two classes: only the rows' own lengths tell that something is wrong.
        let rows = [
            row(0, &[1.0, 0.0]),
            row(1, &[0.5]),
            row(1, &[0.0, 1.0, 2.0]),
        ];
        insta::assert_snapshot!(from_rows(&rows).unwrap_err(), @"a row of logits has length 1, but 2 is needed to match the first row");
    }

    #[test]
    fn text_keeps_every_bit_of_a_logit() {
        let rows = [row(0, &[54.210_987, -1e-30]), row(1, &[54.210_99, 0.1])];
        let text = serde_json::to_string(&rows).unwrap();
        let back: Vec<PredictionRow> = serde_json::from_str(&text).unwrap();
        assert_eq!(back, rows);
    }
}
