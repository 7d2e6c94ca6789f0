//! Artifacts of stage 6.

use crate::words::counted;
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
    /// Every trial, the best one, and which settings mattered.
    pub report: StudyReport,
}

impl Artifact for StudyArtifact {
    const SCHEMA: &'static str = "mlestar.study";
    const VERSION: u32 = 1;
}

/// Which model was chosen on the validation images.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Choice {
    /// The model of stage 4: nothing better was found, or no search was asked for.
    Baseline,
    /// The model of the final training.
    Refined,
}

/// The reason for the choice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// `refinement.enabled` is false: the baseline is kept without a search.
    NotSearched,
    /// No trial was better than the baseline's settings: nothing was trained again.
    NothingBetterFound,
    /// The final training was not better than the baseline on the validation images.
    NoBetterWhenTrained,
    /// The final training was better than the baseline on the validation images.
    Better,
}

impl Reason {
    /// In words, for pages and documents.
    pub fn describe(self) -> &'static str {
        match self {
            Self::NotSearched => {
                "The baseline is kept: refinement.enabled is false, so nothing was searched."
            }
            Self::NothingBetterFound => {
                "The baseline is kept: no trial was better than its settings, so nothing was trained again."
            }
            Self::NoBetterWhenTrained => {
                "The baseline is kept: the final training was not better than it on the validation images."
            }
            Self::Better => {
                "The refined model is selected: its training was better than the baseline on the validation images."
            }
        }
    }
}

/// `final/final_model.json`: the chosen model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FinalModel {
    /// Where it comes from.
    pub choice: Choice,
    /// Why.
    pub reason: Reason,
    /// The content hash of `final/model.safetensors`.
    pub weights: ContentHash,
    /// Trainable parameters.
    pub parameters: u64,
    /// The network.
    pub model: ModelSpec,
    /// How it was trained.
    pub training: TrainingConfig,
    /// The seed of its training.
    pub seed: u64,
    /// The code that trained and chose it.
    pub code_version: String,
    /// The classes in the order of the network's outputs.
    pub classes: Vec<String>,
    /// Mean and standard deviation that images are normalised with.
    pub normalization: Normalization,
    /// Epochs that its training ran; `training.epochs` were planned.
    pub epochs_run: usize,
    /// The epoch whose weights these are.
    pub best_epoch: usize,
    /// Its accuracy on the validation images, on which it was chosen.
    pub validation_accuracy: f64,
    /// The baseline's accuracy on them.
    pub baseline_validation_accuracy: f64,
    /// Epochs that the baseline's training ran.
    pub baseline_epochs_run: usize,
    /// The final training, where there was one, whether or not it was chosen.
    pub final_training: Option<FinalTraining>,
}

/// The result of the final training of stage 6.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct FinalTraining {
    /// Epochs that it ran.
    pub epochs_run: usize,
    /// Its best epoch.
    pub best_epoch: usize,
    /// The accuracy of that epoch on the validation images.
    pub validation_accuracy: f64,
}

impl FinalModel {
    /// How the lengths of the two compared trainings differ; none where they do not, or where there was only one.
    pub fn unequal_lengths(&self) -> Option<String> {
        let training = self.final_training?;
        let (baseline, refined) = (self.baseline_epochs_run, training.epochs_run);
        (baseline != refined).then(|| {
            let (longer, share) = match refined > baseline {
                true => ("final training", "gain"),
                false => ("baseline's training", "loss"),
            };
            format!(
                "The final training ran {}, the baseline's {baseline}: part of any {share} \
                may come from the length of the {longer}, not from its settings.",
                counted(refined, "epoch")
            )
        })
    }
}

impl Artifact for FinalModel {
    const SCHEMA: &'static str = "mlestar.final_model";
    const VERSION: u32 = 3;
}

/// `comparison.json`: the chosen model against the baseline on the same test images.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// Which model was chosen.
    pub choice: Choice,
    /// Baseline (a) and chosen model (b), paired by image.
    pub paired: McNemar,
}

impl Artifact for Comparison {
    const SCHEMA: &'static str = "mlestar.comparison";
    const VERSION: u32 = 1;
}
