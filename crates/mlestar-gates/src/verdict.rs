use std::fmt;

use serde::{Deserialize, Serialize};

use crate::evidence::defect;
use crate::{Criterion, Evidence, Limit, Measurement, Status, message};

/// The outcome for one criterion.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// The criterion.
    pub criterion: Criterion,
    /// The outcome.
    pub status: Status,
    /// The evidence.
    pub evidence: Evidence,
    /// Distance of the measured value from the limit in the criterion's unit, positive or zero inside it;
    /// `None` without a usable figure.
    pub margin: Option<f64>,
    /// One line for people.
    pub message: String,
}

/// `PASS accuracy 0.8712 ...`
impl fmt::Display for Verdict {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {}", self.status, self.message)
    }
}

/// Compares the evidence with the criterion's limit. Never fails: a defect of the evidence becomes a verdict.
///
/// A measured value passes if it and its whole interval meet the limit (bounds are inclusive, except for
/// [`Limit::Above`]). It fails if neither it nor any part of the interval does. Otherwise it is inconclusive. A
/// limit that is not finite fails.
///
/// ```
/// use mlestar_gates::{Criterion, Evidence, Limit, Status, Unit, judge};
/// let criterion = Criterion {
///     id: "model_size".into(),
///     title: "model size".into(),
///     limit: Limit::AtMost(50e6),
///     unit: Unit::Bytes,
///     remedy: "use fewer channels".into(),
/// };
/// let verdict = judge(&criterion, Evidence::missing("package/model.onnx", "the deployment stage has not run"));
/// assert_eq!(verdict.status, Status::Missing);
/// assert_eq!(verdict.message, "model size: package/model.onnx: the deployment stage has not run");
/// ```
pub fn judge(criterion: &Criterion, evidence: Evidence) -> Verdict {
    let (status, margin) = match &evidence {
        Evidence::Measured { measurement, .. } => judge_measurement(criterion.limit, measurement),
        Evidence::Altered { .. } | Evidence::Contradiction { .. } => (Status::Fail, None),
        Evidence::Stale { .. } => (Status::Stale, None),
        Evidence::Missing { .. } => (Status::Missing, None),
    };
    Verdict {
        message: message::message(criterion, status, &evidence),
        criterion: criterion.clone(),
        status,
        evidence,
        margin,
    }
}

impl Criterion {
    /// The verdict on a figure that was just measured: a number, a [`Measurement`], or, with the feature
    /// `eval`, a figure of `mlestar-eval` with its interval and the number of samples.
    ///
    /// ```
    /// use mlestar_gates::{Criterion, Limit, Status, Unit};
    /// let latency = Criterion::new("latency", Limit::AtMost(100.0), Unit::Milliseconds);
    /// assert_eq!(latency.judge(12.5).status, Status::Pass);
    /// ```
    pub fn judge(&self, figure: impl Into<Measurement>) -> Verdict {
        judge(self, Evidence::measured(figure.into(), [""; 0]))
    }
}

fn judge_measurement(limit: Limit, measurement: &Measurement) -> (Status, Option<f64>) {
    let value = measurement.value;
    if limit.check().is_err() || defect(measurement).is_some() {
        return (Status::Fail, None);
    }
    // A percentile interval need not contain the value, so both are checked.
    let interval = measurement.interval.unwrap_or([value, value]);
    let status = if limit.allows(value) && limit.allows_all(interval) {
        Status::Pass
    } else if !limit.allows(value) && limit.allows_none(interval) {
        Status::Fail
    } else {
        Status::Inconclusive
    };
    (status, Some(limit.margin(value)))
}
