//! What the gate of stage 4 asks for.

use super::super::RawConfig;
use super::Entry;
use mlestar_gates::{Limit, Unit};

/// The criteria of stage 4.
pub(super) fn entries(config: &RawConfig) -> Vec<Entry> {
    let quality = &config.task.quality;
    vec![
        Entry {
            id: "training_completed",
            title: "training ended without a critical error",
            unit: Unit::Flag,
            limit: Limit::Equals(1.0),
            remedy: "Look at training_report.html; lower training.optimizer.learning_rate or set \
                     training.max_gradient_norm.",
        },
        Entry {
            id: "validation_accuracy",
            title: "validation accuracy",
            unit: Unit::Fraction,
            limit: Limit::AtLeast(quality.validation_accuracy_min),
            remedy: "Train longer (training.epochs), try other learning rates, or a larger model.",
        },
        Entry {
            id: "overfitting_gap",
            title: "training accuracy less validation accuracy",
            unit: Unit::Fraction,
            limit: Limit::AtMost(quality.overfitting_gap_max),
            remedy: "More augmentation, dropout or weight decay, fewer epochs, or more data.",
        },
        Entry {
            id: "classes_answered",
            title: "classes that the model answers at all, of those among the images that it learnt from",
            unit: Unit::Fraction,
            limit: Limit::Above(0.5),
            remedy: "The model gives the same few answers whatever the image: training.class_weights = \"balanced\" for \
                     rare classes, a lower training.optimizer.learning_rate, more epochs.",
        },
        Entry {
            id: "checkpoints_readable",
            title: "checkpoints that can be read and fit the model",
            unit: Unit::Fraction,
            limit: Limit::AtLeast(1.0),
            remedy: "Run the stage again: mlestar stage implementation --force.",
        },
        Entry {
            id: "metrics_logged",
            title: "epochs with complete, finite metrics",
            unit: Unit::Fraction,
            limit: Limit::AtLeast(1.0),
            remedy: "Run the stage again: mlestar stage implementation --force.",
        },
        Entry {
            id: "training_time",
            title: "time that the training took, its validations included",
            unit: Unit::Seconds,
            limit: Limit::AtMost(config.task.constraints.training_time_seconds_max),
            remedy: "Fewer training.epochs, smaller pictures (data.image_size), a smaller model or another device; or \
                     allow more with task.constraints.training_time_seconds_max.",
        },
        Entry {
            id: "training_memory",
            title: "peak memory of the process that trained",
            unit: Unit::Bytes,
            limit: Limit::AtMost(config.task.constraints.memory_bytes_max as f64),
            remedy: "A smaller training.batch_size or more training.accumulation_steps, a smaller data.subset; or \
                     allow more with task.constraints.memory_bytes_max.",
        },
    ]
}
