//! Artifacts of stage 5.

use mlestar_artifact::{Artifact, ContentHash};
use mlestar_eval::EvaluationSummary;
use serde::{Deserialize, Serialize};

/// `evaluation_results.json`. Its figures follow from `predictions.jsonl` alone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EvaluationResults {
    /// The content hash of the weights that were evaluated.
    pub model: ContentHash,
    /// All metrics with their intervals.
    pub summary: EvaluationSummary,
    /// Curves, one entry per class.
    pub curves: Vec<ClassCurves>,
    /// The most confident mistakes, worst first.
    pub mistakes: Vec<Mistake>,
}

impl Artifact for EvaluationResults {
    const SCHEMA: &'static str = "mlestar.evaluation_results";
    const VERSION: u32 = 2;
}

/// One class against the rest, thinned to at most 200 points per curve, and to fewer with more than 1,000 classes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClassCurves {
    /// The class.
    pub class: String,
    /// Receiver operating characteristic; none when the class is absent or alone.
    pub roc: Option<RocPoints>,
    /// Precision over recall; none when the class is absent.
    pub precision_recall: Option<PrecisionRecallPoints>,
}

/// The points of a receiver operating characteristic, both lists in the same order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RocPoints {
    /// Fraction of the other classes' images that are predicted as this class.
    pub false_positive_rate: Vec<f64>,
    /// Fraction of this class's images that are predicted as it.
    pub true_positive_rate: Vec<f64>,
}

/// The points of a precision-recall curve, both lists in the same order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PrecisionRecallPoints {
    /// Fraction of this class's images that are predicted as it.
    pub recall: Vec<f64>,
    /// Fraction of the images predicted as this class that belong to it.
    pub precision: Vec<f64>,
}

/// A misclassified image.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Mistake {
    /// Its index in the test split.
    pub index: usize,
    /// Where it comes from.
    pub origin: String,
    /// Its class.
    pub truth: String,
    /// The predicted class.
    pub predicted: String,
    /// The probability of the predicted class.
    pub confidence: f64,
    /// The probability of the true class.
    pub probability_of_truth: f64,
}
