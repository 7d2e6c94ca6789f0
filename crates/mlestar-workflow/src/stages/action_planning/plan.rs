//! Puts the plan together.

use super::answers::{Settings, answer_all};
use super::artifact::{ActionPlan, ArchitecturePlan, PlanSummary};
use super::{ResourceFigures, TrainingWork, receptive_field};
use crate::config::Config;
use crate::stages::situation_analysis::SituationAnalysis;
use crate::stages::task_definition::TaskSpec;
use mlestar_data::SplitName;
use mlestar_data::augment::AugmentationConfig;
use mlestar_model::{Architecture, ModelSpec};
use mlestar_train::{OptimizerKind, ScheduleKind, TrainingConfig};

/// The plan: a function of config, teachers, data and specification.
pub(super) fn plan(
    config: &Config,
    model: &ModelSpec,
    teachers: Vec<ModelSpec>,
    analysis: &SituationAnalysis,
    task: &TaskSpec,
) -> ActionPlan {
    let found = &analysis.measurements;
    let (n_train, n_validation) = (
        found.n_pictures(SplitName::Train),
        found.n_pictures(SplitName::Validation),
    );
    let architecture = receptive_field::plan(model);
    let settings = Settings {
        architecture: &architecture,
        training: &config.training,
        augmentation: &config.augmentation,
        task,
        measurements: found,
    };
    let answers = answer_all(&analysis.challenges, &settings);
    let resources = ResourceFigures::of(model, &config.training, &teachers, n_train, found.n_all());
    let work = TrainingWork::new(&config.training, n_train, n_validation);
    let unanswered = answers.iter().filter(|answer| !answer.is_answered);
    ActionPlan {
        summary: PlanSummary {
            architecture: in_words(&architecture),
            parameters: resources.parameters,
            n_challenges: answers.len(),
            n_answered: answers.iter().filter(|answer| answer.is_answered).count(),
            unanswered: unanswered.map(|answer| answer.challenge.clone()).collect(),
        },
        strategy: strategy(&config.training, &config.augmentation, task)
            .into_iter()
            .chain(left_out(&work, config.training.batch_size))
            .collect(),
        training: config.training.clone(),
        teachers,
        augmentation: config.augmentation.clone(),
        training_flops: resources.training_flops(&work, n_train),
        training_work: work,
        architecture,
        answers,
        resources,
    }
}

/// What an epoch does not see; nothing where it sees all.
fn left_out(work: &TrainingWork, batch_size: usize) -> Option<String> {
    let n = work.n_train;
    let whole = || (batch_size / 2..=batch_size).rev().filter(|size| *size > 0);
    let fewer = whole().min_by_key(|size| (n % size, std::cmp::Reverse(*size)));
    let remedy = match fewer.filter(|size| work.is_left_out_much() && n % size < work.n_left_out) {
        Some(size) => format!(" training.batch_size = {size} leaves out {}.", n % size),
        None => String::new(),
    };
    (work.n_left_out > 0).then(|| {
        format!(
            "Leave out the last, incomplete batch of each epoch: {} of {n} training pictures ({:.3}), others in every \
             epoch.{remedy}",
            work.n_left_out,
            work.left_out_share()
        )
    })
}

fn in_words(plan: &ArchitecturePlan) -> String {
    let config = plan.model.config();
    let stages: Vec<String> = config
        .stages
        .iter()
        .map(|stage| {
            let halving = match config.architecture.has_max_pools() {
                true => "max pool",
                false => "stride",
            };
            format!(
                "{} x {} ({halving} {})",
                stage.blocks, stage.channels, stage.stride
            )
        })
        .collect();
    let family = match config.architecture {
        Architecture::PlainCnn => "plain CNN",
        Architecture::PooledResidualCnn => "residual CNN with max pools",
        _ => "residual CNN",
    };
    let averaging = match config.views() {
        views if views.count() > 1 => format!(", evaluated as the mean over {views}"),
        _ => String::new(),
    };
    format!(
        "{family}, stem {}, blocks {}, global average pooling, dropout {}, linear to {} \
         classes{averaging}",
        config.stem_channels,
        stages.join(", "),
        config.dropout,
        plan.model.n_classes()
    )
}

fn strategy(
    training: &TrainingConfig,
    augmentation: &AugmentationConfig,
    task: &TaskSpec,
) -> Vec<String> {
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
    let mut lines = vec![
        format!(
            "Train for at most {} epochs in batches of {}.",
            training.epochs, training.batch_size
        ),
        format!(
            "{rule} with a highest learning rate of {}, {shape}; weight decay {}.",
            optimizer.learning_rate, optimizer.weight_decay
        ),
        match &training.early_stopping {
            Some(stopping) => format!(
                "Stop when validation accuracy has not risen by more than {} for {} epochs; keep the best epoch.",
                stopping.min_delta, stopping.patience
            ),
            None => "Run all epochs; keep the best one by validation accuracy.".to_owned(),
        },
    ];
    if training.label_smoothing > 0.0 {
        lines.push(format!(
            "Smooth the labels by {}.",
            training.label_smoothing
        ));
    }
    if let Some(weights) = &training.class_weights {
        lines.push(format!("Weight the classes in the loss: {weights}."));
    }
    if let Some(gamma) = training.focal_gamma {
        lines.push(format!("Use the focal loss with an exponent of {gamma}."));
    }
    let mixing = &training.mixing;
    if !mixing.is_off() {
        let methods: Vec<String> = [
            ("mixup", mixing.mixup_alpha),
            ("CutMix", mixing.cutmix_alpha),
        ]
        .iter()
        .filter(|(_, alpha)| *alpha > 0.0)
        .map(|(method, alpha)| format!("{method} (alpha {alpha})"))
        .collect();
        lines.push(format!(
            "Mix a share of {} of the batches: {}.",
            mixing.probability,
            methods.join(" or ")
        ));
    }
    if !training.progressive_resizing.is_empty() {
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
        lines.push(format!(
            "Begin with smaller pictures, sides times {}, and end with whole ones.",
            steps.join(", ")
        ));
    }
    if let Some(path) = &training.initial_weights {
        lines.push(format!(
            "Begin with the weights of {}; a head of another shape begins anew.",
            path.display()
        ));
    }
    if let Some(teaching) = training.teaching() {
        let teachers = teaching
            .teachers
            .iter()
            .map(|path| path.display().to_string());
        let pictures = match training.progressive_resizing.is_empty() {
            true => "",
            false => " (of whole pictures)",
        };
        lines.push(format!(
            "Learn from what trained networks make of the pictures{pictures} as well as from the labels: {}; a share of {} \
             of the loss, at a temperature of {}.",
            teachers.collect::<Vec<_>>().join(", "),
            teaching.weight,
            teaching.temperature
        ));
    }
    if let Some(norm) = training.max_gradient_norm {
        lines.push(format!("Shorten gradients to a norm of {norm}."));
    }
    lines.push(match augmentation.is_off() {
        true => "No augmentation: every epoch sees the same pictures.".to_owned(),
        false => "Augment the training pictures anew in every epoch (settings below).".to_owned(),
    });
    lines.push(format!(
        "Choose on validation pictures; judge {} once on test pictures, with intervals at {}.",
        task.primary.metric.as_str().replace('_', " "),
        task.confidence
    ));
    lines
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
                "Begin with smaller pictures, sides times 0.5 until 0.25 of the epochs, 0.75 until 0.5 of \
                 the epochs, and end with whole ones.",
                "Begin with the weights of a/model.safetensors; a head of another shape begins anew.",
                "Learn from what trained networks make of the pictures (of whole pictures) as well as from the labels: a, \
                 b; a share of 0.7 of the loss, at a temperature of 3.",
                "Shorten gradients to a norm of 2.",
            ]
        );
    }

    #[test]
    fn what_an_epoch_does_not_see_has_a_line_and_a_remedy_where_it_is_much() {
        let line = |n_train, batch_size| {
            let training = TrainingConfig {
                batch_size,
                ..TrainingConfig::default()
            };
            left_out(&TrainingWork::new(&training, n_train, 10), batch_size)
        };
        insta::assert_snapshot!(line(86, 44).unwrap(), @"Leave out the last, incomplete batch of each epoch: 42 of 86 training pictures (0.488), others in every epoch. training.batch_size = 43 leaves out 0.");
        insta::assert_snapshot!(line(45_000, 128).unwrap(), @"Leave out the last, incomplete batch of each epoch: 72 of 45000 training pictures (0.002), others in every epoch.");
        assert_eq!([line(86, 43), line(86, 200)], [None, None]);
    }

    #[test]
    fn smaller_pictures_are_less_work() {
        let mut training = TrainingConfig {
            epochs: 4,
            ..TrainingConfig::default()
        };
        assert_eq!(TrainingWork::new(&training, 100, 10).mean_picture_area, 1.0);
        training.progressive_resizing = vec![ProgressiveResizing {
            until_fraction: 0.5,
            scale: 0.5,
        }];
        let work = TrainingWork::new(&training, 100, 10);
        assert_eq!(work.mean_picture_area, (2.0 * 0.25 + 2.0) / 4.0);
    }
}
