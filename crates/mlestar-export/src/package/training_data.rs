//! What a package remembers of the images that the model was trained on.

use serde::{Deserialize, Serialize};

use crate::error::ExportError;

/// Bins of a [`Histogram`] made by [`Histogram::of`].
const BINS: usize = 10;

/// Facts about the training images and the model's predictions, to notice when the images of today differ.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainingData {
    /// Brightness of the training images ([`ImageStatistics`]).
    pub brightness: Histogram,
    /// Contrast of the training images.
    pub contrast: Histogram,
    /// How often the model predicted each class on the validation split, by class index.
    pub predicted_classes: Vec<u64>,
}

/// Counts in bins.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Histogram {
    /// Edges between the bins, ascending. Bin i holds the values above edge i-1 and up to edge i; the first and the
    /// last bin are open.
    pub edges: Vec<f64>,
    /// Values in each bin: one more than edges.
    pub counts: Vec<u64>,
}

impl Histogram {
    /// Ten bins that hold about as many values each; fewer where values are equal. NaN is left out.
    ///
    /// ```
    /// use mlestar_export::package::Histogram;
    /// let values: Vec<f64> = (1..=100).map(f64::from).collect();
    /// let histogram = Histogram::of(&values);
    /// assert_eq!(histogram.counts, [10; 10]);
    /// assert_eq!(histogram.bin(10.0), 0);
    /// assert_eq!(histogram.bin(1e9), 9);
    /// ```
    #[must_use]
    pub fn of(values: &[f64]) -> Self {
        let mut sorted: Vec<f64> = values.iter().copied().filter(|x| !x.is_nan()).collect();
        sorted.sort_by(f64::total_cmp);
        let n = sorted.len();
        let mut edges: Vec<f64> = (1..BINS)
            .filter_map(|bin| sorted.get((bin * n).div_ceil(BINS).checked_sub(1)?))
            .copied()
            .collect();
        edges.dedup();
        // Nothing lies above the highest value.
        edges.retain(|edge| sorted.last() != Some(edge));
        let mut histogram = Self {
            counts: vec![0; edges.len() + 1],
            edges,
        };
        for value in sorted {
            let bin = histogram.bin(value);
            histogram.counts[bin] += 1;
        }
        histogram
    }

    /// The bin of a value.
    #[must_use]
    pub fn bin(&self, value: f64) -> usize {
        self.edges.partition_point(|edge| *edge < value)
    }

    /// Number of values.
    #[must_use]
    pub fn n(&self) -> u64 {
        self.counts.iter().sum()
    }

    fn check(&self, what: &str) -> Result<(), String> {
        let ascends = self.edges.windows(2).all(|pair| pair[0] < pair[1]);
        let is_finite = self.edges.iter().all(|edge| edge.is_finite());
        match ascends && is_finite && self.counts.len() == self.edges.len() + 1 {
            true => Ok(()),
            false => Err(format!(
                "`training_data.{what}` needs ascending edges and one count more than edges"
            )),
        }
    }
}

impl TrainingData {
    pub(super) fn check(&self, n_classes: usize) -> Result<(), ExportError> {
        let found = self.predicted_classes.len();
        let checked = self
            .brightness
            .check("brightness")
            .and_then(|()| self.contrast.check("contrast"));
        match checked {
            Ok(()) if found == n_classes => Ok(()),
            Ok(()) => Err(ExportError::argument(
                "training data",
                format!("it counts {found} predicted classes, but the model has {n_classes}"),
            )),
            Err(reason) => Err(ExportError::argument("training data", reason)),
        }
    }
}

/// Brightness and contrast of one image.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ImageStatistics {
    /// Mean of the luma `0.299 R + 0.587 G + 0.114 B` (ITU-R BT.601), 0-255.
    pub brightness: f64,
    /// Standard deviation of the luma, 0-127.5.
    pub contrast: f64,
}

impl ImageStatistics {
    /// Of interleaved RGB bytes, as the network gets them. An image without pixels has zeros.
    ///
    /// ```
    /// use mlestar_export::package::ImageStatistics;
    /// let black_and_white = [0, 0, 0, 255, 255, 255];
    /// let statistics = ImageStatistics::of(&black_and_white);
    /// assert!((statistics.brightness - 127.5).abs() < 1e-9);
    /// assert!((statistics.contrast - 127.5).abs() < 1e-9);
    /// ```
    #[must_use]
    pub fn of(rgb: &[u8]) -> Self {
        let (pixels, _) = rgb.as_chunks::<3>();
        let n = pixels.len().max(1) as f64;
        let (mut sum, mut squares) = (0.0, 0.0);
        for &[red, green, blue] in pixels {
            let luma = 0.299 * f64::from(red) + 0.587 * f64::from(green) + 0.114 * f64::from(blue);
            sum += luma;
            squares += luma * luma;
        }
        let brightness = sum / n;
        Self {
            brightness,
            contrast: (squares / n - brightness * brightness).max(0.0).sqrt(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_values_share_a_bin() {
        let histogram = Histogram::of(&[5.0; 40]);
        assert_eq!((histogram.edges.len(), histogram.counts), (0, vec![40]));
        let histogram = Histogram::of(&[0.0, 0.0, 0.0, 1.0]);
        assert_eq!((histogram.edges, histogram.counts), (vec![0.0], vec![3, 1]));
        assert_eq!(Histogram::of(&[]).counts, [0]);
        assert_eq!(Histogram::of(&[f64::NAN, 1.0]).n(), 1);
    }

    #[test]
    fn every_value_is_counted_once() {
        let values: Vec<f64> = (0..237).map(|i| f64::from((i * 7919) % 101)).collect();
        let histogram = Histogram::of(&values);
        assert_eq!(histogram.n(), 237);
        assert!(
            histogram.counts.iter().all(|count| *count > 10),
            "{histogram:?}"
        );
        assert!(histogram.check("brightness").is_ok());
    }

    #[test]
    fn a_flat_image_has_no_contrast() {
        let statistics = ImageStatistics::of(&[10, 20, 30].repeat(50));
        assert!((statistics.brightness - (2.99 + 11.74 + 3.42)).abs() < 1e-9);
        assert!(statistics.contrast < 1e-5);
        assert_eq!(ImageStatistics::of(&[]).contrast, 0.0);
    }
}
