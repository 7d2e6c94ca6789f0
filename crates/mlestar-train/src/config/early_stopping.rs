use serde::{Deserialize, Serialize};

use super::{MAX_EPOCHS, fraction, in_range};
use crate::TrainError;

/// Section `[training.early_stopping]`. Without it, early stopping is off.
///
/// | key | default | meaning | range |
/// |---|---|---|---|
/// | `patience` | 10 | the training stops after this many epochs without progress | 1 to 100000 |
/// | `min_delta` | 0 | progress is a validation accuracy that is higher by more than this | 0 <= d < 1 |
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EarlyStoppingConfig {
    /// The training stops after this many epochs without progress, at the end of a validated epoch.
    pub patience: usize,
    /// Progress is a validation accuracy (0-1) that is higher by more than this.
    pub min_delta: f64,
}

impl Default for EarlyStoppingConfig {
    fn default() -> Self {
        Self {
            patience: 10,
            min_delta: 0.0,
        }
    }
}

impl EarlyStoppingConfig {
    pub(super) fn check(&self) -> Result<(), TrainError> {
        in_range("early_stopping.patience", self.patience, 1, MAX_EPOCHS)?;
        fraction("early_stopping.min_delta", self.min_delta)
    }
}
