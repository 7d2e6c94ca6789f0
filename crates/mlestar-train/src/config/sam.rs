use serde::{Deserialize, Serialize};

use super::{fraction, is_within};
use crate::TrainError;

/// Section `[training.sam]`; present, steps are those of sharpness-aware minimisation (SAM; Foret et al. 2020,
/// <https://arxiv.org/abs/2010.01412>): the gradient is taken where the loss is highest, to first order, among the
/// weights at most `rho` away.
///
/// | key | default | meaning | range |
/// |---|---|---|---|
/// | `rho` | 0.05 | Euclidean distance from the weights to where the gradient is taken | above 0, at most 10 |
/// | `from_fraction` | 0 | fraction of the epochs after which it begins | 0 <= f < 1 |
/// | `ascent_fraction` | 1 | share of a batch whose gradient tells where the loss rises most | 0 < f <= 1 |
///
/// Such a step computes the gradient of that share, then, where it leads to, the gradient of the whole batch.
/// Most of what it gives, it gives in the last epochs
/// (Zhou et al. 2024, <https://arxiv.org/abs/2410.10373>).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SamConfig {
    /// Distance from the weights to where the gradient is taken, over all parameters together.
    pub rho: f64,
    /// Fraction of the epochs that take ordinary steps.
    pub from_fraction: f64,
    /// Share of the pictures of a batch, the first of them, whose gradient tells where to.
    pub ascent_fraction: f64,
}

const MAX_RHO: f64 = 10.0;

impl Default for SamConfig {
    fn default() -> Self {
        Self {
            rho: 0.05,
            from_fraction: 0.0,
            ascent_fraction: 1.0,
        }
    }
}

impl SamConfig {
    /// Whether the steps of `epoch` (from 1) of `epochs` are such steps.
    #[must_use]
    pub fn is_on(&self, epoch: usize, epochs: usize) -> bool {
        !is_within(self.from_fraction, epoch, epochs)
    }

    pub(super) fn check(&self) -> Result<(), TrainError> {
        if !(self.rho > 0.0 && self.rho <= MAX_RHO) {
            let limit =
                format!("above 0 and at most {MAX_RHO} (leave the section out for ordinary steps)");
            return Err(TrainError::out_of_range("sam.rho", self.rho, limit));
        }
        if !(self.ascent_fraction > 0.0 && self.ascent_fraction <= 1.0) {
            let limit = "above 0 and at most 1";
            return Err(TrainError::out_of_range(
                "sam.ascent_fraction",
                self.ascent_fraction,
                limit,
            ));
        }
        fraction("sam.from_fraction", self.from_fraction)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_begins_after_its_fraction_of_the_epochs() {
        let sam = |from_fraction| SamConfig {
            from_fraction,
            ..SamConfig::default()
        };
        let on = |from_fraction, epochs| -> Vec<usize> {
            (1..=epochs)
                .filter(|&epoch| sam(from_fraction).is_on(epoch, epochs))
                .collect()
        };
        assert_eq!(on(0.0, 3), [1, 2, 3]);
        // 0.7 * 10 is a little more than 7 in binary.
        assert_eq!(on(0.7, 10), [8, 9, 10]);
        assert_eq!(on(0.75, 3), [3]);
        assert_eq!(on(0.99, 3), [3]);
    }

    #[test]
    fn a_radius_or_a_fraction_that_cannot_be_is_refused() {
        let refusal = |rho, from_fraction, ascent_fraction| {
            let config = SamConfig {
                rho,
                from_fraction,
                ascent_fraction,
            };
            config.check().unwrap_err().to_string()
        };
        for rho in [0.0, -1.0, 11.0, f64::NAN] {
            let expected = format!(
                "sam.rho = {rho} is out of range: it must be above 0 and at most 10 (leave the section out for \
                 ordinary steps)"
            );
            assert_eq!(refusal(rho, 0.0, 1.0), expected);
        }
        assert_eq!(
            refusal(0.05, 1.0, 1.0),
            "sam.from_fraction = 1 is out of range: it must be at least 0 and below 1"
        );
        for ascent_fraction in [0.0, 1.5, f64::NAN] {
            let expected = format!(
                "sam.ascent_fraction = {ascent_fraction} is out of range: it must be above 0 and at most 1"
            );
            assert_eq!(refusal(0.05, 0.0, ascent_fraction), expected);
        }
        SamConfig::default().check().unwrap();
    }
}
