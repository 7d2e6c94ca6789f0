//! What decides the values of trials.

use crate::config::{Config, RawConfig};
use crate::inputs::{InputChange, compare};
use crate::{Stage, WorkflowError, code_version};
use mlestar_artifact::ContentHash;
use mlestar_data::ImageSet;
use mlestar_train::checkpoint::hash_of_set;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What decides the results of trainings besides their config: content by hash, and the program.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Decisive {
    /// Version of the code that trains.
    pub code: String,
    /// The training images, with the config's own preparation.
    pub train: ContentHash,
    /// The validation images.
    pub validation: ContentHash,
    /// The file with the initial weights.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub initial_weights: Option<ContentHash>,
    /// The weights of the teachers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub teachers: Vec<ContentHash>,
}

impl Decisive {
    /// For trainings by the code of `stage`.
    pub(crate) fn of(
        config: &Config,
        [train, validation]: [&ImageSet; 2],
        stage: Stage,
    ) -> Result<Self, WorkflowError> {
        let weights = config.training.initial_weights.as_ref();
        let teaching = config.training.teaching();
        Ok(Self {
            code: code_version(stage).to_owned(),
            train: hash_of_set(train),
            validation: hash_of_set(validation),
            initial_weights: weights.map(|file| ContentHash::of_file(file)).transpose()?,
            teachers: teaching
                .map(|teaching| teaching.hashes())
                .transpose()?
                .unwrap_or_default(),
        })
    }

    /// What differs, in words; empty where nothing does.
    pub(crate) fn differences(&self, now: &Self) -> Vec<&'static str> {
        [
            (
                self.code != now.code,
                "the program that trains is another version",
            ),
            (self.train != now.train, "the training images differ"),
            (
                self.validation != now.validation,
                "the validation images differ",
            ),
            (
                self.initial_weights != now.initial_weights,
                "the initial weights differ",
            ),
            (self.teachers != now.teachers, "the teachers differ"),
        ]
        .into_iter()
        .filter_map(|(differs, what)| differs.then_some(what))
        .collect()
    }
}

/// Sections and keys of a config that cannot change the value of a trial. What a path leads to counts by its content.
const WITHOUT_EFFECT: [&str; 21] = [
    "/project",
    "/data/path",
    "/data/cache",
    "/data/memory_limit_mib",
    "/faults",
    "/task",
    "/evaluation",
    "/deployment",
    "/gates",
    "/refinement/enabled",
    "/refinement/trials",
    "/refinement/proposals",
    "/refinement/finalists",
    "/refinement/seeds",
    "/refinement/retrain_with_validation",
    "/training/epochs",
    "/training/initial_weights",
    "/training/distillation/teachers",
    "/training/checkpoint_every_epochs",
    "/training/checkpoint_every_minutes",
    "/training/keep_checkpoints",
];

/// The settings that decide the values of trials.
pub(super) fn settings(config: &RawConfig) -> Value {
    let mut value = serde_json::to_value(config).unwrap_or_default();
    for pointer in WITHOUT_EFFECT {
        let (parent, key) = pointer.rsplit_once('/').unwrap_or_default();
        let parent = match parent {
            "" => Some(&mut value),
            parent => value.pointer_mut(parent),
        };
        if let Some(table) = parent.and_then(Value::as_object_mut) {
            table.remove(key);
        }
    }
    value
}

/// The deciding settings in which two configs differ.
pub(super) fn changes(before: &RawConfig, now: &RawConfig) -> Vec<InputChange> {
    let mut found = Vec::new();
    compare("", &settings(before), &settings(now), &mut found);
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Override;

    #[test]
    fn only_what_decides_a_trial_is_a_change() {
        let config = Config::default();
        let whole = serde_json::to_value(&*config).unwrap();
        for pointer in WITHOUT_EFFECT {
            let optional = ["/training/distillation/teachers"];
            let is_there = whole.pointer(pointer).is_some() || optional.contains(&pointer);
            assert!(is_there, "{pointer} is no key");
        }
        let with = |set: &str| {
            let set = Override::parse(set).unwrap();
            config.with_overrides(&[set]).unwrap()
        };
        for set in ["refinement.trials=7", "gates.evaluation.on_failure='stop'"] {
            assert_eq!(changes(&config, &with(set)), [], "{set}");
        }
        for set in [
            "refinement.window=2",
            "refinement.epochs_per_trial=3",
            "seed=1",
            "model.dropout=0.1",
        ] {
            assert_eq!(changes(&config, &with(set)).len(), 1, "{set}");
        }
    }
}
