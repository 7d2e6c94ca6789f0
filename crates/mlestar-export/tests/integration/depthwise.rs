//! Depthwise convolutions in every precision: against loops in 64-bit integers and `f64`, and the int8 file in tract.

use mlestar_export::quantize::{BufferScale, QuantizedModel, QuantizedWeights};
use mlestar_export::{
    Convolution, Executor, FrozenModel, Layer, Operation, PixelNormalization, Precision, onnx,
};
use mlestar_model::{Activation, Padding};
use mlestar_random::Stream;
use proptest::prelude::*;

use crate::models::{MEAN, STD, class_names, convolution, random_pictures, tail};
use crate::precisions::{difference, executors, quantized};
use crate::quantization::agree_with_tract;

/// The depthwise layer of [`any_model`].
const DEPTHWISE: usize = 1;
/// Its linear layer.
const HEAD: usize = 4;

/// Convolutions, each of the results of the one before.
fn in_a_row<const N: usize>(layers: [(&str, Convolution); N]) -> Vec<Operation> {
    let layers = layers.into_iter().enumerate();
    layers
        .map(|(input, (name, layer))| Operation {
            name: name.to_owned(),
            input,
            layer: Layer::Convolution(layer),
        })
        .collect()
}

prop_compose! {
    /// A stem, a depthwise convolution with the padding "same", a 1x1 convolution and the end of every graph.
    fn any_model()(
        seed: u64,
        sides in prop::array::uniform2(1_usize..24),
        channels in 1_usize..70,
        kernel in prop::sample::select(vec![1_usize, 3, 5]),
        stride in 1_usize..3,
        activation in prop::sample::select(vec![None, Some(Activation::Relu), Some(Activation::Relu6)]),
        adds: bool,
    ) -> FrozenModel {
        let mut stream = Stream::new(seed, "depthwise", 0, 0);
        let [height, width] = sides;
        let stem = convolution(&mut stream, [channels, 3, 3, 3], [1, 1], [1, 1]);
        let depthwise = convolution(&mut stream, [channels, 1, kernel, kernel], [stride; 2], [0, 0]);
        let depthwise = Convolution {
            groups: channels,
            padding: Padding::same(sides, [kernel; 2], [stride; 2]),
            add_from: (adds && stride == 1).then_some(1),
            activation,
            ..depthwise
        };
        let project = convolution(&mut stream, [9, channels, 1, 1], [1, 1], [0, 0]);
        let stem = Convolution { activation: Some(Activation::Relu6), ..stem };
        let mut operations = in_a_row([("stem", stem), ("depthwise", depthwise), ("project", project)]);
        tail(&mut stream, &mut operations, 9, 3);
        let normalization = PixelNormalization { mean: MEAN, std: STD };
        FrozenModel::new(class_names(3), normalization, height, width, operations).unwrap()
    }
}

/// The value of a pixel of a buffer `[channel, row, column]`; 0 around it.
fn pixel<T: Copy + Default>(values: &[T], [height, width]: [usize; 2], at: [isize; 3]) -> T {
    let [channel, y, x] = at;
    let inside = (0..height as isize).contains(&y) && (0..width as isize).contains(&x);
    let index = (channel * height as isize + y) * width as isize + x;
    if inside {
        values[index as usize]
    } else {
        T::default()
    }
}

/// The logits of one image by the formula of `QuantizedModel`, for models whose linear layer is `f32` and all
/// convolutions are int8: sums in `i64`, what follows in `f32`, and the mean over the pixels in `f64`.
fn by_definition(model: &QuantizedModel, picture: &[u8]) -> Vec<f64> {
    let frozen = model.model();
    let (height, width) = (frozen.height(), frozen.width());
    let image = (0..3 * height * width).map(|index| {
        let (channel, pixel) = (index / (height * width), index % (height * width));
        frozen
            .normalization()
            .apply(picture[pixel * 3 + channel], channel)
    });
    let mut buffers: Vec<Vec<f32>> = vec![image.collect()];
    for (index, operation) in frozen.operations().iter().enumerate() {
        let Layer::Convolution(layer) = &operation.layer else {
            break;
        };
        let scale = model.buffers()[operation.input].unwrap();
        let steps: Vec<i64> = buffers[operation.input]
            .iter()
            .map(|value| {
                let steps = (value / scale.scale).round_ties_even() as i64;
                let zero = i64::from(scale.zero_point);
                (steps + zero).clamp(0, 255) - zero
            })
            .collect();
        let sides = frozen.buffer_shapes()[operation.input];
        let shape = frozen.buffer_shapes()[index + 1];
        let added = layer.add_from.map(|buffer| {
            let values = buffers[buffer].iter();
            let scale = model.buffers()[buffer];
            values
                .map(|&value| scale.map_or(value, |scale| scale.round(value)))
                .collect::<Vec<f32>>()
        });
        let integers = (
            model.layers()[index].as_ref().unwrap(),
            model.bias_steps(index).unwrap(),
        );
        let sums = integer_sums(layer, integers, (&steps, [sides[1], sides[2]]), shape);
        let of_pixel = |(at, sum): (usize, i64)| {
            let channel = at / (shape[1] * shape[2]);
            let value = sum as f32 * (scale.scale * integers.0.scales[channel]);
            let value = value + added.as_ref().map_or(0.0, |added| added[at]);
            match layer.activation {
                Some(Activation::Relu6) => value.clamp(0.0, 6.0),
                Some(_) => value.max(0.0),
                None => value,
            }
        };
        buffers.push(sums.into_iter().enumerate().map(of_pixel).collect());
    }
    head(frozen, &buffers[HEAD - 1])
}

fn integer_sums(
    layer: &Convolution,
    (weights, bias): (&QuantizedWeights, &[i32]),
    (steps, sides): (&[i64], [usize; 2]),
    [_, rows, columns]: [usize; 3],
) -> Vec<i64> {
    let [_, depth, kernel_height, kernel_width] = layer.weight_shape;
    let mut sums = Vec::new();
    for (channel, &bias) in bias.iter().enumerate() {
        let first = if layer.groups == 1 { 0 } else { channel };
        for (row, column) in (0..rows).flat_map(|row| (0..columns).map(move |column| (row, column)))
        {
            let mut sum = i64::from(bias);
            for tap in 0..depth * kernel_height * kernel_width {
                let (plane, tap_y) = (tap / (kernel_height * kernel_width), tap / kernel_width);
                let (tap_y, tap_x) = (tap_y % kernel_height, tap % kernel_width);
                let y = (row * layer.stride[0] + tap_y) as isize - layer.padding.start[0] as isize;
                let x =
                    (column * layer.stride[1] + tap_x) as isize - layer.padding.start[1] as isize;
                let step = pixel(steps, sides, [(first + plane) as isize, y, x]);
                let weight = channel * depth * kernel_height * kernel_width + tap;
                sum += step * i64::from(weights.values[weight]);
            }
            sums.push(sum);
        }
    }
    sums
}

/// Mean over the pixels and the linear layer, in `f64`.
fn head(model: &FrozenModel, values: &[f32]) -> Vec<f64> {
    let linear = match &model.operations()[HEAD].layer {
        Layer::Linear(linear) => Some(linear),
        _ => None,
    }
    .unwrap();
    let pixels = values.len() / linear.weight_shape[1];
    let means: Vec<f64> = values
        .chunks(pixels)
        .map(|plane| plane.iter().copied().map(f64::from).sum::<f64>() / pixels as f64)
        .collect();
    let rows = linear.weight.chunks(means.len()).zip(&linear.bias);
    rows.map(|(row, &bias)| {
        let products = row
            .iter()
            .zip(&means)
            .map(|(&weight, mean)| f64::from(weight) * mean);
        f64::from(bias) + products.sum::<f64>()
    })
    .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// All that is rounded to bytes is computed exactly, so nothing may round to another byte.
    #[test]
    fn executor_and_reference_give_the_integers_of_the_formula(model in any_model(), seed: u64) {
        let quantized = quantized(&model, &[HEAD]);
        let pictures = random_pictures(seed, 2, model.height(), model.width());
        let executor = Executor::quantized(&quantized, 1).logits(&pictures, 2).unwrap();
        let reference = quantized.reference_logits(&pictures, 2).unwrap();
        let expected: Vec<f64> = pictures
            .chunks(pictures.len() / 2)
            .flat_map(|picture| by_definition(&quantized, picture))
            .collect();
        for found in [executor, reference] {
            for (found, expected) in found.iter().zip(&expected) {
                let error = (f64::from(*found) - expected).abs();
                prop_assert!(error < 1e-5 * (1.0 + expected.abs()), "{found} {expected}");
            }
        }
    }

    /// A buffer may be bytes for one reader, while the depthwise layer that writes or reads it stays `f32`.
    #[test]
    fn a_depthwise_layer_in_f32_reads_and_writes_bytes(
        model in any_model(), kept in prop::collection::vec(0_usize..3, 0..3), seed: u64,
    ) {
        let kept = [&kept[..], &[DEPTHWISE, HEAD]].concat();
        let quantized = quantized(&model, &kept);
        let pictures = random_pictures(seed, 2, model.height(), model.width());
        let found = Executor::quantized(&quantized, 1).logits(&pictures, 2).unwrap();
        let expected = quantized.reference_logits(&pictures, 2).unwrap();
        prop_assert!(difference(&found, &expected) < 0.02, "{found:?} {expected:?}");
    }

    #[test]
    fn bf16_is_close_to_f32(model in any_model(), seed: u64) {
        let pictures = random_pictures(seed, 2, model.height(), model.width());
        let expected = model.logits(&pictures, 2).unwrap();
        for batch in [1, 64] {
            let executor = Executor::with_precision(&model, Precision::Bf16, batch).unwrap();
            let found = executor.logits(&pictures, 2).unwrap();
            prop_assert!(difference(&found, &expected) < 0.04, "{found:?} {expected:?}");
        }
    }

    #[test]
    fn every_precision_gives_the_same_bits_in_any_batch_and_on_any_threads(
        model in any_model(), n in 1_usize..10, threads in 1_usize..9,
    ) {
        let pictures = random_pictures(6, n, model.height(), model.width());
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        for executor in executors(&model, &quantized(&model, &[])) {
            let together = pool.install(|| executor.logits(&pictures, n).unwrap());
            let alone: Vec<f32> = pictures
                .chunks(model.height() * model.width() * 3)
                .flat_map(|picture| executor.logits(picture, 1).unwrap())
                .collect();
            prop_assert_eq!(crate::executor::bits(&together), crate::executor::bits(&alone), "{:?}", executor);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn the_int8_file_is_read_back_and_gives_the_same_in_tract(model in any_model(), kept in 0_usize..6) {
        let quantized = quantized(&model, &[kept]);
        let bytes = onnx::quantized_to_bytes(&quantized);
        prop_assert_eq!(&onnx::quantized_from_bytes(&bytes).unwrap(), &quantized);
        for n in [1, 3] {
            agree_with_tract(&quantized, n);
        }
    }
}

/// 2x2 pixels of two channels by hand: kernels of 3x3 taps whose padding is wider at the end.
#[test]
fn each_channel_has_its_own_kernel_and_scale() {
    let shape = DepthwiseByHand::model();
    let expected = DepthwiseByHand::logits();
    let picture = [10, 20, 0, 11, 21, 0, 12, 22, 0, 13, 23, 0];
    assert_eq!(shape.reference_logits(&picture, 1).unwrap(), expected);
    let found = Executor::quantized(&shape, 1).logits(&picture, 1).unwrap();
    assert_eq!(found, expected);
}

/// A depthwise layer of stride 2 on the image itself, and a linear layer that passes its mean on.
struct DepthwiseByHand;

impl DepthwiseByHand {
    fn model() -> QuantizedModel {
        let depthwise = Convolution {
            weight_shape: [3, 1, 3, 3],
            groups: 3,
            weight: vec![0.0; 27],
            bias: vec![1.0, 0.5, 0.0],
            stride: [2, 2],
            padding: Padding::same([2, 2], [3, 3], [2, 2]),
            add_from: None,
            activation: Some(Activation::Relu6),
        };
        let identity = mlestar_export::Linear {
            weight_shape: [3, 3],
            weight: vec![1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0],
            bias: vec![0.0; 3],
        };
        let layers = [
            ("depthwise", Layer::Convolution(depthwise)),
            ("pool", Layer::GlobalAveragePool),
            ("head", Layer::Linear(identity)),
        ];
        let operations = layers
            .into_iter()
            .enumerate()
            .map(|(input, (name, layer))| Operation {
                name: name.to_owned(),
                input,
                layer,
            });
        let normalization = PixelNormalization {
            mean: [0.0; 3],
            std: [1.0 / 255.0; 3],
        };
        let frozen = FrozenModel::new(class_names(3), normalization, 2, 2, operations.collect());
        // Only the four taps of the upper left see pixels: one output, whose padding is at the end.
        let kernel = |taps: [i8; 4]| {
            let [a, b, c, d] = taps;
            [a, b, 99, c, d, 99, 99, 99, 99]
        };
        let values = [
            kernel([1, 2, 3, 4]),
            kernel([-1, 1, -1, 2]),
            kernel([9, 9, 9, 9]),
        ];
        let weights = QuantizedWeights {
            values: values.concat(),
            scales: vec![1.0 / 64.0, 1.0 / 32.0, 0.5],
        };
        let scale = BufferScale {
            scale: 1.0,
            zero_point: 7,
        };
        QuantizedModel::new(
            frozen.unwrap(),
            vec![Some(scale), None, None, None],
            vec![Some(weights), None, None],
        )
        .unwrap()
    }

    fn logits() -> [f32; 3] {
        let first = (10 + 2 * 11 + 3 * 12 + 4 * 13 + 64) as f32 / 64.0;
        let second = (-20 + 21 - 22 + 2 * 23 + 16) as f32 / 32.0;
        [first, second, 0.0]
    }
}

#[test]
fn other_groups_and_very_large_kernels_stay_f32() {
    let mut stream = Stream::new(1, "groups", 0, 0);
    let with = |stream: &mut Stream, groups: usize, kernel: usize| {
        let stem = convolution(stream, [4, 3, 1, 1], [1, 1], [0, 0]);
        let layer = convolution(
            stream,
            [4, 4 / groups, kernel, kernel],
            [1, 1],
            [kernel / 2; 2],
        );
        let grouped = Convolution { groups, ..layer };
        let mut operations = in_a_row([("stem", stem), ("grouped", grouped)]);
        tail(stream, &mut operations, 4, 2);
        let normalization = PixelNormalization {
            mean: MEAN,
            std: STD,
        };
        FrozenModel::new(class_names(2), normalization, 6, 5, operations).unwrap()
    };
    let is_int8 = |model: &FrozenModel| {
        let quantized = crate::models::quantized(model);
        let pictures = random_pictures(1, 2, 6, 5);
        let found = Executor::quantized(&quantized, 1).logits(&pictures, 2);
        let expected = quantized.reference_logits(&pictures, 2).unwrap();
        assert!(difference(&found.unwrap(), &expected) < 0.02);
        quantized.layers()[1].is_some()
    };
    for (groups, kernel, expected) in [(4, 3, true), (2, 3, false), (4, 21, true), (4, 23, false)] {
        let model = with(&mut stream, groups, kernel);
        assert_eq!(is_int8(&model), expected, "{groups} groups, {kernel} taps");
    }
    let refused = |model: FrozenModel, expected: &str| {
        let count = |layer: &Layer| match layer {
            Layer::Convolution(layer) => layer.weight.len(),
            _ => 0,
        };
        let weights = QuantizedWeights {
            values: vec![1; count(&model.operations()[1].layer)],
            scales: vec![0.1; 4],
        };
        let scale = BufferScale {
            scale: 0.1,
            zero_point: 3,
        };
        let error = QuantizedModel::new(
            model,
            vec![None, Some(scale), None, None, None],
            vec![None, Some(weights), None, None],
        )
        .unwrap_err()
        .to_string();
        assert!(error.contains(expected), "{error}");
    };
    refused(
        with(&mut stream, 2, 3),
        "grouped: only convolutions without groups, depthwise ones",
    );
    refused(
        with(&mut stream, 4, 23),
        "grouped: 529 products in a sum, but such int8 layers have at most 512",
    );
}
