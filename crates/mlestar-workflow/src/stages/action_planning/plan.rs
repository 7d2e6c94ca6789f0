//! Puts the plan together.

use super::answers::{Settings, answer_all};
use super::artifact::{ActionPlan, ArchitecturePlan, PlanSummary};
use super::receptive_field;
use super::strategy::strategy;
use crate::config::Config;
use crate::estimates::{ResourceFigures, TrainingWork, n_held};
use crate::stages::situation_analysis::SituationAnalysis;
use crate::stages::task_definition::TaskSpec;
use mlestar_data::SplitName;
use mlestar_model::{Attention, ModelSpec};

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
    let n_held = n_held(&config.data, found.n_all(), model);
    let resources = ResourceFigures::of(model, &config.training, &teachers, n_train, n_held);
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

/// What an epoch leaves out; nothing where it sees all images.
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
            "Leave out the last, incomplete batch of each epoch: {} of {n} training images ({:.3}), other \
            ones in every epoch.{remedy}",
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
            let halving = config.architecture.reduced_by();
            format!(
                "{} x {} ({halving} {})",
                stage.blocks, stage.channels, stage.stride
            )
        })
        .collect();
    let family = config.architecture.name();
    let averaging = match config.views() {
        views if views.count() > 1 => format!(", evaluated as the mean over {views}"),
        _ => String::new(),
    };
    let attention = match config.attention {
        Attention::None => "",
        Attention::SqueezeExcitation => " with squeeze-and-excitation",
        Attention::Spatial => " with spatial attention",
    };
    format!(
        "{family}, stem {}, blocks {}{attention}, global average pooling, dropout {}, linear to {} \
         classes{averaging}",
        config.stem_channels,
        stages.join(", "),
        config.dropout,
        plan.model.n_classes()
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use mlestar_train::{ProgressiveResizing, TrainingConfig};

    #[test]
    fn what_an_epoch_does_not_see_has_a_line_and_a_remedy_where_it_is_much() {
        let line = |n_train, batch_size| {
            let training = TrainingConfig {
                batch_size,
                ..TrainingConfig::default()
            };
            left_out(&TrainingWork::new(&training, n_train, 10), batch_size)
        };
        insta::assert_snapshot!(line(86, 44).unwrap(), @"Leave out the last, incomplete batch of each epoch: 42 of 86 training images (0.488), other ones in every epoch. training.batch_size = 43 leaves out 0.");
        insta::assert_snapshot!(line(45_000, 128).unwrap(), @"Leave out the last, incomplete batch of each epoch: 72 of 45000 training images (0.002), other ones in every epoch.");
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
