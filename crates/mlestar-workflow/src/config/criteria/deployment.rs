//! What the gate of stage 7 asks for.

use super::super::RawConfig;
use super::Entry;
use mlestar_gates::{Limit, Unit};

/// The criteria of stage 7.
pub(super) fn entries(config: &RawConfig) -> Vec<Entry> {
    let constraints = &config.task.constraints;
    vec![
        Entry {
            id: "package_opens",
            title: "the package opens and its hashes hold",
            unit: Unit::Flag,
            limit: Limit::Equals(1.0),
            remedy: "Run the stage again: mlestar stage deployment --force.",
        },
        Entry {
            id: "package_is_the_final_model",
            title: "both files of the package are the final model, and its manifest says so",
            unit: Unit::Flag,
            limit: Limit::Equals(1.0),
            remedy: "Run the stage again: mlestar stage deployment --force.",
        },
        Entry {
            id: "parity",
            title: "largest difference of a logit, trained against exported",
            unit: Unit::Other(String::new()),
            limit: Limit::AtMost(config.deployment.parity.max_abs_difference),
            remedy: "The differing pictures are in parity.json; please report it with model.onnx.",
        },
        Entry {
            id: "same_class",
            title: "test pictures on which trained and exported model agree",
            unit: Unit::Fraction,
            limit: Limit::AtLeast(0.9999),
            remedy: "The differing pictures and their margins are in parity.json: near-ties may differ, \
                     others must not.",
        },
        Entry {
            id: "model_bytes",
            title: "size of the ONNX file",
            unit: Unit::Bytes,
            limit: Limit::AtMost(constraints.model_bytes_max as f64),
            remedy: "Fewer channels or blocks in [model].",
        },
        Entry {
            id: "latency_p95",
            title: "latency of one picture, 95th percentile",
            unit: Unit::Milliseconds,
            limit: Limit::AtMost(constraints.inference_latency_ms_max),
            remedy: "Fewer channels or blocks in [model], or a machine that does nothing else.",
        },
        Entry {
            id: "memory_bytes",
            title: "memory of predicting with the package",
            unit: Unit::Bytes,
            limit: Limit::AtMost(constraints.memory_bytes_max as f64),
            remedy: "Fewer channels or blocks in [model], or smaller batches.",
        },
        Entry {
            id: "documentation",
            title: "documents that say what was measured",
            unit: Unit::Fraction,
            limit: Limit::AtLeast(1.0),
            remedy: "Run the stage again: mlestar stage deployment --force.",
        },
    ]
}
