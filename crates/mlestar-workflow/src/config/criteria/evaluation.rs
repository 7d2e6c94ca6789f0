//! What the gate of stage 5 asks for.

use super::super::{MetricName, RawConfig};
use super::Entry;
use mlestar_gates::{Limit, Unit};

/// The criteria of stage 5: the primary metric, the other secondary metrics, the worst class, and the analysis
/// itself.
pub(super) fn entries(config: &RawConfig) -> Vec<Entry> {
    let primary = &config.task.primary;
    let secondary = config
        .task
        .secondary
        .iter()
        .filter(|(metric, _)| *metric != primary.name);
    let mut entries = vec![of_metric(primary.name, primary.target)];
    entries.extend(secondary.map(|(metric, target)| of_metric(metric, target)));
    entries.extend([
        Entry {
            id: "worst_class_recall",
            title: "recall of the worst class",
            unit: Unit::Fraction,
            limit: Limit::AtLeast(config.task.quality.per_class_recall_min),
            remedy: "Look at the class's confused pairs and at the labels that stage 1 suspects. More \
                images of that class help most.",
        },
        Entry {
            id: "analysis_complete",
            title: "the analysis matches the predictions, and its charts exist",
            unit: Unit::Fraction,
            limit: Limit::AtLeast(1.0),
            remedy: "Run the stage again: mlestar stage evaluation --force.",
        },
    ]);
    entries
}

fn of_metric(metric: MetricName, target: f64) -> Entry {
    let title = match metric {
        MetricName::Accuracy => "test accuracy",
        MetricName::BalancedAccuracy => "balanced accuracy",
        MetricName::PrecisionWeighted => "weighted precision",
        MetricName::RecallWeighted => "weighted recall",
        MetricName::F1Weighted => "weighted F1",
    };
    let remedy = match metric {
        MetricName::Accuracy => {
            "Train longer, search hyper-parameters (stage 6), or use a larger model."
        }
        _ => {
            "Look in the per-class table of evaluation_report.html for the weak class that lowers it."
        }
    };
    Entry {
        id: metric.as_str(),
        title,
        unit: Unit::Fraction,
        limit: Limit::AtLeast(target),
        remedy,
    }
}
