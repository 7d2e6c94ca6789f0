//! Finds a learning rate before a training: a sweep over learning rates on batches of the training set (Smith
//! 2015, <https://arxiv.org/abs/1506.01186>).

mod curve;
mod options;

use serde::{Deserialize, Serialize};

pub use curve::{Suggestions, SweepPoint};
pub use options::LrFindOptions;

use mlestar_model::Network;

use crate::{StopSignal, TrainError, TrainingSetup, TrainingSteps};
use curve::Curve;

/// Why a sweep ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SweepEnd {
    /// The highest rate was reached.
    Completed,
    /// The smoothed loss rose above four times its lowest value.
    Diverged,
    /// The loss was not finite.
    NotFinite,
    /// The stop signal was given.
    Interrupted,
}

/// The result of a sweep.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LrFindOutcome {
    /// Learning rates worth trying.
    pub suggestions: Suggestions,
    /// Why the sweep ended.
    pub ended: SweepEnd,
    /// Every step with a finite loss, in order.
    pub points: Vec<SweepPoint>,
    /// The loss of one constant answer for every image; `None` if the training has teachers.
    pub guessing: Option<f64>,
}

/// Trains its own model from the initial weights, with a higher learning rate in each step, and reads from the
/// losses which rates are worth trying.
///
/// The sweep ends early if the smoothed loss exceeds four times its lowest value or a loss is not finite.
/// Nothing is written. On the CPU the same request gives the same bits.
///
/// ```
/// use std::sync::Arc;
///
/// use burn::tensor::Device;
/// use mlestar_data::synthetic::{SyntheticConfig, generate};
/// use mlestar_model::{ModelConfig, StageConfig};
/// use mlestar_train::{
///     StopSignal, TrainingConfig, TrainingSetup,
///     lr_find::{LrFindOptions, SweepPoint, find_learning_rate},
/// };
///
/// let sizes = SyntheticConfig { n_train: 64, n_validation: 20, n_test: 10, ..SyntheticConfig::default() };
/// let splits = generate(&sizes.without_flaws(), 1)?.splits;
/// let stages = vec![StageConfig { channels: 4, blocks: 1, stride: 4 }];
/// let spec = ModelConfig { stem_channels: 4, stages, ..ModelConfig::small() }.check(10, 32, 32)?;
/// let training = TrainingConfig { batch_size: 32, ..TrainingConfig::default() };
/// let device = Device::flex();
/// let setup = TrainingSetup {
///     training: training.check()?,
///     ..TrainingSetup::new(spec.init(0, &device), Arc::new(splits.train), &device)?
/// };
/// let options = LrFindOptions { steps: 20, ..LrFindOptions::for_optimizer(training.optimizer.kind) };
/// let stop = StopSignal::new();
/// let outcome = find_learning_rate(setup, &options, &stop, &mut |point: &SweepPoint| {
///     println!("{:.1e}: {:.3}", point.learning_rate, point.smoothed_loss);
/// })?;
/// if let Some(rate) = outcome.suggestions.suggested() {
///     println!("try a learning rate of {rate:.1e}");
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
///
/// [`TrainError`]: an option or setting out of range, an empty set or one that does not fit the model, or a
/// failing device.
pub fn find_learning_rate<M: Network>(
    setup: TrainingSetup<'_, M>,
    options: &LrFindOptions,
    stop: &StopSignal,
    observer: &mut dyn FnMut(&SweepPoint),
) -> Result<LrFindOutcome, TrainError> {
    options.check()?;
    let mut steps = TrainingSteps::new(setup)?;
    let guessing = steps.loss_of_guessing();
    let mut curve = Curve::default();
    let mut ended = SweepEnd::Completed;
    for step in 0..options.steps {
        if stop.is_requested() {
            ended = SweepEnd::Interrupted;
            break;
        }
        let learning_rate = options.learning_rate(step);
        let loss = steps.take(learning_rate, false)?.loss;
        if !loss.is_finite() {
            ended = SweepEnd::NotFinite;
            break;
        }
        observer(&curve.push(learning_rate, loss));
        if curve.has_diverged() {
            ended = SweepEnd::Diverged;
            break;
        }
    }
    let points = curve.into_points();
    let has_diverged = matches!(ended, SweepEnd::Diverged | SweepEnd::NotFinite);
    Ok(LrFindOutcome {
        suggestions: curve::suggest(&points, has_diverged, guessing),
        guessing,
        ended,
        points,
    })
}

#[cfg(test)]
mod tests;
