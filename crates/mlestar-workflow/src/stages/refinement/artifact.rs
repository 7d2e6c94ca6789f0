//! Artifacts of stage 6.

use crate::words::counted;
use mlestar_artifact::{Artifact, ContentHash};
use mlestar_data::Normalization;
use mlestar_eval::{Interval, McNemar, SelectedScore};
use mlestar_model::ModelSpec;
use mlestar_train::TrainingConfig;
use mlestar_tune::{Parameters, StudyReport};
use serde::{Deserialize, Serialize};

/// `improvement_analysis.json`: what the evaluation suggests.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ImprovementAnalysis {
    /// What could be better, most promising first: by the best of their proposals; those without one come last.
    pub opportunities: Vec<Opportunity>,
}

impl ImprovementAnalysis {
    /// Every proposal with the kind of its finding, the most promising first.
    pub fn proposals(&self) -> Vec<(&str, &Proposal)> {
        let mut all: Vec<(&str, &Proposal)> = self
            .opportunities
            .iter()
            .flat_map(|found| {
                found
                    .proposals
                    .iter()
                    .map(|proposal| (found.kind.as_str(), proposal))
            })
            .collect();
        all.sort_by(|a, b| b.1.promise().total_cmp(&a.1.promise()));
        all
    }
}

impl Artifact for ImprovementAnalysis {
    const SCHEMA: &'static str = "mlestar.improvement_analysis";
    const VERSION: u32 = 2;
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
    /// Settings that might help, most promising first.
    pub proposals: Vec<Proposal>,
}

/// Settings that might help.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Proposal {
    /// What it is, in words.
    pub name: String,
    /// The settings, by dotted key of the config.
    pub settings: Parameters,
    /// What it may bring.
    pub gain: GainEstimate,
    /// What it costs.
    pub cost: CostEstimate,
}

/// An estimate of a gain in validation accuracy, in absolute terms: 0.01 is a percentage point.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct GainEstimate {
    /// The value that is expected.
    pub expected: f64,
    /// The lowest value that would be no surprise.
    pub low: f64,
    /// The highest value that would be no surprise.
    pub high: f64,
}

/// What settings cost beside the config's own.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct CostEstimate {
    /// The time of a training, as a factor.
    pub time: f64,
    /// The values of the network, as a factor.
    pub size: f64,
}

/// `ablation.json`: what single changes of the config bring, each in a training as long as a trial.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ablation {
    /// The training with the config's own settings, a line of `trainings.jsonl`; none where it failed.
    pub base: Option<ContentHash>,
    /// Its validation accuracy.
    pub accuracy: Option<f64>,
    /// The changes in the order in which they were tried. The last line may be all that helped, together.
    pub lines: Vec<AblationLine>,
    /// The line whose settings the search started from; none where it started from the config's own.
    pub start: Option<usize>,
    /// How good the estimates were; none where nothing was measured.
    pub estimates: Option<EstimateQuality>,
}

impl Artifact for Ablation {
    const SCHEMA: &'static str = "mlestar.ablation";
    const VERSION: u32 = 1;
}

impl Ablation {
    /// The settings that the search started from, beside the config's own.
    pub fn start_settings(&self) -> Parameters {
        let start = self.start.and_then(|start| self.lines.get(start));
        start.map_or_else(Parameters::new, |line| line.settings.clone())
    }
}

/// One change, what it was expected to bring and what it brought.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AblationLine {
    /// What was changed, in words.
    pub name: String,
    /// The kind of the finding that proposed it; `combination` for all that helped, together.
    pub finding: String,
    /// The settings, by dotted key of the config.
    pub settings: Parameters,
    /// What it was expected to bring; none for the combination.
    pub gain: Option<GainEstimate>,
    /// What it was expected to cost.
    pub cost: CostEstimate,
    /// What came of it.
    pub outcome: AblationOutcome,
}

/// What came of a change.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AblationOutcome {
    /// It was trained.
    Measured(MeasuredChange),
    /// Its training failed.
    Failed {
        /// Why.
        message: String,
    },
}

impl AblationLine {
    /// What was measured, if its training succeeded.
    pub fn measured(&self) -> Option<&MeasuredChange> {
        match &self.outcome {
            AblationOutcome::Measured(measured) => Some(measured),
            AblationOutcome::Failed { .. } => None,
        }
    }
}

/// A change beside the config's own settings, in trainings of the same length and seed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MeasuredChange {
    /// Its training, a line of `trainings.jsonl`.
    pub training: ContentHash,
    /// The config's own settings (a) and the changed ones (b), paired by validation image.
    pub paired: McNemar,
    /// The time of its training, as a factor.
    pub time: f64,
    /// The values of its network, as a factor.
    pub size: f64,
}

/// How good the estimates of gains were, over the changes that were measured.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct EstimateQuality {
    /// Changes with an estimate and a measurement.
    pub measured: usize,
    /// How many of the measured gains lie between the estimate's ends.
    pub within: usize,
    /// Mean distance of the expected gain from the measured one.
    pub mean_error: f64,
    /// Mean of the expected gain minus the measured one: above 0, the estimates promised too much.
    pub bias: f64,
    /// Rank correlation (Spearman 1904) of expected and measured gains, -1 to 1; none where either are all equal.
    pub rank_correlation: Option<f64>,
}

/// `finalists.json`: the best settings of the ablation and the search, trained with several seeds beside the config's own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Finalists {
    /// The seeds; none of them chose a finalist.
    pub seeds: Vec<u64>,
    /// The trainings among which the finalists were chosen, lines of `trainings.jsonl`: that of the config's own settings,
    /// the changes of the ablation, the complete trials.
    pub tried: Vec<ContentHash>,
    /// The config's own settings, then the finalists, best first.
    pub candidates: Vec<Finalist>,
    /// The candidate with the highest mean accuracy; the first of equal ones.
    pub chosen: usize,
    /// The best of all settings that were tried, with its accuracy corrected for having been chosen by it; none where
    /// nothing was tried.
    pub selection: Option<SelectedScore>,
}

impl Artifact for Finalists {
    const SCHEMA: &'static str = "mlestar.finalists";
    const VERSION: u32 = 1;
}

/// Settings that were trained with several seeds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Finalist {
    /// Where they come from, in words.
    pub name: String,
    /// The settings, by dotted key, beside the config's own.
    pub settings: Parameters,
    /// The training that made it a finalist, a line of `trainings.jsonl`.
    pub training: ContentHash,
    /// Its trainings, one a seed; empty without seeds.
    pub trainings: Vec<ContentHash>,
    /// What the trainings reached.
    pub figures: SeedFigures,
}

/// Accuracy over several seeds, beside that of the config's own settings with the same seeds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct SeedFigures {
    /// Mean validation accuracy over the seeds; without seeds, that of the training that made it a finalist.
    pub accuracy: f64,
    /// The mean accuracy minus that of the config's own settings.
    pub difference: f64,
    /// Interval of the difference over validation images, each with its mean over the seeds (percentile bootstrap).
    pub interval: Interval,
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
    /// Nothing that was tried was better than the baseline's settings: nothing was trained again.
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
                "The baseline is kept: nothing that was tried was better than its settings, so nothing was trained again."
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
    /// The training with validation images that gave the weights, where the config asks for one. The other figures are those
    /// of the training before it, which was validated on images that it had not seen.
    pub retraining: Option<Retraining>,
    /// By how much `validation_accuracy` is too high on average because the settings were chosen by it: the optimism of
    /// [`Finalists::selection`]. None for the baseline, which nothing chose.
    pub selection_optimism: Option<f64>,
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

/// A training of the chosen settings on training and validation images.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Retraining {
    /// Images that it learned from.
    pub images: usize,
    /// Validation images that it did not learn from, for the confidence of the package.
    pub held_out: usize,
    /// Epochs that it ran, fixed beforehand.
    pub epochs_run: usize,
    /// Its accuracy on the images that were held out.
    pub held_out_accuracy: f64,
}

impl FinalModel {
    /// The validation accuracy without what choosing by it added.
    pub fn corrected_validation_accuracy(&self) -> f64 {
        self.validation_accuracy - self.selection_optimism.unwrap_or(0.0)
    }

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
    const VERSION: u32 = 4;
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
