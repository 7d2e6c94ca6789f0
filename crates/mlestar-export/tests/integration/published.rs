//! The published networks from their state to the frozen model, and features without the linear layer.

use burn::tensor::Device;
use mlestar_export::{Backbone, Executor, FrozenModel, Layer, Precision, onnx, safetensors_file};
use mlestar_model::{Architecture, ImageClassifier, ModelConfig, Network, Views};

use crate::models::{
    MEAN, STD, burn_images, class_names, max_difference, random_pictures, with_statistics,
};
use crate::onnx_runtime;

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

#[test]
fn features_are_the_input_of_the_linear_layer() {
    let architecture = Architecture::EfficientnetLite0;
    let network = network(architecture);
    let plain = frozen(architecture, &network.state());
    let n = 5;
    let pictures = random_pictures(3, n, SIDES[0], SIDES[1]);
    let mirrored = plain.clone().with_views(Views {
        mirrored: true,
        shifted: false,
    });
    for model in [plain, mirrored] {
        let executor = Executor::new(&model);
        let size = executor.n_features();
        assert_eq!(size, 1280);
        let features = executor.features(&pictures, n).unwrap();
        let Some(Layer::Linear(linear)) = model.operations().last().map(|last| &last.layer) else {
            panic!("no linear layer");
        };
        let logits = features.chunks(size).flat_map(|features| {
            (linear.weight.chunks(size).zip(&linear.bias)).map(move |(row, bias)| {
                let sum: f32 = row.iter().zip(features).map(|(w, x)| w * x).sum();
                sum + bias
            })
        });
        let logits: Vec<f32> = logits.collect();
        let expected = executor.logits(&pictures, n).unwrap();
        let largest = expected.iter().fold(1.0_f32, |a, b| a.max(b.abs()));
        assert!(max_difference(&expected, &logits) < 1e-4 * f64::from(largest));
        // The same bits alone.
        for (picture, features) in pictures
            .chunks(pictures.len() / n)
            .zip(features.chunks(size))
        {
            assert_eq!(executor.features(picture, 1).unwrap(), features);
        }
        assert!(executor.features(&pictures, n + 1).is_err());
        let rounded = Executor::with_precision(&model, Precision::Bf16, 1).unwrap();
        let rounded = rounded.features(&pictures, n).unwrap();
        let largest = features.iter().fold(0.0_f32, |a, b| a.max(b.abs()));
        assert!(max_difference(&rounded, &features) < 0.1 * f64::from(largest));
    }
}

#[test]
fn a_backbone_needs_no_head_and_gives_the_same_features_in_any_batch() {
    let architecture = Architecture::Resnet18;
    let network = network(architecture);
    let spec = ModelConfig::of(architecture)
        .check(3, SIDES[0], SIDES[1])
        .unwrap();
    let mut state = network.state();
    let model = frozen(architecture, &state);
    state.retain(|tensor| !tensor.name.starts_with("head."));
    let backbone = Backbone::new(&state, &spec.description(), (MEAN, STD)).unwrap();
    assert_eq!(
        (backbone.n_features(), backbone.picture_size()),
        (512, (SIDES[0], SIDES[1]))
    );
    let pictures = random_pictures(4, 3, SIDES[0], SIDES[1]);
    let features = backbone.features(&pictures, 3).unwrap();
    let expected = Executor::new(&model).features(&pictures, 3).unwrap();
    let largest = expected.iter().fold(0.0_f32, |a, b| a.max(b.abs()));
    assert!(largest > 0.1 && max_difference(&features, &expected) < 1e-4 * f64::from(largest));
    let alone = backbone
        .features(&pictures[..pictures.len() / 3], 1)
        .unwrap();
    assert_eq!(alone, features[..512]);
    state.pop();
    assert!(Backbone::new(&state, &spec.description(), (MEAN, STD)).is_err());
}
