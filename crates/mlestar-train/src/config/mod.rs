//! The `[training]` section.

mod early_stopping;
mod ema;
mod optimizer;
mod recovery;
mod schedule;

use serde::{Deserialize, Serialize};

pub use early_stopping::EarlyStoppingConfig;
pub use ema::EmaConfig;
pub use optimizer::{OptimizerConfig, OptimizerKind};
pub use recovery::RecoveryConfig;
pub use schedule::{ScheduleConfig, ScheduleKind};

use crate::TrainError;

/// How to train, as a user writes it.
///
/// | key | default | meaning | range |
/// |---|---|---|---|
/// | `epochs` | 100 | passes over the training set | 1 to 100000 |
/// | `batch_size` | 128 | pictures a step | 1 to 65536 |
/// | `accumulation_steps` | 1 | parts in which a batch is computed, to save memory | 1 to the batch size |
/// | `optimizer` | Adam, 0.001 | see [`OptimizerConfig`] | |
/// | `schedule` | cosine | see [`ScheduleConfig`] | |
/// | `early_stopping` | off | stop for lack of progress, see [`EarlyStoppingConfig`] | |
/// | `label_smoothing` | 0 | share of the target spread over all classes | 0 <= a < 1 |
/// | `max_gradient_norm` | none | longest allowed norm of all gradients together | above 0 |
/// | `ema` | off | averaged weights, see [`EmaConfig`] | |
/// | `checkpoint_every_epochs` | 10 | how often a checkpoint is kept; 0 never | 0 to 100000 |
/// | `keep_checkpoints` | 3 | how many of these are kept, the newest; 0 keeps all | 0 to 100000 |
/// | `checkpoint_every_minutes` | 10 | how often `last` is renewed within an epoch; 0 never | 0 to 100000 |
/// | `evaluation_batch_size` | 256 | pictures at once in validation | 1 to 65536 |
/// | `max_minutes` | none | training ends well after so long | above 0 |
/// | `overfit_batches` | 0 | only this many batches of the training set are used, and the model is validated on them: a network that learns cannot fail to learn them by heart; 0 uses all | 0 to 100000 |
/// | `recovery` | 2 attempts | see [`RecoveryConfig`] | |
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TrainingConfig {
    /// Passes over the training set.
    pub epochs: usize,
    /// Pictures in a training step.
    pub batch_size: usize,
    /// Parts in which a batch is computed. Their gradients add up to the batch's; only batch
    /// normalisation sees the difference.
    pub accumulation_steps: usize,
    /// The update rule.
    pub optimizer: OptimizerConfig,
    /// The learning rate over time.
    pub schedule: ScheduleConfig,
    /// When to stop for lack of progress; `None` never does.
    pub early_stopping: Option<EarlyStoppingConfig>,
    /// Share of the target that is spread evenly over all classes.
    pub label_smoothing: f64,
    /// Longest allowed Euclidean norm of all gradients together; longer ones are shortened to it.
    pub max_gradient_norm: Option<f64>,
    /// Averaged weights for validation and everything after it; `None` uses the newest.
    pub ema: Option<EmaConfig>,
    /// Every so many epochs a checkpoint is kept, besides the last and the best one.
    pub checkpoint_every_epochs: usize,
    /// How many of these are kept, the newest; 0 keeps all.
    pub keep_checkpoints: usize,
    /// After so many minutes since the last one, `last` is renewed in the middle of an epoch.
    pub checkpoint_every_minutes: f64,
    /// Pictures at once in validation.
    pub evaluation_batch_size: usize,
    /// Minutes of training and validation after which the running epoch is cut short, validated and
    /// the last.
    pub max_minutes: Option<f64>,
    /// Batches of the training set that are used for both training and validation; 0 uses all.
    pub overfit_batches: usize,
    /// What is done about a loss that is not finite and about exhausted memory.
    pub recovery: RecoveryConfig,
}

impl Default for TrainingConfig {
    /// Adam with weight decay, cosine annealing, batch 128, no early stopping.
    fn default() -> Self {
        Self {
            epochs: 100,
            batch_size: 128,
            accumulation_steps: 1,
            optimizer: OptimizerConfig::default(),
            schedule: ScheduleConfig::default(),
            early_stopping: None,
            label_smoothing: 0.0,
            max_gradient_norm: None,
            ema: None,
            checkpoint_every_epochs: 10,
            keep_checkpoints: 3,
            checkpoint_every_minutes: 10.0,
            evaluation_batch_size: 256,
            max_minutes: None,
            overfit_batches: 0,
            recovery: RecoveryConfig::default(),
        }
    }
}

const MAX_EPOCHS: usize = 100_000;
const MAX_BATCH: usize = 65_536;
const MAX_MINUTES: f64 = 100_000.0;

impl TrainingConfig {
    /// Checks every value.
    ///
    /// # Errors
    ///
    /// [`TrainError::OutOfRange`] with the key, the value and what is allowed.
    pub fn check(&self) -> Result<(), TrainError> {
        in_range("epochs", self.epochs, 1, MAX_EPOCHS)?;
        in_range("batch_size", self.batch_size, 1, MAX_BATCH)?;
        in_range(
            "evaluation_batch_size",
            self.evaluation_batch_size,
            1,
            MAX_BATCH,
        )?;
        in_range(
            "checkpoint_every_epochs",
            self.checkpoint_every_epochs,
            0,
            MAX_EPOCHS,
        )?;
        fraction("label_smoothing", self.label_smoothing)?;
        if let Some(norm) = self.max_gradient_norm
            && !(norm.is_finite() && norm > 0.0)
        {
            return Err(TrainError::out_of_range(
                "max_gradient_norm",
                norm,
                "above 0 (leave it out for no limit)",
            ));
        }
        in_range(
            "accumulation_steps",
            self.accumulation_steps,
            1,
            self.batch_size,
        )?;
        in_range("keep_checkpoints", self.keep_checkpoints, 0, MAX_EPOCHS)?;
        if !(0.0..=MAX_MINUTES).contains(&self.checkpoint_every_minutes) {
            let limit = format!("0 to {MAX_MINUTES} (0 for never)");
            return Err(TrainError::out_of_range(
                "checkpoint_every_minutes",
                self.checkpoint_every_minutes,
                limit,
            ));
        }
        if let Some(minutes) = self.max_minutes
            && !(minutes.is_finite() && minutes > 0.0)
        {
            return Err(TrainError::out_of_range(
                "max_minutes",
                minutes,
                "above 0 (leave it out for no limit)",
            ));
        }
        in_range("overfit_batches", self.overfit_batches, 0, MAX_EPOCHS)?;
        self.recovery.check()?;
        self.ema.as_ref().map_or(Ok(()), EmaConfig::check)?;
        self.optimizer.check()?;
        self.schedule.check(self.epochs)?;
        self.early_stopping
            .as_ref()
            .map_or(Ok(()), EarlyStoppingConfig::check)
    }
}

fn in_range(key: &'static str, value: usize, low: usize, high: usize) -> Result<(), TrainError> {
    if (low..=high).contains(&value) {
        return Ok(());
    }
    Err(TrainError::out_of_range(
        key,
        value,
        format!("{low} to {high}"),
    ))
}

/// 0 <= value < 1; NaN is not.
fn fraction(key: &'static str, value: f64) -> Result<(), TrainError> {
    if (0.0..1.0).contains(&value) {
        return Ok(());
    }
    Err(TrainError::out_of_range(
        key,
        value,
        "at least 0 and below 1",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(toml_text: &str, expected: &str) {
        let config: TrainingConfig = toml::from_str(toml_text).unwrap();
        assert_eq!(config.check().unwrap_err().to_string(), expected);
    }

    #[test]
    fn the_defaults_pass() {
        let config: TrainingConfig = toml::from_str("").unwrap();
        assert_eq!(config, TrainingConfig::default());
        config.check().unwrap();
    }

    #[test]
    fn absurd_values_are_refused_with_key_value_and_limit() {
        refused(
            "epochs = 0",
            "epochs = 0 is out of range: it must be 1 to 100000",
        );
        refused(
            "batch_size = 0",
            "batch_size = 0 is out of range: it must be 1 to 65536",
        );
        refused(
            "evaluation_batch_size = 0",
            "evaluation_batch_size = 0 is out of range: it must be 1 to 65536",
        );
        refused(
            "label_smoothing = 1.0",
            "label_smoothing = 1 is out of range: it must be at least 0 and below 1",
        );
        refused(
            "max_gradient_norm = 0.0",
            "max_gradient_norm = 0 is out of range: it must be above 0 (leave it out for no limit)",
        );
        for rate in ["nan", "-0.1", "0.0", "1e9", "inf"] {
            let config: TrainingConfig =
                toml::from_str(&format!("optimizer.learning_rate = {rate}")).unwrap();
            let message = config.check().unwrap_err().to_string();
            assert!(
                message.starts_with("optimizer.learning_rate = "),
                "{message}"
            );
            assert!(
                message.ends_with("it must be above 0 and at most 10"),
                "{message}"
            );
        }
        refused(
            "optimizer.momentum = 1.0",
            "optimizer.momentum = 1 is out of range: it must be at least 0 and below 1",
        );
        refused(
            "optimizer = { kind = \"sgd\", momentum = 0.0, nesterov = true }",
            "optimizer.nesterov = true is out of range: it must be false without momentum",
        );
        refused(
            "optimizer.beta2 = nan",
            "optimizer.beta2 = NaN is out of range: it must be at least 0 and below 1",
        );
        refused(
            "optimizer.epsilon = 0.0",
            "optimizer.epsilon = 0 is out of range: it must be above 0 and at most 1",
        );
        refused(
            "optimizer.weight_decay = -1.0",
            "optimizer.weight_decay = -1 is out of range: it must be 0 to 1",
        );
    }

    #[test]
    fn absurd_schedules_are_refused() {
        refused(
            "epochs = 10\nschedule.warmup_epochs = 10.0",
            "schedule.warmup_epochs = 10 is out of range: it must be at least 0 and below 10, the \
             epochs in which the rate changes",
        );
        refused(
            "schedule.t_max_epochs = 0.0",
            "schedule.t_max_epochs = 0 is out of range: it must be above 0 and at most 100000",
        );
        refused(
            "schedule.final_fraction = 1.5",
            "schedule.final_fraction = 1.5 is out of range: it must be 0 to 1",
        );
        refused(
            "schedule = { kind = \"one-cycle\", peak_fraction = 0.0 }",
            "schedule.peak_fraction = 0 is out of range: it must be above 0 and below 1",
        );
        refused(
            "schedule = { kind = \"one-cycle\", warmup_epochs = 1.0 }",
            "schedule.warmup_epochs = 1 is out of range: it must be 0 with one-cycle, which has a \
             warm-up of its own",
        );
        refused(
            "early_stopping.patience = 0",
            "early_stopping.patience = 0 is out of range: it must be 1 to 100000",
        );
        refused(
            "early_stopping.min_delta = -0.1",
            "early_stopping.min_delta = -0.1 is out of range: it must be at least 0 and below 1",
        );
    }

    #[test]
    fn unknown_keys_are_refused() {
        for text in [
            "epoch = 3",
            "optimizer.lr = 0.1",
            "schedule.tmax = 3",
            "early_stopping.patients = 3",
            "optimizer.kind = \"adamax\"",
        ] {
            assert!(toml::from_str::<TrainingConfig>(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_written_config_reads_back() {
        let config = TrainingConfig {
            max_gradient_norm: Some(1.5),
            ..TrainingConfig::default()
        };
        let text = toml::to_string(&config).unwrap();
        assert_eq!(toml::from_str::<TrainingConfig>(&text).unwrap(), config);
    }
}
