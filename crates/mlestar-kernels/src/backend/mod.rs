//! The kernels as operations on Burn's tensors.
//!
//! They run on every device for which [`available`] is true: Burn's CPU backend `flex`, with or without
//! gradients. Images are channels-last, `[n, height, width, channels]`, in every function here.

mod autodiff;
mod depthwise;
mod flex;
mod optimizer;
mod storage;

use burn::{
    backend::{Backend, Dispatch, DispatchDevice, Flex, backend_extension, tensor::FloatTensor},
    tensor::{DType, Device, Tensor},
};

pub use optimizer::{adam_step, lion_step, muon_step, sgd_step, sum_of_squares};

use crate::{Activation, Conv2dShape, DepthwiseShape, Padding, Precision};

/// Whether a device runs these operations: Burn's `flex` backend, with or without gradients.
#[must_use]
pub fn available(device: &Device) -> bool {
    match device.as_dispatch() {
        DispatchDevice::Flex(_) => true,
        DispatchDevice::Autodiff(_) => {
            let inner = device.clone().without_autodiff();
            matches!(inner.as_dispatch(), DispatchDevice::Flex(_))
        }
        #[allow(unreachable_patterns)]
        _ => false,
    }
}

/// Whether these operations accept a tensor: it is on such a device and holds `f32`.
#[must_use]
pub fn takes<const D: usize>(tensor: &Tensor<D>) -> bool {
    tensor.dtype() == DType::F32 && available(&tensor.device())
}

/// Stride, padding and dilation of a convolution, and its precision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Conv2dOptions {
    /// Step of the kernel, vertical and horizontal.
    pub stride: [usize; 2],
    /// Zeros around the input.
    pub padding: Padding,
    /// Distance between taps.
    pub dilation: [usize; 2],
    /// Precision of the factors of its products and of its gradients.
    pub precision: Precision,
}

impl Conv2dOptions {
    /// The sizes of a convolution of `input`, `[n, height, width, channels]`, with `weight`,
    /// `[channels_out, channels_in, kernel_height, kernel_width]`.
    #[must_use]
    pub fn shape(&self, input: [usize; 4], weight: [usize; 4]) -> Conv2dShape {
        Conv2dShape {
            n: input[0],
            input: [input[1], input[2]],
            channels_in: input[3],
            channels_out: weight[0],
            kernel: [weight[2], weight[3]],
            stride: self.stride,
            padding: self.padding,
            dilation: self.dilation,
        }
    }
}

/// Stride and padding of a depthwise convolution.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DepthwiseOptions {
    /// Step of the kernel, vertical and horizontal.
    pub stride: [usize; 2],
    /// Zeros around the input.
    pub padding: Padding,
}

impl DepthwiseOptions {
    /// The sizes of a convolution of `input`, `[n, height, width, channels]`, with `weight`,
    /// `[channels, 1, kernel_height, kernel_width]`.
    #[must_use]
    pub fn shape(&self, input: [usize; 4], weight: [usize; 4]) -> DepthwiseShape {
        DepthwiseShape {
            n: input[0],
            input: [input[1], input[2]],
            channels: input[3],
            kernel: [weight[2], weight[3]],
            stride: self.stride,
            padding: self.padding,
        }
    }
}

/// The operations of a backend. Call the functions of this module instead.
///
/// As everywhere in Burn, tensors that do not fit each other are an error of the program: the operations panic
/// with a description.
#[doc(hidden)]
#[backend_extension(Flex, Autodiff)]
pub trait KernelBackend: Backend {
    fn kernel_conv2d(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        options: Conv2dOptions,
    ) -> FloatTensor<Self>;

    fn kernel_depthwise(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        options: DepthwiseOptions,
    ) -> FloatTensor<Self>;

    fn kernel_batch_norm(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        epsilon: f64,
        activation: Option<Activation>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>);

    fn kernel_batch_norm_add(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        residual: FloatTensor<Self>,
        epsilon: f64,
        activation: Option<Activation>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>);

    fn kernel_average_pool(input: FloatTensor<Self>) -> FloatTensor<Self>;

    fn kernel_max_pool(input: FloatTensor<Self>, windows: Windows) -> FloatTensor<Self>;
}

/// Convolution of `input`, `[n, height, width, channels_in]`, with `weight`,
/// `[channels_out, channels_in, kernel_height, kernel_width]`; differentiable in both.
///
/// # Panics
///
/// If [`available`] is false or the sizes do not fit each other, as in Burn's operations.
#[must_use]
pub fn conv2d(input: Tensor<4>, weight: Tensor<4>, options: Conv2dOptions) -> Tensor<4> {
    let output = <Dispatch as KernelBackend>::kernel_conv2d(
        input.into_dispatch(),
        weight.into_dispatch(),
        options,
    );
    Tensor::from_dispatch(output)
}

/// Convolution, bias, residual sum and activation in one pass, without gradients: for evaluation.
///
/// # Panics
///
/// If the tensors are not on the plain `flex` device, or the sizes do not fit each other.
#[must_use]
pub fn conv2d_fused(
    input: Tensor<4>,
    weight: Tensor<4>,
    bias: Tensor<1>,
    residual: Option<Tensor<4>>,
    activation: Option<Activation>,
    options: Conv2dOptions,
) -> Tensor<4> {
    Tensor::from_primitive::<Flex>(flex::conv2d_fused(
        flex::primitive(input),
        flex::primitive(weight),
        flex::primitive(bias),
        residual.map(flex::primitive),
        activation,
        options,
    ))
}

/// Depthwise convolution of `input`, `[n, height, width, channels]`, with `weight`,
/// `[channels, 1, kernel_height, kernel_width]`: each channel has a kernel of its own. Differentiable in both.
///
/// # Panics
///
/// If [`available`] is false or the sizes do not fit each other, as in Burn's operations.
#[must_use]
pub fn depthwise_conv2d(
    input: Tensor<4>,
    weight: Tensor<4>,
    options: DepthwiseOptions,
) -> Tensor<4> {
    let output = <Dispatch as KernelBackend>::kernel_depthwise(
        input.into_dispatch(),
        weight.into_dispatch(),
        options,
    );
    Tensor::from_dispatch(output)
}

/// Depthwise convolution, bias, residual sum and activation in one pass, without gradients: for evaluation.
///
/// # Panics
///
/// If the tensors are not on the plain `flex` device, or the sizes do not fit each other.
#[must_use]
pub fn depthwise_conv2d_fused(
    input: Tensor<4>,
    weight: Tensor<4>,
    bias: Tensor<1>,
    residual: Option<Tensor<4>>,
    activation: Option<Activation>,
    options: DepthwiseOptions,
) -> Tensor<4> {
    Tensor::from_primitive::<Flex>(depthwise::fused(
        flex::primitive(input),
        flex::primitive(weight),
        flex::primitive(bias),
        residual.map(flex::primitive),
        activation,
        options,
    ))
}

/// A separate activation, without gradients: for evaluation.
///
/// # Panics
///
/// If the tensor is not on the plain `flex` device.
#[must_use]
pub fn activate(input: Tensor<4>, activation: Activation) -> Tensor<4> {
    Tensor::from_primitive::<Flex>(flex::activate(flex::primitive(input), activation))
}

/// A batch norm's output, and the statistics it used.
#[derive(Debug)]
pub struct BatchNormOutput {
    /// Has the input's shape.
    pub output: Tensor<4>,
    /// Mean of each channel; no gradient flows through it.
    pub mean: Tensor<1>,
    /// Biased variance of each channel; no gradient flows through it.
    pub variance: Tensor<1>,
}

/// Batch normalisation with the statistics of the batch, then the optional residual sum and activation;
/// differentiable in all tensors.
///
/// # Panics
///
/// If [`available`] is false or the sizes do not fit each other, as in Burn's operations.
#[must_use]
pub fn batch_norm(
    input: Tensor<4>,
    weight: Tensor<1>,
    bias: Tensor<1>,
    residual: Option<Tensor<4>>,
    epsilon: f64,
    activation: Option<Activation>,
) -> BatchNormOutput {
    let [input, weight, bias] = [
        input.into_dispatch(),
        weight.into_dispatch(),
        bias.into_dispatch(),
    ];
    let (output, mean, variance) = match residual {
        Some(residual) => <Dispatch as KernelBackend>::kernel_batch_norm_add(
            input,
            weight,
            bias,
            residual.into_dispatch(),
            epsilon,
            activation,
        ),
        None => {
            <Dispatch as KernelBackend>::kernel_batch_norm(input, weight, bias, epsilon, activation)
        }
    };
    BatchNormOutput {
        output: Tensor::from_dispatch(output),
        mean: Tensor::from_dispatch(mean),
        variance: Tensor::from_dispatch(variance),
    }
}

/// Mean over the pixels: `[n, height, width, channels]` to `[n, channels]`; differentiable.
///
/// # Panics
///
/// If [`available`] is false.
#[must_use]
pub fn average_pool(input: Tensor<4>) -> Tensor<2> {
    let output = <Dispatch as KernelBackend>::kernel_average_pool(input.into_dispatch());
    Tensor::from_dispatch(output)
}

/// The windows of a max pool; see [`MaxPoolShape`](crate::MaxPoolShape).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Windows {
    /// Side of the square windows.
    pub side: usize,
    /// Pixels from one window to the next.
    pub stride: usize,
    /// Pixels around the input that windows may cover.
    pub padding: Padding,
}

impl Windows {
    /// Windows side by side.
    #[must_use]
    pub fn side_by_side(side: usize) -> Self {
        Self {
            side,
            stride: side,
            padding: Padding::NONE,
        }
    }
}

/// Largest value of each window of `[n, height, width, channels]`; differentiable. See
/// [`max_pool`](crate::max_pool).
///
/// # Panics
///
/// If [`available`] is false, or the windows do not form a valid [`MaxPoolShape`](crate::MaxPoolShape).
#[must_use]
pub fn max_pool(input: Tensor<4>, windows: Windows) -> Tensor<4> {
    let output = <Dispatch as KernelBackend>::kernel_max_pool(input.into_dispatch(), windows);
    Tensor::from_dispatch(output)
}
