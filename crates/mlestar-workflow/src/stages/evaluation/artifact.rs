//! What stage 5 leaves behind.

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
    /// Curves, one entry a class.
    pub curves: Vec<ClassCurves>,
    /// The mistakes that the model was surest of, worst first.
    pub mistakes: Vec<Mistake>,
}

impl Artifact for EvaluationResults {
    const SCHEMA: &'static str = "mlestar.evaluation_results";
    const VERSION: u32 = 2;
}

/// One class against the rest, thinned to at most 200 points a curve, with more than 1,000 classes to fewer.
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
    /// Fraction of the other classes' pictures that are called this class.
    pub false_positive_rate: Vec<f64>,
    /// Fraction of this class's pictures that are called so.
    pub true_positive_rate: Vec<f64>,
}

/// The points of a precision-recall curve, both lists in the same order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PrecisionRecallPoints {
    /// Fraction of this class's pictures that are called so.
    pub recall: Vec<f64>,
    /// Fraction of the pictures called so that are.
    pub precision: Vec<f64>,
}

/// A picture that the model got wrong.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Mistake {
    /// Its index in the test split.
    pub index: usize,
    /// Where it comes from.
    pub origin: String,
    /// Its class.
    pub truth: String,
    /// What the model said.
    pub predicted: String,
    /// The probability that the model gave to what it said.
    pub confidence: f64,
    /// The probability that the model gave to the truth.
    pub probability_of_truth: f64,
}
