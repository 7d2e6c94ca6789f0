//! The `[training]` section.

mod class_weights;
mod distillation;
mod early_stopping;
mod ema;
mod extension;
mod finetune;
mod mixing;
mod optimizer;
mod picture_memory;
mod precision;
mod progressive_resizing;
mod recovery;
mod schedule;
mod spec;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

pub use class_weights::ClassWeights;
pub use distillation::DistillationConfig;
pub use early_stopping::EarlyStoppingConfig;
pub use ema::EmaConfig;
pub use finetune::{FinetuneConfig, Statistics};
pub use mixing::MixingConfig;
pub use optimizer::{Decay, OptimizerConfig, OptimizerKind};
pub use picture_memory::PictureMemory;
pub use precision::PrecisionChoice;
pub use progressive_resizing::ProgressiveResizing;
pub use recovery::RecoveryConfig;
pub use schedule::{Monitor, PlateauConfig, ScheduleConfig, ScheduleKind};
pub use spec::TrainingSpec;

use crate::TrainError;

/// The training settings, as a user writes them.
///
/// | key | default | meaning | range |
/// |---|---|---|---|
/// | `epochs` | 100 | passes over the training set | 1 to 100000 |
/// | `batch_size` | 128 | images per step | 1 to 65536 |
/// | `accumulation_steps` | 1 | parts in which a batch is computed, to save memory | 1 to the batch size |
/// | `optimizer` | Adam, 0.001 | see [`OptimizerConfig`] | |
/// | `schedule` | cosine | see [`ScheduleConfig`] | |
/// | `early_stopping` | off | stop for lack of progress, see [`EarlyStoppingConfig`] | |
/// | `label_smoothing` | 0 | share of the target spread over all classes | 0 <= a < 1 |
/// | `class_weights` | none | how much each class counts in the loss, see [`ClassWeights`] | `"balanced"`, or a number above 0 for each class |
/// | `focal_gamma` | none | focal loss: how much less easy images count | 0 < g <= 10; without label smoothing |
/// | `mixing` | off | mixup and CutMix, see [`MixingConfig`] | |
/// | `progressive_resizing` | none | smaller images in the first epochs, see [`ProgressiveResizing`] | at most 16 entries |
/// | `initial_weights` | none | the initial weights: a checkpoint's `model.safetensors`, or a file that [`mlestar_model::pretrained`] reads; a head for other classes starts with random weights | a path |
/// | `finetune` | off | train a pretrained network from the head to the input, see [`FinetuneConfig`] | needs `initial_weights` |
/// | `picture_memory` | `"auto"` | where the training images are kept and augmented, see [`PictureMemory`] | `"auto"`, `"host"`, `"device"` |
/// | `precision` | `"f32"` | precision of the factors of convolutions, see [`PrecisionChoice`] | `"f32"`, `"bf16"`, `"auto"` |
/// | `max_gradient_norm` | none | limit of the global gradient norm | above 0 |
/// | `ema` | off | averaged weights, see [`EmaConfig`] | |
/// | `distillation` | off | learn from trained networks, see [`DistillationConfig`] | |
/// | `checkpoint_every_epochs` | 10 | epochs between checkpoints that are kept; 0 keeps none | 0 to 100000 |
/// | `keep_checkpoints` | 3 | how many of these to keep, newest first; 0 keeps all | 0 to 100000 |
/// | `checkpoint_every_minutes` | 10 | minutes between saves of `last` within an epoch; 0 never saves there | 0 to 100000 |
/// | `histograms_every_epochs` | 1 | epochs between histograms for TensorBoard; 0 writes none | 0 to 100000 |
/// | `validate_every_epochs` | 1 | epochs between validations; the last epoch is always validated | 1 to 100000 |
/// | `evaluation_batch_size` | 256 | batch size of the validation | 1 to 65536 |
/// | `max_minutes` | none | the training ends regularly after this time | above 0 |
/// | `overfit_batches` | 0 | use only this many training batches, and validate on them: a network that can learn at all memorises them; 0 uses all | 0 to 100000 |
/// | `recovery` | 2 attempts | see [`RecoveryConfig`] | |
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TrainingConfig {
    /// Passes over the training set.
    pub epochs: usize,
    /// Images in a training step.
    pub batch_size: usize,
    /// Parts in which a batch is computed. Their gradients add up to the gradient of the batch; only batch
    /// normalisation differs.
    pub accumulation_steps: usize,
    /// The update rule.
    pub optimizer: OptimizerConfig,
    /// The learning rate over time.
    pub schedule: ScheduleConfig,
    /// When to stop for lack of progress; `None` never does.
    pub early_stopping: Option<EarlyStoppingConfig>,
    /// Share of the target that is spread evenly over all classes.
    pub label_smoothing: f64,
    /// How much the images of each class count in the loss; `None` weighs all classes equally.
    pub class_weights: Option<ClassWeights>,
    /// Exponent of the focal loss (Lin et al. 2017, <https://arxiv.org/abs/1708.02002>); `None` is
    /// cross-entropy.
    pub focal_gamma: Option<f64>,
    /// Mixing of the images of a batch.
    pub mixing: MixingConfig,
    /// Smaller images in the first epochs, in order.
    pub progressive_resizing: Vec<ProgressiveResizing>,
    /// A checkpoint's `model.safetensors` with the initial weights and running statistics. The networks may
    /// differ in the head, which then keeps its random weights.
    pub initial_weights: Option<PathBuf>,
    /// How a pretrained network is trained further; `None` trains all layers alike.
    pub finetune: Option<FinetuneConfig>,
    /// Where the training images are kept and augmented.
    pub picture_memory: PictureMemory,
    /// The precision of convolutions.
    pub precision: PrecisionChoice,
    /// Limit of the global gradient norm; longer gradients are scaled down to it.
    pub max_gradient_norm: Option<f64>,
    /// Averaged weights for validation and everything after it; `None` uses the newest weights.
    pub ema: Option<EmaConfig>,
    /// Trained networks to learn from in addition to the labels; `None` uses the labels only.
    pub distillation: Option<DistillationConfig>,
    /// A checkpoint is kept every this many epochs, besides the last and the best one.
    pub checkpoint_every_epochs: usize,
    /// How many of these checkpoints to keep, newest first; 0 keeps all.
    pub keep_checkpoints: usize,
    /// `last` is saved again within an epoch after this many minutes.
    pub checkpoint_every_minutes: f64,
    /// Every this many epochs, the histograms of weights and gradients are written to the event file, and the
    /// confusion matrix if the epoch is validated.
    pub histograms_every_epochs: usize,
    /// The model is validated every this many epochs, and after the last one. Only a validated epoch can be the
    /// best one, stop the training early or lower the rate of a plateau.
    pub validate_every_epochs: usize,
    /// Batch size of the validation.
    pub evaluation_batch_size: usize,
    /// Limit in minutes of training and validation. The running epoch is then cut short, validated, and is the
    /// last.
    pub max_minutes: Option<f64>,
    /// Batches of the training set that are used for both training and validation; 0 uses all.
    pub overfit_batches: usize,
    /// The remedies for a loss that is not finite and for exhausted memory.
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
            class_weights: None,
            focal_gamma: None,
            mixing: MixingConfig::default(),
            progressive_resizing: Vec::new(),
            initial_weights: None,
            finetune: None,
            picture_memory: PictureMemory::default(),
            precision: PrecisionChoice::default(),
            max_gradient_norm: None,
            ema: None,
            distillation: None,
            checkpoint_every_epochs: 10,
            keep_checkpoints: 3,
            checkpoint_every_minutes: 10.0,
            histograms_every_epochs: 1,
            validate_every_epochs: 1,
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
const MAX_FOCAL_GAMMA: f64 = 10.0;

impl TrainingConfig {
    /// Whether a validation follows `epoch` (from 1), unless something ends the training earlier.
    #[must_use]
    pub fn validates(&self, epoch: usize) -> bool {
        epoch == self.epochs || epoch.is_multiple_of(self.validate_every_epochs.max(1))
    }

    /// How many epochs after `epoch` (from 1) are validated.
    #[must_use]
    pub fn validations_after(&self, epoch: usize) -> usize {
        (epoch + 1..=self.epochs)
            .filter(|&later| self.validates(later))
            .count()
    }

    /// Number of images, of a training set of `n`, that the epochs use: fewer with `overfit_batches`.
    fn pictures_in_use(&self, n: usize) -> usize {
        match self.overfit_batches {
            0 => n,
            batches => n.min(batches.saturating_mul(self.batch_size)),
        }
    }

    /// Steps of an epoch on a training set of `n` images. An incomplete last batch is left out unless it is the
    /// only one.
    #[must_use]
    pub fn steps_per_epoch(&self, n: usize) -> usize {
        let n = self.pictures_in_use(n);
        match self.drops_last(n) {
            true => n / self.batch_size,
            false => n.div_ceil(self.batch_size),
        }
    }

    /// Number of images, of a training set of `n`, that an epoch leaves out because its last batch is
    /// incomplete. They differ in every epoch.
    #[must_use]
    pub fn left_out_per_epoch(&self, n: usize) -> usize {
        let n = self.pictures_in_use(n);
        match self.drops_last(n) {
            true => n % self.batch_size,
            false => 0,
        }
    }

    /// Whether the incomplete last batch of an epoch on `n` images is left out.
    pub(crate) fn drops_last(&self, n: usize) -> bool {
        n > self.batch_size
    }

    /// The checked config: all values are within their ranges.
    ///
    /// # Errors
    ///
    /// [`TrainError::OutOfRange`] with the key, the value and the allowed range.
    pub fn check(&self) -> Result<TrainingSpec, TrainError> {
        self.check_values()?;
        Ok(TrainingSpec::unchecked(self.clone()))
    }

    fn check_values(&self) -> Result<(), TrainError> {
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
        self.class_weights
            .as_ref()
            .map_or(Ok(()), ClassWeights::check)?;
        self.check_focal_gamma()?;
        self.mixing.check()?;
        ProgressiveResizing::check(&self.progressive_resizing)?;
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
        in_range(
            "histograms_every_epochs",
            self.histograms_every_epochs,
            0,
            MAX_EPOCHS,
        )?;
        in_range(
            "validate_every_epochs",
            self.validate_every_epochs,
            1,
            MAX_EPOCHS,
        )?;
        in_range("overfit_batches", self.overfit_batches, 0, MAX_EPOCHS)?;
        self.recovery.check()?;
        self.ema.as_ref().map_or(Ok(()), EmaConfig::check)?;
        self.check_finetuning()?;
        self.distillation
            .as_ref()
            .map_or(Ok(()), DistillationConfig::check)?;
        self.optimizer.check()?;
        self.schedule.check(self.epochs)?;
        self.early_stopping
            .as_ref()
            .map_or(Ok(()), EarlyStoppingConfig::check)
    }

    fn check_finetuning(&self) -> Result<(), TrainError> {
        let Some(finetune) = &self.finetune else {
            return Ok(());
        };
        finetune.check()?;
        match self.initial_weights {
            Some(_) => Ok(()),
            None => Err(TrainError::out_of_range(
                "initial_weights",
                "absent",
                "the file of the pretrained weights, because finetune is on",
            )),
        }
    }

    /// Whether batch norms keep the statistics of the pretraining.
    pub(crate) fn freezes_statistics(&self) -> bool {
        let finetune = self.finetune.as_ref();
        finetune.is_some_and(|finetune| finetune.statistics == Statistics::Frozen)
    }

    /// The epochs that take steps: all, or all but the one that fits the head.
    #[must_use]
    pub fn epochs_of_steps(&self) -> usize {
        let of_head = usize::from(self.finetune.is_some());
        self.epochs.saturating_sub(of_head)
    }

    /// Height and width of the training images in `epoch` (from 1), if the full size is `full`.
    #[must_use]
    pub fn picture_size(&self, epoch: usize, full: [usize; 2]) -> [usize; 2] {
        progressive_resizing::scaled(full, self.picture_scale(epoch))
    }

    /// Area of a training image in `epoch` (from 1) as a fraction of the full area, above 0 and at most 1. The
    /// cost of a convolution is roughly proportional to it; [`StepCosts`](crate::StepCosts) gives the cost of a
    /// step.
    #[must_use]
    pub fn picture_area(&self, epoch: usize) -> f64 {
        self.picture_scale(epoch).powi(2)
    }

    /// The distillation settings in effect; none with `overfit_batches`, because teachers would contradict the
    /// labels that are to be memorised.
    #[must_use]
    pub fn teaching(&self) -> Option<&DistillationConfig> {
        self.distillation
            .as_ref()
            .filter(|_| self.overfit_batches == 0)
    }

    fn picture_scale(&self, epoch: usize) -> f64 {
        match self.overfit_batches {
            0 => ProgressiveResizing::scale_at(&self.progressive_resizing, epoch, self.epochs),
            // Images that are to be memorised must look the same every time.
            _ => 1.0,
        }
    }

    fn check_focal_gamma(&self) -> Result<(), TrainError> {
        let Some(gamma) = self.focal_gamma else {
            return Ok(());
        };
        let limit = if !(gamma > 0.0 && gamma <= MAX_FOCAL_GAMMA) {
            format!("above 0 and at most {MAX_FOCAL_GAMMA} (leave it out for cross-entropy)")
        } else if self.label_smoothing > 0.0 {
            format!(
                "left out with label_smoothing = {}: the focal loss allows only one label per image",
                self.label_smoothing
            )
        } else {
            return Ok(());
        };
        Err(TrainError::out_of_range("focal_gamma", gamma, limit))
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
    fn the_default_settings_are_within_all_ranges() {
        let checked = TrainingConfig::default().check().unwrap();
        assert_eq!(checked, TrainingSpec::default());
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
    fn absurd_losses_and_mixtures_are_refused() {
        let weights = "it must be \"balanced\" or a list of numbers above 0 and at most 1000000, one for \
                       each class";
        for list in [
            "[1.0, 0.0]",
            "[1.0, inf]",
            "[1.0, -2.0]",
            "[1.0, NaN]",
            "[1.0]",
            "[]",
        ] {
            let text = format!("class_weights = {}", list.replace("NaN", "nan"));
            let expected = format!("class_weights = {list} is out of range: {weights}");
            refused(&text, &expected);
        }
        for (gamma, value) in [("0.0", "0"), ("-1.0", "-1"), ("11.0", "11"), ("nan", "NaN")] {
            refused(
                &format!("focal_gamma = {gamma}"),
                &format!(
                    "focal_gamma = {value} is out of range: it must be above 0 and at most 10 (leave it \
                     out for cross-entropy)"
                ),
            );
        }
        refused(
            "focal_gamma = 2.0\nlabel_smoothing = 0.1",
            "focal_gamma = 2 is out of range: it must be left out with label_smoothing = 0.1: the focal loss allows only one label per image",
        );
        let alpha = "is out of range: it must be 0 (off) or 0.001 to 100; 0.2 is usual for mixup, 1 for \
                     CutMix";
        refused(
            "mixing.mixup_alpha = -1.0",
            &format!("mixing.mixup_alpha = -1 {alpha}"),
        );
        refused(
            "mixing.mixup_alpha = 1e-9",
            &format!("mixing.mixup_alpha = 0.000000001 {alpha}"),
        );
        refused(
            "mixing.cutmix_alpha = nan",
            &format!("mixing.cutmix_alpha = NaN {alpha}"),
        );
        refused(
            "mixing.probability = 1.1",
            "mixing.probability = 1.1 is out of range: it must be 0 to 1",
        );
    }

    #[test]
    fn absurd_optimizers_are_refused() {
        refused(
            "optimizer = { kind = \"muon\", auxiliary_learning_rate = 0.0 }",
            "optimizer.auxiliary_learning_rate = 0 is out of range: it must be above 0 and at most 10",
        );
        refused(
            "optimizer = { kind = \"lion\", beta2 = 1.0 }",
            "optimizer.beta2 = 1 is out of range: it must be at least 0 and below 1",
        );
    }

    #[test]
    fn absurd_steps_and_plateaus_are_refused() {
        refused(
            "schedule.kind = \"step\"",
            "schedule.milestones = [] is out of range: it must be at least one epoch with the kind \
             \"step\", unless step_epochs is set",
        );
        refused(
            "schedule = { kind = \"step\", milestones = [2], step_epochs = 3 }",
            "schedule.step_epochs = 3 is out of range: it must be left out if milestones are given: \
             the rate follows only one of the two",
        );
        refused(
            "schedule.milestones = [3.0, 2.5]",
            "schedule.milestones = [3.0, 2.5] is out of range: it must be epochs above 0 and at most \
             100000, each above the one before (2.5 follows 3)",
        );
        refused(
            "schedule.milestones = [nan]",
            "schedule.milestones = [NaN] is out of range: it must be epochs above 0 and at most 100000, \
             each above the one before (NaN follows 0)",
        );
        refused(
            "schedule.step_epochs = 0.0",
            "schedule.step_epochs = 0 is out of range: it must be above 0 and at most 100000",
        );
        for gamma in ["0.0", "1.0", "-1.0", "nan"] {
            let config: TrainingConfig =
                toml::from_str(&format!("schedule.gamma = {gamma}")).unwrap();
            let message = config.check().unwrap_err().to_string();
            assert!(message.starts_with("schedule.gamma = "), "{message}");
            assert!(
                message.ends_with("it must be above 0 and below 1"),
                "{message}"
            );
        }
        refused(
            "schedule = { kind = \"triangular\", warmup_epochs = 1.0 }",
            "schedule.warmup_epochs = 1 is out of range: it must be 0 with triangular, which has a \
             warm-up of its own",
        );
        refused(
            "schedule.plateau.factor = 1.0",
            "schedule.plateau.factor = 1 is out of range: it must be above 0 and below 1",
        );
        refused(
            "schedule.plateau.patience = 100001",
            "schedule.plateau.patience = 100001 is out of range: it must be 0 to 100000",
        );
        refused(
            "schedule.plateau.threshold = 1.0",
            "schedule.plateau.threshold = 1 is out of range: it must be at least 0 and below 1",
        );
        refused(
            "schedule.plateau.min_fraction = -0.5",
            "schedule.plateau.min_fraction = -0.5 is out of range: it must be 0 to 1",
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
            "validate_every_epochs = 0",
            "validate_every_epochs = 0 is out of range: it must be 1 to 100000",
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
            "optimizer.decay = \"biases\"",
            "optimizer.betas = [0.9, 0.99]",
            "schedule.plateau.patient = 3",
            "schedule.plateau.monitor = \"loss\"",
            "mixing.alpha = 0.2",
            "class_weights = \"even\"",
        ] {
            assert!(toml::from_str::<TrainingConfig>(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_written_config_reads_back() {
        let config = TrainingConfig {
            max_gradient_norm: Some(1.5),
            class_weights: Some(ClassWeights::List(vec![1.0, 2.0])),
            focal_gamma: Some(2.0),
            ..TrainingConfig::default()
        };
        let text = toml::to_string(&config).unwrap();
        assert_eq!(toml::from_str::<TrainingConfig>(&text).unwrap(), config);
    }

    /// What a training recorded before these keys existed.
    #[test]
    fn a_record_without_the_newer_keys_is_the_same_config() {
        let mut record = serde_json::to_value(TrainingConfig::default()).unwrap();
        let newer = [
            ("", &["class_weights", "focal_gamma", "mixing"][..]),
            ("/optimizer", &["decay", "auxiliary_learning_rate"]),
            (
                "/schedule",
                &["milestones", "step_epochs", "gamma", "plateau"],
            ),
        ];
        for (section, keys) in newer {
            let section = record
                .pointer_mut(section)
                .unwrap()
                .as_object_mut()
                .unwrap();
            for key in keys {
                assert!(section.remove(*key).is_some(), "{key}");
            }
        }
        record["optimizer"]["beta2"] = 0.999.into();
        let config: TrainingConfig = serde_json::from_value(record).unwrap();
        assert_eq!(config, TrainingConfig::default());
    }
}
