use std::ops::Deref;

use super::TrainingConfig;

/// Settings of a training that are within their ranges; made by [`TrainingConfig::check`].
#[derive(Debug, Clone, PartialEq)]
pub struct TrainingSpec(TrainingConfig);

impl TrainingSpec {
    pub(super) fn unchecked(config: TrainingConfig) -> Self {
        Self(config)
    }
}

impl Default for TrainingSpec {
    /// The default settings, which a test holds to be within all ranges.
    fn default() -> Self {
        Self(TrainingConfig::default())
    }
}

impl Deref for TrainingSpec {
    type Target = TrainingConfig;

    fn deref(&self) -> &TrainingConfig {
        &self.0
    }
}
