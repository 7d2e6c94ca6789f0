use burn::{
    module::{Module, Param, RunningState},
    tensor::{Device, Tensor, module::batch_norm_train},
};
use mlestar_kernels::{Activation, backend as kernels};

/// Batch normalisation over `[n, channels, height, width]` (Ioffe and Szegedy 2015,
/// <https://arxiv.org/abs/1502.03167>), with PyTorch's names and conventions.
///
/// Unlike Burn's version, it does not infer from the device whether it trains: the caller uses
/// [`forward_train`](Self::forward_train) or the running statistics. The running variance is unbiased, as in
/// PyTorch; the batch itself is normalised with the biased variance.
#[derive(Module, Debug)]
pub struct BatchNorm {
    /// Scale of each channel, `[channels]`; initially 1.
    pub weight: Param<Tensor<1>>,
    /// Shift of each channel, `[channels]`; initially 0.
    pub bias: Param<Tensor<1>>,
    running_mean: RunningState<Tensor<1>>,
    running_var: RunningState<Tensor<1>>,
    /// Added to the variance before its square root is taken.
    #[module(skip)]
    pub epsilon: f64,
}

impl BatchNorm {
    /// Weight of the newest batch in the running statistics.
    pub const MOMENTUM: f64 = 0.1;

    /// Weight 1, bias 0, running mean 0, running variance 1.
    pub(crate) fn new(channels: usize, epsilon: f64, device: &Device) -> Self {
        Self {
            weight: Param::from_tensor(Tensor::ones([channels], device)),
            bias: Param::from_tensor(Tensor::zeros([channels], device)),
            running_mean: RunningState::new(Tensor::zeros([channels], device)),
            running_var: RunningState::new(Tensor::ones([channels], device)),
            epsilon,
        }
    }

    /// The mean used in evaluation, `[channels]`.
    #[must_use]
    pub fn running_mean(&self) -> Tensor<1> {
        self.running_mean.value()
    }

    /// The variance used in evaluation, `[channels]`.
    #[must_use]
    pub fn running_var(&self) -> Tensor<1> {
        self.running_var.value()
    }

    /// Scale and shift, `[channels]` each, of this layer in evaluation: `y = x * scale + shift`.
    #[must_use]
    pub fn scale_and_shift(&self) -> (Tensor<1>, Tensor<1>) {
        let deviation = self.running_var().add_scalar(self.epsilon).sqrt();
        let scale = self.weight.val() / deviation;
        let shift = self.bias.val() - self.running_mean() * scale.clone();
        (scale, shift)
    }

    /// The same layer with a scale that receives no gradient.
    pub(crate) fn with_fixed_scale(&self) -> Self {
        Self {
            weight: Param::from_tensor(self.weight.val().detach()),
            ..self.clone()
        }
    }

    /// Normalises `[n, channels, height, width]` with the statistics of the batch and moves the running
    /// statistics towards them.
    #[must_use]
    pub fn forward_train(&self, input: Tensor<4>) -> Tensor<4> {
        self.forward_train_by(self.weight.val(), input)
    }

    /// Like [`forward_train`](Self::forward_train), with this scale instead of the weight.
    pub(crate) fn forward_train_by(&self, weight: Tensor<1>, input: Tensor<4>) -> Tensor<4> {
        let [n, _, height, width] = input.dims();
        let batch = batch_norm_train(input, weight, self.bias.val(), self.epsilon);
        self.observe(n * height * width, batch.mean, batch.variance);
        batch.output
    }

    /// Like [`forward_train`](Self::forward_train), on `[n, height, width, channels]` by the CPU kernels, with
    /// this scale instead of the weight, and with the residual sum and the activation in the same pass.
    pub(crate) fn forward_train_channels_last(
        &self,
        weight: Tensor<1>,
        input: Tensor<4>,
        residual: Option<Tensor<4>>,
        activation: Option<Activation>,
    ) -> Tensor<4> {
        let [n, height, width, _] = input.dims();
        let bias = self.bias.val();
        let batch = kernels::batch_norm(input, weight, bias, residual, self.epsilon, activation);
        self.observe(n * height * width, batch.mean, batch.variance);
        batch.output
    }

    /// Moves the running statistics towards those of a batch with `count` values per channel.
    fn observe(&self, count: usize, mean: Tensor<1>, variance: Tensor<1>) {
        // Bessel's correction; a single value per channel has no unbiased variance.
        let count = count as f64;
        let unbiased = if count > 1.0 {
            count / (count - 1.0)
        } else {
            1.0
        };
        advance(&self.running_mean, mean, 1.0);
        advance(&self.running_var, variance, unbiased);
    }
}

fn advance(running: &RunningState<Tensor<1>>, batch: Tensor<1>, factor: f64) {
    let kept = running.value().mul_scalar(1.0 - BatchNorm::MOMENTUM);
    let added = batch.detach().mul_scalar(BatchNorm::MOMENTUM * factor);
    running.update((kept + added).detach());
    // A `RunningState` delays an update until it is read; reading it at once keeps `value` current for every
    // later reader, on any thread.
    running.value_sync();
}
