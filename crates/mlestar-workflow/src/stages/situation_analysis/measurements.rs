//! Everything that challenges and advice are derived from, as raw figures.

use mlestar_data::describe::Description;
use mlestar_data::quality::{FindingKind, QualityReport, SequenceLikeness};
use mlestar_data::readers::folder::FileSizes;
use mlestar_data::separability::{self, Separability};
use mlestar_data::variability::{self, Variability};
use mlestar_data::{ImageSplits, SplitName};
use serde::{Deserialize, Serialize};

/// The raw figures of a dataset. Challenges and advice are functions of these alone, so that the
/// gate can derive them again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Measurements {
    /// The class names, in label order.
    pub classes: Vec<String>,
    /// Height of every image, in pixels.
    pub height: usize,
    /// Width of every image, in pixels.
    pub width: usize,
    /// How large the files are, before they are brought to that size.
    pub file_sizes: FileSizes,
    /// Images of each class: training, validation, test.
    pub class_counts: SplitCounts,
    /// Mean of red, green and blue over the training pixels, in 0-1.
    pub channel_mean: [f64; 3],
    /// Standard deviation of red, green and blue over the training pixels.
    pub channel_std: [f64; 3],
    /// Quality findings of each kind.
    pub findings: Vec<FindingCount>,
    /// Images with the same bytes as another one of another class.
    pub n_conflicting_duplicates: usize,
    /// How alike images of consecutive file names are; absent where there are too few to tell.
    pub sequences: Option<SequenceLikeness>,
    /// Fraction of the images whose nearest neighbours vote for their label: how reliable a suspicion of a wrong
    /// label is. Absent when there were too few images to vote.
    pub label_neighbour_accuracy: Option<f64>,
    /// What simple classifiers reach; absent when a split is empty.
    pub separability: Option<Separability>,
    /// Differences between images; absent without training images.
    pub variability: Option<Variability>,
}

/// Images of each class in the three splits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SplitCounts {
    /// Training images of each class.
    pub train: Vec<usize>,
    /// Validation images of each class.
    pub validation: Vec<usize>,
    /// Test images of each class.
    pub test: Vec<usize>,
}

/// How many findings of one kind there are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FindingCount {
    /// The kind.
    pub kind: FindingKind,
    /// Findings among the training, validation and test images.
    pub per_split: [usize; 3],
}

impl SplitCounts {
    /// The counts of one split.
    pub fn of(&self, split: SplitName) -> &[usize] {
        match split {
            SplitName::Train => &self.train,
            SplitName::Validation => &self.validation,
            SplitName::Test => &self.test,
        }
    }
}

impl Measurements {
    /// Images in a split.
    pub fn n_pictures(&self, split: SplitName) -> usize {
        self.class_counts.of(split).iter().sum()
    }

    /// Images in all splits.
    pub fn n_all(&self) -> usize {
        SPLITS.into_iter().map(|split| self.n_pictures(split)).sum()
    }

    /// `n` as a share of the images of a split, 0-1.
    pub fn share(&self, n: usize, split: SplitName) -> f64 {
        n as f64 / self.n_pictures(split).max(1) as f64
    }

    /// Findings of some kinds in one split.
    pub fn n_findings_in(&self, kinds: &[FindingKind], split: SplitName) -> usize {
        let place = split_place(split);
        self.findings
            .iter()
            .filter(|count| kinds.contains(&count.kind))
            .map(|count| count.per_split[place])
            .sum()
    }

    /// Findings of some kinds in all splits.
    pub fn n_findings(&self, kinds: &[FindingKind]) -> usize {
        let each = SPLITS
            .into_iter()
            .map(|split| self.n_findings_in(kinds, split));
        each.sum()
    }

    /// Training images of the largest class over those of the smallest; `None` when a class has
    /// no training image.
    pub fn imbalance_ratio(&self) -> Option<f64> {
        let counts = &self.class_counts.train;
        let (largest, smallest) = (*counts.iter().max()?, *counts.iter().min()?);
        (smallest > 0).then(|| largest as f64 / smallest as f64)
    }

    /// The class with the most or, with `smallest`, the fewest training images, and how many.
    pub fn extreme_class(&self, smallest: bool) -> (&str, usize) {
        let counts = self.class_counts.train.iter().copied();
        let extreme = match smallest {
            true => counts.min(),
            false => counts.max(),
        };
        let count = extreme.unwrap_or(0);
        let place = self
            .class_counts
            .train
            .iter()
            .position(|other| *other == count);
        let name = place.and_then(|class| self.classes.get(class));
        (name.map_or("", String::as_str), count)
    }

    /// The classes that have no image in a split.
    pub fn classes_without(&self, split: SplitName) -> Vec<String> {
        let counts = self.class_counts.of(split);
        let named = self.classes.iter().zip(counts);
        let empty = named.filter(|(_, count)| **count == 0);
        empty.map(|(name, _)| name.clone()).collect()
    }

    /// The shorter side of the file of median size, in pixels.
    pub fn shorter_side_of_files(&self) -> usize {
        self.file_sizes.median[0].min(self.file_sizes.median[1]) as usize
    }

    /// The shorter side of the images, in pixels.
    pub fn shorter_side(&self) -> usize {
        self.height.min(self.width)
    }
}

/// The splits in their order.
pub(crate) const SPLITS: [SplitName; 3] =
    [SplitName::Train, SplitName::Validation, SplitName::Test];

fn split_place(split: SplitName) -> usize {
    match split {
        SplitName::Train => 0,
        SplitName::Validation => 1,
        SplitName::Test => 2,
    }
}

/// Measures everything. The test images are described and checked for leakage; no classifier
/// sees them.
pub(crate) fn measure(
    splits: &ImageSplits,
    train: &Description,
    quality: &QualityReport,
    file_sizes: &FileSizes,
    seed: u64,
) -> Measurements {
    let channel = |figure: fn(&mlestar_data::describe::ChannelDescription) -> Option<f64>| {
        std::array::from_fn(|c| figure(&train.channels[c]).unwrap_or(0.0))
    };
    Measurements {
        classes: splits.train.classes().to_vec(),
        height: splits.train.height(),
        width: splits.train.width(),
        file_sizes: file_sizes.clone(),
        class_counts: SplitCounts {
            train: splits.train.class_counts(),
            validation: splits.validation.class_counts(),
            test: splits.test.class_counts(),
        },
        channel_mean: channel(|channel| channel.mean),
        channel_std: channel(|channel| channel.std),
        findings: count_findings(quality),
        n_conflicting_duplicates: quality.count(FindingKind::LabelConflict),
        sequences: quality.sequences.clone(),
        label_neighbour_accuracy: quality.neighbour_accuracy,
        separability: separability::measure(&splits.train, &splits.validation, seed),
        variability: variability::measure(&splits.train, seed),
    }
}

fn count_findings(quality: &QualityReport) -> Vec<FindingCount> {
    FindingKind::ALL
        .into_iter()
        .map(|kind| FindingCount {
            kind,
            per_split: SPLITS.map(|split| {
                quality
                    .of(kind)
                    .filter(|finding| finding.split == split)
                    .count()
            }),
        })
        .collect()
}
