//! Gradients against central differences of the forward pass, through Burn's autodiff.
//!
//! The measured function is a random weighting of the outputs, summed in 64 bits. A convolution and a
//! mean are linear, so that a large step is exact but for rounding; batch normalisation is not, and its
//! tolerance says so.

use burn::tensor::{Device, Tensor, TensorData};
use mlestar_kernels::{
    Activation, Padding, Precision,
    backend::{
        Conv2dOptions, DepthwiseOptions, average_pool, batch_norm, conv2d, depthwise_conv2d,
    },
};
use mlestar_random::Stream;

/// A tensor's values and shape.
#[derive(Clone)]
struct Values {
    shape: Vec<usize>,
    values: Vec<f32>,
}

impl Values {
    fn random(shape: &[usize], seed: u64) -> Self {
        let mut draws = Stream::new(seed, "finite differences", 0, 0);
        let values = (0..shape.iter().product::<usize>())
            .map(|_| draws.normal() as f32)
            .collect();
        Self {
            shape: shape.to_vec(),
            values,
        }
    }

    fn tensor<const D: usize>(&self, device: &Device) -> Tensor<D> {
        Tensor::from_data(
            TensorData::new(self.values.clone(), self.shape.clone()),
            device,
        )
    }
}

/// The weighting of output `index`.
fn weight_of(index: usize) -> f64 {
    Stream::new(77, "weighting", 0, index as u64).normal()
}

/// Inputs with four dimensions, then those with one, as tensors, and the output.
type Forward<'a> = dyn Fn(&[Values], &Device) -> (Vec<Tensor<4>>, Vec<Tensor<1>>, Tensor<4>) + 'a;

/// Compares the gradients of all inputs of `forward` with central differences of step `h` at random positions,
/// 12 of each input. With `relu`, positions at which the step crosses the kink are skipped, because the
/// difference is no derivative there.
fn check(inputs: &[Values], forward: &Forward<'_>, h: f32, tolerance: f64, relu: bool) {
    let plain = Device::flex();
    // The measured function, and the outputs that the ReLU passes.
    let measured = |inputs: &[Values]| -> (f64, Vec<bool>) {
        let (_, _, output) = forward(inputs, &plain);
        let values: Vec<f32> = output.into_data().iter::<f32>().collect();
        let weighted = values.iter().enumerate();
        let sum = weighted
            .map(|(index, value)| f64::from(*value) * weight_of(index))
            .sum();
        (
            sum,
            values.iter().map(|value| relu && *value > 0.0).collect(),
        )
    };
    let autodiff = Device::flex().autodiff();
    let (wide, narrow, output) = forward(inputs, &autodiff);
    let shape = output.dims();
    let weights: Vec<f32> = (0..shape.iter().product())
        .map(|index| weight_of(index) as f32)
        .collect();
    let weights = Tensor::<4>::from_data(TensorData::new(weights, shape), &autodiff);
    let gradients = (output * weights).sum().backward();
    let found: Vec<Vec<f32>> = wide
        .iter()
        .map(|tensor| {
            tensor
                .grad(&gradients)
                .unwrap()
                .into_data()
                .iter::<f32>()
                .collect()
        })
        .chain(narrow.iter().map(|tensor| {
            tensor
                .grad(&gradients)
                .unwrap()
                .into_data()
                .iter::<f32>()
                .collect()
        }))
        .collect();
    assert_eq!(found.len(), inputs.len());
    let mut draws = Stream::new(5, "places", 0, 0);
    for (which, gradient) in found.iter().enumerate() {
        let size = gradient
            .iter()
            .map(|g| f64::from(g.abs()))
            .fold(1.0, f64::max);
        let mut compared = 0;
        for _ in 0..12 {
            let place = draws.below(gradient.len() as u64) as usize;
            let at = |offset: f32| {
                let mut moved = inputs.to_vec();
                moved[which].values[place] += offset;
                measured(&moved)
            };
            let ((above, open_above), (below, open_below)) = (at(h), at(-h));
            if open_above != open_below {
                continue;
            }
            compared += 1;
            let expected = (above - below) / (2.0 * f64::from(h));
            let difference = (f64::from(gradient[place]) - expected).abs();
            assert!(
                difference < tolerance * size,
                "input {which}, place {place}: {} and {expected}",
                gradient[place]
            );
        }
        assert!(
            compared >= gradient.len().min(4) / 2,
            "{compared} of input {which}"
        );
    }
}

#[test]
fn of_convolutions() {
    // Batch, height, width, channels in, channels out, kernel, stride: direct, first layer, Winograd,
    // odd sizes, a single image.
    for [n, height, width, channels, out, kernel, stride] in [
        [2, 8, 8, 3, 8, 3, 1],
        [1, 9, 7, 5, 6, 3, 2],
        [3, 6, 6, 8, 16, 1, 2],
        [4, 12, 12, 32, 32, 3, 1],
        [2, 5, 11, 16, 24, 3, 1],
    ] {
        let padding = kernel / 2;
        let options = Conv2dOptions {
            stride: [stride; 2],
            padding: [padding; 2].into(),
            dilation: [1; 2],
            precision: Precision::F32,
        };
        let inputs = [
            Values::random(&[n, height, width, channels], 1),
            Values::random(&[out, channels, kernel, kernel], 2),
        ];
        let forward = |inputs: &[Values], device: &Device| {
            let x = inputs[0].tensor::<4>(device);
            let weight = inputs[1].tensor::<4>(device);
            let (x, weight) = match device.is_autodiff() {
                true => (x.require_grad(), weight.require_grad()),
                false => (x, weight),
            };
            let y = conv2d(x.clone(), weight.clone(), options);
            (vec![x, weight], Vec::new(), y)
        };
        check(&inputs, &forward, 0.5, 1e-4, false);
    }
}

#[test]
fn of_depthwise_convolutions() {
    // Batch, height, width, channels, kernel, stride.
    for [n, height, width, channels, kernel, stride] in [
        [2, 8, 7, 16, 3, 1],
        [1, 9, 10, 5, 3, 2],
        [3, 6, 5, 33, 5, 1],
        [2, 7, 11, 8, 5, 2],
    ] {
        let options = DepthwiseOptions {
            stride: [stride; 2],
            padding: Padding::same([height, width], [kernel; 2], [stride; 2]),
        };
        let inputs = [
            Values::random(&[n, height, width, channels], 1),
            Values::random(&[channels, 1, kernel, kernel], 2),
        ];
        let forward = |inputs: &[Values], device: &Device| {
            let x = inputs[0].tensor::<4>(device);
            let weight = inputs[1].tensor::<4>(device);
            let (x, weight) = match device.is_autodiff() {
                true => (x.require_grad(), weight.require_grad()),
                false => (x, weight),
            };
            let y = depthwise_conv2d(x.clone(), weight.clone(), options);
            (vec![x, weight], Vec::new(), y)
        };
        check(&inputs, &forward, 0.5, 1e-4, false);
    }
}

#[test]
fn of_batch_normalisation_with_residual() {
    let (relu, silu) = (Some(Activation::Relu), Some(Activation::Silu));
    for (activation, channels) in [
        (None, 16),
        (relu, 16),
        (silu, 16),
        (None, 5),
        (relu, 3),
        (silu, 3),
    ] {
        let shape = [3, 5, 4, channels];
        let inputs = [
            Values::random(&shape, 1),
            Values::random(&shape, 2),
            Values::random(&[channels], 3),
            Values::random(&[channels], 4),
        ];
        let forward = |inputs: &[Values], device: &Device| {
            let mut wide = [inputs[0].tensor::<4>(device), inputs[1].tensor::<4>(device)];
            let mut narrow = [inputs[2].tensor::<1>(device), inputs[3].tensor::<1>(device)];
            if device.is_autodiff() {
                wide = wide.map(Tensor::require_grad);
                narrow = narrow.map(Tensor::require_grad);
            }
            let [x, residual] = wide.clone();
            let [scale, shift] = narrow.clone();
            let y = batch_norm(x, scale, shift, Some(residual), 1e-5, activation).output;
            (wide.to_vec(), narrow.to_vec(), y)
        };
        check(&inputs, &forward, 2e-3, 2e-2, activation == relu);
    }
}

#[test]
fn of_the_mean_over_a_picture() {
    let inputs = [Values::random(&[3, 4, 5, 7], 1)];
    let forward = |inputs: &[Values], device: &Device| {
        let x = inputs[0].tensor::<4>(device);
        let x = match device.is_autodiff() {
            true => x.require_grad(),
            false => x,
        };
        let y = average_pool(x.clone()).reshape([3, 7, 1, 1]);
        (vec![x], Vec::new(), y)
    };
    check(&inputs, &forward, 0.5, 1e-4, false);
}
