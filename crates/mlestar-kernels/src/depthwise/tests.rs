//! The convolutions at every vector width, including those that this processor does not have, with the checks of
//! `cfg(test)` in the innermost loops.

use mlestar_random::Stream;

use super::*;
use crate::{Activation, simd::Portable};

fn random(what: &str, len: usize) -> Vec<f32> {
    let mut stream = Stream::new(12, what, 0, 0);
    (0..len).map(|_| stream.normal() as f32).collect()
}

/// Output, input gradient and weight gradient.
fn all<S: Simd>(simd: S, shape: &DepthwiseShape) -> [Vec<f32>; 3] {
    let input = random("input", shape.input_len());
    let weight = random("weight", shape.weight_len());
    let errors = random("errors", shape.output_len());
    let bias = random("bias", shape.channels);
    let residual = random("residual", shape.output_len());
    let mut results = [
        vec![f32::NAN; shape.output_len()],
        vec![f32::NAN; shape.input_len()],
        vec![f32::NAN; shape.weight_len()],
    ];
    let [output, of_input, of_weight] = &mut results;
    let weights = pack(shape, &weight);
    let epilogue = Epilogue {
        bias: Some(&bias),
        residual: Some(Values::F32(&residual)),
        activation: Some(Activation::Relu6),
    };
    let forward = Sums {
        plan: &Plan::forward(shape),
        n: shape.n,
        source: Values::F32(&input).source(),
        weights: weights.as_slice(),
        integers: None,
        finish: epilogue.finish(),
        target: ValuesMut::F32(output).target(),
    };
    simd.vectorize(AllSums(forward));
    let backward = Sums {
        plan: &Plan::input_gradient(shape),
        source: Values::F32(&errors).source(),
        finish: Finish::NOTHING,
        target: ValuesMut::F32(of_input).target(),
        ..forward
    };
    simd.vectorize(AllSums(backward));
    simd.vectorize(WeightGradient(shape, [&input, &errors], of_weight));
    results
}

#[test]
fn every_width_agrees() {
    for (n, input, channels, kernel, stride) in [
        (2, [9, 12], 19, 3, 1),
        (5, [7, 7], 33, 5, 1),
        (1, [11, 8], 5, 5, 2),
        (1, [2, 3], 16, 3, 1),
        (2, [6, 1], 1, 3, 2),
        (1, [5, 6], 40, 1, 2),
        (1, [7, 9], 3, 2, 3),
    ] {
        let shape = DepthwiseShape {
            padding: crate::Padding {
                start: [kernel / 2; 2],
                end: [kernel / 2, kernel / 2 + 1],
            },
            ..DepthwiseShape::square(n, input, channels, kernel, stride, 0)
        };
        let expected = all(Portable::<1>, &shape);
        let others = [
            all(Portable::<4>, &shape),
            all(Portable::<8>, &shape),
            all(Portable::<16>, &shape),
        ];
        // Without fused additions, a value has the same bits at any width.
        for other in others {
            assert_eq!(other, expected, "{shape:?}");
        }
        for level in Level::available() {
            struct All<'a>(&'a DepthwiseShape);
            impl Operation for All<'_> {
                type Output = [Vec<f32>; 3];

                #[inline(always)]
                fn run<S: Simd>(self, simd: S) -> [Vec<f32>; 3] {
                    all(simd, self.0)
                }
            }
            let found = level.run(All(&shape));
            for (found, expected) in found.iter().flatten().zip(expected.iter().flatten()) {
                assert!((found - expected).abs() < 1e-3, "{level:?} {shape:?}");
            }
        }
    }
}
