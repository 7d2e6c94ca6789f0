use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use crate::{EpochRecord, Remedy};

/// Observes a training, for example to show it in a terminal.
///
/// Any `FnMut(&TrainEvent)` is an observer.
pub trait Observer {
    /// Called for each event, on the training thread; it should return quickly.
    fn event(&mut self, event: &TrainEvent);
}

impl<F: FnMut(&TrainEvent)> Observer for F {
    fn event(&mut self, event: &TrainEvent) {
        self(event);
    }
}

/// An event during a training.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum TrainEvent {
    /// A checkpoint could not be used for resuming; the training tries an older one.
    CheckpointRefused {
        /// Its folder.
        path: PathBuf,
        /// The reason.
        reason: String,
    },
    /// The training resumes from a checkpoint.
    Resumed {
        /// Its folder.
        path: PathBuf,
        /// Its epoch; 0 is the initial state.
        epoch: usize,
        /// Steps of the next epoch that the checkpoint holds.
        steps: usize,
    },
    /// The training starts with the weights of a file.
    InitialWeights {
        /// The file.
        path: PathBuf,
        /// Names of the tensors that nevertheless have random values: those of a head of another shape.
        begun_anew: Vec<String>,
    },
    /// A teacher was loaded for distillation; its accuracy on some training images, without augmentation.
    Teacher {
        /// Its checkpoint's folder.
        path: PathBuf,
        /// Images that it classifies correctly.
        correct: usize,
        /// Images that it was tried on.
        of: usize,
    },
    /// A failure was remedied: the training resumes from an earlier checkpoint.
    Remedy(Remedy),
    /// The training starts.
    Started {
        /// The first epoch of this call, from 1.
        first_epoch: usize,
        /// The last epoch.
        epochs: usize,
        /// Steps per epoch.
        steps: usize,
        /// Images in the training set.
        train_images: usize,
        /// Images in the validation set.
        validation_images: usize,
        /// Whether the training images are stored and augmented on the device; see
        /// [`PictureMemory`](crate::PictureMemory).
        pictures_on_device: bool,
    },
    /// Steps were taken. Not every step has its own event: steps are reported together when their results are
    /// read from the device, at most several times a second.
    Step(StepProgress),
    /// A fine-tuning computed the features of some training images.
    Features {
        /// Images done.
        done: usize,
        /// Images in the training set.
        of: usize,
        /// Images per second so far.
        images_per_second: f64,
    },
    /// Part of the validation set was evaluated.
    Validation {
        /// Epoch, from 1.
        epoch: usize,
        /// Images evaluated.
        done: usize,
        /// Images in the validation set.
        of: usize,
    },
    /// An epoch ended.
    Epoch(EpochRecord),
    /// A checkpoint was written.
    Checkpoint {
        /// Its folder.
        path: PathBuf,
        /// Its epoch.
        epoch: usize,
        /// Steps of the next epoch that the checkpoint holds.
        steps: usize,
    },
    /// The training stops early because it makes no progress.
    EarlyStop {
        /// The best epoch.
        best_epoch: usize,
        /// Epochs since the validation accuracy last rose.
        epochs_without_progress: usize,
    },
    /// The training stops because the stop signal was given.
    Interrupted {
        /// The last finished epoch; 0 if there is none.
        finished_epochs: usize,
        /// Steps of the next epoch that `last` holds.
        steps: usize,
    },
    /// The training ends because its time limit was reached; the epoch that was cut short has been validated.
    TimeUp {
        /// Minutes of training and validation.
        minutes: f64,
    },
}

/// The position of a training within an epoch.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StepProgress {
    /// Epoch, from 1.
    pub epoch: usize,
    /// The last epoch.
    pub epochs: usize,
    /// Steps of this epoch whose results are known.
    pub step: usize,
    /// Steps in an epoch.
    pub steps: usize,
    /// Mean loss of the epoch so far.
    pub loss: f64,
    /// Share of the epoch's images so far that were classified correctly.
    pub accuracy: f64,
    /// Learning rate of the last of these steps.
    pub learning_rate: f64,
    /// Global gradient norm of the last of these steps, before clipping.
    pub gradient_norm: f64,
    /// Training images per second in this epoch so far.
    pub images_per_second: f64,
    /// Seconds until all epochs are finished at this speed. Includes validation once its duration is known.
    pub eta_seconds: f64,
}

/// Asks a training to stop at the next step. Clones share the request.
#[derive(Debug, Clone, Default)]
pub struct StopSignal(Arc<AtomicBool>);

impl StopSignal {
    /// A signal that has not been given yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Requests the stop. A signal handler's thread may call it, more than once.
    pub fn request(&self) {
        self.0.store(true, Ordering::Release);
    }

    /// The flag itself, true after a stop request: for code that does not know this type.
    #[must_use]
    pub fn flag(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.0)
    }

    /// Whether a stop was requested.
    #[must_use]
    pub fn is_requested(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}
