//! The bits do not depend on how the work is distributed.

use mlestar_kernels::{Activation, Algorithm, Conv2dShape, Epilogue, Level, PackedConv2d, Values};

use crate::reference::random;

fn bits(values: &[f32]) -> Vec<u32> {
    // All NaN are equivalent.
    let bits = |value: &f32| {
        if value.is_nan() {
            u32::MAX
        } else {
            value.to_bits()
        }
    };
    values.iter().map(bits).collect()
}

#[test]
fn a_convolution_has_the_same_bits_on_any_threads() {
    for (n, side, channels) in [
        (1, 4, [32, 96]),
        (1, 9, [16, 80]),
        (2, 16, [48, 64]),
        (5, 7, [16, 48]),
        (1, 4, [5, 70]),
        (3, 11, [19, 33]),
    ] {
        let shape = Conv2dShape::square(n, [side, side], channels, 3, 1, 1);
        let mut input = random(1, "input", shape.input_len());
        // An infinity that only some of the panels turn into NaN.
        input[0] = f32::INFINITY;
        let mut weight = random(2, "weight", shape.weight_len());
        weight[..shape.weight_len() / 2].fill(0.0);
        let bias = random(3, "bias", shape.channels_out);
        let residual = random(4, "residual", shape.output_len());
        let epilogue = Epilogue {
            bias: Some(&bias),
            residual: Some(Values::F32(&residual)),
            activation: Some(Activation::Relu),
        };
        for level in Level::available() {
            for algorithm in Algorithm::ALL {
                if !algorithm.applies(&shape) {
                    continue;
                }
                let packed = PackedConv2d::with_level(shape, algorithm, &weight, level).unwrap();
                let outputs = [1, 2, 3, 8, 40].map(|threads| {
                    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
                    let mut output = vec![f32::NAN; shape.output_len()];
                    let result = pool
                        .unwrap()
                        .install(|| packed.run(n, &input, epilogue, &mut output));
                    result.unwrap();
                    bits(&output)
                });
                assert!(
                    outputs.iter().all(|output| *output == outputs[0]),
                    "{shape:?} {level:?} {algorithm:?}"
                );
            }
        }
    }
}
