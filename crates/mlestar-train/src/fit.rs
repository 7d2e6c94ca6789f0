//! The training loop.

mod beginning;
mod event_log;
mod session;
mod step_log;

use std::path::Path;
use std::sync::{Arc, LazyLock};

use burn::tensor::Device;
use mlestar_data::{
    ImageSet, ImageSplits, augment::AugmentationConfig, describe::describe, loader::LoaderConfig,
    normalization::Normalization,
};
use mlestar_model::{ImageClassifier, ModelSpec, Precision};

use crate::{
    EpochRecord, Faults, Observer, ProgressiveResizing, Remedy, StepCosts, StopReason, StopSignal,
    TrainError, config::TrainingConfig,
};

/// What to train, on what and how.
pub struct FitRequest<'a> {
    /// The model; its initial weights come from `seed`.
    pub model: &'a ModelSpec,
    /// The training configuration, checked by [`fit`].
    pub training: &'a TrainingConfig,
    /// Random changes to the training pictures.
    pub augmentation: &'a AugmentationConfig,
    /// Normalisation of all pictures.
    pub normalization: Normalization,
    /// Pictures to learn from. With more than one batch of them, a last batch that is not full is
    /// left out of each epoch (the order changes, so no picture is left out for good).
    pub train: Arc<ImageSet>,
    /// Pictures that choose the best epoch and decide early stopping.
    pub validation: Arc<ImageSet>,
    /// Seed of the initial weights, the order, the augmentation and dropout.
    pub seed: u64,
    /// Where to compute, with or without autodiff.
    pub device: &'a Device,
    /// Folder for the results: `metrics.jsonl`, `tensorboard/`, `checkpoints/`.
    pub output: &'a Path,
    /// Whether to go on from the newest usable checkpoint in `output`. Without one, training starts
    /// at the beginning. When false, what an earlier training left in `output` is removed.
    pub resume: bool,
    /// Asks for an early end.
    pub stop: &'a StopSignal,
    /// Threads that prepare batches, at least 1. They do not change any result.
    pub threads: usize,
    /// Accidents to be had on purpose.
    pub faults: Faults,
    /// What steps of different kinds take beside each other, where that was measured. The time left rests on it until
    /// the training has seen two kinds of its own; no result does.
    pub step_costs: Option<StepCosts>,
}

/// The defaults that a request borrows.
static TRAINING: LazyLock<TrainingConfig> = LazyLock::new(TrainingConfig::default);
static AUGMENTATION: LazyLock<AugmentationConfig> = LazyLock::new(AugmentationConfig::default);
static NO_STOP: LazyLock<StopSignal> = LazyLock::new(StopSignal::new);

impl<'a> FitRequest<'a> {
    /// A training of `model` on the training and validation images of `splits`, on `device`, with its results in the
    /// folder `output`. Everything else has a default: the settings of [`TrainingConfig`] and [`AugmentationConfig`],
    /// normalisation by the training images, seed 0, all cores for loading, going on where an earlier call was cut off.
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
    /// let request = FitRequest {
    ///     training: &TrainingConfig { epochs: 1, batch_size: 32, ..TrainingConfig::default() },
    ///     seed: 42,
    ///     ..FitRequest::new(&spec, &splits, &device, output)?
    /// };
    /// let trained = fit(&request, &mut |_: &TrainEvent| ())?;
    /// assert_eq!(trained.best_epoch, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`TrainError::Data`] when the training images have no normalisation: there are none, or a channel has one value.
    pub fn new(
        model: &'a ModelSpec,
        splits: &ImageSplits,
        device: &'a Device,
        output: &'a Path,
    ) -> Result<Self, TrainError> {
        Ok(Self {
            model,
            training: &TRAINING,
            augmentation: &AUGMENTATION,
            normalization: Normalization::from_description(&describe(&splits.train))?,
            train: Arc::new(splits.train.clone()),
            validation: Arc::new(splits.validation.clone()),
            seed: 0,
            device,
            output,
            resume: true,
            stop: &NO_STOP,
            threads: std::thread::available_parallelism().map_or(1, usize::from),
            faults: Faults::default(),
            step_costs: None,
        })
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
pub struct FitOutcome {
    /// Every finished epoch, those before a resume included.
    pub history: Vec<EpochRecord>,
    /// The epoch with the highest validation accuracy (see
    /// [`Progress::best`](crate::history::Progress::best)); 0 if none was validated.
    pub best_epoch: usize,
    /// The model of the best epoch, on the device without autodiff; if none was validated, that of where this
    /// call began.
    pub best_model: ImageClassifier,
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

/// Trains a model.
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
pub fn fit(
    request: &FitRequest<'_>,
    observer: &mut dyn Observer,
) -> Result<FitOutcome, TrainError> {
    check(request)?;
    let outcome = train(request, observer);
    // What steps of other sizes cannot use.
    mlestar_kernels::release_memory();
    outcome
}

fn train(request: &FitRequest<'_>, observer: &mut dyn Observer) -> Result<FitOutcome, TrainError> {
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

/// How the batches of a training on `n` pictures are made.
pub(crate) fn loader_config(
    n: usize,
    training: &TrainingConfig,
    threads: usize,
    seed: u64,
) -> LoaderConfig {
    LoaderConfig {
        batch_size: training.batch_size,
        shuffle: true,
        drop_last: training.drops_last(n),
        prefetch: threads.saturating_mul(2).min(8),
        threads,
        seed,
    }
}

/// Checks what a training is made with, apart from its pictures.
pub(crate) fn check_settings(
    spec: &ModelSpec,
    training: &TrainingConfig,
    augmentation: &AugmentationConfig,
    normalization: &Normalization,
    threads: usize,
) -> Result<(), TrainError> {
    training.check()?;
    augmentation.check(spec.height(), spec.width())?;
    normalization.check()?;
    check_picture_sizes(spec, training)?;
    match threads {
        0 => Err(TrainError::out_of_range("threads", 0, "at least 1")),
        _ => Ok(()),
    }
}

/// Shrunk pictures must still be large enough for the network.
fn check_picture_sizes(spec: &ModelSpec, training: &TrainingConfig) -> Result<(), TrainError> {
    let full = [spec.height(), spec.width()];
    for entry in &training.progressive_resizing {
        let [height, width] = entry.size_of(full);
        let checked = spec.config().check(spec.n_classes(), height, width);
        if let Err(error) = checked {
            let limit = format!("enough for the network: {error}");
            let key = ProgressiveResizing::SCALE_KEY;
            return Err(TrainError::out_of_range(key, entry.scale, limit));
        }
    }
    Ok(())
}

fn check(request: &FitRequest<'_>) -> Result<(), TrainError> {
    let spec = request.model;
    check_settings(
        spec,
        request.training,
        request.augmentation,
        &request.normalization,
        request.threads,
    )?;
    for (split, set) in [
        ("training", &request.train),
        ("validation", &request.validation),
    ] {
        check_set(split, set, spec)?;
    }
    Ok(())
}

pub(crate) fn check_set(
    split: &'static str,
    set: &ImageSet,
    spec: &ModelSpec,
) -> Result<(), TrainError> {
    if set.is_empty() {
        return Err(TrainError::EmptySet { split });
    }
    let mismatch = |expected: String, found: String| {
        Err(TrainError::SetMismatch {
            split,
            expected,
            found,
        })
    };
    if set.n_classes() != spec.n_classes() {
        return mismatch(
            format!("{} classes", spec.n_classes()),
            format!("{} classes", set.n_classes()),
        );
    }
    if (set.height(), set.width()) != (spec.height(), spec.width()) {
        return mismatch(
            format!("pictures of {}x{} pixels", spec.height(), spec.width()),
            format!("pictures of {}x{} pixels", set.height(), set.width()),
        );
    }
    Ok(())
}
