//! The architectures. Each has its own file, which turns a config into blocks.

mod plain_cnn;
mod pooled_residual_cnn;
mod residual_cnn;

use crate::description::{BlockDescription, Description, Shortcut, UnitDescription};
use crate::{Activation, Architecture, ModelConfig};

/// The properties of an architecture.
struct Family {
    /// Its name in words.
    name: &'static str,
    /// What reduces the size of feature maps, in words.
    reduced_by: &'static str,
    /// Whether it has residual branches that can be skipped.
    has_shortcuts: bool,
    /// The blocks of a config whose values are within their ranges.
    blocks: fn(&ModelConfig) -> Vec<BlockDescription>,
}

impl Architecture {
    fn family(self) -> &'static Family {
        match self {
            Self::ResidualCnn => &residual_cnn::FAMILY,
            Self::PlainCnn => &plain_cnn::FAMILY,
            Self::PooledResidualCnn => &pooled_residual_cnn::FAMILY,
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
}

impl ModelConfig {
    /// The blocks of the network; every value must be within its range.
    pub(crate) fn blocks(&self) -> Vec<BlockDescription> {
        (self.architecture.family().blocks)(self)
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
    let mut blocks = vec![BlockDescription {
        name: "stem".to_owned(),
        stage: None,
        branch: vec![stem],
        shortcut: Shortcut::None,
    }];
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
            shortcut,
        }
    }
}
