//! Statistics of a set: counts, channel statistics, histograms, brightness.

use crate::ImageSet;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

/// Weights of red, green and blue in brightness, in thousandths (ITU-R BT.601).
const BRIGHTNESS_WEIGHTS: [u64; 3] = [299, 587, 114];
/// Names of the channels, in order.
const CHANNEL_NAMES: [&str; 3] = ["red", "green", "blue"];

/// A description of one [`ImageSet`].
///
/// Pixels are scaled to `[0, 1]`. All sums are exact integers, so the result does not depend on the order of
/// summation; means and deviations are rounded to f64 once.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Description {
    /// Number of images.
    pub n_images: usize,
    /// Height of every image, in pixels.
    pub height: usize,
    /// Width of every image, in pixels.
    pub width: usize,
    /// Every class, in label order.
    pub classes: Vec<ClassDescription>,
    /// Ratio of the images of the largest and the smallest class; `None` if a class has no images.
    pub imbalance_ratio: Option<f64>,
    /// Names of the classes without images.
    pub absent_classes: Vec<String>,
    /// Mean brightness (0.299 R + 0.587 G + 0.114 B) of all pixels; `None` for an empty set.
    pub mean_brightness: Option<f64>,
    /// Red, green and blue.
    pub channels: [ChannelDescription; 3],
}

/// One class of a [`Description`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClassDescription {
    /// Name.
    pub name: String,
    /// Number of images.
    pub count: usize,
    /// Share of all images; 0 for an empty set.
    pub fraction: f64,
    /// Mean brightness of the pixels of the class; `None` if it has no images.
    pub mean_brightness: Option<f64>,
}

/// One channel of a [`Description`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChannelDescription {
    /// `red`, `green` or `blue`.
    pub name: String,
    /// Mean of all pixels; `None` for an empty set.
    pub mean: Option<f64>,
    /// Standard deviation of all pixels (population, dividing by n); `None` for an empty set.
    pub std: Option<f64>,
    /// Smallest value that occurs.
    pub min: Option<f64>,
    /// Largest value that occurs.
    pub max: Option<f64>,
    /// Number of pixels at each of the 256 levels.
    pub histogram: Vec<u64>,
}

/// Exact sums over some images.
#[derive(Clone)]
struct Tally {
    histograms: [[u64; 256]; 3],
    /// Sum of the brightness per class, in thousandths of a level.
    class_brightness: Vec<u64>,
    class_counts: Vec<usize>,
}

impl Tally {
    fn new(n_classes: usize) -> Self {
        Self {
            histograms: [[0; 256]; 3],
            class_brightness: vec![0; n_classes],
            class_counts: vec![0; n_classes],
        }
    }

    fn add(mut self, pixels: &[u8], label: u32) -> Self {
        let area = pixels.len() / 3;
        for (channel, plane) in pixels.chunks_exact(area).enumerate() {
            let mut sum = 0_u64;
            for level in plane {
                self.histograms[channel][usize::from(*level)] += 1;
                sum += u64::from(*level);
            }
            self.class_brightness[label as usize] += BRIGHTNESS_WEIGHTS[channel] * sum;
        }
        self.class_counts[label as usize] += 1;
        self
    }

    fn merge(mut self, other: Self) -> Self {
        for (mine, theirs) in self.histograms.iter_mut().zip(other.histograms) {
            mine.iter_mut().zip(theirs).for_each(|(a, b)| *a += b);
        }
        self.class_brightness
            .iter_mut()
            .zip(other.class_brightness)
            .for_each(|(a, b)| *a += b);
        self.class_counts
            .iter_mut()
            .zip(other.class_counts)
            .for_each(|(a, b)| *a += b);
        self
    }
}

/// Describes `set`, in parallel on rayon's threads.
///
/// ```
/// use mlestar_data::describe::describe;
/// use mlestar_data::synthetic::{SyntheticConfig, generate};
///
/// let sizes = SyntheticConfig { n_train: 150, n_validation: 10, n_test: 10, ..SyntheticConfig::default() };
/// let description = describe(&generate(&sizes.without_flaws(), 42)?.splits.train);
/// assert_eq!(description.n_images, 150);
/// assert_eq!(description.imbalance_ratio, Some(1.0));
/// assert_eq!(description.channels[0].histogram.iter().sum::<u64>(), 150 * 32 * 32);
/// # Ok::<(), mlestar_data::DataError>(())
/// ```
pub fn describe(set: &ImageSet) -> Description {
    let empty = || Tally::new(set.n_classes());
    let tally = (0..set.len())
        .into_par_iter()
        .with_min_len(256)
        .fold(empty, |tally, index| {
            tally.add(set.pixels(index), set.label(index))
        })
        .reduce(empty, Tally::merge);
    let area = set.height() * set.width();
    let n_pixels = set.len() * area;
    let brightness = |sum: u64, n_pixels: usize| {
        (n_pixels > 0).then(|| sum as f64 / (n_pixels as f64 * 255_000.0))
    };
    let classes: Vec<ClassDescription> = set
        .classes()
        .iter()
        .enumerate()
        .map(|(class, name)| {
            let count = tally.class_counts[class];
            ClassDescription {
                name: name.clone(),
                count,
                fraction: count as f64 / set.len().max(1) as f64,
                mean_brightness: brightness(tally.class_brightness[class], count * area),
            }
        })
        .collect();
    let names = classes
        .iter()
        .filter(|class| class.count == 0)
        .map(|class| class.name.clone());
    Description {
        n_images: set.len(),
        height: set.height(),
        width: set.width(),
        imbalance_ratio: imbalance_ratio(&tally.class_counts),
        absent_classes: names.collect(),
        classes,
        mean_brightness: brightness(tally.class_brightness.iter().sum(), n_pixels),
        channels: std::array::from_fn(|c| describe_channel(CHANNEL_NAMES[c], &tally.histograms[c])),
    }
}

fn imbalance_ratio(counts: &[usize]) -> Option<f64> {
    let largest = *counts.iter().max()?;
    let smallest = *counts.iter().min()?;
    (smallest > 0).then(|| largest as f64 / smallest as f64)
}

fn describe_channel(name: &str, histogram: &[u64; 256]) -> ChannelDescription {
    let moment = |power: u32| -> u128 {
        let levels = (0_u128..).zip(histogram);
        levels
            .map(|(level, count)| level.pow(power) * u128::from(*count))
            .sum()
    };
    let (n, sum, sum_of_squares) = (moment(0), moment(1), moment(2));
    let present = || (0_usize..256).filter(|level| histogram[*level] > 0);
    let scaled = |level: usize| level as f64 / 255.0;
    // n * sum_of_squares - sum² is n² times the variance and not negative, exactly.
    let std = || ((n * sum_of_squares - sum * sum) as f64).sqrt() / (n as f64 * 255.0);
    ChannelDescription {
        name: name.to_string(),
        mean: (n > 0).then(|| sum as f64 / (n as f64 * 255.0)),
        std: (n > 0).then(std),
        min: present().next().map(scaled),
        max: present().next_back().map(scaled),
        histogram: histogram.to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Origin;

    fn set(n_classes: u32, labels: &[u32], pixels: Vec<u8>) -> ImageSet {
        let classes = (0..n_classes)
            .map(|class| format!("class {class}"))
            .collect();
        let origins = (0..labels.len() as u64)
            .map(|index| Origin::Synthetic { index })
            .collect();
        ImageSet::new(classes, 1, 2, pixels, labels.to_vec(), origins).unwrap()
    }

    #[test]
    fn statistics_match_a_calculation_by_hand() {
        let description = describe(&set(
            3,
            &[0, 0, 2],
            vec![
                0, 255, 10, 10, 51, 51, //
                0, 255, 10, 10, 51, 51, //
                255, 0, 10, 10, 51, 51,
            ],
        ));
        let [red, green, blue] = &description.channels;
        assert_eq!(
            (red.mean, red.std, red.min, red.max),
            (Some(0.5), Some(0.5), Some(0.0), Some(1.0))
        );
        assert_eq!((green.mean, green.std), (Some(10.0 / 255.0), Some(0.0)));
        assert_eq!(blue.mean, Some(0.2));
        assert_eq!(red.histogram[255], 3);
        let counts: Vec<_> = description
            .classes
            .iter()
            .map(|class| class.count)
            .collect();
        assert_eq!(counts, [2, 0, 1]);
        assert_eq!(description.absent_classes, ["class 1"]);
        assert_eq!(description.imbalance_ratio, None);
        let brightness = 0.299 * 0.5 + 0.587 * 10.0 / 255.0 + 0.114 * 0.2;
        assert!((description.classes[2].mean_brightness.unwrap() - brightness).abs() < 1e-12);
        assert!((description.mean_brightness.unwrap() - brightness).abs() < 1e-12);
    }

    #[test]
    fn an_empty_set_has_no_statistics() {
        let description = describe(&set(2, &[], vec![]));
        assert_eq!(description.n_images, 0);
        assert_eq!(description.channels[0].mean, None);
        assert_eq!(description.channels[0].min, None);
        assert_eq!(description.imbalance_ratio, None);
        assert_eq!(description.classes[0].fraction, 0.0);
        assert!(crate::normalization::Normalization::from_description(&description).is_err());
    }
}
