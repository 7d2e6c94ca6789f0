use thiserror::Error;

/// Input for which a metric is not defined.
#[derive(Debug, Clone, PartialEq, Error)]
#[non_exhaustive]
pub enum EvalError {
    /// There is nothing to evaluate.
    #[error("{what} is empty; at least one sample is needed")]
    Empty {
        /// The slice.
        what: &'static str,
    },
    /// Two slices that belong together differ in length.
    #[error("{what} has length {found}, but {expected} is needed to match {other}")]
    LengthMismatch {
        /// The slice.
        what: &'static str,
        /// What it must match.
        other: &'static str,
        /// The length needed.
        expected: usize,
        /// The length found.
        found: usize,
    },
    /// Fewer than two classes.
    #[error("{n_classes} classes; classification needs at least 2")]
    TooFewClasses {
        /// The given number.
        n_classes: usize,
    },
    /// A label is not a class index.
    #[error("label {label} of sample {index} is outside 0 to {}; there are {n_classes} classes", n_classes.saturating_sub(1))]
    LabelOutOfRange {
        /// The sample, from 0.
        index: usize,
        /// Its label.
        label: u32,
        /// The number of classes.
        n_classes: usize,
    },
    /// A probability is NaN, infinite, negative or above 1.
    #[error(
        "probability {value} of class {class} of sample {index} is outside 0 to 1; apply softmax to logits first"
    )]
    ProbabilityOutOfRange {
        /// The sample, from 0.
        index: usize,
        /// The class, from 0.
        class: usize,
        /// The probability.
        value: f64,
    },
    /// The probabilities of a sample do not sum to one.
    #[error(
        "the probabilities of sample {index} sum to {sum}, not to 1 within {tolerance}; apply softmax to logits first"
    )]
    ProbabilitySum {
        /// The sample, from 0.
        index: usize,
        /// Their sum.
        sum: f64,
        /// The allowed deviation.
        tolerance: f64,
    },
    /// A score or value is NaN or infinite.
    #[error("{what} {value} of sample {index} is not a finite number")]
    NotFinite {
        /// `score` or `value`.
        what: &'static str,
        /// The sample, from 0.
        index: usize,
        /// The value.
        value: f64,
    },
    /// A confusion matrix is not square.
    #[error(
        "row {row} of the confusion matrix has {found} columns, but there are {expected} classes"
    )]
    NotSquare {
        /// The row, from 0.
        row: usize,
        /// Its length.
        found: usize,
        /// The number of rows.
        expected: usize,
    },
    /// The sum of counts overflows.
    #[error("the counts of {what} add up to more than {}", u64::MAX)]
    CountOverflow {
        /// What was counted.
        what: &'static str,
    },
    /// A parameter is outside its range.
    #[error("{name} = {value} is outside the range {range}")]
    ParameterOutOfRange {
        /// The parameter.
        name: &'static str,
        /// The given value.
        value: f64,
        /// The allowed range.
        range: String,
    },
    /// The statistic was undefined on too many bootstrap resamples.
    #[error(
        "the statistic is undefined on {undefined} of {resamples} bootstrap resamples; an interval needs it on at least half of them"
    )]
    BootstrapUndefined {
        /// Resamples on which the statistic is undefined.
        undefined: usize,
        /// Number of resamples.
        resamples: usize,
    },
}

pub(crate) fn check_not_empty(what: &'static str, length: usize) -> Result<(), EvalError> {
    if length == 0 {
        Err(EvalError::Empty { what })
    } else {
        Ok(())
    }
}

pub(crate) fn check_same_length(
    what: &'static str,
    found: usize,
    other: &'static str,
    expected: usize,
) -> Result<(), EvalError> {
    if found == expected {
        Ok(())
    } else {
        Err(EvalError::LengthMismatch {
            what,
            other,
            expected,
            found,
        })
    }
}

pub(crate) fn check_labels(labels: &[u32], n_classes: usize) -> Result<(), EvalError> {
    match labels.iter().position(|&label| label as usize >= n_classes) {
        Some(index) => Err(EvalError::LabelOutOfRange {
            index,
            label: labels[index],
            n_classes,
        }),
        None => Ok(()),
    }
}

/// A confidence level of 1 would need infinite intervals, and 0 none.
pub(crate) fn check_confidence(confidence: f64) -> Result<(), EvalError> {
    if confidence > 0.0 && confidence < 1.0 {
        Ok(())
    } else {
        Err(EvalError::ParameterOutOfRange {
            name: "confidence",
            value: confidence,
            range: "above 0 and below 1; write for example 0.95".to_string(),
        })
    }
}
