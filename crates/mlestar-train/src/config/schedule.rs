use serde::{Deserialize, Serialize};

use super::MAX_EPOCHS;
use crate::TrainError;

/// The shapes of the learning rate over time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum ScheduleKind {
    /// The same rate throughout.
    Constant,
    /// From the highest rate down along half a cosine (Loshchilov and Hutter 2016,
    /// <https://arxiv.org/abs/1608.03983>, without restarts).
    #[default]
    Cosine,
    /// Up and down again, both along half a cosine, as PyTorch's `OneCycleLR` (Smith and Topin 2017,
    /// <https://arxiv.org/abs/1708.07120>); momentum stays as it is.
    OneCycle,
}

/// Section `[training.schedule]`. The rate changes with every step, not every epoch.
///
/// | key | default | meaning | range |
/// |---|---|---|---|
/// | `kind` | `"cosine"` | the shape | `"constant"`, `"cosine"`, `"one-cycle"` |
/// | `warmup_epochs` | 0 | the rate first rises linearly for so long | below the epochs; 0 with one-cycle |
/// | `t_max_epochs` | `epochs` | when the final rate is reached; it is kept afterwards | above 0 |
/// | `final_fraction` | 0 | final rate / highest rate | 0 to 1 |
/// | `start_fraction` | 0.04 | one-cycle: first rate / highest rate | 0 < f <= 1 |
/// | `peak_fraction` | 0.3 | one-cycle: share of the steps that rise | 0 < f < 1 |
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ScheduleConfig {
    /// The shape.
    pub kind: ScheduleKind,
    /// Epochs of linear rise at the beginning, fractions allowed.
    pub warmup_epochs: f64,
    /// Epochs after which the final rate is reached; `None` means at the end of training.
    pub t_max_epochs: Option<f64>,
    /// Final rate as a fraction of the highest one.
    pub final_fraction: f64,
    /// First rate of the one-cycle shape as a fraction of the highest one.
    pub start_fraction: f64,
    /// Fraction of the steps in which the one-cycle shape rises.
    pub peak_fraction: f64,
}

impl Default for ScheduleConfig {
    fn default() -> Self {
        Self {
            kind: ScheduleKind::Cosine,
            warmup_epochs: 0.0,
            t_max_epochs: None,
            final_fraction: 0.0,
            start_fraction: 0.04,
            peak_fraction: 0.3,
        }
    }
}

impl ScheduleConfig {
    /// The number of epochs over which the rate changes.
    pub(crate) fn horizon_epochs(&self, epochs: usize) -> f64 {
        self.t_max_epochs.unwrap_or(epochs as f64)
    }

    pub(super) fn check(&self, epochs: usize) -> Result<(), TrainError> {
        let refuse =
            |key, value: f64, limit: &str| Err(TrainError::out_of_range(key, value, limit));
        let horizon = self.horizon_epochs(epochs);
        if !(horizon > 0.0 && horizon <= MAX_EPOCHS as f64) {
            let limit = format!("above 0 and at most {MAX_EPOCHS}");
            return refuse("schedule.t_max_epochs", horizon, &limit);
        }
        if self.kind == ScheduleKind::OneCycle {
            if self.warmup_epochs != 0.0 {
                let limit = "0 with one-cycle, which has a warm-up of its own";
                return refuse("schedule.warmup_epochs", self.warmup_epochs, limit);
            }
        } else if !(0.0..horizon).contains(&self.warmup_epochs) {
            let limit =
                format!("at least 0 and below {horizon}, the epochs in which the rate changes");
            return refuse("schedule.warmup_epochs", self.warmup_epochs, &limit);
        }
        if !(0.0..=1.0).contains(&self.final_fraction) {
            return refuse("schedule.final_fraction", self.final_fraction, "0 to 1");
        }
        if !(self.start_fraction > 0.0 && self.start_fraction <= 1.0) {
            let limit = "above 0 and at most 1";
            return refuse("schedule.start_fraction", self.start_fraction, limit);
        }
        if !(self.peak_fraction > 0.0 && self.peak_fraction < 1.0) {
            let limit = "above 0 and below 1";
            return refuse("schedule.peak_fraction", self.peak_fraction, limit);
        }
        Ok(())
    }
}
