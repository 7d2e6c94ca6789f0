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

/// The plan. The same config and data give the same bytes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ActionPlan {
    /// The short form.
    pub summary: PlanSummary,
    /// The network.
    pub architecture: ArchitecturePlan,
    /// Optimizer, schedule, length.
    pub training: TrainingConfig,
    /// The teacher networks.
    #[serde(default)]
    pub teachers: Vec<ModelSpec>,
    /// Random changes of the training images.
    pub augmentation: AugmentationConfig,
    /// The strategy in sentences.
    pub strategy: Vec<String>,
    /// What answers each challenge of stage 1.
    pub answers: Vec<ChallengeAnswer>,
    /// What model and training need, computed.
    pub resources: ResourceFigures,
    /// The work of the training.
    pub training_work: TrainingWork,
    /// Floating-point operations of the whole training: three forward passes per image and epoch.
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
    /// Those that the plan answers.
    pub n_answered: usize,
    /// The ids of the others.
    pub unanswered: Vec<String>,
}

/// The network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ArchitecturePlan {
    /// Architecture, classes and image size.
    pub model: ModelSpec,
    /// Convolutions on the longest way from the image to the logits.
    pub n_convolutions: usize,
    /// Side length in pixels that one position of the last feature map can see.
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
    /// What else would answer it, as `key = value`, where that is known.
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
    /// The layers, for one image.
    pub layers: Vec<LayerSummary>,
    /// A larger image size that keeps every limit; absent where the files have no more detail or no size fits.
    pub larger_size: Option<LargerSize>,
}

impl ArchitectureCheck {
    /// The relative cost of steps that stage 3 of `run` measured; `None` without a measurement. Only the time left
    /// depends on it. No stage has it among its inputs: a new measurement would make a training stale.
    pub(crate) fn measured_costs(run: &RunFolder) -> Option<StepCosts> {
        let path = run.artifact(Stage::ActionPlanning, CHECK);
        let check: Self = read_artifact(&path).ok()?;
        check.figures.timing.step_costs()
    }
}

/// A larger image size and its cost, extrapolated from the operations per image.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LargerSize {
    /// `[height, width]` for `data.image_size`, in pixels.
    pub image_size: [usize; 2],
    /// Floating-point operations of one pass of an image, computed.
    pub flops_per_image: u64,
    /// Memory of training, computed, in bytes.
    pub training_memory_bytes: u64,
    /// Time of the whole training, extrapolated, in seconds.
    pub estimated_training_seconds: f64,
    /// 95th percentile of the time for one image, extrapolated, in milliseconds.
    pub estimated_latency_ms: f64,
}

impl Artifact for ArchitectureCheck {
    const SCHEMA: &'static str = "mlestar.architecture_check";
    const VERSION: u32 = 2;
}

/// What a few real steps showed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ArchitectureFigures {
    /// The device.
    pub device: String,
    /// Classes of the task.
    pub n_classes: usize,
    /// Images of the first batch.
    pub batch_size: usize,
    /// `[images, classes]` of the logits of the first batch.
    pub output_shape: [usize; 2],
    /// Logits that are not finite.
    pub n_not_finite_logits: usize,
    /// Whether the steps started from the weights of a file instead of random ones.
    #[serde(default)]
    pub has_given_weights: bool,
    /// Whether the network learns from teachers as well as from labels.
    #[serde(default)]
    pub has_teachers: bool,
    /// Loss of each training step, the first with the initial weights; absent when not finite.
    pub losses: Vec<Option<f64>>,
    /// The gradient of every trainable parameter after the first backward pass.
    pub gradients: Vec<GradientFigure>,
    /// What model and training need, computed.
    pub resources: ResourceFigures,
    /// The work of the training.
    pub training_work: TrainingWork,
    /// The cost of a few steps.
    pub timing: StepTiming,
    /// The estimated time of the whole training, in seconds.
    pub estimated_training_seconds: f64,
    /// The limits of the task.
    pub limits: TaskLimits,
}

/// The limits of the task that the architecture must keep.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TaskLimits {
    /// Size of the model, in bytes.
    pub model_bytes: u64,
    /// Memory of training, in bytes.
    pub memory_bytes: u64,
    /// Time of training, in seconds.
    pub training_seconds: f64,
    /// Time for one image, in milliseconds.
    pub latency_ms: f64,
}

/// One check.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CheckRow {
    /// Its id.
    pub id: String,
    /// Its name for people.
    pub title: String,
    /// Whether it passed.
    pub passed: bool,
    /// The figure; absent when it is not finite.
    pub value: Option<f64>,
    /// The bound that it must keep.
    pub limit: Limit,
    /// The unit of both.
    pub unit: Unit,
    /// How it was measured or computed.
    pub method: String,
}
