//! Attention layers from a config to every file and every precision.

use mlestar_export::quantize::Simulation;
use mlestar_export::{
    AttentionLayer, Convolution, Executor, Factors, FrozenModel, Layer, Operation,
    PixelNormalization, Precision, onnx, parity, safetensors_file,
};
use mlestar_model::{Activation, Attention, ModelConfig, Network};
use mlestar_random::Stream;
use proptest::prelude::*;

use crate::executor::{agrees_with_naive, any_activation, bits};
use crate::models::{
    MEAN, STD, attention_frozen, burn_logits, channel_factors, class_names, convolution, linear,
    max_difference, pixel_factors, plain_config, pooled_residual_config, random_pictures, smooth,
    tail, trained_like,
};
use crate::onnx_runtime;
use crate::precisions::{difference, quantized};
use crate::quantization::agree;

const ATTENTIONS: [Attention; 2] = [Attention::SqueezeExcitation, Attention::Spatial];

fn with_attention(config: ModelConfig, attention: Attention) -> ModelConfig {
    ModelConfig {
        attention,
        ..config
    }
}

#[test]
fn networks_with_attention_are_frozen_and_written_as_they_are_evaluated() {
    let (n, side) = (3, 27);
    for attention in ATTENTIONS {
        for config in [
            ModelConfig::small(),
            plain_config(),
            smooth(pooled_residual_config()),
        ] {
            let (spec, model) = trained_like(with_attention(config, attention), 10, side);
            let frozen = FrozenModel::freeze(&model, &spec, (MEAN, STD), &class_names(10)).unwrap();
            let pictures = random_pictures(1, n, side, side);
            let reference = burn_logits(&model, &pictures, n, side);
            let found = frozen.logits(&pictures, n).unwrap();
            let parity = parity::compare(&reference, &found, 10).unwrap();
            assert!(parity.max_abs_difference < 1e-4, "{parity:?}");
            assert!(reference.iter().any(|logit| logit.abs() > 0.1));
            agrees_with_naive(&frozen, &pictures, n);
            onnx_runtime::check(&frozen);
            assert_eq!(onnx::from_bytes(&onnx::to_bytes(&frozen)).unwrap(), frozen);
            let bytes = safetensors_file::to_bytes(&frozen);
            assert_eq!(safetensors_file::from_bytes(&bytes).unwrap(), frozen);

            let summary = spec.summary();
            assert_eq!(frozen.multiply_adds(), summary.multiply_adds_per_image);
            let names = frozen.operations().iter().map(|operation| &operation.name);
            let attentions = names.filter(|name| name.ends_with(".attention")).count();
            let blocks = spec.description().blocks.len() - 1;
            assert_eq!(attentions, blocks);
        }
    }
}

#[test]
fn a_state_without_attention_is_refused() {
    let (spec, model) = trained_like(with_attention(ModelConfig::small(), ATTENTIONS[0]), 4, 16);
    let mut state = model.state();
    let name = "stages.1.0.attention.expand.bias";
    state.retain(|tensor| tensor.name != name);
    let error = FrozenModel::from_state(&state, &spec, (MEAN, STD), &class_names(4)).unwrap_err();
    assert!(error.to_string().contains(name), "{error}");
}

prop_compose! {
    /// A convolution and an attention layer, with or without a sum.
    fn any_model()(
        seed: u64,
        height in 1_usize..14,
        width in 1_usize..14,
        channels in 1_usize..70,
        reduced in 1_usize..9,
        half in 0_usize..5,
        of_pixels: bool,
        adds: bool,
        activations in prop::array::uniform2(any_activation()),
    ) -> FrozenModel {
        let mut stream = Stream::new(seed, "any scaled model", 0, 0);
        let layer = convolution(&mut stream, [channels, 3, 3, 3], [1, 1], [1, 1]);
        let stem = Convolution { activation: activations[0], ..layer };
        let factors = match of_pixels {
            true => pixel_factors(&mut stream, 2 * half + 1),
            false => channel_factors(&mut stream, channels, reduced),
        };
        let attention = AttentionLayer { factors, add_from: adds.then_some(1), activation: activations[1] };
        let mut operations = vec![
            Operation { name: "stem".into(), input: 0, layer: Layer::Convolution(stem) },
            Operation { name: "attention".into(), input: 1, layer: Layer::Attention(attention) },
        ];
        tail(&mut stream, &mut operations, channels, 3);
        let normalization = PixelNormalization { mean: MEAN, std: STD };
        FrozenModel::new(class_names(3), normalization, height, width, operations).unwrap()
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_attention_agrees_with_the_naive_one(model in any_model(), seed: u64) {
        let pictures = random_pictures(seed, 2, model.height(), model.width());
        agrees_with_naive(&model, &pictures, 2);
        prop_assert_eq!(&onnx::from_bytes(&onnx::to_bytes(&model)).unwrap(), &model);
        let bytes = safetensors_file::to_bytes(&model);
        prop_assert_eq!(&safetensors_file::from_bytes(&bytes).unwrap(), &model);
    }

    #[test]
    fn any_attention_gives_the_same_bits_in_any_batch(model in any_model(), n in 1_usize..40) {
        let pictures = random_pictures(5, n, model.height(), model.width());
        let together = model.logits(&pictures, n).unwrap();
        let executor = Executor::new(&model);
        let alone: Vec<f32> = pictures
            .chunks(model.height() * model.width() * 3)
            .flat_map(|picture| executor.logits(picture, 1).unwrap())
            .collect();
        prop_assert_eq!(bits(&together), bits(&alone));
        let threads = rayon::ThreadPoolBuilder::new().num_threads(3).build().unwrap();
        let shared = threads.install(|| executor.logits(&pictures, n).unwrap());
        prop_assert_eq!(bits(&together), bits(&shared));
    }

    #[test]
    fn int8_layers_around_any_attention_follow_the_definition(model in any_model(), seed: u64) {
        let quantized = quantized(&model, &[]);
        let pictures = random_pictures(seed, 2, model.height(), model.width());
        let expected = quantized.reference_logits(&pictures, 2).unwrap();
        let found = Executor::quantized(&quantized, 1).logits(&pictures, 2).unwrap();
        prop_assert!(difference(&found, &expected) < 0.03, "{found:?} {expected:?}");
        let bytes = onnx::quantized_to_bytes(&quantized);
        prop_assert_eq!(&onnx::quantized_from_bytes(&bytes).unwrap(), &quantized);
    }
}

#[test]
fn bf16_and_int8_keep_attention_in_f32() {
    for attention in ATTENTIONS {
        let (spec, model) =
            trained_like(with_attention(ModelConfig::reference(), attention), 10, 32);
        let frozen = FrozenModel::freeze(&model, &spec, (MEAN, STD), &class_names(10)).unwrap();
        let pictures = random_pictures(4, 9, 32, 32);
        let exact = frozen.logits(&pictures, 9).unwrap();
        for batch in [1, 64] {
            let executor = Executor::with_precision(&frozen, Precision::Bf16, batch).unwrap();
            let rounded = executor.logits(&pictures, 9).unwrap();
            let off = difference(&rounded, &exact);
            assert!(off < 0.05, "{off}");
        }
        let int8 = crate::models::quantized(&frozen);
        assert!(int8.int8_layers().count() > 10);
        assert!(!int8.int8_layers().any(|name| name.contains("attention")));
        let reference = int8.reference_logits(&pictures, 9).unwrap();
        agree(
            &Simulation::new(&int8).logits(&pictures, 9).unwrap(),
            &reference,
            9,
        );
        agree(
            &Executor::quantized(&int8, 1).logits(&pictures, 9).unwrap(),
            &reference,
            9,
        );
        assert!(difference(&reference, &exact) < 0.3);
    }
}

/// A pool, a convolution with ReLU and one with SiLU have the operators of attention, but another product.
#[test]
fn operations_with_the_operators_of_attention_stay_what_they_are() {
    let mut stream = Stream::new(1, "no attention", 0, 0);
    let pixel = |stream: &mut Stream, activation| {
        let layer = convolution(stream, [3, 3, 1, 1], [1, 1], [0, 0]);
        Layer::Convolution(Convolution {
            activation: Some(activation),
            ..layer
        })
    };
    let layers = [
        Layer::GlobalAveragePool,
        pixel(&mut stream, Activation::Relu),
        pixel(&mut stream, Activation::Silu),
        Layer::Linear(linear(&mut stream, [3, 3], 1.0)),
    ];
    let operations = layers
        .into_iter()
        .enumerate()
        .map(|(index, layer)| Operation {
            name: format!("operation.{index}"),
            input: index,
            layer,
        });
    let normalization = PixelNormalization {
        mean: MEAN,
        std: STD,
    };
    let model =
        FrozenModel::new(class_names(3), normalization, 5, 5, operations.collect()).unwrap();
    assert_eq!(onnx::from_bytes(&onnx::to_bytes(&model)).unwrap(), model);
}

#[test]
fn attention_that_does_not_fit_is_refused() {
    let model = attention_frozen(1);
    let refused = |index: usize, change: &dyn Fn(&mut AttentionLayer), expected: &str| {
        let mut operations = model.operations().to_vec();
        let Layer::Attention(attention) = &mut operations[index].layer else {
            panic!("operation {index} is no attention");
        };
        change(attention);
        let error = FrozenModel::new(class_names(4), *model.normalization(), 9, 7, operations);
        let error = error.unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    };
    let layers = |attention: &mut AttentionLayer, change: &dyn Fn(&mut mlestar_export::Linear)| {
        if let Factors::OfChannels { expand, .. } = &mut attention.factors {
            change(expand);
        }
    };
    refused(
        2,
        &|attention| {
            layers(attention, &|expand| {
                *expand = linear(&mut Stream::new(1, "", 0, 0), [4, 3], 1.0)
            })
        },
        "gives 4 factors for 5 channels",
    );
    refused(
        2,
        &|attention| layers(attention, &|expand| expand.bias[1] = f32::NAN),
        "bias holds NaN at position 1",
    );
    refused(
        2,
        &|attention| {
            layers(attention, &|expand| {
                *expand = linear(&mut Stream::new(1, "", 0, 0), [5, 2], 1.0)
            })
        },
        "takes 2 features, but its input has 3",
    );
    refused(
        2,
        &|attention| attention.add_from = Some(0),
        "adds a buffer of shape [3, 9, 7]",
    );
    refused(
        2,
        &|attention| attention.add_from = Some(9),
        "adds buffer 9, which is not written yet",
    );
    let changes: [&dyn Fn(&mut Convolution); 4] = [
        &|layer| layer.stride = [2, 1],
        &|layer| layer.activation = Some(Activation::Relu),
        &|layer| layer.add_from = Some(1),
        &|layer| layer.padding = mlestar_export::Padding::even([3, 4]),
    ];
    for change in changes {
        let expected = "does not give one factor for each of 5x4 pixels";
        refused(
            4,
            &|attention| {
                if let Factors::OfPixels(layer) = &mut attention.factors {
                    change(layer);
                }
            },
            expected,
        );
    }
    let mut operations = model.operations().to_vec();
    operations[3].name = "wide.attention.conv".to_owned();
    let error = FrozenModel::new(class_names(4), *model.normalization(), 9, 7, operations);
    assert!(
        error
            .unwrap_err()
            .to_string()
            .contains("the name is used twice")
    );
}

#[test]
fn logits_differ_without_attention() {
    let model = attention_frozen(3);
    let mut operations = model.operations().to_vec();
    for operation in &mut operations {
        if let Layer::Attention(AttentionLayer {
            factors: Factors::OfPixels(layer),
            ..
        }) = &mut operation.layer
        {
            layer.bias[0] = 100.0;
        }
    }
    let open = FrozenModel::new(class_names(4), *model.normalization(), 9, 7, operations).unwrap();
    let pictures = random_pictures(1, 2, 9, 7);
    let [with, without] = [&model, &open].map(|model| model.logits(&pictures, 2).unwrap());
    assert!(max_difference(&with, &without) > 0.01);
}
