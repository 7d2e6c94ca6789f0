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

/// What to train, with which data, and where to write the results.
#[derive(Clone)]
pub struct FitRequest<'a, M> {
    /// The network, the training images and the settings.
    pub setup: TrainingSetup<'a, M>,
    /// The validation images. They decide the best epoch and early stopping.
    pub validation: Arc<ImageSet>,
    /// Folder for the results: `metrics.jsonl`, `tensorboard/`, `checkpoints/`.
    pub output: &'a Path,
    /// Whether to resume from the newest usable checkpoint in `output`. If there is none, the training starts
    /// from the first step. If false, the files of an earlier training in `output` are removed.
    pub resume: bool,
    /// Stops the training early.
    pub stop: StopSignal,
    /// Faults to inject, to test how a training handles failures.
    pub faults: Faults,
    /// The relative cost of steps with images of different sizes, if it was measured. The estimate of the
    /// remaining time uses it until the training has seen two sizes of its own; no result depends on it.
    pub step_costs: Option<StepCosts>,
}

impl<'a, M> FitRequest<'a, M> {
    /// A training of `network` on the training and validation images of `splits`, on `device`, with its results
    /// in the folder `output`. All other fields have the defaults of [`TrainingSetup::new`], and the training
    /// resumes if an earlier call was interrupted.
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
    /// As for [`TrainingSetup::new`].
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

/// The first step of a call, and how long it took to get there.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FirstStep {
    /// Its epoch, from 1.
    pub epoch: usize,
    /// Seconds from the call of [`fit`] until the step began. Includes loading a checkpoint or the initial
    /// weights and copying the images to the device.
    pub seconds_before: f64,
    /// Seconds for the step, from preparing its images to reading its loss. On a GPU this includes compiling
    /// and benchmarking the kernels.
    pub seconds: f64,
}

/// The results of a training.
#[derive(Debug)]
pub struct FitOutcome<M> {
    /// All finished epochs, including those before a resume.
    pub history: Vec<EpochRecord>,
    /// The epoch with the highest validation accuracy (see
    /// [`Progress::best`](crate::history::Progress::best)); 0 if none was validated.
    pub best_epoch: usize,
    /// The model of the best epoch, on the device without autodiff; if none was validated, the model at the
    /// start of this call.
    pub best_model: M,
    /// Why the training ended.
    pub stopped: StopReason,
    /// Seconds of training and validation in all finished epochs.
    pub train_seconds: f64,
    /// The first step of this call; `None` if no step was left.
    pub first_step: Option<FirstStep>,
    /// The remedies for failures.
    pub remedies: Vec<Remedy>,
    /// The precision of the convolutions; with `training.precision = "auto"` it depends on the processor.
    pub precision: Precision,
}

/// Trains a network: one of `mlestar-model`, or any Burn module that implements [`Network`].
///
/// On the CPU the same request gives the same bits, however often it is interrupted and resumed and however
/// many threads prepare the batches. A GPU selects its kernels by timing them, so its results differ in the
/// last digits.
///
/// After the stop signal, the training ends with the running step, and `checkpoints/last` holds everything up
/// to it. If the signal comes during a validation, the epoch is finished first.
///
/// If a loss, gradient or weight is not finite, the training returns to the last good checkpoint with a lower
/// learning rate. If the device is out of memory, it returns with each batch split into twice as many parts.
/// Both happen at most as often as [`RecoveryConfig`](crate::config::RecoveryConfig) allows.
///
/// # Errors
///
/// [`TrainError`]: a setting out of range, an empty set or one that does not fit the model, a folder that
/// cannot be written, checkpoints of which none is usable, a loss that is still not finite or memory that still
/// does not suffice after all attempts (the checkpoints are kept), or a failing device.
pub fn fit<M: Network>(
    request: &FitRequest<'_, M>,
    observer: &mut dyn Observer,
) -> Result<FitOutcome<M>, TrainError> {
    request.setup.check()?;
    request.setup.check_set("validation", &request.validation)?;
    let outcome = train(request, observer);
    // Releases buffers that steps of other sizes cannot reuse.
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
