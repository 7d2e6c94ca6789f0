use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use crate::{EpochRecord, Remedy};

/// Watches a training, for example to draw it in a terminal.
///
/// Any `FnMut(&TrainEvent)` is one.
pub trait Observer {
    /// Something happened. Called on the training thread: it should return quickly.
    fn event(&mut self, event: &TrainEvent);
}

impl<F: FnMut(&TrainEvent)> Observer for F {
    fn event(&mut self, event: &TrainEvent) {
        self(event);
    }
}

/// What happens during a training.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum TrainEvent {
    /// A checkpoint could not be used for resuming; an older one is tried.
    CheckpointRefused {
        /// Its folder.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// Training goes on from a checkpoint.
    Resumed {
        /// Its folder.
        path: PathBuf,
        /// Its epoch; 0 is the initial state.
        epoch: usize,
        /// Steps of the next epoch that it holds.
        steps: usize,
    },
    /// Training begins with the weights of a file.
    InitialWeights {
        /// The file.
        path: PathBuf,
        /// Names of the tensors that are random all the same: those of a head of another shape.
        begun_anew: Vec<String>,
    },
    /// Training learns from a trained network as well; how many of some training pictures, as they are, that has right.
    Teacher {
        /// Its checkpoint's folder.
        path: PathBuf,
        /// Pictures that it has right.
        correct: usize,
        /// Pictures that it was tried on.
        of: usize,
    },
    /// Something went wrong and was answered: training goes on from an earlier checkpoint.
    Remedy(Remedy),
    /// Training begins.
    Started {
        /// The epoch that comes first, from 1.
        first_epoch: usize,
        /// The last epoch.
        epochs: usize,
        /// Steps in an epoch.
        steps: usize,
        /// Pictures in the training set.
        train_images: usize,
        /// Pictures in the validation set.
        validation_images: usize,
        /// Whether the training pictures are kept and augmented on the device; see
        /// [`PictureMemory`](crate::PictureMemory).
        pictures_on_device: bool,
    },
    /// Steps were taken. Not every step has its event: steps are reported together when the device
    /// is asked for their results, several times a second at most.
    Step(StepProgress),
    /// Part of the validation set was evaluated.
    Validation {
        /// Epoch, from 1.
        epoch: usize,
        /// Pictures evaluated.
        done: usize,
        /// Pictures in the validation set.
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
        /// Steps of the next epoch that it holds.
        steps: usize,
    },
    /// Training stops for lack of progress.
    EarlyStop {
        /// The best epoch.
        best_epoch: usize,
        /// Epochs since the validation accuracy last rose.
        epochs_without_progress: usize,
    },
    /// Training stops because it was asked to.
    Interrupted {
        /// The last finished epoch; 0 if there is none.
        finished_epochs: usize,
        /// Steps of the epoch after it that `last` holds.
        steps: usize,
    },
    /// Training ends because its time is up; the epoch that was cut short has been validated.
    TimeUp {
        /// Minutes of training and validation.
        minutes: f64,
    },
}

/// Where a training is, within an epoch.
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
    /// Share of the epoch's pictures so far that were classified correctly.
    pub accuracy: f64,
    /// Learning rate of the last of these steps.
    pub learning_rate: f64,
    /// Norm of all gradients together in the last of these steps, before clipping.
    pub gradient_norm: f64,
    /// Training pictures a second in this epoch so far.
    pub images_per_second: f64,
    /// Seconds until all epochs are done at this speed, validation included once its duration is
    /// known.
    pub eta_seconds: f64,
}

/// Asks a training to stop at the next step. Clones share the request.
#[derive(Debug, Clone, Default)]
pub struct StopSignal(Arc<AtomicBool>);

impl StopSignal {
    /// A signal that has not been given.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks for the stop. Safe to call from a signal handler's thread, more than once.
    pub fn request(&self) {
        self.0.store(true, Ordering::Release);
    }

    /// The flag itself, true once the stop was asked for: for code that does not know this type.
    #[must_use]
    pub fn flag(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.0)
    }

    /// Whether the stop was asked for.
    #[must_use]
    pub fn is_requested(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}
