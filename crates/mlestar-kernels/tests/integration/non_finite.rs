//! Infinity and NaN reach the values that depend on them, and no others, as in a direct convolution.

use mlestar_kernels::{
    Algorithm, Conv2dShape, Epilogue, Level, conv2d_input_gradient_with,
    conv2d_weight_gradient_with, conv2d_with,
};

use crate::reference::{self, random};

fn same_kind(algorithm: Algorithm, found: f32, expected: f64) -> bool {
    if expected.is_nan() {
        found.is_nan()
    } else if expected.is_infinite() {
        f64::from(found) == expected
    } else {
        // Results deviate by 12 to 17.
        let limit = match algorithm {
            Algorithm::Direct | Algorithm::Winograd => 1e-3,
            _ => 2.0,
        };
        (f64::from(found) - expected).abs() < limit
    }
}

#[test]
fn they_pass_through_as_in_the_definition() {
    for shape in [
        Conv2dShape::square(2, [9, 9], [16, 32], 3, 1, 1),
        Conv2dShape::square(2, [9, 9], [3, 5], 3, 2, 1),
    ] {
        for (value, place) in [(f32::NAN, 40), (f32::INFINITY, 77), (f32::NEG_INFINITY, 3)] {
            let mut input = random(1, "input", shape.input_len());
            let mut weight = random(1, "weight", shape.weight_len());
            let mut errors = random(1, "errors", shape.output_len());
            // Weights of 0 would turn infinity into NaN through padding as well.
            weight.iter_mut().for_each(|w| *w += 0.1);
            input[place * shape.channels_in] = value;
            errors[place % 8 * shape.channels_out] = value;
            let forward = reference::forward(&shape, &input, &weight);
            let dx = reference::input_gradient(&shape, &errors, &weight);
            let dw = reference::weight_gradient(&shape, &input, &errors);
            let dw_without = reference::weight_gradient_without_padding(&shape, &input, &errors);
            let algorithms = Algorithm::ALL.into_iter().filter(|a| a.applies(&shape));
            let levels = Level::available().into_iter();
            for (level, algorithm) in levels.flat_map(|l| algorithms.clone().map(move |a| (l, a))) {
                let all_same = |found: &[f32], expected: &[f64], what: &str| {
                    for (index, (&found, &expected)) in found.iter().zip(expected).enumerate() {
                        assert!(
                            same_kind(algorithm, found, expected),
                            "{what} {index}: {found} and not {expected}; {level:?} {algorithm:?} {shape:?}"
                        );
                    }
                };
                let mut found = vec![0.0; shape.output_len()];
                let plain = Epilogue::default();
                conv2d_with(level, algorithm, &shape, &input, &weight, plain, &mut found).unwrap();
                all_same(&found, &forward, "output");
                let mut found = vec![0.0; shape.input_len()];
                conv2d_input_gradient_with(level, algorithm, &shape, &errors, &weight, &mut found)
                    .unwrap();
                all_same(&found, &dx, "input gradient");
                let mut found = vec![0.0; shape.weight_len()];
                conv2d_weight_gradient_with(level, algorithm, &shape, &input, &errors, &mut found)
                    .unwrap();
                // This algorithm leaves out what a tap sees beyond the edge.
                let dw = match algorithm {
                    Algorithm::DirectBfloat16 => &dw_without,
                    _ => &dw,
                };
                all_same(&found, dw, "weight gradient");
            }
        }
    }
}
