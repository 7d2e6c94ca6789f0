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
