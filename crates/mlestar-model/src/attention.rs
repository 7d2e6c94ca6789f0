//! Attention: layers that scale the channels or the pixels of a branch's result.

use serde::{Deserialize, Serialize};

use crate::ModelError;

/// The attention layer at the end of every block's branch: after the last batch normalisation, before the sum and the
/// last activation.
///
/// In a block without a sum it stands at the same place, before the activation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Attention {
    /// No attention layer.
    #[default]
    None,
    /// Squeeze-and-excitation: a factor for each channel (Hu et al. 2017, <https://arxiv.org/abs/1709.01507>). The
    /// reduction is 16, and at least 4 features are left, or all of fewer channels.
    SqueezeExcitation,
    /// The spatial attention of CBAM: a factor for each pixel (Woo et al. 2018, <https://arxiv.org/abs/1807.06521>).
    /// The kernel has 7x7 taps on maps of every size, with zeros around them, so that the weights do not depend on
    /// the size of the images.
    Spatial,
}

/// Channels for each feature in the middle of a squeeze-and-excitation.
const REDUCTION: usize = 16;
/// Fewest features in the middle, for layers with few channels.
const LEAST_REDUCED: usize = 4;
/// Side of the kernel of spatial attention.
const SPATIAL_KERNEL: usize = 7;

impl Attention {
    /// The attention layer of a block called `block` with this number of channels.
    pub(crate) fn describe(self, block: &str, channels: usize) -> Option<AttentionDescription> {
        let kind = match self {
            Self::None => return None,
            Self::SqueezeExcitation => AttentionKind::Channels {
                reduced: (channels / REDUCTION).max(LEAST_REDUCED).min(channels),
            },
            Self::Spatial => AttentionKind::Pixels {
                kernel: SPATIAL_KERNEL,
            },
        };
        Some(AttentionDescription {
            name: format!("{block}.attention"),
            channels,
            kind,
        })
    }
}

/// An attention layer: multiplies a map by factors between 0 and 1 that it computes from the map.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttentionDescription {
    /// Prefix of the names of its tensors, e.g. `stages.0.1.attention`.
    pub name: String,
    /// Channels of the map.
    pub channels: usize,
    /// What the factors are and how they are computed.
    pub kind: AttentionKind,
}

/// How an attention layer computes its factors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AttentionKind {
    /// A factor for each channel: `sigmoid(expand(relu(reduce(mean over the pixels))))` with two linear layers.
    Channels {
        /// Features between the two layers, at least 1.
        reduced: usize,
    },
    /// A factor for each pixel: the sigmoid of a convolution of two maps, the mean and the largest value over the
    /// channels.
    Pixels {
        /// Side of the convolution's kernel, odd; half as many zeros, rounded down, surround the maps.
        kernel: usize,
    },
}

impl AttentionDescription {
    /// Prefix of the names of one of its layers: `reduce` and `expand`, or `conv`.
    #[must_use]
    pub fn layer_name(&self, layer: &str) -> String {
        format!("{}.{layer}", self.name)
    }

    /// Names and shapes of its tensors, in the order of the state.
    pub(crate) fn tensors(&self) -> Vec<(String, Vec<usize>)> {
        let layers = match self.kind {
            AttentionKind::Channels { reduced } => vec![
                ("reduce", vec![reduced, self.channels]),
                ("expand", vec![self.channels, reduced]),
            ],
            AttentionKind::Pixels { kernel } => vec![("conv", vec![1, 2, kernel, kernel])],
        };
        let tensors = layers.into_iter().flat_map(|(layer, shape)| {
            let bias = vec![shape[0]];
            let name = self.layer_name(layer);
            [
                (format!("{name}.weight"), shape),
                (format!("{name}.bias"), bias),
            ]
        });
        tensors.collect()
    }

    pub(crate) fn wrong(&self, reason: String) -> ModelError {
        ModelError::Description {
            part: self.name.clone(),
            reason,
        }
    }

    /// Checks that it fits a map of so many channels.
    pub(crate) fn check(&self, channels: usize) -> Result<(), ModelError> {
        if self.channels != channels {
            let own = self.channels;
            return Err(self.wrong(format!(
                "it scales {own} channels, but its map has {channels}"
            )));
        }
        match self.kind {
            AttentionKind::Channels { reduced: 0 } => {
                Err(self.wrong("it has 0 features between its layers".to_owned()))
            }
            AttentionKind::Pixels { kernel } if kernel % 2 == 0 => Err(self.wrong(format!(
                "its kernel has the side {kernel}, but it must be odd"
            ))),
            _ => Ok(()),
        }
    }
}
