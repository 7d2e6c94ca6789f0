//! The executor compared with a naive convolution in `f64`, and its independence of batch and threads.

use mlestar_export::{
    Convolution, Executor, ExportError, Factors, FrozenModel, Layer, Linear, Operation,
    PixelNormalization,
};
use mlestar_model::Activation;
use mlestar_random::Stream;
use proptest::prelude::*;

use crate::models::{
    AVERAGES, MEAN, STD, class_names, convolution, pooled_frozen, random_pictures, small_frozen,
    tail,
};

/// Runs the graph with plain loops in `f64`, from the definition of each operation.
fn naive_logits(model: &FrozenModel, picture: &[u8]) -> Vec<f64> {
    let (height, width) = (model.height(), model.width());
    let mut buffers: Vec<Vec<f64>> = vec![
        (0..3)
            .flat_map(|c| (0..height * width).map(move |p| (c, p)))
            .map(|(c, p)| f64::from(model.normalization().apply(picture[p * 3 + c], c)))
            .collect(),
    ];
    for (index, operation) in model.operations().iter().enumerate() {
        let shape = model.buffer_shapes()[operation.input];
        let out_shape = model.buffer_shapes()[index + 1];
        let input = &buffers[operation.input];
        let output = match &operation.layer {
            Layer::Convolution(layer) => {
                let add = layer.add_from.map(|buffer| buffers[buffer].as_slice());
                naive_convolution(layer, input, shape, out_shape, add)
            }
            &Layer::MaxPool {
                window,
                stride,
                padding,
                activation,
            } => {
                let windows = [window, stride, padding];
                let mut output = naive_max_pool(windows, input, shape, out_shape);
                for value in &mut output {
                    *value = activated(activation, *value);
                }
                output
            }
            Layer::GlobalAveragePool => input
                .chunks(shape[1] * shape[2])
                .map(|plane| plane.iter().sum::<f64>() / plane.len() as f64)
                .collect(),
            Layer::Linear(layer) => naive_linear(layer, input),
            Layer::Attention(attention) => {
                let factors = naive_factors(&attention.factors, input, shape);
                let values = input.iter().zip(factors).enumerate();
                let added = |index: usize| {
                    attention
                        .add_from
                        .map_or(0.0, |buffer| buffers[buffer][index])
                };
                values
                    .map(|(index, (x, factor))| {
                        activated(attention.activation, x * factor + added(index))
                    })
                    .collect()
            }
        };
        buffers.push(output);
    }
    buffers.pop().unwrap()
}

fn naive_linear(layer: &Linear, input: &[f64]) -> Vec<f64> {
    let rows = layer.weight.chunks(layer.weight_shape[1]);
    rows.zip(&layer.bias)
        .map(|(row, &bias)| {
            let sum: f64 = row.iter().zip(input).map(|(&w, &x)| f64::from(w) * x).sum();
            sum + f64::from(bias)
        })
        .collect()
}

/// The factor of each value of a map.
fn naive_factors(factors: &Factors, input: &[f64], shape: [usize; 3]) -> Vec<f64> {
    let [channels, height, width] = shape;
    let area = height * width;
    let mean = |values: Vec<f64>| values.iter().sum::<f64>() / values.len() as f64;
    let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
    match factors {
        Factors::OfChannels { reduce, expand } => {
            let means: Vec<f64> = input
                .chunks(area)
                .map(|plane| mean(plane.to_vec()))
                .collect();
            let reduced = naive_linear(reduce, &means);
            let reduced: Vec<f64> = reduced.into_iter().map(|x| x.max(0.0)).collect();
            let sums = naive_linear(expand, &reduced);
            (0..channels * area)
                .map(|index| sigmoid(sums[index / area]))
                .collect()
        }
        Factors::OfPixels(layer) => {
            let of_pixel = |pixel: usize| -> Vec<f64> {
                input.iter().skip(pixel).step_by(area).copied().collect()
            };
            let mut maps: Vec<f64> = (0..area).map(|pixel| mean(of_pixel(pixel))).collect();
            maps.extend(
                (0..area).map(|pixel| of_pixel(pixel).into_iter().fold(f64::MIN, f64::max)),
            );
            let sums =
                naive_convolution(layer, &maps, [2, height, width], [1, height, width], None);
            (0..channels * area)
                .map(|index| sigmoid(sums[index % area]))
                .collect()
        }
    }
}

fn naive_max_pool(
    [window, stride, padding]: [usize; 3],
    input: &[f64],
    [_, height, width]: [usize; 3],
    [channels, out_height, out_width]: [usize; 3],
) -> Vec<f64> {
    let mut output = Vec::new();
    for c in 0..channels {
        for (y, x) in (0..out_height).flat_map(|y| (0..out_width).map(move |x| (y, x))) {
            let values = (0..window * window).filter_map(|tap| {
                let row = (y * stride + tap / window).checked_sub(padding)?;
                let column = (x * stride + tap % window).checked_sub(padding)?;
                let is_inside = row < height && column < width;
                is_inside.then(|| input[(c * height + row) * width + column])
            });
            output.push(values.fold(f64::NEG_INFINITY, f64::max));
        }
    }
    output
}

fn activated(activation: Option<Activation>, x: f64) -> f64 {
    match activation {
        None => x,
        Some(Activation::Relu) => x.max(0.0),
        Some(Activation::Relu6) => x.clamp(0.0, 6.0),
        Some(Activation::Silu) => x / (1.0 + (-x).exp()),
    }
}

fn naive_convolution(
    layer: &Convolution,
    input: &[f64],
    [_, height, width]: [usize; 3],
    [out_channels, out_height, out_width]: [usize; 3],
    add: Option<&[f64]>,
) -> Vec<f64> {
    let [_, channels, kernel_height, kernel_width] = layer.weight_shape;
    let mut output = Vec::new();
    for o in 0..out_channels {
        for y in 0..out_height {
            for x in 0..out_width {
                let mut sum = f64::from(layer.bias[o]);
                let first = o / (out_channels / layer.groups) * channels;
                for c in 0..channels {
                    for ky in 0..kernel_height {
                        for kx in 0..kernel_width {
                            let row = (y * layer.stride[0] + ky) as isize
                                - layer.padding.start[0] as isize;
                            let col = (x * layer.stride[1] + kx) as isize
                                - layer.padding.start[1] as isize;
                            if (0..height as isize).contains(&row)
                                && (0..width as isize).contains(&col)
                            {
                                let at =
                                    ((first + c) * height + row as usize) * width + col as usize;
                                let weight =
                                    ((o * channels + c) * kernel_height + ky) * kernel_width + kx;
                                sum += f64::from(layer.weight[weight]) * input[at];
                            }
                        }
                    }
                }
                sum += add.map_or(0.0, |add| add[output.len()]);
                output.push(activated(layer.activation, sum));
            }
        }
    }
    output
}

pub fn agrees_with_naive(model: &FrozenModel, pictures: &[u8], n: usize) {
    let logits = model.logits(pictures, n).unwrap();
    for (picture, logits) in pictures
        .chunks(pictures.len() / n)
        .zip(logits.chunks(model.n_classes()))
    {
        for (found, expected) in logits.iter().zip(naive_logits(model, picture)) {
            let difference = (f64::from(*found) - expected).abs();
            assert!(
                difference < 1e-4 * (1.0 + expected.abs()),
                "{found} against {expected}"
            );
        }
    }
}

pub fn any_activation() -> impl Strategy<Value = Option<Activation>> {
    prop::option::of(prop::sample::select(vec![
        Activation::Relu,
        Activation::Silu,
    ]))
}

prop_compose! {
    fn any_model()(
        seed: u64,
        height in 1_usize..14,
        width in 1_usize..14,
        channels in 1_usize..70,
        out_channels in 1_usize..140,
        kernels in prop::array::uniform4(1_usize..5),
        strides in prop::array::uniform4(1_usize..4),
        paddings in prop::array::uniform4(0_usize..4),
        activations in prop::array::uniform2(any_activation()),
        add: bool,
        most_groups in 1_usize..70,
        n_classes in 1_usize..20,
    ) -> FrozenModel {
        let out_channels = if add { channels } else { out_channels };
        let divides = |groups: &usize| channels % groups == 0 && out_channels % groups == 0;
        let groups = (1..=most_groups).rev().find(divides).unwrap();
        let mut stream = Stream::new(seed, "any model", 0, 0);
        let [activation, second_activation] = activations;
        // A kernel that does not fit gets the padding that it needs.
        let fits = |size: usize, kernel: usize, padding: usize| {
            if size + 2 * padding < kernel { kernel } else { padding }
        };
        let first_padding = [fits(height, kernels[0], paddings[0]), fits(width, kernels[1], paddings[1])];
        let first = convolution(
            &mut stream, [channels, 3, kernels[0], kernels[1]], [strides[0], strides[1]], first_padding);
        let side = |size: usize, axis: usize| {
            (size + 2 * first_padding[axis] - kernels[axis]) / strides[axis] + 1
        };
        let (height_1, width_1) = (side(height, 0), side(width, 1));
        let mut operations = vec![Operation {
            name: "first".into(), input: 0, layer: Layer::Convolution(Convolution { activation, ..first }),
        }];
        let features = if add {
            // Same shape in and out, so that the input can be added.
            let second = convolution(&mut stream, [channels, channels / groups, 3, 1], [1, 1], [1, 0]);
            let layer = Convolution { activation: second_activation, groups, add_from: Some(1), ..second };
            operations.push(Operation { name: "second".into(), input: 1, layer: Layer::Convolution(layer) });
            channels
        } else {
            let padding = [fits(height_1, kernels[2], paddings[2]), fits(width_1, kernels[3], paddings[3])];
            let second = convolution(
                &mut stream, [out_channels, channels / groups, kernels[2], kernels[3]], [strides[2], strides[3]], padding);
            let layer = Convolution { activation: second_activation, groups, ..second };
            operations.push(Operation { name: "second".into(), input: 1, layer: Layer::Convolution(layer) });
            out_channels
        };
        tail(&mut stream, &mut operations, features, n_classes);
        FrozenModel::new(
            class_names(n_classes), PixelNormalization { mean: MEAN, std: STD }, height, width, operations,
        ).unwrap()
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_graph_agrees_with_the_naive_convolution(model in any_model(), seed: u64) {
        let pictures = random_pictures(seed, 2, model.height(), model.width());
        agrees_with_naive(&model, &pictures, 2);
    }

    #[test]
    fn any_graph_gives_the_same_bits_in_any_batch(model in any_model(), n in 1_usize..40) {
        let pictures = random_pictures(5, n, model.height(), model.width());
        let together = model.logits(&pictures, n).unwrap();
        let executor = Executor::new(&model);
        let alone: Vec<f32> = pictures
            .chunks(model.height() * model.width() * 3)
            .flat_map(|picture| executor.logits(picture, 1).unwrap())
            .collect();
        prop_assert_eq!(bits(&together), bits(&alone));
    }
}

prop_compose! {
    /// A residual block and a strided one with a 1x1 shortcut: with multiples of 16 channels and some
    /// pixels they run on Winograd's algorithm, else directly.
    fn any_residual_model()(
        seed: u64,
        height in 1_usize..24,
        width in 1_usize..24,
        channels in prop::sample::select(vec![8_usize, 16, 17, 24, 32, 40, 48]),
        wide in prop::sample::select(vec![16_usize, 33, 64, 80]),
        stride in 1_usize..3,
        activation in prop::sample::select(vec![Activation::Relu, Activation::Silu]),
    ) -> FrozenModel {
        let mut stream = Stream::new(seed, "residual model", 0, 0);
        let mut operations = Vec::new();
        let mut push = |input: usize, shape: [usize; 4], stride: usize, add_from: Option<usize>| {
            let padding = [shape[2] / 2, shape[3] / 2];
            let layer = convolution(&mut stream, shape, [stride; 2], padding);
            let activation = Some(activation).filter(|_| shape[2] == 3);
            let layer = Convolution { activation, add_from, ..layer };
            let name = format!("operation.{}", operations.len());
            operations.push(Operation { name, input, layer: Layer::Convolution(layer) });
        };
        push(0, [channels, 3, 3, 3], 1, None);
        push(1, [channels, channels, 3, 3], 1, None);
        push(2, [channels, channels, 3, 3], 1, Some(1));
        push(3, [wide, channels, 3, 3], stride, None);
        push(3, [wide, channels, 1, 1], stride, None);
        push(4, [wide, wide, 3, 3], 1, Some(5));
        tail(&mut stream, &mut operations, wide, 3);
        let normalization = PixelNormalization { mean: MEAN, std: STD };
        FrozenModel::new(class_names(3), normalization, height, width, operations).unwrap()
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn residual_graphs_agree_with_the_naive_convolution(model in any_residual_model(), seed: u64) {
        let pictures = random_pictures(seed, 1, model.height(), model.width());
        agrees_with_naive(&model, &pictures, 1);
    }

    #[test]
    fn residual_graphs_give_the_same_bits_in_any_batch_and_on_any_threads(
        model in any_residual_model(), n in 1_usize..10, threads in 1_usize..9,
    ) {
        let pictures = random_pictures(6, n, model.height(), model.width());
        let executor = Executor::new(&model);
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let together = pool.install(|| executor.logits(&pictures, n).unwrap());
        let alone: Vec<f32> = pictures
            .chunks(model.height() * model.width() * 3)
            .flat_map(|picture| executor.logits(picture, 1).unwrap())
            .collect();
        prop_assert_eq!(bits(&together), bits(&alone));
    }
}

#[test]
fn slices_of_a_large_batch_give_the_same_bits() {
    let model = small_frozen(3);
    let executor = Executor::new(&model);
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build();
    let pictures = random_pictures(7, 150, 9, 7);
    let together = pool
        .unwrap()
        .install(|| executor.logits(&pictures, 150).unwrap());
    let alone = pictures.chunks(9 * 7 * 3);
    let alone: Vec<f32> = alone
        .flat_map(|picture| executor.logits(picture, 1).unwrap())
        .collect();
    assert_eq!(bits(&together), bits(&alone));
}

pub fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

#[test]
fn residual_graph_agrees_with_the_naive_convolution() {
    let model = small_frozen(1);
    agrees_with_naive(&model, &random_pictures(2, 6, 9, 7), 6);
}

#[test]
fn pooled_graph_agrees_with_the_naive_one_alone_and_in_a_batch() {
    let model = pooled_frozen(1);
    let pictures = random_pictures(2, 6, 13, 15);
    agrees_with_naive(&model, &pictures, 6);
    let executor = Executor::new(&model);
    let together = executor.logits(&pictures, 6).unwrap();
    let alone = pictures.chunks(13 * 15 * 3);
    let alone: Vec<f32> = alone
        .flat_map(|picture| executor.logits(picture, 1).unwrap())
        .collect();
    assert_eq!(bits(&together), bits(&alone));
}

#[test]
fn averaging_takes_the_mean_over_the_views_of_a_picture() {
    let model = small_frozen(1);
    let (height, width, n) = (9, 7, 150);
    let pictures = random_pictures(2, n, height, width);
    // The source of each pixel of a shifted image is counted from the border over which it is shifted.
    let reflected = |position: usize, offset: isize, side: usize| {
        let at = (position as isize + offset).unsigned_abs();
        at.min(2 * (side - 1) - at)
    };
    let view = |offset: isize, mirrored: bool| -> Vec<u8> {
        let mut pixels = Vec::new();
        for picture in pictures.chunks(height * width * 3) {
            for (row, column) in (0..height).flat_map(|row| (0..width).map(move |x| (row, x))) {
                let column = if mirrored { width - 1 - column } else { column };
                let row = reflected(row, offset, height);
                let column = reflected(column, offset, width);
                pixels.extend(&picture[3 * (row * width + column)..][..3]);
            }
        }
        pixels
    };
    for views in AVERAGES {
        let averaging = model.clone().with_views(views);
        let offsets: &[isize] = if views.shifted { &[0, 1, -1] } else { &[0] };
        let mirrored: &[bool] = if views.mirrored {
            &[false, true]
        } else {
            &[false]
        };
        let all: Vec<Vec<f32>> = mirrored
            .iter()
            .flat_map(|&mirrored| offsets.iter().map(move |&offset| (offset, mirrored)))
            .map(|(offset, mirrored)| model.logits(&view(offset, mirrored), n).unwrap())
            .collect();
        let passes = all.len() as u64;
        assert_eq!(averaging.multiply_adds(), passes * model.multiply_adds());
        let mean = |index: usize| {
            let sum: f32 = all.iter().map(|logits| logits[index]).sum();
            sum * (1.0 / passes as f32)
        };
        let expected: Vec<f32> = (0..all[0].len()).map(mean).collect();
        let found = averaging.logits(&pictures, n).unwrap();
        assert_eq!(bits(&found), bits(&expected), "{views:?}");
        let alone: Vec<f32> = pictures
            .chunks(height * width * 3)
            .flat_map(|picture| averaging.logits(picture, 1).unwrap())
            .collect();
        assert_eq!(bits(&found), bits(&alone));
    }
    // An image and its mirror image have the same two views.
    let averaging = model.clone().with_views(AVERAGES[0]);
    let [found, mirrored] = [false, true].map(|mirrored| view(0, mirrored));
    assert_eq!(
        bits(&averaging.logits(&found, n).unwrap()),
        bits(&averaging.logits(&mirrored, n).unwrap())
    );
    let logits = AVERAGES.map(|views| {
        model
            .clone()
            .with_views(views)
            .logits(&pictures, n)
            .unwrap()
    });
    assert!(logits[0] != logits[1] && logits[1] != logits[2]);
}

#[test]
fn groups_and_strides_that_do_not_fit_are_refused() {
    let refused = |position: usize, change: &dyn Fn(&mut Layer), expected: &str| {
        let mut operations = pooled_frozen(1).operations().to_vec();
        change(&mut operations[position].layer);
        let normalization = PixelNormalization {
            mean: MEAN,
            std: STD,
        };
        let error = FrozenModel::new(class_names(4), normalization, 13, 15, operations);
        let error = error.unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    };
    for (groups, expected) in [
        (
            0,
            "takes 3 channels in each of 0 groups, but its input has 6",
        ),
        (1, "takes 3 channels, but its input has 6"),
        (usize::MAX, "channels in each of"),
    ] {
        let change = |layer: &mut Layer| match layer {
            Layer::Convolution(layer) => layer.groups = groups,
            _ => unreachable!(),
        };
        refused(2, &change, expected);
    }
    for windows in [[0, 1], [65, 0], [1, 2], [1, usize::MAX]] {
        let change = |layer: &mut Layer| match layer {
            Layer::MaxPool {
                stride, padding, ..
            } => [*stride, *padding] = windows,
            _ => unreachable!(),
        };
        let [stride, padding] = windows;
        let expected = format!("with stride {stride} and padding {padding}");
        refused(3, &change, &expected);
    }
}

#[test]
fn windows_that_do_not_fit_are_refused() {
    for window in [0, 4, 16] {
        let mut operations = pooled_frozen(1).operations().to_vec();
        // On a map of 6x7 pixels, then on one of 3x3.
        operations[3].layer = Layer::MaxPool {
            window: 3,
            stride: 3,
            padding: 0,
            activation: None,
        };
        operations.insert(
            4,
            Operation {
                name: "more".into(),
                input: 4,
                layer: Layer::MaxPool {
                    window,
                    stride: window,
                    padding: 0,
                    activation: None,
                },
            },
        );
        let normalization = PixelNormalization {
            mean: MEAN,
            std: STD,
        };
        let error = FrozenModel::new(class_names(4), normalization, 13, 15, operations);
        let error = error.unwrap_err().to_string();
        assert!(
            error.contains(&format!("windows of {window} pixels")),
            "{error}"
        );
    }
}

#[test]
fn deep_sums_are_split_and_agree() {
    let mut stream = Stream::new(4, "deep", 0, 0);
    let conv = |name: &str, input, layer| Operation {
        name: name.into(),
        input,
        layer: Layer::Convolution(layer),
    };
    // 520 channels exceed one part of a sum, 130 x 9 taps are several parts.
    let mut operations = vec![
        conv(
            "a",
            0,
            convolution(&mut stream, [130, 3, 3, 3], [1, 1], [1, 1]),
        ),
        conv(
            "b",
            1,
            convolution(&mut stream, [520, 130, 3, 3], [2, 2], [1, 1]),
        ),
        conv(
            "c",
            2,
            convolution(&mut stream, [33, 520, 2, 2], [1, 1], [0, 0]),
        ),
    ];
    tail(&mut stream, &mut operations, 33, 3);
    let normalization = PixelNormalization {
        mean: MEAN,
        std: STD,
    };
    let model = FrozenModel::new(class_names(3), normalization, 5, 5, operations).unwrap();
    agrees_with_naive(&model, &random_pictures(9, 3, 5, 5), 3);
}

#[test]
fn threads_do_not_change_a_bit() {
    let mut stream = Stream::new(8, "threads", 0, 0);
    let conv = |name: &str, input, layer| Operation {
        name: name.into(),
        input,
        layer: Layer::Convolution(layer),
    };
    let mut operations = vec![
        conv(
            "wide",
            0,
            convolution(&mut stream, [70, 3, 3, 3], [1, 1], [1, 1]),
        ),
        conv(
            "narrow",
            1,
            convolution(&mut stream, [200, 70, 3, 3], [8, 8], [1, 1]),
        ),
    ];
    tail(&mut stream, &mut operations, 200, 5);
    let normalization = PixelNormalization {
        mean: MEAN,
        std: STD,
    };
    let model = FrozenModel::new(class_names(5), normalization, 31, 33, operations).unwrap();
    for n in [1, 2, 5, 37] {
        let pictures = random_pictures(n as u64, n, 31, 33);
        let mut seen = Vec::new();
        for threads in [1, 2, 3, 8] {
            let pool = rayon::ThreadPoolBuilder::new()
                .num_threads(threads)
                .build()
                .unwrap();
            seen.push(bits(&pool.install(|| model.logits(&pictures, n).unwrap())));
        }
        assert!(seen.iter().all(|logits| *logits == seen[0]), "batch of {n}");
    }
}

#[test]
fn repeated_calls_reuse_memory_without_leaking_values_between_pictures() {
    let model = small_frozen(2);
    let executor = Executor::new(&model);
    let (a, b) = (random_pictures(1, 5, 9, 7), random_pictures(2, 2, 9, 7));
    let first = executor.logits(&a, 5).unwrap();
    let other = executor.logits(&b, 2).unwrap();
    assert_eq!(executor.logits(&a, 5).unwrap(), first);
    assert_eq!(executor.logits(&b, 2).unwrap(), other);
    assert!(executor.logits(&[], 0).unwrap().is_empty());
}

#[test]
fn wrong_lengths_are_refused_with_both_sizes() {
    let model = small_frozen(1);
    let error = model.logits(&[0; 100], 2).unwrap_err();
    assert!(matches!(error, ExportError::PixelCount { .. }));
    assert_eq!(
        error.to_string(),
        "2 images of 9x7 RGB pixels have 378 bytes, but 100 were given"
    );
    assert!(model.logits(&[0; 100], usize::MAX).is_err());
}
