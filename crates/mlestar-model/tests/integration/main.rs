//! Tests of the public interface on Burn's CPU backend.

// Clippy's exemption for tests does not reach their helper functions.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod attention;
mod evaluation;
mod initialisation;
mod naive;
mod pretrained;
mod published;
mod saved_state;
mod summary;
mod training_mode;

#[allow(dead_code)] // Other tests use all of them.
#[path = "../shared/bottlenecks.rs"]
mod bottlenecks;

use burn::tensor::{Device, Tensor, TensorData};
use mlestar_model::{
    Activation, Architecture, BlockDescription, Description, MaxPool, ModelConfig, ModelSpec,
    NamedTensor, Network, Padding, PoolPosition, Shortcut, StageConfig, UnitDescription, Views,
};
use mlestar_random::Stream;

/// Two stages: one block that keeps its shape (no shortcut convolution), one that changes it.
fn tiny_config() -> ModelConfig {
    let stage = |channels, blocks, stride| StageConfig {
        channels,
        blocks,
        stride,
    };
    ModelConfig {
        stem_channels: 4,
        stages: vec![stage(4, 1, 1), stage(6, 2, 2)],
        dropout: 0.0,
        ..ModelConfig::small()
    }
}

/// As [`tiny_config`], plain, with pools of 2 and 3 pixels.
fn plain_config() -> ModelConfig {
    let mut config = ModelConfig {
        architecture: Architecture::PlainCnn,
        ..tiny_config()
    };
    config.stages[0].stride = 3;
    config.stages[0].blocks = 2;
    config
}

/// As [`plain_config`], with two blocks in each stage, the second one residual.
fn pooled_residual_config() -> ModelConfig {
    ModelConfig {
        architecture: Architecture::PooledResidualCnn,
        ..plain_config()
    }
}

fn tiny_spec(height: usize, width: usize) -> ModelSpec {
    tiny_config().check(3, height, width).unwrap()
}

fn random_values(seed: u64, n: usize) -> Vec<f32> {
    let mut draws = Stream::new(seed, "test pictures", 0, 0);
    (0..n).map(|_| draws.normal() as f32).collect()
}

fn random_images(seed: u64, shape: [usize; 4], device: &Device) -> Tensor<4> {
    let values = random_values(seed, shape.iter().product());
    Tensor::from_data(TensorData::new(values, shape), device)
}

/// Weights and running statistics that no shortcut in the code could get right by chance.
fn random_state(spec: &ModelSpec, seed: u64) -> Vec<NamedTensor> {
    let mut state = spec.init(seed, &Device::flex()).state();
    let mut draws = Stream::new(seed, "test state", 0, 0);
    for tensor in &mut state {
        for value in &mut tensor.values {
            *value = match tensor.name.rsplit('.').next() {
                Some("running_var") => draws.range_f32(0.3, 2.0),
                _ => *value + draws.range_f32(-0.3, 0.3),
            };
        }
    }
    state
}

fn to_vec<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().iter::<f32>().collect()
}
