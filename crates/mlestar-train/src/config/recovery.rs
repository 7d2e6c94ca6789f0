use serde::{Deserialize, Serialize};

use super::in_range;
use crate::TrainError;

/// Section `[training.recovery]`: the remedies if the loss is not finite or the device is out of memory.
///
/// | key | default | meaning | range |
/// |---|---|---|---|
/// | `attempts` | 2 | how often to return to the last good checkpoint, for each kind of failure; 0 stops at once | 0 to 100 |
/// | `rate_factor` | 0.5 | factor of the learning rate after a loss that is not finite | 0 < f <= 1 |
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RecoveryConfig {
    /// How often to return to the last good checkpoint.
    pub attempts: usize,
    /// Factor of the learning rate after each loss that is not finite.
    pub rate_factor: f64,
}

impl Default for RecoveryConfig {
    fn default() -> Self {
        Self {
            attempts: 2,
            rate_factor: 0.5,
        }
    }
}

impl RecoveryConfig {
    pub(super) fn check(&self) -> Result<(), TrainError> {
        in_range("recovery.attempts", self.attempts, 0, 100)?;
        if self.rate_factor > 0.0 && self.rate_factor <= 1.0 {
            return Ok(());
        }
        let limit = "above 0 and at most 1";
        Err(TrainError::out_of_range(
            "recovery.rate_factor",
            self.rate_factor,
            limit,
        ))
    }
}
