use std::ops::Deref;

use super::TrainingConfig;

/// Training settings that are within their ranges; created by [`TrainingConfig::check`].
#[derive(Debug, Clone, PartialEq)]
pub struct TrainingSpec(TrainingConfig);

impl TrainingSpec {
    pub(super) fn unchecked(config: TrainingConfig) -> Self {
        Self(config)
    }
}

impl Default for TrainingSpec {
    /// The default settings. A test checks that they are within all ranges.
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
