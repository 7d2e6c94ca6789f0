//! A procedural dataset: ten shapes and textures, 32x32 RGB, with documented flaws.
//!
//! Every image holds one figure of its class at a random place, size, rotation and colour, lighter or darker
//! than a background with a gradient and clutter, plus noise. No single pixel and no mean colour reveals the
//! class, so a linear model fails, while a small convolutional network learns it in a few epochs.
//!
//! Train and validation have a mild class imbalance and planted flaws (see [`FlawKind`]), all listed in
//! [`SyntheticData::flaws`]. The test split is clean and balanced. Image `i` of a split depends only on the
//! seed, the split and `i`.
//!
//! ```
//! use mlestar_data::synthetic::{SyntheticConfig, generate};
//!
//! let config = SyntheticConfig { n_train: 200, n_validation: 50, n_test: 50, ..SyntheticConfig::default() };
//! let data = generate(&config, 42)?;
//! assert_eq!(data.splits.train.len(), 200);
//! assert_eq!(data.splits.train.classes()[1], "ring");
//! assert_eq!(data.flaws, generate(&config, 42)?.flaws);
//! # Ok::<(), mlestar_data::DataError>(())
//! ```

mod config;
mod flaws;
mod render;
mod shapes;

pub(crate) use render::SIZE;

pub use config::SyntheticConfig;
pub use flaws::{FlawKind, PlantedFlaw};

use crate::SplitName;
use crate::{DataError, ImageSet, ImageSplits, Origin};
use mlestar_random::Stream;
use rayon::prelude::*;
use std::sync::Arc;

/// The generated splits and all flaws planted in them.
#[derive(Debug, Clone)]
pub struct SyntheticData {
    /// The images.
    pub splits: ImageSplits,
    /// All flaws, ordered by split and index.
    pub flaws: Vec<PlantedFlaw>,
}

/// A split while it is still being changed.
struct Draft {
    split: SplitName,
    pixels: Vec<u8>,
    labels: Vec<u32>,
}

impl Draft {
    const BYTES_PER_PICTURE: usize = 3 * render::SIZE * render::SIZE;

    fn picture_mut(&mut self, index: usize) -> &mut [u8] {
        &mut self.pixels[index * Self::BYTES_PER_PICTURE..][..Self::BYTES_PER_PICTURE]
    }

    fn picture(&self, index: usize) -> &[u8] {
        &self.pixels[index * Self::BYTES_PER_PICTURE..][..Self::BYTES_PER_PICTURE]
    }
}

/// Names of the ten classes, in label order.
pub fn class_names() -> Arc<[String]> {
    shapes::CLASS_NAMES.map(String::from).into()
}

/// Generates the three splits.
///
/// # Errors
/// If a value of `config` is out of range (see [`SyntheticConfig::check`]).
pub fn generate(config: &SyntheticConfig, seed: u64) -> Result<SyntheticData, DataError> {
    config.check()?;
    let mut train = draw(config, seed, SplitName::Train, config.imbalance_ratio);
    let mut validation = draw(config, seed, SplitName::Validation, config.imbalance_ratio);
    let test = draw(config, seed, SplitName::Test, 1.0);
    let flaws = flaws::plant(config, seed, &mut train, &mut validation);
    let first_of_validation = config.n_train as u64;
    let first_of_test = first_of_validation + config.n_validation as u64;
    let splits = ImageSplits {
        train: finish(train, 0)?,
        validation: finish(validation, first_of_validation)?,
        test: finish(test, first_of_test)?,
    };
    Ok(SyntheticData { splits, flaws })
}

fn finish(draft: Draft, first_index: u64) -> Result<ImageSet, DataError> {
    let origins = (0..draft.labels.len() as u64)
        .map(|index| Origin::Synthetic {
            index: first_index + index,
        })
        .collect();
    ImageSet::new(
        class_names(),
        render::SIZE,
        render::SIZE,
        draft.pixels,
        draft.labels,
        origins,
    )
}

/// The number of a split in the keys of the random streams.
fn stream_epoch(split: SplitName) -> u64 {
    match split {
        SplitName::Train => 0,
        SplitName::Validation => 1,
        SplitName::Test => 2,
    }
}

fn draw(config: &SyntheticConfig, seed: u64, split: SplitName, imbalance_ratio: f64) -> Draft {
    let n = match split {
        SplitName::Train => config.n_train,
        SplitName::Validation => config.n_validation,
        SplitName::Test => config.n_test,
    };
    let mut labels: Vec<u32> = class_counts(n, imbalance_ratio)
        .into_iter()
        .enumerate()
        .flat_map(|(label, count)| std::iter::repeat_n(label as u32, count))
        .collect();
    Stream::new(seed, "synthetic-labels", stream_epoch(split), 0).shuffle(&mut labels);
    let mut pixels = vec![0_u8; n * Draft::BYTES_PER_PICTURE];
    pixels
        .par_chunks_exact_mut(Draft::BYTES_PER_PICTURE)
        .zip(&labels)
        .enumerate()
        .for_each(|(index, (picture, label))| {
            let mut stream = Stream::new(seed, "synthetic", stream_epoch(split), index as u64);
            let noise = config.noise as f32;
            picture.copy_from_slice(&render::picture(*label, noise, config.clutter, &mut stream));
        });
    Draft {
        split,
        pixels,
        labels,
    }
}

/// Images per class: one each, and the rest by largest remainder in proportion to weights that fall linearly
/// from `imbalance_ratio` for class 0 to 1 for the last class.
fn class_counts(n: usize, imbalance_ratio: f64) -> Vec<usize> {
    let n_classes = shapes::CLASS_NAMES.len();
    let last = (n_classes - 1) as f64;
    let weights: Vec<f64> = (0..n_classes)
        .map(|class| 1.0 + (imbalance_ratio - 1.0) * (last - class as f64) / last)
        .collect();
    let total: f64 = weights.iter().sum();
    let rest = n - n_classes;
    let quotas: Vec<f64> = weights.iter().map(|w| w / total * rest as f64).collect();
    let mut counts: Vec<usize> = quotas
        .iter()
        .map(|quota| quota.floor() as usize + 1)
        .collect();
    let mut order: Vec<usize> = (0..n_classes).collect();
    order.sort_by(|a, b| quotas[*b].fract().total_cmp(&quotas[*a].fract()));
    let missing = n - counts.iter().sum::<usize>();
    for class in order.into_iter().cycle().take(missing) {
        counts[class] += 1;
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn class_counts_add_up_and_follow_the_ratio() {
        for n in [10, 11, 99, 1000, 4000] {
            for ratio in [1.0, 1.5, 4.0] {
                let counts = class_counts(n, ratio);
                assert_eq!(counts.iter().sum::<usize>(), n, "{n} {ratio}");
                assert!(counts.iter().all(|count| *count >= 1));
            }
        }
        assert_eq!(class_counts(1000, 1.0), vec![100; 10]);
        let counts = class_counts(10_000, 1.5);
        let ratio = counts[0] as f64 / counts[9] as f64;
        assert!((ratio - 1.5).abs() < 0.01, "{ratio}");
    }
}
