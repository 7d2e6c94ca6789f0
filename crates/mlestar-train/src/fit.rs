//! The training loop.

mod beginning;
mod event_log;
mod session;
mod step_log;

use std::path::Path;
use std::sync::Arc;

use burn::tensor::Device;
use mlestar_data::{ImageSet, ImageSplits};
use mlestar_model::{Network, Precision};

use crate::{
    EpochRecord, Faults, Observer, Remedy, StepCosts, StopReason, StopSignal, TrainError,
    TrainingSetup,
};

/// What to train, on what, and where the results go.
#[derive(Clone)]
pub struct FitRequest<'a, M> {
    /// The network, the training images and the settings.
    pub setup: TrainingSetup<'a, M>,
    /// Images that choose the best epoch and decide early stopping.
    pub validation: Arc<ImageSet>,
    /// Folder for the results: `metrics.jsonl`, `tensorboard/`, `checkpoints/`.
    pub output: &'a Path,
    /// Whether to resume from the newest usable checkpoint in `output`. Without one, training starts
    /// at the beginning. When false, what an earlier training left in `output` is removed.
    pub resume: bool,
    /// Asks for an early end.
    pub stop: StopSignal,
    /// Faults to inject, for tests of what a training survives.
    pub faults: Faults,
    /// How long steps of different kinds take relative to each other, where that was measured. The time left rests on it
    /// until the training has seen two kinds of its own; no result does.
    pub step_costs: Option<StepCosts>,
}

impl<'a, M> FitRequest<'a, M> {
    /// A training of `network` on the training and validation images of `splits`, on `device`, with its results in the
    /// folder `output`. Everything else has a default: that of [`TrainingSetup::new`], and to resume where an earlier call
    /// was cut off.
    ///
    /// ```
    /// use burn::tensor::Device;
    /// use mlestar_data::synthetic::{SyntheticConfig, generate};
    /// use mlestar_model::{ModelConfig, StageConfig};
    /// use mlestar_train::{FitRequest, TrainEvent, TrainingConfig, fit};
    ///
    /// let sizes = SyntheticConfig { n_train: 64, n_validation: 20, n_test: 10, ..SyntheticConfig::default() };
    /// let splits = generate(&sizes.without_flaws(), 1)?.splits;
    /// let stages = vec![StageConfig { channels: 4, blocks: 1, stride: 4 }];
    /// let spec = ModelConfig { stem_channels: 4, stages, ..ModelConfig::small() }.check(10, 32, 32)?;
    /// # let folder = tempfile::tempdir()?;
    /// # let output = folder.path();
    /// let device = Device::flex();
    /// let mut request = FitRequest::new(spec.init(42, &device), &splits, &device, output)?;
    /// request.setup.training = TrainingConfig { epochs: 1, batch_size: 32, ..TrainingConfig::default() }.check()?;
    /// request.setup.seed = 42;
    /// let trained = fit(&request, &mut |_: &TrainEvent| ())?;
    /// assert_eq!(trained.best_epoch, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`TrainingSetup::new`].
    pub fn new(
        network: M,
        splits: &ImageSplits,
        device: &'a Device,
        output: &'a Path,
    ) -> Result<Self, TrainError> {
        let setup = TrainingSetup::new(network, Arc::new(splits.train.clone()), device)?;
        let validation = Arc::new(splits.validation.clone());
        Ok(Self::from_setup(setup, validation, output))
    }

    /// A training with `setup`, validated on `validation`, with its results in the folder `output`.
    #[must_use]
    pub fn from_setup(
        setup: TrainingSetup<'a, M>,
        validation: Arc<ImageSet>,
        output: &'a Path,
    ) -> Self {
        Self {
            setup,
            validation,
            output,
            resume: true,
            stop: StopSignal::new(),
            faults: Faults::default(),
            step_costs: None,
        }
    }
}

/// How a training, or what was left of it, got going.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FirstStep {
    /// Its epoch, from 1.
    pub epoch: usize,
    /// Seconds from the call of [`fit`] until the step began: a checkpoint or the initial weights, and the pictures on
    /// their way to the device.
    pub seconds_before: f64,
    /// Seconds of the step, its pictures included, until its loss was there. On a GPU kernels are compiled in it and
    /// tried to see which are fastest.
    pub seconds: f64,
}

/// What a training gave.
#[derive(Debug)]
pub struct FitOutcome<M> {
    /// Every finished epoch, those before a resume included.
    pub history: Vec<EpochRecord>,
    /// The epoch with the highest validation accuracy (see
    /// [`Progress::best`](crate::history::Progress::best)); 0 if none was validated.
    pub best_epoch: usize,
    /// The model of the best epoch, on the device without autodiff; if none was validated, that of where this
    /// call began.
    pub best_model: M,
    /// Why training ended.
    pub stopped: StopReason,
    /// Seconds of training and validation in all finished epochs.
    pub train_seconds: f64,
    /// The first step of this call; `None` where none was left to take.
    pub first_step: Option<FirstStep>,
    /// What was done about accidents.
    pub remedies: Vec<Remedy>,
    /// How exactly convolutions were computed; `training.precision = "auto"` leaves it to the processor.
    pub precision: Precision,
}

/// Trains a network: one of `mlestar-model`, or any Burn module that implements [`Network`].
///
/// On the CPU the same request gives the same bits, however often it is interrupted and resumed and
/// however many threads prepare the batches. A GPU picks its kernels by timing them, so its results
/// differ in the last digits.
///
/// When the stop signal is given, training ends after the running step, and `checkpoints/last` holds all
/// of it. A stop during validation lets the epoch finish.
///
/// A loss, gradient or weight that is not finite sends training back to the last good checkpoint with a
/// lower learning rate, exhausted device memory to the same with each batch in twice as many parts, each
/// as often as [`RecoveryConfig`](crate::config::RecoveryConfig) allows.
///
/// # Errors
///
/// [`TrainError`]: a setting out of range, an empty set or one that does not fit the model, a folder
/// that cannot be written, no usable checkpoint among those found, a loss that stays not finite or memory
/// that stays too small after all attempts (the checkpoints stay), or a failing device.
pub fn fit<M: Network>(
    request: &FitRequest<'_, M>,
    observer: &mut dyn Observer,
) -> Result<FitOutcome<M>, TrainError> {
    request.setup.check()?;
    request.setup.check_set("validation", &request.validation)?;
    let outcome = train(request, observer);
    // What steps of other sizes cannot use.
    mlestar_kernels::release_memory();
    outcome
}

fn train<M: Network>(
    request: &FitRequest<'_, M>,
    observer: &mut dyn Observer,
) -> Result<FitOutcome<M>, TrainError> {
    let mut session = session::Session::start(request, observer)?;
    let stopped = loop {
        if let Some(reason) = session.finished() {
            break reason;
        }
        if request.stop.is_requested() {
            break StopReason::Interrupted;
        }
        match session.train_epoch(observer) {
            Ok(true) => {}
            Ok(false) => break StopReason::Interrupted,
            Err(error) => session.recover(error, observer)?,
        }
    };
    session.announce(&stopped, observer)?;
    session.into_outcome(stopped)
}
