use burn::{
    module::{Module, ModuleMapper, Param},
    optim::GradientsParams,
    tensor::{Device, Int, TensorData, activation::log_softmax},
};
use mlestar_random::Stream;

use super::*;
use crate::block::Unit;
use crate::{
    Architecture, Attention, BlockDescription, Description, ImageClassifier, ModelConfig, Network,
    PoolPosition, Shortcut, StageConfig, TrainingPass, Views,
};

#[path = "../../tests/shared/bottlenecks.rs"]
mod bottlenecks;

/// Gradient descent without an optimizer.
struct Descent(GradientsParams);

impl ModuleMapper for Descent {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let gradient = self.0.remove::<D>(param.id);
        let (id, tensor, mapper) = param.consume();
        let tensor = match gradient {
            Some(gradient) => {
                let plain = tensor.without_autodiff() - gradient.mul_scalar(0.05);
                Tensor::from_inner(plain).require_grad()
            }
            None => tensor,
        };
        Param::from_mapped_value(id, tensor, mapper)
    }
}

fn pictures(
    step: u64,
    n: usize,
    [height, width]: [usize; 2],
    device: &Device,
) -> (Tensor<4>, Tensor<2, Int>) {
    let mut stream = Stream::new(1, "pictures", step, 0);
    let labels: Vec<i32> = (0..n).map(|_| stream.below(3) as i32).collect();
    let values = labels.iter().flat_map(|&label| {
        let shade = label as f32 - 1.0;
        (0..3 * height * width)
            .map(move |_| shade)
            .collect::<Vec<_>>()
    });
    let values: Vec<f32> = values.map(|v| v + 0.5 * stream.normal() as f32).collect();
    (
        Tensor::from_data(TensorData::new(values, [n, 3, height, width]), device),
        Tensor::from_data(TensorData::new(labels, [n, 1]), device),
    )
}

fn described(architecture: Architecture, activation: Activation) -> Description {
    with_attention(architecture, activation, Attention::None)
}

fn with_attention(
    architecture: Architecture,
    activation: Activation,
    attention: Attention,
) -> Description {
    let stage = |channels, stride| StageConfig {
        channels,
        blocks: 2,
        stride,
    };
    let config = ModelConfig {
        architecture,
        activation,
        attention,
        stem_channels: 16,
        stages: vec![stage(16, 1), stage(24, 2)],
        ..ModelConfig::small()
    };
    config.check(3, 12, 10).unwrap().description()
}

/// Losses of some training steps, then evaluation logits, computed in one way.
fn train(description: &Description, way: Way, pass: &TrainingPass<'_>) -> (Vec<f32>, Vec<f32>) {
    let device = Device::flex().autodiff();
    let mut model = ImageClassifier::new(description, 3, &device);
    let fixed = model.fixed_parameters();
    let of_fixed = |model: &ImageClassifier| {
        let mut state = model.state();
        state.retain(|tensor| fixed.contains(&tensor.name));
        state
    };
    let before = of_fixed(&model);
    let mut losses = Vec::new();
    for step in 0..12 {
        let (images, labels) = pictures(step, 9, description.image, &device);
        let logits = model.forward_train_along(way, images, pass.clone());
        let loss = log_softmax(logits, 1).gather(1, labels).mean().neg();
        losses.push(loss.clone().into_scalar::<f32>());
        let gradients = GradientsParams::from_grads(loss.backward(), &model);
        model = model.map(&mut Descent(gradients));
    }
    assert_eq!(before.len(), fixed.len());
    assert_eq!(before, of_fixed(&model));
    let (images, _) = pictures(99, 5, description.image, &Device::flex());
    let logits = model.valid().forward_along(way, images, Precision::F32);
    (losses, logits.into_data().iter::<f32>().collect())
}

#[test]
fn both_ways_train_to_the_same_losses_and_evaluate_alike() {
    for architecture in [
        Architecture::ResidualCnn,
        Architecture::PlainCnn,
        Architecture::PooledResidualCnn,
    ] {
        for activation in [Activation::Relu, Activation::Relu6, Activation::Silu] {
            learns(&compare(&described(architecture, activation)));
        }
    }
}

#[test]
fn both_ways_agree_on_attention() {
    for attention in [Attention::SqueezeExcitation, Attention::Spatial] {
        for (architecture, activation) in [
            (Architecture::ResidualCnn, Activation::Relu),
            (Architecture::PlainCnn, Activation::Silu),
        ] {
            compare(&with_attention(architecture, activation, attention));
        }
        let description =
            with_attention(Architecture::PooledResidualCnn, Activation::Silu, attention);
        let factors = [Some(1.0), Some(1.25), None, Some(2.0)];
        for (frozen_blocks, frozen_statistics) in [(0, false), (2, true)] {
            let pass = TrainingPass {
                branch_factors: &factors,
                frozen_blocks,
                frozen_statistics,
                ..TrainingPass::default()
            };
            compare_in(&description, &pass);
        }
    }
}

#[test]
fn both_ways_agree_on_architectures_that_no_config_names() {
    for activation in [Activation::Relu, Activation::Relu6, Activation::Silu] {
        for describe in [
            bottlenecks::residual_bottlenecks,
            bottlenecks::inverted_bottlenecks,
        ] {
            let description = describe(activation, 24);
            description.check().unwrap();
            learns(&compare(&description));
        }
        // Its loss varies too much in twelve steps to show that it falls.
        let description = bottlenecks::padded_bottlenecks(activation, 24);
        description.check().unwrap();
        compare(&description);
    }
}

fn learns(losses: &[f32]) {
    assert!(losses[11] < 0.8 * losses[0], "{losses:?}");
}

#[test]
fn both_ways_agree_where_blocks_or_statistics_are_frozen() {
    let frozen_blocks = TrainingPass {
        frozen_blocks: 2,
        ..TrainingPass::default()
    };
    for architecture in [Architecture::ResidualCnn, Architecture::PlainCnn] {
        let description = described(architecture, Activation::Relu);
        compare_in(&description, &frozen_blocks);
    }
    let frozen_statistics = TrainingPass {
        frozen_blocks: 1,
        frozen_statistics: true,
        ..TrainingPass::default()
    };
    for architecture in [Architecture::ResidualCnn, Architecture::PooledResidualCnn] {
        let description = described(architecture, Activation::Silu);
        compare_in(&description, &frozen_statistics);
    }
}

/// The losses by the kernels.
fn compare(description: &Description) -> Vec<f32> {
    compare_in(description, &TrainingPass::default())
}

fn compare_in(description: &Description, pass: &TrainingPass<'_>) -> Vec<f32> {
    let (burn_losses, burn_logits) = train(description, Way::Burn, pass);
    let (losses, logits) = train(description, Way::Kernels, pass);
    // Rounding differs, and a ReLU that is active in only one of the ways increases the difference from step to
    // step. The kernels compute the input of a ReLU6 again for its gradient, so near 0 it may be active in only one of the
    // passes too.
    let relu6 = |unit: &UnitDescription| unit.activation == Some(Activation::Relu6);
    let at_first = if description.units().any(relu6) {
        1e-3
    } else {
        1e-4
    };
    for (step, (found, expected)) in losses.iter().zip(&burn_losses).enumerate() {
        let limit = if step < 4 { at_first } else { 1e-2 };
        assert!(
            (found - expected).abs() < limit,
            "step {step}: {found} {expected}"
        );
    }
    for (found, expected) in logits.iter().zip(&burn_logits) {
        assert!((found - expected).abs() < 0.1, "{found} {expected}");
    }
    losses
}

/// Filters in multiples of 16 and enough images: the case of the matrix unit, if there is one.
#[test]
fn factors_of_16_bits_change_logits_by_little() {
    let device = Device::flex();
    for architecture in [Architecture::PlainCnn, Architecture::PooledResidualCnn] {
        let config = ModelConfig {
            architecture,
            stem_channels: 16,
            stages: vec![StageConfig {
                channels: 32,
                blocks: 2,
                stride: 2,
            }],
            ..ModelConfig::small()
        };
        let model = config.check(3, 12, 10).unwrap().init(3, &device);
        let (images, _) = pictures(1, 40, [12, 10], &device);
        let logits = |precision| -> Vec<f32> {
            let logits = model.forward_in(images.clone(), precision);
            logits.into_data().iter::<f32>().collect()
        };
        let [exact, rounded] = [Precision::F32, Precision::Bf16].map(logits);
        let plain: Vec<f32> = model.forward(images.clone()).into_data().iter().collect();
        assert_eq!(exact, plain);
        let norm = |values: &mut dyn Iterator<Item = f32>| -> f32 {
            values.map(|value| value * value).sum::<f32>().sqrt()
        };
        let off = norm(&mut exact.iter().zip(&rounded).map(|(a, b)| a - b));
        let length = norm(&mut exact.iter().copied());
        assert!(off < 0.02 * length, "{off} of {length}");
    }
}

/// The kernels know no groups of several channels: such a convolution uses Burn's operations.
#[test]
fn grouped_convolutions_fall_back_to_burn() {
    for device in [Device::flex(), Device::flex().autodiff()] {
        let description = UnitDescription {
            stride: 2,
            groups: 2,
            ..UnitDescription::new("grouped", None, [6, 4], 3)
        };
        let unit = Unit::new(&description, 4, &device);
        let mut stream = Stream::new(4, "groups", 0, 0);
        let mut random = |shape: [usize; 4]| {
            let len = shape.iter().product();
            let values: Vec<f32> = (0..len).map(|_| stream.normal() as f32).collect();
            Tensor::<4>::from_data(TensorData::new(values, shape), &device)
        };
        let (x, residual) = (random([2, 6, 7, 5]), random([2, 4, 4, 3]));
        let both = |way: Way| {
            let path = Path {
                way,
                precision: Precision::F32,
            };
            let (x, residual) = (path.enter(x.clone()), path.enter(residual.clone()));
            let relu = Some(Activation::Relu);
            let folded = path.convolve_normalized(
                &description,
                unit.weight.val(),
                &unit.bn,
                x.clone(),
                Some(residual),
                relu,
            );
            [path.convolve(&description, x, unit.weight.val()), folded]
        };
        let expected = both(Way::Burn);
        for (found, expected) in both(Way::Kernels).into_iter().zip(expected) {
            let difference = found.permute([0, 3, 1, 2]) - expected;
            let largest: f32 = difference.abs().max().into_scalar();
            assert!(largest < 1e-6, "{largest}");
        }
    }
}

#[test]
fn the_kernels_serve_the_cpu() {
    let images = |device: &Device| Tensor::<4>::zeros([1, 3, 8, 8], device);
    assert_eq!(Way::of(&images(&Device::flex())), Way::Kernels);
    assert_eq!(Way::of(&images(&Device::flex().autodiff())), Way::Kernels);
}
