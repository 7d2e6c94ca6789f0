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
            title: "the package opens and its hashes match",
            unit: Unit::Flag,
            limit: Limit::Equals(1.0),
            remedy: "Run the stage again: mlestar stage deployment --force.",
        },
        Entry {
            id: "package_is_the_final_model",
            title: "both files of the package hold the final model, and its manifest says so",
            unit: Unit::Flag,
            limit: Limit::Equals(1.0),
            remedy: "Run the stage again: mlestar stage deployment --force.",
        },
        Entry {
            id: "parity",
            title: "largest logit difference between trained and exported model",
            unit: Unit::Other(String::new()),
            limit: Limit::AtMost(config.deployment.parity.max_abs_difference),
            remedy: "parity.json lists the differing images. Please report it together with model.onnx.",
        },
        Entry {
            id: "same_class",
            title: "test images on which the trained and the exported model agree",
            unit: Unit::Fraction,
            limit: Limit::AtLeast(0.9999),
            remedy: "parity.json lists the differing images and their margins. Near-ties may differ; others must not.",
        },
        Entry {
            id: "model_bytes",
            title: "size of the ONNX file",
            unit: Unit::Bytes,
            limit: Limit::AtMost(constraints.model_bytes_max as f64),
            remedy: "Use fewer channels or blocks in [model].",
        },
        Entry {
            id: "latency_p95",
            title: "latency of one image, 95th percentile",
            unit: Unit::Milliseconds,
            limit: Limit::AtMost(constraints.inference_latency_ms_max),
            remedy: "Use fewer channels or blocks in [model], or measure on an idle machine.",
        },
        Entry {
            id: "memory_bytes",
            title: "memory for predicting with the package",
            unit: Unit::Bytes,
            limit: Limit::AtMost(constraints.memory_bytes_max as f64),
            remedy: "Use fewer channels or blocks in [model], or smaller batches.",
        },
        Entry {
            id: "documentation",
            title: "documents that match the measurements",
            unit: Unit::Fraction,
            limit: Limit::AtLeast(1.0),
            remedy: "Run the stage again: mlestar stage deployment --force.",
        },
    ]
}
