//! Augmentation policies to compare.

use super::Idea;
use super::estimate::Rule;
use crate::config::{Config, RawConfig};
use crate::stages::implementation::TrainingSummary;
use mlestar_data::augment::{AugmentationConfig, FlipMode, Policy};
use mlestar_train::config::MixingConfig;

/// From this side on an image is cropped and resized instead of shifted.
const LARGE_SIDE: usize = 64;

/// The policies, each as a change of the config: none at all, a common light one, and one more operation on top of the
/// config's own.
pub(super) fn ideas(config: &Config, training: &TrainingSummary) -> Vec<Idea> {
    let side = training.model.height().min(training.model.width());
    let rule = |of_gap: f64, of_unlearned: f64| Rule {
        of_gap,
        of_unlearned,
    };
    let policy = |policy| move |config: &mut RawConfig| config.augmentation.policy = policy;
    let idea = |name, rule, change: &dyn Fn(&mut RawConfig)| Idea::new(name, rule, config, change);
    vec![
        idea("no augmentation", rule(-0.5, 0.25), &|config| {
            config.augmentation = AugmentationConfig::default();
            config.training.mixing = MixingConfig::default();
        }),
        idea("crop, flip and colours", rule(0.3, -0.05), &|config| {
            config.augmentation = light(side);
            config.training.mixing = MixingConfig::default();
        }),
        idea(
            "TrivialAugment",
            rule(0.35, -0.25),
            &policy(Policy::TrivialAugmentWide),
        ),
        idea(
            "RandAugment",
            rule(0.35, -0.3),
            &policy(Policy::RandAugment),
        ),
        idea("mixup", rule(0.25, -0.1), &|config| {
            config.training.mixing.mixup_alpha = 0.2;
        }),
        idea("CutMix", rule(0.35, -0.25), &|config| {
            config.training.mixing.cutmix_alpha = 1.0;
        }),
        idea("cutout", rule(0.25, -0.1), &|config| {
            config.augmentation.cutout_size = side / 2;
        }),
        idea("random erasing", rule(0.2, -0.1), &|config| {
            config.augmentation.random_erasing_probability = 0.25;
        }),
        idea("TrivialAugment and CutMix", rule(0.5, -0.4), &|config| {
            config.augmentation.policy = Policy::TrivialAugmentWide;
            config.training.mixing.cutmix_alpha = 1.0;
        }),
    ]
}

/// What most recipes begin with: a moved or resized crop, mirror images, some brightness and contrast.
fn light(side: usize) -> AugmentationConfig {
    let crop = match side < LARGE_SIDE {
        true => AugmentationConfig {
            random_crop_padding: side / 8,
            ..AugmentationConfig::default()
        },
        false => AugmentationConfig {
            random_resized_crop_scale: [0.35, 1.0],
            ..AugmentationConfig::default()
        },
    };
    AugmentationConfig {
        horizontal_flip_probability: 0.5,
        horizontal_flip_mode: FlipMode::Random,
        brightness: 0.2,
        contrast: 0.2,
        ..crop
    }
}
