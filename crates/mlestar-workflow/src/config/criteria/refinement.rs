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
            title: "the final model is what its record says",
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
            remedy: "More trials or a wider space (refinement.trials, refinement.space), a longer final \
                     training (refinement.final_epochs), or accept the baseline: improvement = { at_least = 0.0 }, \
                     or -0.01 for a loss that does not matter.",
        },
        Entry {
            id: "final_primary_metric",
            title: "primary metric of the final model on the test pictures",
            unit: Unit::Fraction,
            limit: Limit::AtLeast(config.task.primary.target),
            remedy: "Train longer (refinement.final_epochs), search more, or use a larger model.",
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
            remedy: "More pictures of that class, or a check of its labels.",
        },
        Entry {
            id: "final_training_time",
            title: "time that the training of the final model took, its validations included",
            unit: Unit::Seconds,
            limit: Limit::AtMost(constraints.training_time_seconds_max),
            remedy: "Fewer refinement.final_epochs, a smaller model or another device; or allow more with \
                     task.constraints.training_time_seconds_max.",
        },
        Entry {
            id: "final_training_memory",
            title: "peak memory of the process that trained the final model",
            unit: Unit::Bytes,
            limit: Limit::AtMost(constraints.memory_bytes_max as f64),
            remedy: "A smaller training.batch_size (refinement.space may ask for a larger one), a smaller \
                     data.subset; or allow more with task.constraints.memory_bytes_max.",
        },
        Entry {
            id: "final_analysis_complete",
            title: "the final model's analysis follows from its answers, and its drawings are there",
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
        remedy: "Look at the per-class table of final_report.html: one weak class pulls it down.",
    }
}
