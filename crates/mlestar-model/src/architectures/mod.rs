//! The architectures. Each has its own file, which turns a config into blocks.

mod efficientnet_lite;
mod plain_cnn;
mod pooled_residual_cnn;
mod residual_cnn;
mod resnet;

use crate::description::{BlockDescription, Description, Shortcut, UnitDescription};
use crate::{Activation, Architecture, Attention, ModelConfig, ModelError, StageConfig};

/// The properties of an architecture.
struct Family {
    /// Its name in words.
    name: &'static str,
    /// What reduces the size of feature maps, in words.
    reduced_by: &'static str,
    /// Whether it has residual branches that can be skipped.
    has_shortcuts: bool,
    /// The blocks of a config whose values are within their ranges, for images of this height and width.
    blocks: fn(&ModelConfig, [usize; 2]) -> Vec<BlockDescription>,
    /// What a published architecture fixes.
    published: Option<Published>,
}

/// The values of a published architecture that no config can change, and its dropout.
pub(crate) struct Published {
    pub activation: Activation,
    pub stem_channels: usize,
    /// Channels, blocks and stride of each stage.
    stages: &'static [[usize; 3]],
    /// The probability that the authors trained with, which a config may change.
    pub dropout: f64,
    /// Share of ImageNet's validation images whose class the published weights recognise.
    pub imagenet_accuracy: f64,
}

impl Published {
    pub(crate) fn stages(&self) -> Vec<StageConfig> {
        let stage = |&[channels, blocks, stride]: &[usize; 3]| StageConfig {
            channels,
            blocks,
            stride,
        };
        self.stages.iter().map(stage).collect()
    }
}

impl Architecture {
    /// The published networks, whose layers a config cannot change.
    pub const PUBLISHED: [Self; 3] = [Self::Resnet18, Self::Resnet50, Self::EfficientnetLite0];

    /// Share of ImageNet's validation images whose class the published weights recognise, as their publishers report it;
    /// `None` for networks that are not published.
    ///
    /// ```
    /// use mlestar_model::Architecture;
    /// assert_eq!(Architecture::Resnet50.published_accuracy(), Some(0.761));
    /// assert_eq!(Architecture::PlainCnn.published_accuracy(), None);
    /// ```
    #[must_use]
    pub fn published_accuracy(self) -> Option<f64> {
        let published = self.family().published.as_ref()?;
        Some(published.imagenet_accuracy)
    }

    fn family(self) -> &'static Family {
        match self {
            Self::ResidualCnn => &residual_cnn::FAMILY,
            Self::PlainCnn => &plain_cnn::FAMILY,
            Self::PooledResidualCnn => &pooled_residual_cnn::FAMILY,
            Self::Resnet18 => &resnet::RESNET_18,
            Self::Resnet50 => &resnet::RESNET_50,
            Self::EfficientnetLite0 => &efficientnet_lite::LITE0,
        }
    }

    /// The name in words, e.g. `residual CNN`.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.family().name
    }

    /// What reduces the size of feature maps, in words: `stride` or `max pool`.
    #[must_use]
    pub fn reduced_by(self) -> &'static str {
        self.family().reduced_by
    }

    pub(crate) fn has_shortcuts(self) -> bool {
        self.family().has_shortcuts
    }

    pub(crate) fn published(self) -> Option<&'static Published> {
        self.family().published.as_ref()
    }

    /// Whether it is a published network, whose layers a config cannot change.
    #[must_use]
    pub fn is_published(self) -> bool {
        self.published().is_some()
    }
}

impl ModelConfig {
    /// The blocks of the network for images of this height and width; every value must be within its range.
    pub(crate) fn blocks(&self, image: [usize; 2]) -> Vec<BlockDescription> {
        (self.architecture.family().blocks)(self, image)
    }

    /// Checks that the layers of a published architecture are the published ones.
    pub(crate) fn check_published(&self) -> Result<(), ModelError> {
        let Some(published) = self.architecture.published() else {
            return Ok(());
        };
        for (key, is_same) in [
            ("activation", self.activation == published.activation),
            ("attention", self.attention == Attention::None),
            (
                "stem_channels",
                self.stem_channels == published.stem_channels,
            ),
            ("stages", self.stages == published.stages()),
        ] {
            if !is_same {
                return Err(ModelError::KeyDoesNotApply {
                    key,
                    architecture: self.architecture.name(),
                });
            }
        }
        Ok(())
    }
}

/// A 3x3 convolution as stem, then the blocks of all stages.
fn stem_and_stages(
    config: &ModelConfig,
    block: fn(&Place) -> BlockDescription,
) -> Vec<BlockDescription> {
    let channels = [Description::CHANNELS, config.stem_channels];
    let stem = UnitDescription {
        activation: Some(config.activation),
        ..UnitDescription::new("stem", None, channels, 3)
    };
    stages_after(stem, config, block)
}

/// A block of this unit alone, outside the stages.
fn alone(unit: UnitDescription) -> BlockDescription {
    BlockDescription {
        name: unit.place.clone(),
        stage: None,
        branch: vec![unit],
        attention: None,
        shortcut: Shortcut::None,
    }
}

/// A stem, then the blocks of all stages.
fn stages_after(
    stem: UnitDescription,
    config: &ModelConfig,
    block: fn(&Place) -> BlockDescription,
) -> Vec<BlockDescription> {
    let mut blocks = vec![alone(stem)];
    let mut channels_in = config.stem_channels;
    for (stage, settings) in config.stages.iter().enumerate() {
        for index in 0..settings.blocks {
            blocks.push(block(&Place {
                name: format!("stages.{stage}.{index}"),
                stage,
                index,
                channels_in,
                channels_out: settings.channels,
                stride: if index == 0 { settings.stride } else { 1 },
                activation: config.activation,
                attention: config.attention,
            }));
            channels_in = settings.channels;
        }
    }
    blocks
}

/// The position of a block and its settings in the config.
struct Place {
    name: String,
    stage: usize,
    /// Position in its stage.
    index: usize,
    channels_in: usize,
    channels_out: usize,
    /// The stride of the stage for its first block, else 1.
    stride: usize,
    activation: Activation,
    attention: Attention,
}

impl Place {
    /// A 3x3 convolution to the block's channels with the network's activation.
    fn unit(&self, number: usize, channels_in: usize) -> UnitDescription {
        let channels = [channels_in, self.channels_out];
        UnitDescription {
            activation: Some(self.activation),
            ..UnitDescription::new(self.name.as_str(), Some(number), channels, 3)
        }
    }

    /// The block's input, through a 1x1 convolution if its shape changes.
    fn shortcut(&self) -> Shortcut {
        let channels = [self.channels_in, self.channels_out];
        if self.stride == 1 && channels[0] == channels[1] {
            return Shortcut::Identity;
        }
        let place = format!("{}.shortcut", self.name);
        Shortcut::Projection(UnitDescription {
            stride: self.stride,
            ..UnitDescription::new(place, None, channels, 1)
        })
    }

    fn block(&self, branch: Vec<UnitDescription>, shortcut: Shortcut) -> BlockDescription {
        BlockDescription {
            name: self.name.clone(),
            stage: Some(self.stage),
            branch,
            attention: self.attention.describe(&self.name, self.channels_out),
            shortcut,
        }
    }
}
