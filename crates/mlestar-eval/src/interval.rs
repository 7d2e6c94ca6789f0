use serde::{Deserialize, Serialize};

/// A confidence interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// Lower end, in the unit of the estimate.
    pub low: f64,
    /// Upper end, not below `low`.
    pub high: f64,
    /// Confidence level, above 0 and below 1.
    pub confidence: f64,
}

impl Interval {
    /// Whether `value` is inside, ends included.
    pub fn contains(&self, value: f64) -> bool {
        self.low <= value && value <= self.high
    }

    /// `high - low`.
    pub fn width(&self) -> f64 {
        self.high - self.low
    }

    /// `[low, high]`.
    pub fn ends(&self) -> [f64; 2] {
        [self.low, self.high]
    }
}
