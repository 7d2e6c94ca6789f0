use serde::{Deserialize, Serialize};

use crate::{Activation, Attention, ModelError, Views};

/// The families of architectures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Architecture {
    /// A stem convolution and stages of residual blocks of two 3x3 convolutions each, then global
    /// average pooling, dropout and a linear layer (He et al. 2015, <https://arxiv.org/abs/1512.03385>,
    /// basic blocks).
    #[default]
    ResidualCnn,
    /// Like the residual CNN, but without shortcuts and with max pooling instead of strides: the first block of
    /// a stage pools `stride` x `stride` windows after its first convolution. Filters start as identity
    /// filters. (Like the networks of Jordan 2024, <https://arxiv.org/abs/2404.00498>, with average pooling.)
    PlainCnn,
    /// A plain CNN in which all blocks of a stage except the first are residual, for deeper networks. (The
    /// largest network of Jordan 2024 has a shortcut over the last two of three convolutions of a stage.)
    PooledResidualCnn,
    /// ResNet-18 with the layers of torchvision (He et al. 2015, <https://arxiv.org/abs/1512.03385>): 11.7 million
    /// parameters for 1000 classes.
    #[serde(rename = "resnet-18")]
    Resnet18,
    /// ResNet-50 with the layers of torchvision, strides in the 3x3 convolutions: 25.6 million parameters for 1000
    /// classes.
    #[serde(rename = "resnet-50")]
    Resnet50,
    /// EfficientNet-Lite0, EfficientNet-B0 (Tan and Le 2019, <https://arxiv.org/abs/1905.11946>) without
    /// squeeze-and-excitation and with ReLU6: 4.7 million parameters for 1000 classes.
    #[serde(rename = "efficientnet-lite0")]
    EfficientnetLite0,
}

/// One stage of blocks, all of the same width.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StageConfig {
    /// Channels of the stage's output, 1 to 4096.
    pub channels: usize,
    /// Blocks of two convolutions in the stage, 1 to 64.
    pub blocks: usize,
    /// Stride of the stage's first convolution (in a CNN with max pools, the side of the pool after it), 1 to
    /// 4; the other blocks have none.
    pub stride: usize,
}

/// The settings of an architecture, section `[model]`.
///
/// | key | default | meaning | range |
/// |---|---|---|---|
/// | `architecture` | `"residual-cnn"` | the family, or a published network | `"residual-cnn"`, `"plain-cnn"`, `"pooled-residual-cnn"`, `"resnet-18"`, `"resnet-50"`, `"efficientnet-lite0"` |
/// | `activation` | `"relu"` | the activation after every batch normalisation | `"relu"`, `"relu6"`, `"silu"` |
/// | `attention` | `"none"` | the attention layer at the end of every block's branch: see [`Attention`] | `"none"`, `"squeeze-excitation"`, `"spatial"` |
/// | `stem_channels` | 64 | channels after the first convolution (3x3, stride 1) | 1 to 4096 |
/// | `stages` | 64, 128, 256 channels, 2 blocks each, stride 2 | the stages | 1 to 8 of them |
/// | `dropout` | 0.5; 0 in a ResNet, 0.2 in EfficientNet-Lite0 | probability of dropping a feature before the linear layer | 0 <= p < 1 |
/// | `stochastic_depth` | 0 | probability of skipping the last block's branch in a step; lower for earlier blocks | 0 <= p < 1; 0 in a plain CNN |
/// | `flip_averaging` | false | evaluation averages the logits over mirror images too | |
/// | `shift_averaging` | false | evaluation averages the logits over images shifted by a pixel too: see [`Views`] | |
///
/// A published network has its own activation, stem and stages, and no attention: the keys `activation`, `attention`,
/// `stem_channels` and `stages` do not apply to it and are refused.
///
/// ```
/// let config: mlestar_model::ModelConfig = toml::from_str(
///     "stem_channels = 16\ndropout = 0.0\nstages = [{ channels = 16, blocks = 1, stride = 2 }]",
/// )?;
/// let error = config.check(1, 32, 32).unwrap_err();
/// assert_eq!(error.to_string(), "n_classes = 1 is out of range: it must be 2 to 100000");
/// # Ok::<(), toml::de::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "WrittenConfig", into = "WrittenConfig")]
pub struct ModelConfig {
    /// The family of the architecture.
    pub architecture: Architecture,
    /// The activation after every batch normalisation.
    pub activation: Activation,
    /// The attention layer at the end of every block's branch.
    pub attention: Attention,
    /// Channels after the first convolution.
    pub stem_channels: usize,
    /// The stages, in order.
    pub stages: Vec<StageConfig>,
    /// Probability with which a feature is dropped before the linear layer, only in training.
    pub dropout: f64,
    /// Probability of skipping the branch of the last residual block in a training step; see
    /// [`branch_factors`](crate::branch_factors).
    pub stochastic_depth: f64,
    /// Whether evaluation averages the logits over mirror images too; see [`Views`].
    pub flip_averaging: bool,
    /// Whether evaluation averages the logits over images shifted by a pixel too.
    pub shift_averaging: bool,
}

/// A [`ModelConfig`] as a file has it: without the keys that do not apply.
#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct WrittenConfig {
    architecture: Architecture,
    #[serde(skip_serializing_if = "Option::is_none")]
    activation: Option<Activation>,
    #[serde(skip_serializing_if = "Option::is_none")]
    attention: Option<Attention>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stem_channels: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stages: Option<Vec<StageConfig>>,
    dropout: Option<f64>,
    stochastic_depth: f64,
    flip_averaging: bool,
    shift_averaging: bool,
}

impl TryFrom<WrittenConfig> for ModelConfig {
    type Error = ModelError;

    fn try_from(written: WrittenConfig) -> Result<Self, ModelError> {
        let architecture = written.architecture;
        for (key, is_written) in [
            ("activation", written.activation.is_some()),
            ("attention", written.attention.is_some()),
            ("stem_channels", written.stem_channels.is_some()),
            ("stages", written.stages.is_some()),
        ] {
            if is_written && architecture.is_published() {
                let architecture = architecture.name();
                return Err(ModelError::KeyDoesNotApply { key, architecture });
            }
        }
        let default = Self::of(architecture);
        Ok(Self {
            architecture,
            activation: written.activation.unwrap_or(default.activation),
            attention: written.attention.unwrap_or_default(),
            stem_channels: written.stem_channels.unwrap_or(default.stem_channels),
            stages: written.stages.unwrap_or(default.stages),
            dropout: written.dropout.unwrap_or(default.dropout),
            stochastic_depth: written.stochastic_depth,
            flip_averaging: written.flip_averaging,
            shift_averaging: written.shift_averaging,
        })
    }
}

impl From<ModelConfig> for WrittenConfig {
    fn from(config: ModelConfig) -> Self {
        let is_own = !config.architecture.is_published();
        Self {
            architecture: config.architecture,
            activation: is_own.then_some(config.activation),
            // Left out when there is none, so that configs written before the key existed stay equal.
            attention: Some(config.attention).filter(|attention| *attention != Attention::None),
            stem_channels: is_own.then_some(config.stem_channels),
            stages: is_own.then_some(config.stages),
            dropout: Some(config.dropout),
            stochastic_depth: config.stochastic_depth,
            flip_averaging: config.flip_averaging,
            shift_averaging: config.shift_averaging,
        }
    }
}

impl Default for ModelConfig {
    /// The same as [`ModelConfig::reference`].
    fn default() -> Self {
        Self::reference()
    }
}

const MAX_CHANNELS: usize = 4096;
const MAX_BLOCKS: usize = 64;
const MAX_STAGES: usize = 8;
const MAX_STRIDE: usize = 4;

impl ModelConfig {
    /// The reference CNN: stem of 64 channels, stages of 64, 128 and 256 channels with two blocks
    /// and stride 2 each, dropout 0.5. With 10 classes it has 2,786,506 parameters: 2,781,898 that
    /// are trained and 4,608 running statistics.
    #[must_use]
    pub fn reference() -> Self {
        Self::with_stages(64, &[64, 128, 256], 2, 0.5)
    }

    /// A small CNN for quick runs: stem of 16 channels, stages of 16, 32 and 64 channels with one
    /// block and stride 2 each, no dropout.
    #[must_use]
    pub fn small() -> Self {
        Self::with_stages(16, &[16, 32, 64], 1, 0.0)
    }

    /// An architecture with its default values: the published ones, or those of [`ModelConfig::reference`].
    ///
    /// ```
    /// use mlestar_model::{Architecture, ModelConfig};
    ///
    /// let spec = ModelConfig::of(Architecture::Resnet18).check(1000, 224, 224)?;
    /// assert_eq!(spec.summary().trainable, 11_689_512);
    /// # Ok::<(), mlestar_model::ModelError>(())
    /// ```
    #[must_use]
    pub fn of(architecture: Architecture) -> Self {
        let reference = Self::reference();
        match architecture.published() {
            None => Self {
                architecture,
                ..reference
            },
            Some(published) => Self {
                architecture,
                activation: published.activation,
                stem_channels: published.stem_channels,
                stages: published.stages(),
                dropout: published.dropout,
                ..reference
            },
        }
    }

    fn with_stages(stem_channels: usize, channels: &[usize], blocks: usize, dropout: f64) -> Self {
        let stage = |&channels| StageConfig {
            channels,
            blocks,
            stride: 2,
        };
        Self {
            architecture: Architecture::ResidualCnn,
            activation: Activation::Relu,
            attention: Attention::None,
            stem_channels,
            stages: channels.iter().map(stage).collect(),
            dropout,
            stochastic_depth: 0.0,
            flip_averaging: false,
            shift_averaging: false,
        }
    }

    /// The views over which evaluation averages the logits.
    #[must_use]
    pub fn views(&self) -> Views {
        Views {
            mirrored: self.flip_averaging,
            shifted: self.shift_averaging,
        }
    }

    /// Checks that every value is within its range.
    pub(crate) fn check_ranges(&self) -> Result<(), ModelError> {
        in_range("stem_channels", self.stem_channels, 1, MAX_CHANNELS)?;
        in_range("stages.len()", self.stages.len(), 1, MAX_STAGES)?;
        // `contains` is false for NaN, as intended.
        for (key, value) in [
            ("dropout", self.dropout),
            ("stochastic_depth", self.stochastic_depth),
        ] {
            if !(0.0..1.0).contains(&value) {
                return Err(ModelError::out_of_range(
                    key,
                    value,
                    "at least 0 and below 1",
                ));
            }
        }
        for (index, stage) in self.stages.iter().enumerate() {
            let key = |field| format!("stages[{index}].{field}");
            in_range(&key("channels"), stage.channels, 1, MAX_CHANNELS)?;
            in_range(&key("blocks"), stage.blocks, 1, MAX_BLOCKS)?;
            in_range(&key("stride"), stage.stride, 1, MAX_STRIDE)?;
        }
        Ok(())
    }
}

pub(crate) fn in_range(key: &str, value: usize, low: usize, high: usize) -> Result<(), ModelError> {
    if (low..=high).contains(&value) {
        return Ok(());
    }
    Err(ModelError::out_of_range(
        key,
        value,
        format!("{low} to {high}"),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(change: impl FnOnce(&mut ModelConfig), expected: &str) {
        let mut config = ModelConfig::small();
        change(&mut config);
        let error = config.check(10, 32, 32).unwrap_err();
        assert_eq!(error.to_string(), expected);
    }

    #[test]
    fn absurd_values_are_refused_with_key_value_and_limit() {
        refused(
            |c| c.stem_channels = 0,
            "stem_channels = 0 is out of range: it must be 1 to 4096",
        );
        refused(
            |c| c.stages.clear(),
            "stages.len() = 0 is out of range: it must be 1 to 8",
        );
        refused(
            |c| c.stages[1].channels = 0,
            "stages[1].channels = 0 is out of range: it must be 1 to 4096",
        );
        refused(
            |c| c.stages[2].blocks = 1000,
            "stages[2].blocks = 1000 is out of range: it must be 1 to 64",
        );
        refused(
            |c| c.stages[0].stride = 0,
            "stages[0].stride = 0 is out of range: it must be 1 to 4",
        );
        refused(
            |c| c.dropout = 1.0,
            "dropout = 1 is out of range: it must be at least 0 and below 1",
        );
        refused(
            |c| c.dropout = f64::NAN,
            "dropout = NaN is out of range: it must be at least 0 and below 1",
        );
        refused(
            |c| c.stochastic_depth = 1.5,
            "stochastic_depth = 1.5 is out of range: it must be at least 0 and below 1",
        );
        refused(
            |c| {
                c.architecture = Architecture::PlainCnn;
                c.stochastic_depth = 0.2;
            },
            "stochastic_depth = 0.2 is out of range: it must be 0 in a plain CNN, because its blocks \
             have no residual branch",
        );
        refused(
            |c| c.stages[2].channels = 5000,
            "stages[2].channels = 5000 is out of range: it must be 1 to 4096",
        );
    }

    #[test]
    fn pictures_too_small_for_the_strides_are_refused() {
        let error = ModelConfig::small().check(10, 32, 3).unwrap_err();
        assert_eq!(
            error.to_string(),
            "stages[2].stride = 2 does not fit: the images of 32x3 pixels are only 8x1 at this layer; lower the stride, drop a stage or use larger images"
        );
        assert!(ModelConfig::small().check(10, 5, 5).is_ok());
        // Incomplete windows are left out: 7, 3, 1, and then none.
        let mut plain = ModelConfig {
            architecture: Architecture::PlainCnn,
            ..ModelConfig::small()
        };
        assert!(plain.check(10, 8, 15).is_ok());
        plain.stages.push(plain.stages[2].clone());
        let error = plain.check(10, 8, 15).unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("stages[3].stride = 2 does not fit"),
            "{error}"
        );
        assert!(ModelConfig::small().check(10, 0, 32).is_err());
        assert!(ModelConfig::small().check(10, 32, 5000).is_err());
        assert!(ModelConfig::small().check(usize::MAX, 32, 32).is_err());
    }

    #[test]
    fn a_model_too_large_is_refused() {
        let mut config = ModelConfig::reference();
        for stage in &mut config.stages {
            stage.channels = 4096;
        }
        let error = config.check(10, 32, 32).unwrap_err();
        assert!(matches!(error, ModelError::TooLarge { .. }), "{error}");
    }

    #[test]
    fn unknown_keys_are_refused_and_missing_ones_have_the_reference_default() {
        let error = toml::from_str::<ModelConfig>("chanels = 3").unwrap_err();
        assert!(error.to_string().contains("chanels"), "{error}");
        let error = toml::from_str::<ModelConfig>(
            "stages = [{ channels = 1, blocks = 1, stride = 1, kernel = 3 }]",
        )
        .unwrap_err();
        assert!(error.to_string().contains("kernel"), "{error}");
        assert_eq!(
            toml::from_str::<ModelConfig>("").unwrap(),
            ModelConfig::reference()
        );
        let written = toml::to_string(&ModelConfig::small()).unwrap();
        assert!(written.contains("architecture = \"residual-cnn\""));
        assert_eq!(
            toml::from_str::<ModelConfig>(&written).unwrap(),
            ModelConfig::small()
        );
    }
}
