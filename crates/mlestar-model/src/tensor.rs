use crate::ModelError;

/// One tensor of a model's state, on the host.
#[derive(Debug, Clone, PartialEq)]
pub struct NamedTensor {
    /// Name as in PyTorch, e.g. `stages.0.1.bn2.running_var` or `head.weight`.
    pub name: String,
    /// Shape; convolution weights are `[out, in, height, width]`, the head's `[classes, features]`.
    pub shape: Vec<usize>,
    /// Values in row-major order.
    pub values: Vec<f32>,
}

/// The kind of a tensor of the state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StateKind {
    /// Changed by the optimizer.
    Parameter,
    /// A batch normalisation's running mean or variance.
    RunningStatistic,
}

impl StateKind {
    /// The kind of the tensor called `name`.
    #[must_use]
    pub fn of(name: &str) -> Self {
        match name.rsplit('.').next() {
            Some("running_mean" | "running_var") => Self::RunningStatistic,
            _ => Self::Parameter,
        }
    }
}

/// Checks that the values fill the shape and can be weights.
pub(crate) fn check_values(tensor: &NamedTensor) -> Result<(), ModelError> {
    let elements = tensor
        .shape
        .iter()
        .try_fold(1_usize, |product, &size| product.checked_mul(size));
    if elements != Some(tensor.values.len()) {
        return Err(ModelError::ValueCount {
            name: tensor.name.clone(),
            shape: tensor.shape.clone(),
            values: tensor.values.len(),
        });
    }
    let is_variance = tensor.name.ends_with("running_var");
    for (position, &value) in tensor.values.iter().enumerate() {
        let reason = match value {
            _ if !value.is_finite() => "it must be finite",
            _ if is_variance && value < 0.0 => "a variance cannot be negative",
            _ => continue,
        };
        return Err(ModelError::InvalidValue {
            name: tensor.name.clone(),
            position,
            value,
            reason,
        });
    }
    Ok(())
}
