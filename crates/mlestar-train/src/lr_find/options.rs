use serde::{Deserialize, Serialize};

use crate::{TrainError, config::OptimizerKind};

/// The settings of a sweep over learning rates.
///
/// | field | default | meaning | range |
/// |---|---|---|---|
/// | `steps` | 100 | steps of the sweep, one batch each | 20 to 10000 |
/// | `lowest` | 1e-6; SGD 1e-5, Muon 1e-4 | rate of the first step | 0 < r <= 10 |
/// | `highest` | 1; SGD and Muon 10 | rate of the last step | at least 10 times the lowest, at most 10 |
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct LrFindOptions {
    /// Steps of the sweep, one batch each.
    pub steps: usize,
    /// Learning rate of the first step.
    pub lowest: f64,
    /// Learning rate of the last step.
    pub highest: f64,
}

/// With fewer steps, the curve cannot be read.
const MIN_STEPS: usize = 20;
const MAX_STEPS: usize = 10_000;
/// The highest rate that a training accepts.
const MAX_LEARNING_RATE: f64 = 10.0;
/// A sweep must be wide enough to have both a flat and a falling part.
const MIN_RATIO: f64 = 10.0;

impl LrFindOptions {
    /// A sweep over the range in which useful rates of this optimizer lie.
    #[must_use]
    pub fn for_optimizer(kind: OptimizerKind) -> Self {
        let (lowest, highest) = match kind {
            OptimizerKind::Sgd => (1e-5, 10.0),
            // Its steps have a fixed length, whatever the gradient.
            OptimizerKind::Muon => (1e-4, 10.0),
            // Adam divides by the size of the gradient, so useful rates are lower.
            _ => (1e-6, 1.0),
        };
        Self {
            steps: 100,
            lowest,
            highest,
        }
    }

    /// Checks every value.
    ///
    /// # Errors
    ///
    /// [`TrainError::OutOfRange`] with the field, the value and the allowed range.
    pub fn check(&self) -> Result<(), TrainError> {
        if !(MIN_STEPS..=MAX_STEPS).contains(&self.steps) {
            let limit = format!("{MIN_STEPS} to {MAX_STEPS}");
            return Err(TrainError::out_of_range("steps", self.steps, limit));
        }
        if !(self.lowest > 0.0 && self.lowest <= MAX_LEARNING_RATE) {
            let limit = format!("above 0 and at most {MAX_LEARNING_RATE}");
            return Err(TrainError::out_of_range("lowest", self.lowest, limit));
        }
        if !(self.highest >= MIN_RATIO * self.lowest && self.highest <= MAX_LEARNING_RATE) {
            let limit = format!(
                "at least {MIN_RATIO} times the lowest rate, which is {}, and at most \
                 {MAX_LEARNING_RATE}",
                self.lowest
            );
            return Err(TrainError::out_of_range("highest", self.highest, limit));
        }
        Ok(())
    }

    /// The rate of step `step`, from 0: each step multiplies it by the same factor.
    #[must_use]
    pub fn learning_rate(&self, step: usize) -> f64 {
        let last = self.steps.saturating_sub(1).max(1);
        if step >= last {
            return self.highest;
        }
        let ratio = self.highest / self.lowest;
        self.lowest * ratio.powf(step as f64 / last as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_out_of_range_are_refused_by_field_value_and_limit() {
        let refused = |steps, lowest, highest, expected: &str| {
            let options = LrFindOptions {
                steps,
                lowest,
                highest,
            };
            assert_eq!(options.check().unwrap_err().to_string(), expected);
        };
        refused(
            19,
            1e-6,
            1.0,
            "steps = 19 is out of range: it must be 20 to 10000",
        );
        refused(
            10_001,
            1e-6,
            1.0,
            "steps = 10001 is out of range: it must be 20 to 10000",
        );
        let limit = "is out of range: it must be above 0 and at most 10";
        refused(50, 0.0, 1.0, &format!("lowest = 0 {limit}"));
        refused(50, f64::NAN, 1.0, &format!("lowest = NaN {limit}"));
        refused(50, 11.0, 1.0, &format!("lowest = 11 {limit}"));
        let limit = "is out of range: it must be at least 10 times the lowest rate, which is 0.01, and \
                     at most 10";
        for highest in [0.001, 0.0999, 10.1, f64::INFINITY, f64::NAN] {
            refused(50, 0.01, highest, &format!("highest = {highest} {limit}"));
        }
    }

    #[test]
    fn a_sweep_reaches_from_far_below_the_usual_rates_of_its_optimizer_to_above_them() {
        for (kind, expected) in [
            (OptimizerKind::Adam, (1e-6, 1.0)),
            (OptimizerKind::Sgd, (1e-5, 10.0)),
            (OptimizerKind::Muon, (1e-4, 10.0)),
        ] {
            let options = LrFindOptions::for_optimizer(kind);
            assert_eq!((options.lowest, options.highest), expected, "{kind:?}");
        }
    }

    #[test]
    fn rates_grow_by_the_same_factor_from_end_to_end() {
        for kind in [
            OptimizerKind::Adam,
            OptimizerKind::AdamW,
            OptimizerKind::Sgd,
            OptimizerKind::Lion,
            OptimizerKind::Muon,
        ] {
            let options = LrFindOptions::for_optimizer(kind);
            options.check().unwrap();
            let rates: Vec<f64> = (0..options.steps)
                .map(|i| options.learning_rate(i))
                .collect();
            assert_eq!((rates[0], rates[99]), (options.lowest, options.highest));
            let factor = (options.highest / options.lowest).powf(1.0 / 99.0);
            for pair in rates.windows(2) {
                assert!((pair[1] / pair[0] / factor - 1.0).abs() < 1e-12);
            }
        }
    }
}
