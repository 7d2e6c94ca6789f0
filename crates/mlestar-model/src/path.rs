//! The two ways to run a network: the kernels of `mlestar-kernels`, or Burn's own operations.

use burn::tensor::{
    Tensor,
    module::{conv2d, max_pool2d},
    ops::{ConvOptions, MaxPoolOptions},
};
use mlestar_kernels::backend::{self as kernels, Conv2dOptions, DepthwiseOptions, Windows};

use crate::description::{MaxPool, UnitDescription};
use crate::{Activation, BatchNorm, Padding, Precision};

/// The layout of feature maps and the operations that compute them. Both ways give the same results, except for
/// rounding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// Burn's operations on `[n, channels, height, width]`: any device.
    Burn,
    /// The kernels, on `[n, height, width, channels]`: Burn's CPU backend.
    Kernels,
}

impl Way {
    /// The faster way for images `[n, 3, height, width]`.
    pub(crate) fn of(images: &Tensor<4>) -> Self {
        match kernels::takes(images) {
            true => Self::Kernels,
            false => Self::Burn,
        }
    }
}

/// A way to run a network, with a precision of convolutions.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Path {
    pub way: Way,
    pub precision: Precision,
}

impl Path {
    /// Images `[n, channels, height, width]` in this layout.
    pub(crate) fn enter(self, images: Tensor<4>) -> Tensor<4> {
        match self.way {
            Way::Burn => images,
            Way::Kernels => images.permute([0, 2, 3, 1]),
        }
    }

    /// A unit's convolution with these weights.
    pub(crate) fn convolve(
        self,
        unit: &UnitDescription,
        x: Tensor<4>,
        weight: Tensor<4>,
    ) -> Tensor<4> {
        match self.way {
            Way::Kernels if unit.groups == 1 => {
                kernels::conv2d(x, weight, kernel_options(unit, self.precision))
            }
            Way::Kernels if unit.is_depthwise() => {
                kernels::depthwise_conv2d(x, weight, depthwise_options(unit))
            }
            _ => self.by_burn(x, |x| conv2d(x, weight, None, burn_options(unit))),
        }
    }

    /// A convolution of stride 1 that keeps the size of a map, in `f32`; `weight` has an odd side.
    pub(crate) fn filter(self, x: Tensor<4>, weight: Tensor<4>) -> Tensor<4> {
        let padding = weight.dims()[2] / 2;
        match self.way {
            Way::Kernels => {
                let options = Conv2dOptions {
                    stride: [1; 2],
                    padding: Padding::even([padding; 2]),
                    dilation: [1; 2],
                    precision: Precision::F32.kernel(),
                };
                kernels::conv2d(x, weight, options)
            }
            Way::Burn => {
                let padding = [(padding, padding); 2];
                let options = ConvOptions::new_with_padding([1; 2], padding, [1; 2], 1);
                conv2d(x, weight, None, options)
            }
        }
    }

    /// The axis of the channels of a map in this layout.
    pub(crate) fn channel_axis(self) -> usize {
        match self.way {
            Way::Burn => 1,
            Way::Kernels => 3,
        }
    }

    /// A map with every channel multiplied by its factor; `factors` are `[n, channels]`.
    pub(crate) fn scale_channels(self, x: Tensor<4>, factors: Tensor<2>) -> Tensor<4> {
        let [n, channels] = factors.dims();
        x * match self.way {
            Way::Burn => factors.reshape([n, channels, 1, 1]),
            Way::Kernels => factors.reshape([n, 1, 1, channels]),
        }
    }

    /// A Burn operation on a map in this layout.
    fn by_burn(self, x: Tensor<4>, operation: impl FnOnce(Tensor<4>) -> Tensor<4>) -> Tensor<4> {
        match self.way {
            Way::Burn => operation(x),
            Way::Kernels => operation(x.permute([0, 3, 1, 2])).permute([0, 2, 3, 1]),
        }
    }

    /// Batch normalisation with the statistics of the batch and this scale, then residual sum and activation.
    pub(crate) fn normalize(
        self,
        bn: &BatchNorm,
        scale: Tensor<1>,
        x: Tensor<4>,
        added: Option<Tensor<4>>,
        activation: Option<Activation>,
    ) -> Tensor<4> {
        match self.way {
            Way::Kernels => {
                let activation = activation.map(Activation::kernel);
                bn.forward_train_channels_last(scale, x, added, activation)
            }
            Way::Burn => {
                let y = bn.forward_train_by(scale, x);
                self.finish(y, added, activation)
            }
        }
    }

    /// The largest value of each window; `x` itself without a pool.
    pub(crate) fn max_pool(self, x: Tensor<4>, pool: Option<MaxPool>) -> Tensor<4> {
        match pool {
            None => x,
            Some(pool) if self.way == Way::Kernels => {
                let windows = Windows {
                    side: pool.window,
                    stride: pool.stride,
                    padding: [pool.padding; 2].into(),
                };
                kernels::max_pool(x, windows)
            }
            Some(pool) => {
                let options = MaxPoolOptions::new([pool.window; 2])
                    .with_stride([pool.stride; 2])
                    .with_padding([pool.padding; 2]);
                max_pool2d(x, options)
            }
        }
    }

    /// Convolution and evaluation-mode batch normalisation as one convolution with a bias (the normalisation is
    /// linear, and folding it saves its passes over the activations), then residual sum and activation.
    pub(crate) fn convolve_normalized(
        self,
        unit: &UnitDescription,
        weight: Tensor<4>,
        bn: &BatchNorm,
        x: Tensor<4>,
        added: Option<Tensor<4>>,
        activation: Option<Activation>,
    ) -> Tensor<4> {
        let (scale, shift) = bn.scale_and_shift();
        let [channels] = scale.dims();
        let weight = weight * scale.reshape([channels, 1, 1, 1]);
        match self.way {
            // The fused pass has no gradients; the separate operations give the same bits (with SiLU up to the
            // rounding of its exponential).
            Way::Kernels if x.device().is_autodiff() => {
                let y = self.convolve(unit, x, weight);
                let y = y + shift.reshape([1, 1, 1, channels]);
                self.finish(y, added, activation)
            }
            Way::Kernels if unit.groups == 1 => {
                let options = kernel_options(unit, self.precision);
                let activation = activation.map(Activation::kernel);
                kernels::conv2d_fused(x, weight, shift, added, activation, options)
            }
            Way::Kernels if unit.is_depthwise() => {
                let options = depthwise_options(unit);
                let activation = activation.map(Activation::kernel);
                kernels::depthwise_conv2d_fused(x, weight, shift, added, activation, options)
            }
            _ => {
                let y = self.by_burn(x, |x| conv2d(x, weight, Some(shift), burn_options(unit)));
                self.finish(y, added, activation)
            }
        }
    }

    /// `x` itself without an activation.
    pub(crate) fn activate(self, x: Tensor<4>, activation: Option<Activation>) -> Tensor<4> {
        match (activation, self.way) {
            (None, _) => x,
            (Some(activation), Way::Kernels) if !x.device().is_autodiff() => {
                kernels::activate(x, activation.kernel())
            }
            (Some(activation), _) => activation.apply(x),
        }
    }

    /// Sum and activation.
    pub(crate) fn finish(
        self,
        y: Tensor<4>,
        added: Option<Tensor<4>>,
        activation: Option<Activation>,
    ) -> Tensor<4> {
        let y = match added {
            Some(added) => y + added,
            None => y,
        };
        self.activate(y, activation)
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

fn burn_options(unit: &UnitDescription) -> ConvOptions<2> {
    let Padding { start, end } = unit.padding;
    let padding = [(start[0], end[0]), (start[1], end[1])];
    ConvOptions::new_with_padding([unit.stride; 2], padding, [1; 2], unit.groups)
}

fn kernel_options(unit: &UnitDescription, precision: Precision) -> Conv2dOptions {
    Conv2dOptions {
        stride: [unit.stride; 2],
        padding: unit.padding,
        dilation: [1; 2],
        precision: precision.kernel(),
    }
}

fn depthwise_options(unit: &UnitDescription) -> DepthwiseOptions {
    DepthwiseOptions {
        stride: [unit.stride; 2],
        padding: unit.padding,
    }
}

#[cfg(test)]
mod tests;
