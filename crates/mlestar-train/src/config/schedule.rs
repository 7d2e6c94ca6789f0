use serde::{Deserialize, Serialize};

use super::{MAX_EPOCHS, fraction, in_range};
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
    /// Up and down again, both along half a cosine, as in PyTorch's `OneCycleLR` (Smith and Topin 2017,
    /// <https://arxiv.org/abs/1708.07120>); the momentum does not change.
    OneCycle,
    /// From the highest rate down along a line, as in PyTorch's `LinearLR`.
    Linear,
    /// Up along a line and down along another.
    Triangular,
    /// Multiplied by `gamma` after certain epochs, as in PyTorch's `MultiStepLR` and `StepLR`.
    Step,
    /// Multiplied by a factor if the validation makes no progress, as in PyTorch's `ReduceLROnPlateau`; see
    /// [`PlateauConfig`].
    Plateau,
}

impl ScheduleKind {
    /// Whether the shape itself rises at the beginning, so that no warm-up is allowed.
    fn rises(self) -> bool {
        matches!(self, Self::OneCycle | Self::Triangular)
    }
}

/// Section `[training.schedule]`. The rate changes with every step, not every epoch.
///
/// | key | default | meaning | range |
/// |---|---|---|---|
/// | `kind` | `"cosine"` | the shape | `"constant"`, `"cosine"`, `"one-cycle"`, `"linear"`, `"triangular"`, `"step"`, `"plateau"` |
/// | `warmup_epochs` | 0 | duration of a linear rise at the beginning | below the epochs; 0 with one-cycle and triangular |
/// | `t_max_epochs` | `epochs` | when the rate reaches its final value, which it then keeps | above 0 |
/// | `final_fraction` | 0 | final rate / highest rate | 0 to 1 |
/// | `start_fraction` | 0.04 | one-cycle, triangular: first rate / highest rate | 0 < f <= 1 |
/// | `peak_fraction` | 0.3 | one-cycle, triangular: share of the steps that rise | 0 < f < 1 |
/// | `milestones` | none | step: epochs after which the rate is multiplied | above 0, rising |
/// | `step_epochs` | none | step: alternatively, multiply every this many epochs | above 0 |
/// | `gamma` | 0.1 | step: factor of the rate | 0 < g < 1 |
/// | `plateau` | | plateau: see [`PlateauConfig`] | |
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ScheduleConfig {
    /// The shape.
    pub kind: ScheduleKind,
    /// Epochs of linear rise at the beginning; may be fractional.
    pub warmup_epochs: f64,
    /// Epochs after which the final rate is reached; `None` means at the end of the training.
    pub t_max_epochs: Option<f64>,
    /// Final rate as a fraction of the highest one.
    pub final_fraction: f64,
    /// First rate of the one-cycle and triangular shapes as a fraction of the highest one.
    pub start_fraction: f64,
    /// Fraction of the steps in which the one-cycle and triangular shapes rise.
    pub peak_fraction: f64,
    /// Epochs after which the step shape multiplies the rate; may be fractional.
    pub milestones: Vec<f64>,
    /// Epochs between two multiplications of the step shape; may be fractional.
    pub step_epochs: Option<f64>,
    /// The factor of the step shape.
    pub gamma: f64,
    /// Settings of the plateau shape.
    pub plateau: PlateauConfig,
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
            milestones: Vec::new(),
            step_epochs: None,
            gamma: 0.1,
            plateau: PlateauConfig::default(),
        }
    }
}

/// The figure that the plateau shape monitors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Monitor {
    /// The validation loss, which must fall.
    #[default]
    ValidationLoss,
    /// The validation accuracy, which must rise.
    ValidationAccuracy,
}

/// Section `[training.schedule.plateau]`, for the kind `"plateau"`.
///
/// | key | default | meaning | range |
/// |---|---|---|---|
/// | `monitor` | `"validation-loss"` | the monitored figure | `"validation-loss"`, `"validation-accuracy"` |
/// | `factor` | 0.1 | factor of the rate | 0 < f < 1 |
/// | `patience` | 10 | epochs without progress before the next one lowers the rate | 0 to 100000 |
/// | `threshold` | 0.0001 | progress must be better than the best value by this share of it | 0 <= t < 1 |
/// | `min_fraction` | 0 | lowest rate / highest rate | 0 to 1 |
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PlateauConfig {
    /// The monitored figure.
    pub monitor: Monitor,
    /// Factor of the rate.
    pub factor: f64,
    /// Epochs without progress before the next one lowers the rate.
    pub patience: usize,
    /// How much better than the best an epoch must be, as a share of the best.
    pub threshold: f64,
    /// Lowest rate as a fraction of the highest one.
    pub min_fraction: f64,
}

impl Default for PlateauConfig {
    /// PyTorch's defaults.
    fn default() -> Self {
        Self {
            monitor: Monitor::ValidationLoss,
            factor: 0.1,
            patience: 10,
            threshold: 1e-4,
            min_fraction: 0.0,
        }
    }
}

impl ScheduleConfig {
    /// The number of epochs over which the rate changes.
    pub(crate) fn horizon_epochs(&self, epochs: usize) -> f64 {
        self.t_max_epochs.unwrap_or(epochs as f64)
    }

    pub(super) fn check(&self, epochs: usize) -> Result<(), TrainError> {
        let horizon = self.horizon_epochs(epochs);
        if !(horizon > 0.0 && horizon <= MAX_EPOCHS as f64) {
            let limit = format!("above 0 and at most {MAX_EPOCHS}");
            return refuse("schedule.t_max_epochs", horizon, &limit);
        }
        if self.kind.rises() {
            if self.warmup_epochs != 0.0 {
                let limit = match self.kind {
                    ScheduleKind::OneCycle => "0 with one-cycle, which has a warm-up of its own",
                    _ => "0 with triangular, which has a warm-up of its own",
                };
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
        below_one("schedule.peak_fraction", self.peak_fraction)?;
        self.check_steps()?;
        self.plateau.check()
    }

    fn check_steps(&self) -> Result<(), TrainError> {
        below_one("schedule.gamma", self.gamma)?;
        let mut before = 0.0;
        for &milestone in &self.milestones {
            if !(milestone > before && milestone <= MAX_EPOCHS as f64) {
                let limit = format!(
                    "epochs above 0 and at most {MAX_EPOCHS}, each above the one before ({milestone} \
                     follows {before})"
                );
                return refuse(
                    "schedule.milestones",
                    format!("{:?}", self.milestones),
                    &limit,
                );
            }
            before = milestone;
        }
        if let Some(epochs) = self.step_epochs
            && !(epochs > 0.0 && epochs <= MAX_EPOCHS as f64)
        {
            let limit = format!("above 0 and at most {MAX_EPOCHS}");
            return refuse("schedule.step_epochs", epochs, &limit);
        }
        match (self.kind, self.milestones.is_empty(), self.step_epochs) {
            (ScheduleKind::Step, true, None) => refuse(
                "schedule.milestones",
                "[]",
                "at least one epoch with the kind \"step\", unless step_epochs is set",
            ),
            (ScheduleKind::Step, false, Some(epochs)) => refuse(
                "schedule.step_epochs",
                epochs,
                "left out if milestones are given: the rate follows only one of the two",
            ),
            _ => Ok(()),
        }
    }
}

impl PlateauConfig {
    fn check(&self) -> Result<(), TrainError> {
        below_one("schedule.plateau.factor", self.factor)?;
        in_range("schedule.plateau.patience", self.patience, 0, MAX_EPOCHS)?;
        fraction("schedule.plateau.threshold", self.threshold)?;
        if !(0.0..=1.0).contains(&self.min_fraction) {
            let key = "schedule.plateau.min_fraction";
            return refuse(key, self.min_fraction, "0 to 1");
        }
        Ok(())
    }
}

fn refuse(key: &'static str, value: impl std::fmt::Display, limit: &str) -> Result<(), TrainError> {
    Err(TrainError::out_of_range(key, value, limit))
}

fn below_one(key: &'static str, value: f64) -> Result<(), TrainError> {
    if value > 0.0 && value < 1.0 {
        return Ok(());
    }
    refuse(key, value, "above 0 and below 1")
}
