//! Files of predictions: the raw rows that every reported figure is recomputed from.

use crate::WorkflowError;
use mlestar_artifact::AtomicFile;
use mlestar_data::ImageSet;
use mlestar_eval::{EvalError, Predictions};
use mlestar_train::softmax_rows;
use serde::{Deserialize, Serialize};
use std::io::Write;
use std::path::Path;

/// One picture: one line of a `predictions.jsonl`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PredictionRow {
    /// Where the picture comes from.
    pub origin: String,
    /// The index of its class.
    pub label: u32,
    /// The model's probability of each class; they sum to 1.
    pub probabilities: Vec<f64>,
}

/// Writes the predictions for `set` and returns them.
///
/// `logits` holds one row of class scores a picture.
///
/// # Errors
/// When a logit is not finite or the file cannot be written.
pub fn write(path: &Path, set: &ImageSet, logits: &[f32]) -> Result<Predictions, WorkflowError> {
    let n_classes = set.n_classes();
    let probabilities = softmax_rows(logits, n_classes);
    let predictions = Predictions::new(set.labels().to_vec(), probabilities, n_classes)?;
    let mut file = AtomicFile::create(path)?;
    for index in 0..set.len() {
        let row = PredictionRow {
            origin: set.origin(index).to_string(),
            label: set.label(index),
            probabilities: predictions.row(index).to_vec(),
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
/// When the rows have different numbers of classes, a label has no class, or the probabilities are
/// none.
pub fn from_rows(rows: &[PredictionRow]) -> Result<Predictions, EvalError> {
    let n_classes = rows.first().map_or(0, |row| row.probabilities.len());
    let labels = rows.iter().map(|row| row.label).collect();
    let probabilities = rows
        .iter()
        .flat_map(|row| row.probabilities.iter().copied())
        .collect();
    Predictions::new(labels, probabilities, n_classes)
}
