//! The config of a project: one TOML file, with one section per part of the work.
//!
//! [`RawConfig`] holds what a file may say. [`Config`] is a checked [`RawConfig`]; every change of it goes through
//! another check. Unknown keys, wrong types and values out of range are refused with the file, the line and the
//! dotted key. Relative paths in a config are relative to the current folder.
//!
//! ```
//! use mlestar_workflow::config::{Config, Override};
//!
//! let overrides = [Override::parse("training.epochs=3")?];
//! let config = Config::parse("seed = 7\n[data]\nsource = 'synthetic'\n", "project.toml", &overrides)?;
//! assert_eq!((config.seed, config.training.epochs), (7, 3));
//!
//! let error = Config::parse("[training]\nepoch = 3\n", "project.toml", &[]).unwrap_err();
//! assert_eq!(
//!     error.to_string(),
//!     "project.toml, line 2: unknown key `training.epoch`; did you mean `training.epochs`?"
//! );
//! # Ok::<(), mlestar_workflow::config::ConfigError>(())
//! ```

mod against_data;
mod check;
mod criteria;
mod deployment;
mod differences;
mod document;
mod effects;
mod error;
mod evaluation;
mod gate_sections;
mod objective;
mod overrides;
mod project;
mod refinement;
mod task;

pub(crate) use criteria::final_metric_id;
pub use deployment::{BenchmarkConfig, ConfidenceConfig, DeploymentConfig, ParityConfig};
pub use differences::differences;
pub use error::ConfigError;
pub use evaluation::EvaluationConfig;
pub use gate_sections::{CriterionSetting, GateSection, GatesConfig, OnFailure, ReturnTo};
pub use objective::Objective;
pub use overrides::Override;
pub use project::ProjectConfig;
pub use refinement::RefinementConfig;
pub use task::{
    Constraints, Interpretability, MetricName, MetricTarget, ProblemType, Quality,
    SecondaryTargets, TaskConfig,
};

use std::ops::Deref;
use std::path::Path;

use document::Document;
use mlestar_data::DataConfig;
use mlestar_data::augment::AugmentationConfig;
use mlestar_model::ModelConfig;
use mlestar_train::{Faults, TrainingConfig};
use mlestar_tune::{ParameterValue, Parameters};
use serde::{Deserialize, Serialize};

/// Everything that a config file may say, with its defaults, not yet checked.
///
/// `configs/reference.toml` documents every key with its default, purpose and range.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RawConfig {
    /// The one seed from which every random choice is derived; 0 to 2^63 - 1, as TOML has it.
    pub seed: u64,
    /// Name and purpose of the project.
    pub project: ProjectConfig,
    /// Where the images come from.
    pub data: DataConfig,
    /// Random changes to training images.
    pub augmentation: AugmentationConfig,
    /// The architecture.
    pub model: ModelConfig,
    /// Optimizer, schedule, length.
    pub training: TrainingConfig,
    /// The injected faults of the training of stage 4.
    pub faults: Faults,
    /// Targets, constraints and quality requirements.
    pub task: TaskConfig,
    /// How the model is evaluated.
    pub evaluation: EvaluationConfig,
    /// The search for a better model.
    pub refinement: RefinementConfig,
    /// How the package is measured.
    pub deployment: DeploymentConfig,
    /// What each stage must prove.
    pub gates: GatesConfig,
}

/// A checked config. Its sections are read through it: `config.training.epochs`.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    sections: RawConfig,
}

impl Deref for Config {
    type Target = RawConfig;

    fn deref(&self) -> &RawConfig {
        &self.sections
    }
}

impl Default for Config {
    /// The config of an empty file: the synthetic images, the reference model and the reference recipe.
    fn default() -> Self {
        Self::resolved(RawConfig::default())
    }
}

impl Config {
    /// Reads a config file, applies the overrides in order, and checks the result.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Read`] when the file cannot be read; otherwise as [`Config::parse`].
    pub fn load(path: &Path, overrides: &[Override]) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Read {
            path: path.to_owned(),
            source,
        })?;
        Self::parse(&text, &path.display().to_string(), overrides)
    }

    /// Reads the config that a run recorded. It is complete: every section is there.
    ///
    /// # Errors
    ///
    /// As [`Config::load`]; [`ConfigError::Recorded`] when the file itself is damaged or truncated.
    pub fn load_recorded(path: &Path, overrides: &[Override]) -> Result<Self, ConfigError> {
        let damaged = |problem: String| ConfigError::Recorded { problem };
        let text = std::fs::read_to_string(path)
            .map_err(|error| damaged(format!("cannot read {}: {error}", path.display())))?;
        let name = path.display().to_string();
        Self::parse(&text, &name, &[]).map_err(|error| damaged(error.to_string()))?;
        // Every key has a default, so a truncated file would read as another config.
        let table: toml::Table = text
            .parse()
            .map_err(|error: toml::de::Error| damaged(format!("{name}: {error}")))?;
        let has_its_end = table
            .get("gates")
            .and_then(|gates| gates.get("deployment"))
            .is_some();
        if !has_its_end {
            let problem =
                format!("{name} is truncated: its last section, [gates.deployment], is missing");
            return Err(damaged(problem));
        }
        Self::parse(&text, &name, overrides)
    }

    /// Reads a config from text; `name` is what messages call it.
    ///
    /// # Errors
    ///
    /// Bad TOML, unknown keys, wrong types and values out of range, each with the line or the override
    /// that it comes from.
    pub fn parse(text: &str, name: &str, overrides: &[Override]) -> Result<Self, ConfigError> {
        let document = Document::parse(text, name, overrides)?;
        let mut sections: RawConfig = document.read()?;
        if !document.has(["refinement", "space"]) {
            let optimizer = sections.training.optimizer.kind;
            sections.refinement.space = RefinementConfig::space_for(optimizer);
        }
        check::check(&sections, &document)?;
        Ok(Self::resolved(sections))
    }

    /// Checks a config that a program built.
    ///
    /// # Errors
    ///
    /// As [`Config::parse`].
    ///
    /// ```
    /// use mlestar_workflow::config::{Config, RawConfig};
    ///
    /// let mut raw = RawConfig::default();
    /// raw.evaluation.confidence = 95.0;
    /// assert_eq!(
    ///     Config::check(raw).unwrap_err().to_string(),
    ///     "config: `evaluation.confidence` is 95; it must be above 0 and below 1"
    /// );
    /// ```
    pub fn check(sections: RawConfig) -> Result<Self, ConfigError> {
        check::check(&sections, &Document::nameless())?;
        Ok(Self::resolved(sections))
    }

    /// Defaults that depend on the stage are filled in, so the resolved config shows them.
    fn resolved(mut sections: RawConfig) -> Self {
        sections.gates = sections.gates.resolved();
        Self { sections }
    }

    /// This config after a change that nobody has checked.
    pub(crate) fn changed(&self, change: impl FnOnce(&mut RawConfig)) -> Self {
        let mut sections = self.sections.clone();
        change(&mut sections);
        Self { sections }
    }

    /// Refuses what only a study of several processes can do, for the search of stage 6.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Invalid`], which names the key.
    pub(crate) fn check_search_in_one_process(&self) -> Result<(), ConfigError> {
        check::check_search_in_one_process(self)
    }

    /// This config with some keys set to other values, checked again.
    ///
    /// # Errors
    ///
    /// As [`Config::parse`].
    pub fn with_overrides(&self, overrides: &[Override]) -> Result<Self, ConfigError> {
        Self::parse(&self.to_toml()?, "config", overrides)
    }

    /// This config with the parameters of a trial. The other values of the search space are not checked: they belong
    /// to other trials.
    ///
    /// # Errors
    ///
    /// As [`Config::parse`].
    pub fn with_parameters(&self, parameters: &Parameters) -> Result<Self, ConfigError> {
        let overrides: Vec<Override> = parameters
            .iter()
            .map(|(key, value)| Override::new(key, toml_value(value)))
            .collect::<Result<_, _>>()?;
        let text = self.to_toml()?;
        let document = Document::parse(&text, "config", &overrides)?;
        let sections: RawConfig = document.read()?;
        check::check_values(&sections, &document)?;
        Ok(Self::resolved(sections))
    }

    /// The parameters that this config has for the keys of the search space: the baseline of a search.
    ///
    /// Keys without a value here, such as those of an optional table that is absent, are left out.
    pub fn baseline_parameters(&self) -> Parameters {
        let value = serde_json::to_value(&self.sections).unwrap_or_default();
        self.refinement
            .space
            .iter()
            .filter_map(|(key, _)| {
                let found = value.pointer(&format!("/{}", key.replace('.', "/")))?;
                Some((key.to_owned(), serde_json::from_value(found.clone()).ok()?))
            })
            .collect()
    }

    /// The resolved config: every key with its value, as TOML that reads back equal.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Unwritable`] when a value does not exist in TOML; no checked config holds one.
    pub fn to_toml(&self) -> Result<String, ConfigError> {
        toml::to_string(&self.sections).map_err(|error| ConfigError::Unwritable {
            message: error.to_string(),
        })
    }

    /// The values of a section, keys sorted. They decide whether work that depends on the section is still valid.
    ///
    /// `data.path` is left out: the content of the data counts, not its place. `faults.kill_at_step` is left out,
    /// too: a training resumes after it as if nothing had happened. So are `refinement.window` and
    /// `refinement.objectives`, which no stage uses. `evaluation.cross_validation_repeats` is an input of its own, of
    /// stage 4 alone. An unknown section is `null`.
    pub fn section_hash_input(&self, section: &str) -> serde_json::Value {
        let mut value = serde_json::to_value(&self.sections).unwrap_or_default();
        let mut found = value
            .get_mut(section)
            .map(serde_json::Value::take)
            .unwrap_or_default();
        let left_out: &[&str] = match section {
            "data" => &["path"],
            "evaluation" => &["cross_validation_repeats"],
            "faults" => &["kill_at_step"],
            "refinement" => &["window", "objectives"],
            _ => &[],
        };
        if let Some(table) = found.as_object_mut() {
            for key in left_out {
                table.remove(*key);
            }
        }
        found.sort_all_objects();
        found
    }
}

/// The value as TOML has it.
fn toml_value(value: &ParameterValue) -> toml::Value {
    match value {
        ParameterValue::Bool(value) => toml::Value::Boolean(*value),
        ParameterValue::Int(value) => toml::Value::Integer(*value),
        ParameterValue::Float(value) => toml::Value::Float(*value),
        ParameterValue::Text(value) => toml::Value::String(value.clone()),
        ParameterValue::List(values) => toml::Value::Array(values.iter().map(toml_value).collect()),
        ParameterValue::Table(values) => {
            let values = values.iter();
            let entries = values.map(|(key, value)| (key.clone(), toml_value(value)));
            toml::Value::Table(entries.collect())
        }
    }
}

#[cfg(test)]
mod tests;
