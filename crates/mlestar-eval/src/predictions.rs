use crate::EvalError;
use crate::error::{check_labels, check_not_empty, check_same_length};

/// How far the sum of a sample's probabilities may be from one: more than `f32` softmax and a text file with a
/// few digits lose, and far less than a mistake (logits, percentages) causes.
const SUM_TOLERANCE: f64 = 1e-3;

/// True labels and predicted class probabilities of `n` samples, checked.
///
/// There is at least one sample and at least two classes; every label is a class index; every probability is in
/// 0-1; every row sums to 1 within 0.001 (the values are used as they are, not rescaled).
///
/// If created from logits ([`Predictions::from_logits`]), samples are ranked by log-odds, which distinguish
/// samples whose probabilities round to the same 0 or 1, and the log loss needs no clipping. Prefer this if
/// logits are available.
#[derive(Debug, Clone, PartialEq)]
pub struct Predictions {
    labels: Vec<u32>,
    probabilities: Vec<f64>,
    n_classes: usize,
    predicted: Vec<u32>,
    logits: Option<Logits>,
}

/// Class scores before the softmax, and the values that log-odds need per row, so that each takes constant
/// time.
#[derive(Debug, Clone, PartialEq)]
struct Logits {
    /// `[n, n_classes]` in row-major order.
    values: Vec<f32>,
    /// One entry per row.
    rows: Vec<LogitRow>,
}

/// The sums of a row of logits, with the highest kept separate: added up, the others would lose their digits.
#[derive(Debug, Clone, Copy, PartialEq)]
struct LogitRow {
    highest: f64,
    /// Sum over the other classes of `exp(logit - highest)`.
    rest: f64,
    /// Logarithm of the sum over the other classes of `exp(logit)`.
    log_rest: f64,
}

impl LogitRow {
    fn new(row: &[f32], top: usize) -> Self {
        let others = || {
            let others = row
                .iter()
                .enumerate()
                .filter(move |(class, _)| *class != top);
            others.map(|(_, &logit)| f64::from(logit))
        };
        let highest = f64::from(row[top]);
        let second = others().fold(f64::NEG_INFINITY, f64::max);
        let log_rest = second
            + others()
                .map(|logit| (logit - second).exp())
                .sum::<f64>()
                .ln();
        LogitRow {
            highest,
            rest: others().map(|logit| (logit - highest).exp()).sum(),
            log_rest,
        }
    }

    /// Logarithm of `p / (1 - p)` of a class.
    fn log_odds(&self, logit: f64, is_top: bool) -> f64 {
        let log_others = match is_top {
            true => self.log_rest,
            false => self.highest + (self.rest - (logit - self.highest).exp()).max(0.0).ln_1p(),
        };
        logit - log_others
    }
}

impl Predictions {
    /// `labels` has one entry per sample, `probabilities` is `[n, n_classes]` in row-major order.
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
            logits: None,
        })
    }

    /// From class scores before the softmax, `[n, n_classes]` in row-major order, as a network returns them.
    ///
    /// The predicted class is the one with the highest logit.
    ///
    /// # Errors
    /// [`EvalError::TooFewClasses`], [`EvalError::Empty`], [`EvalError::LengthMismatch`],
    /// [`EvalError::LabelOutOfRange`], [`EvalError::NotFinite`] for NaN and infinities.
    ///
    /// ```
    /// use mlestar_eval::{Predictions, roc_auc_one_vs_rest};
    /// // Both samples have the probabilities 1 and (nearly) 0, but the second is more confident.
    /// let logits = vec![60.0, 0.0, 90.0, 0.0];
    /// let predictions = Predictions::from_logits(vec![1, 0], logits, 2)?;
    /// assert_eq!(predictions.row(0)[0], predictions.row(1)[0]);
    /// assert_eq!(roc_auc_one_vs_rest(&predictions).per_class, [Some(1.0), Some(1.0)]);
    /// # Ok::<(), mlestar_eval::EvalError>(())
    /// ```
    pub fn from_logits(
        labels: Vec<u32>,
        logits: Vec<f32>,
        n_classes: usize,
    ) -> Result<Self, EvalError> {
        if n_classes < 2 {
            return Err(EvalError::TooFewClasses { n_classes });
        }
        check_not_empty("the list of labels", labels.len())?;
        let expected = labels.len().saturating_mul(n_classes);
        check_same_length(
            "the list of logits",
            logits.len(),
            "labels times classes",
            expected,
        )?;
        check_labels(&labels, n_classes)?;
        if let Some(position) = logits.iter().position(|logit| !logit.is_finite()) {
            return Err(EvalError::NotFinite {
                what: "logit",
                index: position / n_classes,
                value: logits[position].into(),
            });
        }
        let mut predicted = Vec::with_capacity(labels.len());
        let mut rows = Vec::with_capacity(labels.len());
        let mut probabilities = Vec::with_capacity(logits.len());
        for row in logits.chunks_exact(n_classes) {
            let top = argmax(row);
            let sums = LogitRow::new(row, top as usize);
            let total = 1.0 + sums.rest;
            probabilities.extend(
                row.iter()
                    .map(|&logit| (f64::from(logit) - sums.highest).exp() / total),
            );
            predicted.push(top);
            rows.push(sums);
        }
        Ok(Predictions {
            labels,
            probabilities,
            n_classes,
            predicted,
            logits: Some(Logits {
                values: logits,
                rows,
            }),
        })
    }

    /// The logits of these predictions, `[n, n_classes]` in row-major order; `None` if they were created from
    /// probabilities.
    pub fn logits(&self) -> Option<&[f32]> {
        self.logits.as_ref().map(|logits| logits.values.as_slice())
    }

    /// Natural logarithm of the probability of the true class of a sample.
    ///
    /// Exact for logits. Probabilities are first clipped to `[eps, 1 - eps]` with `eps` = 2.2e-16, as in
    /// scikit-learn.
    pub fn log_probability_of_truth(&self, index: usize) -> f64 {
        let label = self.labels[index] as usize;
        let Some(logits) = &self.logits else {
            let probability = self.row(index)[label];
            return probability.clamp(f64::EPSILON, 1.0 - f64::EPSILON).ln();
        };
        let row = &logits.rows[index];
        let logit = f64::from(logits.values[index * self.n_classes + label]);
        // ln p = -ln(1 + (1 - p) / p); for a confident correct answer the small term keeps its digits.
        (logit - row.highest) - row.rest.ln_1p()
    }

    /// The logits of a sample, or the logarithms of its clipped probabilities.
    pub(crate) fn scores(&self, index: usize) -> Vec<f64> {
        match &self.logits {
            Some(logits) => {
                let start = index * self.n_classes;
                let row = &logits.values[start..start + self.n_classes];
                row.iter().map(|&logit| f64::from(logit)).collect()
            }
            None => {
                let row = self.row(index).iter();
                row.map(|probability| probability.max(f64::EPSILON).ln())
                    .collect()
            }
        }
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
    /// As for indexing a slice: if `index >= len()`. The same holds for `row`, `predicted` and `confidence`.
    pub fn label(&self, index: usize) -> u32 {
        self.labels[index]
    }

    /// The true classes, one per sample.
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

    /// The predicted classes, one per sample.
    pub fn predicted_labels(&self) -> &[u32] {
        &self.predicted
    }

    /// The probability of the predicted class.
    pub fn confidence(&self, index: usize) -> f64 {
        self.row(index)[self.predicted[index] as usize]
    }

    /// Whether each sample is predicted correctly; the input of [`mcnemar`](crate::mcnemar).
    pub fn correct(&self) -> Vec<bool> {
        self.labels
            .iter()
            .zip(&self.predicted)
            .map(|(label, predicted)| label == predicted)
            .collect()
    }

    /// One class against the rest: whether each sample is of the class, and its score. The score is the
    /// logarithm of `p / (1 - p)` for logits, and p itself for probabilities. Both rank the samples by p.
    ///
    /// # Errors
    /// [`EvalError::ParameterOutOfRange`] if there is no such class.
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
        let scores = (0..self.len()).map(|index| self.score(index, class));
        Ok((truth, scores.collect()))
    }

    fn score(&self, index: usize, class: usize) -> f64 {
        let place = index * self.n_classes + class;
        match &self.logits {
            None => self.probabilities[place],
            Some(logits) => {
                let is_top = self.predicted[index] as usize == class;
                logits.rows[index].log_odds(logits.values[place].into(), is_top)
            }
        }
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

fn argmax<T: PartialOrd>(row: &[T]) -> u32 {
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
    fn logits_that_are_no_numbers_are_refused() {
        for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let error = Predictions::from_logits(vec![0, 1], vec![0.0, 1.0, value, 0.0], 2);
            let error = error.unwrap_err().to_string();
            assert_eq!(
                error,
                format!("logit {value} of sample 1 is not a finite number")
            );
        }
        assert!(Predictions::from_logits(vec![0], vec![0.0], 2).is_err());
        assert!(Predictions::from_logits(vec![2], vec![0.0, 1.0], 2).is_err());
        assert!(Predictions::from_logits(vec![], vec![], 2).is_err());
        assert!(Predictions::from_logits(vec![0], vec![0.0], 1).is_err());
    }

    #[test]
    fn one_sample_has_log_odds_and_a_log_probability() {
        let predictions = Predictions::from_logits(vec![1], vec![200.0, 0.0, 100.0], 3).unwrap();
        let score = |class| predictions.one_vs_rest(class).unwrap().1[0];
        assert_eq!([score(0), score(1), score(2)], [100.0, -200.0, -100.0]);
        assert_eq!(predictions.log_probability_of_truth(0), -200.0);
        assert_eq!(predictions.predicted(0), 0);
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
