//! Quantised models: the simulation and an independent ONNX runtime against the reference, choices, and files.

use mlestar_export::quantize::{
    BufferScale, LabelledImages, QuantizationOptions, QuantizedModel, QuantizedWeights,
    RangeMethod, Simulation, compare_precisions, quantize,
};
use mlestar_export::{Executor, ExportError, FrozenModel, Layer, onnx};
use mlestar_model::ModelConfig;
use proptest::prelude::*;
use tract_onnx::prelude::*;

use crate::models::{
    AVERAGES, MEAN, STD, attention_frozen, class_names, own_labels, plain_config, pooled_frozen,
    pooled_residual_config, quantization, quantized, random_pictures, small_frozen, smooth,
    trained_like,
};

use crate::new_architectures::depthwise_networks;

type Buffers = Vec<Option<BufferScale>>;
type Layers = Vec<Option<QuantizedWeights>>;

fn frozen(config: ModelConfig, side: usize) -> FrozenModel {
    let (spec, model) = trained_like(config, 10, side);
    FrozenModel::freeze(&model, &spec, (MEAN, STD), &class_names(10)).unwrap()
}

fn models() -> Vec<FrozenModel> {
    let mut models = vec![
        small_frozen(1),
        pooled_frozen(1),
        attention_frozen(1),
        frozen(ModelConfig::small(), 16),
        frozen(pooled_residual_config(), 27),
        frozen(smooth(plain_config()), 27),
    ];
    models.extend(depthwise_networks());
    models.extend(AVERAGES.map(|views| pooled_frozen(2).with_views(views)));
    let confidence = mlestar_export::Confidence {
        temperature: 1.5,
        familiarity_limit: Some(0.5),
    };
    models.push(small_frozen(3).with_confidence(confidence).unwrap());
    models
}

/// Checks that the logits of `n` images are the reference's up to rounding: a sum that is nearly halfway between two integers
/// may become the other one, which moves single values by a step and logits by a small part of their spread. In a network of
/// a few channels one step moves all logits of an image, so one image may move by more than the mean of many may.
pub fn agree(found: &[f32], expected: &[f32], n: usize) {
    assert_eq!(found.len(), expected.len());
    let largest = expected
        .iter()
        .fold(0.0_f32, |most, logit| most.max(logit.abs()));
    let differences: Vec<f64> = found
        .iter()
        .zip(expected)
        .map(|(a, b)| f64::from((a - b).abs()))
        .collect();
    let worst = |differences: &[f64]| differences.iter().copied().fold(0.0, f64::max);
    let mean = differences.iter().sum::<f64>() / found.len() as f64;
    let spread = f64::from(largest.max(0.1));
    let images = differences.chunks(found.len() / n);
    let moved = images.filter(|image| worst(image) > 1e-4 * spread).count();
    let worst = worst(&differences);
    assert!(
        worst < 0.02 * spread && (mean < 0.002 * spread || moved < 2),
        "{worst} {mean} of {spread}, {moved} of {n} images"
    );
}

#[test]
fn the_simulation_agrees_with_the_reference() {
    for model in models() {
        let quantized = quantized(&model);
        assert!(quantized.int8_layers().count() >= 2);
        let pictures = random_pictures(5, 9, model.height(), model.width());
        let expected = quantized.reference_logits(&pictures, 9).unwrap();
        let found = Simulation::new(&quantized).logits(&pictures, 9).unwrap();
        agree(&found, &expected, 9);
        // Rounding to 8 bits changes much more than that.
        let original = model.logits(&pictures, 9).unwrap();
        let worst = crate::models::max_difference(&original, &expected);
        assert!(worst > 1e-3, "{worst}");
    }
}

#[test]
fn a_model_without_int8_layers_is_the_model_itself() {
    for model in models() {
        let n = model.operations().len();
        let same = QuantizedModel::new(model.clone(), vec![None; n + 1], vec![None; n]).unwrap();
        assert_eq!(same.model(), &model);
        let pictures = random_pictures(5, 3, model.height(), model.width());
        let expected = model.logits(&pictures, 3).unwrap();
        let reference = same.reference_logits(&pictures, 3).unwrap();
        assert!(crate::models::max_difference(&reference, &expected) < 1e-4);
        let simulated = Simulation::new(&same).logits(&pictures, 3).unwrap();
        assert_eq!(simulated, expected);
        assert_eq!(onnx::quantized_to_bytes(&same), onnx::to_bytes(&model));
    }
}

/// Every sum of the layers in small whole numbers, by hand.
#[test]
fn numbers_mean_what_is_defined() {
    let model = FrozenModel::new(
        class_names(2),
        mlestar_export::PixelNormalization {
            mean: [0.0; 3],
            std: [1.0 / 255.0; 3],
        },
        1,
        1,
        vec![
            mlestar_export::Operation {
                name: "pool".into(),
                input: 0,
                layer: Layer::GlobalAveragePool,
            },
            mlestar_export::Operation {
                name: "head".into(),
                input: 1,
                layer: Layer::Linear(mlestar_export::Linear {
                    weight_shape: [2, 3],
                    weight: vec![0.0; 6],
                    bias: vec![1.3, -0.6],
                }),
            },
        ],
    )
    .unwrap();
    let weights = QuantizedWeights {
        values: vec![1, 2, -3, 127, -127, 0],
        scales: vec![0.5, 0.25],
    };
    let scale = BufferScale {
        scale: 2.0,
        zero_point: 3,
    };
    let quantized = QuantizedModel::new(
        model,
        vec![None, Some(scale), None],
        vec![None, Some(weights)],
    )
    .unwrap();
    // Steps of 1 and 0.5: the biases are 1 and -1 steps.
    assert_eq!(quantized.bias_steps(1).unwrap(), [1, -1]);
    assert_eq!(quantized.bias_steps(0), None);
    let logits = quantized.reference_logits(&[6, 8, 254], 1).unwrap();
    let expected = [
        (3 + 2 * 4 - 3 * 127 + 1) as f32,
        (127 * 3 - 127 * 4 - 1) as f32 * 0.5,
    ];
    assert_eq!(logits, expected);
    assert!(quantized.reference_logits(&[5, 7], 1).is_err());
}

#[test]
fn parts_that_do_not_fit_together_are_refused() {
    let model = small_frozen(1);
    let good = quantized(&model);
    let parts = || (good.buffers().to_vec(), good.layers().to_vec());
    let refused = |change: &dyn Fn(&mut Buffers, &mut Layers), expected: &str| {
        let (mut buffers, mut layers) = parts();
        change(&mut buffers, &mut layers);
        let error = QuantizedModel::new(model.clone(), buffers, layers).unwrap_err();
        assert!(matches!(error, ExportError::InvalidGraph { .. }));
        assert!(error.to_string().contains(expected), "{error}");
    };
    refused(
        &|buffers, _| {
            buffers.pop();
        },
        "6 layers and 6 buffers for 6 operations and 7 buffers",
    );
    refused(
        &|buffers, _| buffers[0] = None,
        "buffer 0: is read by an int8 layer and has no scale",
    );
    refused(
        &|buffers, _| {
            buffers[6] = Some(BufferScale {
                scale: 1.0,
                zero_point: 0,
            })
        },
        "buffer 6: has a scale, but no int8 layer reads it",
    );
    for scale in [0.0, -1.0, f32::NAN, f32::INFINITY, 1e-40] {
        refused(
            &|buffers, _| {
                buffers[0] = Some(BufferScale {
                    scale,
                    zero_point: 0,
                })
            },
            "not a normal number above 0",
        );
        refused(
            &|_, layers| layers[0].as_mut().unwrap().scales[1] = scale,
            "stem: a scale of weights is",
        );
    }
    refused(
        &|_, layers| layers[0].as_mut().unwrap().values[3] = -128,
        "stem: a weight is -128",
    );
    refused(
        &|_, layers| {
            layers[0].as_mut().unwrap().values.pop();
        },
        "134 integer weights",
    );
    refused(
        &|_, layers| layers[0].as_mut().unwrap().scales[0] = 1e-30,
        "more than 4194304",
    );
    refused(
        &|buffers, layers| {
            buffers[5] = Some(BufferScale {
                scale: 1e-20,
                zero_point: 0,
            });
            buffers[0] = Some(BufferScale {
                scale: 1e-20,
                zero_point: 0,
            });
            layers[0].as_mut().unwrap().scales[0] = 1e-25;
        },
        "the product of the scales",
    );
    refused(
        &|buffers, layers| {
            buffers[4] = Some(BufferScale {
                scale: 1.0,
                zero_point: 0,
            });
            layers[4] = Some(QuantizedWeights {
                values: Vec::new(),
                scales: Vec::new(),
            });
        },
        "pool: only convolutions without groups, depthwise ones and linear layers can be int8",
    );
}

#[test]
fn every_method_is_tried_and_the_best_is_taken() {
    let model = frozen(ModelConfig::small(), 16);
    let result = quantization(&model, &QuantizationOptions::default());
    let record = &result.record;
    assert_eq!(
        (record.calibration_images, record.comparison_images),
        (24, 24)
    );
    let methods: Vec<RangeMethod> = record.candidates.iter().map(|found| found.method).collect();
    assert_eq!(methods, RangeMethod::ALL);
    assert_eq!(record.f32_accuracy, 1.0);
    let chosen = record
        .candidates
        .iter()
        .find(|found| found.method == record.method)
        .unwrap();
    // On 24 images, all of these accuracies are equal but for chance.
    for candidate in &record.candidates {
        let (a, b) = (&chosen.figures, &candidate.figures);
        assert!(b.accuracy > 0.85 && a.mean_logit_difference <= b.mean_logit_difference);
    }
    let layers = model
        .operations()
        .iter()
        .filter(|operation| operation.parameters() > 0);
    assert_eq!(record.sensitivities.len(), layers.count());
    let harms = record
        .sensitivities
        .iter()
        .map(|found| found.figures.mean_logit_difference);
    assert!(harms.clone().all(|harm| harm > 0.0) && harms.is_sorted_by(|a, b| a >= b));
    let json = serde_json::to_string(record).unwrap();
    assert_eq!(
        &serde_json::from_str::<mlestar_export::quantize::QuantizationRecord>(&json).unwrap(),
        record
    );
    assert_eq!(
        quantization(&model, &QuantizationOptions::default()),
        result
    );
}

/// A channel that nothing reads has so large a value that less than a step is left for the others.
#[test]
fn harmful_layers_go_back_to_f32_until_enough_accuracy_is_kept() {
    let model = frozen(plain_config(), 27);
    let mut operations = model.operations().to_vec();
    let convolutions = operations
        .iter_mut()
        .filter_map(|operation| match &mut operation.layer {
            Layer::Convolution(convolution) => Some(convolution),
            _ => None,
        });
    let [stem, next]: [_; 2] = convolutions.take(2).collect::<Vec<_>>().try_into().unwrap();
    stem.bias[0] = 1e4;
    let [_, depth, height, width] = next.weight_shape;
    for weights in next.weight.chunks_exact_mut(depth * height * width) {
        weights[..height * width].fill(0.0);
    }
    let model =
        FrozenModel::new(class_names(10), *model.normalization(), 27, 27, operations).unwrap();
    let options = QuantizationOptions {
        min_accuracy_kept: 1.0,
        ..QuantizationOptions::default()
    };
    let record = quantization(&model, &options).record;
    assert!(
        record
            .candidates
            .iter()
            .all(|found| found.figures.accuracy < 1.0)
    );
    let kept: Vec<&String> = record.kept_in_f32.iter().map(|kept| &kept.layer).collect();
    let most_harmful: Vec<&String> = record
        .sensitivities
        .iter()
        .map(|found| &found.layer)
        .collect();
    assert!(!kept.is_empty());
    assert_eq!(kept, most_harmful[..kept.len()]);
    assert_eq!(record.chosen.accuracy, 1.0);
    assert_eq!(record.chosen, record.kept_in_f32.last().unwrap().figures);
    assert_eq!(record.int8_layers.len() + kept.len(), most_harmful.len());
    assert!(
        record
            .int8_layers
            .iter()
            .all(|layer| !kept.contains(&layer))
    );
}

#[test]
fn what_cannot_be_measured_is_refused_by_name() {
    let model = small_frozen(1);
    let pictures = random_pictures(1, 4, 9, 7);
    let labels = own_labels(&model, &pictures, 4);
    let good = LabelledImages {
        pixels: &pictures,
        labels: &labels,
    };
    let options = QuantizationOptions::default();
    let refused = |calibration: &[u8],
                   images: LabelledImages,
                   options: &QuantizationOptions,
                   expected: &str| {
        let error = quantize(&model, calibration, images, options)
            .unwrap_err()
            .to_string();
        assert!(error.contains(expected), "{error}");
    };
    refused(
        &[],
        good,
        &options,
        "calibration images: 0 bytes, images have 189 each",
    );
    refused(&pictures[1..], good, &options, "755 bytes");
    refused(
        &pictures,
        LabelledImages {
            labels: &labels[1..],
            ..good
        },
        &options,
        "756 bytes for 3 labels",
    );
    refused(
        &pictures,
        LabelledImages {
            labels: &[0, 1, 2, 4],
            ..good
        },
        &options,
        "validation images",
    );
    for wrong in [
        QuantizationOptions {
            methods: Vec::new(),
            ..options.clone()
        },
        QuantizationOptions {
            methods: vec![RangeMethod::Percentile { share: 0.3 }],
            ..options.clone()
        },
        QuantizationOptions {
            min_accuracy_kept: 1.1,
            ..options.clone()
        },
        QuantizationOptions {
            calibration_images: 0,
            ..options.clone()
        },
    ] {
        refused(&pictures, good, &wrong, "quantisation options");
    }
    let mut operations = model.operations().to_vec();
    if let Layer::Convolution(stem) = &mut operations[0].layer {
        stem.weight.fill(3e38);
    }
    let huge = FrozenModel::new(class_names(4), *model.normalization(), 9, 7, operations).unwrap();
    let error = quantize(&huge, &pictures, good, &options)
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("`stem` gives values that are not finite"),
        "{error}"
    );
}

#[test]
fn a_file_is_read_back_to_the_identical_model() {
    let folder = tempfile::tempdir().unwrap();
    for model in models() {
        let quantized = quantized(&model);
        let path = folder.path().join("model.int8.onnx");
        onnx::write_quantized(&quantized, &path).unwrap();
        assert_eq!(onnx::read_quantized(&path).unwrap(), quantized);
        let error = onnx::read(&path).unwrap_err().to_string();
        assert!(error.contains("model.int8.onnx"), "{error}");
        assert!(onnx::quantized_from_bytes(&onnx::to_bytes(&model)).is_ok());
    }
}

#[test]
fn the_file_of_the_reference_network_is_a_quarter_as_large() {
    let model = frozen(ModelConfig::reference(), 32);
    let pictures = random_pictures(1, 2, 32, 32);
    let labels = own_labels(&model, &pictures, 2);
    let options = QuantizationOptions {
        methods: vec![RangeMethod::MinMax],
        min_accuracy_kept: 0.0,
        ..QuantizationOptions::default()
    };
    let images = LabelledImages {
        pixels: &pictures,
        labels: &labels,
    };
    let quantized = quantize(&model, &pictures, images, &options).unwrap().model;
    let int8 = onnx::quantized_to_bytes(&quantized).len() as f64;
    let ratio = onnx::to_bytes(&model).len() as f64 / int8;
    assert!((3.9..4.0).contains(&ratio), "{ratio}");
    agree_with_tract(&quantized, 2);
}

/// Compares the file's logits in tract with the reference and with the executor.
pub fn agree_with_tract(model: &QuantizedModel, n: usize) {
    let (height, width) = (model.model().height(), model.model().width());
    let mut file = std::io::Cursor::new(onnx::quantized_to_bytes(model));
    let runnable = tract_onnx::onnx()
        .model_for_read(&mut file)
        .unwrap()
        .into_optimized()
        .unwrap()
        .into_runnable()
        .unwrap();
    let pictures = random_pictures(n as u64, n, height, width);
    let images = Tensor::from_shape(&[n, height, width, 3], &pictures).unwrap();
    let outputs = runnable.run(tvec![images.into()]).unwrap();
    let logits = outputs[0].to_plain_array_view::<f32>().unwrap();
    let logits: Vec<f32> = logits.iter().copied().collect();
    agree(&logits, &model.reference_logits(&pictures, n).unwrap(), n);
    let executor = Executor::quantized(model, 1);
    agree(&logits, &executor.logits(&pictures, n).unwrap(), n);
}

#[test]
fn tract_agrees_with_the_reference() {
    for model in models() {
        for n in [1, 3] {
            agree_with_tract(&quantized(&model), n);
        }
    }
}

#[test]
fn figures_for_a_gate_are_of_both_models() {
    let model = frozen(ModelConfig::small(), 16);
    let quantized = quantized(&model);
    let pictures = random_pictures(3, 40, 16, 16);
    let reference = model.logits(&pictures, 40).unwrap();
    let int8 = Simulation::new(&quantized).logits(&pictures, 40).unwrap();
    let labels = own_labels(&model, &pictures, 40);
    let figures = compare_precisions(&reference, &int8, &labels, 10, 0.95).unwrap();
    assert_eq!((figures.n, figures.f32_accuracy), (40, 1.0));
    assert_eq!(figures.agreement, figures.reduced_accuracy);
    assert_eq!(figures.accuracy_kept, Some(figures.reduced_accuracy));
    assert!(figures.max_logit_difference > figures.mean_logit_difference);
}

proptest! {
    /// The bias in `f32` gives back its steps, and rounding twice changes nothing: so a file can be read back.
    #[test]
    fn rounding_again_changes_nothing(
        scale in 1e-6_f32..1e3,
        weight_scale in 1e-9_f32..10.0,
        zero_point: u8,
        value in -1e4_f32..1e4,
        steps in -(1_i32 << 22)..=1 << 22,
    ) {
        let buffer = BufferScale { scale, zero_point };
        let once = buffer.round(value);
        prop_assert_eq!(buffer.round(once), once);
        prop_assert_eq!(buffer.quantize(once), buffer.quantize(value));
        prop_assert_eq!(buffer.dequantize(buffer.quantize(value)), once);
        for q in 0..=255 {
            prop_assert_eq!(buffer.quantize(buffer.dequantize(q)), q);
        }
        let step = f64::from(scale * weight_scale);
        let bias = (f64::from(steps) * step) as f32;
        prop_assert_eq!((f64::from(bias) / step).round_ties_even() as i32, steps);
    }
}
