//! What the gate of stage 7 asks for.

use super::super::RawConfig;
use super::Entry;
use mlestar_gates::{Limit, Unit};

/// The criteria of stage 7.
pub(super) fn entries(config: &RawConfig) -> Vec<Entry> {
    let constraints = &config.task.constraints;
    // In millionths: 3 times 0.05 is not quite 0.15.
    let most_false_alarms = (3e6 * config.deployment.confidence.false_alarm_rate).round() / 1e6;
    vec![
        Entry {
            id: "package_opens",
            title: "the package is intact and reproduces its golden predictions",
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
            id: "confidence_from_validation",
            title: "temperature, limit and figures of the package follow from the recorded logits",
            unit: Unit::Flag,
            limit: Limit::Equals(1.0),
            remedy: "Run the stage again: mlestar stage deployment --force.",
        },
        Entry {
            id: "log_loss_added",
            title: "log loss that the temperature adds on test images",
            unit: Unit::Other("nats".to_owned()),
            limit: Limit::AtMost(0.02),
            remedy: "The validation images are unlike the test images, or too few: use more of them.",
        },
        Entry {
            id: "false_alarms",
            title: "test images of the classes that are called \"none of these\"",
            unit: Unit::Fraction,
            limit: Limit::AtMost(most_false_alarms),
            remedy: "The validation images are unlike the test images, or too few: use more of them, or lower \
                deployment.confidence.false_alarm_rate.",
        },
        Entry {
            id: "int8_accuracy_kept",
            title: "share of the test accuracy that the int8 model keeps",
            unit: Unit::Fraction,
            limit: Limit::AtLeast(0.99),
            remedy: "quantization.json names the layers that suffer most. More validation images choose better.",
        },
        Entry {
            id: "int8_smaller",
            title: "how many times smaller the int8 file is",
            unit: Unit::Other("times".to_owned()),
            limit: Limit::AtLeast(3.5),
            remedy: "quantization.json names the layers that stay in f32, and what each costs in int8.",
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
            title: "memory of the process that predicts with the package",
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
