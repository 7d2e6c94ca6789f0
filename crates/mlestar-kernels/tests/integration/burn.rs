//! The operations on tensors compared with Burn's own, with their gradients.

use burn::tensor::{
    Device, Tensor, TensorData,
    activation::{relu, silu},
    module::{batch_norm_train, conv2d as burn_conv2d, max_pool2d},
    ops::{ConvOptions, MaxPoolOptions},
};
use mlestar_kernels::{
    Activation, Algorithm, Conv2dShape, Epilogue, Level, Precision,
    backend::{self as kernels, Conv2dOptions, DepthwiseOptions, Windows},
    conv2d_input_gradient_with, conv2d_weight_gradient_with, conv2d_with,
};
use proptest::prelude::*;

use crate::reference::random;

fn tensor<const D: usize>(seed: u64, what: &str, shape: [usize; D], device: &Device) -> Tensor<D> {
    let values = random(seed, what, shape.iter().product());
    Tensor::from_data(TensorData::new(values, shape), device)
}

fn close<const D: usize>(found: Tensor<D>, expected: Tensor<D>, limit: f32, what: &str) {
    let [found, expected] = [found, expected].map(|tensor| {
        let dims = tensor.dims();
        let values: Vec<f32> = tensor.into_data().iter::<f32>().collect();
        (dims, values)
    });
    assert_eq!(found.0, expected.0, "{what}");
    for (index, (found, expected)) in found.1.iter().zip(&expected.1).enumerate() {
        let error = (found - expected).abs();
        assert!(error < limit, "{what} {index}: {found} and not {expected}");
    }
}

/// By Burn's operations.
fn activated(activation: Option<Activation>, x: Tensor<4>) -> Tensor<4> {
    match activation {
        None => x,
        Some(Activation::Relu) => relu(x),
        Some(Activation::Relu6) => relu(x).clamp_max(6.0),
        Some(Activation::Silu) => silu(x),
    }
}

/// Channels first to channels last and back.
fn last(x: Tensor<4>) -> Tensor<4> {
    x.permute([0, 2, 3, 1])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn depthwise_convolutions_and_their_gradients_are_burns(
        seed in any::<u64>(), n in 1_usize..=5, size in [3_usize..=11, 3_usize..=11],
        channels in 1_usize..=33, kernel in prop::sample::select(vec![1_usize, 3, 5]),
        stride in 1_usize..=2,
    ) {
        let device = Device::flex().autodiff();
        let x = tensor(seed, "x", [n, channels, size[0], size[1]], &device).require_grad();
        let weight = tensor(seed, "w", [channels, 1, kernel, kernel], &device).require_grad();
        let padding = [kernel / 2; 2];
        let options = ConvOptions::new([stride; 2], padding, [1, 1], channels);
        let expected = burn_conv2d(x.clone(), weight.clone(), None, options);
        let errors = tensor(seed, "e", expected.dims(), &device);
        let gradients = (expected.clone() * errors.clone()).sum().backward();

        let options = DepthwiseOptions { stride: [stride; 2], padding: padding.into() };
        let found = kernels::depthwise_conv2d(last(x.clone()), weight.clone(), options)
            .permute([0, 3, 1, 2]);
        let ours = (found.clone() * errors).sum().backward();

        close(found, expected, 1e-4, "output");
        close(x.grad(&ours).unwrap(), x.grad(&gradients).unwrap(), 1e-4, "input");
        close(weight.grad(&ours).unwrap(), weight.grad(&gradients).unwrap(), 1e-3, "weight");

        let [x, weight] = [x, weight].map(Tensor::inner);
        let bias = tensor(seed, "b", [channels], &Device::flex());
        let padding = [kernel / 2; 2];
        let burn = ConvOptions::new([stride; 2], padding, [1, 1], channels);
        let plain = burn_conv2d(x.clone(), weight.clone(), Some(bias.clone()), burn);
        let residual = tensor(seed, "r", plain.dims(), &Device::flex());
        let relu6 = Some(Activation::Relu6);
        let added = Some(last(residual.clone()));
        let fused = kernels::depthwise_conv2d_fused(last(x), weight, bias, added, relu6, options);
        let expected = activated(relu6, plain + residual);
        close(fused.permute([0, 3, 1, 2]), expected, 1e-4, "fused output");
    }

    #[test]
    fn convolutions_and_their_gradients_are_burns(
        seed in any::<u64>(), n in 1_usize..=5, size in [3_usize..=11, 3_usize..=11],
        channels in [1_usize..=33, 1_usize..=33], kernel in prop::sample::select(vec![1_usize, 3]),
        stride in 1_usize..=2, wide in any::<bool>(),
    ) {
        let channels = if wide { channels.map(|c| c.next_multiple_of(16)) } else { channels };
        let device = Device::flex().autodiff();
        let x = tensor(seed, "x", [n, channels[0], size[0], size[1]], &device).require_grad();
        let weight = tensor(seed, "w", [channels[1], channels[0], kernel, kernel], &device)
            .require_grad();
        let padding = [kernel / 2; 2];
        let options = ConvOptions::new([stride; 2], padding, [1, 1], 1);
        let expected = burn_conv2d(x.clone(), weight.clone(), None, options);
        let errors = tensor(seed, "e", expected.dims(), &device);
        let gradients = (expected.clone() * errors.clone()).sum().backward();

        let options = Conv2dOptions { stride: [stride; 2], padding: padding.into(), dilation: [1, 1], precision: Precision::F32 };
        let found = kernels::conv2d(last(x.clone()), weight.clone(), options)
            .permute([0, 3, 1, 2]);
        let ours = (found.clone() * errors).sum().backward();

        close(found, expected, 1e-3, "output");
        close(x.grad(&ours).unwrap(), x.grad(&gradients).unwrap(), 1e-3, "input");
        close(weight.grad(&ours).unwrap(), weight.grad(&gradients).unwrap(), 2e-3, "weight");
    }

    #[test]
    fn max_pools_and_their_gradients_are_burns(
        seed in any::<u64>(), n in 1_usize..=4, size in [4_usize..=11, 4_usize..=11],
        channels in 1_usize..=33, window in 1_usize..=4, stride in 1_usize..=4, pads: bool,
    ) {
        let device = Device::flex().autodiff();
        // No two values are equal: here a gradient goes to the first of the largest, which Burn does not
        // specify.
        let x = tensor(seed, "x", [n, channels, size[0], size[1]], &device).require_grad();
        let padding = if pads { window / 2 } else { 0 };
        let options = MaxPoolOptions::new([window; 2]).with_stride([stride; 2]);
        let expected = max_pool2d(x.clone(), options.with_padding([padding; 2]));
        let errors = tensor(seed, "e", expected.dims(), &device);
        let gradients = (expected.clone() * errors.clone()).sum().backward();
        let windows = Windows { side: window, stride, padding: [padding; 2].into() };
        let found = kernels::max_pool(last(x.clone()), windows).permute([0, 3, 1, 2]);
        let ours = (found.clone() * errors).sum().backward();
        close(found, expected, 1e-9, "output");
        // Gradients of overlapping windows are added in another order.
        close(x.grad(&ours).unwrap(), x.grad(&gradients).unwrap(), 1e-5, "input");
    }

    #[test]
    fn batch_norm_with_residual_and_activation_is_burns(
        seed in any::<u64>(), n in 2_usize..=5, size in [1_usize..=7, 2_usize..=7],
        channels in 1_usize..=33, with_residual in any::<bool>(),
        activation in prop::option::of(prop::sample::select(vec![
            Activation::Relu, Activation::Relu6, Activation::Silu,
        ])),
    ) {
        let device = Device::flex().autodiff();
        let shape = [n, channels, size[0], size[1]];
        let x = tensor(seed, "x", shape, &device).require_grad();
        let residual = tensor(seed, "r", shape, &device).require_grad();
        let weight = tensor(seed, "w", [channels], &device).require_grad();
        let bias = tensor(seed, "b", [channels], &device).require_grad();
        let errors = tensor(seed, "e", shape, &device);

        let batch = batch_norm_train(x.clone(), weight.clone(), bias.clone(), 1e-5);
        let mut expected = batch.output;
        if with_residual {
            expected = expected + residual.clone();
        }
        expected = activated(activation, expected);
        let theirs = (expected.clone() * errors.clone()).sum().backward();

        let added = with_residual.then(|| last(residual.clone()));
        let found = kernels::batch_norm(
            last(x.clone()), weight.clone(), bias.clone(), added, 1e-5, activation,
        );
        close(found.mean, batch.mean, 1e-5, "mean");
        close(found.variance, batch.variance, 1e-5, "variance");
        let output = found.output.permute([0, 3, 1, 2]);
        let ours = (output.clone() * errors).sum().backward();
        close(output, expected, 1e-4, "output");
        close(x.grad(&ours).unwrap(), x.grad(&theirs).unwrap(), 2e-3, "input");
        close(weight.grad(&ours).unwrap(), weight.grad(&theirs).unwrap(), 1e-3, "weight");
        close(bias.grad(&ours).unwrap(), bias.grad(&theirs).unwrap(), 1e-3, "bias");
        if with_residual {
            close(residual.grad(&ours).unwrap(), residual.grad(&theirs).unwrap(), 1e-4, "residual");
        }
    }
}

#[test]
fn average_pool_and_its_gradient_are_burns() {
    let device = Device::flex().autodiff();
    let x = tensor(1, "x", [3, 5, 4, 6], &device).require_grad();
    let errors = tensor(1, "e", [3, 5], &device);
    let expected = x.clone().reshape([3, 5, 24]).mean_dim(2).reshape([3, 5]);
    let theirs = (expected.clone() * errors.clone()).sum().backward();
    let found = kernels::average_pool(last(x.clone()));
    let ours = (found.clone() * errors).sum().backward();
    close(found, expected, 1e-6, "output");
    close(
        x.grad(&ours).unwrap(),
        x.grad(&theirs).unwrap(),
        1e-6,
        "input",
    );
}

#[test]
fn the_fused_convolution_is_burns_operations_one_after_the_other() {
    let device = Device::flex();
    for (channels, stride) in [([16, 16], 1), ([3, 8], 1), ([16, 32], 2)] {
        let x = tensor(1, "x", [2, channels[0], 9, 8], &device);
        let weight = tensor(1, "w", [channels[1], channels[0], 3, 3], &device);
        let bias = tensor(1, "b", [channels[1]], &device);
        let options = ConvOptions::new([stride; 2], [1, 1], [1, 1], 1);
        let plain = burn_conv2d(x.clone(), weight.clone(), Some(bias.clone()), options);
        let residual = tensor(1, "r", plain.dims(), &device);
        let summed = plain + residual.clone();
        let options = Conv2dOptions {
            stride: [stride; 2],
            padding: [1, 1].into(),
            dilation: [1, 1],
            precision: Precision::F32,
        };
        let all = [Activation::Relu, Activation::Relu6, Activation::Silu];
        for activation in [None].into_iter().chain(all.map(Some)) {
            let found = kernels::conv2d_fused(
                last(x.clone()),
                weight.clone(),
                bias.clone(),
                Some(last(residual.clone())),
                activation,
                options,
            );
            let expected = activated(activation, summed.clone());
            close(found.permute([0, 3, 1, 2]), expected, 1e-3, "output");
        }
    }
}

/// Output and both gradients are those of the kernels, to the bit, in either precision.
#[test]
fn the_precision_is_that_of_output_and_gradients() {
    let device = Device::flex().autodiff();
    // As many images as a matrix unit is used for.
    let shape = Conv2dShape::square(13, [5, 7], [16, 32], 3, 1, 1);
    let [x, weight, errors] = [
        random(1, "x", shape.input_len()),
        random(1, "w", shape.weight_len()),
        random(1, "e", shape.output_len()),
    ];
    let on_device = |values: &[f32], shape: [usize; 4]| {
        Tensor::<4>::from_data(TensorData::new(values.to_vec(), shape), &device)
    };
    let values = |tensor: Tensor<4>| tensor.into_data().iter::<f32>().collect::<Vec<_>>();
    for (precision, algorithm) in [
        (Precision::F32, Algorithm::Winograd),
        (
            Precision::Bfloat16,
            match Level::current().has_matrix_unit() {
                true => Algorithm::DirectBfloat16,
                false => Algorithm::WinogradBfloat16,
            },
        ),
    ] {
        let options = Conv2dOptions {
            stride: [1, 1],
            padding: [1, 1].into(),
            dilation: [1, 1],
            precision,
        };
        let input = on_device(&x, [13, 5, 7, 16]).require_grad();
        let kernel = on_device(&weight, [32, 16, 3, 3]).require_grad();
        let output = kernels::conv2d(input.clone(), kernel.clone(), options);
        let loss = (output.clone() * on_device(&errors, [13, 5, 7, 32])).sum();
        let gradients = loss.backward();

        let level = Level::current();
        let mut expected = vec![0.0; shape.output_len()];
        let plain = Epilogue::default();
        conv2d_with(level, algorithm, &shape, &x, &weight, plain, &mut expected).unwrap();
        assert_eq!(values(output), expected);
        let mut dx = vec![0.0; shape.input_len()];
        conv2d_input_gradient_with(level, algorithm, &shape, &errors, &weight, &mut dx).unwrap();
        assert_eq!(
            values(Tensor::from_inner(input.grad(&gradients).unwrap())),
            dx
        );
        let mut dw = vec![0.0; shape.weight_len()];
        conv2d_weight_gradient_with(level, algorithm, &shape, &x, &errors, &mut dw).unwrap();
        assert_eq!(
            values(Tensor::from_inner(kernel.grad(&gradients).unwrap())),
            dw
        );
    }
}

/// A constant input (the images of the first layer) gets no gradient and costs none.
#[test]
fn inputs_without_gradient_get_none() {
    let device = Device::flex().autodiff();
    let x = tensor(1, "x", [2, 8, 8, 3], &device);
    let weight = tensor(1, "w", [4, 3, 3, 3], &device).require_grad();
    let options = Conv2dOptions {
        stride: [1, 1],
        padding: [1, 1].into(),
        dilation: [1, 1],
        precision: Precision::F32,
    };
    let gradients = kernels::conv2d(x.clone(), weight.clone(), options)
        .sum()
        .backward();
    assert!(x.grad(&gradients).is_none());
    assert!(weight.grad(&gradients).is_some());
}

#[test]
#[should_panic(expected = "input [1, 8, 8, 3] has 3 channels, but weight [4, 2, 3, 3] expects 2")]
fn tensors_that_do_not_fit_are_an_error_of_the_program() {
    let device = Device::flex();
    let options = Conv2dOptions {
        stride: [1, 1],
        padding: [1, 1].into(),
        dilation: [1, 1],
        precision: Precision::F32,
    };
    let x = tensor(1, "x", [1, 8, 8, 3], &device);
    let _ = kernels::conv2d(x, tensor(1, "w", [4, 2, 3, 3], &device), options);
}

#[test]
fn the_kernels_serve_the_cpu_backend_alone() {
    assert!(kernels::available(&Device::flex()));
    assert!(kernels::available(&Device::flex().autodiff()));
    let integers_are_refused = Tensor::<1>::zeros([2], &Device::flex());
    assert!(kernels::takes(&integers_are_refused));
}
