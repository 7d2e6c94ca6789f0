//! Losses that make weak classes count more, or answers less sure.

use super::Idea;
use super::estimate::Rule;
use crate::config::{Config, RawConfig};
use crate::stages::evaluation::EvaluationResults;
use mlestar_train::config::ClassWeights;

/// Classes whose numbers of images differ by this factor are out of balance.
const OUT_OF_BALANCE: f64 = 1.5;

/// Weights of the classes where their numbers differ; a focal loss for hard images.
pub(super) fn for_weak_classes(config: &Config, results: &EvaluationResults) -> Vec<Idea> {
    let counts = results.summary.per_class.iter().map(|class| class.support);
    let (least, most) = counts.fold((u64::MAX, 0), |(least, most), n| {
        (least.min(n), most.max(n))
    });
    let idea = |name, change: &dyn Fn(&mut RawConfig)| {
        let rule = Rule {
            of_gap: 0.0,
            of_unlearned: 0.05,
        };
        Idea::new(name, rule, config, change)
    };
    let mut ideas = vec![idea("focal loss", &|config| {
        config.training.focal_gamma = Some(2.0);
    })];
    if most as f64 > OUT_OF_BALANCE * least.max(1) as f64 {
        ideas.push(idea("class weights", &|config| {
            config.training.class_weights = Some(ClassWeights::Balanced);
        }));
    }
    ideas
}

/// Smoothed labels.
pub(super) fn for_overconfidence(config: &Config) -> Vec<Idea> {
    let rule = Rule {
        of_gap: 0.15,
        of_unlearned: 0.0,
    };
    let smoothed = Idea::new("label smoothing", rule, config, |config| {
        config.training.label_smoothing = 0.1;
    });
    match config.training.label_smoothing == 0.0 {
        true => vec![smoothed],
        false => Vec::new(),
    }
}
