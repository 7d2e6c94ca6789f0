//! Convolutions of bytes compared with their definition in 64-bit integers, and the forms of values.

use mlestar_kernels::{
    Activation, Algorithm, ByteScale, Conv2dShape, Epilogue, Level, PackedConv2d, Padding,
    QuantizedWeights, Values, ValuesMut, convert,
};
use mlestar_random::Stream;
use proptest::prelude::*;

use crate::reference::random;

const INPUT: ByteScale = ByteScale {
    scale: 0.03,
    zero_point: 131,
};
const OUTPUT: ByteScale = ByteScale {
    scale: 0.11,
    zero_point: 77,
};
const RESIDUAL: ByteScale = ByteScale {
    scale: 0.05,
    zero_point: 3,
};

/// All the arguments of one convolution.
struct Layer {
    shape: Conv2dShape,
    input: Vec<u8>,
    weight: Vec<i8>,
    steps: Vec<f32>,
    bias: Vec<i32>,
    zero_point: u8,
    residual: Vec<u8>,
}

impl Layer {
    /// With the largest bytes and weights frequent, so that narrow sums would saturate.
    fn random(shape: Conv2dShape, zero_point: u8, seed: u64) -> Self {
        let mut stream = Stream::new(seed, "bytes", 0, 0);
        let mut byte = |_| match stream.below(3) {
            0 => 255,
            _ => stream.below(256) as u8,
        };
        let input = (0..shape.input_len()).map(&mut byte).collect();
        let residual = (0..shape.output_len()).map(&mut byte).collect();
        let weight = (0..shape.weight_len()).map(|index| match byte(index) {
            255 => {
                if index % 2 == 0 {
                    127
                } else {
                    -127
                }
            }
            other => (other as i8).max(-127),
        });
        Self {
            weight: weight.collect(),
            steps: (0..shape.channels_out)
                .map(|c| 1e-4 * (1 + c % 7) as f32)
                .collect(),
            bias: (0..shape.channels_out as i32)
                .map(|c| 1000 * (c % 5 - 2))
                .collect(),
            shape,
            input,
            zero_point,
            residual,
        }
    }

    fn packed(&self, level: Level) -> PackedConv2d {
        let weights = QuantizedWeights {
            values: &self.weight,
            steps: &self.steps,
            bias: &self.bias,
            zero_point: self.zero_point,
        };
        PackedConv2d::quantized(self.shape, weights, level).unwrap()
    }

    fn input(&self) -> Values<'_> {
        Values::Bytes(&self.input, INPUT)
    }

    /// The integer sums with their biases.
    fn sums(&self) -> Vec<i64> {
        let shape = &self.shape;
        let [height, width] = shape.output();
        let mut sums = Vec::new();
        for index in 0..shape.n * height * width * shape.channels_out {
            let (pixel, out) = (index / shape.channels_out, index % shape.channels_out);
            let [image, y, x] = [
                pixel / (height * width),
                pixel / width % height,
                pixel % width,
            ];
            let mut sum = i64::from(self.bias[out]);
            for tap in 0..shape.kernel[0] * shape.kernel[1] {
                let [tap_y, tap_x] = [tap / shape.kernel[1], tap % shape.kernel[1]];
                let y = (y * shape.stride[0] + tap_y * shape.dilation[0])
                    .wrapping_sub(shape.padding.start[0]);
                let x = (x * shape.stride[1] + tap_x * shape.dilation[1])
                    .wrapping_sub(shape.padding.start[1]);
                if y >= shape.input[0] || x >= shape.input[1] {
                    continue;
                }
                for c in 0..shape.channels_in {
                    let at =
                        ((image * shape.input[0] + y) * shape.input[1] + x) * shape.channels_in + c;
                    let weight =
                        (out * shape.channels_in + c) * shape.kernel[0] * shape.kernel[1] + tap;
                    let value = i64::from(self.input[at]) - i64::from(self.zero_point);
                    sum += value * i64::from(self.weight[weight]);
                }
            }
            sums.push(sum);
        }
        sums
    }

    /// The results in `f32`, in the order of operations that the documentation states.
    fn results(&self, with_residual: bool, relu: bool) -> Vec<f32> {
        let sums = self.sums().into_iter().enumerate();
        sums.map(|(index, sum)| {
            let mut value = sum as f32 * self.steps[index % self.shape.channels_out];
            if with_residual {
                let steps = f32::from(self.residual[index]) - f32::from(RESIDUAL.zero_point);
                value += steps * RESIDUAL.scale;
            }
            if relu { value.max(0.0) } else { value }
        })
        .collect()
    }
}

fn byte(value: f32, scale: ByteScale) -> u8 {
    let steps = (value / scale.scale).round_ties_even();
    (steps + f32::from(scale.zero_point)).clamp(0.0, 255.0) as u8
}

fn check(layer: &Layer, with_residual: bool, relu: bool) {
    let expected = layer.results(with_residual, relu);
    let expected_bytes: Vec<u8> = expected.iter().map(|&value| byte(value, OUTPUT)).collect();
    let epilogue = Epilogue {
        bias: None,
        residual: with_residual.then_some(Values::Bytes(&layer.residual, RESIDUAL)),
        activation: relu.then_some(Activation::Relu),
    };
    for level in Level::available() {
        let packed = layer.packed(level);
        let n = layer.shape.n;
        let mut found = vec![f32::NAN; expected.len()];
        let output = ValuesMut::F32(&mut found);
        packed
            .run_values(n, layer.input(), epilogue, output)
            .unwrap();
        assert_eq!(found, expected, "{level:?} {:?}", layer.shape);
        let mut found = vec![9; expected.len()];
        let output = ValuesMut::Bytes(&mut found, OUTPUT);
        packed
            .run_values(n, layer.input(), epilogue, output)
            .unwrap();
        assert_eq!(found, expected_bytes, "{level:?} {:?}", layer.shape);
    }
}

prop_compose! {
    fn any_shape()(
        n in 1_usize..4,
        input in prop::array::uniform2(1_usize..12),
        channels_in in 1_usize..40,
        channels_out in 1_usize..70,
        kernel in prop::array::uniform2(prop::sample::select(vec![1_usize, 2, 3, 3, 5, 7])),
        stride in prop::array::uniform2(1_usize..4),
        extra in prop::array::uniform4(0_usize..2),
        dilation in prop::array::uniform2(1_usize..3),
    ) -> Conv2dShape {
        // As much padding as the kernel needs, at least.
        let missing = [0, 1].map(|axis| {
            let reach = dilation[axis] * (kernel[axis] - 1) + 1;
            reach.saturating_sub(input[axis]).div_ceil(2)
        });
        let padding = Padding {
            start: [missing[0] + extra[0], missing[1] + extra[1]],
            end: [missing[0] + extra[2], missing[1] + extra[3]],
        };
        Conv2dShape { n, input, channels_in, channels_out, kernel, stride, padding, dilation }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn every_level_gives_the_bits_of_the_definition(
        shape in any_shape(), zero_point: u8, seed: u64, with_residual: bool, relu: bool,
    ) {
        check(&Layer::random(shape, zero_point, seed), with_residual, relu);
    }
}

#[test]
fn layers_of_the_reference_network() {
    for (side, channels, kernel, stride) in [
        (32, [3, 64], 3, 1),
        (16, [64, 64], 3, 1),
        (16, [64, 64], 1, 2),
        (8, [128, 256], 3, 2),
        (1, [256, 10], 1, 1),
        (14, [3, 64], 7, 2),
        (9, [16, 16], 3, 1),
    ] {
        let shape = Conv2dShape::square(1, [side, side], channels, kernel, stride, kernel / 2);
        check(&Layer::random(shape, 128, 5), true, true);
    }
}

#[test]
fn sums_of_the_largest_products_do_not_saturate() {
    let shape = Conv2dShape::square(1, [1, 1], [1 << 15, 3], 1, 1, 0);
    for (byte, weight) in [(255, 127), (255, -128), (0, 127), (0, -128)] {
        for zero_point in [0, 255] {
            let mut layer = Layer::random(shape, zero_point, 1);
            layer.input.fill(byte);
            layer.weight.fill(weight);
            layer.bias = vec![1 << 29, -(1 << 29), 0];
            check(&layer, false, false);
        }
    }
}

#[test]
fn rows_and_images_have_the_same_bits_on_any_threads_and_in_any_batch() {
    let shape = Conv2dShape::square(5, [9, 7], [12, 40], 3, 1, 1);
    let layer = Layer::random(shape, 7, 3);
    let packed = layer.packed(Level::current());
    let run = |threads: usize, n: usize| {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        let mut output = vec![0; shape.output_len() / 5 * n];
        let input = Values::Bytes(&layer.input[..shape.input_len() / 5 * n], INPUT);
        pool.install(|| {
            let output = ValuesMut::Bytes(&mut output, OUTPUT);
            packed
                .run_values(n, input, Epilogue::default(), output)
                .unwrap();
        });
        output
    };
    let all = run(1, 5);
    for threads in [2, 3, 8] {
        assert_eq!(run(threads, 5), all);
        assert_eq!(run(threads, 1), all[..all.len() / 5]);
    }
}

#[test]
fn arguments_that_do_not_fit_are_refused() {
    let shape = Conv2dShape::square(1, [2, 2], [4, 2], 1, 1, 0);
    let weights = QuantizedWeights {
        values: &[1; 8],
        steps: &[0.5; 2],
        bias: &[0; 2],
        zero_point: 0,
    };
    let refusal = |shape, weights| {
        let packed = PackedConv2d::quantized(shape, weights, Level::current());
        packed.unwrap_err().to_string()
    };
    let short = QuantizedWeights {
        steps: &[0.5],
        ..weights
    };
    assert_eq!(
        refusal(shape, short),
        "steps holds 1 values, but its shape needs 2"
    );
    let large = QuantizedWeights {
        bias: &[0, i32::MIN],
        ..weights
    };
    assert!(refusal(shape, large).contains("a bias of -2147483648 steps"));
    let deep = Conv2dShape::square(1, [1, 1], [(1 << 15) + 1, 1], 1, 1, 0);
    let values = vec![1; (1 << 15) + 1];
    let many = QuantizedWeights {
        values: &values,
        steps: &[0.5],
        bias: &[0],
        zero_point: 0,
    };
    assert!(refusal(deep, many).contains("32769 products"));

    let packed = PackedConv2d::quantized(shape, weights, Level::current()).unwrap();
    let mut output = [0.0; 8];
    let wrong = packed.run(1, &[0.0; 16], Epilogue::default(), &mut output);
    assert!(wrong.unwrap_err().to_string().contains("another form"));
}

/// bfloat16 values in memory: as if the `f32` input had been rounded first.
#[test]
fn bfloat16_inputs_and_outputs_are_rounded_values() {
    for channels in [[5, 20], [16, 32], [48, 16]] {
        let shape = Conv2dShape::square(3, [11, 6], channels, 3, 1, 1);
        let input = random(1, "input", shape.input_len());
        let weight = random(2, "weight", shape.weight_len());
        let residual = random(3, "residual", shape.output_len());
        let mut rounded = vec![0; input.len()];
        convert(Values::F32(&input), ValuesMut::Bfloat16(&mut rounded)).unwrap();
        let mut values = vec![0.0; input.len()];
        convert(Values::Bfloat16(&rounded), ValuesMut::F32(&mut values)).unwrap();
        let mut rounded_residual = vec![0; residual.len()];
        convert(
            Values::F32(&residual),
            ValuesMut::Bfloat16(&mut rounded_residual),
        )
        .unwrap();
        let weights_rounded = {
            let mut bits = vec![0; weight.len()];
            convert(Values::F32(&weight), ValuesMut::Bfloat16(&mut bits)).unwrap();
            let mut values = vec![0.0; weight.len()];
            convert(Values::Bfloat16(&bits), ValuesMut::F32(&mut values)).unwrap();
            values
        };
        let expected = crate::reference::forward(&shape, &values, &weights_rounded);
        let epilogue = Epilogue {
            residual: Some(Values::Bfloat16(&rounded_residual)),
            ..Epilogue::default()
        };
        for level in Level::available() {
            let mut kernels = vec![PackedConv2d::bfloat16(shape, &weight, level).unwrap()];
            if Algorithm::DirectBfloat16.applies(&shape) {
                let blocked = Algorithm::DirectBfloat16;
                kernels.push(PackedConv2d::with_level(shape, blocked, &weight, level).unwrap());
            }
            for kernel in kernels {
                let mut output = vec![0; expected.len()];
                let input = Values::Bfloat16(&rounded);
                kernel
                    .run_values(3, input, epilogue, ValuesMut::Bfloat16(&mut output))
                    .unwrap();
                for (index, found) in output.iter().enumerate() {
                    let found = f64::from(f32::from_bits(u32::from(*found) << 16));
                    let added = f32::from_bits(u32::from(rounded_residual[index]) << 16);
                    let expected = expected[index] + f64::from(added);
                    // The output's own rounding, and that of the sums.
                    let limit = expected.abs() / 256.0 + 1e-3;
                    assert!(
                        (found - expected).abs() < limit,
                        "{level:?}: {found} {expected}"
                    );
                }
            }
        }
    }
}
