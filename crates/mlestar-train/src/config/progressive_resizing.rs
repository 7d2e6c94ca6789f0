use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};

use crate::TrainError;

/// Epochs with smaller images, an entry of `training.progressive_resizing`.
///
/// | key | meaning | range |
/// |---|---|---|
/// | `until_fraction` | applies until this fraction of all epochs | above 0 and below 1, and above that of the previous entry |
/// | `scale` | height and width of the images, as a fraction of their full size | 0.1 to 1 |
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProgressiveResizing {
    /// Fraction of the epochs until which this entry applies. The last epoch always has images of full size.
    pub until_fraction: f64,
    /// Factor of height and width.
    pub scale: f64,
}

const UNTIL_KEY: &str = "progressive_resizing.until_fraction";
/// Maximum number of entries of `training.progressive_resizing`.
const MAX_ENTRIES: usize = 16;
const SCALES: RangeInclusive<f64> = 0.1..=1.0;
/// Ensures that 0.3 of 10 epochs is 3.
const ROUNDING: f64 = 1e-9;

impl ProgressiveResizing {
    pub(crate) const SCALE_KEY: &str = "progressive_resizing.scale";

    /// The factor of height and width in `epoch` (from 1) of `epochs`.
    pub(super) fn scale_at(entries: &[Self], epoch: usize, epochs: usize) -> f64 {
        let holds = |entry: &&Self| epoch as f64 <= entry.until_fraction * epochs as f64 + ROUNDING;
        entries.iter().find(holds).map_or(1.0, |entry| entry.scale)
    }

    /// Height and width of images while this entry applies, at least one pixel, if the full size is `full`.
    #[must_use]
    pub fn size_of(&self, full: [usize; 2]) -> [usize; 2] {
        scaled(full, self.scale)
    }

    pub(super) fn check(entries: &[Self]) -> Result<(), TrainError> {
        if entries.len() > MAX_ENTRIES {
            let limit = format!("at most {MAX_ENTRIES} entries");
            return Err(TrainError::out_of_range(
                "progressive_resizing",
                entries.len(),
                limit,
            ));
        }
        let mut before = 0.0;
        for entry in entries {
            let until = entry.until_fraction;
            if !(until > before && until < 1.0) {
                let limit = format!("above {before} and below 1, in rising order");
                return Err(TrainError::out_of_range(UNTIL_KEY, until, limit));
            }
            if !SCALES.contains(&entry.scale) {
                let limit = format!("{} to {}", SCALES.start(), SCALES.end());
                return Err(TrainError::out_of_range(
                    Self::SCALE_KEY,
                    entry.scale,
                    limit,
                ));
            }
            before = until;
        }
        Ok(())
    }
}

/// The scaled size `[height, width]`, at least one pixel, of images whose full size is `full`.
pub(super) fn scaled(full: [usize; 2], scale: f64) -> [usize; 2] {
    full.map(|side| ((side as f64 * scale).round() as usize).max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(list: &[(f64, f64)]) -> Vec<ProgressiveResizing> {
        let entry = |&(until_fraction, scale)| ProgressiveResizing {
            until_fraction,
            scale,
        };
        list.iter().map(entry).collect()
    }

    #[test]
    fn the_first_entry_that_still_holds_counts_and_the_last_epoch_is_whole() {
        let entries = entries(&[(0.3, 0.5), (0.6, 0.75)]);
        let sides = |epochs: usize| -> Vec<usize> {
            (1..=epochs)
                .map(|epoch| ProgressiveResizing::scale_at(&entries, epoch, epochs))
                .map(|scale| scaled([32, 64], scale)[0])
                .collect()
        };
        assert_eq!(sides(10), [16, 16, 16, 24, 24, 24, 32, 32, 32, 32]);
        assert_eq!(sides(4), [16, 24, 32, 32]);
        assert_eq!(sides(1), [32]);
        assert_eq!(scaled([1, 33], 0.5), [1, 17]);
    }

    #[test]
    fn entries_out_of_order_or_range_are_refused() {
        let refused = |list: &[(f64, f64)]| {
            ProgressiveResizing::check(&entries(list))
                .unwrap_err()
                .to_string()
        };
        let order = "progressive_resizing.until_fraction = 0.3 is out of range: it must be above 0.3 and \
                     below 1, in rising order";
        assert_eq!(refused(&[(0.3, 0.5), (0.3, 0.75)]), order);
        for until in [0.0, 1.0, -0.5, f64::NAN] {
            let message = refused(&[(until, 0.5)]);
            assert!(message.contains("above 0 and below 1"), "{message}");
        }
        assert_eq!(
            refused(&[(0.3, 1.5)]),
            "progressive_resizing.scale = 1.5 is out of range: it must be 0.1 to 1"
        );
        assert!(refused(&[(0.3, f64::NAN)]).contains("0.1 to 1"));
        let many: Vec<(f64, f64)> = (1..=17).map(|n| (f64::from(n) / 20.0, 0.5)).collect();
        assert!(refused(&many).contains("at most 16 entries"));
        ProgressiveResizing::check(&entries(&[(0.3, 0.1), (0.9, 1.0)])).unwrap();
    }
}
