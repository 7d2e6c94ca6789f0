//! Convolutions and linear layers on `[picture, y, x, channel]` buffers.

use mlestar_kernels::{Algorithm, Conv2dShape, Epilogue, PackedConv2d};
use mlestar_model::Activation;

use crate::graph::{BufferShape, Convolution, Linear};

/// Side of the tiles that Winograd's algorithm computes.
const TILE: usize = 4;
/// Minimum number of tiles of an image for Winograd's algorithm.
///
/// Its weights take four times the memory of the kernel's, and a single image reads them all for its own tiles.
/// With one tile that costs more than it saves: with its 256 channels of 4x4 pixels computed this way, the
/// reference network took 2.4 ms instead of 1.4 ms for one image, but reached 1200 instead of 1010 images per
/// second in batches of 128 (two cores of an AMD EPYC with AVX2, medians of at least 8 batches and 300 single
/// images, 2026-11-24). Choosing by batch size would give both speeds, but an image would then get different
/// bits alone than in a batch.
const LEAST_TILES: usize = 4;

/// A convolution with its weights in the order of use.
pub(super) struct PreparedConvolution {
    packed: PackedConv2d,
    bias: Vec<f32>,
    activation: Option<Activation>,
}

impl PreparedConvolution {
    /// `convolution` must have passed the graph's checks for images of `input`'s shape.
    pub(super) fn new(convolution: &Convolution, input: BufferShape) -> Self {
        let [channels_out, channels_in, height, width] = convolution.weight_shape;
        let shape = Conv2dShape {
            n: 1,
            input: [input[1], input[2]],
            channels_in,
            channels_out,
            kernel: [height, width],
            stride: convolution.stride,
            padding: convolution.padding,
            dilation: [1; 2],
        };
        #[allow(clippy::expect_used)] // The graph's checks are at least as strict as the kernels'.
        let packed = PackedConv2d::new(shape, algorithm(&shape), &convolution.weight)
            .expect("the graph is checked");
        Self {
            packed,
            bias: convolution.bias.clone(),
            activation: convolution.activation,
        }
    }

    /// Bytes of the weights as laid out, including the bias.
    pub(super) fn bytes(&self) -> usize {
        let shape = self.packed.shape();
        let [height, width] = shape.kernel;
        let weights = shape.channels_out * shape.channels_in * height * width;
        // Winograd's weights take four times the memory of the kernel's, and both are kept.
        let copies = match algorithm(shape) {
            Algorithm::Winograd => 5,
            _ => 1,
        };
        (copies * weights + self.bias.len()) * size_of::<f32>()
    }

    /// A linear layer is a 1x1 convolution of one pixel.
    pub(super) fn linear(linear: &Linear) -> Self {
        let [outputs, inputs] = linear.weight_shape;
        let convolution = Convolution {
            weight_shape: [outputs, inputs, 1, 1],
            groups: 1,
            weight: linear.weight.clone(),
            bias: linear.bias.clone(),
            stride: [1, 1],
            padding: [0, 0],
            add_from: None,
            activation: None,
        };
        Self::new(&convolution, [inputs, 1, 1])
    }

    /// Computes `output` (all of it) for the `n` images in `input`; `add` has `output`'s shape.
    ///
    /// # Panics
    ///
    /// If the length of a slice does not match `n` images.
    pub(super) fn run(&self, n: usize, input: &[f32], add: Option<&[f32]>, output: &mut [f32]) {
        let epilogue = Epilogue {
            bias: Some(&self.bias),
            residual: add,
            activation: self.activation.map(Activation::kernel),
        };
        #[allow(clippy::expect_used)] // The executor cuts its slices to the shapes' lengths.
        self.packed
            .run(n, input, epilogue, output)
            .expect("slices of the shapes' lengths");
    }
}

/// The faster algorithm for the number of tiles of an image.
fn algorithm(shape: &Conv2dShape) -> Algorithm {
    let [height, width] = shape.output();
    match height.div_ceil(TILE) * width.div_ceil(TILE) >= LEAST_TILES {
        true => Algorithm::fastest(shape),
        false => Algorithm::Direct,
    }
}
