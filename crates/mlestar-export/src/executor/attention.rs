//! Attention layers on `[picture, y, x, channel]` buffers, always in `f32`.

use mlestar_kernels::{activate, global_average_pool};
use mlestar_model::Activation;
use rayon::prelude::*;

use super::convolution::PreparedConvolution;
use crate::graph::{AttentionLayer, BufferShape, Factors};

/// Values in one task.
const PIECE: usize = 1 << 13;
/// Sums of a pixel's channels that are computed side by side.
const LANES: usize = 8;

/// An attention layer with its weights in the order of use.
pub(super) struct PreparedAttention {
    channels: usize,
    /// Pixels of an image.
    pixels: usize,
    factors: PreparedFactors,
    activation: Option<Activation>,
}

enum PreparedFactors {
    OfChannels {
        reduce: Box<PreparedConvolution>,
        reduced: usize,
        expand: Box<PreparedConvolution>,
    },
    OfPixels(Box<PreparedConvolution>),
}

impl PreparedAttention {
    /// `attention` must have passed the graph's checks for images of `input`'s shape.
    pub(super) fn new(attention: &AttentionLayer, input: BufferShape) -> Self {
        let [channels, height, width] = input;
        Self {
            channels,
            pixels: height * width,
            factors: match &attention.factors {
                Factors::OfChannels { reduce, expand } => PreparedFactors::OfChannels {
                    reduced: reduce.bias.len(),
                    reduce: Box::new(PreparedConvolution::linear(reduce)),
                    expand: Box::new(PreparedConvolution::linear(expand)),
                },
                Factors::OfPixels(convolution) => {
                    let prepared = PreparedConvolution::new(convolution, [2, height, width]);
                    PreparedFactors::OfPixels(Box::new(prepared))
                }
            },
            activation: attention.activation,
        }
    }

    /// Bytes of the weights as laid out.
    pub(super) fn bytes(&self) -> usize {
        match &self.factors {
            PreparedFactors::OfChannels { reduce, expand, .. } => reduce.bytes() + expand.bytes(),
            PreparedFactors::OfPixels(convolution) => convolution.bytes(),
        }
    }

    /// Computes `output` (all of it) for the `n` images in `input`; both and `add` have the same shape. `scratch` is
    /// memory for the factors.
    pub(super) fn run(
        &self,
        n: usize,
        input: &[f32],
        add: Option<&[f32]>,
        output: &mut [f32],
        scratch: &mut Vec<f32>,
    ) {
        let factors = match &self.factors {
            PreparedFactors::OfChannels {
                reduce,
                reduced,
                expand,
            } => self.of_channels(n, input, [reduce, expand], *reduced, scratch),
            PreparedFactors::OfPixels(convolution) => {
                self.of_pixels(n, input, convolution, scratch)
            }
        };
        let channels = self.channels;
        let in_piece = self.pixels_in_piece();
        let pieces = output.par_chunks_mut(in_piece * channels).enumerate();
        pieces.for_each(|(index, output)| {
            let first = index * in_piece;
            let from = first * channels;
            let input = input[from..].chunks_exact(channels);
            let pixels = output.chunks_exact_mut(channels).zip(input).enumerate();
            for (index, (output, input)) in pixels {
                let pixel = first + index;
                match self.factors {
                    PreparedFactors::OfChannels { .. } => {
                        let factors = &factors[pixel / self.pixels * channels..][..channels];
                        for ((output, value), factor) in output.iter_mut().zip(input).zip(factors) {
                            *output = value * factor;
                        }
                    }
                    PreparedFactors::OfPixels(_) => {
                        let factor = factors[pixel];
                        for (output, value) in output.iter_mut().zip(input) {
                            *output = value * factor;
                        }
                    }
                }
            }
            if let Some(add) = add {
                for (output, added) in output.iter_mut().zip(&add[from..]) {
                    *output += added;
                }
            }
            if let Some(activation) = self.activation {
                activate(activation.kernel(), output);
            }
        });
    }

    fn pixels_in_piece(&self) -> usize {
        (PIECE / self.channels).max(1)
    }

    /// `[picture, channel]`.
    fn of_channels<'a>(
        &self,
        n: usize,
        input: &[f32],
        [reduce, expand]: [&PreparedConvolution; 2],
        reduced: usize,
        scratch: &'a mut Vec<f32>,
    ) -> &'a [f32] {
        let (channels, reduced) = (n * self.channels, n * reduced);
        let [means, middle, factors] = cut(scratch, [channels, reduced, channels]);
        #[allow(clippy::expect_used)] // Cut to the sizes of a shape that was checked.
        global_average_pool(input, self.pixels, self.channels, means)
            .expect("slices of the shapes' lengths");
        reduce.run(n, means, None, middle);
        activate(Activation::Relu.kernel(), middle);
        expand.run(n, middle, None, factors);
        factors
            .iter_mut()
            .for_each(|value| *value = sigmoid(*value));
        factors
    }

    /// `[picture, y, x]`.
    fn of_pixels<'a>(
        &self,
        n: usize,
        input: &[f32],
        convolution: &PreparedConvolution,
        scratch: &'a mut Vec<f32>,
    ) -> &'a [f32] {
        let pixels = n * self.pixels;
        let [maps, factors, _] = cut(scratch, [2 * pixels, pixels, 0]);
        let in_piece = self.pixels_in_piece();
        let pieces = maps
            .par_chunks_mut(2 * in_piece)
            .zip(input.par_chunks(in_piece * self.channels));
        pieces.for_each(|(maps, input)| {
            let pixels = input.chunks_exact(self.channels);
            for (maps, values) in maps.chunks_exact_mut(2).zip(pixels) {
                maps.copy_from_slice(&mean_and_largest(values));
            }
        });
        convolution.run(n, maps, None, factors);
        let pieces = factors.par_chunks_mut(PIECE);
        pieces.for_each(|values| values.iter_mut().for_each(|value| *value = sigmoid(*value)));
        factors
    }
}

/// The beginning of `memory`, which grows if necessary, cut to these lengths.
fn cut(memory: &mut Vec<f32>, lengths: [usize; 3]) -> [&mut [f32]; 3] {
    memory.resize(memory.len().max(lengths.iter().sum()), 0.0);
    let (first, rest) = memory.split_at_mut(lengths[0]);
    let (second, rest) = rest.split_at_mut(lengths[1]);
    [first, second, &mut rest[..lengths[2]]]
}

/// The mean and the largest of a pixel's channels.
fn mean_and_largest(values: &[f32]) -> [f32; 2] {
    let (mut sums, mut largest) = ([0.0_f32; LANES], [f32::NEG_INFINITY; LANES]);
    for values in values.chunks(LANES) {
        for ((sum, largest), value) in sums.iter_mut().zip(&mut largest).zip(values) {
            *sum += value;
            *largest = largest.max(*value);
        }
    }
    let largest = largest.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    [sums.iter().sum::<f32>() / values.len() as f32, largest]
}

fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + (-x).exp())
}
