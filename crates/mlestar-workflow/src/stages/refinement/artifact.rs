//! What stage 6 leaves behind.

use mlestar_artifact::{Artifact, ContentHash};
use mlestar_data::Normalization;
use mlestar_eval::McNemar;
use mlestar_model::ModelSpec;
use mlestar_train::TrainingConfig;
use mlestar_tune::StudyReport;
use serde::{Deserialize, Serialize};

/// `improvement_analysis.json`: what the evaluation suggests.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ImprovementAnalysis {
    /// What could be better, most promising first.
    pub opportunities: Vec<Opportunity>,
}

impl Artifact for ImprovementAnalysis {
    const SCHEMA: &'static str = "mlestar.improvement_analysis";
    const VERSION: u32 = 1;
}

/// One thing that could be better.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Opportunity {
    /// A stable name, such as `weak_class`.
    pub kind: String,
    /// What was found, with the figure.
    pub finding: String,
    /// The figure.
    pub evidence: f64,
    /// What the figure was compared with.
    pub threshold: f64,
    /// What to do about it.
    pub suggestion: String,
    /// The config keys that it concerns.
    pub keys: Vec<String>,
}

/// `study.json`: the search.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StudyArtifact {
    /// Every trial, the best one, and what mattered.
    pub report: StudyReport,
}

impl Artifact for StudyArtifact {
    const SCHEMA: &'static str = "mlestar.study";
    const VERSION: u32 = 1;
}

/// Which model was chosen on the validation pictures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Choice {
    /// The model of stage 4: nothing better was found, or no search was asked for.
    Baseline,
    /// The model of the final training.
    Refined,
}

/// `final/final_model.json`: the chosen model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FinalModel {
    /// Where it comes from.
    pub choice: Choice,
    /// The content hash of `final/model.safetensors`.
    pub weights: ContentHash,
    /// Trainable parameters.
    pub parameters: u64,
    /// The network.
    pub model: ModelSpec,
    /// How it was trained.
    pub training: TrainingConfig,
    /// The classes in the order of the network's outputs.
    pub classes: Vec<String>,
    /// Mean and standard deviation that pictures are normalised with.
    pub normalization: Normalization,
    /// The epoch whose weights these are.
    pub best_epoch: usize,
    /// Its accuracy on the validation pictures, on which it was chosen.
    pub validation_accuracy: f64,
    /// The baseline's accuracy on them.
    pub baseline_validation_accuracy: f64,
    /// The final training's accuracy on them, where there was one.
    pub candidate_validation_accuracy: Option<f64>,
}

impl Artifact for FinalModel {
    const SCHEMA: &'static str = "mlestar.final_model";
    const VERSION: u32 = 1;
}

/// `comparison.json`: the chosen model against the baseline on the same test pictures.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// Which model was chosen.
    pub choice: Choice,
    /// Baseline (a) and chosen model (b), paired by picture.
    pub paired: McNemar,
}

impl Artifact for Comparison {
    const SCHEMA: &'static str = "mlestar.comparison";
    const VERSION: u32 = 1;
}
