//! Checks of ranges, and of sections that depend on each other.

use std::fmt::Display;

use mlestar_data::{DataConfig, DataError, SourceKind};
use mlestar_gates::Criterion;
use mlestar_tune::{ParameterSpace, ParameterValue, Pruner, StudyConfig, TuneError};

use super::document::{Document, nearest_name};
use super::effects::{not_comparable, without_effect};
use super::{
    Config, ConfigError, CriterionSetting, Objective, OnFailure, Override, RawConfig,
    RefinementConfig, project, toml_value,
};
use crate::Stage;

/// Sections whose keys may be searched.
const SEARCHABLE: [&str; 4] = ["data", "model", "augmentation", "training"];

pub(super) fn check(raw: &RawConfig, document: &Document<'_>) -> Result<(), ConfigError> {
    check_values(raw, document)?;
    let config = Config {
        sections: raw.clone(),
    };
    check_space(&config, document)?;
    Stage::ALL
        .into_iter()
        .try_for_each(|stage| check_gate(&config, stage, document))
}

pub(super) fn check_values(raw: &RawConfig, document: &Document<'_>) -> Result<(), ConfigError> {
    check_project(raw, document)?;
    check_data_and_model(raw, document)?;
    check_task(raw, document)?;
    check_evaluation_and_deployment(raw, document)?;
    check_refinement(raw, document)
}

fn check_project(raw: &RawConfig, document: &Document<'_>) -> Result<(), ConfigError> {
    let require = Require { document };
    require.that(
        i64::try_from(raw.seed).is_ok(),
        "seed",
        raw.seed,
        "0 to 9223372036854775807, the largest number in TOML",
    )?;
    require.that(
        project::is_folder_name(&raw.project.name),
        "project.name",
        format!("{:?}", raw.project.name),
        project::FOLDER_NAME_LIMITS,
    )
}

/// The sections of other crates, which check themselves.
fn check_data_and_model(raw: &RawConfig, document: &Document<'_>) -> Result<(), ConfigError> {
    let invalid = |section: &str, message: String| invalid(document, section, message);
    raw.data.check().map_err(|error| match error {
        DataError::MissingSetting { .. } => {
            invalid("data", format!("{error}; name it with --data FOLDER"))
        }
        error => invalid("data", error.to_string()),
    })?;
    raw.data
        .synthetic
        .check()
        .map_err(|error| invalid("data", error.to_string()))?;
    let assumed = AssumedPictures::of(&raw.data);
    raw.augmentation
        .check(assumed.height, assumed.width)
        .map_err(|error| invalid("augmentation", error.to_string()))?;
    raw.model
        .check(assumed.n_classes, assumed.height, assumed.width)
        .map_err(|error| invalid("model", error.to_string()))?;
    raw.training
        .check()
        .map(drop)
        .map_err(|error| invalid("training", error.to_string()))
}

/// What is known about the images before they are read. For a folder, later checks know more; these must not refuse
/// settings that could be right.
struct AssumedPictures {
    n_classes: usize,
    height: usize,
    width: usize,
}

impl AssumedPictures {
    fn of(data: &DataConfig) -> Self {
        let [height, width] = match (data.source, data.image_size) {
            (SourceKind::Folder | SourceKind::Manifest, Some(size)) => size,
            (SourceKind::Folder | SourceKind::Manifest, None) => [64, 64],
            _ => [32, 32],
        };
        let n_classes = match data.source {
            SourceKind::Cifar100 => 100,
            SourceKind::Folder | SourceKind::Manifest => 2,
            SourceKind::Cifar10 | SourceKind::Synthetic => 10,
        };
        Self {
            n_classes,
            height,
            width,
        }
    }
}

/// Adds the section to a key that another crate named without it, and finds its line.
fn invalid(document: &Document<'_>, section: &str, message: String) -> ConfigError {
    let message = match message.starts_with(&format!("{section}.")) {
        true => message,
        false => format!("{section}.{message}"),
    };
    let key = message.split_whitespace().next().unwrap_or(section);
    ConfigError::Invalid {
        place: document.place_of(key.trim_matches(['`', ',', ':'])),
        message,
    }
}

fn check_task(raw: &RawConfig, document: &Document<'_>) -> Result<(), ConfigError> {
    let require = Require { document };
    let task = &raw.task;
    require.that(
        !task.target_variable.trim().is_empty(),
        "task.target_variable",
        format!("{:?}", task.target_variable),
        "a name, for example \"class_label\"",
    )?;
    require.fraction("task.primary.target", task.primary.target)?;
    for (metric, target) in task.secondary.iter() {
        require.fraction(&format!("task.secondary.{metric}"), target)?;
    }
    for (key, value) in [
        (
            "training_time_seconds_max",
            task.constraints.training_time_seconds_max,
        ),
        (
            "inference_latency_ms_max",
            task.constraints.inference_latency_ms_max,
        ),
    ] {
        let key = format!("task.constraints.{key}");
        require.that(
            value.is_finite() && value > 0.0,
            &key,
            value,
            "above 0 and finite",
        )?;
    }
    for (key, value) in [
        ("model_bytes_max", task.constraints.model_bytes_max),
        ("memory_bytes_max", task.constraints.memory_bytes_max),
    ] {
        let fits = value >= 1 && i64::try_from(value).is_ok();
        require.that(
            fits,
            &format!("task.constraints.{key}"),
            value,
            "at least 1",
        )?;
    }
    for (key, value) in [
        (
            "validation_accuracy_min",
            task.quality.validation_accuracy_min,
        ),
        ("overfitting_gap_max", task.quality.overfitting_gap_max),
        ("per_class_recall_min", task.quality.per_class_recall_min),
    ] {
        require.fraction(&format!("task.quality.{key}"), value)?;
    }
    Ok(())
}

fn check_evaluation_and_deployment(
    raw: &RawConfig,
    document: &Document<'_>,
) -> Result<(), ConfigError> {
    let require = Require { document };
    let confidence = raw.evaluation.confidence;
    require.that(
        confidence > 0.0 && confidence < 1.0,
        "evaluation.confidence",
        confidence,
        "above 0 and below 1",
    )?;
    require.count(
        "evaluation.cross_validation_repeats",
        raw.evaluation.cross_validation_repeats.unwrap_or_default(),
        0,
        100,
    )?;
    require.count(
        "evaluation.batch_size",
        raw.evaluation.batch_size,
        1,
        65_536,
    )?;
    let rate = raw.deployment.confidence.false_alarm_rate;
    require.that(
        (0.0..=0.5).contains(&rate),
        "deployment.confidence.false_alarm_rate",
        rate,
        "0 to 0.5",
    )?;
    let benchmark = &raw.deployment.benchmark;
    require.count(
        "deployment.benchmark.latency_runs",
        benchmark.latency_runs,
        10,
        100_000,
    )?;
    let sizes = &benchmark.throughput_batch_sizes;
    require.that(
        (1..=16).contains(&sizes.len()) && sizes.iter().all(|size| (1..=4096).contains(size)),
        "deployment.benchmark.throughput_batch_sizes",
        format!("{sizes:?}"),
        "1 to 16 sizes, each 1 to 4096",
    )?;
    let difference = raw.deployment.parity.max_abs_difference;
    require.that(
        difference > 0.0 && difference <= 1.0,
        "deployment.parity.max_abs_difference",
        difference,
        "above 0 and at most 1",
    )
}

fn check_refinement(raw: &RawConfig, document: &Document<'_>) -> Result<(), ConfigError> {
    let require = Require { document };
    let refinement = &raw.refinement;
    require.count("refinement.trials", refinement.trials, 1, 100_000)?;
    require.count(
        "refinement.startup_trials",
        refinement.startup_trials,
        1,
        100_000,
    )?;
    require.count(
        "refinement.epochs_per_trial",
        refinement.epochs_per_trial,
        1,
        10_000,
    )?;
    require.count("refinement.proposals", refinement.proposals, 0, 1_000)?;
    require.count("refinement.finalists", refinement.finalists, 1, 100)?;
    require.count("refinement.seeds", refinement.seeds, 0, 100)?;
    require.that(
        refinement.warmup_epochs <= 10_000,
        "refinement.warmup_epochs",
        refinement.warmup_epochs,
        "0 to 10000",
    )?;
    check_study(refinement, document)?;
    let fraction = refinement.train_fraction_per_trial;
    require.that(
        fraction > 0.0 && fraction <= 1.0,
        "refinement.train_fraction_per_trial",
        fraction,
        "above 0 and at most 1",
    )?;
    refinement.space.check().map_err(|error| {
        let mut path = vec!["refinement".to_owned(), "space".to_owned()];
        if let TuneError::BadParameter { key, .. } = &error {
            path.push(key.clone());
        }
        ConfigError::Invalid {
            place: document.place(&path),
            message: format!("refinement.space: {error}"),
        }
    })
}

/// Sampler, pruner, window and objectives, which depend on each other.
fn check_study(refinement: &RefinementConfig, document: &Document<'_>) -> Result<(), ConfigError> {
    let require = Require { document };
    require.count("refinement.window", refinement.window, 1, 1000)?;
    let objectives = &refinement.objectives;
    let names: Vec<&str> = objectives
        .iter()
        .map(|objective| objective.name())
        .collect();
    let are_distinct = (1..names.len()).all(|at| !names[..at].contains(&names[at]));
    require.that(
        !objectives.is_empty() && are_distinct,
        "refinement.objectives",
        format!("{names:?}"),
        &format!(
            "at least one of {}, each once",
            Objective::ALL.map(Objective::name).join(", ")
        ),
    )?;
    // The rest of the study's settings are checked elsewhere.
    let study = StudyConfig {
        sampler: refinement.sampler,
        pruner: refinement.pruner,
        directions: objectives
            .iter()
            .map(|objective| objective.direction())
            .collect(),
        space: refinement.space.clone(),
        ..StudyConfig::default()
    };
    if let Err(TuneError::OutOfRange { key, value, limits }) = study.check() {
        return Err(ConfigError::OutOfRange {
            place: document.place_of(&format!(
                "refinement.{}",
                key.split('.').next().unwrap_or(key)
            )),
            key: format!("refinement.{key}"),
            value,
            limits: limits.to_owned(),
        });
    }
    require.that(
        refinement.pruner == Pruner::None || objectives[0].is_known_during_training(),
        "refinement.pruner",
        "set",
        &format!(
            "\"none\" with the objective {}, which has no value during a trial",
            names[0]
        ),
    )?;
    if let Pruner::Halving { last, .. } = refinement.pruner {
        require.that(
            last == refinement.epochs_per_trial as u64,
            "refinement.pruner.halving.last",
            last,
            &format!(
                "refinement.epochs_per_trial, which is {}",
                refinement.epochs_per_trial
            ),
        )?;
    }
    Ok(())
}

/// Stage 6 loads the images once, has no paused trials, and compares accuracies.
pub(super) fn check_search_in_one_process(config: &Config) -> Result<(), ConfigError> {
    let refinement = &config.refinement;
    let of_data = refinement
        .space
        .iter()
        .find(|(key, _)| key.starts_with("data."));
    let what = match (of_data, refinement.pruner) {
        (Some((key, _)), _) => format!("`refinement.space` searches `{key}`"),
        (None, Pruner::Halving { .. }) => "`refinement.pruner` is halving".to_owned(),
        _ if refinement.objectives != [Objective::Accuracy] => {
            let names = refinement
                .objectives
                .iter()
                .map(|objective| objective.name());
            format!("`refinement.objectives` is {:?}", names.collect::<Vec<_>>())
        }
        _ => return Ok(()),
    };
    Err(ConfigError::Invalid {
        place: "config".into(),
        message: format!(
            "{what}, which stage 6 cannot do: search with `mlestar tune`, then run its optimized.toml, or set \
             refinement.enabled = false"
        ),
    })
}

/// Every key of the space must be a key of the config, and the config must accept every value that the search may
/// suggest.
fn check_space(config: &Config, document: &Document<'_>) -> Result<(), ConfigError> {
    for (key, space) in config.refinement.space.iter() {
        let path = ["refinement", "space", key].map(str::to_owned);
        let section = key.split('.').next().unwrap_or_default();
        if !SEARCHABLE.contains(&section) {
            return Err(ConfigError::Invalid {
                place: document.place(&path),
                message: format!(
                    "`refinement.space` searches `{key}`, but only keys of {} can be searched",
                    SEARCHABLE.join(", ")
                ),
            });
        }
        for value in extremes(space) {
            let set = Override::new(key, toml_value(&value))?;
            try_override(config, &set).map_err(|error| ConfigError::Invalid {
                place: document.place(&path),
                message: format!(
                    "`refinement.space` may set {key} = {value}: {}",
                    without_place(&error)
                ),
            })?;
        }
        if let Some(reason) = not_comparable(key) {
            return Err(ConfigError::Invalid {
                place: document.place(&path),
                message: format!("`refinement.space` searches `{key}`, but {reason}"),
            });
        }
        if let Some(reason) = without_effect(config, key) {
            return Err(ConfigError::Invalid {
                place: document.place(&path),
                message: format!(
                    "`refinement.space` searches `{key}`, which has no effect: {reason}"
                ),
            });
        }
    }
    Ok(())
}

fn extremes(space: &ParameterSpace) -> Vec<ParameterValue> {
    match space {
        ParameterSpace::Float { low, high, .. } => {
            vec![ParameterValue::Float(*low), ParameterValue::Float(*high)]
        }
        ParameterSpace::Int { low, high, .. } => {
            vec![ParameterValue::Int(*low), ParameterValue::Int(*high)]
        }
        ParameterSpace::Categorical { choices, .. } => choices.clone(),
    }
}

/// Whether the config is valid with one more key set. Search spaces and returns are not followed: they are what is
/// being checked.
fn try_override(config: &Config, set: &Override) -> Result<(), ConfigError> {
    let text = config.to_toml()?;
    let overrides = std::slice::from_ref(set);
    let document = Document::parse(&text, "config", overrides)?;
    check_values(&document.read()?, &document)
}

/// The message without the place, which the caller knows better.
fn without_place(error: &ConfigError) -> String {
    match error {
        ConfigError::UnknownKey { key, advice, .. } => format!("unknown key `{key}`; {advice}"),
        ConfigError::WrongType { key, message, .. } => format!("`{key}`: {message}"),
        ConfigError::OutOfRange {
            key, value, limits, ..
        } => format!("`{key}` is {value}; it must be {limits}"),
        ConfigError::Invalid { message, .. } | ConfigError::BadOverride { message, .. } => {
            message.clone()
        }
        other => other.to_string(),
    }
}

fn check_gate(config: &Config, stage: Stage, document: &Document<'_>) -> Result<(), ConfigError> {
    let stem = stage.stem();
    let section = config.gates.section(stage);
    let criteria = config.criteria(stage);
    let ids: Vec<String> = criteria.iter().map(|one| one.id.clone()).collect();
    if let Some(id) = section.criteria.keys().find(|id| !ids.contains(id)) {
        let path = ["gates", stem, "criteria", id].map(str::to_owned);
        return Err(ConfigError::UnknownKey {
            place: document.place(&path),
            key: path.join("."),
            advice: nearest_name(&["gates", stem, "criteria"], id, &ids),
        });
    }
    for criterion in criteria {
        if let Some(CriterionSetting::Limit(limit)) = section.criteria.get(&criterion.id) {
            let path = ["gates", stem, "criteria", &criterion.id].map(str::to_owned);
            let limited = Criterion {
                limit: *limit,
                ..criterion
            };
            limited.check().map_err(|error| ConfigError::Invalid {
                place: document.place(&path),
                message: error.to_string(),
            })?;
        }
    }
    let Some(OnFailure::Return(to)) = &section.on_failure else {
        return Ok(());
    };
    let require = Require { document };
    let key = format!("gates.{stem}.on_failure");
    require.that(
        to.return_to <= stage,
        &format!("{key}.return_to"),
        format!("{:?}", to.return_to.stem()),
        &format!("{stem} or a stage before it"),
    )?;
    require.that(
        (1..=10).contains(&to.max_returns),
        &format!("{key}.max_returns"),
        to.max_returns,
        "1 to 10",
    )?;
    for (set_key, value) in &to.set {
        let set = Override::new(set_key, value.clone())?;
        try_override(config, &set).map_err(|error| ConfigError::Invalid {
            place: document.place_of(&format!("{key}.set")),
            message: format!(
                "`{key}` sets {set_key} = {value}: {}",
                without_place(&error)
            ),
        })?;
    }
    Ok(())
}

struct Require<'a> {
    document: &'a Document<'a>,
}

impl Require<'_> {
    fn that(
        &self,
        holds: bool,
        key: &str,
        value: impl Display,
        limits: &str,
    ) -> Result<(), ConfigError> {
        if holds {
            return Ok(());
        }
        Err(ConfigError::OutOfRange {
            place: self.document.place_of(key),
            key: key.to_owned(),
            value: value.to_string(),
            limits: limits.to_owned(),
        })
    }

    fn fraction(&self, key: &str, value: f64) -> Result<(), ConfigError> {
        self.that(
            (0.0..=1.0).contains(&value),
            key,
            value,
            "0 to 1; write 85% as 0.85",
        )
    }

    fn count(&self, key: &str, value: usize, low: usize, high: usize) -> Result<(), ConfigError> {
        self.that(
            (low..=high).contains(&value),
            key,
            value,
            &format!("{low} to {high}"),
        )
    }
}
