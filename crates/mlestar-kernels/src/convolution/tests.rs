//! The convolutions at every vector width, including those that this processor does not have, with the checks
//! of `cfg(test)` in the innermost loops.

use mlestar_random::Stream;

use super::packed::{PackExact, PackQuads, PackRounded, RunBytes, RunExact, RunRounded, Way};
use super::*;
use crate::{ByteScale, simd::Portable};

fn random(what: &str, len: usize) -> Vec<f32> {
    let mut stream = Stream::new(11, what, 0, 0);
    (0..len).map(|_| stream.normal() as f32).collect()
}

/// Output, input gradient and weight gradient.
fn all<S: Simd>(simd: S, shape: &Conv2dShape, algorithm: Algorithm) -> [Vec<f32>; 3] {
    let input = random("input", shape.input_len());
    let weight = random("weight", shape.weight_len());
    let errors = random("errors", shape.output_len());
    let bias = random("bias", shape.channels_out);
    let residual = random("residual", shape.output_len());
    let mut results = [
        vec![f32::NAN; shape.output_len()],
        vec![f32::NAN; shape.input_len()],
        vec![f32::NAN; shape.weight_len()],
    ];
    let [output, input_gradient, weight_gradient] = &mut results;
    let weights = WeightView::forward(shape, &weight);
    let arguments = Arguments {
        n: shape.n,
        input: Values::F32(&input),
        weight: weights,
        finish: Epilogue {
            bias: Some(&bias),
            residual: Some(Values::F32(&residual)),
            activation: Some(Activation::Relu),
        }
        .finish(),
        output: ValuesMut::F32(output),
    };
    let gradient = InputGradient {
        shape,
        algorithm,
        output_gradient: &errors,
        weight: &weight,
        input_gradient,
    };
    let from = [&input[..], &errors];
    match algorithm {
        Algorithm::Direct | Algorithm::Winograd => {
            let packed = simd.vectorize(PackExact(shape, algorithm, weights));
            simd.vectorize(RunExact(&packed, arguments));
            simd.vectorize(gradient);
        }
        Algorithm::WinogradBfloat16 | Algorithm::DirectBfloat16 => {
            let way = match algorithm {
                Algorithm::DirectBfloat16 => Way::Blocked,
                _ => Way::Winograd,
            };
            let packed = simd.vectorize(PackRounded(shape, way, weights));
            simd.vectorize(RunRounded(&packed, arguments));
            simd.vectorize(RoundedInputGradient(gradient));
        }
    }
    match algorithm {
        Algorithm::Direct => simd.vectorize(WeightGradient(shape, from, weight_gradient)),
        Algorithm::Winograd => {
            simd.vectorize(WinogradWeightGradient(shape, from, weight_gradient));
        }
        _ => simd.vectorize(RoundedWeightGradient(
            shape,
            algorithm,
            from,
            weight_gradient,
        )),
    }
    results
}

/// The largest allowed difference for sums of `terms` products.
fn tolerance(algorithm: Algorithm, terms: usize) -> f32 {
    match algorithm {
        Algorithm::Direct | Algorithm::Winograd => 2e-3,
        Algorithm::DirectBfloat16 => 0.04 * (terms as f32).sqrt(),
        Algorithm::WinogradBfloat16 => 0.1 * (terms as f32).sqrt(),
    }
}

fn check_close(
    found: &[Vec<f32>; 3],
    expected: &[Vec<f32>; 3],
    (shape, algorithm, lanes): (&Conv2dShape, Algorithm, usize),
) {
    let [height, width] = shape.output();
    let terms = [
        shape.taps() * shape.channels_in,
        shape.taps() * shape.channels_out,
        shape.n * height * width,
    ];
    for (part, (found, expected)) in found.iter().zip(expected).enumerate() {
        for (index, (found, expected)) in found.iter().zip(expected).enumerate() {
            let error = (found - expected).abs();
            assert!(
                error < tolerance(algorithm, terms[part]),
                "{lanes} lanes, {algorithm:?}, {shape:?} part {part} value {index}: {found} and not {expected}"
            );
        }
    }
}

#[test]
fn every_width_gives_the_same_results() {
    for shape in [
        Conv2dShape::square(2, [9, 6], [16, 32], 3, 1, 1),
        Conv2dShape::square(1, [4, 4], [48, 16], 3, 1, 0),
        Conv2dShape::square(3, [7, 5], [3, 37], 3, 1, 1),
        Conv2dShape::square(2, [8, 9], [16, 33], 3, 2, 1),
        Conv2dShape::square(2, [8, 8], [5, 64], 1, 2, 0),
    ] {
        // One lane, tap by tap, is the simplest computation; the integration tests compare it with the
        // definition.
        let expected = all(Portable::<1>, &shape, Algorithm::Direct);
        for algorithm in Algorithm::ALL {
            if !algorithm.applies(&shape) {
                continue;
            }
            let context = |lanes: usize| (&shape, algorithm, lanes);
            check_close(
                &all(Portable::<1>, &shape, algorithm),
                &expected,
                context(1),
            );
            check_close(
                &all(Portable::<4>, &shape, algorithm),
                &expected,
                context(4),
            );
            check_close(
                &all(Portable::<8>, &shape, algorithm),
                &expected,
                context(8),
            );
            check_close(
                &all(Portable::<16>, &shape, algorithm),
                &expected,
                context(16),
            );
        }
    }
}

/// The cases for the matrix unit, and those computed without it.
#[test]
fn the_fastest_algorithm_is_that_of_shape_precision_and_level() {
    let shape = |n, channels, stride| Conv2dShape::square(n, [8, 8], channels, 3, stride, 1);
    for level in Level::available() {
        let unit = level.has_matrix_unit();
        for (shape, with_unit, without) in [
            (shape(64, [16, 32], 1), true, Algorithm::WinogradBfloat16),
            (shape(8, [16, 32], 1), true, Algorithm::WinogradBfloat16),
            (shape(7, [16, 32], 1), false, Algorithm::WinogradBfloat16),
            (shape(64, [16, 32], 2), true, Algorithm::Direct),
            (shape(64, [3, 32], 1), false, Algorithm::Direct),
        ] {
            let expected = match unit && with_unit {
                true => Algorithm::DirectBfloat16,
                false => without,
            };
            let found = Algorithm::fastest_in(level, &shape, Precision::Bfloat16);
            assert_eq!(found, expected, "{level:?} {shape:?}");
            let exact = Algorithm::fastest_in(level, &shape, Precision::F32);
            assert!(matches!(exact, Algorithm::Direct | Algorithm::Winograd));
        }
    }
}

/// Bytes at the largest and at random values: results and requantised results.
fn of_bytes<S: Simd>(simd: S, shape: &Conv2dShape) -> (Vec<f32>, Vec<u8>) {
    let mut stream = Stream::new(5, "bytes", 0, 0);
    let input: Vec<u8> = (0..shape.input_len())
        .map(|index| {
            if index % 3 == 0 {
                255
            } else {
                stream.below(256) as u8
            }
        })
        .collect();
    let values: Vec<i8> = (0..shape.weight_len())
        .map(|index| {
            if index % 4 < 2 {
                127
            } else {
                stream.below(255) as i8
            }
        })
        .collect();
    let weights = QuantizedWeights {
        values: &values,
        steps: &vec![1e-3; shape.channels_out],
        bias: &vec![-77; shape.channels_out],
        zero_point: 9,
    };
    let packed = simd.vectorize(PackQuads(shape, weights));
    let scale = ByteScale {
        scale: 0.7,
        zero_point: 31,
    };
    let mut results = vec![f32::NAN; shape.output_len()];
    let mut bytes = vec![1; shape.output_len()];
    for output in [
        ValuesMut::F32(&mut results),
        ValuesMut::Bytes(&mut bytes, scale),
    ] {
        let arguments = Arguments {
            n: shape.n,
            input: Values::Bytes(&input, scale),
            weight: WeightView::forward(shape, &[]),
            finish: Epilogue::default().finish(),
            output,
        };
        simd.vectorize(RunBytes(&packed, arguments));
    }
    (results, bytes)
}

#[test]
fn every_width_gives_the_same_integers() {
    for shape in [
        Conv2dShape::square(2, [7, 5], [3, 37], 3, 1, 1),
        Conv2dShape::square(1, [8, 9], [16, 12], 3, 2, 1),
        Conv2dShape::square(3, [1, 1], [70, 33], 1, 1, 0),
    ] {
        let expected = of_bytes(Portable::<1>, &shape);
        assert_eq!(of_bytes(Portable::<4>, &shape), expected);
        assert_eq!(of_bytes(Portable::<8>, &shape), expected);
        assert_eq!(of_bytes(Portable::<16>, &shape), expected);
        for found in of_bytes_in_x86(&shape) {
            assert_eq!(found, expected);
        }
    }
}

/// At every level of x86-64, with and without its instructions for bytes.
fn of_bytes_in_x86(shape: &Conv2dShape) -> Vec<(Vec<f32>, Vec<u8>)> {
    #[cfg(target_arch = "x86_64")]
    {
        use crate::simd::{Avx2, Avx512, BYTES, PLAIN};
        [
            Avx2::<PLAIN>::detect().map(|simd| of_bytes(simd, shape)),
            Avx2::<BYTES>::detect().map(|simd| of_bytes(simd, shape)),
            Avx512::<PLAIN>::detect().map(|simd| of_bytes(simd, shape)),
            Avx512::<BYTES>::detect().map(|simd| of_bytes(simd, shape)),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        let _ = shape;
        Vec::new()
    }
}
