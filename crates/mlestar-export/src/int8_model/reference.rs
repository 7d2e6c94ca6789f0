//! Evaluates a quantised model by the definition of its numbers, in plain loops.

use std::ops::{AddAssign, Mul};

use mlestar_kernels::activate;
use mlestar_model::View;
use rayon::prelude::*;

use super::{BufferScale, QuantizedModel};
use crate::error::ExportError;
use crate::graph::{BufferShape, Convolution, Factors, Layer, Linear};

impl QuantizedModel {
    /// Logits, row-major `[n, classes]`, of `n` images of interleaved RGB bytes (`[n, height, width, 3]`),
    /// computed by the definition with exact integer sums. Slow: for checking others.
    ///
    /// # Errors
    ///
    /// [`ExportError::PixelCount`] if the length of `pixels` does not match `n` images.
    pub fn reference_logits(&self, pixels: &[u8], n: usize) -> Result<Vec<f32>, ExportError> {
        let model = &self.model;
        let image = model.height() * model.width() * 3;
        if Some(pixels.len()) != image.checked_mul(n) {
            return Err(ExportError::PixelCount {
                n_pictures: n,
                height: model.height(),
                width: model.width(),
                expected: image.saturating_mul(n),
                found: pixels.len(),
            });
        }
        let images = pixels.par_chunks_exact(image);
        Ok(images.flat_map_iter(|pixels| self.image(pixels)).collect())
    }

    /// The logits of one image: the mean over its views.
    fn image(&self, pixels: &[u8]) -> Vec<f32> {
        let mut logits = self.view(pixels, None);
        for view in self.model.views().others() {
            for (sum, logit) in logits.iter_mut().zip(self.view(pixels, Some(view))) {
                *sum += logit;
            }
        }
        let share = 1.0 / self.model.views().count() as f32;
        logits.iter_mut().for_each(|logit| *logit *= share);
        logits
    }

    fn view(&self, pixels: &[u8], view: Option<View>) -> Vec<f32> {
        let mut buffers = vec![self.written(0, self.normalized(pixels, view))];
        let shapes = self.model.buffer_shapes();
        for (index, operation) in self.model.operations().iter().enumerate() {
            let (input, output) = (shapes[operation.input], shapes[index + 1]);
            let values = &buffers[operation.input];
            let mut result = match &operation.layer {
                Layer::Convolution(layer) => self.sums(index, values, layer, input, output),
                Layer::Linear(layer) => {
                    self.sums(index, values, &layer.as_convolution(), input, output)
                }
                &Layer::MaxPool {
                    window,
                    stride,
                    padding,
                    ..
                } => max_pool(values, [window, stride, padding], input, output),
                Layer::GlobalAveragePool => {
                    let channels = values.chunks_exact(input[1] * input[2]);
                    channels.map(|channel| mean(channel) as f32).collect()
                }
                Layer::Attention(attention) => scaled(values, &attention.factors, input),
            };
            if let Some(added) = operation.layer.added_buffer() {
                for (value, added) in result.iter_mut().zip(&buffers[added]) {
                    *value += added;
                }
            }
            if let Some(activation) = operation.layer.activation() {
                activate(activation.kernel(), &mut result);
            }
            buffers.push(self.written(index + 1, result));
        }
        buffers.pop().unwrap_or_default()
    }

    /// The values of a buffer as its readers see them.
    fn written(&self, buffer: usize, mut values: Vec<f32>) -> Vec<f32> {
        if let Some(scale) = self.buffers[buffer] {
            values
                .iter_mut()
                .for_each(|value| *value = scale.round(*value));
        }
        values
    }

    /// The normalised image `[channel, row, column]`.
    fn normalized(&self, pixels: &[u8], view: Option<View>) -> Vec<f32> {
        let (height, width) = (self.model.height(), self.model.width());
        let rows = view.map_or_else(|| (0..height).collect(), |view| view.rows(height));
        let columns = view.map_or_else(|| (0..width).collect(), |view| view.columns(width));
        let mut values = Vec::with_capacity(pixels.len());
        for channel in 0..3 {
            for row in &rows {
                let line = columns.iter().map(|column| {
                    let pixel = pixels[(row * width + column) * 3 + channel];
                    self.model.normalization().apply(pixel, channel)
                });
                values.extend(line);
            }
        }
        values
    }

    /// The sums of a layer with its bias.
    fn sums(
        &self,
        index: usize,
        values: &[f32],
        layer: &Convolution,
        input: BufferShape,
        output: BufferShape,
    ) -> Vec<f32> {
        let pixels = output[1] * output[2];
        let buffer = self.model.operations()[index].input;
        let (Some(weights), Some(steps), Some(scale)) = (
            &self.layers[index],
            &self.bias_steps[index],
            self.buffers[buffer],
        ) else {
            let values: Vec<f64> = values.iter().map(|&value| value.into()).collect();
            let weights: Vec<f64> = layer.weight.iter().map(|&weight| weight.into()).collect();
            let sums = convolve(&values, &weights, layer, input, output);
            let of_channel =
                |(index, sum): (usize, f64)| (sum + f64::from(layer.bias[index / pixels])) as f32;
            return sums.into_iter().enumerate().map(of_channel).collect();
        };
        let values: Vec<i32> = values.iter().map(|&value| steps_of(value, scale)).collect();
        let integers: Vec<i32> = weights.values.iter().map(|&weight| weight.into()).collect();
        let sums = convolve(&values, &integers, layer, input, output);
        let of_channel = |(index, sum): (usize, i32)| {
            let channel = index / pixels;
            (sum + steps[channel]) as f32 * (scale.scale * weights.scales[channel])
        };
        sums.into_iter().enumerate().map(of_channel).collect()
    }
}

/// `q - zero_point` of a value of a quantised buffer.
fn steps_of(value: f32, scale: BufferScale) -> i32 {
    i32::from(scale.quantize(value)) - i32::from(scale.zero_point)
}

fn mean(values: &[f32]) -> f64 {
    values.iter().map(|&value| f64::from(value)).sum::<f64>() / values.len() as f64
}

/// The map `[channel, row, column]` with each value multiplied by its factor.
fn scaled(values: &[f32], factors: &Factors, input: BufferShape) -> Vec<f32> {
    let pixels = input[1] * input[2];
    // The sum of each channel or pixel, whose sigmoid is the factor.
    let (sums, is_of_channels) = match factors {
        Factors::OfChannels { reduce, expand } => {
            let means: Vec<f64> = values.chunks_exact(pixels).map(mean).collect();
            let mut reduced = linear(reduce, &means);
            reduced.iter_mut().for_each(|value| *value = value.max(0.0));
            (linear(expand, &reduced), true)
        }
        Factors::OfPixels(layer) => {
            let of_pixel = |pixel: usize| values.iter().skip(pixel).step_by(pixels).copied();
            let means = (0..pixels).map(|pixel| mean(&of_pixel(pixel).collect::<Vec<_>>()));
            let largest = |pixel| f64::from(of_pixel(pixel).fold(f32::NEG_INFINITY, f32::max));
            let maps: Vec<f64> = means.chain((0..pixels).map(largest)).collect();
            let weights: Vec<f64> = layer.weight.iter().map(|&weight| weight.into()).collect();
            let [_, height, width] = input;
            let sums = convolve(
                &maps,
                &weights,
                layer,
                [2, height, width],
                [1, height, width],
            );
            let bias = f64::from(layer.bias[0]);
            (sums.into_iter().map(|sum| sum + bias).collect(), false)
        }
    };
    let scaled = values.iter().enumerate().map(|(index, &value)| {
        let sum = match is_of_channels {
            true => sums[index / pixels],
            false => sums[index % pixels],
        };
        (f64::from(value) / (1.0 + (-sum).exp())) as f32
    });
    scaled.collect()
}

fn linear(layer: &Linear, inputs: &[f64]) -> Vec<f64> {
    let rows = layer.weight.chunks_exact(inputs.len()).zip(&layer.bias);
    let output = |(row, &bias): (&[f32], &f32)| {
        let products = row.iter().zip(inputs);
        let sum: f64 = products.map(|(&weight, x)| f64::from(weight) * x).sum();
        sum + f64::from(bias)
    };
    rows.map(output).collect()
}

/// The sums of products `[channel, row, column]`, without bias. Padding has no products: it stands for 0.
fn convolve<T: Copy + Default + Mul<Output = T> + AddAssign>(
    values: &[T],
    weights: &[T],
    layer: &Convolution,
    [_, height, width]: BufferShape,
    [channels, rows, columns]: BufferShape,
) -> Vec<T> {
    let [_, depth, kernel_height, kernel_width] = layer.weight_shape;
    let per_group = channels / layer.groups;
    let inside = |at: usize, tap: usize, axis: usize, side: usize| {
        let at = (at * layer.stride[axis] + tap).checked_sub(layer.padding.start[axis]);
        at.filter(|&at| at < side)
    };
    let mut sums = Vec::with_capacity(channels * rows * columns);
    for channel in 0..channels {
        let first = channel / per_group * depth;
        for row in 0..rows {
            for column in 0..columns {
                let mut sum = T::default();
                for tap_y in 0..kernel_height {
                    let Some(y) = inside(row, tap_y, 0, height) else {
                        continue;
                    };
                    for tap_x in 0..kernel_width {
                        let Some(x) = inside(column, tap_x, 1, width) else {
                            continue;
                        };
                        for plane in 0..depth {
                            let value = values[((first + plane) * height + y) * width + x];
                            let filter = (channel * depth + plane) * kernel_height + tap_y;
                            sum += value * weights[filter * kernel_width + tap_x];
                        }
                    }
                }
                sums.push(sum);
            }
        }
    }
    sums
}

fn max_pool(
    values: &[f32],
    [window, stride, padding]: [usize; 3],
    [channels, height, width]: BufferShape,
    [_, rows, columns]: BufferShape,
) -> Vec<f32> {
    let covered = |at: usize, side: usize| {
        let begin = at * stride;
        begin.saturating_sub(padding)..(begin + window - padding).min(side)
    };
    let mut largest = Vec::with_capacity(channels * rows * columns);
    for plane in values.chunks_exact(height * width) {
        for row in 0..rows {
            for column in 0..columns {
                let lines = covered(row, height).map(|y| &plane[y * width..][..width]);
                let all = lines.flat_map(|line| &line[covered(column, width)]);
                largest.push(all.copied().fold(f32::NEG_INFINITY, f32::max));
            }
        }
    }
    largest
}
