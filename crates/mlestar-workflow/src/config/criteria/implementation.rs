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
            remedy: "Train longer (training.epochs), try other learning rates, or use a larger model.",
        },
        Entry {
            id: "overfitting_gap",
            title: "training accuracy minus validation accuracy",
            unit: Unit::Fraction,
            limit: Limit::AtMost(quality.overfitting_gap_max),
            remedy: "Use more augmentation, dropout or weight decay, fewer epochs, or more data.",
        },
        Entry {
            id: "classes_answered",
            title: "classes of the training images that the model predicts at least once",
            unit: Unit::Fraction,
            limit: Limit::Above(0.5),
            remedy: "The model predicts the same few classes for every image. Set training.class_weights = \
                \"balanced\" for rare classes, lower training.optimizer.learning_rate, or train for more \
                epochs.",
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
            title: "training time, including validations",
            unit: Unit::Seconds,
            limit: Limit::AtMost(config.task.constraints.training_time_seconds_max),
            remedy: "Use fewer training.epochs, smaller images (data.image_size), a smaller model or \
                another device; or raise task.constraints.training_time_seconds_max.",
        },
        Entry {
            id: "training_memory",
            title: "peak memory of the training process",
            unit: Unit::Bytes,
            limit: Limit::AtMost(config.task.constraints.memory_bytes_max as f64),
            remedy: "Use a smaller training.batch_size, more training.accumulation_steps or a smaller \
                data.subset; or raise task.constraints.memory_bytes_max.",
        },
    ]
}
