//! 2-D convolution of channels-last images, with both gradients.
//!
//! Inputs and outputs are `[n, height, width, channels]`, weights
//! `[channels_out, channels_in, kernel_height, kernel_width]` as in PyTorch and Burn.

mod blocked;
mod direct;
mod patch;
mod shape;
#[cfg(test)]
mod tests;
mod weight_gradient;
mod weights;
mod winograd;

pub use shape::Conv2dShape;

use crate::{
    Activation, KernelError, Level, activate,
    error::check_length,
    matrix::{Pairs, Single},
    simd::{Operation, Simd},
};
use blocked::Blocked;
use direct::Direct;
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

    fn run<O: Operation>(self, level: Level, operation: O) -> O::Output {
        match self {
            Self::Direct | Self::Winograd => level.run(operation),
            Self::WinogradBfloat16 | Self::DirectBfloat16 => level.run_with_bfloat16(operation),
        }
    }
}

/// The operations after the sums of a convolution: `f(sum + bias + residual)`. A ReLU runs in the same pass,
/// other activations in a separate one.
#[derive(Debug, Clone, Copy, Default)]
pub struct Epilogue<'a> {
    /// One value per output channel.
    pub bias: Option<&'a [f32]>,
    /// Added to the output; has the same shape.
    pub residual: Option<&'a [f32]>,
    /// The function `f`.
    pub activation: Option<Activation>,
}

impl Epilogue<'_> {
    fn is_relu(&self) -> bool {
        self.activation == Some(Activation::Relu)
    }

    /// The operation that is not fused with the sums.
    fn finish(&self, output: &mut [f32]) {
        if let Some(activation) = self.activation.filter(|_| !self.is_relu()) {
            activate(activation, output);
        }
    }
}

/// A convolution whose weights are packed once for many calls.
#[derive(Debug)]
pub struct PackedConv2d {
    shape: Conv2dShape,
    level: Level,
    /// For Winograd's tiles whose results are not finite; empty for other algorithms.
    weight: Vec<f32>,
    packed: Packed,
}

#[derive(Debug)]
enum Packed {
    Direct(Direct),
    Winograd(Winograd<Single>),
    WinogradBfloat16(Winograd<Pairs>),
    DirectBfloat16(Blocked),
}

impl Packed {
    fn algorithm(&self) -> Algorithm {
        match self {
            Self::Direct(_) => Algorithm::Direct,
            Self::Winograd(_) => Algorithm::Winograd,
            Self::WinogradBfloat16(_) => Algorithm::WinogradBfloat16,
            Self::DirectBfloat16(_) => Algorithm::DirectBfloat16,
        }
    }
}

impl PackedConv2d {
    /// Packs `weight` for images of `shape` (of any number) with the current [`Level`].
    ///
    /// # Errors
    ///
    /// [`KernelError`] if the shape is invalid, the algorithm does not apply to it, or `weight` has the wrong
    /// length.
    pub fn new(
        shape: Conv2dShape,
        algorithm: Algorithm,
        weight: &[f32],
    ) -> Result<Self, KernelError> {
        Self::with_level(shape, algorithm, weight, Level::current())
    }

    /// Like [`PackedConv2d::new`], with the instructions of `level`.
    ///
    /// # Errors
    ///
    /// As for [`PackedConv2d::new`].
    pub fn with_level(
        shape: Conv2dShape,
        algorithm: Algorithm,
        weight: &[f32],
        level: Level,
    ) -> Result<Self, KernelError> {
        check_algorithm(&shape, algorithm)?;
        check_length("weight", weight, shape.weight_len())?;
        let pack = Pack {
            shape: &shape,
            algorithm,
            weight,
        };
        let packed = algorithm.run(level, pack);
        Ok(Self {
            shape,
            level,
            weight: match packed {
                Packed::Direct(_) | Packed::DirectBfloat16(_) => Vec::new(),
                Packed::Winograd(_) | Packed::WinogradBfloat16(_) => weight.to_vec(),
            },
            packed,
        })
    }

    /// The shape for which the weights were packed.
    #[must_use]
    pub fn shape(&self) -> &Conv2dShape {
        &self.shape
    }

    /// Computes the complete output of `n` images.
    ///
    /// # Errors
    ///
    /// [`KernelError::Length`] if a slice does not have the length of its shape.
    pub fn run(
        &self,
        n: usize,
        input: &[f32],
        epilogue: Epilogue,
        output: &mut [f32],
    ) -> Result<(), KernelError> {
        let shape = Conv2dShape { n, ..self.shape };
        shape.check()?;
        check_arguments(&shape, input, epilogue, output)?;
        let run = Run {
            packed: &self.packed,
            n,
            input,
            weight: WeightView::forward(&shape, &self.weight),
            epilogue,
            output,
        };
        self.packed.algorithm().run(self.level, run);
        epilogue.finish(output);
        Ok(())
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
    check_arguments(shape, input, epilogue, output)?;
    let pack = Pack {
        shape,
        algorithm,
        weight,
    };
    let packed = algorithm.run(level, pack);
    let run = Run {
        packed: &packed,
        n: shape.n,
        input,
        weight: WeightView::forward(shape, weight),
        epilogue,
        output,
    };
    algorithm.run(level, run);
    epilogue.finish(output);
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
    algorithm.run(level, gradient);
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
    let gradient = WeightGradient {
        shape,
        algorithm,
        input,
        output_gradient,
        weight_gradient,
    };
    algorithm.run(level, gradient);
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

fn check_arguments(
    shape: &Conv2dShape,
    input: &[f32],
    epilogue: Epilogue,
    output: &[f32],
) -> Result<(), KernelError> {
    check_length("input", input, shape.input_len())?;
    check_length("output", output, shape.output_len())?;
    if let Some(bias) = epilogue.bias {
        check_length("bias", bias, shape.channels_out)?;
    }
    if let Some(residual) = epilogue.residual {
        check_length("residual", residual, shape.output_len())?;
    }
    Ok(())
}

struct Pack<'a> {
    shape: &'a Conv2dShape,
    algorithm: Algorithm,
    weight: &'a [f32],
}

impl Operation for Pack<'_> {
    type Output = Packed;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> Packed {
        let weights = WeightView::forward(self.shape, self.weight);
        match self.algorithm {
            Algorithm::Direct => Packed::Direct(Direct::forward(simd, self.shape, weights)),
            Algorithm::Winograd => Packed::Winograd(Winograd::forward(simd, self.shape, weights)),
            Algorithm::WinogradBfloat16 => {
                Packed::WinogradBfloat16(Winograd::forward(simd, self.shape, weights))
            }
            Algorithm::DirectBfloat16 => {
                Packed::DirectBfloat16(Blocked::forward(simd, self.shape, weights))
            }
        }
    }
}

struct Run<'a> {
    packed: &'a Packed,
    n: usize,
    input: &'a [f32],
    weight: WeightView<'a>,
    epilogue: Epilogue<'a>,
    output: &'a mut [f32],
}

impl Operation for Run<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self {
            n,
            input,
            epilogue,
            output,
            ..
        } = self;
        let kernel = Kernel {
            weights: self.weight,
            turned: false,
        };
        match self.packed {
            Packed::Direct(direct) => direct.run(simd, n, input, epilogue, output),
            Packed::Winograd(winograd) => winograd.run(simd, n, input, kernel, epilogue, output),
            Packed::WinogradBfloat16(winograd) => {
                winograd.run(simd, n, input, kernel, epilogue, output);
            }
            Packed::DirectBfloat16(blocked) => blocked.run(simd, n, input, epilogue, output),
        }
    }
}

struct InputGradient<'a> {
    shape: &'a Conv2dShape,
    algorithm: Algorithm,
    output_gradient: &'a [f32],
    weight: &'a [f32],
    input_gradient: &'a mut [f32],
}

impl Operation for InputGradient<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let weights = WeightView::backward(self.shape, self.weight);
        let (shape, from, to) = (self.shape, self.output_gradient, self.input_gradient);
        let (n, nothing) = (shape.n, Epilogue::default());
        let kernel = Kernel {
            weights,
            turned: true,
        };
        match self.algorithm {
            Algorithm::Direct => {
                Direct::input_gradient(simd, shape, weights).run(simd, n, from, nothing, to);
            }
            Algorithm::Winograd => {
                let winograd = Winograd::<Single>::input_gradient(simd, shape, weights);
                winograd.run(simd, n, from, kernel, nothing, to);
            }
            Algorithm::WinogradBfloat16 => {
                let winograd = Winograd::<Pairs>::input_gradient(simd, shape, weights);
                winograd.run(simd, n, from, kernel, nothing, to);
            }
            Algorithm::DirectBfloat16 => {
                Blocked::input_gradient(simd, shape, weights).run(simd, n, from, nothing, to);
            }
        }
    }
}

struct WeightGradient<'a> {
    shape: &'a Conv2dShape,
    algorithm: Algorithm,
    input: &'a [f32],
    output_gradient: &'a [f32],
    weight_gradient: &'a mut [f32],
}

impl Operation for WeightGradient<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self {
            shape,
            input,
            output_gradient,
            weight_gradient,
            ..
        } = self;
        let (from, to) = ([input, output_gradient], &mut *weight_gradient);
        match self.algorithm {
            Algorithm::Direct => {}
            Algorithm::DirectBfloat16 => return blocked::weight_gradient(simd, shape, from, to),
            Algorithm::Winograd => {
                winograd::weight_gradient::<S, Single>(simd, shape, from, to);
            }
            Algorithm::WinogradBfloat16 => {
                winograd::weight_gradient::<S, Pairs>(simd, shape, from, to);
            }
        }
        let winograd = self.algorithm != Algorithm::Direct;
        // An infinity or NaN has spread over all taps of a channel pair; computed tap by tap, it stays in its
        // own taps.
        if winograd && weight_gradient.iter().all(|value| value.is_finite()) {
            return;
        }
        weight_gradient::weight_gradient(simd, shape, input, output_gradient, weight_gradient);
    }
}
