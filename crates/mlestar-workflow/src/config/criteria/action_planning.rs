//! What the gate of stage 3 asks for.

use super::super::RawConfig;
use super::Entry;
use mlestar_gates::{Limit, Unit};

/// The criteria of stage 3.
pub(super) fn entries(config: &RawConfig) -> Vec<Entry> {
    let constraints = &config.task.constraints;
    vec![
        Entry {
            id: "architecture_check",
            title: "the architecture works and fits",
            unit: Unit::Flag,
            limit: Limit::Equals(1.0),
            remedy: "action_plan.html names the check that failed.",
        },
        Entry {
            id: "parameters",
            title: "parameters",
            unit: Unit::Count,
            limit: Limit::AtMost(5_000_000.0),
            remedy: "Use fewer channels or blocks in model.stages.",
        },
        Entry {
            id: "model_bytes",
            title: "size of the weights",
            unit: Unit::Bytes,
            limit: Limit::AtMost(constraints.model_bytes_max as f64),
            remedy: "Use fewer channels or blocks in model.stages.",
        },
        Entry {
            id: "training_memory_bytes",
            title: "training memory, computed",
            unit: Unit::Bytes,
            limit: Limit::AtMost(constraints.memory_bytes_max as f64),
            remedy: "Use a smaller training.batch_size, fewer channels in model.stages, or a subset (data.subset).",
        },
        Entry {
            id: "estimated_training_time_seconds",
            title: "training time, extrapolated from measured steps",
            unit: Unit::Seconds,
            limit: Limit::AtMost(constraints.training_time_seconds_max),
            remedy: "Use fewer training.epochs, a smaller model, a subset (data.subset), or a GPU (--device).",
        },
        Entry {
            id: "flops_per_image",
            title: "floating-point operations per image",
            unit: Unit::Count,
            limit: Limit::AtMost(1e9),
            remedy: "Use larger strides in the first stages of model.stages, or fewer channels.",
        },
        Entry {
            id: "challenges_answered",
            title: "challenges of stage 1 that the plan answers",
            unit: Unit::Fraction,
            limit: Limit::AtLeast(0.8),
            remedy: "action_plan.html names the config key that would answer each open challenge.",
        },
    ]
}
