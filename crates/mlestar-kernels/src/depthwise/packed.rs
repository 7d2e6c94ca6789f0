//! Depthwise convolutions whose weights are packed once.

use super::{
    AllSums, DepthwiseShape,
    plan::{BLOCK, Plan},
    sums::{Integers, Sums},
};
use crate::{
    ByteScale, Epilogue, KernelError, Level, QuantizedWeights,
    error::check_length,
    memory::Buffer,
    values::{Values, ValuesMut},
};

/// A depthwise convolution whose weights are packed once for many calls.
#[derive(Debug)]
pub struct PackedDepthwise {
    shape: DepthwiseShape,
    level: Level,
    plan: Plan,
    /// `[block][tap][BLOCK]`, as `f32` also if they are bytes.
    weights: Buffer,
    bytes: Option<Bytes>,
}

#[derive(Debug)]
struct Bytes {
    integers: Integers,
    zero_point: u8,
}

/// Maximum number of products in a sum of bytes: so any partial sum is below 2^24, where `f32` has all whole numbers.
const MOST_PRODUCTS: usize = 512;

/// Maximum magnitude of a bias, as for other convolutions of bytes.
const LARGEST_BIAS: u32 = 1 << 29;

/// The part of a bias that is added last is a multiple of this, so it has no more than 24 bits.
const LOW_STEPS: i32 = 1 << 6;

/// Weights `[channel][tap]` as `[block][tap][BLOCK]`, with zeros after the last channel.
pub(super) fn pack<T: Copy + Into<f32>>(shape: &DepthwiseShape, weights: &[T]) -> Buffer {
    let taps = shape.taps();
    let mut packed = Buffer::zeros(shape.channels.div_ceil(BLOCK) * taps * BLOCK);
    let values = packed.as_mut_slice();
    for (channel, kernel) in weights.chunks_exact(taps).enumerate() {
        let first = channel / BLOCK * taps * BLOCK + channel % BLOCK;
        for (tap, &weight) in kernel.iter().enumerate() {
            values[first + tap * BLOCK] = weight.into();
        }
    }
    packed
}

impl PackedDepthwise {
    /// Packs `weight`, `[channels, 1, kernel_height, kernel_width]`, for images of `shape` (of any number) with the
    /// current [`Level`].
    ///
    /// # Errors
    ///
    /// [`KernelError`] if the shape is invalid or `weight` has the wrong length.
    pub fn new(shape: DepthwiseShape, weight: &[f32]) -> Result<Self, KernelError> {
        Self::with_level(shape, weight, Level::current())
    }

    /// Like [`PackedDepthwise::new`], with the instructions of `level`.
    ///
    /// # Errors
    ///
    /// As for [`PackedDepthwise::new`].
    pub fn with_level(
        shape: DepthwiseShape,
        weight: &[f32],
        level: Level,
    ) -> Result<Self, KernelError> {
        shape.check()?;
        check_length("weight", weight, shape.weight_len())?;
        Ok(Self {
            shape,
            level,
            plan: Plan::forward(&shape),
            weights: pack(&shape, weight),
            bytes: None,
        })
    }

    /// Packs weights of bytes for inputs of bytes. Sums are exact: `(sum((input - zero_point) * weight) + bias) * step`.
    /// The epilogue follows in `f32`. Except with SiLU, every [`Level`] gives the same bits.
    ///
    /// ```
    /// use mlestar_kernels::{
    ///     ByteScale, DepthwiseShape, Epilogue, Level, PackedDepthwise, QuantizedWeights, Values, ValuesMut,
    /// };
    ///
    /// // One pixel of two channels, 1x1 kernels, inputs in steps of 0.5 from 10 on.
    /// let shape = DepthwiseShape::square(1, [1, 1], 2, 1, 1, 0);
    /// let scale = ByteScale { scale: 0.5, zero_point: 10 };
    /// let steps = [0.5 * 0.25; 2];
    /// let weights = QuantizedWeights { values: &[3, -1], steps: &steps, bias: &[4, 0], zero_point: 10 };
    /// let packed = PackedDepthwise::quantized(shape, weights, Level::current())?;
    /// let mut output = [0.0; 2];
    /// let input = Values::Bytes(&[12, 13], scale);
    /// packed.run_values(1, input, Epilogue::default(), ValuesMut::F32(&mut output))?;
    /// assert_eq!(output, [(2.0 * 3.0 + 4.0) * 0.125, -3.0 * 0.125]);
    /// # Ok::<(), mlestar_kernels::KernelError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`KernelError`] if the shape is invalid, a slice has the wrong length, a kernel has more than 512 taps, or a
    /// bias is beyond 2^29 steps.
    pub fn quantized(
        shape: DepthwiseShape,
        weights: QuantizedWeights,
        level: Level,
    ) -> Result<Self, KernelError> {
        shape.check()?;
        check_length("weight", weights.values, shape.weight_len())?;
        check_length("steps", weights.steps, shape.channels)?;
        check_length("bias", weights.bias, shape.channels)?;
        let refuse = |reason: String| KernelError::Shape {
            what: "a depthwise convolution of bytes",
            reason,
        };
        let products = shape.taps();
        if products > MOST_PRODUCTS {
            let reason = format!("{products} products in a sum, above {MOST_PRODUCTS}");
            return Err(refuse(reason));
        }
        let too_large = |bias: &&i32| bias.unsigned_abs() > LARGEST_BIAS;
        if let Some(bias) = weights.bias.iter().find(too_large) {
            let reason = format!("a bias of {bias} steps is beyond {LARGEST_BIAS}");
            return Err(refuse(reason));
        }
        let padded = |values: &mut dyn Iterator<Item = f32>| {
            let mut values: Vec<f32> = values.collect();
            values.resize(values.len().next_multiple_of(BLOCK), 0.0);
            values
        };
        let bias = weights.bias.iter();
        let integers = Integers {
            low: padded(&mut bias.clone().map(|bias| (bias % LOW_STEPS) as f32)),
            high: padded(&mut bias.map(|bias| (bias - bias % LOW_STEPS) as f32)),
            steps: padded(&mut weights.steps.iter().copied()),
        };
        Ok(Self {
            shape,
            level,
            plan: Plan::forward(&shape),
            weights: pack(&shape, weights.values),
            bytes: Some(Bytes {
                integers,
                zero_point: weights.zero_point,
            }),
        })
    }

    /// The shape for which the weights were packed.
    #[must_use]
    pub fn shape(&self) -> &DepthwiseShape {
        &self.shape
    }

    /// Whether [`run_values`](Self::run_values) takes an input of this form.
    #[must_use]
    pub fn takes(&self, input: Values) -> bool {
        self.bytes.is_none() || matches!(input, Values::Bytes(..))
    }

    /// Bytes of the weights as packed.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let integers = self.bytes.as_ref().map_or(0, |bytes| {
            let integers = &bytes.integers;
            integers.low.len() + integers.high.len() + integers.steps.len()
        });
        (self.weights.as_slice().len() + integers) * size_of::<f32>()
    }

    /// Computes the complete output of `n` images.
    ///
    /// # Errors
    ///
    /// As for [`PackedDepthwise::run_values`].
    pub fn run(
        &self,
        n: usize,
        input: &[f32],
        epilogue: Epilogue,
        output: &mut [f32],
    ) -> Result<(), KernelError> {
        self.run_values(n, Values::F32(input), epilogue, ValuesMut::F32(output))
    }

    /// Computes the complete output of `n` images, from and to values of any form. Weights of bytes take an input of
    /// bytes; others take any. Sums are `f32`, or exact.
    ///
    /// # Errors
    ///
    /// [`KernelError::Length`] if a slice does not have the length of its shape, [`KernelError::Shape`] if the
    /// weights take no input of this form.
    pub fn run_values(
        &self,
        n: usize,
        input: Values,
        epilogue: Epilogue,
        mut output: ValuesMut,
    ) -> Result<(), KernelError> {
        let shape = DepthwiseShape { n, ..self.shape };
        shape.check()?;
        input.check_length("input", shape.input_len())?;
        output
            .as_values()
            .check_length("output", shape.output_len())?;
        if let Some(bias) = epilogue.bias {
            check_length("bias", bias, shape.channels)?;
        }
        if let Some(residual) = epilogue.residual {
            residual.check_length("residual", shape.output_len())?;
        }
        let input = match (&self.bytes, input) {
            (None, input) => input,
            (Some(bytes), Values::Bytes(values, _)) => {
                let zero_point = bytes.zero_point;
                // As whole numbers: the steps count the scale.
                let scale = ByteScale {
                    scale: 1.0,
                    zero_point,
                };
                Values::Bytes(values, scale)
            }
            (Some(_), _) => {
                return Err(KernelError::Shape {
                    what: "input",
                    reason: "its values are no bytes, for which the weights were packed".to_owned(),
                });
            }
        };
        self.level.run(AllSums(Sums {
            plan: &self.plan,
            n,
            source: input.source(),
            weights: self.weights.as_slice(),
            integers: self.bytes.as_ref().map(|bytes| &bytes.integers),
            finish: epilogue.finish(),
            target: output.target(),
        }));
        Ok(())
    }
}
