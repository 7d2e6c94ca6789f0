//! Which choice of the plan answers which challenge. An answer is derived from the settings that are on. A challenge
//! without an answer is listed with what would answer it.

use super::artifact::{ArchitecturePlan, ChallengeAnswer, PlanChoice};
use crate::config::MetricName;
use crate::stages::situation_analysis::{Challenge, Measurements};
use crate::stages::task_definition::TaskSpec;
use mlestar_data::SplitName;
use mlestar_data::augment::{AugmentationConfig, Policy};
use mlestar_data::quality::FindingKind;
use mlestar_train::TrainingConfig;

/// What answers are derived from.
pub(crate) struct Settings<'a> {
    pub(crate) architecture: &'a ArchitecturePlan,
    pub(crate) training: &'a TrainingConfig,
    pub(crate) augmentation: &'a AugmentationConfig,
    pub(crate) task: &'a TaskSpec,
    pub(crate) measurements: &'a Measurements,
}

/// The answer to every challenge, in their order.
pub(crate) fn answer_all(
    challenges: &[Challenge],
    settings: &Settings<'_>,
) -> Vec<ChallengeAnswer> {
    challenges
        .iter()
        .map(|challenge| answer(challenge, settings))
        .collect()
}

fn answer(challenge: &Challenge, settings: &Settings<'_>) -> ChallengeAnswer {
    let rule = RULES.iter().find(|rule| rule.challenge == challenge.id);
    let choices = rule.map_or_else(Vec::new, |rule| (rule.choices)(settings));
    let choices: Vec<PlanChoice> = choices.into_iter().flatten().collect();
    let suggestion = match rule {
        Some(rule) => (rule.suggestion)(settings),
        None => "No choice of this plan is known to answer it.",
    };
    ChallengeAnswer {
        challenge: challenge.id.clone(),
        title: challenge.title.clone(),
        severity: challenge.severity,
        is_answered: !choices.is_empty(),
        suggestion: choices.is_empty().then(|| suggestion.to_owned()),
        choices,
    }
}

/// What can answer a challenge.
struct Rule {
    /// The challenge's id.
    challenge: &'static str,
    /// The choices that can answer it, present where they are on.
    choices: fn(&Settings<'_>) -> Vec<Option<PlanChoice>>,
    /// What to do when none is.
    suggestion: fn(&Settings<'_>) -> &'static str,
}

/// One rule for each challenge of stage 1.
const RULES: [Rule; 18] = [
    Rule {
        challenge: "low_resolution",
        choices: |settings| vec![settings.full_resolution()],
        suggestion: |_| "Set the first stride of model.stages to 1, so that the last feature map is larger.",
    },
    Rule {
        challenge: "few_samples",
        choices: |settings| {
            vec![
                settings.crop("the model never sees an image twice at the same place"),
                settings.flip("twice as many images"),
                settings.weight_decay(),
                settings.dropout("the model cannot rely on a single feature"),
                settings.early_stopping("training ends before the model memorises images"),
                settings.pretrained("the layers have learnt from other images before"),
            ]
        },
        suggestion: |_| "augmentation.random_crop_padding = 4, training.optimizer.weight_decay = 0.0001",
    },
    Rule {
        challenge: "class_imbalance",
        choices: |settings| {
            vec![
                settings.class_minimum(),
                settings.balanced_metric(),
                settings.class_weights(),
                settings.focal_loss("easy images, which large classes have more of, count less"),
            ]
        },
        suggestion: |_| "training.class_weights = \"balanced\"",
    },
    Rule {
        challenge: "duplicates",
        choices: |settings| {
            vec![
                settings
                    .crop("copies are changed differently, so they are no longer the same image"),
                settings.flip("copies are mirrored differently"),
            ]
        },
        suggestion: |_| "Delete the duplicates that stage 1 lists, or set augmentation.random_crop_padding = 4.",
    },
    Rule {
        challenge: "leakage",
        choices: |settings| vec![settings.clean_test()],
        suggestion: |_| {
            "Delete the shared images that stage 1 lists. If they are frames of one scene and the dataset \
            has no splits of its own, set data.group_by = \"name\" (or \"folder\")."
        },
    },
    Rule {
        challenge: "cut_sequences",
        choices: |settings| vec![settings.whole_sequences()],
        suggestion: |_| {
            "If the dataset has no splits of its own, set data.group_by = \"name\" (or \"folder\"). \
            Otherwise put every sequence wholly into one of the folders train, val and test."
        },
    },
    Rule {
        challenge: "label_conflicts",
        choices: |settings| {
            vec![
                settings
                    .label_smoothing("the model does not fit a contradicted label with certainty"),
                settings.early_stopping("training ends before the model memorises wrong labels"),
            ]
        },
        suggestion: |_| "Correct the labels that stage 1 lists.",
    },
    Rule {
        challenge: "bad_exposure",
        choices: |settings| {
            vec![
                settings.brightness("the model sees dark and bright versions of every image"),
                settings.label_smoothing(
                    "the model does not fit an image that shows nothing with certainty",
                ),
            ]
        },
        suggestion: |_| "Delete the images that stage 1 lists, or set augmentation.brightness = 0.2.",
    },
    Rule {
        challenge: "label_noise",
        choices: |settings| {
            vec![
                settings.label_smoothing("the model does not fit a wrong label with certainty"),
                settings.early_stopping("training ends before the model memorises wrong labels"),
            ]
        },
        suggestion: |settings| match settings.training.focal_gamma {
            None => "training.label_smoothing = 0.1",
            Some(_) => {
                "training.early_stopping.patience = 10 (label smoothing cannot be combined with the focal loss)"
            }
        },
    },
    Rule {
        challenge: "low_separability",
        choices: |settings| {
            vec![
                settings.depth(),
                settings.pretrained("the layers tell shapes apart already"),
            ]
        },
        suggestion: |_| "Add a stage or blocks to model.stages.",
    },
    Rule {
        challenge: "confusable_classes",
        choices: |settings| {
            vec![
                settings.class_minimum(),
                settings.focal_loss("images that are hard to tell apart count more"),
            ]
        },
        suggestion: |_| "task.quality.per_class_recall_min = 0.7",
    },
    Rule {
        challenge: "intra_class_variance",
        choices: |settings| {
            vec![
                settings.crop("the model sees more variants of a class"),
                settings.flip("the model sees more variants of a class"),
                settings.brightness("the model sees more variants of a class"),
                settings.cutout("the model must recognise parts of an object"),
                settings.policy("the model sees more variants of a class"),
                settings.pretrained(
                    "the layers have seen more variants of things than these images show",
                ),
            ]
        },
        suggestion: |_| "augmentation.random_crop_padding = 4",
    },
    Rule {
        challenge: "lighting",
        choices: |settings| {
            vec![
                settings.brightness("brightness says nothing about the class"),
                settings.contrast("contrast says nothing about the class"),
                settings.policy("light says nothing about the class"),
                settings.pretrained("the layers have learnt from images in other light before"),
            ]
        },
        suggestion: |_| "augmentation.brightness = 0.2",
    },
    Rule {
        challenge: "background",
        choices: |settings| {
            vec![
                settings.crop("the background moves and is partly cut off"),
                settings.cutout("parts of object and background are hidden in turn"),
                settings
                    .pretrained("the layers have learnt from images with other backgrounds before"),
            ]
        },
        suggestion: |_| "augmentation.random_crop_padding = 4",
    },
    Rule {
        challenge: "object_position",
        choices: |settings| {
            vec![
                settings.crop("the model sees objects at more places"),
                settings.pooling(),
            ]
        },
        suggestion: |_| "augmentation.random_crop_padding = 4",
    },
    Rule {
        challenge: "grey_pictures",
        choices: |settings| {
            vec![
                settings.saturation(),
                settings.policy("the model cannot rely on colour"),
                settings.pretrained("the layers have learnt from grey and coloured images before"),
            ]
        },
        suggestion: |_| "augmentation.saturation = 0.3",
    },
    Rule {
        challenge: "many_classes",
        choices: |settings| vec![settings.features()],
        suggestion: |_| "More channels in the last of model.stages.",
    },
    Rule {
        challenge: "small_evaluation",
        choices: |settings| vec![settings.intervals()],
        suggestion: |_| "evaluation.confidence = 0.95",
    },
];

fn choice(holds: bool, what: &str, value: impl ToString, how: &str) -> Option<PlanChoice> {
    holds.then(|| PlanChoice {
        what: what.to_owned(),
        value: value.to_string(),
        how: how.to_owned(),
    })
}

impl Settings<'_> {
    fn crop(&self, how: &str) -> Option<PlanChoice> {
        let padding = self.augmentation.random_crop_padding;
        let [least, most] = self.augmentation.random_resized_crop_scale;
        let by_padding = choice(
            padding > 0,
            "augmentation.random_crop_padding",
            padding,
            how,
        );
        by_padding.or_else(|| {
            choice(
                least < 1.0,
                "augmentation.random_resized_crop_scale",
                format!("[{least}, {most}]"),
                how,
            )
        })
    }

    /// Both policies change brightness, contrast and colour, among others.
    fn policy(&self, how: &str) -> Option<PlanChoice> {
        let value = match self.augmentation.policy {
            Policy::None => return None,
            Policy::TrivialAugmentWide => "trivial-augment-wide",
            Policy::RandAugment => "rand-augment",
        };
        choice(true, "augmentation.policy", value, how)
    }

    fn pretrained(&self, how: &str) -> Option<PlanChoice> {
        let weights = self.training.initial_weights.as_ref()?;
        choice(
            self.training.finetune.is_some(),
            "training.finetune",
            format!("of {}", weights.display()),
            how,
        )
    }

    fn flip(&self, how: &str) -> Option<PlanChoice> {
        let probability = self.augmentation.horizontal_flip_probability;
        choice(
            probability > 0.0,
            "augmentation.horizontal_flip_probability",
            probability,
            how,
        )
    }

    fn brightness(&self, how: &str) -> Option<PlanChoice> {
        let width = self.augmentation.brightness;
        choice(width > 0.0, "augmentation.brightness", width, how)
    }

    fn contrast(&self, how: &str) -> Option<PlanChoice> {
        let width = self.augmentation.contrast;
        choice(width > 0.0, "augmentation.contrast", width, how)
    }

    fn saturation(&self) -> Option<PlanChoice> {
        let width = self.augmentation.saturation;
        choice(
            width > 0.0,
            "augmentation.saturation",
            width,
            "the model cannot rely on colour",
        )
    }

    fn cutout(&self, how: &str) -> Option<PlanChoice> {
        let side = self.augmentation.cutout_size;
        choice(side > 0, "augmentation.cutout_size", side, how)
    }

    fn weight_decay(&self) -> Option<PlanChoice> {
        let decay = self.training.optimizer.weight_decay;
        let how = "weights stay small, so the model does not memorise single images";
        choice(decay > 0.0, "training.optimizer.weight_decay", decay, how)
    }

    fn label_smoothing(&self, how: &str) -> Option<PlanChoice> {
        let share = self.training.label_smoothing;
        choice(share > 0.0, "training.label_smoothing", share, how)
    }

    fn early_stopping(&self, how: &str) -> Option<PlanChoice> {
        let stopping = self.training.early_stopping.as_ref()?;
        // A patience as long as the training never stops anything.
        let can_stop = stopping.patience < self.training.epochs;
        choice(
            can_stop,
            "training.early_stopping.patience",
            stopping.patience,
            how,
        )
    }

    fn dropout(&self, how: &str) -> Option<PlanChoice> {
        let probability = self.architecture.model.config().dropout;
        choice(probability > 0.0, "model.dropout", probability, how)
    }

    fn class_minimum(&self) -> Option<PlanChoice> {
        let minimum = self.task.quality.per_class_recall_min;
        let how = "the gate of stage 5 requires it of every class";
        choice(
            minimum > 0.0,
            "task.quality.per_class_recall_min",
            minimum,
            how,
        )
    }

    fn balanced_metric(&self) -> Option<PlanChoice> {
        let metric = self.task.primary.metric;
        let how = "every class counts the same in the metric that decides";
        choice(
            metric == MetricName::BalancedAccuracy,
            "task.primary.name",
            metric,
            how,
        )
    }

    fn class_weights(&self) -> Option<PlanChoice> {
        let weights = self.training.class_weights.as_ref()?;
        let how = "images of small classes count more in the loss";
        choice(true, "training.class_weights", weights, how)
    }

    fn focal_loss(&self, how: &str) -> Option<PlanChoice> {
        let gamma = self.training.focal_gamma?;
        choice(true, "training.focal_gamma", gamma, how)
    }

    /// Sequences that are cut between training and validation do not falsify the result.
    fn whole_sequences(&self) -> Option<PlanChoice> {
        let n_cut = self
            .measurements
            .n_findings_in(&[FindingKind::CutSequence], SplitName::Test);
        let n_test = self.measurements.n_pictures(SplitName::Test);
        let how = "the test images are from sequences that no earlier split has";
        choice(
            n_test > 0 && n_cut == 0,
            "test split",
            format!("{n_cut} of {n_test} from a cut sequence"),
            how,
        )
    }

    /// Leaks that only touch validation do not falsify the result.
    fn clean_test(&self) -> Option<PlanChoice> {
        let kinds = [FindingKind::Leakage, FindingKind::NearLeakage];
        let n_leaked = self.measurements.n_findings_in(&kinds, SplitName::Test);
        let n_test = self.measurements.n_pictures(SplitName::Test);
        let how = "the result is measured on test images that no earlier split has; only the choices made \
            on validation images are slightly too optimistic";
        choice(
            n_test > 0 && n_leaked == 0,
            "test split",
            format!("{n_leaked} of {n_test} shared"),
            how,
        )
    }

    fn full_resolution(&self) -> Option<PlanChoice> {
        let [height, width] = self.architecture.last_map;
        let how = "the first convolution has stride 1, and the last feature map still has this size before pooling";
        choice(
            height.min(width) >= 2,
            "last feature map of model.stages",
            format!("{height} x {width}"),
            how,
        )
    }

    /// Positions that see half of the image or more can recognise shapes.
    fn depth(&self) -> Option<PlanChoice> {
        let plan = self.architecture;
        let side = plan.model.height().min(plan.model.width());
        let value = format!(
            "{} convolutions that see {} of {side} pixels",
            plan.n_convolutions,
            plan.receptive_field_pixels.min(side)
        );
        let how = "features of the last layer describe shapes, not colours at places";
        choice(
            2 * plan.receptive_field_pixels >= side,
            "depth of model.stages",
            value,
            how,
        )
    }

    fn features(&self) -> Option<PlanChoice> {
        let (features, classes) = (
            self.architecture.n_features,
            self.architecture.model.n_classes(),
        );
        let how = "at least one feature per class enters the linear layer";
        choice(
            features >= classes,
            "features of model.stages",
            features,
            how,
        )
    }

    fn pooling(&self) -> Option<PlanChoice> {
        let [height, width] = self.architecture.last_map;
        let how = "the mean over all places does not depend on where the object is";
        choice(
            height * width > 1,
            "global average pooling over",
            format!("{height} x {width} places"),
            how,
        )
    }

    fn intervals(&self) -> Option<PlanChoice> {
        let confidence = self.task.confidence;
        let how = "gates on proportions judge the interval: too few images give INCONCLUSIVE, not a false PASS";
        choice(confidence >= 0.9, "evaluation.confidence", confidence, how)
    }
}

#[cfg(test)]
mod tests {
    use super::super::receptive_field;
    use super::super::testing::{challenges, measurements, task_spec};
    use super::*;
    use mlestar_model::ModelConfig;
    use mlestar_train::{ClassWeights, EarlyStoppingConfig, OptimizerConfig};

    fn answers(
        change: impl FnOnce(&mut TrainingConfig, &mut AugmentationConfig),
    ) -> Vec<ChallengeAnswer> {
        let mut training = TrainingConfig {
            optimizer: OptimizerConfig {
                weight_decay: 0.0,
                ..OptimizerConfig::default()
            },
            ..TrainingConfig::default()
        };
        let mut augmentation = AugmentationConfig::default();
        change(&mut training, &mut augmentation);
        let measurements = measurements();
        let architecture = receptive_field::plan(&ModelConfig::small().check(4, 32, 32).unwrap());
        let settings = Settings {
            architecture: &architecture,
            training: &training,
            augmentation: &augmentation,
            task: &task_spec(),
            measurements: &measurements,
        };
        answer_all(&challenges(&measurements), &settings)
    }

    fn is_answered(answers: &[ChallengeAnswer], id: &str) -> bool {
        let found: Vec<_> = answers
            .iter()
            .filter(|answer| answer.challenge == id)
            .collect();
        assert_eq!(found.len(), 1, "{id}");
        assert_eq!(found[0].is_answered, !found[0].choices.is_empty());
        assert_eq!(found[0].is_answered, found[0].suggestion.is_none());
        found[0].is_answered
    }

    #[test]
    fn settings_that_are_off_answer_nothing() {
        let answers = answers(|_, _| {});
        for id in [
            "few_samples",
            "lighting",
            "background",
            "intra_class_variance",
            "duplicates",
            "label_noise",
        ] {
            assert!(!is_answered(&answers, id), "{id}");
        }
        for id in [
            "low_resolution",
            "low_separability",
            "class_imbalance",
            "small_evaluation",
        ] {
            assert!(is_answered(&answers, id), "{id}");
        }
    }

    #[test]
    fn class_weights_and_the_focal_loss_answer_imbalance() {
        let choices = |change: fn(&mut TrainingConfig)| -> Vec<String> {
            let answers = answers(|training, _| change(training));
            let found = answers
                .into_iter()
                .find(|found| found.challenge == "class_imbalance");
            found
                .unwrap()
                .choices
                .into_iter()
                .map(|choice| choice.what)
                .collect()
        };
        let minimum = "task.quality.per_class_recall_min".to_owned();
        assert_eq!(choices(|_| {}), std::slice::from_ref(&minimum));
        assert_eq!(
            choices(|training| training.class_weights = Some(ClassWeights::Balanced)),
            [minimum.clone(), "training.class_weights".into()]
        );
        assert_eq!(
            choices(|training| training.focal_gamma = Some(2.0)),
            [minimum, "training.focal_gamma".into()]
        );
    }

    #[test]
    fn each_setting_answers_what_it_helps_with() {
        let cropped = answers(|_, augmentation| augmentation.random_crop_padding = 4);
        for id in [
            "few_samples",
            "background",
            "intra_class_variance",
            "duplicates",
        ] {
            assert!(is_answered(&cropped, id), "{id}");
        }
        assert!(!is_answered(&cropped, "lighting"));
        let jittered = answers(|_, augmentation| augmentation.contrast = 0.2);
        assert!(is_answered(&jittered, "lighting"));
        let patient = |patience| {
            let answers = answers(|training, _| {
                training.early_stopping = Some(EarlyStoppingConfig {
                    patience,
                    ..EarlyStoppingConfig::default()
                });
            });
            is_answered(&answers, "label_noise")
        };
        assert_eq!((patient(10), patient(100)), (true, false));
    }

    #[test]
    fn every_detected_challenge_has_rules() {
        for answer in answers(|_, _| {}) {
            let suggestion = answer.suggestion.unwrap_or_default();
            assert!(!suggestion.starts_with("No choice"), "{}", answer.challenge);
        }
    }
}
