//! Convolutions and linear layers on `[picture, y, x, channel]` buffers.

use mlestar_kernels::{
    Algorithm, Conv2dShape, Epilogue, Level, PackedConv2d, Precision, QuantizedWeights, Values,
    ValuesMut,
};
use mlestar_model::Activation;

use super::forms::Form;
use crate::graph::{BufferShape, Convolution, Linear};

/// Side of the tiles that Winograd's algorithm computes.
const TILE: usize = 4;
/// Minimum number of tiles of an image for Winograd's algorithm.
///
/// Its weights take four times the memory of the kernel's, and a single image reads them all for its own tiles.
/// With one tile that costs more than it saves: with its 256 channels of 4x4 pixels computed this way, the
/// reference network took 2.4 ms instead of 1.4 ms for one image, but reached 1200 instead of 1010 images per
/// second in batches of 128 (two cores of an AMD EPYC with AVX2, medians of at least 8 batches and 300 single
/// images, 2026-11-24). So an executor for large batches chooses otherwise, once: if each call did, an image would get
/// different bits alone than in a batch.
const LEAST_TILES: usize = 4;

/// Images of a large batch: enough to share the reading of weights, and for the groups of a matrix unit.
const LARGE_BATCH: usize = 8;

/// A convolution with its weights in the order of use.
pub(super) struct PreparedConvolution {
    packed: PackedConv2d,
    bias: Vec<f32>,
    activation: Option<Activation>,
}

impl PreparedConvolution {
    /// In `f32`, for any batch. `convolution` must have passed the graph's checks for images of `input`'s shape.
    pub(super) fn new(convolution: &Convolution, input: BufferShape) -> Self {
        Self::in_f32(convolution, input, 1)
    }

    /// In `f32`, with the fastest algorithm for batches of this size.
    pub(super) fn in_f32(convolution: &Convolution, input: BufferShape, batch: usize) -> Self {
        let shape = shape(convolution, input);
        let algorithm = match is_winograds(&shape, batch) {
            true => Algorithm::fastest(&shape),
            false => Algorithm::Direct,
        };
        #[allow(clippy::expect_used)] // The graph's checks are at least as strict as the kernels'.
        let packed =
            PackedConv2d::new(shape, algorithm, &convolution.weight).expect("the graph is checked");
        Self::with(packed, convolution)
    }

    /// With factors of bfloat16, if an algorithm takes input of this form and is faster.
    pub(super) fn in_bf16(
        convolution: &Convolution,
        input: BufferShape,
        form: Form,
        batch: usize,
    ) -> Self {
        let level = Level::current();
        let shape = shape(convolution, input);
        let of_batch = Conv2dShape { n: batch, ..shape };
        let algorithm = Algorithm::fastest_in(level, &of_batch, Precision::Bfloat16);
        let packed = match algorithm {
            Algorithm::DirectBfloat16 => {
                PackedConv2d::with_level(shape, algorithm, &convolution.weight, level)
            }
            Algorithm::WinogradBfloat16 if is_winograds(&shape, batch) => {
                PackedConv2d::with_level(shape, algorithm, &convolution.weight, level)
            }
            _ if form == Form::Bfloat16 => {
                PackedConv2d::bfloat16(shape, &convolution.weight, level)
            }
            _ => return Self::in_f32(convolution, input, batch),
        };
        #[allow(clippy::expect_used)] // The graph's checks are at least as strict as the kernels'.
        let packed = packed.expect("the graph is checked");
        Self::with(packed, convolution)
    }

    /// With factors of 8 bits.
    pub(super) fn in_int8(
        convolution: &Convolution,
        input: BufferShape,
        weights: QuantizedWeights,
    ) -> Self {
        #[allow(clippy::expect_used)]
        // The checks of `QuantizedModel` are at least as strict as the kernels'.
        let packed = PackedConv2d::quantized(shape(convolution, input), weights, Level::current())
            .expect("the quantised model is checked");
        Self {
            packed,
            // Part of the integer sums.
            bias: Vec::new(),
            activation: convolution.activation,
        }
    }

    fn with(packed: PackedConv2d, convolution: &Convolution) -> Self {
        Self {
            packed,
            bias: convolution.bias.clone(),
            activation: convolution.activation,
        }
    }

    /// Bytes of the weights as laid out, including the bias.
    pub(super) fn bytes(&self) -> usize {
        self.packed.bytes() + self.bias.len() * size_of::<f32>()
    }

    /// Whether the input may have this form.
    pub(super) fn takes(&self, input: Values) -> bool {
        self.packed.takes(input)
    }

    /// A linear layer is a 1x1 convolution of one pixel.
    pub(super) fn linear(linear: &Linear) -> Self {
        let convolution = linear.as_convolution();
        Self::new(&convolution, [linear.weight_shape[1], 1, 1])
    }

    /// Computes `output` (all of it) for the `n` images in `input`; `add` has `output`'s shape.
    ///
    /// # Panics
    ///
    /// If the length of a slice does not match `n` images.
    pub(super) fn run(&self, n: usize, input: &[f32], add: Option<&[f32]>, output: &mut [f32]) {
        let add = add.map(Values::F32);
        self.run_values(n, Values::F32(input), add, ValuesMut::F32(output));
    }

    /// The same for values in any form; [`takes`](Self::takes) tells for the input.
    pub(super) fn run_values(
        &self,
        n: usize,
        input: Values,
        add: Option<Values>,
        output: ValuesMut,
    ) {
        let epilogue = Epilogue {
            bias: (!self.bias.is_empty()).then_some(&self.bias),
            residual: add,
            activation: self.activation.map(Activation::kernel),
        };
        #[allow(clippy::expect_used)] // The executor cuts its slices to the shapes' lengths.
        self.packed
            .run_values(n, input, epilogue, output)
            .expect("slices of the shapes' lengths");
    }
}

fn shape(convolution: &Convolution, input: BufferShape) -> Conv2dShape {
    let [channels_out, channels_in, height, width] = convolution.weight_shape;
    Conv2dShape {
        n: 1,
        input: [input[1], input[2]],
        channels_in,
        channels_out,
        kernel: [height, width],
        stride: convolution.stride,
        padding: convolution.padding,
        dilation: [1; 2],
    }
}

/// Whether a batch has enough tiles for Winograd's algorithm.
fn is_winograds(shape: &Conv2dShape, batch: usize) -> bool {
    let [height, width] = shape.output();
    batch >= LARGE_BATCH || height.div_ceil(TILE) * width.div_ceil(TILE) >= LEAST_TILES
}
