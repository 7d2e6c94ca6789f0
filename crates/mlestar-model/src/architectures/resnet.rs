//! ResNet-18 and ResNet-50 with the layers of torchvision (He et al. 2015, <https://arxiv.org/abs/1512.03385>): a stem
//! with a 7x7 convolution of stride 2 and a max pool, basic blocks or bottlenecks, and the stride of a bottleneck in its
//! 3x3 convolution ("v1.5").

use super::{Family, Place, Published, residual_cnn, stages_after};
use crate::description::{BlockDescription, Description, MaxPool, PoolPosition, UnitDescription};
use crate::{Activation, ModelConfig};

/// The accuracies are those of torchvision's weights `IMAGENET1K_V1`.
const fn published(stages: &'static [[usize; 3]], imagenet_accuracy: f64) -> Published {
    Published {
        activation: Activation::Relu,
        stem_channels: 64,
        stages,
        dropout: 0.0,
        imagenet_accuracy,
    }
}

pub(super) const RESNET_18: Family = Family {
    name: "ResNet-18",
    reduced_by: "stride",
    has_shortcuts: true,
    blocks: |config, _| blocks(config, residual_cnn::block),
    published: Some(published(
        &[[64, 2, 1], [128, 2, 2], [256, 2, 2], [512, 2, 2]],
        0.698,
    )),
};

pub(super) const RESNET_50: Family = Family {
    name: "ResNet-50",
    reduced_by: "stride",
    has_shortcuts: true,
    blocks: |config, _| blocks(config, bottleneck),
    published: Some(published(
        &[[256, 3, 1], [512, 4, 2], [1024, 6, 2], [2048, 3, 2]],
        0.761,
    )),
};

fn blocks(config: &ModelConfig, block: fn(&Place) -> BlockDescription) -> Vec<BlockDescription> {
    let channels = [Description::CHANNELS, config.stem_channels];
    let pool = MaxPool {
        window: 3,
        stride: 2,
        padding: 1,
        position: PoolPosition::AfterActivation,
    };
    let stem = UnitDescription {
        stride: 2,
        pool: Some(pool),
        activation: Some(config.activation),
        ..UnitDescription::new("stem", None, channels, 7)
    };
    stages_after(stem, config, block)
}

/// 1x1 to a quarter of the channels, 3x3 with the stride, 1x1 to all channels.
fn bottleneck(place: &Place) -> BlockDescription {
    let middle = place.channels_out / 4;
    let unit = |number, channels, kernel| UnitDescription {
        activation: Some(place.activation),
        ..UnitDescription::new(place.name.as_str(), Some(number), channels, kernel)
    };
    let second = UnitDescription {
        stride: place.stride,
        ..unit(2, [middle, middle], 3)
    };
    let branch = vec![
        unit(1, [place.channels_in, middle], 1),
        second,
        unit(3, [middle, place.channels_out], 1),
    ];
    place.block(branch, place.shortcut())
}
