//! `task_spec.json` and `feasibility_report.json`.

use super::figures::FeasibilityFigures;
use crate::config::{Constraints, MetricName, ProblemType, Quality};
use mlestar_artifact::Artifact;
use mlestar_gates::{Limit, Unit};
use serde::{Deserialize, Serialize};

/// The targets and constraints. The same config and data give the same bytes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TaskSpec {
    /// The kind of problem.
    pub problem_type: ProblemType,
    /// What is predicted.
    pub target_variable: String,
    /// The classes, in label order.
    pub classes: Vec<String>,
    /// The input of the model.
    pub input: InputSpec,
    /// The metric that decides.
    pub primary: TargetSpec,
    /// Further metrics with a target.
    pub secondary: Vec<TargetSpec>,
    /// Time, size, latency, memory.
    pub constraints: Constraints,
    /// What training and every class must reach.
    pub quality: Quality,
    /// Confidence of the intervals that decide, 0-1.
    pub confidence: f64,
}

impl Artifact for TaskSpec {
    const SCHEMA: &'static str = "mlestar.task_spec";
    const VERSION: u32 = 1;
}

impl TaskSpec {
    /// All targets, the primary one first.
    pub fn targets(&self) -> impl Iterator<Item = &TargetSpec> {
        std::iter::once(&self.primary).chain(&self.secondary)
    }
}

/// One image as the model receives it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InputSpec {
    /// Height in pixels.
    pub height: usize,
    /// Width in pixels.
    pub width: usize,
    /// Colour channels.
    pub channels: usize,
    /// How values are stored.
    pub values: String,
}

/// A metric and its target.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TargetSpec {
    /// The metric.
    pub metric: MetricName,
    /// The value to reach, 0-1.
    pub target: f64,
    /// The images that it is measured on.
    pub measured_on: String,
    /// How it is computed.
    pub definition: String,
}

/// Each target and constraint with the figures that were measured or computed for it. The times in it differ from run
/// to run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FeasibilityReport {
    /// How many assessments have which verdict.
    pub summary: FeasibilitySummary,
    /// One for each target, constraint and requirement.
    pub assessments: Vec<Assessment>,
    /// The raw figures; the assessments are a function of these and the specification.
    pub figures: FeasibilityFigures,
}

impl Artifact for FeasibilityReport {
    const SCHEMA: &'static str = "mlestar.feasibility_report";
    const VERSION: u32 = 2;
}

/// Counts of verdicts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FeasibilitySummary {
    /// Nothing that was measured or computed speaks against it.
    pub n_feasible: usize,
    /// Something speaks against it, but not for certain.
    pub n_doubtful: usize,
    /// A measurement or bound rules it out.
    pub n_infeasible: usize,
    /// The figures cannot decide it.
    pub n_not_measurable: usize,
}

impl FeasibilitySummary {
    /// Counts the verdicts of `assessments`.
    pub fn of(assessments: &[Assessment]) -> Self {
        let count = |verdict| {
            assessments
                .iter()
                .filter(|row| row.verdict == verdict)
                .count()
        };
        Self {
            n_feasible: count(Feasibility::Feasible),
            n_doubtful: count(Feasibility::Doubtful),
            n_infeasible: count(Feasibility::Infeasible),
            n_not_measurable: count(Feasibility::NotMeasurable),
        }
    }
}

/// One demand, and the figures for and against it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Assessment {
    /// Its id.
    pub id: String,
    /// The kind of demand.
    pub subject: Subject,
    /// Its name for people.
    pub title: String,
    /// What is demanded; absent where the demand is no number.
    pub demanded: Option<Limit>,
    /// The unit of the demand.
    pub unit: Unit,
    /// The figures that it is compared with.
    pub comparisons: Vec<ComparedFigure>,
    /// The verdict.
    pub verdict: Feasibility,
    /// Why.
    pub reason: String,
    /// What to do.
    pub recommendation: String,
}

/// Kinds of demands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Subject {
    /// A metric's target.
    Target,
    /// Time, size, latency or memory.
    Constraint,
    /// A quality requirement.
    Quality,
    /// Whether the demands are consistent.
    Consistency,
}

/// The verdict that follows from the figures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Feasibility {
    /// Nothing that was measured or computed speaks against it.
    Feasible,
    /// Something speaks against it, but not for certain.
    Doubtful,
    /// A measurement or bound rules it out.
    Infeasible,
    /// The figures cannot decide it.
    NotMeasurable,
}

impl Feasibility {
    /// As in a report.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Feasible => "feasible",
            Self::Doubtful => "doubtful",
            Self::Infeasible => "infeasible",
            Self::NotMeasurable => "not measurable",
        }
    }
}

/// A figure that a demand is compared with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ComparedFigure {
    /// What it is.
    pub what: String,
    /// Its value.
    pub value: f64,
    /// Its unit.
    pub unit: Unit,
    /// Where it comes from.
    pub source: Source,
    /// How it was measured or computed.
    pub method: String,
}

/// Where a figure comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// Measured on this machine or on the data.
    Measured,
    /// Computed from the config, the data's sizes or the architecture.
    Computed,
    /// Stated by the config.
    Config,
}

impl Source {
    /// As in a report.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Measured => "measured",
            Self::Computed => "computed",
            Self::Config => "config",
        }
    }
}
