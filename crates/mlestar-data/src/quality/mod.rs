//! Finds images that harm training or falsify a result.
//!
//! [`check`] finds exact and near duplicates within and across splits, equal images with different labels,
//! sequences of files that a split has separated, images that are blank, over-dark, over-bright or of low
//! contrast, and labels that the nearest neighbours of an image contradict. Every finding names the image, the
//! measured value and the threshold. The data is not changed, and nothing is left out.
//!
//! ```
//! use mlestar_data::quality::{FindingKind, check};
//! use mlestar_data::synthetic::{SyntheticConfig, generate};
//!
//! let config = SyntheticConfig { n_train: 400, n_validation: 100, n_test: 50, ..SyntheticConfig::default() };
//! let report = check(&generate(&config, 42)?.splits);
//! for finding in report.of(FindingKind::Blank) {
//!     println!("{} {}: deviation {:.4}", finding.split, finding.origin, finding.value);
//! }
//! assert_eq!(report.count(FindingKind::Blank), 8);
//! # Ok::<(), mlestar_data::DataError>(())
//! ```

mod config;
mod duplicates;
mod exposure;
mod features;
mod mislabels;
mod sequences;

pub use config::QualityConfig;
pub use sequences::SequenceLikeness;

use crate::{DataError, ImageSet, ImageSplits, SplitName};
use serde::{Deserialize, Serialize};
use std::collections::HashSet;
use std::fmt;

/// What is wrong with an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FindingKind {
    /// The same bytes as an earlier image of the same class and split. Value: number of different steps of the
    /// perceptual hash, 0.
    ExactDuplicate,
    /// The same bytes as an image of the same class in an earlier split (train before validation before test).
    /// Value: 0.
    Leakage,
    /// The same bytes as an earlier image of another class, in any split: one of the two labels is wrong.
    /// Value: 0.
    LabelConflict,
    /// Nearly the same as an earlier image of the same split. Value: number of different steps of the
    /// perceptual hash, of 128.
    NearDuplicate,
    /// Nearly the same as an image of an earlier split. Value: as for `NearDuplicate`.
    NearLeakage,
    /// A file whose number follows that of a file in an earlier split, in a set where consecutive files look
    /// alike: frames of one sequence. Value: difference of the numbers.
    CutSequence,
    /// One colour. Value: largest standard deviation of a channel, pixels in 0-1.
    Blank,
    /// Value: mean brightness, in 0-1.
    OverDark,
    /// Value: mean brightness, in 0-1.
    OverBright,
    /// Value: standard deviation of the brightness, in 0-1.
    LowContrast,
    /// The nearest neighbours agree on another class. Value: share of the neighbours, in 0-1.
    SuspectedMislabel,
}

impl FindingKind {
    /// All kinds, in the order of a report.
    pub const ALL: [Self; 11] = [
        Self::ExactDuplicate,
        Self::Leakage,
        Self::LabelConflict,
        Self::NearDuplicate,
        Self::NearLeakage,
        Self::CutSequence,
        Self::Blank,
        Self::OverDark,
        Self::OverBright,
        Self::LowContrast,
        Self::SuspectedMislabel,
    ];

    /// The kind in words, such as "near duplicate".
    pub fn title(self) -> &'static str {
        match self {
            Self::ExactDuplicate => "exact duplicate",
            Self::Leakage => "leakage between splits",
            Self::LabelConflict => "equal images in two classes",
            Self::NearDuplicate => "near duplicate",
            Self::NearLeakage => "near leakage between splits",
            Self::CutSequence => "sequence cut by the split",
            Self::Blank => "blank",
            Self::OverDark => "over-dark",
            Self::OverBright => "over-bright",
            Self::LowContrast => "low contrast",
            Self::SuspectedMislabel => "suspected mislabel",
        }
    }
}

impl fmt::Display for FindingKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.title())
    }
}

/// Another image that a finding refers to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RelatedPicture {
    /// Split of the image.
    pub split: SplitName,
    /// Index of the image in its split.
    pub index: usize,
    /// Where the image came from.
    pub origin: String,
    /// Name of the image's class.
    pub class: String,
}

/// One flaw of one image.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Finding {
    /// The flaw.
    pub kind: FindingKind,
    /// Split of the image.
    pub split: SplitName,
    /// Index of the image in its split.
    pub index: usize,
    /// Where the image came from.
    pub origin: String,
    /// Name of the image's class.
    pub class: String,
    /// The measured value; [`FindingKind`] gives its unit.
    pub value: f64,
    /// The limit that the value exceeds.
    pub threshold: f64,
    /// The earlier image of a duplicate, or the most similar one of the suggested class.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub related: Option<RelatedPicture>,
    /// The class that the neighbours of a suspected mislabel agree on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suggested_class: Option<String>,
    /// The evidence in one sentence.
    pub detail: String,
}

/// The result of [`check`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QualityReport {
    /// Images checked in train, validation and test.
    pub n_checked: [usize; 3],
    /// The thresholds that were used.
    pub thresholds: QualityConfig,
    /// Findings, by kind, then split, then index; mislabels by falling evidence.
    pub findings: Vec<Finding>,
    /// Share of the images (without the blank ones) whose nearest neighbours vote for their label: how reliable
    /// suspected mislabels are. `None` if there are no more training images than neighbours.
    pub neighbour_accuracy: Option<f64>,
    /// How alike files with consecutive numbers are; absent if there are too few to tell.
    pub sequences: Option<SequenceLikeness>,
    /// Notes about the set as a whole, and about findings left out by a rule for large sets or by the limit on
    /// suspected mislabels.
    pub notes: Vec<String>,
}

impl QualityReport {
    /// The findings of one kind.
    pub fn of(&self, kind: FindingKind) -> impl Iterator<Item = &Finding> {
        self.findings
            .iter()
            .filter(move |finding| finding.kind == kind)
    }

    /// Number of findings of one kind.
    pub fn count(&self, kind: FindingKind) -> usize {
        self.of(kind).count()
    }
}

/// An image's split and index.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Place {
    split: SplitName,
    index: usize,
}

/// All images of the three splits in one order: train, validation, test.
struct Pictures<'a> {
    splits: &'a ImageSplits,
    places: Vec<Place>,
}

impl<'a> Pictures<'a> {
    fn new(splits: &'a ImageSplits) -> Self {
        let places = [SplitName::Train, SplitName::Validation, SplitName::Test]
            .into_iter()
            .flat_map(|split| {
                (0..set_of(splits, split).len()).map(move |index| Place { split, index })
            })
            .collect();
        Self { splits, places }
    }

    fn len(&self) -> usize {
        self.places.len()
    }

    /// The split of the image at `position` of the common order, and its index there.
    fn locate(&self, position: usize) -> (&'a ImageSet, usize) {
        let place = self.places[position];
        (set_of(self.splits, place.split), place.index)
    }

    fn pixels(&self, position: usize) -> &'a [u8] {
        let (set, index) = self.locate(position);
        set.pixels(index)
    }

    fn label(&self, position: usize) -> u32 {
        let (set, index) = self.locate(position);
        set.label(index)
    }

    fn class(&self, position: usize) -> String {
        let (set, index) = self.locate(position);
        set.classes()[set.label(index) as usize].clone()
    }

    fn related(&self, position: usize) -> RelatedPicture {
        let (set, index) = self.locate(position);
        RelatedPicture {
            split: self.places[position].split,
            index,
            origin: set.origin(index).to_string(),
            class: self.class(position),
        }
    }

    fn finding(
        &self,
        kind: FindingKind,
        position: usize,
        value: f64,
        threshold: f64,
        detail: String,
    ) -> Finding {
        let RelatedPicture {
            split,
            index,
            origin,
            class,
        } = self.related(position);
        Finding {
            kind,
            split,
            index,
            origin,
            class,
            value,
            threshold,
            related: None,
            suggested_class: None,
            detail,
        }
    }
}

fn set_of(splits: &ImageSplits, split: SplitName) -> &ImageSet {
    match split {
        SplitName::Train => &splits.train,
        SplitName::Validation => &splits.validation,
        SplitName::Test => &splits.test,
    }
}

/// Checks the three splits with the default thresholds.
pub fn check(splits: &ImageSplits) -> QualityReport {
    run(splits, &QualityConfig::default())
}

/// Checks the three splits.
///
/// # Errors
/// If a threshold is out of range.
pub fn check_with(
    splits: &ImageSplits,
    thresholds: &QualityConfig,
) -> Result<QualityReport, DataError> {
    thresholds.check()?;
    Ok(run(splits, thresholds))
}

fn run(splits: &ImageSplits, thresholds: &QualityConfig) -> QualityReport {
    let pictures = Pictures::new(splits);
    let mut notes = Vec::new();
    let mut findings = duplicates::find(&pictures, thresholds, &mut notes);
    let sequences = sequences::find(&pictures);
    notes.extend(sequences.notes);
    findings.extend(sequences.findings);
    findings.extend(exposure::find(&pictures, thresholds, &mut notes));
    findings.sort_by_key(|finding| (finding.kind, finding.split, finding.index));
    let blank: HashSet<Place> = findings
        .iter()
        .filter(|finding| finding.kind == FindingKind::Blank)
        .map(|finding| Place {
            split: finding.split,
            index: finding.index,
        })
        .collect();
    let mislabels = mislabels::find(&pictures, &blank, thresholds, &mut notes);
    findings.extend(mislabels.findings);
    QualityReport {
        n_checked: [
            splits.train.len(),
            splits.validation.len(),
            splits.test.len(),
        ],
        thresholds: thresholds.clone(),
        findings,
        neighbour_accuracy: mislabels.neighbour_accuracy,
        sequences: sequences.likeness,
        notes,
    }
}
