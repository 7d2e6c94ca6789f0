//! The strategy of a training in sentences.

use crate::stages::task_definition::TaskSpec;
use crate::words::counted;
use mlestar_data::augment::AugmentationConfig;
use mlestar_train::{OptimizerKind, ScheduleKind, Statistics, TrainingConfig};

/// Settings of a training beyond the usual, in display order; each gives no sentence where it is off.
const BEYOND_THE_USUAL: [fn(&TrainingConfig) -> Option<String>; 9] = [
    label_smoothing,
    class_weights,
    focal_loss,
    mixing,
    progressive_resizing,
    initial_weights,
    finetuning,
    teachers,
    gradient_limit,
];

pub(super) fn strategy(
    training: &TrainingConfig,
    augmentation: &AugmentationConfig,
    task: &TaskSpec,
) -> Vec<String> {
    let mut lines = vec![
        format!(
            "Train for at most {} in batches of {}.",
            counted(training.epochs, "epoch"),
            training.batch_size
        ),
        rule(training),
        end(training),
    ];
    lines.extend(BEYOND_THE_USUAL.iter().filter_map(|line| line(training)));
    lines.push(match augmentation.is_off() {
        true => "No augmentation: every epoch sees the same images.".to_owned(),
        false => {
            "Augment the training images differently in every epoch (settings below).".to_owned()
        }
    });
    lines.push(format!(
        "Choose on validation images; judge {} once on test images, with intervals at {}.",
        task.primary.metric.as_str().replace('_', " "),
        task.confidence
    ));
    lines
}

/// The optimizer and its learning-rate schedule.
fn rule(training: &TrainingConfig) -> String {
    let optimizer = &training.optimizer;
    let rule = match optimizer.kind {
        OptimizerKind::Adam => "Adam",
        OptimizerKind::AdamW => "AdamW",
        OptimizerKind::Sgd => "SGD",
        OptimizerKind::Lion => "Lion",
        OptimizerKind::Muon => "Muon",
        _ => "the configured optimizer",
    };
    let shape = match training.schedule.kind {
        ScheduleKind::Constant => "kept constant",
        ScheduleKind::Cosine => "annealed along half a cosine",
        ScheduleKind::OneCycle => "raised and lowered in one cycle",
        ScheduleKind::Linear => "lowered along a line",
        ScheduleKind::Triangular => "raised and lowered along two lines",
        ScheduleKind::Step => "multiplied by a factor after certain epochs",
        ScheduleKind::Plateau => "lowered whenever validation makes no progress",
        _ => "scheduled as configured",
    };
    format!(
        "{rule} with a highest learning rate of {}, {shape}; weight decay {}.",
        optimizer.learning_rate, optimizer.weight_decay
    )
}

fn end(training: &TrainingConfig) -> String {
    match &training.early_stopping {
        Some(stopping) => format!(
            "Stop when validation accuracy has not risen by more than {} for {}; keep the best epoch.",
            stopping.min_delta,
            counted(stopping.patience, "epoch")
        ),
        None => "Run all epochs; keep the best one by validation accuracy.".to_owned(),
    }
}

fn label_smoothing(training: &TrainingConfig) -> Option<String> {
    let smoothing = training.label_smoothing;
    (smoothing > 0.0).then(|| format!("Smooth the labels by {smoothing}."))
}

fn class_weights(training: &TrainingConfig) -> Option<String> {
    let weights = training.class_weights.as_ref()?;
    Some(format!("Weight the classes in the loss: {weights}."))
}

fn focal_loss(training: &TrainingConfig) -> Option<String> {
    let gamma = training.focal_gamma?;
    Some(format!("Use the focal loss with an exponent of {gamma}."))
}

fn mixing(training: &TrainingConfig) -> Option<String> {
    let mixing = &training.mixing;
    let methods: Vec<String> = [
        ("mixup", mixing.mixup_alpha),
        ("CutMix", mixing.cutmix_alpha),
    ]
    .iter()
    .filter(|(_, alpha)| *alpha > 0.0)
    .map(|(method, alpha)| format!("{method} (alpha {alpha})"))
    .collect();
    (!mixing.is_off()).then(|| {
        format!(
            "Mix a share of {} of the batches: {}.",
            mixing.probability,
            methods.join(" or ")
        )
    })
}

fn progressive_resizing(training: &TrainingConfig) -> Option<String> {
    let steps: Vec<String> = training
        .progressive_resizing
        .iter()
        .map(|entry| {
            format!(
                "{} until {} of the epochs",
                entry.scale, entry.until_fraction
            )
        })
        .collect();
    (!steps.is_empty()).then(|| {
        format!(
            "Start with smaller images, sides times {}, and end with full-size ones.",
            steps.join(", ")
        )
    })
}

fn initial_weights(training: &TrainingConfig) -> Option<String> {
    let path = training.initial_weights.as_ref()?;
    Some(format!(
        "Start from the weights of {}; a head of another shape is left out.",
        path.display()
    ))
}

fn finetuning(training: &TrainingConfig) -> Option<String> {
    let finetune = training.finetune.as_ref()?;
    let later = match (training.epochs, finetune.unfreeze_every_epochs) {
        (0 | 1, _) => String::new(),
        (_, 0) => "; later epochs train the layers below it too".to_owned(),
        (_, every) => format!(
            "; then one more group of layers learns every {}",
            counted(every, "epoch")
        ),
    };
    let rates = match training.epochs {
        0 | 1 => String::new(),
        _ => format!(
            ", at {} times the rate of the group after it, with {} statistics in batch norms",
            finetune.rate_decay,
            match finetune.statistics {
                Statistics::Frozen => "the pretrained",
                Statistics::Batch => "each batch's",
            }
        ),
    };
    Some(format!(
        "Fine-tune: the first epoch fits the head on features that the frozen network computes once{later}{rates}."
    ))
}

fn teachers(training: &TrainingConfig) -> Option<String> {
    let teaching = training.teaching()?;
    let teachers = teaching.teachers.iter();
    let teachers: Vec<String> = teachers.map(|path| path.display().to_string()).collect();
    let pictures = match training.progressive_resizing.is_empty() {
        true => "",
        false => " (for full-size images)",
    };
    Some(format!(
        "Learn from the predictions of teacher networks{pictures} as well as from the labels: {}; a share \
        of {} of the loss, at a temperature of {}.",
        teachers.join(", "),
        teaching.weight,
        teaching.temperature
    ))
}

fn gradient_limit(training: &TrainingConfig) -> Option<String> {
    let norm = training.max_gradient_norm?;
    Some(format!("Clip gradients to a norm of {norm}."))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stages::action_planning::testing;
    use mlestar_train::{ClassWeights, DistillationConfig, ProgressiveResizing};

    fn lines(training: &TrainingConfig) -> Vec<String> {
        strategy(
            training,
            &AugmentationConfig::default(),
            &testing::task_spec(),
        )
    }

    #[test]
    fn what_the_training_does_beyond_the_usual_has_a_line() {
        let plain = lines(&TrainingConfig::default());
        let half = ProgressiveResizing {
            until_fraction: 0.25,
            scale: 0.5,
        };
        let three_quarters = ProgressiveResizing {
            until_fraction: 0.5,
            scale: 0.75,
        };
        let mut training = TrainingConfig {
            label_smoothing: 0.1,
            class_weights: Some(ClassWeights::Balanced),
            progressive_resizing: vec![half, three_quarters],
            initial_weights: Some("a/model.safetensors".into()),
            distillation: Some(DistillationConfig {
                teachers: vec!["a".into(), "b".into()],
                ..DistillationConfig::default()
            }),
            max_gradient_norm: Some(2.0),
            ..TrainingConfig::default()
        };
        training.mixing.cutmix_alpha = 1.0;
        let more: Vec<String> = lines(&training)
            .into_iter()
            .filter(|line| !plain.contains(line))
            .collect();
        assert_eq!(
            more,
            [
                "Smooth the labels by 0.1.",
                "Weight the classes in the loss: \"balanced\".",
                "Mix a share of 1 of the batches: CutMix (alpha 1).",
                "Start with smaller images, sides times 0.5 until 0.25 of the epochs, 0.75 until 0.5 of the \
                epochs, and end with full-size ones.",
                "Start from the weights of a/model.safetensors; a head of another shape is left out.",
                "Learn from the predictions of teacher networks (for full-size images) as well as from the \
                labels: a, b; a share of 0.7 of the loss, at a temperature of 3.",
                "Clip gradients to a norm of 2.",
            ]
        );
    }
}
