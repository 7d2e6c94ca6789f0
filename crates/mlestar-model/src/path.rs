//! The two ways through a network: the kernels of `mlestar-kernels`, or Burn's own operations.

use burn::{
    nn::conv::Conv2d,
    tensor::{Tensor, activation::relu, module::conv2d, ops::ConvOptions},
};
use mlestar_kernels::backend::{self as kernels, Conv2dOptions};

use crate::BatchNorm;

/// How activations are laid out and which operations compute them. Both ways give the same results, up
/// to rounding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Path {
    /// Burn's operations on `[n, channels, height, width]`: any device.
    Burn,
    /// The kernels, on `[n, height, width, channels]`: Burn's CPU backend.
    Kernels,
}

impl Path {
    /// The faster way for pictures `[n, 3, height, width]`. The kernels have no gradients for
    /// evaluation: on an autodiff device that goes through Burn.
    pub(crate) fn of(images: &Tensor<4>, training: bool) -> Self {
        let plain = !images.device().is_autodiff();
        match kernels::takes(images) && (training || plain) {
            true => Self::Kernels,
            false => Self::Burn,
        }
    }

    /// Pictures `[n, channels, height, width]` in this way's layout.
    pub(crate) fn enter(self, images: Tensor<4>) -> Tensor<4> {
        match self {
            Self::Burn => images,
            Self::Kernels => images.permute([0, 2, 3, 1]),
        }
    }

    /// A convolution without bias.
    pub(crate) fn convolve(self, conv: &Conv2d, x: Tensor<4>) -> Tensor<4> {
        match self {
            Self::Kernels if conv.groups == 1 => {
                kernels::conv2d(x, conv.weight.val(), kernel_options(conv))
            }
            Self::Kernels => {
                let y = Self::Burn.convolve(conv, x.permute([0, 3, 1, 2]));
                y.permute([0, 2, 3, 1])
            }
            Self::Burn => conv2d(x, conv.weight.val(), None, burn_options(conv)),
        }
    }

    /// Batch normalisation with the statistics of the batch, then residual sum and ReLU.
    pub(crate) fn normalize(
        self,
        bn: &BatchNorm,
        x: Tensor<4>,
        residual: Option<Tensor<4>>,
        with_relu: bool,
    ) -> Tensor<4> {
        match self {
            Self::Kernels => bn.forward_train_channels_last(x, residual, with_relu),
            Self::Burn => finish(bn.forward_train(x), residual, with_relu),
        }
    }

    /// Convolution and evaluation-mode batch normalisation as one convolution with a bias (the
    /// normalisation is linear, and folding it saves its passes over the activations), then residual
    /// sum and ReLU.
    pub(crate) fn convolve_normalized(
        self,
        conv: &Conv2d,
        bn: &BatchNorm,
        x: Tensor<4>,
        residual: Option<Tensor<4>>,
        with_relu: bool,
    ) -> Tensor<4> {
        let (scale, shift) = bn.scale_and_shift();
        let [channels] = scale.dims();
        let weight = conv.weight.val() * scale.reshape([channels, 1, 1, 1]);
        match self {
            Self::Kernels if conv.groups == 1 => {
                let options = kernel_options(conv);
                kernels::conv2d_fused(x, weight, shift, residual, with_relu, options)
            }
            Self::Kernels => {
                let y = conv2d(
                    x.permute([0, 3, 1, 2]),
                    weight,
                    Some(shift),
                    burn_options(conv),
                );
                finish(y.permute([0, 2, 3, 1]), residual, with_relu)
            }
            Self::Burn => {
                let y = conv2d(x, weight, Some(shift), burn_options(conv));
                finish(y, residual, with_relu)
            }
        }
    }

    /// Mean over height and width, `[n, channels]`.
    pub(crate) fn average_pool(self, x: Tensor<4>) -> Tensor<2> {
        match self {
            Self::Kernels => kernels::average_pool(x),
            Self::Burn => {
                let [n, channels, height, width] = x.dims();
                x.reshape([n, channels, height * width])
                    .mean_dim(2)
                    .reshape([n, channels])
            }
        }
    }
}

fn finish(y: Tensor<4>, residual: Option<Tensor<4>>, with_relu: bool) -> Tensor<4> {
    let y = match residual {
        Some(residual) => y + residual,
        None => y,
    };
    match with_relu {
        true => relu(y),
        false => y,
    }
}

/// The network's convolutions keep the size, up to the stride.
fn padding(conv: &Conv2d) -> [usize; 2] {
    conv.kernel_size.map(|size| size / 2)
}

fn burn_options(conv: &Conv2d) -> ConvOptions<2> {
    ConvOptions::new(conv.stride, padding(conv), conv.dilation, conv.groups)
}

fn kernel_options(conv: &Conv2d) -> Conv2dOptions {
    Conv2dOptions {
        stride: conv.stride,
        padding: padding(conv),
        dilation: conv.dilation,
    }
}
