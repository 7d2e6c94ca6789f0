//! The specification of the task, from the config and the data.

use super::artifact::{InputSpec, TargetSpec, TaskSpec};
use crate::config::{Config, MetricName};
use crate::stages::situation_analysis::Measurements;
use mlestar_data::ImageSet;

/// The specification. A secondary target of 0 demands nothing and is left out.
pub(super) fn specify(config: &Config, measurements: &Measurements) -> TaskSpec {
    let task = &config.task;
    TaskSpec {
        problem_type: task.problem_type,
        target_variable: task.target_variable.clone(),
        classes: measurements.classes.clone(),
        input: InputSpec {
            height: measurements.height,
            width: measurements.width,
            channels: ImageSet::CHANNELS,
            values: "8-bit red, green and blue, 0 to 255".into(),
        },
        primary: target(task.primary.name, task.primary.target),
        secondary: task
            .secondary
            .iter()
            .filter(|(_, value)| *value > 0.0)
            .map(|(metric, value)| target(metric, value))
            .collect(),
        constraints: task.constraints.clone(),
        quality: task.quality.clone(),
        confidence: config.evaluation.confidence,
    }
}

fn target(metric: MetricName, target: f64) -> TargetSpec {
    TargetSpec {
        metric,
        target,
        measured_on: "test".into(),
        definition: definition(metric).into(),
    }
}

fn definition(metric: MetricName) -> &'static str {
    match metric {
        MetricName::Accuracy => "share of the test images whose most probable class is right",
        MetricName::BalancedAccuracy => "mean over the classes of the recall",
        MetricName::PrecisionWeighted => {
            "mean over the classes of the precision, weighted by their test images"
        }
        MetricName::RecallWeighted => {
            "mean over the classes of the recall, weighted by their test images; equals accuracy"
        }
        MetricName::F1Weighted => {
            "mean over the classes of the harmonic mean of precision and recall, weighted by their \
             test images"
        }
    }
}
