//! Convolutions in groups on `[picture, y, x, channel]` buffers: depthwise ones by their kernel, others in plain loops.

use std::ops::Range;

use mlestar_kernels::{DepthwiseShape, Epilogue, PackedDepthwise, Values, activate};
use mlestar_model::{Activation, Padding};
use rayon::prelude::*;

use crate::graph::{BufferShape, Convolution};

/// A convolution in groups of channels.
// Every use of it is in a box.
#[allow(clippy::large_enum_variant)]
pub(super) enum GroupedConvolution {
    Depthwise(Depthwise),
    Loops(Loops),
}

/// Every channel has a kernel of its own.
pub(super) struct Depthwise {
    packed: Box<PackedDepthwise>,
    bias: Vec<f32>,
    activation: Option<Activation>,
}

/// Any other number of groups.
pub(super) struct Loops {
    /// Channels, height and width.
    input: BufferShape,
    /// Width of the output.
    width: usize,
    channels_out: usize,
    groups: usize,
    kernel: [usize; 2],
    stride: [usize; 2],
    padding: Padding,
    /// `[tap][channel of a group's input][channel of the output]`.
    weights: Vec<f32>,
    bias: Vec<f32>,
    activation: Option<Activation>,
}

impl GroupedConvolution {
    /// `convolution` must have passed the graph's checks for images of `input`'s shape.
    pub(super) fn new(convolution: &Convolution, input: BufferShape) -> Self {
        match convolution.is_depthwise() {
            true => Self::Depthwise(Depthwise::new(convolution, input)),
            false => Self::Loops(Loops::new(convolution, input)),
        }
    }

    /// Bytes of weights and bias.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Depthwise(own) => own.packed.bytes() + own.bias.len() * size_of::<f32>(),
            Self::Loops(own) => (own.weights.len() + own.bias.len()) * size_of::<f32>(),
        }
    }

    /// Computes `output` (all of it) for the images in `input`; `add` has `output`'s shape.
    pub(super) fn run(&self, input: &[f32], add: Option<&[f32]>, output: &mut [f32]) {
        match self {
            Self::Depthwise(own) => own.run(input, add, output),
            Self::Loops(own) => own.run(input, add, output),
        }
    }
}

impl Depthwise {
    fn new(convolution: &Convolution, input: BufferShape) -> Self {
        let [_, _, height, width] = convolution.weight_shape;
        let shape = DepthwiseShape {
            n: 1,
            input: [input[1], input[2]],
            channels: input[0],
            kernel: [height, width],
            stride: convolution.stride,
            padding: convolution.padding,
        };
        #[allow(clippy::expect_used)] // The graph's checks are at least as strict as the kernels'.
        let packed =
            PackedDepthwise::new(shape, &convolution.weight).expect("the graph is checked");
        Self {
            packed: Box::new(packed),
            bias: convolution.bias.clone(),
            activation: convolution.activation,
        }
    }

    fn run(&self, input: &[f32], add: Option<&[f32]>, output: &mut [f32]) {
        let epilogue = Epilogue {
            bias: Some(&self.bias),
            residual: add.map(Values::F32),
            activation: self.activation.map(Activation::kernel),
        };
        let shape = self.packed.shape();
        let n = input.len() / (shape.input[0] * shape.input[1] * shape.channels);
        #[allow(clippy::expect_used)] // The executor cuts its slices to the shapes' lengths.
        self.packed
            .run(n, input, epilogue, output)
            .expect("slices of the shapes' lengths");
    }
}

impl Loops {
    fn new(convolution: &Convolution, input: BufferShape) -> Self {
        let [channels_out, channels_in, height, width] = convolution.weight_shape;
        let (padding, stride) = (convolution.padding, convolution.stride);
        let taps = height * width;
        let mut weights = vec![0.0; convolution.weight.len()];
        for (index, weight) in convolution.weight.iter().enumerate() {
            let (filter, tap) = (index / taps, index % taps);
            let (out, channel) = (filter / channels_in, filter % channels_in);
            weights[(tap * channels_in + channel) * channels_out + out] = *weight;
        }
        Self {
            input,
            width: (input[2] + padding.start[1] + padding.end[1] - width) / stride[1] + 1,
            channels_out,
            groups: convolution.groups,
            kernel: [height, width],
            stride,
            padding,
            weights,
            bias: convolution.bias.clone(),
            activation: convolution.activation,
        }
    }

    /// Computes `output` (all of it) for the images in `input`; `add` has `output`'s shape.
    fn run(&self, input: &[f32], add: Option<&[f32]>, output: &mut [f32]) {
        let picture: usize = self.input.iter().product();
        let pictures = input.len() / picture;
        let line = self.width * self.channels_out;
        let height = output.len() / (pictures * line).max(1);
        let lines = output.par_chunks_exact_mut(line).enumerate();
        lines.for_each(|(index, line)| {
            let picture = &input[index / height * picture..][..picture];
            for (x, sums) in line.chunks_exact_mut(self.channels_out).enumerate() {
                self.pixel(picture, [index % height, x], sums);
            }
            if let Some(add) = add {
                let from = index * line.len();
                for (value, added) in line.iter_mut().zip(&add[from..]) {
                    *value += added;
                }
            }
            if let Some(activation) = self.activation {
                activate(activation.kernel(), line);
            }
        });
    }

    /// Sets `sums` to all channels of one pixel of the output.
    fn pixel(&self, picture: &[f32], at: [usize; 2], sums: &mut [f32]) {
        sums.copy_from_slice(&self.bias);
        let [channels, _, width] = self.input;
        let channels_in = channels / self.groups;
        let group = self.channels_out / self.groups;
        for y in self.taps(0, at[0]) {
            for x in self.taps(1, at[1]) {
                let row = at[0] * self.stride[0] + y - self.padding.start[0];
                let column = at[1] * self.stride[1] + x - self.padding.start[1];
                let pixel = &picture[(row * width + column) * channels..][..channels];
                let tap = y * self.kernel[1] + x;
                let filters = channels_in * self.channels_out;
                let weights = &self.weights[tap * filters..][..filters];
                for (channel, weights) in weights.chunks_exact(self.channels_out).enumerate() {
                    let inputs = pixel.iter().skip(channel).step_by(channels_in);
                    let of_groups = sums
                        .chunks_exact_mut(group)
                        .zip(weights.chunks_exact(group));
                    for ((sums, weights), input) in of_groups.zip(inputs) {
                        for (sum, weight) in sums.iter_mut().zip(weights) {
                            *sum += weight * input;
                        }
                    }
                }
            }
        }
    }

    /// The taps along `axis` that are inside the input for the output at `index`.
    fn taps(&self, axis: usize, index: usize) -> Range<usize> {
        let begin = index * self.stride[axis];
        let padding = self.padding.start[axis];
        let end = (self.input[1 + axis] + padding).saturating_sub(begin);
        padding.saturating_sub(begin)..self.kernel[axis].min(end)
    }
}
