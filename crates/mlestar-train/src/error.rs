use std::{io, path::PathBuf};

use mlestar_artifact::ArtifactError;
use mlestar_data::DataError;
use mlestar_model::ModelError;
use thiserror::Error;

/// Why training or prediction stopped without a result.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TrainError {
    /// A configuration value is outside its range.
    #[error("{key} = {value} is out of range: it must be {limit}")]
    OutOfRange {
        /// Dotted key below the training section, e.g. `optimizer.learning_rate`.
        key: &'static str,
        /// The value found.
        value: String,
        /// The allowed range, in words.
        limit: String,
    },
    /// A fine-tuning fits the last linear layer to its input, and the network does not give it.
    #[error(
        "this network cannot be fine-tuned: it gives no features for its last layer, `head.weight` and `head.bias`; \
         leave out finetune"
    )]
    NoFeatures,
    /// A split has no images.
    #[error("the {split} set is empty; it needs at least one image")]
    EmptySet {
        /// `training` or `validation`.
        split: &'static str,
    },
    /// A split does not fit the model.
    #[error("the {split} set has {found} but the model was specified for {expected}")]
    SetMismatch {
        /// `training` or `validation`.
        split: &'static str,
        /// What the model expects, e.g. `10 classes`.
        expected: String,
        /// What the set contains.
        found: String,
    },
    /// The loss or the gradient is not finite. The checkpoints of earlier epochs are intact.
    #[error(
        "training diverged in epoch {epoch}, step {step}: loss {loss}, gradient norm \
         {gradient_norm}, training images {indices:?}; lower the learning rate, clip the gradient or inspect these images"
    )]
    NonFinite {
        /// Epoch, from 1.
        epoch: usize,
        /// Step within the epoch, from 1.
        step: usize,
        /// The loss of the step.
        loss: f64,
        /// The global gradient norm of the step.
        gradient_norm: f64,
        /// The parameters with the largest gradients of the step and their norms, largest first.
        largest_gradients: Vec<(String, f64)>,
        /// Indices, in the training set, of the images of the step's batch.
        indices: Vec<usize>,
    },
    /// A weight or running statistic is not finite. The checkpoints of earlier epochs are intact.
    #[error(
        "training diverged: after epoch {epoch} the tensor `{tensor}` holds a value that is not \
         finite; lower the learning rate or clip the gradient"
    )]
    NonFiniteWeights {
        /// Epoch, from 1.
        epoch: usize,
        /// Name of the first such tensor.
        tensor: String,
    },
    /// The model produces logits that are not finite.
    #[error(
        "the model's logits for image {index} of the {split} set are not finite in epoch {epoch}; \
         lower the learning rate or clip the gradient"
    )]
    NonFiniteLogits {
        /// `training` or `validation`.
        split: &'static str,
        /// Epoch, from 1.
        epoch: usize,
        /// Index of the first such image.
        index: usize,
    },
    /// A file or folder cannot be read or written.
    #[error("{action} {path} failed: {source}", path = path.display())]
    Io {
        /// The attempted action.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// The file given as `initial_weights` cannot be used.
    #[error(
        "the initial weights {path} cannot be used: {reason}; `initial_weights` takes the model.safetensors of a \
         checkpoint, or published weights of the same architecture (.pth, .pt or .safetensors); only the head may differ",
        path = path.display()
    )]
    InitialWeights {
        /// The file.
        path: PathBuf,
        /// The reason.
        reason: String,
    },
    /// A network cannot be used as a teacher.
    #[error(
        "the teacher {path} cannot be used: {reason}; `distillation.teachers` takes folders of checkpoints, such as \
         runs/NAME/4-implementation/checkpoints/best, of networks for the same classes and size of images",
        path = path.display()
    )]
    Teacher {
        /// The checkpoint's folder.
        path: PathBuf,
        /// The reason.
        reason: String,
    },
    /// A checkpoint's files do not match what was written.
    #[error("the checkpoint {path} is damaged: {reason}", path = path.display())]
    DamagedCheckpoint {
        /// The checkpoint's folder.
        path: PathBuf,
        /// What is wrong with which file.
        reason: String,
    },
    /// The checkpoint belongs to another training.
    #[error("the checkpoint {path} belongs to another training: {differences}", path = path.display())]
    ForeignCheckpoint {
        /// The checkpoint's folder.
        path: PathBuf,
        /// The settings that differ, with both values.
        differences: String,
    },
    /// Resuming was requested, but no checkpoint can be used.
    #[error(
        "cannot resume from any checkpoint in {folder}: {reasons}; restore the settings or restart without resuming",
        folder = folder.display()
    )]
    NoUsableCheckpoint {
        /// The folder of the checkpoints.
        folder: PathBuf,
        /// One reason for each checkpoint.
        reasons: String,
    },
    /// An optimizer cannot use the saved moments.
    #[error("the optimizer's saved state cannot be used: {reason}")]
    OptimizerState {
        /// Which tensor is wrong, and why.
        reason: String,
    },
    /// The device is out of memory even for parts of a batch.
    #[error(
        "the device is out of memory: {message}; lower `batch_size`, raise \
         `accumulation_steps`, or use a smaller model"
    )]
    OutOfMemory {
        /// The message of the device.
        message: String,
    },
    /// An image cannot be written into an event file.
    #[error("the image `{tag}` cannot be logged: {reason}")]
    Picture {
        /// Its tag; empty if it has none yet.
        tag: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A setting cannot be written into an event file.
    #[error("the setting `{name}` cannot be logged: {reason}")]
    Hparam {
        /// Its name.
        name: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The compute device failed.
    #[error("the compute device failed while {action}: {message}")]
    Device {
        /// The action during which the device failed.
        action: &'static str,
        /// The message of the device.
        message: String,
    },
    /// An artifact cannot be read or written.
    #[error(transparent)]
    Artifact(#[from] ArtifactError),
    /// The model rejects its configuration or weights.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The data rejects its configuration.
    #[error(transparent)]
    Data(#[from] DataError),
}

impl TrainError {
    pub(crate) fn out_of_range(
        key: &'static str,
        value: impl std::fmt::Display,
        limit: impl Into<String>,
    ) -> Self {
        Self::OutOfRange {
            key,
            value: value.to_string(),
            limit: limit.into(),
        }
    }

    /// For `map_err`: an I/O error with the attempted action and the path.
    pub(crate) fn io(
        action: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io {
            action,
            path,
            source,
        }
    }
}
