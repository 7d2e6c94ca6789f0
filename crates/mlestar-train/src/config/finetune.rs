use serde::{Deserialize, Serialize};

use super::in_range;
use crate::TrainError;

/// Section `[training.finetune]`. If present, the training starts from pretrained weights (`initial_weights`): its first
/// epoch fits the head on features that the frozen network computes once, and the later epochs train groups of layers,
/// from the head to the input.
///
/// | key | default | meaning | range |
/// |---|---|---|---|
/// | `unfreeze_every_epochs` | 1 | after the first epoch, epochs until one more group of layers learns; 0: all learn at once | 0 to 100000 |
/// | `rate_decay` | 0.5 | rate of a group / rate of the next group towards the head | 0 < d <= 1 |
/// | `statistics` | `"frozen"` | the statistics of batch norms: those of the pretraining, or of each batch | `"frozen"`, `"batch"` |
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FinetuneConfig {
    /// After the first epoch, which fits the head alone, one more group of layers learns every so many epochs; with 0
    /// all of them learn from the second epoch on.
    pub unfreeze_every_epochs: usize,
    /// Rate of a group divided by the rate of the next group towards the head.
    pub rate_decay: f64,
    /// The statistics that batch norms of learning groups use. Frozen groups always use those of the pretraining.
    pub statistics: Statistics,
}

/// Which statistics a batch norm uses while its group learns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Statistics {
    /// The running statistics of the pretraining, which stay as they are. Better for small batches and few images.
    Frozen,
    /// Those of the batch, which also move the running statistics.
    Batch,
}

impl Default for FinetuneConfig {
    fn default() -> Self {
        Self {
            unfreeze_every_epochs: 1,
            rate_decay: 0.5,
            statistics: Statistics::Frozen,
        }
    }
}

impl FinetuneConfig {
    /// The epoch that fits the head, from 1.
    pub const HEAD_EPOCH: usize = 1;

    pub(super) fn check(&self) -> Result<(), TrainError> {
        in_range(
            "finetune.unfreeze_every_epochs",
            self.unfreeze_every_epochs,
            0,
            super::MAX_EPOCHS,
        )?;
        match self.rate_decay > 0.0 && self.rate_decay <= 1.0 {
            true => Ok(()),
            false => Err(TrainError::out_of_range(
                "finetune.rate_decay",
                self.rate_decay,
                "above 0 and at most 1",
            )),
        }
    }

    /// How many of `n_groups` groups (the head is the last) do not learn in `epoch`, from 1.
    ///
    /// ```
    /// use mlestar_train::FinetuneConfig;
    /// let config = FinetuneConfig { unfreeze_every_epochs: 2, ..FinetuneConfig::default() };
    /// let frozen: Vec<usize> = (1..=7).map(|epoch| config.frozen_groups(epoch, 4)).collect();
    /// assert_eq!(frozen, [3, 2, 2, 1, 1, 0, 0]);
    /// ```
    #[must_use]
    pub fn frozen_groups(&self, epoch: usize, n_groups: usize) -> usize {
        let others = n_groups.saturating_sub(1);
        let learning = match (
            epoch.saturating_sub(Self::HEAD_EPOCH),
            self.unfreeze_every_epochs,
        ) {
            (0, _) => 0,
            (_, 0) => others,
            (later, every) => later.div_ceil(every).min(others),
        };
        others - learning
    }

    /// The factor for the rate of group `group` of `n_groups`, from 0 at the input.
    #[must_use]
    pub fn rate_factor(&self, group: usize, n_groups: usize) -> f64 {
        let to_head = n_groups.saturating_sub(group + 1);
        self.rate_decay
            .powi(i32::try_from(to_head).unwrap_or(i32::MAX))
    }
}
