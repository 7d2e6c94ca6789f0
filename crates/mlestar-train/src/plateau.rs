use serde::{Deserialize, Serialize};

use crate::{
    EpochRecord,
    config::{Monitor, PlateauConfig},
};

/// How far the learning rate has been lowered because of no progress, as in PyTorch's `ReduceLROnPlateau`
/// (relative threshold, no cool-down).
///
/// The state depends only on the epochs, so a resumed training computes it with [`PlateauState::after`].
///
/// ```
/// use mlestar_train::{PlateauConfig, PlateauState};
///
/// let state = PlateauState::default();
/// assert_eq!(state.factor, 1.0);
/// assert_eq!(state, PlateauState::after(&PlateauConfig::default(), &[]));
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlateauState {
    /// Factor of the schedule's rate, above 0 and at most 1.
    pub factor: f64,
    /// The best monitored value; `None` before the first validation.
    pub best: Option<f64>,
    /// Epochs since the last progress or the last lowering of the rate, including epochs without validation.
    pub waited: usize,
}

impl Default for PlateauState {
    fn default() -> Self {
        Self {
            factor: 1.0,
            best: None,
            waited: 0,
        }
    }
}

impl PlateauState {
    /// The state after these epochs.
    #[must_use]
    pub fn after(config: &PlateauConfig, history: &[EpochRecord]) -> Self {
        let mut state = Self::default();
        for record in history {
            state.observe(config, record);
        }
        state
    }

    /// Adds an epoch. Returns true if it lowers the rate; an epoch without validation never does.
    pub fn observe(&mut self, config: &PlateauConfig, record: &EpochRecord) -> bool {
        let (Some(loss), Some(accuracy)) = (record.validation_loss, record.validation_accuracy)
        else {
            self.waited += usize::from(self.best.is_some());
            return false;
        };
        let (value, is_progress) = match config.monitor {
            Monitor::ValidationLoss => {
                let value = loss;
                let better = |best: f64| value < best * (1.0 - config.threshold);
                (value, self.best.is_none_or(better))
            }
            Monitor::ValidationAccuracy => {
                let value = accuracy;
                let better = |best: f64| value > best * (1.0 + config.threshold);
                (value, self.best.is_none_or(better))
            }
        };
        if is_progress {
            self.best = Some(value);
            self.waited = 0;
        } else {
            self.waited += 1;
        }
        if self.waited <= config.patience {
            return false;
        }
        self.waited = 0;
        let before = self.factor;
        self.factor = (before * config.factor)
            .max(config.min_fraction)
            .min(before);
        self.factor < before
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(loss: f64, accuracy: f64) -> EpochRecord {
        EpochRecord {
            epoch: 1,
            learning_rate: 0.1,
            train_loss: 1.0,
            train_accuracy: 0.5,
            validation_loss: Some(loss),
            validation_accuracy: Some(accuracy),
            images_per_second: 1.0,
            picture_area: 1.0,
            seconds: 1.0,
            loader_wait_seconds: 0.0,
            validation_seconds: 1.0,
            gradient_norm_mean: 1.0,
            head: None,
        }
    }

    fn factors(config: &PlateauConfig, records: &[EpochRecord]) -> Vec<f64> {
        let mut state = PlateauState::default();
        let after = |record| {
            state.observe(config, record);
            state.factor
        };
        records.iter().map(after).collect()
    }

    fn check(found: &[f64], expected: &[f64]) {
        assert_eq!(found.len(), expected.len());
        for (found, expected) in found.iter().zip(expected) {
            assert!((found - expected).abs() < 1e-12, "{found} and {expected}");
        }
    }

    /// Learning rates of PyTorch 2.15's `ReduceLROnPlateau` for an initial rate of 1.
    #[test]
    fn losses_lower_the_rate_as_in_pytorch() {
        let losses = [
            1.0,
            0.9,
            0.95,
            0.899_999_9,
            0.91,
            0.92,
            0.5,
            0.6,
            0.6,
            0.6,
            0.6,
            0.6,
            0.6,
            0.49,
        ];
        let config = PlateauConfig {
            factor: 0.5,
            patience: 2,
            min_fraction: 0.2,
            ..PlateauConfig::default()
        };
        let records = losses.map(|loss| record(loss, 0.0));
        let expected = [
            1.0, 1.0, 1.0, 1.0, 0.5, 0.5, 0.5, 0.5, 0.5, 0.25, 0.25, 0.25, 0.2, 0.2,
        ];
        check(&factors(&config, &records), &expected);

        let config = PlateauConfig {
            factor: 0.3,
            patience: 0,
            threshold: 0.0,
            ..PlateauConfig::default()
        };
        let records = [1.0, 1.0, 1.0, 0.5, 0.6].map(|loss| record(loss, 0.0));
        check(&factors(&config, &records), &[1.0, 0.3, 0.09, 0.09, 0.027]);
    }

    /// As above, in the mode `max`.
    #[test]
    fn accuracies_lower_the_rate_as_in_pytorch() {
        let config = PlateauConfig {
            monitor: Monitor::ValidationAccuracy,
            patience: 1,
            threshold: 0.01,
            ..PlateauConfig::default()
        };
        let accuracies = [0.1, 0.2, 0.2, 0.201, 0.2005, 0.3, 0.3, 0.3, 0.29, 0.31];
        let records = accuracies.map(|accuracy| record(1.0, accuracy));
        let expected = [1.0, 1.0, 1.0, 0.1, 0.1, 0.1, 0.1, 0.01, 0.01, 0.01];
        check(&factors(&config, &records), &expected);
    }

    #[test]
    fn an_epoch_without_a_validation_is_waited_for_and_lowers_nothing() {
        let config = PlateauConfig {
            patience: 1,
            ..PlateauConfig::default()
        };
        let skipped = EpochRecord {
            validation_loss: None,
            validation_accuracy: None,
            ..record(0.0, 0.0)
        };
        let [first, worse] = [1.0, 2.0].map(|loss| record(loss, 0.0));
        let records = [&skipped, &skipped, &first, &skipped, &skipped, &worse].map(Clone::clone);
        check(&factors(&config, &records), &[1.0, 1.0, 1.0, 1.0, 1.0, 0.1]);
    }

    #[test]
    fn a_state_survives_its_record_and_follows_from_the_epochs() {
        let config = PlateauConfig {
            patience: 1,
            ..PlateauConfig::default()
        };
        let records = [1.0, 2.0, 2.0, 2.0].map(|loss| record(loss, 0.0));
        let mut state = PlateauState::default();
        let lowered = records
            .each_ref()
            .map(|record| state.observe(&config, record));
        assert_eq!(lowered, [false, false, true, false]);
        assert_eq!(
            (state.factor, state.best, state.waited),
            (0.1, Some(1.0), 1)
        );
        let text = serde_json::to_string(&state).unwrap();
        assert_eq!(serde_json::from_str::<PlateauState>(&text).unwrap(), state);
        assert_eq!(PlateauState::after(&config, &records), state);
    }
}
