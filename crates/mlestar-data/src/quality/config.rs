//! Thresholds of the quality check.

use crate::DataError;
use serde::{Deserialize, Serialize};

/// From where on something is a finding, and how much is compared.
///
/// | key | default | range | meaning |
/// |---|---|---|---|
/// | `blank_std` | 0.005 | 0 to 1 | blank when every channel's standard deviation is below |
/// | `dark_brightness` | 0.08 | 0 to 1 | over-dark when the mean brightness is below |
/// | `bright_brightness` | 0.95 | 0 to 1 | over-bright when the mean brightness is above |
/// | `low_contrast_std` | 0.04 | 0 to 1 | low contrast when the deviation of the brightness is below |
/// | `near_duplicate_bits` | 12 | 0 to 64 | near duplicates have at most so many of 128 steps of brightness opposite |
/// | `near_duplicate_correlation` | 0.98 | 0 to 1 | ... and small versions (8x8, RGB) correlate at least so much |
/// | `max_compared_pictures` | 80000 | at least 2 | near duplicates are looked for in a sample of so many |
/// | `neighbours` | 10 | 1 to 100 | nearest neighbours that vote on a label |
/// | `neighbour_agreement` | 0.9 | above 0.5, at most 1 | share that must vote for one other class |
/// | `min_neighbour_accuracy` | 0.5 | 0 to 1 | without so large a share of right votes, no label is suspected |
/// | `max_references` | 6000 | at least 1 | training pictures that can be neighbours, stratified |
/// | `max_suspected_mislabels` | 200 | | the strongest suspicions that are listed |
///
/// Pixels, deviations and brightness are on the scale 0-1.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct QualityConfig {
    /// Blank when every channel's standard deviation is below.
    pub blank_std: f64,
    /// Over-dark when the mean brightness is below.
    pub dark_brightness: f64,
    /// Over-bright when the mean brightness is above.
    pub bright_brightness: f64,
    /// Low contrast when the standard deviation of the brightness is below.
    pub low_contrast_std: f64,
    /// Near duplicates have at most so many of the 128 steps of their perceptual hashes opposite.
    pub near_duplicate_bits: u32,
    /// Small versions of near duplicates have at least this correlation.
    pub near_duplicate_correlation: f64,
    /// Near duplicates are looked for in a random sample of at most so many pictures.
    pub max_compared_pictures: usize,
    /// Number of nearest neighbours that vote on a label.
    pub neighbours: usize,
    /// Share of the neighbours that must vote for one other class.
    pub neighbour_agreement: f64,
    /// No label is suspected when the neighbours vote for a smaller share of all labels: they
    /// then know too little about the classes.
    pub min_neighbour_accuracy: f64,
    /// Training pictures that can be neighbours, at most; a stratified sample of larger sets.
    pub max_references: usize,
    /// Suspected mislabels that are listed, at most: the strongest.
    pub max_suspected_mislabels: usize,
}

impl Default for QualityConfig {
    fn default() -> Self {
        Self {
            blank_std: 0.005,
            dark_brightness: 0.08,
            bright_brightness: 0.95,
            low_contrast_std: 0.04,
            near_duplicate_bits: 12,
            near_duplicate_correlation: 0.98,
            max_compared_pictures: 80_000,
            neighbours: 10,
            neighbour_agreement: 0.9,
            min_neighbour_accuracy: 0.5,
            max_references: 6_000,
            max_suspected_mislabels: 200,
        }
    }
}

impl QualityConfig {
    /// Checks the thresholds.
    ///
    /// # Errors
    /// Names the key, its value and its range.
    pub fn check(&self) -> Result<(), DataError> {
        for (key, value) in [
            ("quality.blank_std", self.blank_std),
            ("quality.dark_brightness", self.dark_brightness),
            ("quality.bright_brightness", self.bright_brightness),
            ("quality.low_contrast_std", self.low_contrast_std),
            (
                "quality.near_duplicate_correlation",
                self.near_duplicate_correlation,
            ),
            (
                "quality.min_neighbour_accuracy",
                self.min_neighbour_accuracy,
            ),
        ] {
            if !(0.0..=1.0).contains(&value) {
                return Err(DataError::invalid_setting(key, value, "0 to 1"));
            }
        }
        if self.near_duplicate_bits > 64 {
            let (key, value) = ("quality.near_duplicate_bits", self.near_duplicate_bits);
            let allowed = "0 to 64; half of the 128 steps of unrelated pictures are opposite";
            return Err(DataError::invalid_setting(key, value, allowed));
        }
        if self.max_compared_pictures < 2 {
            let (key, value) = ("quality.max_compared_pictures", self.max_compared_pictures);
            return Err(DataError::invalid_setting(key, value, "at least 2"));
        }
        if !(1..=100).contains(&self.neighbours) {
            let (key, value) = ("quality.neighbours", self.neighbours);
            return Err(DataError::invalid_setting(key, value, "1 to 100"));
        }
        if !(self.neighbour_agreement > 0.5 && self.neighbour_agreement <= 1.0) {
            let (key, value) = ("quality.neighbour_agreement", self.neighbour_agreement);
            return Err(DataError::invalid_setting(
                key,
                value,
                "above 0.5 and at most 1",
            ));
        }
        if self.max_references == 0 {
            let (key, value) = ("quality.max_references", self.max_references);
            return Err(DataError::invalid_setting(key, value, "at least 1"));
        }
        Ok(())
    }
}
