//! Per-channel normalisation of 8-bit images: `(v / 255 - mean) / std`.

use crate::DataError;
use crate::describe::Description;
use serde::{Deserialize, Serialize};

/// The smallest standard deviation used as a divisor: one grey level.
const SMALLEST_STD: f64 = 1.0 / 255.0;

/// Mean and standard deviation per channel (red, green, blue) of pixels scaled to `[0, 1]`.
///
/// ```
/// use mlestar_data::normalization::{Normalization, normalize_into};
///
/// let normalization = Normalization::new([0.5; 3], [0.25; 3])?;
/// let mut out = [0.0; 3];
/// normalize_into(&[0, 255, 51], &normalization, &mut out); // one pixel: red 0, green 255, blue 51
/// assert_eq!(out, [-2.0, 2.0, -1.2]);
/// assert!(Normalization::new([0.5; 3], [0.0; 3]).is_err());
/// # Ok::<(), mlestar_data::DataError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Normalization {
    /// Mean per channel, in `[0, 1]`.
    pub mean: [f32; 3],
    /// Standard deviation per channel, greater than 0.
    pub std: [f32; 3],
}

impl Normalization {
    /// A checked normalisation.
    ///
    /// # Errors
    /// If a mean is outside `[0, 1]`, or a standard deviation outside `(0, 1]`.
    pub fn new(mean: [f32; 3], std: [f32; 3]) -> Result<Self, DataError> {
        let normalization = Self { mean, std };
        normalization.check()?;
        Ok(normalization)
    }

    /// Normalisation with the statistics of a dataset. A standard deviation below one grey level (1/255), as in
    /// sets of blank images, is raised to it, so that the result stays finite.
    ///
    /// # Errors
    /// If a mean is outside `[0, 1]`, or a standard deviation is negative, above 1 or NaN.
    pub fn from_stats(mean: [f64; 3], std: [f64; 3]) -> Result<Self, DataError> {
        // `max` would turn a NaN into the floor and hide it.
        let floored = std.map(|s| {
            if (0.0..SMALLEST_STD).contains(&s) {
                SMALLEST_STD
            } else {
                s
            }
        });
        Self::new(mean.map(|m| m as f32), floored.map(|s| s as f32))
    }

    /// Normalisation with the statistics of a described set, usually the training split.
    ///
    /// # Errors
    /// If the described set is empty.
    pub fn from_description(description: &Description) -> Result<Self, DataError> {
        let channels = &description.channels;
        Self::from_stats(
            std::array::from_fn(|c| channels[c].mean.unwrap_or(f64::NAN)),
            std::array::from_fn(|c| channels[c].std.unwrap_or(f64::NAN)),
        )
    }

    /// Checks the ranges that [`Normalization::new`] states, for values that were deserialised.
    ///
    /// # Errors
    /// As for [`Normalization::new`].
    pub fn check(&self) -> Result<(), DataError> {
        const ALLOWED_MEAN: &str = "0 to 1, of pixels scaled to 0-1";
        const ALLOWED_STD: &str = "above 0 and at most 1, of pixels scaled to 0-1";
        for (mean, std) in self.mean.iter().zip(&self.std) {
            if !(0.0..=1.0).contains(mean) {
                return Err(DataError::invalid_setting(
                    "normalization.mean",
                    mean,
                    ALLOWED_MEAN,
                ));
            }
            if !(*std > 0.0 && *std <= 1.0) {
                return Err(DataError::invalid_setting(
                    "normalization.std",
                    std,
                    ALLOWED_STD,
                ));
            }
        }
        Ok(())
    }

    /// Normalises the planar image `values` (CHW), pixels scaled to 0-1.
    pub(crate) fn apply(&self, values: &mut [f32]) {
        let area = (values.len() / 3).max(1);
        for (channel, plane) in values.chunks_exact_mut(area).enumerate() {
            let (mean, scale) = (self.mean[channel], 1.0 / self.std[channel]);
            for value in plane {
                *value = (*value - mean) * scale;
            }
        }
    }

    /// The normalised value of each of the 256 levels of each channel, rounded once from f64.
    pub fn table(&self) -> NormalizationTable {
        let value = |channel: usize, level: usize| {
            let scaled = level as f64 / 255.0 - f64::from(self.mean[channel]);
            (scaled / f64::from(self.std[channel])) as f32
        };
        NormalizationTable {
            levels: std::array::from_fn(|channel| {
                std::array::from_fn(|level| value(channel, level))
            }),
        }
    }
}

/// A [`Normalization`] precomputed for every level of every channel.
#[derive(Debug, Clone)]
pub struct NormalizationTable {
    levels: [[f32; 256]; 3],
}

impl NormalizationTable {
    /// The 256 normalised values of `channel` (0 red, 1 green, 2 blue).
    ///
    /// # Panics
    /// If `channel` is not 0, 1 or 2.
    pub fn channel(&self, channel: usize) -> &[f32; 256] {
        &self.levels[channel]
    }

    /// Writes the normalised image. Both slices are planar (CHW) and have the same length, a multiple of 3;
    /// values beyond the shorter one are not changed.
    pub fn apply(&self, pixels: &[u8], out: &mut [f32]) {
        let plane_len = (pixels.len() / 3).max(1);
        let planes = pixels
            .chunks_exact(plane_len)
            .zip(out.chunks_mut(plane_len));
        for (table, (plane, plane_out)) in self.levels.iter().zip(planes) {
            for (value, level) in plane_out.iter_mut().zip(plane) {
                *value = table[usize::from(*level)];
            }
        }
    }
}

/// Writes the normalised image: `pixels` is planar (CHW), and `out` has the same length.
///
/// For many images, [`Normalization::table`] avoids computing the levels again.
pub fn normalize_into(pixels: &[u8], normalization: &Normalization, out: &mut [f32]) {
    normalization.table().apply(pixels, out);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statistics_out_of_range_are_refused() {
        for (mean, std) in [
            ([0.5, -0.1, 0.5], [0.2; 3]),
            ([0.5, 1.1, 0.5], [0.2; 3]),
            ([0.5, f32::NAN, 0.5], [0.2; 3]),
            ([0.5; 3], [0.2, 0.2, 0.0]),
            ([0.5; 3], [0.2, -0.2, 0.2]),
            ([0.5; 3], [f32::INFINITY, 0.2, 0.2]),
            ([0.5; 3], [f32::NAN, 0.2, 0.2]),
        ] {
            assert!(Normalization::new(mean, std).is_err(), "{mean:?} {std:?}");
        }
        assert!(Normalization::from_stats([0.5; 3], [f64::NAN; 3]).is_err());
    }

    #[test]
    fn a_flat_set_is_divided_by_one_grey_level() {
        let normalization = Normalization::from_stats([0.5; 3], [0.0; 3]).unwrap();
        assert_eq!(normalization.std, [1.0 / 255.0; 3]);
    }

    #[test]
    fn each_plane_uses_its_own_channel() {
        let normalization = Normalization::new([0.0, 0.5, 1.0], [1.0, 0.5, 0.25]).unwrap();
        let mut out = [9.0; 6];
        normalize_into(&[0, 255, 0, 255, 0, 255], &normalization, &mut out);
        assert_eq!(out, [0.0, 1.0, -1.0, 1.0, -4.0, 0.0]);
        normalize_into(&[], &normalization, &mut []);
    }
}
