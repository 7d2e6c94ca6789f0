//! `action_plan.json` and `architecture_check.json`.

use super::CHECK;
use crate::estimates::{GradientFigure, ResourceFigures, StepTiming, TrainingWork};
use crate::stages::situation_analysis::Severity;
use crate::{RunFolder, Stage};
use mlestar_artifact::{Artifact, read_artifact};
use mlestar_data::augment::AugmentationConfig;
use mlestar_gates::{Limit, Unit};
use mlestar_model::{LayerSummary, ModelSpec};
use mlestar_train::{StepCosts, TrainingConfig};
use serde::{Deserialize, Serialize};

/// How the task is to be done. The same config and data give the same bytes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ActionPlan {
    /// The short form.
    pub summary: PlanSummary,
    /// The network.
    pub architecture: ArchitecturePlan,
    /// Optimizer, schedule, length.
    pub training: TrainingConfig,
    /// The networks that it learns from besides labels.
    #[serde(default)]
    pub teachers: Vec<ModelSpec>,
    /// Random changes of the training pictures.
    pub augmentation: AugmentationConfig,
    /// The strategy in sentences.
    pub strategy: Vec<String>,
    /// What answers each challenge of stage 1.
    pub answers: Vec<ChallengeAnswer>,
    /// What model and training need, computed.
    pub resources: ResourceFigures,
    /// What the training has to do.
    pub training_work: TrainingWork,
    /// Floating-point operations of the whole training: three forward passes a picture and epoch.
    pub training_flops: f64,
}

impl Artifact for ActionPlan {
    const SCHEMA: &'static str = "mlestar.action_plan";
    const VERSION: u32 = 2;
}

/// The short form of an [`ActionPlan`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlanSummary {
    /// The architecture in a few words.
    pub architecture: String,
    /// Parameters: weights and running statistics.
    pub parameters: u64,
    /// Challenges of stage 1.
    pub n_challenges: usize,
    /// Those that something in the plan answers.
    pub n_answered: usize,
    /// The ids of the others.
    pub unanswered: Vec<String>,
}

/// The network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ArchitecturePlan {
    /// Architecture, classes and picture size.
    pub model: ModelSpec,
    /// Convolutions on the longest way from the picture to the logits.
    pub n_convolutions: usize,
    /// Pixels a side that one position of the last feature map can see.
    pub receptive_field_pixels: usize,
    /// Height and width of the last feature map.
    pub last_map: [usize; 2],
    /// Features that enter the linear layer.
    pub n_features: usize,
}

/// What answers a challenge.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChallengeAnswer {
    /// The challenge's id.
    pub challenge: String,
    /// Its title.
    pub title: String,
    /// Its severity.
    pub severity: Severity,
    /// Whether at least one choice answers it.
    pub is_answered: bool,
    /// The choices of this plan that answer it.
    pub choices: Vec<PlanChoice>,
    /// What else would, as `key = value`, where something would.
    pub suggestion: Option<String>,
}

/// A choice and how it answers a challenge.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlanChoice {
    /// The key of the config, or the part of the architecture.
    pub what: String,
    /// Its value.
    pub value: String,
    /// How it answers the challenge.
    pub how: String,
}

/// Proof that the architecture works and fits. The times in it differ from run to run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ArchitectureCheck {
    /// Whether every check passed.
    pub passed: bool,
    /// The checks.
    pub checks: Vec<CheckRow>,
    /// The raw figures; the checks are a function of these.
    pub figures: ArchitectureFigures,
    /// The layers, for one picture.
    pub layers: Vec<LayerSummary>,
    /// A larger size of pictures that keeps every limit; absent where files have no more detail or none fits.
    pub larger_size: Option<LargerSize>,
}

impl ArchitectureCheck {
    /// What steps take beside each other, as stage 3 of `run` measured it; `None` where it left nothing. Only the time
    /// left rests on it, so that no stage has it among its inputs: that would make a training stale by the clock.
    pub(crate) fn measured_costs(run: &RunFolder) -> Option<StepCosts> {
        let path = run.artifact(Stage::ActionPlanning, CHECK);
        let check: Self = read_artifact(&path).ok()?;
        check.figures.timing.step_costs()
    }
}

/// A larger size of pictures and what it would cost, extrapolated by the operations of a picture.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LargerSize {
    /// `[height, width]` for `data.image_size`, in pixels.
    pub image_size: [usize; 2],
    /// Floating-point operations of one pass of a picture, computed.
    pub flops_per_image: u64,
    /// Memory of training, computed, in bytes.
    pub training_memory_bytes: u64,
    /// Time of the whole training, extrapolated, in seconds.
    pub estimated_training_seconds: f64,
    /// 95th percentile of the time for one picture, extrapolated, in milliseconds.
    pub estimated_latency_ms: f64,
}

impl Artifact for ArchitectureCheck {
    const SCHEMA: &'static str = "mlestar.architecture_check";
    const VERSION: u32 = 2;
}

/// What was seen in a few real steps.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ArchitectureFigures {
    /// The device.
    pub device: String,
    /// Classes of the task.
    pub n_classes: usize,
    /// Pictures of the first batch.
    pub batch_size: usize,
    /// `[pictures, classes]` of the logits of the first batch.
    pub output_shape: [usize; 2],
    /// Logits that are not finite.
    pub n_not_finite_logits: usize,
    /// Whether the steps began with the weights of a file, and not with random ones.
    #[serde(default)]
    pub has_given_weights: bool,
    /// Whether the network learns from others as well as from labels.
    #[serde(default)]
    pub has_teachers: bool,
    /// Loss of each training step, the first with the initial weights; absent when not finite.
    pub losses: Vec<Option<f64>>,
    /// The gradient of every trainable parameter after the first backward pass.
    pub gradients: Vec<GradientFigure>,
    /// What model and training need, computed.
    pub resources: ResourceFigures,
    /// What the training has to do.
    pub training_work: TrainingWork,
    /// What a few steps cost.
    pub timing: StepTiming,
    /// The estimated time of the whole training, in seconds.
    pub estimated_training_seconds: f64,
    /// The limits of the task.
    pub limits: TaskLimits,
}

/// The limits of the task that the architecture is held to.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TaskLimits {
    /// Size of the model, in bytes.
    pub model_bytes: u64,
    /// Memory of training, in bytes.
    pub memory_bytes: u64,
    /// Time of training, in seconds.
    pub training_seconds: f64,
    /// Time for one picture, in milliseconds.
    pub latency_ms: f64,
}

/// One check.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CheckRow {
    /// Its name for machines.
    pub id: String,
    /// Its name for humans.
    pub title: String,
    /// Whether it passed.
    pub passed: bool,
    /// The figure; absent when it is not finite.
    pub value: Option<f64>,
    /// The bound that it must keep.
    pub limit: Limit,
    /// The unit of both.
    pub unit: Unit,
    /// How it was found.
    pub method: String,
}
