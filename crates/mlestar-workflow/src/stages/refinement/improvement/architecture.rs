//! Variants of the network to compare.

use super::Idea;
use super::estimate::Rule;
use crate::config::{Config, RawConfig};
use mlestar_model::{Activation, Attention};

/// Channels are multiples of this: vector registers hold as many values.
const CHANNELS_MULTIPLE: usize = 8;

/// The variants. A published network, or one with given weights, has none: its layers are fixed.
pub(super) fn ideas(config: &Config) -> Vec<Idea> {
    if config.model.architecture.is_published() || config.training.initial_weights.is_some() {
        return Vec::new();
    }
    let rule = |of_gap: f64, of_unlearned: f64| Rule {
        of_gap,
        of_unlearned,
    };
    let idea = |name, rule, change: &dyn Fn(&mut RawConfig)| Idea::new(name, rule, config, change);
    vec![
        idea("wider network", rule(-0.05, 0.2), &|config| {
            for stage in &mut config.model.stages {
                stage.channels = wider(stage.channels);
            }
        }),
        idea("deeper network", rule(-0.05, 0.2), &|config| {
            for stage in &mut config.model.stages {
                stage.blocks += 1;
            }
        }),
        idea("wider stem", rule(0.0, 0.05), &|config| {
            config.model.stem_channels *= 2;
        }),
        idea("squeeze-and-excitation", rule(0.0, 0.06), &|config| {
            config.model.attention = Attention::SqueezeExcitation;
        }),
        idea("spatial attention", rule(0.0, 0.06), &|config| {
            config.model.attention = Attention::Spatial;
        }),
        idea("another activation", rule(0.0, 0.05), &|config| {
            config.model.activation = match config.model.activation {
                Activation::Silu => Activation::Relu,
                _ => Activation::Silu,
            };
        }),
    ]
}

/// Half as many channels again.
fn wider(channels: usize) -> usize {
    (channels * 3 / 2).next_multiple_of(CHANNELS_MULTIPLE)
}
