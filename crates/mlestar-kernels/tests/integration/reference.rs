//! The definitions, computed in f64, and random inputs.

use mlestar_kernels::Conv2dShape;
use mlestar_random::Stream;

pub fn random(seed: u64, what: &str, len: usize) -> Vec<f32> {
    let mut stream = Stream::new(seed, what, 0, 0);
    (0..len).map(|_| stream.normal() as f32).collect()
}

/// Calls `visit(output pixel, input pixel, tap)` for every pair that a convolution connects; the input pixel is
/// `None` in the padding.
fn pairs(shape: &Conv2dShape, mut visit: impl FnMut(usize, Option<usize>, usize)) {
    let [height, width] = shape.output();
    for picture in 0..shape.n {
        for (y, x) in (0..height).flat_map(|y| (0..width).map(move |x| (y, x))) {
            for tap in 0..shape.kernel[0] * shape.kernel[1] {
                let at = |axis: usize, place: usize, tap: usize| {
                    (place * shape.stride[axis] + tap * shape.dilation[axis])
                        .checked_sub(shape.padding.start[axis])
                        .filter(|&at| at < shape.input[axis])
                };
                let from_y = at(0, y, tap / shape.kernel[1]);
                let from_x = at(1, x, tap % shape.kernel[1]);
                let output = (picture * height + y) * width + x;
                let row = from_y.map(|y| (picture * shape.input[0] + y) * shape.input[1]);
                visit(output, row.zip(from_x).map(|(row, x)| row + x), tap);
            }
        }
    }
}

fn weight_at(shape: &Conv2dShape, k: usize, c: usize, tap: usize) -> usize {
    (k * shape.channels_in + c) * shape.kernel[0] * shape.kernel[1] + tap
}

pub fn forward(shape: &Conv2dShape, input: &[f32], weight: &[f32]) -> Vec<f64> {
    let (c, k) = (shape.channels_in, shape.channels_out);
    let mut output = vec![0.0; shape.output_len()];
    pairs(shape, |to, from, tap| {
        for k_idx in 0..k {
            for c_idx in 0..c {
                let weight = weight[weight_at(shape, k_idx, c_idx, tap)];
                let value = from.map_or(0.0, |from| input[from * c + c_idx]);
                output[to * k + k_idx] += f64::from(value) * f64::from(weight);
            }
        }
    });
    output
}

pub fn input_gradient(shape: &Conv2dShape, output_gradient: &[f32], weight: &[f32]) -> Vec<f64> {
    let (c, k) = (shape.channels_in, shape.channels_out);
    let mut gradient = vec![0.0; shape.input_len()];
    pairs(shape, |to, from, tap| {
        let Some(from) = from else { return };
        for k_idx in 0..k {
            for c_idx in 0..c {
                let weight = weight[weight_at(shape, k_idx, c_idx, tap)];
                gradient[from * c + c_idx] +=
                    f64::from(output_gradient[to * k + k_idx]) * f64::from(weight);
            }
        }
    });
    gradient
}

pub fn weight_gradient(shape: &Conv2dShape, input: &[f32], output_gradient: &[f32]) -> Vec<f64> {
    sum_weight_gradient(shape, input, output_gradient, true)
}

/// As [`weight_gradient`], without the zeros of the padding: times infinity or NaN, they would be NaN.
pub fn weight_gradient_without_padding(
    shape: &Conv2dShape,
    input: &[f32],
    output_gradient: &[f32],
) -> Vec<f64> {
    sum_weight_gradient(shape, input, output_gradient, false)
}

fn sum_weight_gradient(
    shape: &Conv2dShape,
    input: &[f32],
    output_gradient: &[f32],
    padding: bool,
) -> Vec<f64> {
    let (c, k) = (shape.channels_in, shape.channels_out);
    let mut gradient = vec![0.0; shape.weight_len()];
    pairs(shape, |to, from, tap| {
        if from.is_none() && !padding {
            return;
        }
        for k_idx in 0..k {
            for c_idx in 0..c {
                let value = from.map_or(0.0, |from| input[from * c + c_idx]);
                gradient[weight_at(shape, k_idx, c_idx, tap)] +=
                    f64::from(output_gradient[to * k + k_idx]) * f64::from(value);
            }
        }
    });
    gradient
}

/// Largest difference, in units of `scale`.
pub fn largest_error(found: &[f32], expected: &[f64], scale: f64) -> f64 {
    assert_eq!(found.len(), expected.len());
    let differences = found.iter().zip(expected);
    differences
        .map(|(&found, expected)| (f64::from(found) - expected).abs() / scale)
        .fold(0.0, |a, b| if b.is_nan() || b > a { b } else { a })
}
