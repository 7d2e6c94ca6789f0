//! The two ways through a network: the kernels of `mlestar-kernels`, or Burn's own operations.

use burn::{
    nn::conv::Conv2d,
    tensor::{
        Tensor,
        module::{conv2d, max_pool2d},
        ops::{ConvOptions, MaxPoolOptions},
    },
};
use mlestar_kernels::backend::{self as kernels, Conv2dOptions};

use crate::{Activation, BatchNorm, Precision};

/// How feature maps are laid out and which operations compute them. Both ways give the same results, up
/// to rounding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// Burn's operations on `[n, channels, height, width]`: any device.
    Burn,
    /// The kernels, on `[n, height, width, channels]`: Burn's CPU backend.
    Kernels,
}

impl Way {
    /// The faster way for pictures `[n, 3, height, width]`.
    pub(crate) fn of(images: &Tensor<4>) -> Self {
        match kernels::takes(images) {
            true => Self::Kernels,
            false => Self::Burn,
        }
    }
}

/// A way with the network's activation and the precision of convolutions.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Path {
    pub way: Way,
    pub activation: Activation,
    pub precision: Precision,
}

impl Path {
    /// Pictures `[n, channels, height, width]` in this way's layout.
    pub(crate) fn enter(self, images: Tensor<4>) -> Tensor<4> {
        match self.way {
            Way::Burn => images,
            Way::Kernels => images.permute([0, 2, 3, 1]),
        }
    }

    /// A convolution without bias.
    pub(crate) fn convolve(self, conv: &Conv2d, x: Tensor<4>) -> Tensor<4> {
        self.convolve_by(conv, x, conv.weight.val())
    }

    /// As `conv`, with other weights.
    fn convolve_by(self, conv: &Conv2d, x: Tensor<4>, weight: Tensor<4>) -> Tensor<4> {
        match self.way {
            Way::Kernels if conv.groups == 1 => {
                kernels::conv2d(x, weight, kernel_options(conv, self.precision))
            }
            Way::Kernels => {
                let y = conv2d(x.permute([0, 3, 1, 2]), weight, None, burn_options(conv));
                y.permute([0, 2, 3, 1])
            }
            Way::Burn => conv2d(x, weight, None, burn_options(conv)),
        }
    }

    /// Batch normalisation with the statistics of the batch, then residual sum and activation.
    pub(crate) fn normalize(
        self,
        bn: &BatchNorm,
        x: Tensor<4>,
        residual: Option<Tensor<4>>,
        activate: bool,
    ) -> Tensor<4> {
        self.normalize_by(bn, bn.weight.val(), x, residual, activate)
    }

    fn normalize_by(
        self,
        bn: &BatchNorm,
        scale: Tensor<1>,
        x: Tensor<4>,
        residual: Option<Tensor<4>>,
        activate: bool,
    ) -> Tensor<4> {
        match self.way {
            Way::Kernels => {
                let activation = self.kernel_activation(activate);
                bn.forward_train_channels_last(scale, x, residual, activation)
            }
            Way::Burn => {
                let y = bn.forward_train_by(scale, x);
                self.finish(y, residual, activate)
            }
        }
    }

    /// As [`normalize`](Self::normalize) with the activation, where no gradient reaches the scale.
    pub(crate) fn normalize_unscaled(self, bn: &BatchNorm, x: Tensor<4>) -> Tensor<4> {
        self.normalize_by(bn, bn.weight.val().detach(), x, None, true)
    }

    /// The largest value of each window of `side` x `side` pixels, side by side; `x` itself for side 1.
    pub(crate) fn max_pool(self, x: Tensor<4>, side: usize) -> Tensor<4> {
        match self.way {
            _ if side == 1 => x,
            Way::Kernels => kernels::max_pool(x, side),
            Way::Burn => max_pool2d(x, MaxPoolOptions::new([side; 2])),
        }
    }

    /// Convolution and evaluation-mode batch normalisation as one convolution with a bias (the
    /// normalisation is linear, and folding it saves its passes over the activations), then residual
    /// sum and activation.
    pub(crate) fn convolve_normalized(
        self,
        conv: &Conv2d,
        bn: &BatchNorm,
        x: Tensor<4>,
        residual: Option<Tensor<4>>,
        activate: bool,
    ) -> Tensor<4> {
        let (scale, shift) = bn.scale_and_shift();
        let [channels] = scale.dims();
        let weight = conv.weight.val() * scale.reshape([channels, 1, 1, 1]);
        match self.way {
            // The one pass has no gradients; one operation after the other gives the same bits (with SiLU up to
            // the rounding of its exponential).
            Way::Kernels if x.device().is_autodiff() => {
                let y = self.convolve_by(conv, x, weight);
                let y = y + shift.reshape([1, 1, 1, channels]);
                self.finish(y, residual, activate)
            }
            Way::Kernels if conv.groups == 1 => {
                let options = kernel_options(conv, self.precision);
                let activation = self.kernel_activation(activate);
                kernels::conv2d_fused(x, weight, shift, residual, activation, options)
            }
            Way::Kernels => {
                let y = conv2d(
                    x.permute([0, 3, 1, 2]),
                    weight,
                    Some(shift),
                    burn_options(conv),
                );
                self.finish(y.permute([0, 2, 3, 1]), residual, activate)
            }
            Way::Burn => {
                let y = conv2d(x, weight, Some(shift), burn_options(conv));
                self.finish(y, residual, activate)
            }
        }
    }

    /// The network's activation.
    pub(crate) fn activate(self, x: Tensor<4>) -> Tensor<4> {
        match self.way {
            Way::Kernels if !x.device().is_autodiff() => {
                kernels::activate(x, self.activation.kernel())
            }
            _ => self.activation.apply(x),
        }
    }

    fn kernel_activation(self, activate: bool) -> Option<mlestar_kernels::Activation> {
        activate.then(|| self.activation.kernel())
    }

    fn finish(self, y: Tensor<4>, residual: Option<Tensor<4>>, activate: bool) -> Tensor<4> {
        let y = match residual {
            Some(residual) => y + residual,
            None => y,
        };
        match activate {
            true => self.activate(y),
            false => y,
        }
    }

    /// Mean over height and width, `[n, channels]`.
    pub(crate) fn average_pool(self, x: Tensor<4>) -> Tensor<2> {
        match self.way {
            Way::Kernels => kernels::average_pool(x),
            Way::Burn => {
                let [n, channels, height, width] = x.dims();
                x.reshape([n, channels, height * width])
                    .mean_dim(2)
                    .reshape([n, channels])
            }
        }
    }
}

/// The network's convolutions keep the size, up to the stride.
fn padding(conv: &Conv2d) -> [usize; 2] {
    conv.kernel_size.map(|size| size / 2)
}

fn burn_options(conv: &Conv2d) -> ConvOptions<2> {
    ConvOptions::new(conv.stride, padding(conv), conv.dilation, conv.groups)
}

fn kernel_options(conv: &Conv2d, precision: Precision) -> Conv2dOptions {
    Conv2dOptions {
        stride: conv.stride,
        padding: padding(conv),
        dilation: conv.dilation,
        precision: precision.kernel(),
    }
}

#[cfg(test)]
mod tests {
    use burn::{
        module::{Module, ModuleMapper, Param},
        nn::conv::Conv2dConfig,
        optim::GradientsParams,
        tensor::{Device, Int, TensorData, activation::log_softmax},
    };
    use mlestar_random::Stream;

    use super::*;
    use crate::{Architecture, ImageClassifier, ModelConfig, StageConfig, TrainingPass};

    /// Gradient descent by hand.
    struct Descent(GradientsParams);

    impl ModuleMapper for Descent {
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            let gradient = self.0.remove::<D>(param.id);
            let (id, tensor, mapper) = param.consume();
            let tensor = match gradient {
                Some(gradient) => {
                    let plain = tensor.without_autodiff() - gradient.mul_scalar(0.05);
                    Tensor::from_inner(plain).require_grad()
                }
                None => tensor,
            };
            Param::from_mapped_value(id, tensor, mapper)
        }
    }

    fn pictures(step: u64, n: usize, device: &Device) -> (Tensor<4>, Tensor<2, Int>) {
        let mut stream = Stream::new(1, "pictures", step, 0);
        let labels: Vec<i32> = (0..n).map(|_| stream.below(3) as i32).collect();
        let values = labels.iter().flat_map(|&label| {
            let shade = label as f32 - 1.0;
            (0..3 * 12 * 10).map(move |_| shade).collect::<Vec<_>>()
        });
        let values: Vec<f32> = values.map(|v| v + 0.5 * stream.normal() as f32).collect();
        (
            Tensor::from_data(TensorData::new(values, [n, 3, 12, 10]), device),
            Tensor::from_data(TensorData::new(labels, [n, 1]), device),
        )
    }

    fn network(
        architecture: Architecture,
        activation: Activation,
        device: &Device,
    ) -> ImageClassifier {
        let stage = |channels, stride| StageConfig {
            channels,
            blocks: 2,
            stride,
        };
        let config = ModelConfig {
            architecture,
            activation,
            stem_channels: 16,
            stages: vec![stage(16, 1), stage(24, 2)],
            ..ModelConfig::small()
        };
        config.check(3, 12, 10).unwrap().init(3, device)
    }

    /// Losses of some training steps, then evaluation logits, one way.
    fn train(architecture: Architecture, activation: Activation, way: Way) -> (Vec<f32>, Vec<f32>) {
        let device = Device::flex().autodiff();
        let mut model = network(architecture, activation, &device);
        let fixed = model.fixed_parameters();
        let of_fixed = |model: &ImageClassifier| {
            let mut state = model.state();
            state.retain(|tensor| fixed.contains(&tensor.name));
            state
        };
        let before = of_fixed(&model);
        let mut losses = Vec::new();
        for step in 0..12 {
            let (images, labels) = pictures(step, 9, &device);
            let logits = model.forward_train_along(way, images, TrainingPass::default());
            let loss = log_softmax(logits, 1).gather(1, labels).mean().neg();
            losses.push(loss.clone().into_scalar::<f32>());
            let gradients = GradientsParams::from_grads(loss.backward(), &model);
            model = model.map(&mut Descent(gradients));
        }
        assert_eq!(before.len(), fixed.len());
        assert_eq!(before, of_fixed(&model));
        let (images, _) = pictures(99, 5, &Device::flex());
        let logits = model.valid().forward_along(way, images, Precision::F32);
        (losses, logits.into_data().iter::<f32>().collect())
    }

    #[test]
    fn both_ways_train_to_the_same_losses_and_evaluate_alike() {
        for architecture in [
            Architecture::ResidualCnn,
            Architecture::PlainCnn,
            Architecture::PooledResidualCnn,
        ] {
            for activation in [Activation::Relu, Activation::Silu] {
                compare(architecture, activation);
            }
        }
    }

    fn compare(architecture: Architecture, activation: Activation) {
        let (burn_losses, burn_logits) = train(architecture, activation, Way::Burn);
        let (losses, logits) = train(architecture, activation, Way::Kernels);
        assert!(losses[11] < 0.8 * losses[0], "{losses:?}");
        // Rounding differs, and a ReLU that opens one way and not the other makes more of it from step
        // to step.
        for (step, (found, expected)) in losses.iter().zip(&burn_losses).enumerate() {
            let limit = if step < 4 { 1e-4 } else { 1e-2 };
            assert!(
                (found - expected).abs() < limit,
                "step {step}: {found} {expected}"
            );
        }
        for (found, expected) in logits.iter().zip(&burn_logits) {
            assert!((found - expected).abs() < 0.1, "{found} {expected}");
        }
    }

    /// Filters in multiples of 16 and enough pictures: the matrix unit's case where there is one.
    #[test]
    fn factors_of_16_bits_change_logits_by_little() {
        let device = Device::flex();
        for architecture in [Architecture::PlainCnn, Architecture::PooledResidualCnn] {
            let config = ModelConfig {
                architecture,
                stem_channels: 16,
                stages: vec![StageConfig {
                    channels: 32,
                    blocks: 2,
                    stride: 2,
                }],
                ..ModelConfig::small()
            };
            let model = config.check(3, 12, 10).unwrap().init(3, &device);
            let (images, _) = pictures(1, 40, &device);
            let logits = |precision| -> Vec<f32> {
                let logits = model.forward_in(images.clone(), precision);
                logits.into_data().iter::<f32>().collect()
            };
            let [exact, rounded] = [Precision::F32, Precision::Bf16].map(logits);
            let plain: Vec<f32> = model.forward(images.clone()).into_data().iter().collect();
            assert_eq!(exact, plain);
            let norm = |values: &mut dyn Iterator<Item = f32>| -> f32 {
                values.map(|value| value * value).sum::<f32>().sqrt()
            };
            let off = norm(&mut exact.iter().zip(&rounded).map(|(a, b)| a - b));
            let length = norm(&mut exact.iter().copied());
            assert!(off < 0.02 * length, "{off} of {length}");
        }
    }

    /// The kernels have no groups: such a convolution goes through Burn and comes back.
    #[test]
    fn grouped_convolutions_fall_back_to_burn() {
        for device in [Device::flex(), Device::flex().autodiff()] {
            let conv = Conv2dConfig::new([6, 4], [3, 3])
                .with_stride([2, 2])
                .with_groups(2)
                .with_bias(false)
                .init(&device);
            let bn = BatchNorm::new(4, &device);
            let mut stream = Stream::new(4, "groups", 0, 0);
            let mut random = |shape: [usize; 4]| {
                let len = shape.iter().product();
                let values: Vec<f32> = (0..len).map(|_| stream.normal() as f32).collect();
                Tensor::<4>::from_data(TensorData::new(values, shape), &device)
            };
            let (x, residual) = (random([2, 6, 7, 5]), random([2, 4, 4, 3]));
            let both = |way: Way| {
                let path = Path {
                    way,
                    activation: Activation::Relu,
                    precision: Precision::F32,
                };
                let x = path.enter(x.clone());
                let residual = path.enter(residual.clone());
                let folded = path.convolve_normalized(&conv, &bn, x.clone(), Some(residual), true);
                [path.convolve(&conv, x), folded]
            };
            let expected = both(Way::Burn);
            for (found, expected) in both(Way::Kernels).into_iter().zip(expected) {
                let difference = found.permute([0, 3, 1, 2]) - expected;
                let largest: f32 = difference.abs().max().into_scalar();
                assert!(largest < 1e-6, "{largest}");
            }
        }
    }

    #[test]
    fn the_kernels_serve_the_cpu() {
        let images = |device: &Device| Tensor::<4>::zeros([1, 3, 8, 8], device);
        assert_eq!(Way::of(&images(&Device::flex())), Way::Kernels);
        assert_eq!(Way::of(&images(&Device::flex().autodiff())), Way::Kernels);
    }
}
