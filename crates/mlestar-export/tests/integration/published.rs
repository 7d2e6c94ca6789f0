//! The published networks, from their state to the frozen model, its files and int8.

use burn::tensor::Device;
use mlestar_export::quantize::{LabelledImages, QuantizationOptions, RangeMethod, quantize};
use mlestar_export::{Executor, FrozenModel, onnx, safetensors_file};
use mlestar_model::{Architecture, ImageClassifier, ModelConfig, Network};

use crate::models::{
    MEAN, STD, burn_images, class_names, max_difference, own_labels, random_pictures,
    with_statistics,
};
use crate::onnx_runtime;
use crate::quantization::{agree, agree_with_tract};

const SIDES: [usize; 2] = [33, 46];

fn network(architecture: Architecture) -> ImageClassifier {
    let spec = ModelConfig::of(architecture)
        .check(3, SIDES[0], SIDES[1])
        .unwrap();
    with_statistics(spec.init(5, &Device::flex()))
}

fn frozen(architecture: Architecture, state: &[mlestar_model::NamedTensor]) -> FrozenModel {
    let spec = ModelConfig::of(architecture)
        .check(3, SIDES[0], SIDES[1])
        .unwrap();
    FrozenModel::from_state(state, &spec, (MEAN, STD), &class_names(3)).unwrap()
}

#[test]
fn their_logits_are_those_of_the_network_and_their_files_are_read_back() {
    for architecture in Architecture::PUBLISHED {
        let network = network(architecture);
        let frozen = frozen(architecture, &network.state());
        let pictures = random_pictures(2, 3, SIDES[0], SIDES[1]);
        let expected = network.forward(burn_images(&pictures, SIDES)).into_data();
        let expected: Vec<f32> = expected.iter().collect();
        let largest = expected.iter().fold(1.0_f32, |a, b| a.max(b.abs()));
        let found = frozen.logits(&pictures, 3).unwrap();
        let difference = max_difference(&expected, &found);
        assert!(
            difference < 1e-4 * f64::from(largest),
            "{architecture:?}: {difference} of {largest}"
        );
        assert_eq!(onnx::from_bytes(&onnx::to_bytes(&frozen)).unwrap(), frozen);
        let bytes = safetensors_file::to_bytes(&frozen);
        assert_eq!(safetensors_file::from_bytes(&bytes).unwrap(), frozen);
        if architecture == Architecture::EfficientnetLite0 {
            onnx_runtime::check(&frozen);
        }
    }
}

/// Each depthwise layer is int8, whose scales and biases take more of the file than its weights.
#[test]
fn efficientnet_lite0_is_int8_throughout() {
    let architecture = Architecture::EfficientnetLite0;
    let model = frozen(architecture, &network(architecture).state());
    let pictures = random_pictures(4, 2, SIDES[0], SIDES[1]);
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
    let quantization = quantize(&model, &pictures, images, &options).unwrap();
    let weighted = model.operations().iter();
    let weighted = weighted.filter(|operation| operation.parameters() > 0);
    assert_eq!(quantization.record.int8_layers.len(), weighted.count());
    let quantized = quantization.model;
    let int8 = onnx::quantized_to_bytes(&quantized).len() as f64;
    let ratio = onnx::to_bytes(&model).len() as f64 / int8;
    assert!((3.6..3.75).contains(&ratio), "{ratio}");
    let found = Executor::quantized(&quantized, 1).logits(&pictures, 2);
    let expected = quantized.reference_logits(&pictures, 2).unwrap();
    agree(&found.unwrap(), &expected, 2);
    agree_with_tract(&quantized, 2);
}
