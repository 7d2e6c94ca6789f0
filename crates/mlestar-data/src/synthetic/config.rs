//! Settings of the synthetic set.

use super::flaws::SplitCounts;
use crate::DataError;
use serde::{Deserialize, Serialize};

/// Sizes, difficulty and planted flaws of the synthetic set.
///
/// | key | default | range | meaning |
/// |---|---|---|---|
/// | `n_train` | 4000 | 10 to 1,000,000 | training images |
/// | `n_validation` | 1000 | 10 to 1,000,000 | validation images |
/// | `n_test` | 2000 | 10 to 1,000,000 | test images, balanced and without flaws |
/// | `noise` | 0.05 | 0 to 0.5 | standard deviation of the pixel noise, pixels in 0-1 |
/// | `clutter` | 4 | 0 to 32 | small things in the background of each image |
/// | `imbalance_ratio` | 1.5 | 1 to 10 | ratio of largest to smallest class, train and validation |
/// | `exact_duplicates` | 12 | | images replaced by a copy of another image of their split |
/// | `near_duplicates` | 12 | | the same, slightly brighter or darker and with new noise |
/// | `leaked` | 4 | | validation images replaced by a copy of a training image |
/// | `mislabelled` | 40 | | images with a wrong label |
/// | `blank` | 8 | | images of one colour |
/// | `over_dark` | 12 | | images at about a tenth of their brightness |
///
/// The flaws (except `leaked`) are spread over train and validation in proportion to their sizes. At most half
/// of the images of either split may be flawed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SyntheticConfig {
    /// Training images.
    pub n_train: usize,
    /// Validation images.
    pub n_validation: usize,
    /// Test images.
    pub n_test: usize,
    /// Standard deviation of the pixel noise, of pixels in 0-1.
    pub noise: f64,
    /// Small things in the background of each image.
    pub clutter: usize,
    /// Ratio of the images of the largest and the smallest class, in train and validation.
    pub imbalance_ratio: f64,
    /// Images replaced by a copy of another image of their split.
    pub exact_duplicates: usize,
    /// Images replaced by a slightly changed copy of another image of their split.
    pub near_duplicates: usize,
    /// Validation images replaced by a copy of a training image.
    pub leaked: usize,
    /// Images with a wrong label.
    pub mislabelled: usize,
    /// Images of one colour.
    pub blank: usize,
    /// Images at about a tenth of their brightness.
    pub over_dark: usize,
}

impl Default for SyntheticConfig {
    fn default() -> Self {
        Self {
            n_train: 4000,
            n_validation: 1000,
            n_test: 2000,
            noise: 0.05,
            clutter: 4,
            imbalance_ratio: 1.5,
            exact_duplicates: 12,
            near_duplicates: 12,
            leaked: 4,
            mislabelled: 40,
            blank: 8,
            over_dark: 12,
        }
    }
}

impl SyntheticConfig {
    /// The same set without any flaw: no planted images, balanced classes.
    pub fn without_flaws(self) -> Self {
        Self {
            imbalance_ratio: 1.0,
            exact_duplicates: 0,
            near_duplicates: 0,
            leaked: 0,
            mislabelled: 0,
            blank: 0,
            over_dark: 0,
            ..self
        }
    }

    /// Checks every value against its range.
    ///
    /// # Errors
    /// The key, its value and the allowed range.
    pub fn check(&self) -> Result<(), DataError> {
        for (key, n) in [
            ("data.synthetic.n_train", self.n_train),
            ("data.synthetic.n_validation", self.n_validation),
            ("data.synthetic.n_test", self.n_test),
        ] {
            if !(10..=1_000_000).contains(&n) {
                let allowed = "10 (one per class) to 1000000 (all are held in memory)";
                return Err(DataError::invalid_setting(key, n, allowed));
            }
        }
        if !(0.0..=0.5).contains(&self.noise) {
            let allowed = "0 to 0.5; 0.05 is learnable but not trivial";
            return Err(DataError::invalid_setting(
                "data.synthetic.noise",
                self.noise,
                allowed,
            ));
        }
        if self.clutter > 32 {
            let allowed = "0 to 32; more would cover the whole image";
            return Err(DataError::invalid_setting(
                "data.synthetic.clutter",
                self.clutter,
                allowed,
            ));
        }
        if !(1.0..=10.0).contains(&self.imbalance_ratio) {
            let key = "data.synthetic.imbalance_ratio";
            let allowed = "1 (all classes equally large) to 10";
            return Err(DataError::invalid_setting(
                key,
                self.imbalance_ratio,
                allowed,
            ));
        }
        self.check_flaws()
    }

    fn check_flaws(&self) -> Result<(), DataError> {
        let counts = [
            ("data.synthetic.exact_duplicates", self.exact_duplicates),
            ("data.synthetic.near_duplicates", self.near_duplicates),
            ("data.synthetic.leaked", self.leaked),
            ("data.synthetic.mislabelled", self.mislabelled),
            ("data.synthetic.blank", self.blank),
            ("data.synthetic.over_dark", self.over_dark),
        ];
        for (key, count) in counts {
            if count > 1_000_000 {
                return Err(DataError::invalid_setting(key, count, "at most 1000000"));
            }
        }
        let counts = SplitCounts::of(self);
        for (n, touched) in [
            (self.n_train, counts.train.n_touched()),
            (self.n_validation, counts.validation.n_touched()),
        ] {
            if touched > n / 2 {
                return Err(DataError::invalid_setting(
                    "data.synthetic",
                    format!("a plan that touches {touched} of {n} images of a split with flaws"),
                    "one that touches at most half of them; plant fewer flaws or generate more images",
                ));
            }
        }
        Ok(())
    }
}
