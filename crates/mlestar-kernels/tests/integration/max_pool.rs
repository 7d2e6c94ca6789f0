//! Max pooling compared with its definition, including the difficult cases.

use mlestar_kernels::{KernelError, MaxPoolShape, Padding, max_pool, max_pool_backward};
use proptest::prelude::*;

use crate::reference::random;

/// Values, and for every output the place of its input.
fn by_definition(shape: &MaxPoolShape, n: usize, input: &[f32]) -> (Vec<f32>, Vec<usize>) {
    let [height, width] = shape.output();
    let (mut values, mut places) = (Vec::new(), Vec::new());
    for (picture, y) in (0..n).flat_map(|picture| (0..height).map(move |y| (picture, y))) {
        for (x, channel) in (0..width).flat_map(|x| (0..shape.channels).map(move |c| (x, c))) {
            // Taps outside the input do not count.
            let at = |tap: usize| {
                let row =
                    (y * shape.stride + tap / shape.window).checked_sub(shape.padding.start[0])?;
                let column =
                    (x * shape.stride + tap % shape.window).checked_sub(shape.padding.start[1])?;
                let is_inside = row < shape.input[0] && column < shape.input[1];
                let pixel = (picture * shape.input[0] + row) * shape.input[1] + column;
                is_inside.then_some(pixel * shape.channels + channel)
            };
            let mut taps = (0..shape.window * shape.window).filter_map(at);
            let mut best = taps.next().unwrap();
            for tap in taps {
                let (value, so_far) = (input[tap], input[best]);
                if value > so_far || value.is_nan() {
                    best = tap;
                }
            }
            values.push(input[best]);
            places.push(best);
        }
    }
    (values, places)
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

fn check(shape: MaxPoolShape, n: usize, input: &[f32]) {
    let (expected, places) = by_definition(&shape, n, input);
    let mut output = vec![7.0; expected.len()];
    let mut found_places = vec![0; expected.len()];
    max_pool(&shape, input, &mut output, Some(&mut found_places)).unwrap();
    assert_eq!(bits(&output), bits(&expected));
    let mut alone = vec![7.0; expected.len()];
    max_pool(&shape, input, &mut alone, None).unwrap();
    assert_eq!(bits(&alone), bits(&expected));

    let errors = random(3, "errors", expected.len());
    let mut gradient = vec![7.0; input.len()];
    max_pool_backward(&shape, &found_places, &errors, &mut gradient).unwrap();
    let mut by_places = vec![0.0; input.len()];
    for (place, error) in places.iter().zip(&errors) {
        by_places[*place] += *error;
    }
    assert_eq!(gradient, by_places);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn values_and_gradients_are_those_of_the_definition(
        seed: u64, n in 1_usize..=4, size in [1_usize..=13, 1_usize..=13],
        channels in 1_usize..=40, window in 1_usize..=4, coarse: bool,
        stride in prop::option::of(1_usize..=4), start: [bool; 2],
        end: [bool; 2],
    ) {
        prop_assume!(window <= size[0].min(size[1]));
        let shape = MaxPoolShape {
            stride: stride.unwrap_or(window),
            padding: Padding {
                start: start.map(|pads| if pads { window / 2 } else { 0 }),
                end: end.map(|pads| if pads { window / 2 } else { 0 }),
            },
            ..MaxPoolShape::side_by_side(size, channels, window)
        };
        let mut input = random(seed, "input", n * size[0] * size[1] * channels);
        if coarse {
            // Ties, as after a ReLU.
            input.iter_mut().for_each(|value| *value = value.round().max(0.0));
        }
        check(shape, n, &input);
    }
}

#[test]
fn nan_and_infinity_pass_through() {
    let shape = MaxPoolShape::side_by_side([5, 4], 3, 2);
    let mut input = random(1, "input", 2 * 60);
    input[4] = f32::NAN;
    input[20] = f32::INFINITY;
    input[40] = f32::NEG_INFINITY;
    check(shape, 2, &input);
    let mut output = [0.0; 12];
    max_pool(&shape, &[f32::NEG_INFINITY; 60], &mut output, None).unwrap();
    assert_eq!(output, [f32::NEG_INFINITY; 12]);
    input[..60].fill(f32::NAN);
    max_pool(&shape, &input[..60], &mut output, None).unwrap();
    assert!(output.iter().all(|value| value.is_nan()));
}

#[test]
fn what_does_not_fit_is_refused_with_the_sizes() {
    let shape = |window| MaxPoolShape::side_by_side([4, 6], 1, window);
    for window in [0, 5, 16] {
        let error = max_pool(&shape(window), &[0.0; 24], &mut [0.0; 6], None).unwrap_err();
        assert!(matches!(error, KernelError::Shape { .. }), "{error}");
        let side = format!("windows of {window}x{window} pixels over 4x6 pixels");
        assert!(error.to_string().contains(&side), "{error}");
    }
    for (stride, padding) in [(0, 0), (2, 2)] {
        let shape = MaxPoolShape {
            stride,
            padding: [padding; 2].into(),
            ..shape(2)
        };
        let error = max_pool(&shape, &[0.0; 24], &mut [0.0; 6], None).unwrap_err();
        let named = format!("the stride is {stride} and must be above 0, the padding {padding}");
        assert!(error.to_string().contains(&named), "{error}");
    }
    let error = max_pool(&shape(2), &[0.0; 23], &mut [0.0; 6], None).unwrap_err();
    assert_eq!(
        error.to_string(),
        "input holds 23 values, but its shape needs 24"
    );
    let error = max_pool(&shape(2), &[0.0; 24], &mut [0.0; 6], Some(&mut [0; 5])).unwrap_err();
    assert!(error.to_string().contains("places holds 5"), "{error}");
    let error = max_pool_backward(&shape(2), &[0; 6], &[0.0; 7], &mut [0.0; 24]).unwrap_err();
    assert!(error.to_string().contains("holds 7"), "{error}");
    // Nothing in, nothing out.
    max_pool(&shape(2), &[], &mut [], None).unwrap();
}
