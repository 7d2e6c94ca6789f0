use crate::EvalError;
use crate::error::{check_labels, check_not_empty, check_same_length};

/// How far the probabilities of a sample may be from summing to one: what `f32` softmax and a text file with a few
/// digits can lose, and far less than a mistake (logits, percentages) shows.
const SUM_TOLERANCE: f64 = 1e-3;

/// True labels and predicted class probabilities of `n` samples, checked.
///
/// At least one sample and two classes; every label is a class index; every probability is in 0-1; every row sums to
/// 1 within 0.001 (the values are used as they are, not rescaled).
#[derive(Debug, Clone, PartialEq)]
pub struct Predictions {
    labels: Vec<u32>,
    probabilities: Vec<f64>,
    n_classes: usize,
    predicted: Vec<u32>,
}

impl Predictions {
    /// `labels` has one entry a sample, `probabilities` is `[n, n_classes]` in row-major order.
    ///
    /// # Errors
    /// [`EvalError::TooFewClasses`], [`EvalError::Empty`], [`EvalError::LengthMismatch`],
    /// [`EvalError::LabelOutOfRange`], [`EvalError::ProbabilityOutOfRange`] (NaN included),
    /// [`EvalError::ProbabilitySum`].
    ///
    /// ```
    /// use mlestar_eval::{EvalError, Predictions};
    /// assert!(Predictions::new(vec![1], vec![0.3, 0.7], 2).is_ok());
    /// assert_eq!(
    ///     Predictions::new(vec![2], vec![0.3, 0.7], 2),
    ///     Err(EvalError::LabelOutOfRange { index: 0, label: 2, n_classes: 2 }),
    /// );
    /// ```
    pub fn new(
        labels: Vec<u32>,
        probabilities: Vec<f64>,
        n_classes: usize,
    ) -> Result<Self, EvalError> {
        if n_classes < 2 {
            return Err(EvalError::TooFewClasses { n_classes });
        }
        check_not_empty("the list of labels", labels.len())?;
        let expected = labels.len().saturating_mul(n_classes);
        check_same_length(
            "the list of probabilities",
            probabilities.len(),
            "labels times classes",
            expected,
        )?;
        check_labels(&labels, n_classes)?;
        let mut predicted = Vec::with_capacity(labels.len());
        for (index, row) in probabilities.chunks_exact(n_classes).enumerate() {
            check_row(index, row)?;
            predicted.push(argmax(row));
        }
        Ok(Predictions {
            labels,
            probabilities,
            n_classes,
            predicted,
        })
    }

    /// Number of samples, at least 1.
    #[allow(clippy::len_without_is_empty)] // never empty
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Number of classes, at least 2.
    pub fn n_classes(&self) -> usize {
        self.n_classes
    }

    /// The true class of a sample.
    ///
    /// # Panics
    /// As indexing a slice does: when `index >= len()`. The same holds for `row`, `predicted` and `confidence`.
    pub fn label(&self, index: usize) -> u32 {
        self.labels[index]
    }

    /// The true classes, one a sample.
    pub fn labels(&self) -> &[u32] {
        &self.labels
    }

    /// The class probabilities of a sample, `[n_classes]`.
    pub fn row(&self, index: usize) -> &[f64] {
        &self.probabilities[index * self.n_classes..(index + 1) * self.n_classes]
    }

    /// All probabilities, `[n, n_classes]` in row-major order.
    pub fn probabilities(&self) -> &[f64] {
        &self.probabilities
    }

    /// The class with the highest probability; of equal ones the lowest index.
    pub fn predicted(&self, index: usize) -> u32 {
        self.predicted[index]
    }

    /// The predicted classes, one a sample.
    pub fn predicted_labels(&self) -> &[u32] {
        &self.predicted
    }

    /// The probability of the predicted class.
    pub fn confidence(&self, index: usize) -> f64 {
        self.row(index)[self.predicted[index] as usize]
    }

    /// Whether each sample is predicted right; what [`mcnemar`](crate::mcnemar) compares.
    pub fn correct(&self) -> Vec<bool> {
        self.labels
            .iter()
            .zip(&self.predicted)
            .map(|(label, predicted)| label == predicted)
            .collect()
    }

    /// One class against the rest: whether each sample is of the class, and its probability of being so.
    ///
    /// # Errors
    /// [`EvalError::ParameterOutOfRange`] when there is no such class.
    pub fn one_vs_rest(&self, class: usize) -> Result<(Vec<bool>, Vec<f64>), EvalError> {
        if class >= self.n_classes {
            return Err(EvalError::ParameterOutOfRange {
                name: "class",
                value: class as f64,
                range: format!("0 to {}", self.n_classes - 1),
            });
        }
        let truth = self
            .labels
            .iter()
            .map(|&label| label as usize == class)
            .collect();
        let scores = self
            .probabilities
            .chunks_exact(self.n_classes)
            .map(|row| row[class])
            .collect();
        Ok((truth, scores))
    }
}

fn check_row(index: usize, row: &[f64]) -> Result<(), EvalError> {
    for (class, &value) in row.iter().enumerate() {
        if !(0.0..=1.0).contains(&value) {
            return Err(EvalError::ProbabilityOutOfRange {
                index,
                class,
                value,
            });
        }
    }
    let sum: f64 = row.iter().sum();
    if (sum - 1.0).abs() > SUM_TOLERANCE {
        return Err(EvalError::ProbabilitySum {
            index,
            sum,
            tolerance: SUM_TOLERANCE,
        });
    }
    Ok(())
}

fn argmax(row: &[f64]) -> u32 {
    let mut best = 0;
    for (class, value) in row.iter().enumerate() {
        if *value > row[best] {
            best = class;
        }
    }
    best as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ties_go_to_the_lowest_class() {
        let predictions = Predictions::new(vec![0, 1], vec![0.2, 0.4, 0.4, 0.5, 0.0, 0.5], 3);
        assert_eq!(predictions.unwrap().predicted_labels(), [1, 0]);
    }

    #[test]
    fn bad_input_is_refused() {
        let new = |labels: &[u32], probabilities: &[f64], n_classes| {
            Predictions::new(labels.to_vec(), probabilities.to_vec(), n_classes)
                .unwrap_err()
                .to_string()
        };
        assert_eq!(
            new(&[], &[], 2),
            "the list of labels is empty; at least one sample is needed"
        );
        assert_eq!(
            new(&[0], &[1.0], 1),
            "1 classes; classification needs at least 2"
        );
        assert_eq!(
            new(&[0, 1], &[1.0, 0.0], 2),
            "the list of probabilities has length 2, but 4 is needed to match labels times classes"
        );
        assert_eq!(
            new(&[7], &[1.0, 0.0], 2),
            "label 7 of sample 0 is outside 0 to 1; there are 2 classes"
        );
        for value in [f64::NAN, f64::INFINITY, -0.1, 1.1] {
            assert!(
                new(&[0], &[1.0, value], 2).starts_with(&format!("probability {value} of class 1"))
            );
        }
        assert!(new(&[0], &[0.5, 0.4], 2).contains("sum to 0.9"));
    }
}
