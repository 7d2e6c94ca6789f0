use serde::{Deserialize, Serialize};

use crate::error::{check_labels, check_not_empty, check_same_length};
use crate::{EvalError, Predictions};

/// How often each true class was predicted as each class; serialised as rows of counts.
///
/// `counts()[truth][predicted]`, as `sklearn.metrics.confusion_matrix` has it. Holds at least one sample and two
/// classes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<Vec<u64>>", into = "Vec<Vec<u64>>")]
pub struct ConfusionMatrix {
    counts: Vec<Vec<u64>>,
    supports: Vec<u64>,
    predicted_totals: Vec<u64>,
    total: u64,
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
    /// assert_eq!(matrix.counts(), [[1, 1], [0, 1]]);
    /// assert_eq!(matrix.support(0), 2);
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
        let mut counts = vec![vec![0; n_classes]; n_classes];
        for (&truth, &predicted) in truth.iter().zip(predicted) {
            counts[truth as usize][predicted as usize] += 1;
        }
        ConfusionMatrix::from_counts(counts)
    }

    /// Takes counts as they are, one row a true class.
    ///
    /// # Errors
    /// [`EvalError::TooFewClasses`], [`EvalError::NotSquare`], [`EvalError::Empty`] when all counts are 0,
    /// [`EvalError::CountOverflow`].
    pub fn from_counts(counts: Vec<Vec<u64>>) -> Result<Self, EvalError> {
        let n_classes = counts.len();
        if n_classes < 2 {
            return Err(EvalError::TooFewClasses { n_classes });
        }
        let mut supports = vec![0u64; n_classes];
        let mut predicted_totals = vec![0u64; n_classes];
        let mut total = 0u64;
        for (row, columns) in counts.iter().enumerate() {
            if columns.len() != n_classes {
                return Err(EvalError::NotSquare {
                    row,
                    found: columns.len(),
                    expected: n_classes,
                });
            }
            for (column, &count) in columns.iter().enumerate() {
                total = total.checked_add(count).ok_or(EvalError::CountOverflow {
                    what: "the confusion matrix",
                })?;
                supports[row] += count;
                predicted_totals[column] += count;
            }
        }
        if total == 0 {
            return Err(EvalError::Empty {
                what: "the confusion matrix",
            });
        }
        Ok(ConfusionMatrix {
            counts,
            supports,
            predicted_totals,
            total,
        })
    }

    /// `counts()[truth][predicted]`.
    pub fn counts(&self) -> &[Vec<u64>] {
        &self.counts
    }

    /// Number of classes, at least 2.
    pub fn n_classes(&self) -> usize {
        self.counts.len()
    }

    /// Number of samples, at least 1.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// Samples on the diagonal: predicted right.
    pub fn correct(&self) -> u64 {
        (0..self.n_classes())
            .map(|class| self.counts[class][class])
            .sum()
    }

    /// Samples whose true class is `class`.
    ///
    /// # Panics
    /// As indexing a slice does, when there is no such class; also `predicted_total`.
    pub fn support(&self, class: usize) -> u64 {
        self.supports[class]
    }

    /// Samples predicted as `class`.
    pub fn predicted_total(&self, class: usize) -> u64 {
        self.predicted_totals[class]
    }

    /// Rows divided by their sums, so that the diagonal is the recall; rows of absent classes are all 0.
    pub fn row_fractions(&self) -> Vec<Vec<f64>> {
        self.counts
            .iter()
            .zip(&self.supports)
            .map(|(row, &support)| {
                row.iter()
                    .map(|&count| count as f64 / support.max(1) as f64)
                    .collect()
            })
            .collect()
    }
}

impl From<&Predictions> for ConfusionMatrix {
    fn from(predictions: &Predictions) -> Self {
        let n_classes = predictions.n_classes();
        let mut counts = vec![vec![0; n_classes]; n_classes];
        for (&truth, &predicted) in predictions
            .labels()
            .iter()
            .zip(predictions.predicted_labels())
        {
            counts[truth as usize][predicted as usize] += 1;
        }
        #[allow(clippy::expect_used)] // `Predictions` holds a sample and two classes
        ConfusionMatrix::from_counts(counts).expect("predictions are checked")
    }
}

impl TryFrom<Vec<Vec<u64>>> for ConfusionMatrix {
    type Error = EvalError;

    fn try_from(counts: Vec<Vec<u64>>) -> Result<Self, EvalError> {
        ConfusionMatrix::from_counts(counts)
    }
}

impl From<ConfusionMatrix> for Vec<Vec<u64>> {
    fn from(matrix: ConfusionMatrix) -> Self {
        matrix.counts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn serde_checks_what_it_reads() {
        let matrix = ConfusionMatrix::from_labels(&[0, 1, 1], &[0, 1, 0], 2).unwrap();
        let json = serde_json::to_string(&matrix).unwrap();
        assert_eq!(json, "[[1,0],[1,1]]");
        assert_eq!(
            serde_json::from_str::<ConfusionMatrix>(&json).unwrap(),
            matrix
        );
        for (json, reason) in [
            (
                "[[1,0],[1]]",
                "row 1 of the confusion matrix has 1 columns, but there are 2 classes",
            ),
            ("[[0,0],[0,0]]", "the confusion matrix is empty"),
            ("[[1]]", "1 classes"),
            ("[[18446744073709551615,1],[0,0]]", "add up to more than"),
        ] {
            let error = serde_json::from_str::<ConfusionMatrix>(json)
                .unwrap_err()
                .to_string();
            assert!(error.contains(reason), "{error}");
        }
    }

    #[test]
    fn rows_of_absent_classes_are_zero() {
        let matrix = ConfusionMatrix::from_labels(&[0, 0], &[0, 1], 2).unwrap();
        assert_eq!(matrix.row_fractions(), [[0.5, 0.5], [0.0, 0.0]]);
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
