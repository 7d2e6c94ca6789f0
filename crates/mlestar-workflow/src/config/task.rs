use std::fmt;

use serde::{Deserialize, Serialize};

/// Section `[task]`: the targets and constraints.
///
/// | key | default | purpose | range |
/// |---|---|---|---|
/// | `problem_type` | `"multiclass_classification"` | the kind of problem | that one |
/// | `target_variable` | `"class_label"` | what is predicted, for reports | not empty |
/// | `primary` | accuracy 0.85 | the metric that decides, and its target on test images | 0 to 1 |
/// | `secondary` | 0.83 each | further metrics and their targets; leave one out for no target | 0 to 1 |
/// | `constraints` | see [`Constraints`] | time, size, latency, memory | |
/// | `quality` | see [`Quality`] | what training and every class must reach | |
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TaskConfig {
    /// The kind of problem.
    pub problem_type: ProblemType,
    /// What is predicted, for reports.
    pub target_variable: String,
    /// The metric that decides.
    pub primary: MetricTarget,
    /// Further metrics.
    pub secondary: SecondaryTargets,
    /// Time, size, latency, memory.
    pub constraints: Constraints,
    /// What training and every class must reach.
    pub quality: Quality,
}

impl Default for TaskConfig {
    fn default() -> Self {
        Self {
            problem_type: ProblemType::MulticlassClassification,
            target_variable: "class_label".to_owned(),
            primary: MetricTarget::default(),
            secondary: SecondaryTargets::default(),
            constraints: Constraints::default(),
            quality: Quality::default(),
        }
    }
}

/// The kinds of problems.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ProblemType {
    /// One of several classes for each image.
    #[default]
    MulticlassClassification,
}

/// Metrics that a target can be set for; all are fractions, higher is better.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MetricName {
    /// Share of images classified correctly.
    #[default]
    Accuracy,
    /// Mean recall of the classes.
    BalancedAccuracy,
    /// Precision, averaged over the classes by their number of images.
    PrecisionWeighted,
    /// Recall, averaged over the classes by their number of images.
    RecallWeighted,
    /// F1, averaged over the classes by their number of images.
    F1Weighted,
}

impl MetricName {
    /// Every metric.
    pub const ALL: [Self; 5] = [
        Self::Accuracy,
        Self::BalancedAccuracy,
        Self::PrecisionWeighted,
        Self::RecallWeighted,
        Self::F1Weighted,
    ];

    /// The metric that a config calls `name`.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|metric| metric.as_str() == name)
    }

    /// As in a config: `f1_weighted`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Accuracy => "accuracy",
            Self::BalancedAccuracy => "balanced_accuracy",
            Self::PrecisionWeighted => "precision_weighted",
            Self::RecallWeighted => "recall_weighted",
            Self::F1Weighted => "f1_weighted",
        }
    }
}

impl fmt::Display for MetricName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// Section `[task.primary]`: a metric and the value it is to reach on test images.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MetricTarget {
    /// The metric.
    pub name: MetricName,
    /// The value to reach, 0 to 1.
    pub target: f64,
}

impl Default for MetricTarget {
    fn default() -> Self {
        Self {
            name: MetricName::Accuracy,
            target: 0.85,
        }
    }
}

/// Section `[task.secondary]`: targets of further metrics, 0 to 1; 0 demands nothing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SecondaryTargets {
    /// Precision, weighted by the classes' numbers of images.
    pub precision_weighted: f64,
    /// Recall, weighted likewise.
    pub recall_weighted: f64,
    /// F1, weighted likewise.
    pub f1_weighted: f64,
}

impl Default for SecondaryTargets {
    fn default() -> Self {
        Self {
            precision_weighted: 0.83,
            recall_weighted: 0.83,
            f1_weighted: 0.83,
        }
    }
}

impl SecondaryTargets {
    /// The metrics and their targets, in order.
    pub fn iter(&self) -> impl Iterator<Item = (MetricName, f64)> {
        [
            (MetricName::PrecisionWeighted, self.precision_weighted),
            (MetricName::RecallWeighted, self.recall_weighted),
            (MetricName::F1Weighted, self.f1_weighted),
        ]
        .into_iter()
    }
}

/// Section `[task.constraints]`.
///
/// | key | default | purpose | range |
/// |---|---|---|---|
/// | `training_time_seconds_max` | 14,400 (4 hours) | time of a training, its validations included: that of stage 4, and the final one of stage 6 | above 0 |
/// | `training_time_seconds_max` | 14,400 (4 hours) | training time, including validations: of stage 4 and of the
/// final training of stage 6 | above 0 |
/// | `memory_bytes_max` | 8,000,000,000 | peak memory of the training process, and of predicting with the package |
/// at least 1 |
/// | `memory_bytes_max` | 8,000,000,000 | peak memory of the process that trains, and of predicting with the package | at least 1 |
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Constraints {
    /// Training time, including validations, in seconds: of stage 4 and of the final training of stage 6.
    pub training_time_seconds_max: f64,
    /// Size of the exported model, in bytes.
    pub model_bytes_max: u64,
    /// Time for one image, in milliseconds.
    pub inference_latency_ms_max: f64,
    /// Peak memory of the training process, and of predicting with the package, in bytes.
    pub memory_bytes_max: u64,
}

impl Default for Constraints {
    fn default() -> Self {
        Self {
            training_time_seconds_max: 14_400.0,
            model_bytes_max: 50_000_000,
            inference_latency_ms_max: 100.0,
            memory_bytes_max: 8_000_000_000,
        }
    }
}

/// How open to inspection a model's decisions must be.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Interpretability {
    /// Aggregate figures.
    Low,
    /// Per-class figures and the misclassified images.
    #[default]
    Medium,
    /// Explanations of single predictions.
    High,
}

/// Section `[task.quality]`.
///
/// | key | default | purpose | range |
/// |---|---|---|---|
/// | `validation_accuracy_min` | 0.75 | accuracy on validation images after training | 0 to 1 |
/// | `overfitting_gap_max` | 0.05 | training accuracy minus validation accuracy | 0 to 1 |
/// | `per_class_recall_min` | 0.70 | share of each class's test images that is recognised | 0 to 1 |
/// | `interpretability` | `"medium"` | how far decisions must be open to inspection | `"low"`, `"medium"`, `"high"` |
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Quality {
    /// Accuracy on validation images after training.
    pub validation_accuracy_min: f64,
    /// Training accuracy minus validation accuracy.
    pub overfitting_gap_max: f64,
    /// Share of each class's test images that is recognised.
    pub per_class_recall_min: f64,
    /// How far decisions must be open to inspection.
    pub interpretability: Interpretability,
}

impl Default for Quality {
    fn default() -> Self {
        Self {
            validation_accuracy_min: 0.75,
            overfitting_gap_max: 0.05,
            per_class_recall_min: 0.70,
            interpretability: Interpretability::Medium,
        }
    }
}
