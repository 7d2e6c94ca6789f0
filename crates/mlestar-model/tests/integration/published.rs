//! The published networks.

use burn::tensor::{Device, Tensor};
use mlestar_model::{
    Activation, Architecture, LayerKind, ModelConfig, ModelError, Network, Padding,
};

const IMAGENET: usize = 1000;

fn config(text: &str) -> Result<ModelConfig, String> {
    toml::from_str(text).map_err(|error| error.to_string())
}

/// Figures of torchvision 0.29 and `efficientnet_lite_pytorch` 0.1: parameters, and multiply-adds of convolutions and
/// linear layers counted with hooks.
#[test]
fn they_have_the_parameters_and_operations_of_the_originals() {
    for (architecture, parameters, multiply_adds) in [
        (Architecture::Resnet18, 11_689_512, 1_814_073_344),
        (Architecture::Resnet50, 25_557_032, 4_089_184_256),
        (Architecture::EfficientnetLite0, 4_652_008, 385_187_552),
    ] {
        let spec = ModelConfig::of(architecture)
            .check(IMAGENET, 224, 224)
            .unwrap();
        let summary = spec.summary();
        assert_eq!(summary.trainable, parameters, "{architecture:?}");
        assert_eq!(
            summary.multiply_adds_per_image, multiply_adds,
            "{architecture:?}"
        );
        assert_eq!(
            spec.description().last_map()[1..],
            [7, 7],
            "{architecture:?}"
        );
    }
}

#[test]
fn a_config_names_them_and_little_else() {
    for (name, architecture, dropout) in [
        ("resnet-18", Architecture::Resnet18, 0.0),
        ("resnet-50", Architecture::Resnet50, 0.0),
        ("efficientnet-lite0", Architecture::EfficientnetLite0, 0.2),
    ] {
        let found = config(&format!("architecture = {name:?}")).unwrap();
        assert_eq!(found, ModelConfig::of(architecture));
        assert_eq!(found.dropout, dropout);
        let written = toml::to_string(&found).unwrap();
        assert!(
            !written.contains("stages") && !written.contains("activation"),
            "{written}"
        );
        assert_eq!(config(&written).unwrap(), found);
        let changed = config(&format!(
            "architecture = {name:?}\ndropout = 0.3\nstochastic_depth = 0.1\nflip_averaging = true"
        ));
        let changed = changed.unwrap().check(2, 224, 224).unwrap().description();
        assert_eq!((changed.dropout, changed.stochastic_depth), (0.3, 0.1));
        assert!(changed.views.mirrored);
        for (key, value) in [
            ("activation", "\"relu\""),
            ("stem_channels", "64"),
            ("stages", "[{ channels = 8, blocks = 1, stride = 2 }]"),
        ] {
            let error = config(&format!("architecture = {name:?}\n{key} = {value}")).unwrap_err();
            let expected = format!("`{key}` does not apply to {}", architecture.name());
            assert!(error.contains(&expected), "{error}");
        }
    }
    let mixed = ModelConfig {
        architecture: Architecture::Resnet18,
        ..ModelConfig::small()
    };
    let error = mixed.check(2, 224, 224).unwrap_err();
    assert!(
        matches!(
            error,
            ModelError::KeyDoesNotApply {
                key: "stem_channels",
                ..
            }
        ),
        "{error}"
    );
}

#[test]
fn images_must_allow_for_five_halvings() {
    let check = |height, width| ModelConfig::of(Architecture::Resnet18).check(2, height, width);
    assert_eq!(
        check(31, 64).unwrap_err().to_string(),
        "height = 31 is out of range: it must be 32 to 4096"
    );
    for architecture in Architecture::PUBLISHED {
        for sides in [[32, 32], [33, 47], [224, 161]] {
            let spec = ModelConfig::of(architecture)
                .check(2, sides[0], sides[1])
                .unwrap();
            let [_, height, width] = spec.description().last_map();
            assert_eq!(
                [height, width],
                sides.map(|side| side.div_ceil(32)),
                "{architecture:?}"
            );
        }
    }
}

#[test]
fn the_layers_are_those_of_the_papers() {
    let description = |architecture| {
        let spec = ModelConfig::of(architecture)
            .check(IMAGENET, 224, 224)
            .unwrap();
        spec.description()
    };
    let unit = |description: &mlestar_model::Description, name: &str| {
        let found = description
            .units()
            .find(|unit| unit.operation_name() == name)
            .cloned();
        found.unwrap_or_else(|| panic!("{name}"))
    };
    let resnet = description(Architecture::Resnet50);
    assert_eq!(unit(&resnet, "stages.1.0.conv1").stride, 1);
    assert_eq!(unit(&resnet, "stages.1.0.conv2").stride, 2);
    assert_eq!(
        unit(&resnet, "stages.1.0.shortcut").weight_shape(),
        [512, 256, 1, 1]
    );
    assert_eq!(
        unit(&resnet, "stages.0.0.shortcut").weight_shape(),
        [256, 64, 1, 1]
    );
    assert_eq!(resnet.units().count(), 53);
    assert_eq!(unit(&description(Architecture::Resnet18), "stem").kernel, 7);

    let lite = description(Architecture::EfficientnetLite0);
    assert_eq!(
        unit(&lite, "stem").padding,
        Padding {
            start: [0; 2],
            end: [1; 2]
        }
    );
    let depthwise = unit(&lite, "stages.2.0.conv2");
    assert_eq!(
        (depthwise.kernel, depthwise.stride, depthwise.groups),
        (5, 2, 144)
    );
    assert_eq!(
        depthwise.padding,
        Padding {
            start: [1; 2],
            end: [2; 2]
        }
    );
    assert_eq!(
        unit(&lite, "stages.2.1.conv2").padding,
        Padding::even([2; 2])
    );
    assert_eq!(unit(&lite, "stages.6.0.conv3").activation, None);
    assert_eq!(unit(&lite, "top").weight_shape(), [1280, 320, 1, 1]);
    assert!(lite.units().all(|unit| unit.epsilon == 1e-3));
    assert_eq!(lite.units().count(), 49);
    let summary = lite.summary();
    let relu6 = (summary.layers.iter()).filter(|layer| layer.kind == LayerKind::Relu6);
    assert_eq!(relu6.count(), 33);
    let activations = lite.units().filter_map(|unit| unit.activation);
    assert!(activations.into_iter().all(|own| own == Activation::Relu6));
}

#[test]
fn the_tensors_of_a_description_are_those_of_the_network() {
    let device = Device::flex();
    for architecture in [Architecture::Resnet18, Architecture::EfficientnetLite0] {
        let spec = ModelConfig::of(architecture).check(3, 32, 40).unwrap();
        let network = spec.init(1, &device);
        let state = network.state().into_iter();
        let state: Vec<_> = state.map(|tensor| (tensor.name, tensor.shape)).collect();
        assert_eq!(state, spec.description().tensors());
        let logits = network.forward(Tensor::ones([2, 3, 32, 40], &device));
        assert_eq!(logits.dims(), [2, 3]);
    }
}
