use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::error::{check_labels, check_not_empty, check_same_length};
use crate::{EvalError, Predictions};

/// How often each true class was predicted as each class, like `sklearn.metrics.confusion_matrix`.
///
/// Only cells other than 0 are stored, so memory and time grow with classes and samples and not with pairs of
/// classes. Serialised as `{"n_classes": 3, "cells": [[truth, predicted, count], ...]}`, ordered by the true,
/// then by the predicted class. Holds at least one sample and two classes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Cells", into = "Cells")]
pub struct ConfusionMatrix {
    supports: Vec<u64>,
    predicted_totals: Vec<u64>,
    right: Vec<u64>,
    /// For each class, the classes it is predicted as, in order, and how often.
    mistaken: Vec<Vec<(u32, u64)>>,
    total: u64,
    /// Classes with a sample.
    n_present: usize,
}

/// Maximum number of classes in a file.
const MOST_CLASSES_READ: usize = 1_000_000;

/// The form in files, of 2 to 1,000,000 classes.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Cells {
    n_classes: usize,
    cells: Vec<(u32, u32, u64)>,
}

impl ConfusionMatrix {
    /// Counts pairs of true and predicted class indices.
    ///
    /// # Errors
    /// [`EvalError::TooFewClasses`], [`EvalError::Empty`], [`EvalError::LengthMismatch`],
    /// [`EvalError::LabelOutOfRange`].
    ///
    /// ```
    /// use mlestar_eval::ConfusionMatrix;
    /// let matrix = ConfusionMatrix::from_labels(&[0, 0, 1], &[0, 1, 1], 2)?;
    /// assert_eq!(matrix.count(0, 1), 1);
    /// assert_eq!(matrix.support(0), 2);
    /// assert_eq!(matrix.cells().collect::<Vec<_>>(), [(0, 0, 1), (0, 1, 1), (1, 1, 1)]);
    /// # Ok::<(), mlestar_eval::EvalError>(())
    /// ```
    pub fn from_labels(
        truth: &[u32],
        predicted: &[u32],
        n_classes: usize,
    ) -> Result<Self, EvalError> {
        check_same_length(
            "the list of predicted classes",
            predicted.len(),
            "the list of true classes",
            truth.len(),
        )?;
        check_not_empty("the list of true classes", truth.len())?;
        check_labels(truth, n_classes)?;
        check_labels(predicted, n_classes)?;
        let samples = truth.iter().zip(predicted);
        ConfusionMatrix::from_cells(n_classes, samples.map(|(&t, &p)| (t, p, 1)))
    }

    /// Creates the matrix from counts, one row per true class.
    ///
    /// # Errors
    /// [`EvalError::TooFewClasses`], [`EvalError::NotSquare`], [`EvalError::Empty`] if all counts are 0,
    /// [`EvalError::CountOverflow`].
    pub fn from_counts(counts: Vec<Vec<u64>>) -> Result<Self, EvalError> {
        let n_classes = counts.len();
        if let Some(row) = counts.iter().position(|row| row.len() != n_classes) {
            return Err(EvalError::NotSquare {
                row,
                found: counts[row].len(),
                expected: n_classes,
            });
        }
        let cells = counts.iter().enumerate().flat_map(|(truth, row)| {
            let of_row = row.iter().enumerate();
            of_row.map(move |(predicted, &count)| (truth as u32, predicted as u32, count))
        });
        ConfusionMatrix::from_cells(n_classes, cells)
    }

    /// Adds up `(truth, predicted, count)`; a pair may occur several times.
    ///
    /// # Errors
    /// [`EvalError::TooFewClasses`], [`EvalError::LabelOutOfRange`] with the position of the cell,
    /// [`EvalError::Empty`] if all counts are 0, [`EvalError::CountOverflow`].
    pub fn from_cells(
        n_classes: usize,
        cells: impl IntoIterator<Item = (u32, u32, u64)>,
    ) -> Result<Self, EvalError> {
        const WHAT: &str = "the confusion matrix";
        if n_classes < 2 {
            return Err(EvalError::TooFewClasses { n_classes });
        }
        let mut matrix = ConfusionMatrix {
            supports: vec![0; n_classes],
            predicted_totals: vec![0; n_classes],
            right: vec![0; n_classes],
            mistaken: vec![Vec::new(); n_classes],
            total: 0,
            n_present: 0,
        };
        let mut wrong: BTreeMap<(u32, u32), u64> = BTreeMap::new();
        for (index, (truth, predicted, count)) in cells.into_iter().enumerate() {
            if let Some(label) = [truth, predicted]
                .into_iter()
                .find(|label| *label as usize >= n_classes)
            {
                return Err(EvalError::LabelOutOfRange {
                    index,
                    label,
                    n_classes,
                });
            }
            // No partial sum exceeds the total.
            let total = matrix.total.checked_add(count);
            matrix.total = total.ok_or(EvalError::CountOverflow { what: WHAT })?;
            matrix.supports[truth as usize] += count;
            matrix.predicted_totals[predicted as usize] += count;
            if truth == predicted {
                matrix.right[truth as usize] += count;
            } else if count > 0 {
                *wrong.entry((truth, predicted)).or_default() += count;
            }
        }
        if matrix.total == 0 {
            return Err(EvalError::Empty { what: WHAT });
        }
        let present = matrix.supports.iter().filter(|support| **support > 0);
        matrix.n_present = present.count();
        for ((truth, predicted), count) in wrong {
            matrix.mistaken[truth as usize].push((predicted, count));
        }
        Ok(matrix)
    }

    /// Samples of class `truth` that are predicted as `predicted`.
    ///
    /// # Panics
    /// As indexing a slice does, when there is no class `truth`.
    pub fn count(&self, truth: usize, predicted: usize) -> u64 {
        if truth == predicted {
            return self.right[truth];
        }
        let row = &self.mistaken[truth];
        row.binary_search_by_key(&predicted, |(class, _)| *class as usize)
            .map_or(0, |place| row[place].1)
    }

    /// The cells that are not 0, `(truth, predicted, count)`, in order of the true, then of the predicted class.
    pub fn cells(&self) -> impl Iterator<Item = (u32, u32, u64)> + '_ {
        (0..self.n_classes()).flat_map(|class| {
            let truth = class as u32;
            let row = &self.mistaken[class];
            let before = row.partition_point(|(predicted, _)| *predicted < truth);
            let cell = move |&(predicted, count): &(u32, u64)| (truth, predicted, count);
            let right = (self.right[class] > 0).then_some((truth, truth, self.right[class]));
            let [before, after] =
                [&row[..before], &row[before..]].map(|part| part.iter().map(cell));
            before.chain(right).chain(after)
        })
    }

    /// Which other classes samples of class `truth` are taken for, in order, and how often.
    ///
    /// # Panics
    /// As indexing a slice does, when there is no such class; also `right`, `support` and `predicted_total`.
    pub fn mistaken(&self, truth: usize) -> &[(u32, u64)] {
        &self.mistaken[truth]
    }

    /// Number of classes, at least 2.
    pub fn n_classes(&self) -> usize {
        self.supports.len()
    }

    /// Number of samples, at least 1.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// Samples that are predicted right.
    pub fn correct(&self) -> u64 {
        self.right.iter().sum()
    }

    /// Samples of class `class` that are predicted correctly.
    pub fn right(&self, class: usize) -> u64 {
        self.right[class]
    }

    /// Samples whose true class is `class`.
    pub fn support(&self, class: usize) -> u64 {
        self.supports[class]
    }

    /// Samples of each true class.
    pub fn supports(&self) -> &[u64] {
        &self.supports
    }

    /// Number of classes with a sample.
    pub fn n_present(&self) -> usize {
        self.n_present
    }

    /// Samples predicted as `class`.
    pub fn predicted_total(&self, class: usize) -> u64 {
        self.predicted_totals[class]
    }

    /// Samples predicted as each class.
    pub fn predicted_totals(&self) -> &[u64] {
        &self.predicted_totals
    }

    /// The cells among these classes, one row per true class. For all of many classes, this takes as much
    /// memory as there are pairs of them.
    pub fn among(&self, classes: &[usize]) -> Vec<Vec<u64>> {
        let row = |&truth: &usize| {
            let of_class = classes
                .iter()
                .map(|&predicted| self.count(truth, predicted));
            of_class.collect()
        };
        classes.iter().map(row).collect()
    }
}

impl From<&Predictions> for ConfusionMatrix {
    fn from(predictions: &Predictions) -> Self {
        let samples = predictions
            .labels()
            .iter()
            .zip(predictions.predicted_labels());
        let cells = samples.map(|(&truth, &predicted)| (truth, predicted, 1));
        #[allow(clippy::expect_used)]
        // `Predictions` holds a sample, at least two classes, and labels among them.
        ConfusionMatrix::from_cells(predictions.n_classes(), cells)
            .expect("predictions are checked")
    }
}

impl TryFrom<Cells> for ConfusionMatrix {
    type Error = EvalError;

    fn try_from(matrix: Cells) -> Result<Self, EvalError> {
        // The memory allocated depends on this number, and a file may contain any.
        if matrix.n_classes > MOST_CLASSES_READ {
            return Err(EvalError::ParameterOutOfRange {
                name: "n_classes of the confusion matrix",
                value: matrix.n_classes as f64,
                range: "2 to 1,000,000".to_string(),
            });
        }
        ConfusionMatrix::from_cells(matrix.n_classes, matrix.cells)
    }
}

impl From<ConfusionMatrix> for Cells {
    fn from(matrix: ConfusionMatrix) -> Self {
        Cells {
            n_classes: matrix.n_classes(),
            cells: matrix.cells().collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn serde_checks_what_it_reads() {
        let matrix = ConfusionMatrix::from_labels(&[0, 1, 1], &[0, 1, 0], 2).unwrap();
        let json = serde_json::to_string(&matrix).unwrap();
        assert_eq!(json, r#"{"n_classes":2,"cells":[[0,0,1],[1,0,1],[1,1,1]]}"#);
        assert_eq!(
            serde_json::from_str::<ConfusionMatrix>(&json).unwrap(),
            matrix
        );
        for (json, reason) in [
            (
                r#"{"n_classes":2,"cells":[[0,0,1],[0,2,1]]}"#,
                "label 2 of sample 1 is outside 0 to 1",
            ),
            (
                r#"{"n_classes":2,"cells":[]}"#,
                "the confusion matrix is empty",
            ),
            (r#"{"n_classes":1,"cells":[[0,0,1]]}"#, "1 classes"),
            (
                r#"{"n_classes":9000000000000000,"cells":[[0,0,1]]}"#,
                "n_classes of the confusion matrix",
            ),
            (
                r#"{"n_classes":2,"cells":[[0,0,18446744073709551615],[0,1,1]]}"#,
                "add up to more than",
            ),
        ] {
            let error = serde_json::from_str::<ConfusionMatrix>(json)
                .unwrap_err()
                .to_string();
            assert!(error.contains(reason), "{error}");
        }
    }

    #[test]
    fn what_is_not_square_is_refused() {
        let error = ConfusionMatrix::from_counts(vec![vec![1, 0], vec![1]]).unwrap_err();
        let expected = "row 1 of the confusion matrix has 1 columns, but there are 2 classes";
        assert_eq!(error.to_string(), expected);
    }

    #[test]
    fn many_classes_cost_no_square() {
        let labels: Vec<u32> = (0..100_000).collect();
        let matrix =
            ConfusionMatrix::from_labels(&labels, &vec![7; labels.len()], 100_000).unwrap();
        assert_eq!(matrix.cells().count(), 100_000);
        assert_eq!((matrix.correct(), matrix.predicted_total(7)), (1, 100_000));
        assert_eq!(matrix.among(&[6, 7, 8]), [[0, 1, 0], [0, 1, 0], [0, 1, 0]]);
    }

    #[test]
    fn bad_labels_are_refused() {
        assert!(matches!(
            ConfusionMatrix::from_labels(&[], &[], 2),
            Err(EvalError::Empty { .. })
        ));
        assert!(matches!(
            ConfusionMatrix::from_labels(&[0], &[], 2),
            Err(EvalError::LengthMismatch { .. })
        ));
        assert!(matches!(
            ConfusionMatrix::from_labels(&[0], &[2], 2),
            Err(EvalError::LabelOutOfRange { label: 2, .. })
        ));
        assert!(matches!(
            ConfusionMatrix::from_labels(&[0], &[0], 1),
            Err(EvalError::TooFewClasses { .. })
        ));
    }
}
