//! What the gate of stage 6 asks for.

use super::super::{MetricName, RawConfig};
use super::Entry;
use mlestar_gates::{Limit, Unit};

/// The criteria of stage 6.
pub(super) fn entries(config: &RawConfig) -> Vec<Entry> {
    let constraints = &config.task.constraints;
    let mut entries = vec![
        Entry {
            id: "search_completed",
            title: "trials of the search that ended with a result",
            unit: Unit::Fraction,
            limit: Limit::AtLeast(0.5),
            remedy: "Look at the failed trials in trials.jsonl; narrow refinement.space.",
        },
        Entry {
            id: "final_model",
            title: "the final model matches its record",
            unit: Unit::Flag,
            limit: Limit::Equals(1.0),
            remedy: "Run the stage again: mlestar stage refinement --force.",
        },
        Entry {
            id: "improvement",
            title: "gain in test accuracy over the baseline",
            unit: Unit::Fraction,
            // A search that was asked for must find something better; without one the baseline is kept.
            limit: match config.refinement.enabled {
                true => Limit::Above(0.0),
                false => Limit::AtLeast(0.0),
            },
            remedy: "Run more trials (refinement.trials), try more proposals (refinement.proposals), \
                widen refinement.space, or accept the baseline: improvement = { at_least = 0.0 }, or \
                -0.01 to allow a small loss.",
        },
        Entry {
            id: "final_primary_metric",
            title: "primary metric of the final model on the test images",
            unit: Unit::Fraction,
            limit: Limit::AtLeast(config.task.primary.target),
            remedy: "Train longer (training.epochs), run more trials, or use a larger model.",
        },
    ];
    entries.extend(
        config
            .task
            .secondary
            .iter()
            .filter(|(metric, _)| *metric != config.task.primary.name)
            .map(|(metric, target)| of_secondary_metric(metric, target)),
    );
    entries.extend([
        Entry {
            id: "final_worst_class_recall",
            title: "recall of the final model's worst class",
            unit: Unit::Fraction,
            limit: Limit::AtLeast(config.task.quality.per_class_recall_min),
            remedy: "Add images of that class, or check its labels.",
        },
        Entry {
            id: "final_training_time",
            title: "training time of the final model, including validations",
            unit: Unit::Seconds,
            limit: Limit::AtMost(constraints.training_time_seconds_max),
            remedy: "Use fewer training.epochs, a smaller model or another device; or raise \
                task.constraints.training_time_seconds_max.",
        },
        Entry {
            id: "final_training_memory",
            title: "peak memory of the process that trained the final model",
            unit: Unit::Bytes,
            limit: Limit::AtMost(constraints.memory_bytes_max as f64),
            remedy: "Use a smaller training.batch_size (refinement.space may set a larger one) or a smaller \
                data.subset; or raise task.constraints.memory_bytes_max.",
        },
        Entry {
            id: "final_analysis_complete",
            title: "the final model's analysis matches its predictions, and its charts exist",
            unit: Unit::Fraction,
            limit: Limit::AtLeast(1.0),
            remedy: "Run the stage again: mlestar stage refinement --force.",
        },
        Entry {
            id: "strategies_documented",
            title: "documented opportunities with evidence",
            unit: Unit::Count,
            limit: Limit::AtLeast(1.0),
            remedy: "Run the stage again: mlestar stage refinement --force.",
        },
    ]);
    entries
}

/// The criterion that judges a secondary metric of the final model.
pub(crate) fn final_metric_id(metric: MetricName) -> &'static str {
    match metric {
        MetricName::Accuracy => "final_accuracy",
        MetricName::BalancedAccuracy => "final_balanced_accuracy",
        MetricName::PrecisionWeighted => "final_precision_weighted",
        MetricName::RecallWeighted => "final_recall_weighted",
        MetricName::F1Weighted => "final_f1_weighted",
    }
}

fn of_secondary_metric(metric: MetricName, target: f64) -> Entry {
    Entry {
        id: final_metric_id(metric),
        title: match metric {
            MetricName::Accuracy => "accuracy of the final model",
            MetricName::BalancedAccuracy => "balanced accuracy of the final model",
            MetricName::PrecisionWeighted => "weighted precision of the final model",
            MetricName::RecallWeighted => "weighted recall of the final model",
            MetricName::F1Weighted => "weighted F1 of the final model",
        },
        unit: Unit::Fraction,
        limit: Limit::AtLeast(target),
        remedy: "Look in the per-class table of final_report.html for the weak class that lowers it.",
    }
}
