//! Convolutions in groups of several channels on `[picture, y, x, channel]` buffers, in plain loops.

use std::ops::Range;

use mlestar_kernels::activate;
use mlestar_model::{Activation, Padding};
use rayon::prelude::*;

use crate::graph::{BufferShape, Convolution};

/// A convolution in groups of channels, in `f32`.
pub(super) struct GroupedConvolution {
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

    /// Bytes of weights and bias.
    pub(super) fn bytes(&self) -> usize {
        (self.weights.len() + self.bias.len()) * size_of::<f32>()
    }

    /// Computes `output` (all of it) for the images in `input`; `add` has `output`'s shape.
    pub(super) fn run(&self, input: &[f32], add: Option<&[f32]>, output: &mut [f32]) {
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
