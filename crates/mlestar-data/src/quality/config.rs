//! Thresholds of the quality check.

use crate::DataError;
use serde::{Deserialize, Serialize};

/// The limits above which an image becomes a finding, and how many images are compared.
///
/// | key | default | range | meaning |
/// |---|---|---|---|
/// | `blank_std` | 0.005 | 0 to 1 | blank if the standard deviation of every channel is below |
/// | `dark_brightness` | 0.08 | 0 to 1 | over-dark if the mean brightness is below |
/// | `bright_brightness` | 0.95 | 0 to 1 | over-bright if the mean brightness is above |
/// | `low_contrast_std` | 0.04 | 0 to 1 | low contrast if the deviation of the brightness is below |
/// | `near_duplicate_bits` | 12 | 0 to 64 | near duplicates have opposite signs in at most this many of 128 steps of brightness |
/// | `near_duplicate_correlation` | 0.98 | 0 to 1 | ... and their small versions (8x8, RGB) correlate at least this much |
/// | `max_compared_pictures` | 80000 | at least 2 | size of the sample in which near duplicates are searched |
/// | `neighbours` | 10 | 1 to 100 | nearest neighbours that vote on a label |
/// | `neighbour_agreement` | 0.9 | above 0.5, at most 1 | share of neighbours that must vote for one other class |
/// | `min_neighbour_accuracy` | 0.5 | 0 to 1 | below this share of correct votes, no label is suspected |
/// | `max_references` | 6000 | at least 1 | training images that can be neighbours, stratified |
/// | `max_suspected_mislabels` | 200 | | the strongest suspicions, up to this number, are listed |
///
/// Pixels, deviations and brightness are on the scale 0-1.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct QualityConfig {
    /// Blank if the standard deviation of every channel is below.
    pub blank_std: f64,
    /// Over-dark if the mean brightness is below.
    pub dark_brightness: f64,
    /// Over-bright if the mean brightness is above.
    pub bright_brightness: f64,
    /// Low contrast if the standard deviation of the brightness is below.
    pub low_contrast_std: f64,
    /// Near duplicates differ in the sign of at most this many of the 128 steps of their perceptual hashes.
    pub near_duplicate_bits: u32,
    /// Small versions of near duplicates have at least this correlation.
    pub near_duplicate_correlation: f64,
    /// Near duplicates are searched in a random sample of at most this many images.
    pub max_compared_pictures: usize,
    /// Number of nearest neighbours that vote on a label.
    pub neighbours: usize,
    /// Share of the neighbours that must vote for one other class.
    pub neighbour_agreement: f64,
    /// If the neighbours vote correctly for less than this share of all labels, they know too little about the
    /// classes, and no label is suspected.
    pub min_neighbour_accuracy: f64,
    /// Maximum number of training images that can be neighbours; a stratified sample of larger sets.
    pub max_references: usize,
    /// Maximum number of suspected mislabels that are listed, the strongest first.
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
    /// The key, its value and its range.
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
            let allowed = "0 to 64; unrelated images differ in half of the 128 steps";
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
