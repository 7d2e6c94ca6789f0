use serde::{Deserialize, Serialize};

use crate::TrainError;

/// Section `[training.mixing]`: mixes the images of a training batch with one another.
///
/// | key | default | meaning | range |
/// |---|---|---|---|
/// | `mixup_alpha` | 0 | mixup (blended images): the shares are drawn from Beta(a, a); 0 is off | 0, or 0.001 to 100 |
/// | `cutmix_alpha` | 0 | CutMix (a box from another image): the shares are drawn from Beta(a, a); 0 is off |
/// 0, or 0.001 to 100 |
/// | `probability` | 1 | share of the batches that are mixed | 0 to 1 |
///
/// If both are on, a fair coin decides for each batch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MixingConfig {
    /// Parameter of the distribution of mixup's shares; 0 is off.
    pub mixup_alpha: f64,
    /// Parameter of the distribution of CutMix's shares; 0 is off.
    pub cutmix_alpha: f64,
    /// Share of the batches that are mixed (0-1).
    pub probability: f64,
}

impl Default for MixingConfig {
    /// Off; if a method is switched on, it is applied to every batch.
    fn default() -> Self {
        Self {
            mixup_alpha: 0.0,
            cutmix_alpha: 0.0,
            probability: 1.0,
        }
    }
}

impl MixingConfig {
    /// Whether no batch is ever mixed.
    #[must_use]
    pub fn is_off(&self) -> bool {
        self.probability == 0.0 || (self.mixup_alpha == 0.0 && self.cutmix_alpha == 0.0)
    }

    pub(super) fn check(&self) -> Result<(), TrainError> {
        for (key, alpha) in [
            ("mixing.mixup_alpha", self.mixup_alpha),
            ("mixing.cutmix_alpha", self.cutmix_alpha),
        ] {
            if alpha != 0.0 && !(0.001..=100.0).contains(&alpha) {
                let limit = "0 (off) or 0.001 to 100; 0.2 is usual for mixup, 1 for CutMix";
                return Err(TrainError::out_of_range(key, alpha, limit));
            }
        }
        if !(0.0..=1.0).contains(&self.probability) {
            let key = "mixing.probability";
            return Err(TrainError::out_of_range(key, self.probability, "0 to 1"));
        }
        Ok(())
    }
}
