//! Architectures without a config go from their description through training and counting to files.

use burn::module::Module;
use burn::optim::GradientsParams;
use burn::tensor::Device;
use mlestar_export::{ExportError, FrozenModel, onnx, safetensors_file};
use mlestar_model::{
    Activation, BlockDescription, Description, ImageClassifier, LayerKind, MaxPool, ModelError,
    Network, Padding, PoolPosition, Shortcut, TrainingPass, UnitDescription, Views,
};

use crate::models::{
    MEAN, STD, burn_images, class_names, max_difference, random_pictures, with_statistics,
};
use crate::{executor::agrees_with_naive, onnx_runtime};

#[path = "../../../mlestar-model/tests/shared/bottlenecks.rs"]
mod bottlenecks;

const SIDE: usize = 25;

fn descriptions() -> Vec<Description> {
    let activations = [Activation::Relu, Activation::Relu6, Activation::Silu].into_iter();
    let both = activations.flat_map(|activation| {
        [
            bottlenecks::residual_bottlenecks(activation, SIDE),
            bottlenecks::inverted_bottlenecks(activation, SIDE),
            bottlenecks::padded_bottlenecks(activation, SIDE),
            bottlenecks::padded_bottlenecks(activation, SIDE + 1),
        ]
    });
    both.collect()
}

/// The networks with depthwise layers and ReLU6, frozen.
pub fn depthwise_networks() -> [FrozenModel; 3] {
    let relu6 = Activation::Relu6;
    [
        bottlenecks::inverted_bottlenecks(relu6, SIDE),
        bottlenecks::padded_bottlenecks(relu6, SIDE),
        bottlenecks::padded_bottlenecks(relu6, SIDE + 1),
    ]
    .map(|description| {
        let model = with_statistics(ImageClassifier::new(&description, 3, &Device::flex()));
        frozen(&model, &description).unwrap()
    })
}

fn frozen(model: &ImageClassifier, description: &Description) -> Result<FrozenModel, ExportError> {
    FrozenModel::from_description(&model.state(), description, (MEAN, STD), &class_names(3))
}

#[test]
fn they_are_frozen_and_written_as_they_are_evaluated() {
    for description in descriptions() {
        description.check().unwrap();
        let model = with_statistics(ImageClassifier::new(&description, 3, &Device::flex()));
        let frozen = frozen(&model, &description).unwrap();
        let [height, width] = description.image;
        let pictures = random_pictures(1, 3, height, width);
        let images = burn_images(&pictures, [height, width]);
        let expected = model.forward(images).into_data();
        let expected: Vec<f32> = expected.iter::<f32>().collect();
        let largest = expected.iter().fold(0.0_f32, |a, b| a.max(b.abs()));
        assert!(largest > 0.1, "{expected:?}");
        let found = frozen.logits(&pictures, 3).unwrap();
        assert!(max_difference(&expected, &found) < 1e-4);
        agrees_with_naive(&frozen, &pictures, 3);
        onnx_runtime::check(&frozen);
        assert_eq!(onnx::from_bytes(&onnx::to_bytes(&frozen)).unwrap(), frozen);
        let bytes = safetensors_file::to_bytes(&frozen);
        assert_eq!(safetensors_file::from_bytes(&bytes).unwrap(), frozen);
    }
}

#[test]
fn their_counts_are_those_of_the_model_and_of_the_frozen_graph() {
    for description in descriptions() {
        let summary = description.summary();
        let model = ImageClassifier::new(&description, 3, &Device::flex());
        assert_eq!(summary.trainable, model.n_trainable() as u64);
        assert_eq!(summary.parameters, model.num_params() as u64);
        for layer in summary.layers.iter().filter(|layer| layer.parameters > 0) {
            let prefix = format!("{}.", layer.name);
            let state = model.state();
            let of_layer = state
                .iter()
                .filter(|tensor| tensor.name.starts_with(&prefix));
            let values: usize = of_layer.map(|tensor| tensor.values.len()).sum();
            assert_eq!(layer.parameters, values as u64, "{}", layer.name);
        }
        let frozen = frozen(&model, &description).unwrap();
        assert_eq!(frozen.multiply_adds(), summary.multiply_adds_per_image);
        for (operation, shape) in frozen.operations().iter().zip(&frozen.buffer_shapes()[1..]) {
            let is_layer = |name: &str| {
                [operation.name.clone(), format!("{}.conv", operation.name)]
                    .iter()
                    .any(|own| own == name)
            };
            let layer = summary
                .layers
                .iter()
                .find(|layer| is_layer(&layer.name))
                .unwrap();
            let sides = layer.output_shape.len();
            assert_eq!(layer.output_shape, shape[..sides], "{}", operation.name);
        }
    }
}

/// Computed by hand, for images of 25x27 pixels.
#[test]
fn a_stem_with_a_max_pool_and_linear_bottlenecks_cost_what_they_cost() {
    let description = bottlenecks::residual_bottlenecks(Activation::Relu, SIDE);
    let summary = description.summary();
    let find = |name: &str| {
        summary
            .layers
            .iter()
            .find(|layer| layer.name == name)
            .unwrap()
    };
    assert_eq!(find("stem.relu").output_shape, [8, 13, 14]);
    let pool = find("stem.pool");
    assert_eq!(
        (pool.kind, &pool.output_shape[..]),
        (LayerKind::MaxPool, &[8, 7, 7][..])
    );
    assert_eq!(pool.flops, 9 * 8 * 7 * 7);
    assert_eq!(find("stages.1.0.relu3").output_shape, [32, 4, 4]);
    assert_eq!(description.last_map(), [32, 4, 4]);

    let description = bottlenecks::inverted_bottlenecks(Activation::Relu, SIDE);
    let summary = description.summary();
    let find = |name: &str| summary.layers.iter().find(|layer| layer.name == name);
    let depthwise = find("stages.0.1.conv2").unwrap();
    assert_eq!(depthwise.parameters, 36 * 25);
    assert_eq!(depthwise.multiply_adds, 36 * 25 * 7 * 7);
    assert!(find("stages.0.1.relu3").is_none());
    // The image; the stem's three maps; of each block the first unit's three, the second's three, and the
    // convolution's output and what the next one reads; the features and the logits.
    let kept = 3 * 25 * 27
        + 3 * 8 * 13 * 14
        + (3 * 24 * 13 * 14 + 3 * 24 * 7 * 7 + 2 * 12 * 7 * 7)
        + 2 * (6 * 36 * 7 * 7 + 2 * 12 * 7 * 7)
        + 12
        + 3;
    assert_eq!(summary.training_activation_bytes_per_image, 4 * kept);
    // The largest moment: a wide map before and after its normalisation.
    assert_eq!(
        summary.inference_activation_bytes_per_image,
        4 * 2 * 24 * 13 * 14
    );
}

#[test]
fn every_parameter_is_trained_and_branches_can_be_left_out() {
    let device = Device::flex().autodiff();
    for description in descriptions() {
        let model = ImageClassifier::new(&description, 3, &device);
        let [height, width] = description.image;
        let images = || {
            let images = burn_images(&random_pictures(1, 5, height, width), [height, width]);
            images.to_device(&device)
        };
        let logits = model.forward_train_with(images(), TrainingPass::default());
        let gradients = logits.powi_scalar(2).sum().backward();
        let gradients = GradientsParams::from_grads(gradients, &model);
        let state = model.state();
        let trained = state
            .iter()
            .filter(|tensor| !tensor.name.contains("running"));
        assert_eq!(gradients.len(), trained.count());

        // The first of the last two blocks has no shortcut or is skipped, the other one is.
        let before = model.state();
        let pass = TrainingPass {
            branch_factors: &[Some(1.0), Some(2.0), None],
            ..TrainingPass::default()
        };
        let _ = model.forward_train_with(images(), pass);
        let last = &description.blocks[3];
        for (before, after) in before.iter().zip(&model.state()) {
            let is_in_branch = before.name.starts_with(&format!("{}.bn", last.name));
            if before.name.contains("running") {
                assert_eq!(before == after, is_in_branch, "{}", before.name);
            }
        }
    }
}

#[test]
fn what_cannot_be_built_is_refused_by_name() {
    let refused = |change: &dyn Fn(&mut Vec<BlockDescription>), expected: &str| {
        let mut description = bottlenecks::residual_bottlenecks(Activation::Relu, SIDE);
        change(&mut description.blocks);
        let error = description.check().unwrap_err();
        assert!(matches!(error, ModelError::Description { .. }), "{error}");
        assert!(error.to_string().contains(expected), "{error}");
    };
    refused(
        &|blocks| blocks[1].branch[1].channels_in = 6,
        "stages.0.0.conv2: it expects 6 input channels, but its input has 5",
    );
    refused(
        &|blocks| blocks[1].branch[1].groups = 2,
        "stages.0.0.conv2: its channels cannot be split into 2 groups",
    );
    refused(
        &|blocks| blocks[3].shortcut = Shortcut::Identity,
        "stages.1.0: it adds a map of shape [20, 7, 7] to one of [32, 4, 4]",
    );
    refused(
        &|blocks| blocks[2].branch[2].pool = Some(MaxPool::side_by_side(2)),
        "stages.0.1: a sum after a max pool is not supported",
    );
    refused(
        &|blocks| blocks[2].branch.clear(),
        "stages.0.1: it has no units",
    );
    refused(
        &|blocks| blocks[2] = blocks[1].clone(),
        "stages.0.0.conv1: it occurs twice",
    );
    let small = bottlenecks::residual_bottlenecks(Activation::Relu, 1);
    let error = small.check().unwrap_err().to_string();
    assert!(error.starts_with("stem.stride = 2 does not fit"), "{error}");
}
