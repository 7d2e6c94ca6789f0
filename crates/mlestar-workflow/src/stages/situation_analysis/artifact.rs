//! `situation_analysis.json`.

use super::advice::Advice;
use super::challenges::{Challenge, Detection, Severity};
use super::measurements::Measurements;
use mlestar_artifact::Artifact;
use mlestar_data::SplitName;
use mlestar_data::load::SourceReport;
use mlestar_data::normalization::Normalization;
use mlestar_data::quality::{Finding, FindingKind, QualityConfig};
use serde::{Deserialize, Serialize};

/// What stage 1 found. The same data, seed and config give the same bytes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SituationAnalysis {
    /// The short form.
    pub summary: Summary,
    /// Mean and standard deviation of the training pixels, which training and deployment use.
    pub normalization: Normalization,
    /// What was read.
    pub source: SourceReport,
    /// What every detector measured, whether or not it found its challenge.
    pub detectors: Vec<Detection>,
    /// What is hard about the data, each with its evidence; the most severe first.
    pub challenges: Vec<Challenge>,
    /// What to do to the data before training.
    pub preprocessing: Vec<Advice>,
    /// Which random changes of the training images help.
    pub augmentation: Vec<Advice>,
    /// The problems of single images.
    pub quality: QualityFindings,
    /// The classes of which the exploration page shows images.
    pub classes_explored: Vec<String>,
    /// The raw figures behind challenges and advice.
    pub measurements: Measurements,
}

impl Artifact for SituationAnalysis {
    const SCHEMA: &'static str = "mlestar.situation_analysis";
    const VERSION: u32 = 1;
}

/// The short form of [`SituationAnalysis`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Summary {
    /// Images in all splits.
    pub n_images: usize,
    /// Number of classes.
    pub n_classes: usize,
    /// Training, validation and test split.
    pub splits: Vec<SplitSummary>,
    /// How evenly the training images are spread over the classes.
    pub class_balance: ClassBalance,
    /// Statistics of the training pixels, computed in f64 from exact sums.
    pub channels: Vec<ChannelSummary>,
    /// Size of the images.
    pub resolution: Resolution,
    /// How many quality findings there are.
    pub quality: QualitySummary,
    /// Number of challenges.
    pub n_challenges: usize,
    /// The challenges' titles and severities.
    pub challenges: Vec<ChallengeTitle>,
    /// Number of preprocessing recommendations.
    pub n_preprocessing_recommendations: usize,
    /// Number of pieces of augmentation advice.
    pub n_augmentation_recommendations: usize,
}

/// One split.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SplitSummary {
    /// Its name.
    pub name: SplitName,
    /// Its images.
    pub n_images: usize,
    /// Its classes, in label order.
    pub classes: Vec<ClassCount>,
}

/// Images of one class in one split.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClassCount {
    /// The class.
    pub name: String,
    /// Its images.
    pub n_images: usize,
    /// Its share of the split, 0-1.
    pub fraction: f64,
}

/// How evenly the training images are distributed over the classes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClassBalance {
    /// Images of the largest class over those of the smallest; absent when a class has none.
    pub imbalance_ratio: Option<f64>,
    /// The class with the most training images.
    pub largest_class: String,
    /// How many it has.
    pub n_largest: usize,
    /// The class with the fewest training images.
    pub smallest_class: String,
    /// How many it has.
    pub n_smallest: usize,
    /// Classes without a training image.
    pub absent_classes: Vec<String>,
    /// The finding in a sentence.
    pub statement: String,
}

/// One colour channel of the training images, values in 0-1.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChannelSummary {
    /// `red`, `green` or `blue`.
    pub name: String,
    /// Mean of all pixels.
    pub mean: Option<f64>,
    /// Standard deviation of all pixels (the population's).
    pub std: Option<f64>,
    /// Smallest value.
    pub min: Option<f64>,
    /// Largest value.
    pub max: Option<f64>,
}

/// Size of the images.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Resolution {
    /// Height in pixels.
    pub height: usize,
    /// Width in pixels.
    pub width: usize,
    /// Colour channels.
    pub channels: usize,
    /// How the images were brought to this size.
    pub resize_rule: String,
}

/// Totals of the quality check.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QualitySummary {
    /// Images that were checked.
    pub n_checked: usize,
    /// Findings of all kinds; an image can have several.
    pub n_findings: usize,
    /// Findings of each kind that occurs.
    pub by_kind: Vec<KindTotal>,
}

/// Findings of one kind.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KindTotal {
    /// The kind.
    pub kind: FindingKind,
    /// How many.
    pub n_findings: usize,
}

/// A challenge in one line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChallengeTitle {
    /// Its id.
    pub id: String,
    /// Its title.
    pub title: String,
    /// How much it matters.
    pub severity: Severity,
}

/// The problems of single images.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QualityFindings {
    /// Images checked in train, validation and test.
    pub n_checked: [usize; 3],
    /// The limits of the check.
    pub thresholds: QualityConfig,
    /// One group for each kind that occurs.
    pub groups: Vec<FindingGroup>,
    /// What the check left out.
    pub notes: Vec<String>,
}

/// Findings of one kind.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FindingGroup {
    /// The kind.
    pub kind: FindingKind,
    /// The kind in words.
    pub title: String,
    /// How many findings there are.
    pub n_findings: usize,
    /// The first of them, with their origins.
    pub listed: Vec<Finding>,
}
