use serde::{Deserialize, Serialize};

use crate::float_text;

/// A figure that was recomputed from raw rows or measured on the machine.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Measurement {
    /// The value, in the criterion's unit.
    #[serde(with = "float_text::value")]
    pub value: f64,
    /// Confidence interval `[low, high]` in the same unit; `None` for figures without sampling error.
    #[serde(default, with = "float_text::interval")]
    pub interval: Option<[f64; 2]>,
    /// Number of independent samples behind `value`, if the interval comes from sampling.
    #[serde(default)]
    pub samples: Option<u64>,
    /// How it was measured, for example `10,000 test pictures, Wilson 95%`; may be empty.
    #[serde(default)]
    pub note: String,
}

impl Measurement {
    /// A figure without sampling error: a count, a size, a flag (0 or 1).
    pub fn exact(value: f64) -> Self {
        Measurement {
            value,
            ..Measurement::default()
        }
    }

    /// 1 if the condition holds, otherwise 0; for criteria such as "documentation present" with `equals = 1`.
    pub fn flag(holds: bool) -> Self {
        Measurement::exact(if holds { 1.0 } else { 0.0 })
    }

    /// A figure with its confidence interval.
    pub fn with_interval(value: f64, interval: [f64; 2]) -> Self {
        Measurement {
            value,
            interval: Some(interval),
            ..Measurement::default()
        }
    }

    /// A proportion of `samples` with its confidence interval; an inconclusive verdict then estimates how many
    /// more samples are needed.
    pub fn proportion(value: f64, interval: [f64; 2], samples: u64) -> Self {
        Measurement {
            value,
            interval: Some(interval),
            samples: Some(samples),
            note: String::new(),
        }
    }

    /// The same measurement with a note on how it was made.
    #[must_use]
    pub fn noted(mut self, note: impl Into<String>) -> Self {
        self.note = note.into();
        self
    }
}

impl From<f64> for Measurement {
    fn from(value: f64) -> Self {
        Measurement::exact(value)
    }
}

/// A figure from this many samples.
#[cfg(feature = "eval")]
impl From<(mlestar_eval::Estimate, u64)> for Measurement {
    fn from((figure, samples): (mlestar_eval::Estimate, u64)) -> Self {
        Measurement::proportion(figure.value, figure.interval.ends(), samples)
    }
}

/// The evidence for one criterion.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Evidence {
    /// The artifacts are intact and give this figure.
    Measured {
        /// The recomputed figure.
        measurement: Measurement,
        /// The artifacts it is based on.
        files: Vec<String>,
    },
    /// An artifact differs from what the stage wrote.
    Altered {
        /// The artifact.
        file: String,
        /// Its content hash when it was written.
        recorded: String,
        /// Its content hash now.
        found: String,
    },
    /// An artifact claims a figure that differs from the recomputed one. Both figures are in the criterion's
    /// unit.
    Contradiction {
        /// The artifact with the claim.
        file: String,
        /// The claimed figure.
        #[serde(with = "float_text::value")]
        claimed: f64,
        /// The recomputed figure.
        #[serde(with = "float_text::value")]
        recomputed: f64,
        /// The name of the figure, for example `accuracy`.
        what: String,
    },
    /// The artifacts are intact, but their inputs have changed since.
    Stale {
        /// The changes, one line each; never empty.
        reasons: Vec<String>,
    },
    /// An artifact does not exist or cannot be read.
    Missing {
        /// The artifact.
        file: String,
        /// The reason, for example `stage 5 has not run`.
        reason: String,
    },
}

impl Evidence {
    /// Shorthand for [`Evidence::Measured`].
    pub fn measured<F: Into<String>>(
        measurement: Measurement,
        files: impl IntoIterator<Item = F>,
    ) -> Self {
        Evidence::Measured {
            measurement,
            files: files.into_iter().map(Into::into).collect(),
        }
    }

    /// Shorthand for [`Evidence::Missing`].
    pub fn missing(file: impl Into<String>, reason: impl Into<String>) -> Self {
        Evidence::Missing {
            file: file.into(),
            reason: reason.into(),
        }
    }

    /// The measurement, if there is one.
    pub fn measurement(&self) -> Option<&Measurement> {
        match self {
            Evidence::Measured { measurement, .. } => Some(measurement),
            _ => None,
        }
    }

    /// The artifacts concerned.
    pub fn files(&self) -> Vec<&str> {
        match self {
            Evidence::Measured { files, .. } => files.iter().map(String::as_str).collect(),
            Evidence::Altered { file, .. }
            | Evidence::Contradiction { file, .. }
            | Evidence::Missing { file, .. } => vec![file],
            Evidence::Stale { .. } => Vec::new(),
        }
    }
}

/// What makes a measurement unusable.
pub(crate) fn defect(measurement: &Measurement) -> Option<String> {
    if !measurement.value.is_finite() {
        return Some(format!(
            "the measured value is {}, not a number that can be compared",
            measurement.value
        ));
    }
    match measurement.interval {
        Some([low, high]) if low.is_nan() || high.is_nan() || low > high => Some(format!(
            "the interval [{low}, {high}] of the measured value is malformed"
        )),
        _ => None,
    }
}
