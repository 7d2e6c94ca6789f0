//! Convolutions whose weights are packed once.

use super::{
    Algorithm, Conv2dShape, Epilogue,
    blocked::Blocked,
    check_algorithm, check_arguments,
    direct::Direct,
    weights::WeightView,
    winograd::{Kernel, Winograd},
};
use crate::{
    KernelError, Level,
    error::check_length,
    matrix::{
        Pairs, Quads, Single,
        rows::{Finish, Integers},
        tile_width,
    },
    simd::{Operation, Simd},
    values::{Values, ValuesMut},
};

/// A convolution whose weights are packed once for many calls.
#[derive(Debug)]
pub struct PackedConv2d {
    shape: Conv2dShape,
    level: Level,
    /// For Winograd's tiles whose results are not finite; empty for other algorithms.
    weight: Vec<f32>,
    packed: Packed,
}

/// The weights of a convolution of bytes.
#[derive(Debug, Clone, Copy)]
pub struct QuantizedWeights<'a> {
    /// `[channels_out, channels_in, kernel_height, kernel_width]`.
    pub values: &'a [i8],
    /// Value of a step of the sums for each output channel: the product of the scales of input and weights.
    pub steps: &'a [f32],
    /// Added to the sums, in steps, for each output channel.
    pub bias: &'a [i32],
    /// The byte that stands for 0 in the input, and so in its padding.
    pub zero_point: u8,
}

/// Maximum number of products in a sum of bytes, and maximum magnitude of a bias: so the sum of a product's
/// largest value, 255 * 128, and the bias fit an `i32`.
const MOST_PRODUCTS: usize = 1 << 15;
const LARGEST_BIAS: u32 = 1 << 29;

/// Packed weights by the numbers of their products, each of which is compiled only for the instructions that multiply
/// them.
#[derive(Debug)]
pub(super) enum Packed {
    Exact(Exact),
    Rounded(Rounded),
    Bytes(Box<PackedBytes>),
}

/// Products of `f32`.
#[derive(Debug)]
pub(super) enum Exact {
    Direct(Direct<Single>),
    Winograd(Winograd<Single>),
}

/// Products of bfloat16.
#[derive(Debug)]
pub(super) enum Rounded {
    Winograd(Winograd<Pairs>),
    Blocked(Blocked),
    Gathered(Direct<Pairs>),
}

#[derive(Debug)]
pub(super) struct PackedBytes {
    direct: Direct<Quads>,
    /// The bits of the integers with which sums start, for all channels of all panels.
    start: Vec<f32>,
    steps: Vec<f32>,
}

impl Packed {
    pub(super) fn new(
        level: Level,
        shape: &Conv2dShape,
        algorithm: Algorithm,
        weight: &[f32],
    ) -> Self {
        let weights = WeightView::forward(shape, weight);
        match algorithm {
            Algorithm::Direct | Algorithm::Winograd => {
                Self::Exact(level.run(PackExact(shape, algorithm, weights)))
            }
            Algorithm::WinogradBfloat16 => {
                Self::Rounded(level.run_with_bfloat16(PackRounded(shape, Way::Winograd, weights)))
            }
            Algorithm::DirectBfloat16 => {
                Self::Rounded(level.run_with_bfloat16(PackRounded(shape, Way::Blocked, weights)))
            }
        }
    }

    fn takes(&self, input: Values) -> bool {
        matches!(
            (self, input),
            (Self::Exact(_), Values::F32(_))
                | (Self::Rounded(_), Values::Bfloat16(_))
                | (
                    Self::Rounded(Rounded::Winograd(_) | Rounded::Blocked(_)),
                    Values::F32(_)
                )
                | (Self::Bytes(_), Values::Bytes(..))
        )
    }

    /// Computes the complete output. The form of `input` is one that it takes.
    pub(super) fn run(&self, level: Level, arguments: Arguments) {
        match self {
            Self::Exact(packed) => level.run(RunExact(packed, arguments)),
            Self::Rounded(packed) => level.run_with_bfloat16(RunRounded(packed, arguments)),
            Self::Bytes(packed) => level.run_with_bytes(RunBytes(packed, arguments)),
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
        Ok(Self {
            shape,
            level,
            weight: match algorithm {
                Algorithm::Winograd | Algorithm::WinogradBfloat16 => weight.to_vec(),
                Algorithm::Direct | Algorithm::DirectBfloat16 => Vec::new(),
            },
            packed: Packed::new(level, &shape, algorithm, weight),
        })
    }

    /// Packs `weight`, rounded to bfloat16, for inputs that are bfloat16. Every multiplication is made, as with
    /// [`Algorithm::Direct`], and sums are `f32`.
    ///
    /// # Errors
    ///
    /// [`KernelError`] if the shape is invalid or `weight` has the wrong length.
    pub fn bfloat16(shape: Conv2dShape, weight: &[f32], level: Level) -> Result<Self, KernelError> {
        shape.check()?;
        check_length("weight", weight, shape.weight_len())?;
        let pack = PackRounded(&shape, Way::Gathered, WeightView::forward(&shape, weight));
        Ok(Self {
            shape,
            level,
            weight: Vec::new(),
            packed: Packed::Rounded(level.run_with_bfloat16(pack)),
        })
    }

    /// Packs the weights of a convolution of bytes, whose sums are integers without rounding:
    /// `(sum((input - zero_point) * weight) + bias) * step`. The epilogue follows in `f32`. Without an activation or
    /// with a ReLU, every [`Level`] gives the same bits.
    ///
    /// ```
    /// use mlestar_kernels::{
    ///     ByteScale, Conv2dShape, Epilogue, Level, PackedConv2d, QuantizedWeights, Values, ValuesMut,
    /// };
    ///
    /// // One pixel of two channels, a 1x1 kernel, inputs in steps of 0.5 from 10 on.
    /// let shape = Conv2dShape::square(1, [1, 1], [2, 1], 1, 1, 0);
    /// let scale = ByteScale { scale: 0.5, zero_point: 10 };
    /// let weights = QuantizedWeights { values: &[3, -1], steps: &[0.5 * 0.25], bias: &[4], zero_point: 10 };
    /// let packed = PackedConv2d::quantized(shape, weights, Level::current())?;
    /// let mut output = [0.0];
    /// let input = Values::Bytes(&[12, 13], scale);
    /// packed.run_values(1, input, Epilogue::default(), ValuesMut::F32(&mut output))?;
    /// assert_eq!(output[0], (2.0 * 3.0 - 3.0 + 4.0) * 0.125);
    /// # Ok::<(), mlestar_kernels::KernelError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`KernelError`] if the shape is invalid, a slice has the wrong length, a sum has more than 32,768 products,
    /// or a bias is beyond 2^29 steps.
    pub fn quantized(
        shape: Conv2dShape,
        weights: QuantizedWeights,
        level: Level,
    ) -> Result<Self, KernelError> {
        shape.check()?;
        check_length("weight", weights.values, shape.weight_len())?;
        check_length("steps", weights.steps, shape.channels_out)?;
        check_length("bias", weights.bias, shape.channels_out)?;
        let products = shape.channels_in * shape.taps();
        if products > MOST_PRODUCTS {
            return Err(KernelError::Shape {
                what: "a convolution of bytes",
                reason: format!("{products} products in a sum, above {MOST_PRODUCTS}"),
            });
        }
        if let Some(bias) = weights
            .bias
            .iter()
            .find(|bias| bias.unsigned_abs() > LARGEST_BIAS)
        {
            return Err(KernelError::Shape {
                what: "a convolution of bytes",
                reason: format!("a bias of {bias} steps is beyond {LARGEST_BIAS}"),
            });
        }
        let packed = level.run_with_bytes(PackQuads(&shape, weights));
        Ok(Self {
            shape,
            level,
            weight: Vec::new(),
            packed: Packed::Bytes(Box::new(packed)),
        })
    }

    /// The shape for which the weights were packed.
    #[must_use]
    pub fn shape(&self) -> &Conv2dShape {
        &self.shape
    }

    /// Whether [`run_values`](Self::run_values) takes an input of this form.
    #[must_use]
    pub fn takes(&self, input: Values) -> bool {
        self.packed.takes(input)
    }

    /// Bytes of the weights as packed.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let packed = match &self.packed {
            Packed::Exact(Exact::Direct(direct)) => direct.bytes(),
            Packed::Exact(Exact::Winograd(winograd)) => winograd.bytes(),
            Packed::Rounded(Rounded::Gathered(direct)) => direct.bytes(),
            Packed::Rounded(Rounded::Winograd(winograd)) => winograd.bytes(),
            Packed::Rounded(Rounded::Blocked(blocked)) => blocked.bytes(),
            Packed::Bytes(bytes) => {
                bytes.direct.bytes() + (bytes.start.len() + bytes.steps.len()) * size_of::<f32>()
            }
        };
        packed + size_of_val(&self.weight[..])
    }

    /// Computes the complete output of `n` images.
    ///
    /// # Errors
    ///
    /// [`KernelError`] as for [`PackedConv2d::run_values`].
    pub fn run(
        &self,
        n: usize,
        input: &[f32],
        epilogue: Epilogue,
        output: &mut [f32],
    ) -> Result<(), KernelError> {
        self.run_values(n, Values::F32(input), epilogue, ValuesMut::F32(output))
    }

    /// Computes the complete output of `n` images, from and to values of any form. The input must be `f32`, bfloat16
    /// or bytes as the weights were packed for; [`Algorithm::WinogradBfloat16`] and [`Algorithm::DirectBfloat16`] take
    /// `f32` and bfloat16.
    ///
    /// # Errors
    ///
    /// [`KernelError::Length`] if a slice does not have the length of its shape, [`KernelError::Shape`] if the
    /// weights were packed for another form of input.
    pub fn run_values(
        &self,
        n: usize,
        input: Values,
        epilogue: Epilogue,
        output: ValuesMut,
    ) -> Result<(), KernelError> {
        let shape = Conv2dShape { n, ..self.shape };
        shape.check()?;
        check_arguments(&shape, [input, output.as_values()], epilogue)?;
        if !self.packed.takes(input) {
            return Err(KernelError::Shape {
                what: "input",
                reason: "its values have another form than those that the weights were packed for"
                    .to_owned(),
            });
        }
        let arguments = Arguments {
            n,
            input,
            weight: WeightView::forward(&shape, &self.weight),
            finish: epilogue.finish(),
            output,
        };
        self.packed.run(self.level, arguments);
        Ok(())
    }
}

/// Packs weights for products of `f32`.
pub(super) struct PackExact<'a>(pub &'a Conv2dShape, pub Algorithm, pub WeightView<'a>);

impl Operation for PackExact<'_> {
    type Output = Exact;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> Exact {
        let Self(shape, algorithm, weights) = self;
        match algorithm {
            Algorithm::Winograd => Exact::Winograd(Winograd::forward(simd, shape, weights)),
            _ => Exact::Direct(Direct::forward(simd, shape, weights, 0.0)),
        }
    }
}

/// Packs weights for products of bfloat16.
pub(super) struct PackRounded<'a>(pub &'a Conv2dShape, pub Way, pub WeightView<'a>);

/// The ways to make such products.
#[derive(Debug, Clone, Copy)]
pub(super) enum Way {
    Winograd,
    Blocked,
    Gathered,
}

impl Operation for PackRounded<'_> {
    type Output = Rounded;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> Rounded {
        let Self(shape, way, weights) = self;
        match way {
            Way::Winograd => Rounded::Winograd(Winograd::forward(simd, shape, weights)),
            Way::Blocked => Rounded::Blocked(Blocked::forward(simd, shape, weights)),
            Way::Gathered => Rounded::Gathered(Direct::forward(simd, shape, weights, 0)),
        }
    }
}

/// Packs weights of bytes.
pub(super) struct PackQuads<'a>(pub &'a Conv2dShape, pub QuantizedWeights<'a>);

impl Operation for PackQuads<'_> {
    type Output = PackedBytes;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> PackedBytes {
        let Self(shape, weights) = self;
        let view = WeightView::forward(shape, weights.values);
        let mut start = Vec::with_capacity(shape.channels_out.next_multiple_of(tile_width::<S>()));
        let per_channel = weights
            .values
            .chunks_exact(shape.channels_in * shape.taps());
        for (values, bias) in per_channel.zip(weights.bias) {
            // What the zero point adds to each product is left out of the sums, and taken back here.
            let sum: i32 = values.iter().map(|&value| i32::from(value)).sum();
            let start_of_sum = bias - sum * i32::from(weights.zero_point);
            start.push(f32::from_bits(start_of_sum as u32));
        }
        start.resize(start.capacity(), 0.0);
        PackedBytes {
            direct: Direct::forward(simd, shape, view, weights.zero_point),
            start,
            steps: weights.steps.to_vec(),
        }
    }
}

/// The arguments of a convolution.
pub(super) struct Arguments<'a> {
    pub n: usize,
    pub input: Values<'a>,
    /// The unpacked weights, for Winograd's tiles whose results are not finite.
    pub weight: WeightView<'a>,
    pub finish: Finish<'a>,
    pub output: ValuesMut<'a>,
}

impl<'a> Arguments<'a> {
    fn kernel(&self) -> Kernel<'a> {
        Kernel {
            weights: self.weight,
            turned: false,
        }
    }
}

pub(super) struct RunExact<'a>(pub &'a Exact, pub Arguments<'a>);

impl Operation for RunExact<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self(packed, mut arguments) = self;
        let (n, finish, kernel) = (arguments.n, arguments.finish, arguments.kernel());
        let to = arguments.output.target();
        // No other form reaches this.
        let Values::F32(input) = arguments.input else {
            return;
        };
        match packed {
            Exact::Direct(direct) => direct.run(simd, n, input, finish, to),
            Exact::Winograd(winograd) => winograd.run(simd, n, input, kernel, finish, to),
        }
    }
}

pub(super) struct RunRounded<'a>(pub &'a Rounded, pub Arguments<'a>);

impl Operation for RunRounded<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self(packed, mut arguments) = self;
        let (n, finish, kernel) = (arguments.n, arguments.finish, arguments.kernel());
        let to = arguments.output.target();
        match (packed, arguments.input) {
            (Rounded::Gathered(direct), Values::Bfloat16(input)) => {
                direct.run(simd, n, input, finish, to);
            }
            (Rounded::Winograd(winograd), Values::F32(input)) => {
                winograd.run(simd, n, input, kernel, finish, to);
            }
            (Rounded::Winograd(winograd), Values::Bfloat16(input)) => {
                winograd.run(simd, n, input, kernel, finish, to);
            }
            (Rounded::Blocked(blocked), Values::F32(input)) => {
                blocked.run(simd, n, input, finish, to);
            }
            (Rounded::Blocked(blocked), Values::Bfloat16(input)) => {
                blocked.run(simd, n, input, finish, to);
            }
            // No other form reaches this.
            _ => {}
        }
    }
}

pub(super) struct RunBytes<'a>(pub &'a PackedBytes, pub Arguments<'a>);

impl Operation for RunBytes<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self(packed, mut arguments) = self;
        let to = arguments.output.target();
        let integers = Some(Integers {
            start: &packed.start,
            steps: &packed.steps,
        });
        let finish = Finish {
            integers,
            ..arguments.finish
        };
        // No other form reaches this.
        if let Values::Bytes(input, _) = arguments.input {
            packed.direct.run(simd, arguments.n, input, finish, to);
        }
    }
}
