//! 2-D convolution of channels-last images, with both gradients.
//!
//! Inputs and outputs are `[n, height, width, channels]`, weights
//! `[channels_out, channels_in, kernel_height, kernel_width]` as in PyTorch and Burn.

mod blocked;
mod direct;
mod packed;
mod patch;
mod shape;
#[cfg(test)]
mod tests;
mod weight_gradient;
mod weights;
mod winograd;

pub use packed::{PackedConv2d, QuantizedWeights};
pub use shape::Conv2dShape;

use crate::{
    Activation, KernelError, Level,
    error::check_length,
    matrix::{Pairs, Single, rows::Finish},
    simd::{Operation, Simd},
    values::{Values, ValuesMut},
};
use blocked::Blocked;
use direct::Direct;
use packed::{Arguments, Packed};
use weights::WeightView;
use winograd::{Kernel, Winograd};

/// The algorithm of a convolution.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Algorithm {
    /// A product of gathered rows with every multiplication.
    Direct,
    /// Winograd's F(4x4, 3x3): a quarter of the multiplications, for 3x3 kernels of stride 1 and
    /// channel counts that are multiples of 16. Rounding errors are about four times as large.
    Winograd,
    /// Winograd with the factors of its products rounded to bfloat16 and sums in `f32`. If
    /// [`Level::has_bfloat16`], it takes half to three quarters of the time (AMD EPYC) or about the same (Intel
    /// Xeon, whose matrix unit it does not use). Otherwise it is slower.
    WinogradBfloat16,
    /// Every multiplication, with factors rounded to bfloat16 and sums in `f32`, for channel counts that are
    /// multiples of 16. It is the fastest algorithm if [`Level::has_matrix_unit`], and slow otherwise. It
    /// computes groups of 32 images: fewer take as long. Padding is skipped, so its zeros times an infinity do
    /// not become NaN here.
    DirectBfloat16,
}

/// The precision of the factors of a convolution's products.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Precision {
    /// Not rounded: 24 bits.
    #[default]
    F32,
    /// bfloat16, 8 bits, if that takes less time: with [`Algorithm::DirectBfloat16`] or
    /// [`Algorithm::WinogradBfloat16`].
    Bfloat16,
}

impl Algorithm {
    /// Every algorithm.
    pub const ALL: [Self; 4] = [
        Self::Direct,
        Self::Winograd,
        Self::WinogradBfloat16,
        Self::DirectBfloat16,
    ];

    /// The faster algorithm in `f32` for a shape (see `docs/kernels.md`).
    #[must_use]
    pub fn fastest(shape: &Conv2dShape) -> Self {
        Self::fastest_in(Level::current(), shape, Precision::F32)
    }

    /// The fastest algorithm of this precision for a shape, with the instructions of `level`.
    #[must_use]
    pub fn fastest_in(level: Level, shape: &Conv2dShape, precision: Precision) -> Self {
        let bfloat16 = precision == Precision::Bfloat16;
        let pays = blocked::applies(shape) && shape.n >= blocked::LEAST_PICTURES;
        if bfloat16 && level.has_matrix_unit() && pays {
            return Self::DirectBfloat16;
        }
        match (winograd::applies(shape), bfloat16) {
            (false, _) => Self::Direct,
            (true, false) => Self::Winograd,
            (true, true) => Self::WinogradBfloat16,
        }
    }

    /// Whether this algorithm can compute this convolution.
    #[must_use]
    pub fn applies(self, shape: &Conv2dShape) -> bool {
        match self {
            Self::Direct => true,
            Self::Winograd | Self::WinogradBfloat16 => winograd::applies(shape),
            Self::DirectBfloat16 => blocked::applies(shape),
        }
    }
}

/// The operations after the sums of a convolution, in the same pass: `f(sum + bias + residual)`.
#[derive(Debug, Clone, Copy, Default)]
pub struct Epilogue<'a> {
    /// One value per output channel.
    pub bias: Option<&'a [f32]>,
    /// Added to the output; has the same shape.
    pub residual: Option<Values<'a>>,
    /// The function `f`.
    pub activation: Option<Activation>,
}

impl<'a> Epilogue<'a> {
    pub(crate) fn finish(&self) -> Finish<'a> {
        Finish {
            integers: None,
            bias: self.bias,
            residual: self.residual.map(|residual| residual.source()),
            activation: self.activation,
        }
    }
}

/// Computes the complete output of a convolution.
///
/// # Errors
///
/// [`KernelError`] if the shape is invalid or a slice has the wrong length.
///
/// ```
/// use mlestar_kernels::{Conv2dShape, Epilogue, conv2d};
///
/// // One image of 2x2 pixels and 1 channel; a 1x1 kernel that doubles and negates.
/// let shape = Conv2dShape::square(1, [2, 2], [1, 2], 1, 1, 0);
/// let mut output = [0.0; 8];
/// conv2d(&shape, &[1.0, 2.0, 3.0, 4.0], &[2.0, -1.0], Epilogue::default(), &mut output)?;
/// assert_eq!(output, [2.0, -1.0, 4.0, -2.0, 6.0, -3.0, 8.0, -4.0]);
///
/// let error = conv2d(&shape, &[1.0], &[2.0, -1.0], Epilogue::default(), &mut output);
/// let message = error.unwrap_err().to_string();
/// assert_eq!(message, "input holds 1 values, but its shape needs 4");
/// # Ok::<(), mlestar_kernels::KernelError>(())
/// ```
pub fn conv2d(
    shape: &Conv2dShape,
    input: &[f32],
    weight: &[f32],
    epilogue: Epilogue,
    output: &mut [f32],
) -> Result<(), KernelError> {
    let algorithm = Algorithm::fastest(shape);
    conv2d_with(
        Level::current(),
        algorithm,
        shape,
        input,
        weight,
        epilogue,
        output,
    )
}

/// Like [`conv2d`], with given instructions and algorithm.
///
/// # Errors
///
/// As for [`conv2d`]; also if the algorithm does not apply to the shape.
pub fn conv2d_with(
    level: Level,
    algorithm: Algorithm,
    shape: &Conv2dShape,
    input: &[f32],
    weight: &[f32],
    epilogue: Epilogue,
    output: &mut [f32],
) -> Result<(), KernelError> {
    check_algorithm(shape, algorithm)?;
    check_length("weight", weight, shape.weight_len())?;
    let arguments = [Values::F32(input), Values::F32(output)];
    check_arguments(shape, arguments, epilogue)?;
    let arguments = Arguments {
        n: shape.n,
        input: Values::F32(input),
        weight: WeightView::forward(shape, weight),
        finish: epilogue.finish(),
        output: ValuesMut::F32(output),
    };
    Packed::new(level, shape, algorithm, weight).run(level, arguments);
    Ok(())
}

/// Computes the complete gradient of a convolution's input from that of its output.
///
/// # Errors
///
/// [`KernelError`] if the shape is invalid or a slice has the wrong length.
pub fn conv2d_input_gradient(
    shape: &Conv2dShape,
    output_gradient: &[f32],
    weight: &[f32],
    input_gradient: &mut [f32],
) -> Result<(), KernelError> {
    let algorithm = Algorithm::fastest(shape);
    conv2d_input_gradient_with(
        Level::current(),
        algorithm,
        shape,
        output_gradient,
        weight,
        input_gradient,
    )
}

/// Like [`conv2d_input_gradient`], with given instructions and algorithm.
///
/// # Errors
///
/// As for [`conv2d_input_gradient`]; also if the algorithm does not apply to the shape.
pub fn conv2d_input_gradient_with(
    level: Level,
    algorithm: Algorithm,
    shape: &Conv2dShape,
    output_gradient: &[f32],
    weight: &[f32],
    input_gradient: &mut [f32],
) -> Result<(), KernelError> {
    check_algorithm(shape, algorithm)?;
    check_length("weight", weight, shape.weight_len())?;
    check_length("output gradient", output_gradient, shape.output_len())?;
    check_length("input gradient", input_gradient, shape.input_len())?;
    let gradient = InputGradient {
        shape,
        algorithm,
        output_gradient,
        weight,
        input_gradient,
    };
    match algorithm {
        Algorithm::Direct | Algorithm::Winograd => level.run(gradient),
        Algorithm::WinogradBfloat16 | Algorithm::DirectBfloat16 => {
            level.run_with_bfloat16(RoundedInputGradient(gradient));
        }
    }
    Ok(())
}

/// Computes the complete gradient of a convolution's weights from its input and the gradient of its output. Its
/// bits do not depend on the number of threads.
///
/// # Errors
///
/// [`KernelError`] if the shape is invalid or a slice has the wrong length.
pub fn conv2d_weight_gradient(
    shape: &Conv2dShape,
    input: &[f32],
    output_gradient: &[f32],
    weight_gradient: &mut [f32],
) -> Result<(), KernelError> {
    let algorithm = Algorithm::fastest(shape);
    conv2d_weight_gradient_with(
        Level::current(),
        algorithm,
        shape,
        input,
        output_gradient,
        weight_gradient,
    )
}

/// Like [`conv2d_weight_gradient`], with given instructions and algorithm.
///
/// # Errors
///
/// As for [`conv2d_weight_gradient`]; also if the algorithm does not apply to the shape.
pub fn conv2d_weight_gradient_with(
    level: Level,
    algorithm: Algorithm,
    shape: &Conv2dShape,
    input: &[f32],
    output_gradient: &[f32],
    weight_gradient: &mut [f32],
) -> Result<(), KernelError> {
    check_algorithm(shape, algorithm)?;
    check_length("input", input, shape.input_len())?;
    check_length("output gradient", output_gradient, shape.output_len())?;
    check_length("weight gradient", weight_gradient, shape.weight_len())?;
    let from = [input, output_gradient];
    // On a thread of the pool: from another one, each of the many parallel loops would wait to be taken up.
    rayon::scope(|_| match algorithm {
        Algorithm::Direct => level.run(WeightGradient(shape, from, weight_gradient)),
        Algorithm::Winograd => level.run(WinogradWeightGradient(shape, from, weight_gradient)),
        Algorithm::WinogradBfloat16 | Algorithm::DirectBfloat16 => {
            let gradient = RoundedWeightGradient(shape, algorithm, from, weight_gradient);
            level.run_with_bfloat16(gradient);
        }
    });
    let winograd = matches!(algorithm, Algorithm::Winograd | Algorithm::WinogradBfloat16);
    // An infinity or NaN has spread over all taps of a channel pair; computed tap by tap, it stays in its
    // own taps.
    if winograd && !weight_gradient.iter().all(|value| value.is_finite()) {
        level.run(WeightGradient(shape, from, weight_gradient));
    }
    Ok(())
}

fn check_algorithm(shape: &Conv2dShape, algorithm: Algorithm) -> Result<(), KernelError> {
    shape.check()?;
    match algorithm.applies(shape) {
        true => Ok(()),
        false if algorithm == Algorithm::DirectBfloat16 => Err(KernelError::Shape {
            what: "the direct algorithm in bfloat16",
            reason: format!("needs channels in multiples of 16, not {shape:?}"),
        }),
        false => Err(KernelError::Shape {
            what: "Winograd's algorithm",
            reason: format!(
                "needs 3x3 kernels of stride and dilation 1, padding up to 2 and channels in \
                 multiples of 16, not {shape:?}"
            ),
        }),
    }
}

/// Checks the lengths of input and output, and of the epilogue's values.
fn check_arguments(
    shape: &Conv2dShape,
    [input, output]: [Values; 2],
    epilogue: Epilogue,
) -> Result<(), KernelError> {
    input.check_length("input", shape.input_len())?;
    output.check_length("output", shape.output_len())?;
    if let Some(bias) = epilogue.bias {
        check_length("bias", bias, shape.channels_out)?;
    }
    if let Some(residual) = epilogue.residual {
        residual.check_length("residual", shape.output_len())?;
    }
    Ok(())
}

struct InputGradient<'a> {
    shape: &'a Conv2dShape,
    algorithm: Algorithm,
    output_gradient: &'a [f32],
    weight: &'a [f32],
    input_gradient: &'a mut [f32],
}

/// In `f32`.
impl Operation for InputGradient<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let weights = WeightView::backward(self.shape, self.weight);
        let (shape, from) = (self.shape, self.output_gradient);
        let (n, nothing) = (shape.n, Finish::NOTHING);
        let to = ValuesMut::F32(self.input_gradient).target();
        let kernel = Kernel {
            weights,
            turned: true,
        };
        match self.algorithm {
            Algorithm::Winograd => {
                let winograd = Winograd::<Single>::input_gradient(simd, shape, weights);
                winograd.run(simd, n, from, kernel, nothing, to);
            }
            _ => {
                let direct = Direct::<Single>::input_gradient(simd, shape, weights);
                direct.run(simd, n, from, nothing, to);
            }
        }
    }
}

/// With factors of bfloat16.
struct RoundedInputGradient<'a>(InputGradient<'a>);

impl Operation for RoundedInputGradient<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let gradient = self.0;
        let weights = WeightView::backward(gradient.shape, gradient.weight);
        let (shape, from) = (gradient.shape, gradient.output_gradient);
        let (n, nothing) = (shape.n, Finish::NOTHING);
        let to = ValuesMut::F32(gradient.input_gradient).target();
        let kernel = Kernel {
            weights,
            turned: true,
        };
        match gradient.algorithm {
            Algorithm::DirectBfloat16 => {
                Blocked::input_gradient(simd, shape, weights).run(simd, n, from, nothing, to);
            }
            _ => {
                let winograd = Winograd::<Pairs>::input_gradient(simd, shape, weights);
                winograd.run(simd, n, from, kernel, nothing, to);
            }
        }
    }
}

/// Directly, from the input and the gradient of the output.
struct WeightGradient<'a>(&'a Conv2dShape, [&'a [f32]; 2], &'a mut [f32]);

impl Operation for WeightGradient<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self(shape, [input, output_gradient], to) = self;
        weight_gradient::weight_gradient(simd, shape, input, output_gradient, to);
    }
}

/// The same with Winograd's algorithm in `f32`.
struct WinogradWeightGradient<'a>(&'a Conv2dShape, [&'a [f32]; 2], &'a mut [f32]);

impl Operation for WinogradWeightGradient<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        winograd::weight_gradient::<S, Single>(simd, self.0, self.1, self.2);
    }
}

/// The same with factors of bfloat16.
struct RoundedWeightGradient<'a>(&'a Conv2dShape, Algorithm, [&'a [f32]; 2], &'a mut [f32]);

impl Operation for RoundedWeightGradient<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self(shape, algorithm, from, to) = self;
        match algorithm {
            Algorithm::DirectBfloat16 => blocked::weight_gradient(simd, shape, from, to),
            _ => winograd::weight_gradient::<S, Pairs>(simd, shape, from, to),
        }
    }
}
