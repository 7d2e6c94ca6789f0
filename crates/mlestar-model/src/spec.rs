use serde::{Deserialize, Serialize};

use crate::{Description, ModelConfig, ModelError, ModelSummary, config::in_range};

/// More parameters than this (2 GB of f32 weights) are rejected.
const MAX_PARAMETERS: u64 = 500_000_000;
const MAX_CLASSES: usize = 100_000;
const MAX_IMAGE_SIDE: usize = 4096;
/// Published architectures halve the side five times.
const LEAST_PUBLISHED_SIDE: usize = 32;

/// A checked architecture: it can be built, for RGB images of a known size and a known number of classes.
///
/// Created by [`ModelConfig::check`]. Deserialising one runs the same check.
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
    /// Channels of an image: red, green, blue.
    pub const CHANNELS: usize = Description::CHANNELS;

    fn unchecked(config: ModelConfig, n_classes: usize, height: usize, width: usize) -> Self {
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

    /// Height of the images in pixels.
    #[must_use]
    pub fn height(&self) -> usize {
        self.height
    }

    /// Width of the images in pixels.
    #[must_use]
    pub fn width(&self) -> usize {
        self.width
    }

    /// The number of features that enter the linear layer (to which dropout applies).
    #[must_use]
    pub fn features(&self) -> usize {
        self.description().features()
    }

    /// The network, block by block.
    #[must_use]
    pub fn description(&self) -> Description {
        Description {
            image: [self.height, self.width],
            blocks: self.config.blocks([self.height, self.width]),
            dropout: self.config.dropout,
            stochastic_depth: self.config.stochastic_depth,
            n_classes: self.n_classes,
            views: self.config.views(),
        }
    }

    /// Parameters, operations and memory, computed layer by layer.
    #[must_use]
    pub fn summary(&self) -> ModelSummary {
        self.description().summary()
    }
}

impl ModelConfig {
    /// Checks the architecture for RGB images of `height` x `width` pixels and `n_classes`
    /// classes.
    ///
    /// # Errors
    ///
    /// [`ModelError`] with the key, the value and the allowed range: a value out of its range, a stride larger
    /// than its feature map, or more than 500 million parameters.
    pub fn check(
        &self,
        n_classes: usize,
        height: usize,
        width: usize,
    ) -> Result<ModelSpec, ModelError> {
        in_range("n_classes", n_classes, 2, MAX_CLASSES)?;
        in_range("height", height, 1, MAX_IMAGE_SIDE)?;
        in_range("width", width, 1, MAX_IMAGE_SIDE)?;
        self.check_ranges()?;
        self.check_published()?;
        if self.architecture.is_published() {
            in_range("height", height, LEAST_PUBLISHED_SIDE, MAX_IMAGE_SIDE)?;
            in_range("width", width, LEAST_PUBLISHED_SIDE, MAX_IMAGE_SIDE)?;
        }
        if self.stochastic_depth != 0.0 && !self.architecture.has_shortcuts() {
            let limit = "0 in a plain CNN, because its blocks have no residual branch";
            let value = self.stochastic_depth;
            return Err(ModelError::out_of_range("stochastic_depth", value, limit));
        }
        let spec = ModelSpec::unchecked(self.clone(), n_classes, height, width);
        let description = spec.description();
        description.check()?;
        let parameters = description.summary().parameters;
        if parameters > MAX_PARAMETERS {
            return Err(ModelError::TooLarge {
                parameters,
                limit: MAX_PARAMETERS,
            });
        }
        Ok(spec)
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
