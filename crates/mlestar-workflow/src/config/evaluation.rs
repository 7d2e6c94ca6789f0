use serde::{Deserialize, Serialize};

/// Section `[evaluation]`.
///
/// | key | default | purpose | range |
/// |---|---|---|---|
/// | `confidence` | 0.95 | confidence of every interval in reports and gates | above 0, below 1 |
/// | `batch_size` | 256 | images predicted at once | 1 to 65,536 |
/// | `cross_validation_repeats` | as many as a small set needs | how often a fine-tuning (`[training.finetune]`) also measures its head by five-fold cross-validation of training and validation images; 0 never | 0 to 100 |
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EvaluationConfig {
    /// Confidence of every interval in reports and gates.
    pub confidence: f64,
    /// Images predicted at once; it changes speed and memory.
    pub batch_size: usize,
    /// How often the head of a fine-tuning is also measured by five-fold cross-validation of training and validation images.
    /// `None` leaves it to [`Self::repeats_for`].
    pub cross_validation_repeats: Option<usize>,
}

impl Default for EvaluationConfig {
    fn default() -> Self {
        Self {
            confidence: 0.95,
            batch_size: 256,
            cross_validation_repeats: None,
        }
    }
}

impl EvaluationConfig {
    /// Below this number of validation images, a single split is measured to no better than about 0.03 (95 % interval of an
    /// accuracy of 0.9).
    const FEW_VALIDATION_IMAGES: usize = 500;
    /// Training and validation images times classes, at most, that a cross-validation is run for unasked: its time is about
    /// proportional to them.
    const MOST_UNASKED: usize = 10_000;
    /// Repetitions where nothing is set. With four, 20 splits, the standard error is 1.1 times that of infinitely many.
    const REPEATS: usize = 4;

    /// How often the head of a fine-tuning is measured by cross-validation, for so many training images, validation images
    /// and classes: `cross_validation_repeats`; without it, 4 times where there are fewer than 500 validation images and the
    /// images times the classes are at most 10,000, otherwise not at all.
    ///
    /// ```
    /// use mlestar_workflow::config::EvaluationConfig;
    /// let config = EvaluationConfig::default();
    /// assert_eq!(config.repeats_for([196, 153, 2]), 4);
    /// assert_eq!(config.repeats_for([45_000, 5_000, 10]), 0);
    /// ```
    pub fn repeats_for(&self, [n_train, n_validation, n_classes]: [usize; 3]) -> usize {
        let work = (n_train + n_validation).saturating_mul(n_classes);
        let is_small = n_validation < Self::FEW_VALIDATION_IMAGES && work <= Self::MOST_UNASKED;
        let unasked = if is_small { Self::REPEATS } else { 0 };
        self.cross_validation_repeats.unwrap_or(unasked)
    }
}
