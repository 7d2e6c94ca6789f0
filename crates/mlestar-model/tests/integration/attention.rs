//! Attention: against the definition in `f64`, against finite differences, and that nothing changes without it.

use burn::{
    module::Module,
    optim::GradientsParams,
    tensor::{Device, Tensor, TensorData},
};
use mlestar_model::{
    Activation, Attention, AttentionKind, LayerKind, ModelConfig, ModelError, Network as _,
    TrainingPass,
};
use proptest::prelude::*;

use crate::{
    evaluation, naive::Network, plain_config, pooled_residual_config, random_images, random_state,
    random_values, summary, tiny_config, to_vec,
};

const ATTENTIONS: [Attention; 2] = [Attention::SqueezeExcitation, Attention::Spatial];

/// The three families with each kind of attention.
fn configs() -> Vec<ModelConfig> {
    let families = [tiny_config(), plain_config(), pooled_residual_config()];
    let scaled = families.into_iter().flat_map(|config| {
        ATTENTIONS.map(|attention| ModelConfig {
            attention,
            ..config.clone()
        })
    });
    scaled.collect()
}

fn smooth(config: ModelConfig) -> ModelConfig {
    ModelConfig {
        activation: Activation::Silu,
        ..config
    }
}

#[test]
fn attention_networks_equal_their_naive_forward_pass() {
    for config in configs() {
        // The last map of the first size has one pixel, in the plain families.
        for (height, width, n) in [(6, 7, 1), (13, 11, 3), (6, 20, 2)] {
            evaluation::check(&config.check(3, height, width).unwrap(), n);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn attention_networks_of_any_size_equal_their_naive_forward_pass(
        height in 2_usize..12, width in 2_usize..12, n in 1_usize..4,
        first in 1_usize..6, second in 1_usize..40, spatial: bool,
    ) {
        let mut config = ModelConfig { attention: ATTENTIONS[usize::from(spatial)], ..tiny_config() };
        config.stages[0].channels = first;
        config.stages[1].channels = second;
        let spec = config.check(3, height, width).unwrap();
        summary::check_against_module(&spec);
        evaluation::check(&spec, n);
    }
}

/// With the statistics frozen, a training pass is the evaluation with scaled and skipped branches.
#[test]
fn stochastic_depth_scales_and_skips_attention_branches() {
    let (n, height, width) = (2, 9, 12);
    let factors = [Some(1.5), None, Some(1.0)];
    for config in configs() {
        let spec = config.check(3, height, width).unwrap();
        let state = random_state(&spec, 7);
        let device = Device::flex().autodiff();
        let model = spec.init(0, &device).load_state(&state, &device).unwrap();
        let pass = TrainingPass {
            branch_factors: &factors,
            frozen_statistics: true,
            ..TrainingPass::default()
        };
        let images = random_images(3, [n, 3, height, width], &device);
        let found = to_vec(model.forward_train_with(images, pass));
        let network = Network::new(&spec, &state).with_branch_factors(&factors);
        let pixels = random_values(3, n * 3 * height * width);
        let expected = pixels
            .chunks(3 * height * width)
            .flat_map(|image| network.logits(image, height, width));
        for (found, expected) in found.iter().zip(expected) {
            let difference = (f64::from(*found) - expected).abs();
            assert!(difference < 1e-4, "{found} and {expected}");
        }
    }
}

/// The gradients of attention layers, and of a convolution before one, against central differences of the loss.
#[test]
fn gradients_equal_finite_differences() {
    let device = Device::flex().autodiff();
    for config in configs() {
        // A ReLU with its kink within the step would give another difference.
        let spec = smooth(config).check(3, 12, 10).unwrap();
        let state = random_state(&spec, 5);
        let loss = |name: &str, index: usize, change: f32| {
            let mut state = state.clone();
            let tensor = state.iter_mut().find(|tensor| tensor.name == name).unwrap();
            tensor.values[index] += change;
            let model = spec.init(0, &device).load_state(&state, &device).unwrap();
            let images = random_images(2, [3, 3, 12, 10], &device);
            let logits = model.forward_train_with(images, TrainingPass::default());
            let coefficients = TensorData::new(random_values(8, 9), [3, 3]);
            let loss = (logits * Tensor::<2>::from_data(coefficients, &device)).sum();
            (loss, model)
        };
        let (value, model) = loss("head.bias", 0, 0.0);
        let gradients = GradientsParams::from_grads(value.backward(), &model);
        let gradients = named(&model, &gradients);
        let names = model.state().into_iter().map(|tensor| tensor.name);
        let of_attention =
            names.filter(|name| name.contains("attention") || name.ends_with("0.conv2.weight"));
        let mut largest = 0.0_f64;
        for name in of_attention {
            let gradient = &gradients
                .iter()
                .find(|(found, _)| *found == name)
                .unwrap()
                .1;
            for index in [0, gradient.len() / 2, gradient.len() - 1] {
                let at = |change| f64::from(loss(&name, index, change).0.into_scalar::<f32>());
                const STEP: f32 = 1e-3;
                let expected = (at(STEP) - at(-STEP)) / (2.0 * f64::from(STEP));
                let found = f64::from(gradient[index]);
                largest = largest.max(found.abs());
                let limit = 2e-3 + 0.01 * expected.abs();
                assert!(
                    (found - expected).abs() < limit,
                    "{name} at {index}: {found}, by differences {expected}"
                );
            }
        }
        assert!(largest > 0.05, "{largest}");
    }
}

/// The gradient of each parameter under its name in the state.
fn named(
    model: &mlestar_model::ImageClassifier,
    gradients: &GradientsParams,
) -> Vec<(String, Vec<f32>)> {
    struct Collector<'a> {
        path: Vec<String>,
        gradients: &'a GradientsParams,
        found: Vec<(String, Vec<f32>)>,
    }
    impl burn::module::ModuleVisitor for Collector<'_> {
        fn enter_module(&mut self, name: &str, _container: &str) {
            self.path.push(name.to_owned());
        }
        fn exit_module(&mut self, _name: &str, _container: &str) {
            self.path.pop();
        }
        fn visit_float<const D: usize>(&mut self, param: &burn::module::Param<Tensor<D>>) {
            if let Some(gradient) = self.gradients.get::<D>(param.id) {
                self.found.push((self.path.join("."), to_vec(gradient)));
            }
        }
    }
    let mut collector = Collector {
        path: Vec::new(),
        gradients,
        found: Vec::new(),
    };
    model.visit(&mut collector);
    collector.found
}

#[test]
fn tensors_have_the_names_and_shapes_of_the_description() {
    for config in configs() {
        let spec = config.check(3, 12, 12).unwrap();
        let model = spec.init(0, &Device::flex());
        let state = model.state().into_iter();
        let state: Vec<_> = state.map(|tensor| (tensor.name, tensor.shape)).collect();
        assert_eq!(state, spec.description().tensors());
        let grouped: Vec<String> = model.groups().into_iter().flatten().collect();
        let names: Vec<String> = state.iter().map(|(name, _)| name.clone()).collect();
        assert_eq!(grouped, names);
        let of_first: Vec<_> = (state.iter())
            .filter_map(|(name, shape)| {
                let layer = name.strip_prefix("stages.0.0.attention.")?;
                Some(format!("{layer} {shape:?}"))
            })
            .collect();
        let expected: &[&str] = match config.attention {
            Attention::SqueezeExcitation => &[
                "reduce.weight [4, 4]",
                "reduce.bias [4]",
                "expand.weight [4, 4]",
                "expand.bias [4]",
            ],
            _ => &["conv.weight [1, 2, 7, 7]", "conv.bias [1]"],
        };
        assert_eq!(of_first, expected);
        assert!(!names.iter().any(|name| name.starts_with("stem.attention")));
        // Every attention layer passes its map on by about half at first.
        let largest = model
            .state()
            .into_iter()
            .filter(|t| t.name.contains("attention"));
        let largest = largest
            .flat_map(|t| t.values)
            .fold(0.0_f32, |a, b| a.max(b.abs()));
        assert!(largest > 0.05 && largest <= 0.5, "{largest}");
    }
}

#[test]
fn the_reduction_is_16_and_leaves_at_least_4_features() {
    let reduced = |channels: usize| {
        let mut config = ModelConfig {
            attention: Attention::SqueezeExcitation,
            ..tiny_config()
        };
        config.stages[1].channels = channels;
        let description = config.check(3, 8, 8).unwrap().description();
        match description
            .blocks
            .last()
            .unwrap()
            .attention
            .as_ref()
            .unwrap()
            .kind
        {
            AttentionKind::Channels { reduced } => reduced,
            AttentionKind::Pixels { .. } => panic!("a spatial attention"),
        }
    };
    let found = [1, 3, 4, 64, 79, 80, 256].map(reduced);
    assert_eq!(found, [1, 3, 4, 4, 4, 5, 16]);
}

/// Computed by hand for the reference network, whose first stage has maps of 64 x 16 x 16.
#[test]
fn attention_costs_what_it_costs() {
    let of = |attention| {
        let config = ModelConfig {
            attention,
            ..ModelConfig::reference()
        };
        config.check(10, 32, 32).unwrap().summary()
    };
    let [none, squeezed, spatial] = [Attention::None, ATTENTIONS[0], ATTENTIONS[1]].map(of);
    let attention = summary::find(&squeezed, "stages.0.1.attention");
    assert_eq!(attention.kind, LayerKind::SqueezeExcitation);
    assert_eq!(attention.output_shape, [64, 16, 16]);
    assert_eq!(attention.parameters, 64 * 4 + 4 + 4 * 64 + 64);
    assert_eq!(attention.multiply_adds, 2 * 64 * 4);
    let map = 64 * 16 * 16;
    let layers = 2 * 2 * 64 * 4 + 64 + 4;
    assert_eq!(attention.flops, 2 * map + layers + 4 + 3 * 64);
    let of_stage = |channels: u64, reduced: u64| 2 * (2 * channels * reduced + channels + reduced);
    let added = of_stage(64, 4) + of_stage(128, 8) + of_stage(256, 16);
    assert_eq!(squeezed.parameters, none.parameters + added);
    assert_eq!(squeezed.trainable, none.trainable + added);

    let attention = summary::find(&spatial, "stages.0.1.attention");
    assert_eq!(attention.kind, LayerKind::SpatialAttention);
    assert_eq!(attention.parameters, 2 * 49 + 1);
    assert_eq!(attention.multiply_adds, 2 * 49 * 256);
    assert_eq!(attention.flops, 3 * map + 2 * 2 * 49 * 256 + 4 * 256);
    assert_eq!(spatial.parameters, none.parameters + 6 * 99);
    // The attention layer's input, its two maps and the factors.
    let of_stage = |channels: u64, pixels: u64| 2 * 4 * (channels * pixels + 3 * pixels);
    assert_eq!(
        spatial.training_activation_bytes_per_image,
        none.training_activation_bytes_per_image
            + of_stage(64, 256)
            + of_stage(128, 64)
            + of_stage(256, 16)
    );
}

#[test]
fn without_attention_configs_and_descriptions_are_as_before_the_key() {
    let config = tiny_config();
    let written = serde_json::to_string(&config).unwrap();
    assert!(!written.contains("attention"), "{written}");
    let named: ModelConfig = toml::from_str("attention = \"none\"").unwrap();
    assert_eq!(named, ModelConfig::default());
    let description = config.check(3, 8, 8).unwrap().description();
    let text = format!("{description:?}");
    assert!(!text.contains("attention"), "{text}");
    assert!(
        text.contains("BlockDescription { name: \"stem\", stage: None, branch: [UnitDescription {")
    );
    assert!(text.contains("], shortcut: Identity }"));

    for (attention, name) in ATTENTIONS
        .into_iter()
        .zip(["squeeze-excitation", "spatial"])
    {
        let config = ModelConfig {
            attention,
            ..config.clone()
        };
        let written = toml::to_string(&config).unwrap();
        assert!(
            written.contains(&format!("attention = \"{name}\"")),
            "{written}"
        );
        assert_eq!(toml::from_str::<ModelConfig>(&written).unwrap(), config);
        let scaled = config.check(3, 8, 8).unwrap().description();
        assert!(format!("{scaled:?}").contains("stages.0.0.attention"));
    }
}

#[test]
fn published_networks_refuse_the_key_and_attention_must_fit() {
    for architecture in ["resnet-18", "resnet-50", "efficientnet-lite0"] {
        let text = format!("architecture = \"{architecture}\"\nattention = \"spatial\"");
        let error = toml::from_str::<ModelConfig>(&text)
            .unwrap_err()
            .to_string();
        assert!(error.contains("`attention` does not apply to"), "{error}");
    }
    let mut config = ModelConfig::of(mlestar_model::Architecture::Resnet18);
    config.attention = Attention::Spatial;
    let error = config.check(10, 64, 64).unwrap_err();
    assert!(matches!(
        error,
        ModelError::KeyDoesNotApply {
            key: "attention",
            ..
        }
    ));
    let error = toml::from_str::<ModelConfig>("attention = \"self\"").unwrap_err();
    assert!(error.to_string().contains("squeeze-excitation"), "{error}");

    let scaled = ModelConfig {
        attention: Attention::Spatial,
        ..tiny_config()
    };
    let description = scaled.check(3, 8, 8).unwrap().description();
    let refused = |change: &dyn Fn(&mut mlestar_model::BlockDescription), expected: &str| {
        let mut wrong = description.clone();
        change(&mut wrong.blocks[2]);
        assert_eq!(wrong.check().unwrap_err().to_string(), expected);
    };
    let prefix = "the network cannot be built: stages.1.0";
    refused(
        &|block| block.attention.as_mut().unwrap().channels = 5,
        &format!("{prefix}.attention: it scales 5 channels, but its map has 6"),
    );
    refused(
        &|block| block.attention.as_mut().unwrap().kind = AttentionKind::Pixels { kernel: 4 },
        &format!("{prefix}.attention: its kernel has the side 4, but it must be odd"),
    );
    refused(
        &|block| block.attention.as_mut().unwrap().kind = AttentionKind::Channels { reduced: 0 },
        &format!("{prefix}.attention: it has 0 features between its layers"),
    );
    refused(
        &|block| block.attention.as_mut().unwrap().name = "stages.0.0.attention".to_owned(),
        "the network cannot be built: stages.0.0.attention: it occurs twice",
    );
    refused(
        &|block| {
            block.shortcut = mlestar_model::Shortcut::None;
            block.branch[1].pool = Some(mlestar_model::MaxPool::side_by_side(2));
        },
        &format!("{prefix}: an attention layer after a max pool is not supported"),
    );
}
