//! EfficientNet-Lite0: EfficientNet-B0 (Tan and Le 2019, <https://arxiv.org/abs/1905.11946>) without squeeze-and-excitation
//! and with ReLU6. Inverted bottlenecks (1x1 to six times as many channels, depthwise, 1x1 without an activation) and
//! TensorFlow's padding, which depends on the size of the images.

use super::{Family, Place, Published, alone, stages_after};
use crate::description::{BlockDescription, Description, Shortcut, UnitDescription};
use crate::{Activation, ModelConfig, Padding};

/// Side of the depthwise kernels of each stage.
const KERNELS: [usize; 7] = [3, 3, 5, 3, 5, 5, 3];
/// Channels within a block for each input channel, by stage.
const EXPANSIONS: [usize; 7] = [1, 6, 6, 6, 6, 6, 6];
/// Channels of the last convolution.
const FEATURES: usize = 1280;
const EPSILON: f64 = 1e-3;

pub(super) const LITE0: Family = Family {
    name: "EfficientNet-Lite0",
    reduced_by: "stride",
    has_shortcuts: true,
    blocks,
    published: Some(Published {
        activation: Activation::Relu6,
        stem_channels: 32,
        stages: &[
            [16, 1, 1],
            [24, 2, 2],
            [40, 2, 2],
            [80, 3, 2],
            [112, 3, 1],
            [192, 4, 2],
            [320, 1, 1],
        ],
        dropout: 0.2,
        // The README of TensorFlow's efficientnet/lite.
        imagenet_accuracy: 0.751,
    }),
};

fn blocks(config: &ModelConfig, image: [usize; 2]) -> Vec<BlockDescription> {
    let unit = |place: &str, channels: [usize; 2], kernel, stride| UnitDescription {
        stride,
        epsilon: EPSILON,
        activation: Some(config.activation),
        ..UnitDescription::new(place, None, channels, kernel)
    };
    let stem = unit("stem", [Description::CHANNELS, config.stem_channels], 3, 2);
    let mut blocks = stages_after(stem, config, inverted_bottleneck);
    let last = config.stages.last().map_or(0, |stage| stage.channels);
    blocks.push(alone(unit("top", [last, FEATURES], 1, 1)));
    let mut map = [Description::CHANNELS, image[0], image[1]];
    for unit in blocks.iter_mut().flat_map(|block| &mut block.branch) {
        unit.padding = Padding::same([map[1], map[2]], [unit.kernel; 2], [unit.stride; 2]);
        map = unit.output(map);
    }
    blocks
}

fn inverted_bottleneck(place: &Place) -> BlockDescription {
    // A config of a published architecture has its stages.
    let at = |values: [usize; 7]| values.get(place.stage).copied().unwrap_or(1);
    let wide = place.channels_in * at(EXPANSIONS);
    let unit = |number, channels, kernel| UnitDescription {
        epsilon: EPSILON,
        ..UnitDescription::new(place.name.as_str(), Some(number), channels, kernel)
    };
    let activation = Some(place.activation);
    let mut branch = Vec::new();
    if wide != place.channels_in {
        branch.push(UnitDescription {
            activation,
            ..unit(1, [place.channels_in, wide], 1)
        });
    }
    let next = branch.len() + 1;
    branch.push(UnitDescription {
        stride: place.stride,
        groups: wide,
        activation,
        ..unit(next, [wide, wide], at(KERNELS))
    });
    branch.push(unit(next + 1, [wide, place.channels_out], 1));
    let shortcut = match place.stride == 1 && place.channels_in == place.channels_out {
        true => Shortcut::Identity,
        false => Shortcut::None,
    };
    place.block(branch, shortcut)
}
