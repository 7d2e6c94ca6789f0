//! Depthwise convolutions on `[picture, y, x, channel]` buffers.

use mlestar_kernels::{
    DepthwiseShape, Epilogue, Level, PackedDepthwise, QuantizedWeights, Values, ValuesMut,
};
use mlestar_model::Activation;

use crate::graph::{BufferShape, Convolution};

/// A convolution in which every channel has a kernel of its own, with its weights in the order of use.
pub(super) struct PreparedDepthwise {
    packed: PackedDepthwise,
    bias: Vec<f32>,
    activation: Option<Activation>,
}

impl PreparedDepthwise {
    /// With weights in `f32`. `convolution` must have passed the graph's checks for images of `input`'s shape.
    pub(super) fn new(convolution: &Convolution, input: BufferShape) -> Self {
        #[allow(clippy::expect_used)] // The graph's checks are at least as strict as the kernels'.
        let packed = PackedDepthwise::new(shape(convolution, input), &convolution.weight)
            .expect("the graph is checked");
        Self {
            packed,
            bias: convolution.bias.clone(),
            activation: convolution.activation,
        }
    }

    /// With factors of 8 bits.
    pub(super) fn in_int8(
        convolution: &Convolution,
        input: BufferShape,
        weights: QuantizedWeights,
    ) -> Self {
        let shape = shape(convolution, input);
        #[allow(clippy::expect_used)]
        // The checks of `QuantizedModel` are at least as strict as the kernels'.
        let packed = PackedDepthwise::quantized(shape, weights, Level::current())
            .expect("the quantised model is checked");
        Self {
            packed,
            // Part of the integer sums.
            bias: Vec::new(),
            activation: convolution.activation,
        }
    }

    /// Bytes of the weights as laid out, including the bias.
    pub(super) fn bytes(&self) -> usize {
        self.packed.bytes() + self.bias.len() * size_of::<f32>()
    }

    /// Computes `output` (all of it) for the `n` images in `input`; `add` has `output`'s shape. Values may have any
    /// form, but weights of 8 bits take bytes.
    ///
    /// # Panics
    ///
    /// If the length of a slice does not match `n` images, or weights of 8 bits get other values than bytes.
    pub(super) fn run(&self, n: usize, input: Values, add: Option<Values>, output: ValuesMut) {
        let epilogue = Epilogue {
            bias: (!self.bias.is_empty()).then_some(&self.bias),
            residual: add,
            activation: self.activation.map(Activation::kernel),
        };
        #[allow(clippy::expect_used)]
        // The executor cuts its slices to the shapes' lengths, and what an int8 layer reads is bytes.
        self.packed
            .run_values(n, input, epilogue, output)
            .expect("slices of the shapes' lengths");
    }
}

fn shape(convolution: &Convolution, input: BufferShape) -> DepthwiseShape {
    let [_, _, height, width] = convolution.weight_shape;
    DepthwiseShape {
        n: 1,
        input: [input[1], input[2]],
        channels: input[0],
        kernel: [height, width],
        stride: convolution.stride,
        padding: convolution.padding,
    }
}
