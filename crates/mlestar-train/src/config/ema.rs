use serde::{Deserialize, Serialize};

use super::{fraction, in_range};
use crate::TrainError;

/// Section `[training.ema]`. If present, validation and everything after it use averaged weights.
///
/// | key | default | meaning | range |
/// |---|---|---|---|
/// | `decay` | 0.999 | share of the average that each step keeps | 0 <= d < 1 |
/// | `every_steps` | 5 | steps between updates; each update counts for as many steps | 1 to 10000 |
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EmaConfig {
    /// Share of the average that each step keeps.
    pub decay: f64,
    /// Steps between two updates of the average.
    pub every_steps: usize,
}

impl Default for EmaConfig {
    fn default() -> Self {
        Self {
            decay: 0.999,
            every_steps: 5,
        }
    }
}

impl EmaConfig {
    pub(super) fn check(&self) -> Result<(), TrainError> {
        fraction("ema.decay", self.decay)?;
        in_range("ema.every_steps", self.every_steps, 1, 10_000)
    }
}
