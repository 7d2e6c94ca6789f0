//! Report of what was read and how it was processed.

use serde::{Deserialize, Serialize};

use crate::config::SourceKind;
use crate::image_set::SplitName;
use crate::readers::folder::{Conversions, FileSizes, Skipped, SkippedCount};

/// What was read and how it was processed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SourceReport {
    /// The kind of dataset.
    pub source: SourceKind,
    /// Its layout, in words.
    pub layout: String,
    /// The class names, in label order.
    pub classes: Vec<String>,
    /// `[height, width]` of every image, in pixels.
    pub image_size: [usize; 2],
    /// Images in the source, before any were left out or a subset was chosen.
    pub n_available: usize,
    /// The train, validation and test splits, in that order.
    pub splits: Vec<SplitReport>,
    /// How images were resized to one size, in words.
    pub resize_rule: String,
    /// How images were converted.
    pub conversions: Conversions,
    /// The original sizes of the images.
    pub file_sizes: FileSizes,
    /// Number of images that could not be read and were left out.
    pub n_unreadable: usize,
    /// The first 100 of them, with reasons.
    pub unreadable: Vec<Skipped>,
    /// Number of files and folders that are not images of the set and were not read.
    pub n_skipped: usize,
    /// The number of skipped entries for each kind of reason, most frequent first.
    pub skipped_counts: Vec<SkippedCount>,
    /// The first 100 of them, with reasons.
    pub skipped: Vec<Skipped>,
    /// Other notes for readers of the results.
    pub notes: Vec<String>,
}

/// One split of a [`SourceReport`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SplitReport {
    /// The split.
    pub name: SplitName,
    /// Number of images.
    pub n: usize,
    /// Number of images of each class, in label order.
    pub per_class: Vec<usize>,
    /// The origin of the split, in words.
    pub made_from: String,
}

impl SourceReport {
    /// Number of images in the three splits.
    pub fn n_used(&self) -> usize {
        self.splits.iter().map(|split| split.n).sum()
    }

    /// Whether an image of the source, or a file beside the images, was left out.
    pub fn leaves_out(&self) -> bool {
        self.n_used() < self.n_available || self.n_skipped > 0
    }

    /// How many of how many images are used, and why the others are not, in words.
    pub fn usage(&self) -> String {
        let (used, available) = (self.n_used(), self.n_available);
        if used == available {
            return format!("all {available} images are used");
        }
        let mut reasons = Vec::new();
        if self.n_unreadable > 0 {
            reasons.push(format!("{} cannot be read", self.n_unreadable));
        }
        match available - used - self.n_unreadable.min(available - used) {
            0 => {}
            n => reasons.push(format!("{n} are not in the subset")),
        }
        format!(
            "{used} of {available} images are used; {}",
            reasons.join(", ")
        )
    }

    /// What was skipped, as a sentence; `None` if nothing was.
    pub fn skipped_in_words(&self) -> Option<String> {
        let counts: Vec<String> = self
            .skipped_counts
            .iter()
            .map(|count| format!("{} {}", count.n, count.what))
            .collect();
        (self.n_skipped > 0).then(|| {
            format!(
                "{} other files and folders were skipped: {}",
                self.n_skipped,
                counts.join(", ")
            )
        })
    }

    /// The sizes of the files and how they were resized, in words.
    pub fn sizes_in_words(&self) -> String {
        let sizes = &self.file_sizes;
        let text = |[height, width]: [u32; 2]| format!("{height} x {width}");
        let [height, width] = self.image_size;
        let files = match sizes.n_sizes {
            0 | 1 => format!(
                "all images have {} pixels (height x width)",
                text(sizes.median)
            ),
            n => format!(
                "the images have {n} sizes, from {} to {} pixels, median {} (height x width)",
                text(sizes.smallest),
                text(sizes.largest),
                text(sizes.median)
            ),
        };
        match (sizes.n_resized, sizes.n_enlarged) {
            (0, _) => files,
            (n, 0) => format!(
                "{files}; {n} of {} were resized to {height} x {width}",
                sizes.n
            ),
            (n, enlarged) => format!(
                "{files}; {n} of {} were resized to {height} x {width}, {enlarged} of them enlarged",
                sizes.n
            ),
        }
    }
}
