use burn::{
    module::Module,
    tensor::{
        Device, Tensor, TensorData,
        module::{conv2d, max_pool2d},
        ops::{ConvOptions, MaxPoolOptions},
    },
};
use mlestar_model::{
    Activation, ImageClassifier, LayerKind, ModelConfig, ModelSpec, ModelSummary, Network,
    Shortcut, UnitDescription,
};
use proptest::prelude::*;

use crate::{plain_config, pooled_residual_config, random_images, tiny_config};

pub fn find<'a>(summary: &'a ModelSummary, name: &str) -> &'a mlestar_model::LayerSummary {
    summary
        .layers
        .iter()
        .find(|layer| layer.name == name)
        .unwrap()
}

#[test]
fn the_reference_has_exactly_2_786_506_parameters() {
    let spec = ModelConfig::reference().check(10, 32, 32).unwrap();
    let summary = spec.summary();
    assert_eq!(summary.parameters, 2_786_506);
    assert_eq!(summary.trainable, 2_781_898);
    let model = spec.init(0, &Device::flex());
    assert_eq!(model.num_params(), 2_786_506);
    assert_eq!(model.n_trainable(), 2_781_898);
    assert_eq!(
        summary
            .layers
            .iter()
            .filter(|l| l.kind == LayerKind::Convolution)
            .count(),
        16
    );
}

/// Computed by hand from the shapes.
#[test]
fn the_reference_s_operations_and_bytes() {
    let summary = ModelConfig::reference()
        .check(10, 32, 32)
        .unwrap()
        .summary();
    let stem = find(&summary, "stem.conv");
    assert_eq!(stem.multiply_adds, 3 * 64 * 9 * 32 * 32);
    assert_eq!(stem.output_shape, [64, 32, 32]);
    assert_eq!(stem.activation_bytes, 64 * 32 * 32 * 4);
    let conv = find(&summary, "stages.2.0.conv1");
    assert_eq!(conv.multiply_adds, 128 * 256 * 9 * 4 * 4);
    let shortcut = find(&summary, "stages.2.0.shortcut.conv");
    assert_eq!(shortcut.multiply_adds, 128 * 256 * 4 * 4);
    assert_eq!(find(&summary, "stages.2.1.relu2").output_shape, [256, 4, 4]);
    assert_eq!(find(&summary, "head").parameters, 256 * 10 + 10);
    let macs = 3 * 64 * 9 * 1024 // stem
        + 256 * (4 * 64 * 64 * 9 + 64 * 64) // stage 0 at 16x16
        + 64 * (64 * 128 * 9 + 3 * 128 * 128 * 9 + 64 * 128) // stage 1 at 8x8
        + 16 * (128 * 256 * 9 + 3 * 256 * 256 * 9 + 128 * 256) // stage 2 at 4x4
        + 2560; // head
    assert_eq!(summary.multiply_adds_per_image, macs);
    // The largest moment: the stem's output before and after normalisation.
    assert_eq!(
        summary.inference_activation_bytes_per_image,
        2 * 64 * 1024 * 4
    );
    // The stem keeps three maps of 64x32x32 and the image; a block with a shortcut seven maps of
    // its output's shape, one without six.
    let kept = 3 * 1024 + 3 * 64 * 1024 + 13 * (64 * 256 + 128 * 64 + 256 * 16) + 3 * 256 + 10;
    assert_eq!(summary.training_activation_bytes_per_image, 4 * kept);
    assert_eq!(summary.weight_bytes, 4 * 2_786_506);
}

/// Compares every convolution of the summary with the shape that the module actually computes.
pub fn check_against_module(spec: &ModelSpec) {
    let device = Device::flex();
    let model = spec.init(0, &device);
    let summary = spec.summary();
    assert_eq!(summary.trainable, model.n_trainable() as u64);
    let state = model.state();
    let values: usize = state.iter().map(|tensor| tensor.values.len()).sum();
    assert_eq!(summary.weight_bytes, 4 * values as u64);
    for layer in summary.layers.iter().filter(|layer| layer.parameters > 0) {
        let prefix = format!("{}.", layer.name);
        let in_state: usize = state
            .iter()
            .filter(|t| t.name.starts_with(&prefix))
            .map(|t| t.values.len())
            .sum();
        assert_eq!(layer.parameters, in_state as u64, "{}", layer.name);
    }
    check_shapes(spec, &model, &summary);
}

fn check_shapes(spec: &ModelSpec, model: &ImageClassifier, summary: &ModelSummary) {
    let device = Device::flex();
    let images = random_images(0, [1, 3, spec.height(), spec.width()], &device);
    let state = model.state();
    let check = |unit: &UnitDescription, x: Tensor<4>| {
        let name = unit.convolution_name();
        let weight = state.iter().find(|t| t.name == format!("{name}.weight"));
        let weight = weight.unwrap();
        let data = TensorData::new(weight.values.clone(), weight.shape.clone());
        let options = ConvOptions::new([unit.stride; 2], unit.padding.start, [1; 2], unit.groups);
        let y = conv2d(x, Tensor::from_data(data, &device), None, options);
        assert_eq!(find(summary, &name).output_shape, y.dims()[1..], "{name}");
        let Some(pool) = unit.pool else {
            return y;
        };
        let y = max_pool2d(y, MaxPoolOptions::new([pool.window; 2]));
        let name = unit.pool_name();
        assert_eq!(find(summary, &name).output_shape, y.dims()[1..], "{name}");
        y
    };
    let mut x = images.clone();
    for block in spec.description().blocks {
        let y = (block.branch.iter()).fold(x.clone(), |x, unit| check(unit, x));
        x = match &block.shortcut {
            Shortcut::None => y,
            Shortcut::Identity => y + x,
            Shortcut::Projection(unit) => y + check(unit, x),
        };
        let last = block.branch.last().unwrap().activation_name("relu");
        assert_eq!(find(summary, &last).output_shape, x.dims()[1..], "{last}");
    }
    let logits = model.forward(images);
    assert_eq!(find(summary, "head").output_shape, logits.dims()[1..]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn the_summary_agrees_with_the_module(
        height in 4_usize..20, width in 4_usize..20, classes in 2_usize..6,
        stem in 1_usize..6, first in 1_usize..6, second in 1_usize..6,
        blocks in 1_usize..3, stride in 1_usize..4,
    ) {
        let mut config = tiny_config();
        config.stem_channels = stem;
        config.stages[0].channels = first;
        config.stages[1].channels = second;
        config.stages[0].blocks = blocks;
        config.stages[1].stride = stride;
        check_against_module(&config.check(classes, height, width).unwrap());
    }
}

#[test]
fn a_plain_model_agrees_too() {
    let spec = plain_config().check(4, 25, 14).unwrap();
    check_against_module(&spec);
    let names = spec.init(0, &Device::flex()).fixed_parameters();
    assert_eq!(names, ["stages.0.0.bn1.weight", "stages.1.0.bn1.weight"]);
}

#[test]
fn a_residual_model_with_max_pools_agrees_too() {
    let spec = pooled_residual_config().check(4, 25, 14).unwrap();
    check_against_module(&spec);
    // The first block of a stage has the pool, the others a shortcut.
    let summary = spec.summary();
    let named = |name: &str| summary.layers.iter().any(|layer| layer.name == name);
    for stage in 0..2 {
        for (block, [pool, add]) in [[true, false], [false, true]].into_iter().enumerate() {
            assert_eq!(named(&format!("stages.{stage}.{block}.pool")), pool);
            assert_eq!(named(&format!("stages.{stage}.{block}.add")), add);
        }
    }
    let plain = plain_config().check(4, 25, 14).unwrap().summary();
    assert_eq!(summary.parameters, plain.parameters);
}

#[test]
fn silu_costs_four_operations_a_value_and_has_its_own_name() {
    let relu = plain_config();
    let silu = ModelConfig {
        activation: Activation::Silu,
        ..relu.clone()
    };
    let [relu, silu] = [relu, silu].map(|config| config.check(4, 25, 14).unwrap().summary());
    assert_eq!(find(&silu, "stem.silu").kind, LayerKind::Silu);
    let activated: u64 = (relu.layers.iter())
        .filter(|layer| layer.kind == LayerKind::Relu)
        .map(|layer| layer.output_shape.iter().product::<usize>() as u64)
        .sum();
    assert_eq!(silu.flops_per_image, relu.flops_per_image + 3 * activated);
    assert_eq!(silu.parameters, relu.parameters);
}

#[test]
fn the_small_model_agrees_too() {
    check_against_module(&ModelConfig::small().check(10, 32, 32).unwrap());
}

#[test]
fn the_summary_is_plain_data() {
    let summary = ModelConfig::small().check(10, 32, 32).unwrap().summary();
    let text = serde_json::to_string(&summary).unwrap();
    assert!(text.contains("\"kind\":\"convolution\""));
    assert_eq!(
        serde_json::from_str::<ModelSummary>(&text).unwrap(),
        summary
    );
}
