use mlestar_kernels::{
    Activation, Algorithm, Conv2dShape, Epilogue, Level, PackedConv2d, Padding, Values,
    conv2d_input_gradient_with, conv2d_weight_gradient_with, conv2d_with,
};
use proptest::prelude::*;

use crate::reference::{self, largest_error, random};

/// Largest error of a sum of `terms` products of standard normal values, in units of the sum's own
/// deviation. One after the other, the roundings of the partial sums add up like a random walk whose
/// steps are as large as the sum is: simulated for 9, 432 and 1,800 terms, one error in 100,000 is above
/// `5.1`, `31` and `68` times the precision, with a tail that falls exponentially, by a decade for each
/// `1.1`, `9` and `17` more. These limits are eight decades or more beyond that, since a run looks at
/// millions of sums, and a product left out would still be a thousand times larger.
fn tolerance(algorithm: Algorithm, terms: usize) -> f64 {
    let direct = f64::from(f32::EPSILON) * (12.0 + 5.0 * (terms as f64).sqrt());
    match algorithm {
        Algorithm::Direct => direct,
        // The transforms round values of their own, however short the sum.
        Algorithm::Winograd => 6.0 * direct + 100.0 * f64::from(f32::EPSILON),
        // Two roundings of 2^-9: of one product, of factors up to 5.5, and at random in a sum of many (0.0023).
        Algorithm::DirectBfloat16 => 0.02 + 0.15 / (terms.max(1) as f64).sqrt(),
        // bfloat16's roundings of 2^-9, four times as large after the transforms, however long the sum: the
        // largest of 100,000 errors was 0.06 (`docs/winograd_points.py`), and some tens of millions are looked at.
        _ => 0.25,
    }
}

fn check(shape: &Conv2dShape, seed: u64) {
    let input = random(seed, "input", shape.input_len());
    let weight = random(seed, "weight", shape.weight_len());
    let errors = random(seed, "errors", shape.output_len());
    let taps = shape.kernel[0] * shape.kernel[1];
    let [height, width] = shape.output();
    let scale = |terms: usize| (terms.max(1) as f64).sqrt();
    let forward = reference::forward(shape, &input, &weight);
    let input_gradient = reference::input_gradient(shape, &errors, &weight);
    let weight_gradient = reference::weight_gradient(shape, &input, &errors);
    for level in Level::available() {
        for algorithm in Algorithm::ALL {
            if !algorithm.applies(shape) {
                continue;
            }
            let limit = |terms: usize| tolerance(algorithm, terms);
            let context = format!("{shape:?} {level:?} {algorithm:?}");

            let mut found = vec![f32::NAN; shape.output_len()];
            let plain = Epilogue::default();
            conv2d_with(level, algorithm, shape, &input, &weight, plain, &mut found).unwrap();
            let terms = taps * shape.channels_in;
            let error = largest_error(&found, &forward, scale(terms));
            assert!(error < limit(terms), "forward {context}: {error}");

            let packed = PackedConv2d::with_level(*shape, algorithm, &weight, level).unwrap();
            let mut again = vec![f32::NAN; shape.output_len()];
            packed.run(shape.n, &input, plain, &mut again).unwrap();
            assert_eq!(found, again, "{context}");

            let mut found = vec![f32::NAN; shape.input_len()];
            conv2d_input_gradient_with(level, algorithm, shape, &errors, &weight, &mut found)
                .unwrap();
            let terms = taps * shape.channels_out;
            let error = largest_error(&found, &input_gradient, scale(terms));
            assert!(error < limit(terms), "input gradient {context}: {error}");

            let mut found = vec![f32::NAN; shape.weight_len()];
            conv2d_weight_gradient_with(level, algorithm, shape, &input, &errors, &mut found)
                .unwrap();
            let pixels = shape.n * height * width;
            let error = largest_error(&found, &weight_gradient, scale(pixels));
            assert!(error < limit(pixels), "weight gradient {context}: {error}");
        }
    }
}

/// Up to `most` pixels on each of the four sides.
fn padding(most: usize) -> impl Strategy<Value = Padding> {
    prop::array::uniform4(0..=most).prop_map(|[top, left, bottom, right]| Padding {
        start: [top, left],
        end: [bottom, right],
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn any_shape_agrees_with_the_definition(
        seed in any::<u64>(),
        n in 1_usize..=9,
        input in [1_usize..=13, 1_usize..=13],
        channels in [1_usize..=40, 1_usize..=64],
        kernel in [1_usize..=4, 1_usize..=4],
        stride in [1_usize..=3, 1_usize..=3],
        padding in padding(3),
        dilation in [1_usize..=2, 1_usize..=2],
    ) {
        let shape = Conv2dShape {
            n, input, channels_in: channels[0], channels_out: channels[1], kernel, stride, padding,
            dilation,
        };
        prop_assume!(shape.check().is_ok());
        check(&shape, seed);
    }

    #[test]
    fn shapes_for_winograd_agree_with_the_definition(
        seed in any::<u64>(),
        n in 1_usize..=9,
        input in [1_usize..=19, 1_usize..=19],
        channels in [1_usize..=4, 1_usize..=4],
        padding in padding(2),
    ) {
        let shape = Conv2dShape {
            padding,
            ..Conv2dShape::square(n, input, channels.map(|c| 16 * c), 3, 1, 1)
        };
        prop_assume!(shape.check().is_ok());
        prop_assert!(Algorithm::Winograd.applies(&shape));
        check(&shape, seed);
    }

    #[test]
    fn shapes_for_blocks_agree_with_the_definition(
        seed in any::<u64>(),
        n in prop::sample::select(vec![1_usize, 9, 31, 32, 33, 65]),
        input in [1_usize..=5, 1_usize..=5],
        channels in [1_usize..=3, 1_usize..=3],
        kernel in [1_usize..=3, 1_usize..=3],
        stride in [1_usize..=3, 1_usize..=3],
        padding in padding(2),
        dilation in [1_usize..=2, 1_usize..=2],
    ) {
        let shape = Conv2dShape {
            n, input, channels_in: 16 * channels[0], channels_out: 16 * channels[1], kernel, stride,
            padding, dilation,
        };
        prop_assume!(shape.check().is_ok());
        prop_assert!(Algorithm::DirectBfloat16.applies(&shape));
        check(&shape, seed);
    }

    #[test]
    fn the_epilogue_adds_and_cuts(
        seed in any::<u64>(), n in 1_usize..=3, side in 1_usize..=9,
        algorithm in prop::sample::select(vec![
            Algorithm::Direct, Algorithm::Winograd, Algorithm::DirectBfloat16,
        ]),
        channels in 1_usize..=3, with in [any::<bool>(), any::<bool>()],
        activation in prop::option::of(prop::sample::select(vec![
            Activation::Relu, Activation::Relu6, Activation::Silu,
        ])),
    ) {
        let channels = channels * if algorithm == Algorithm::Direct { 7 } else { 16 };
        let shape = Conv2dShape::square(n, [side, side], [channels; 2], 3, 1, 1);
        let input = random(seed, "input", shape.input_len());
        let weight = random(seed, "weight", shape.weight_len());
        let bias = random(seed, "bias", channels);
        let residual = random(seed, "residual", shape.output_len());
        let mut expected = reference::forward(&shape, &input, &weight);
        for (index, value) in expected.iter_mut().enumerate() {
            if with[0] {
                *value += f64::from(bias[index % channels]);
            }
            if with[1] {
                *value += f64::from(residual[index]);
            }
            *value = match activation {
                None => *value,
                Some(Activation::Relu) => value.max(0.0),
                Some(Activation::Relu6) => value.clamp(0.0, 6.0),
                Some(Activation::Silu) => *value / (1.0 + (-*value).exp()),
            };
        }
        let epilogue = Epilogue {
            bias: with[0].then_some(&bias[..]),
            residual: with[1].then_some(Values::F32(&residual)),
            activation,
        };
        for level in Level::available() {
            let mut found = vec![f32::NAN; shape.output_len()];
            conv2d_with(level, algorithm, &shape, &input, &weight, epilogue, &mut found).unwrap();
            let error = largest_error(&found, &expected, (9.0 * channels as f64).sqrt());
            prop_assert!(error < tolerance(algorithm, 9 * channels), "{level:?}: {error}");
        }
    }
}

/// The layers of the reference network, and some of networks for photographs.
#[test]
fn layers_of_networks() {
    for (side, channels, kernel, stride) in [
        (32, [3, 64], 3, 1),
        (35, [3, 64], 7, 2),
        (34, [3, 32], 3, 2),
        (28, [32, 16], 1, 1),
        (14, [16, 96], 1, 1),
        (7, [160, 48], 1, 1),
        (16, [64, 64], 3, 1),
        (16, [64, 64], 1, 2),
        (8, [128, 128], 3, 1),
        (8, [128, 256], 3, 2),
        (4, [256, 256], 3, 1),
    ] {
        let padding = kernel / 2;
        check(
            &Conv2dShape::square(2, [side, side], channels, kernel, stride, padding),
            7,
        );
    }
}

#[test]
fn no_pictures_are_no_work() {
    for channels in [5, 16] {
        let shape = Conv2dShape::square(0, [8, 8], [channels, channels], 3, 1, 1);
        check(&shape, 1);
    }
}

fn root_mean_square(found: &[f32], expected: &[f64], scale: f64) -> f64 {
    let squares = found.iter().zip(expected).map(|(found, expected)| {
        let error = (f64::from(*found) - expected) / scale;
        error * error
    });
    (squares.sum::<f64>() / found.len() as f64).sqrt()
}

/// Products of bfloat16 deviate by this share of the results' deviation, and not by much less: otherwise they
/// would not have been rounded. With half of the channels left out it would be seven tenths.
#[test]
fn products_of_bfloat16_are_off_by_their_rounding() {
    // Winograd's transforms make the rounding errors of its factors about five times as large.
    check_rounding(Algorithm::WinogradBfloat16, 0.005..0.02);
    check_rounding(Algorithm::DirectBfloat16, 0.001..0.004);
}

fn check_rounding(algorithm: Algorithm, range: std::ops::Range<f64>) {
    let shape = Conv2dShape::square(5, [11, 14], [48, 32], 3, 1, 1);
    let input = random(5, "input", shape.input_len());
    let weight = random(5, "weight", shape.weight_len());
    let errors = random(5, "errors", shape.output_len());
    for level in Level::available() {
        let mut found = vec![f32::NAN; shape.output_len()];
        let plain = Epilogue::default();
        conv2d_with(level, algorithm, &shape, &input, &weight, plain, &mut found).unwrap();
        let mut dx = vec![f32::NAN; shape.input_len()];
        conv2d_input_gradient_with(level, algorithm, &shape, &errors, &weight, &mut dx).unwrap();
        let mut dw = vec![f32::NAN; shape.weight_len()];
        conv2d_weight_gradient_with(level, algorithm, &shape, &input, &errors, &mut dw).unwrap();
        for (what, found, expected, terms) in [
            (
                "output",
                &found,
                reference::forward(&shape, &input, &weight),
                9 * 48,
            ),
            (
                "input gradient",
                &dx,
                reference::input_gradient(&shape, &errors, &weight),
                9 * 32,
            ),
            (
                "weight gradient",
                &dw,
                reference::weight_gradient(&shape, &input, &errors),
                5 * 11 * 14,
            ),
        ] {
            let error = root_mean_square(found, &expected, f64::from(terms).sqrt());
            assert!(
                range.contains(&error),
                "{level:?} {algorithm:?} {what}: {error}"
            );
        }
    }
}

/// Every number of threads gives the same bits.
#[test]
fn results_do_not_depend_on_the_number_of_threads() {
    for (channels, stride, algorithm) in [
        ([16, 32], 1, Algorithm::Winograd),
        ([16, 32], 1, Algorithm::WinogradBfloat16),
        ([48, 32], 1, Algorithm::DirectBfloat16),
        ([16, 80], 2, Algorithm::DirectBfloat16),
        ([5, 33], 2, Algorithm::Direct),
        ([16, 64], 2, Algorithm::Direct),
    ] {
        // More images than a block has rows.
        let shape = Conv2dShape::square(37, [12, 9], channels, 3, stride, 1);
        let input = random(3, "input", shape.input_len());
        let weight = random(3, "weight", shape.weight_len());
        let errors = random(3, "errors", shape.output_len());
        let level = Level::current();
        let all = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new()
                .num_threads(threads)
                .build()
                .unwrap();
            pool.install(|| {
                let mut output = vec![0.0; shape.output_len()];
                let mut dx = vec![0.0; shape.input_len()];
                let mut dw = vec![0.0; shape.weight_len()];
                let plain = Epilogue::default();
                conv2d_with(
                    level,
                    algorithm,
                    &shape,
                    &input,
                    &weight,
                    plain,
                    &mut output,
                )
                .unwrap();
                conv2d_input_gradient_with(level, algorithm, &shape, &errors, &weight, &mut dx)
                    .unwrap();
                conv2d_weight_gradient_with(level, algorithm, &shape, &input, &errors, &mut dw)
                    .unwrap();
                (output, dx, dw)
            })
        };
        let one = all(1);
        for threads in [2, 3, 7] {
            assert!(one == all(threads), "{threads} threads, {shape:?}");
        }
    }
}

#[test]
fn arguments_that_do_not_fit_are_refused() {
    let shape = Conv2dShape::square(1, [4, 4], [2, 3], 3, 1, 1);
    let good = |shape: &Conv2dShape| {
        (
            vec![0.0; shape.input_len()],
            vec![0.0; shape.weight_len()],
            vec![0.0; shape.output_len()],
        )
    };
    let (input, weight, mut output) = good(&shape);
    let level = Level::current();
    let mut run = |input: &[f32], weight: &[f32], epilogue, algorithm| {
        conv2d_with(
            level,
            algorithm,
            &shape,
            input,
            weight,
            epilogue,
            &mut output,
        )
        .unwrap_err()
        .to_string()
    };
    let plain = Epilogue::default();
    let bias = Epilogue {
        bias: Some(&[0.0]),
        ..plain
    };
    let residual = Epilogue {
        residual: Some(Values::F32(&[0.0])),
        ..plain
    };
    let direct = Algorithm::Direct;
    let short = run(&input[1..], &weight, plain, direct);
    assert_eq!(short, "input holds 31 values, but its shape needs 32");
    let short = run(&input, &weight[2..], plain, direct);
    assert_eq!(short, "weight holds 52 values, but its shape needs 54");
    let short = run(&input, &weight, bias, direct);
    assert_eq!(short, "bias holds 1 values, but its shape needs 3");
    let short = run(&input, &weight, residual, direct);
    assert_eq!(short, "residual holds 1 values, but its shape needs 48");
    let refused = run(&input, &weight, plain, Algorithm::Winograd);
    assert!(refused.contains("channels in multiples of 16"), "{refused}");
}
