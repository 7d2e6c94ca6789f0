use burn::tensor::Device;
use serde::{Deserialize, Serialize};

use crate::{ImageClassifier, ModelConfig, ModelError, ModelSummary, summary};

/// A checked architecture: it can be built, for RGB pictures of a known size and a known number of
/// classes.
///
/// Made by [`ModelConfig::check`]. Deserializing one runs the same check.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "UncheckedSpec", into = "UncheckedSpec")]
pub struct ModelSpec {
    config: ModelConfig,
    n_classes: usize,
    height: usize,
    width: usize,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct UncheckedSpec {
    config: ModelConfig,
    n_classes: usize,
    height: usize,
    width: usize,
}

impl TryFrom<UncheckedSpec> for ModelSpec {
    type Error = ModelError;

    fn try_from(raw: UncheckedSpec) -> Result<Self, ModelError> {
        raw.config.check(raw.n_classes, raw.height, raw.width)
    }
}

impl From<ModelSpec> for UncheckedSpec {
    fn from(spec: ModelSpec) -> Self {
        Self {
            config: spec.config,
            n_classes: spec.n_classes,
            height: spec.height,
            width: spec.width,
        }
    }
}

impl ModelSpec {
    /// Channels of a picture: red, green, blue.
    pub const CHANNELS: usize = 3;

    pub(crate) fn unchecked(
        config: ModelConfig,
        n_classes: usize,
        height: usize,
        width: usize,
    ) -> Self {
        Self {
            config,
            n_classes,
            height,
            width,
        }
    }

    /// The architecture.
    #[must_use]
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// The number of classes, at least 2.
    #[must_use]
    pub fn n_classes(&self) -> usize {
        self.n_classes
    }

    /// Height of the pictures in pixels.
    #[must_use]
    pub fn height(&self) -> usize {
        self.height
    }

    /// Width of the pictures in pixels.
    #[must_use]
    pub fn width(&self) -> usize {
        self.width
    }

    /// The number of features that enter the linear layer (and that dropout works on).
    #[must_use]
    pub fn features(&self) -> usize {
        self.config
            .stages
            .last()
            .map_or(self.config.stem_channels, |stage| stage.channels)
    }

    /// Builds the model with its initial weights on `device` (an autodiff device for training).
    ///
    /// Convolutions have Kaiming-normal weights with fan-out and a ReLU's gain (He et al. 2015,
    /// <https://arxiv.org/abs/1502.01852>), batch normalisations weight 1 and bias 0, the linear
    /// layer uniform weights and bias in +-1/sqrt(features), as PyTorch's `Linear`. In the blocks of a
    /// plain CNN the first filters of a convolution pass its input's channels on instead. Every tensor's
    /// draws depend only on `seed` and on the tensor's name.
    #[must_use]
    pub fn init(&self, seed: u64, device: &Device) -> ImageClassifier {
        ImageClassifier::init(self, seed, device)
    }

    /// Parameters, operations and memory, computed layer by layer.
    #[must_use]
    pub fn summary(&self) -> ModelSummary {
        summary::summarize(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deserializing_checks() {
        let spec = ModelConfig::small().check(10, 32, 32).unwrap();
        let text = serde_json::to_string(&spec).unwrap();
        assert_eq!(serde_json::from_str::<ModelSpec>(&text).unwrap(), spec);
        let wrong = text.replace("\"n_classes\":10", "\"n_classes\":1");
        let error = serde_json::from_str::<ModelSpec>(&wrong).unwrap_err();
        assert!(error.to_string().contains("n_classes = 1"), "{error}");
    }

    #[test]
    fn features_are_the_last_stage_s_channels() {
        let spec = ModelConfig::reference().check(10, 32, 32).unwrap();
        assert_eq!(spec.features(), 256);
    }
}
