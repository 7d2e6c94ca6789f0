//! Depthwise convolutions compared with their definition.

use mlestar_kernels::{
    Activation, ByteScale, DepthwiseShape, Epilogue, KernelError, Level, PackedDepthwise, Padding,
    QuantizedWeights, Values, ValuesMut, convert, depthwise_conv2d_input_gradient_with,
    depthwise_conv2d_weight_gradient_with, depthwise_conv2d_with,
};
use mlestar_random::Stream;
use proptest::prelude::*;

use crate::reference::{largest_error, random};

/// Calls `visit(output, input, weight)` with the positions of every product; those in the padding are left out.
fn products(shape: &DepthwiseShape, mut visit: impl FnMut(usize, usize, usize)) {
    let [height, width] = shape.output();
    let (channels, taps) = (shape.channels, shape.kernel[0] * shape.kernel[1]);
    for pixel in 0..shape.n * height * width {
        let place = [pixel / width % height, pixel % width];
        for tap in 0..taps {
            let tap_at = [tap / shape.kernel[1], tap % shape.kernel[1]];
            let [y, x] = [0, 1].map(|axis| {
                (place[axis] * shape.stride[axis] + tap_at[axis])
                    .checked_sub(shape.padding.start[axis])
                    .filter(|&at| at < shape.input[axis])
            });
            let (Some(y), Some(x)) = (y, x) else { continue };
            let source = (pixel / (height * width) * shape.input[0] + y) * shape.input[1] + x;
            for channel in 0..channels {
                visit(
                    pixel * channels + channel,
                    source * channels + channel,
                    channel * taps + tap,
                );
            }
        }
    }
}

/// Output, input gradient and weight gradient by their definition.
fn by_definition(shape: &DepthwiseShape, [input, weight, errors]: [&[f32]; 3]) -> [Vec<f64>; 3] {
    let mut output = vec![0.0; shape.output_len()];
    let mut input_gradient = vec![0.0; shape.input_len()];
    let mut weight_gradient = vec![0.0; shape.weight_len()];
    products(shape, |to, from, tap| {
        let [x, w, e] = [input[from], weight[tap], errors[to]].map(f64::from);
        output[to] += x * w;
        input_gradient[from] += e * w;
        weight_gradient[tap] += e * x;
    });
    [output, input_gradient, weight_gradient]
}

/// All three by the kernels.
fn by_kernels(
    level: Level,
    shape: &DepthwiseShape,
    [input, weight, errors]: [&[f32]; 3],
    epilogue: Epilogue,
) -> [Vec<f32>; 3] {
    let mut output = vec![f32::NAN; shape.output_len()];
    let mut of_input = vec![f32::NAN; shape.input_len()];
    let mut of_weight = vec![f32::NAN; shape.weight_len()];
    depthwise_conv2d_with(level, shape, input, weight, epilogue, &mut output).unwrap();
    depthwise_conv2d_input_gradient_with(level, shape, errors, weight, &mut of_input).unwrap();
    depthwise_conv2d_weight_gradient_with(level, shape, input, errors, &mut of_weight).unwrap();
    [output, of_input, of_weight]
}

/// Errors grow with the number of products in a sum, as for other convolutions.
fn tolerance(terms: usize) -> f64 {
    f64::from(f32::EPSILON) * (12.0 + 5.0 * (terms as f64).sqrt())
}

fn check(shape: &DepthwiseShape, seed: u64) {
    let input = random(seed, "input", shape.input_len());
    let weight = random(seed, "weight", shape.weight_len());
    let errors = random(seed, "errors", shape.output_len());
    let arguments = [&input[..], &weight, &errors];
    let expected = by_definition(shape, arguments);
    let [height, width] = shape.output();
    let taps = shape.kernel[0] * shape.kernel[1];
    let terms = [taps, taps, shape.n * height * width];
    for level in Level::available() {
        let found = by_kernels(level, shape, arguments, Epilogue::default());
        let named = ["output", "input gradient", "weight gradient"];
        for (((found, expected), terms), what) in found.iter().zip(&expected).zip(terms).zip(named)
        {
            let error = largest_error(found, expected, (terms as f64).sqrt());
            assert!(
                error < tolerance(terms),
                "{what} {level:?} {shape:?}: {error}"
            );
        }
    }
}

prop_compose! {
    /// Small sizes, also smaller than the kernel, with as much padding as the kernel needs, at least.
    fn any_shape()(
        n in 1_usize..=6,
        input in prop::array::uniform2(1_usize..=19),
        channels in 1_usize..=70,
        kernel in prop::array::uniform2(prop::sample::select(vec![1_usize, 2, 3, 3, 5, 7])),
        stride in prop::array::uniform2(1_usize..=4),
        extra in prop::array::uniform4(0_usize..=3),
    ) -> DepthwiseShape {
        let missing = [0, 1].map(|axis| kernel[axis].saturating_sub(input[axis]).div_ceil(2));
        let padding = Padding {
            start: [missing[0] + extra[0], missing[1] + extra[1]],
            end: [missing[0] + extra[2], missing[1] + extra[3]],
        };
        DepthwiseShape { n, input, channels, kernel, stride, padding }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn any_shape_agrees_with_the_definition(seed: u64, shape in any_shape()) {
        check(&shape, seed);
    }

    #[test]
    fn epilogues_follow_the_sums(
        seed: u64, shape in any_shape(), with: [bool; 2],
        activation in prop::option::of(prop::sample::select(vec![
            Activation::Relu, Activation::Relu6, Activation::Silu,
        ])),
    ) {
        let input = random(seed, "input", shape.input_len());
        let weight = random(seed, "weight", shape.weight_len());
        let bias = random(seed, "bias", shape.channels);
        let residual = random(seed, "residual", shape.output_len());
        let zeros = vec![0.0; shape.output_len()];
        let [mut expected, ..] = by_definition(&shape, [&input, &weight, &zeros]);
        for (index, value) in expected.iter_mut().enumerate() {
            if with[0] {
                *value += f64::from(bias[index % shape.channels]);
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
        let taps = shape.kernel[0] * shape.kernel[1];
        for level in Level::available() {
            let mut found = vec![f32::NAN; shape.output_len()];
            depthwise_conv2d_with(level, &shape, &input, &weight, epilogue, &mut found).unwrap();
            let error = largest_error(&found, &expected, (taps as f64).sqrt());
            prop_assert!(error < tolerance(taps), "{level:?}: {error}");
        }
    }

    /// Exact sums, and `f32` afterwards in an order that every level keeps.
    #[test]
    fn bytes_give_the_bits_of_the_definition(
        seed: u64, shape in any_shape(), zero_point: u8, with_residual: bool, relu6: bool,
        large_bias: bool,
    ) {
        check_bytes(&shape, seed, zero_point, with_residual, relu6, large_bias);
    }

    /// Inputs and outputs in 16 or 8 bits are those of `f32`, converted.
    #[test]
    fn values_in_fewer_bits_are_converted(seed: u64, shape in any_shape()) {
        let weight = random(seed, "weight", shape.weight_len());
        let plain = random(seed, "input", shape.input_len());
        let scale = ByteScale { scale: 0.04, zero_point: 100 };
        let mut rounded = vec![0; plain.len()];
        convert(Values::F32(&plain), ValuesMut::Bfloat16(&mut rounded)).unwrap();
        let mut bytes = vec![0; plain.len()];
        convert(Values::F32(&plain), ValuesMut::Bytes(&mut bytes, scale)).unwrap();
        for level in Level::available() {
            let packed = PackedDepthwise::with_level(shape, &weight, level).unwrap();
            for input in [Values::Bfloat16(&rounded), Values::Bytes(&bytes, scale)] {
                let mut exact = vec![0.0; plain.len()];
                convert(input, ValuesMut::F32(&mut exact)).unwrap();
                let mut expected = vec![f32::NAN; shape.output_len()];
                packed.run(shape.n, &exact, Epilogue::default(), &mut expected).unwrap();
                let mut found = vec![f32::NAN; shape.output_len()];
                let (plain, to) = (Epilogue::default(), ValuesMut::F32(&mut found));
                packed.run_values(shape.n, input, plain, to).unwrap();
                prop_assert_eq!(&found, &expected);

                let mut found = vec![9; shape.output_len()];
                let (plain, to) = (Epilogue::default(), ValuesMut::Bfloat16(&mut found));
                packed.run_values(shape.n, input, plain, to).unwrap();
                let mut rounded = vec![0; shape.output_len()];
                convert(Values::F32(&expected), ValuesMut::Bfloat16(&mut rounded)).unwrap();
                prop_assert_eq!(found, rounded);
            }
        }
    }
}

fn check_bytes(
    shape: &DepthwiseShape,
    seed: u64,
    zero_point: u8,
    with_residual: bool,
    relu6: bool,
    large_bias: bool,
) {
    let mut stream = Stream::new(seed, "bytes", 0, 0);
    let mut byte = |_| match stream.below(3) {
        0 => 255,
        _ => stream.below(256) as u8,
    };
    let input: Vec<u8> = (0..shape.input_len()).map(&mut byte).collect();
    let weight: Vec<i8> = (0..shape.weight_len()).map(|_| byte(0) as i8).collect();
    let most = if large_bias { 1 << 29 } else { 50_000 };
    let bias: Vec<i32> = (0..shape.channels)
        .map(|_| stream.below(2 * most + 1) as i32 - most as i32)
        .collect();
    let steps: Vec<f32> = (0..shape.channels)
        .map(|_| 1e-4 * (1.0 + stream.uniform() as f32))
        .collect();
    let residual = random(seed, "residual", shape.output_len());
    let mut sums: Vec<i64> = (0..shape.output_len())
        .map(|index| i64::from(bias[index % shape.channels]))
        .collect();
    products(shape, |to, from, tap| {
        sums[to] += (i64::from(input[from]) - i64::from(zero_point)) * i64::from(weight[tap]);
    });
    let expected: Vec<f32> = (sums.iter().enumerate())
        .map(|(index, &sum)| {
            let mut value = sum as f32 * steps[index % shape.channels];
            if with_residual {
                value += residual[index];
            }
            if relu6 { value.clamp(0.0, 6.0) } else { value }
        })
        .collect();
    let epilogue = Epilogue {
        bias: None,
        residual: with_residual.then_some(Values::F32(&residual)),
        activation: relu6.then_some(Activation::Relu6),
    };
    let weights = QuantizedWeights {
        values: &weight,
        steps: &steps,
        bias: &bias,
        zero_point,
    };
    let scale = ByteScale {
        scale: 0.5,
        zero_point,
    };
    for level in Level::available() {
        let packed = PackedDepthwise::quantized(*shape, weights, level).unwrap();
        let input = Values::Bytes(&input, scale);
        let mut found = vec![f32::NAN; shape.output_len()];
        let to = ValuesMut::F32(&mut found);
        packed.run_values(shape.n, input, epilogue, to).unwrap();
        assert_eq!(found, expected, "{level:?} {shape:?}");

        let to_bytes = ByteScale {
            scale: 0.1,
            zero_point: 77,
        };
        let (mut found, mut rounded) = (vec![0; expected.len()], vec![1; expected.len()]);
        let to = ValuesMut::Bytes(&mut found, to_bytes);
        packed.run_values(shape.n, input, epilogue, to).unwrap();
        let to = ValuesMut::Bytes(&mut rounded, to_bytes);
        convert(Values::F32(&expected), to).unwrap();
        assert_eq!(found, rounded, "{level:?} {shape:?}");
    }
}

/// Those of EfficientNet-Lite0, with fewer channels and pixels.
#[test]
fn layers_of_networks_agree_with_the_definition() {
    for (side, channels, kernel, stride) in [
        (56, 32, 3, 1),
        (57, 48, 3, 2),
        (28, 40, 5, 2),
        (14, 112, 5, 1),
        (7, 192, 5, 1),
        (7, 192, 3, 1),
    ] {
        let even = DepthwiseShape::square(2, [side; 2], channels, kernel, stride, kernel / 2);
        check(&even, 5);
        let same = DepthwiseShape {
            padding: Padding::same([side; 2], [kernel; 2], [stride; 2]),
            ..even
        };
        check(&same, 6);
    }
}

#[test]
fn an_infinity_stays_in_the_windows_that_see_it() {
    let shape = DepthwiseShape::square(2, [9, 11], 18, 3, 1, 1);
    let mut input = random(1, "input", shape.input_len());
    let weight = random(2, "weight", shape.weight_len());
    let mut errors = random(3, "errors", shape.output_len());
    input[18 * 40 + 7] = f32::INFINITY;
    errors[18 * 60 + 17] = f32::NAN;
    let arguments = [&input[..], &weight, &errors];
    let expected = by_definition(&shape, arguments);
    for level in Level::available() {
        let found = by_kernels(level, &shape, arguments, Epilogue::default());
        for (found, expected) in found.iter().zip(&expected) {
            let same = |(found, expected): (&f32, &f64)| {
                found.is_finite() == expected.is_finite() && found.is_nan() == expected.is_nan()
            };
            assert!(found.iter().zip(expected).all(same), "{level:?}");
        }
    }
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

#[test]
fn bits_depend_on_neither_threads_nor_the_other_images() {
    for (n, side, channels, kernel, stride) in [
        (1, 30, 40, 3, 1),
        (9, 13, 33, 5, 2),
        (5, 7, 100, 5, 1),
        (3, 57, 16, 3, 2),
    ] {
        let shape = DepthwiseShape::square(n, [side; 2], channels, kernel, stride, kernel / 2);
        let input = random(1, "input", shape.input_len());
        let weight = random(2, "weight", shape.weight_len());
        let errors = random(3, "errors", shape.output_len());
        let arguments = [&input[..], &weight, &errors];
        for level in Level::available() {
            let results = [1, 2, 3, 8].map(|threads| {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
                let run = || by_kernels(level, &shape, arguments, Epilogue::default());
                pool.unwrap().install(run).map(|values| bits(&values))
            });
            assert!(
                results.iter().all(|result| *result == results[0]),
                "{shape:?} {level:?}"
            );

            let one = DepthwiseShape { n: 1, ..shape };
            for image in 0..n {
                let arguments = [
                    &input[image * one.input_len()..][..one.input_len()],
                    &weight,
                    &errors[image * one.output_len()..][..one.output_len()],
                ];
                let [output, of_input, _] = by_kernels(level, &one, arguments, Epilogue::default());
                let [outputs, of_inputs, _] = &results[0];
                assert_eq!(
                    bits(&output),
                    outputs[image * output.len()..][..output.len()]
                );
                assert_eq!(
                    bits(&of_input),
                    of_inputs[image * of_input.len()..][..of_input.len()]
                );
            }
        }
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    let shape = DepthwiseShape::square(1, [4, 6], 2, 3, 1, 1);
    let level = Level::current();
    let run = |input: &[f32], weight: &[f32], output: &mut [f32]| {
        depthwise_conv2d_with(level, &shape, input, weight, Epilogue::default(), output)
    };
    let message = |result: Result<(), KernelError>| result.unwrap_err().to_string();
    let found = message(run(&[0.0; 48], &[0.0; 9], &mut [0.0; 48]));
    assert_eq!(found, "weight holds 9 values, but its shape needs 18");
    let found = message(run(&[0.0; 47], &[0.0; 18], &mut [0.0; 48]));
    assert_eq!(found, "input holds 47 values, but its shape needs 48");
    let found = message(run(&[0.0; 48], &[0.0; 18], &mut [0.0; 49]));
    assert_eq!(found, "output holds 49 values, but its shape needs 48");

    let weights = QuantizedWeights {
        values: &[1; 18],
        steps: &[1.0; 2],
        bias: &[0, 1 << 30],
        zero_point: 0,
    };
    let error = PackedDepthwise::quantized(shape, weights, level).unwrap_err();
    assert!(
        error.to_string().contains("1073741824 steps is beyond"),
        "{error}"
    );
    let weights = QuantizedWeights {
        bias: &[0; 2],
        ..weights
    };
    let packed = PackedDepthwise::quantized(shape, weights, level).unwrap();
    assert!(!packed.takes(Values::F32(&[])));
    let error = packed
        .run(1, &[0.0; 48], Epilogue::default(), &mut [0.0; 48])
        .unwrap_err();
    assert!(error.to_string().contains("no bytes"), "{error}");
    let large = DepthwiseShape::square(1, [23, 23], 1, 23, 1, 0);
    let weights = QuantizedWeights {
        values: &[1; 529],
        steps: &[1.0],
        bias: &[0],
        zero_point: 0,
    };
    let error = PackedDepthwise::quantized(large, weights, level).unwrap_err();
    assert!(
        error.to_string().contains("529 products in a sum"),
        "{error}"
    );
    // Nothing in, nothing out.
    let none = DepthwiseShape { n: 0, ..shape };
    let empty = [&[][..], &[0.5; 18], &[]];
    let [_, _, of_weight] = by_kernels(level, &none, empty, Epilogue::default());
    assert_eq!(of_weight, [0.0; 18]);
}
