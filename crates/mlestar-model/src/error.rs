use std::path::PathBuf;

use thiserror::Error;

/// Errors in a model's configuration or in weights that are loaded into it.
#[derive(Debug, Clone, PartialEq, Error)]
#[non_exhaustive]
pub enum ModelError {
    /// A configuration value is outside its range.
    #[error("{key} = {value} is out of range: it must be {limit}")]
    OutOfRange {
        /// Dotted key below the model's section, e.g. `stages[1].channels`.
        key: String,
        /// The value found.
        value: String,
        /// The allowed range, in words.
        limit: String,
    },
    /// A key that a published architecture fixes.
    #[error(
        "`{key}` does not apply to {architecture}, whose layers are fixed: remove the key, or choose another architecture"
    )]
    KeyDoesNotApply {
        /// The key below the model's section.
        key: &'static str,
        /// The architecture, in words.
        architecture: &'static str,
    },
    /// The images are too small for the strides of the architecture.
    #[error(
        "{key} = {stride} does not fit: the images of {height}x{width} pixels are only {at_height}x{at_width} at this layer; lower the stride, drop a stage or use larger \
         images"
    )]
    PictureTooSmall {
        /// Dotted key of the stride, e.g. `stages[2].stride`.
        key: String,
        /// The stride.
        stride: usize,
        /// Height of the images in pixels.
        height: usize,
        /// Width of the images in pixels.
        width: usize,
        /// Height of the feature map that enters the stage.
        at_height: usize,
        /// Width of the feature map that enters the stage.
        at_width: usize,
    },
    /// The description of a network contradicts itself.
    #[error("the network cannot be built: {part}: {reason}")]
    Description {
        /// Name of the block or unit.
        part: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The architecture is larger than this crate supports.
    #[error(
        "the architecture has {parameters} parameters, more than the limit of {limit}; use fewer \
         channels, blocks or classes"
    )]
    TooLarge {
        /// Parameters of the architecture.
        parameters: u64,
        /// The limit.
        limit: u64,
    },
    /// A saved state lacks a tensor of the model.
    #[error(
        "the saved state has no tensor `{name}`, which the model needs: it belongs to another model"
    )]
    MissingTensor {
        /// Name of the tensor.
        name: String,
    },
    /// A saved state has a tensor that the model does not have, or has it twice.
    #[error("the saved state has the tensor `{name}`, {reason}")]
    UnexpectedTensor {
        /// Name of the tensor.
        name: String,
        /// Why it is unexpected.
        reason: &'static str,
    },
    /// A tensor of a saved state has another shape than the model's.
    #[error("tensor `{name}` has shape {found:?}, the model needs {expected:?}")]
    ShapeMismatch {
        /// Name of the tensor.
        name: String,
        /// Shape in the model.
        expected: Vec<usize>,
        /// Shape in the saved state.
        found: Vec<usize>,
    },
    /// The number of values does not fit the shape.
    #[error("tensor `{name}` of shape {shape:?} has {values} values")]
    ValueCount {
        /// Name of the tensor.
        name: String,
        /// Its shape.
        shape: Vec<usize>,
        /// The number of values found.
        values: usize,
    },
    /// A value cannot be a weight.
    #[error("tensor `{name}` has the value {value} at position {position}: {reason}")]
    InvalidValue {
        /// Name of the tensor.
        name: String,
        /// Position in row-major order.
        position: usize,
        /// The value.
        value: f32,
        /// Why it is rejected.
        reason: &'static str,
    },
    /// A file of weights cannot be used.
    #[error("{}: {reason}", path.display())]
    Weights {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The network has another number of outputs than there are classes.
    #[error("the network returns {logits} logits per image, but there are {n_classes} classes")]
    OtherClasses {
        /// The number of outputs.
        logits: usize,
        /// The number of classes.
        n_classes: usize,
    },
    /// The network panicked on an image of this size.
    #[error(
        "the network does not accept images of {height}x{width} pixels: it panicked on a test image"
    )]
    ImagesRefused {
        /// Height in pixels.
        height: usize,
        /// Width in pixels.
        width: usize,
    },
}

impl ModelError {
    pub(crate) fn out_of_range(
        key: &str,
        value: impl std::fmt::Display,
        limit: impl Into<String>,
    ) -> Self {
        Self::OutOfRange {
            key: key.to_owned(),
            value: value.to_string(),
            limit: limit.into(),
        }
    }
}
