//! Depthwise 2-D convolution of channels-last images, with both gradients.
//!
//! Inputs and outputs are `[n, height, width, channels]`, weights `[channels, 1, kernel_height, kernel_width]` as in
//! PyTorch and Burn.

mod lines;
mod packed;
mod plan;
mod shape;
mod sums;
#[cfg(test)]
mod tests;
mod weight_gradient;

pub use packed::PackedDepthwise;
pub use shape::DepthwiseShape;

use crate::{
    Epilogue, KernelError, Level,
    error::check_length,
    matrix::rows::Finish,
    simd::{Operation, Simd},
    values::{Values, ValuesMut},
};
use packed::pack;
use plan::Plan;
use sums::Sums;

/// Computes the complete output of a depthwise convolution.
///
/// # Errors
///
/// [`KernelError`] if the shape is invalid or a slice has the wrong length.
///
/// ```
/// use mlestar_kernels::{DepthwiseShape, Epilogue, depthwise_conv2d};
///
/// // One image of 1x2 pixels and 2 channels; 1x1 kernels that double the first channel and negate the second.
/// let shape = DepthwiseShape::square(1, [1, 2], 2, 1, 1, 0);
/// let mut output = [0.0; 4];
/// depthwise_conv2d(&shape, &[1.0, 2.0, 3.0, 4.0], &[2.0, -1.0], Epilogue::default(), &mut output)?;
/// assert_eq!(output, [2.0, -2.0, 6.0, -4.0]);
/// # Ok::<(), mlestar_kernels::KernelError>(())
/// ```
pub fn depthwise_conv2d(
    shape: &DepthwiseShape,
    input: &[f32],
    weight: &[f32],
    epilogue: Epilogue,
    output: &mut [f32],
) -> Result<(), KernelError> {
    depthwise_conv2d_with(Level::current(), shape, input, weight, epilogue, output)
}

/// Like [`depthwise_conv2d`], with given instructions.
///
/// # Errors
///
/// As for [`depthwise_conv2d`].
pub fn depthwise_conv2d_with(
    level: Level,
    shape: &DepthwiseShape,
    input: &[f32],
    weight: &[f32],
    epilogue: Epilogue,
    output: &mut [f32],
) -> Result<(), KernelError> {
    let packed = PackedDepthwise::with_level(*shape, weight, level)?;
    packed.run(shape.n, input, epilogue, output)
}

/// Computes the complete gradient of a depthwise convolution's input from that of its output.
///
/// # Errors
///
/// [`KernelError`] if the shape is invalid or a slice has the wrong length.
pub fn depthwise_conv2d_input_gradient(
    shape: &DepthwiseShape,
    output_gradient: &[f32],
    weight: &[f32],
    input_gradient: &mut [f32],
) -> Result<(), KernelError> {
    let level = Level::current();
    depthwise_conv2d_input_gradient_with(level, shape, output_gradient, weight, input_gradient)
}

/// Like [`depthwise_conv2d_input_gradient`], with given instructions.
///
/// # Errors
///
/// As for [`depthwise_conv2d_input_gradient`].
pub fn depthwise_conv2d_input_gradient_with(
    level: Level,
    shape: &DepthwiseShape,
    output_gradient: &[f32],
    weight: &[f32],
    input_gradient: &mut [f32],
) -> Result<(), KernelError> {
    shape.check()?;
    check_length("weight", weight, shape.weight_len())?;
    check_length("output gradient", output_gradient, shape.output_len())?;
    check_length("input gradient", input_gradient, shape.input_len())?;
    level.run(AllSums(Sums {
        plan: &Plan::input_gradient(shape),
        n: shape.n,
        source: Values::F32(output_gradient).source(),
        weights: pack(shape, weight).as_slice(),
        integers: None,
        finish: Finish::NOTHING,
        target: ValuesMut::F32(input_gradient).target(),
    }));
    Ok(())
}

/// Computes the complete gradient of a depthwise convolution's weights from its input and the gradient of its output. Its
/// bits do not depend on the number of threads.
///
/// # Errors
///
/// [`KernelError`] if the shape is invalid or a slice has the wrong length.
pub fn depthwise_conv2d_weight_gradient(
    shape: &DepthwiseShape,
    input: &[f32],
    output_gradient: &[f32],
    weight_gradient: &mut [f32],
) -> Result<(), KernelError> {
    let level = Level::current();
    depthwise_conv2d_weight_gradient_with(level, shape, input, output_gradient, weight_gradient)
}

/// Like [`depthwise_conv2d_weight_gradient`], with given instructions.
///
/// # Errors
///
/// As for [`depthwise_conv2d_weight_gradient`].
pub fn depthwise_conv2d_weight_gradient_with(
    level: Level,
    shape: &DepthwiseShape,
    input: &[f32],
    output_gradient: &[f32],
    weight_gradient: &mut [f32],
) -> Result<(), KernelError> {
    shape.check()?;
    check_length("input", input, shape.input_len())?;
    check_length("output gradient", output_gradient, shape.output_len())?;
    check_length("weight gradient", weight_gradient, shape.weight_len())?;
    level.run(WeightGradient(
        shape,
        [input, output_gradient],
        weight_gradient,
    ));
    Ok(())
}

/// A convolution, or the gradient of its input.
struct AllSums<'a>(Sums<'a>);

impl Operation for AllSums<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        self.0.run(simd);
    }
}

/// From the input and the gradient of the output.
struct WeightGradient<'a>(&'a DepthwiseShape, [&'a [f32]; 2], &'a mut [f32]);

impl Operation for WeightGradient<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        weight_gradient::weight_gradient(simd, self.0, self.1, self.2);
    }
}
