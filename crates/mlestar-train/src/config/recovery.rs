use serde::{Deserialize, Serialize};

use super::in_range;
use crate::TrainError;

/// Section `[training.recovery]`: what is done when the loss is no longer a number or the device's
/// memory does not suffice.
///
/// | key | default | meaning | range |
/// |---|---|---|---|
/// | `attempts` | 2 | returns to the last good checkpoint, of either kind; 0 stops at once | 0 to 100 |
/// | `rate_factor` | 0.5 | the learning rate is multiplied by it after a loss that is not finite | 0 < f <= 1 |
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RecoveryConfig {
    /// Returns to the last good checkpoint, at most.
    pub attempts: usize,
    /// Factor of the learning rate after each return for a loss that is not finite.
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
