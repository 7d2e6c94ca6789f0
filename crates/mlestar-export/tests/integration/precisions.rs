//! The executor in bfloat16 and in 8-bit integers: its results, its independence of batch and threads, and the choice
//! of a precision.

use std::time::Duration;

use mlestar_export::quantize::{BufferScale, QuantizedModel, QuantizedWeights};
use mlestar_export::{
    ChoiceOptions, Convolution, Executor, FrozenModel, Layer, Operation, PixelNormalization,
    Precision, Predictor,
};
use mlestar_model::Activation;
use mlestar_random::Stream;
use proptest::prelude::*;

use crate::executor::bits;
use crate::models::{
    AVERAGES, MEAN, STD, class_names, convolution, pooled_frozen, random_pictures, small_frozen,
    tail,
};

/// Weights by their largest value, and plain ranges for the buffers, of all layers that can be int8 except those in
/// `kept`.
pub fn quantized(model: &FrozenModel, kept: &[usize]) -> QuantizedModel {
    let mut buffers = vec![None; model.operations().len() + 1];
    let mut layers = Vec::new();
    for (index, operation) in model.operations().iter().enumerate() {
        let (weight, channels) = match &operation.layer {
            Layer::Convolution(layer) if layer.groups == 1 || layer.groups == layer.bias.len() => {
                (&layer.weight, layer.bias.len())
            }
            Layer::Linear(layer) => (&layer.weight, layer.bias.len()),
            _ => {
                layers.push(None);
                continue;
            }
        };
        if kept.contains(&index) {
            layers.push(None);
            continue;
        }
        buffers[operation.input] = Some(BufferScale {
            scale: 6.0 / 255.0,
            zero_point: 100 + operation.input as u8,
        });
        let per_channel = weight.len() / channels;
        let of_channel = |values: &[f32]| {
            let largest = values
                .iter()
                .fold(1e-3_f32, |most, value| most.max(value.abs()));
            largest / 127.0
        };
        let scales: Vec<f32> = weight.chunks(per_channel).map(of_channel).collect();
        let values = weight.iter().enumerate();
        let values =
            values.map(|(index, value)| (value / scales[index / per_channel]).round() as i8);
        layers.push(Some(QuantizedWeights {
            values: values.collect(),
            scales,
        }));
    }
    QuantizedModel::new(model.clone(), buffers, layers).unwrap()
}

prop_compose! {
    /// A residual block and a strided one with a 1x1 shortcut, which is only added, and with any channel counts.
    fn any_model()(
        seed: u64,
        height in 1_usize..20,
        width in 1_usize..20,
        channels in prop::sample::select(vec![5_usize, 8, 16, 17, 32]),
        wide in prop::sample::select(vec![16_usize, 33, 64]),
        stride in 1_usize..3,
        activation in prop::sample::select(vec![None, Some(Activation::Relu)]),
        kept in prop::collection::vec(0_usize..8, 0..2),
    ) -> (FrozenModel, Vec<usize>) {
        let mut stream = Stream::new(seed, "precisions", 0, 0);
        let mut operations = Vec::new();
        let mut push = |input: usize, shape: [usize; 4], stride: usize, add_from: Option<usize>| {
            let padding = [shape[2] / 2, shape[3] / 2];
            let layer = convolution(&mut stream, shape, [stride; 2], padding);
            let activation = activation.filter(|_| shape[2] == 3);
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
        let model = FrozenModel::new(class_names(3), normalization, height, width, operations);
        (model.unwrap(), kept)
    }
}

/// The largest difference, relative to the largest value.
pub fn difference(found: &[f32], expected: &[f32]) -> f32 {
    let largest = expected
        .iter()
        .fold(0.1_f32, |most, value| most.max(value.abs()));
    let differences = found
        .iter()
        .zip(expected)
        .map(|(found, expected)| (found - expected).abs());
    differences.fold(0.0, f32::max) / largest
}

pub fn executors(model: &FrozenModel, quantized: &QuantizedModel) -> Vec<Executor> {
    let mut executors = Vec::new();
    for batch in [1, 64] {
        for precision in [Precision::F32, Precision::Bf16] {
            executors.push(Executor::with_precision(model, precision, batch).unwrap());
        }
        executors.push(Executor::quantized(quantized, batch));
    }
    executors
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn int8_layers_give_the_integers_of_the_definition((model, _) in any_model(), seed: u64) {
        let quantized = quantized(&model, &[]);
        let pictures = random_pictures(seed, 2, model.height(), model.width());
        let found = Executor::quantized(&quantized, 1).logits(&pictures, 2).unwrap();
        let expected = quantized.reference_logits(&pictures, 2).unwrap();
        // The mean over the pixels is rounded in two ways before it is rounded to bytes.
        let limit = 0.02;
        prop_assert!(difference(&found, &expected) < limit, "{found:?} {expected:?}");
    }

    #[test]
    fn layers_that_stay_f32_are_mixed_with_int8_layers((model, kept) in any_model(), seed: u64) {
        let quantized = quantized(&model, &kept);
        let pictures = random_pictures(seed, 2, model.height(), model.width());
        let found = Executor::quantized(&quantized, 1).logits(&pictures, 2).unwrap();
        let expected = quantized.reference_logits(&pictures, 2).unwrap();
        prop_assert!(difference(&found, &expected) < 0.04, "{found:?} {expected:?}");
    }

    #[test]
    fn bf16_is_close_to_f32((model, _) in any_model(), seed: u64) {
        let pictures = random_pictures(seed, 2, model.height(), model.width());
        let expected = model.logits(&pictures, 2).unwrap();
        for batch in [1, 64] {
            let executor = Executor::with_precision(&model, Precision::Bf16, batch).unwrap();
            let found = executor.logits(&pictures, 2).unwrap();
            prop_assert!(difference(&found, &expected) < 0.08, "{found:?} {expected:?}");
        }
    }

    #[test]
    fn every_precision_gives_the_same_bits_in_any_batch_and_on_any_threads(
        (model, kept) in any_model(), n in 1_usize..10, threads in 1_usize..9,
    ) {
        let pictures = random_pictures(6, n, model.height(), model.width());
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        for executor in executors(&model, &quantized(&model, &kept)) {
            let together = pool.install(|| executor.logits(&pictures, n).unwrap());
            let alone: Vec<f32> = pictures
                .chunks(model.height() * model.width() * 3)
                .flat_map(|picture| executor.logits(picture, 1).unwrap())
                .collect();
            prop_assert_eq!(bits(&together), bits(&alone), "{:?}", executor);
        }
    }
}

/// Convolutions in groups of several channels, max pools and averaged views know `f32` only.
#[test]
fn graphs_with_other_layers_run_in_every_precision() {
    let averaging = small_frozen(2).with_views(AVERAGES[2]);
    for model in [pooled_frozen(1), averaging] {
        let pictures = random_pictures(3, 3, model.height(), model.width());
        let expected = model.logits(&pictures, 3).unwrap();
        let quantized = quantized(&model, &[]);
        let reference = quantized.reference_logits(&pictures, 3).unwrap();
        for executor in executors(&model, &quantized) {
            let found = executor.logits(&pictures, 3).unwrap();
            let (expected, limit) = match executor.precision() {
                Precision::Int8 => (&reference, 0.02),
                _ => (&expected, 0.05),
            };
            assert!(
                difference(&found, expected) < limit,
                "{executor:?} {found:?} {expected:?}"
            );
        }
    }
}

#[test]
fn the_fastest_is_one_of_the_allowed_and_measured() {
    let model = small_frozen(1);
    let quantized = quantized(&model, &[]);
    let options = |precisions: &[Precision], batch| ChoiceOptions {
        batch,
        precisions: precisions.to_vec(),
        time: Duration::from_micros(100),
    };
    for batch in [1, 40] {
        let all = options(&Precision::ALL, batch);
        let (executor, choice) = Executor::fastest(&model, Some(&quantized), &all).unwrap();
        assert_eq!(executor.precision(), choice.precision);
        let least = choice
            .timings
            .iter()
            .map(|timing| timing.median_ms)
            .fold(f64::MAX, f64::min);
        let chosen = choice
            .timings
            .iter()
            .find(|timing| timing.median_ms == least)
            .unwrap();
        assert_eq!(chosen.precision, choice.precision);
        assert!(choice.timings.iter().all(|timing| timing.n >= 3));
        assert_eq!(choice.images, batch.min(32));
    }
    // Without a quantised model there is no int8.
    let error = Executor::fastest(&model, None, &options(&[Precision::Int8], 1)).unwrap_err();
    assert!(error.to_string().contains("allow f32"), "{error}");
    assert!(Executor::fastest(&model, None, &options(&[Precision::F32], 0)).is_err());
    let (predictor, _) = Predictor::fastest(model, None, &options(&[Precision::F32], 1)).unwrap();
    assert_eq!(predictor.precision(), Precision::F32);
}

#[test]
fn logits_are_written_where_the_caller_wants_them() {
    let model = small_frozen(1);
    let executor = Executor::new(&model);
    let pictures = random_pictures(1, 2, model.height(), model.width());
    let mut logits = vec![f32::NAN; 8];
    executor.logits_into(&pictures, 2, &mut logits).unwrap();
    assert_eq!(logits, executor.logits(&pictures, 2).unwrap());
    let error = executor
        .logits_into(&pictures, 2, &mut logits[1..])
        .unwrap_err();
    assert!(error.to_string().contains("7 values, but 8"), "{error}");
}
