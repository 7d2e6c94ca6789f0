//! `splits.toml`.

use super::SplitsFolder;
use crate::WorkflowError;
use crate::config::{Config, RawConfig};
use crate::inputs::{InputChange, compare};
use crate::tuning::{Decisive, with_absolute_paths};
use mlestar_artifact::write_atomically;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The version of the file's layout, and of how splits are drawn from it.
const VERSION: u32 = 1;

/// `splits.toml`: everything that a process needs to train splits.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SplitsFile {
    /// Version of the layout.
    pub version: u32,
    /// Name of the project.
    pub name: String,
    /// Kind of the device that trains, such as `cpu`.
    pub device: String,
    /// Splits, numbered from 1.
    pub splits: u64,
    /// What else decides the results.
    pub decisive: Decisive,
    /// The project's config as resolved. Files have absolute paths, so a process may start anywhere.
    pub config: RawConfig,
}

/// Sections and keys of a config that cannot change a training. What a path leads to counts by its content.
const WITHOUT_EFFECT: [&str; 15] = [
    "/project",
    "/data/path",
    "/data/cache",
    "/data/memory_limit_mib",
    "/faults",
    "/task",
    "/evaluation",
    "/deployment",
    "/gates",
    "/refinement",
    "/training/initial_weights",
    "/training/distillation/teachers",
    "/training/checkpoint_every_epochs",
    "/training/checkpoint_every_minutes",
    "/training/keep_checkpoints",
];

impl SplitsFile {
    pub(super) fn new(config: &Config, device: &str, splits: u64, decisive: Decisive) -> Self {
        let config = with_absolute_paths(config);
        Self {
            version: VERSION,
            name: config.project.name.clone(),
            device: device.to_owned(),
            splits,
            decisive,
            config: (*config).clone(),
        }
    }

    pub(super) fn read(folder: &SplitsFolder) -> Result<Self, WorkflowError> {
        let path = folder.file_path();
        let text = std::fs::read_to_string(&path).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => WorkflowError::NoSplits {
                path: folder.root().to_owned(),
            },
            _ => folder.unusable(&path, error),
        })?;
        let damaged = |problem: String| WorkflowError::DamagedSplits {
            path: path.clone(),
            problem,
        };
        let file: Self =
            toml::from_str(&text).map_err(|error| damaged(error.message().to_owned()))?;
        if file.version != VERSION {
            return Err(damaged(format!(
                "version is {}, but this program knows {VERSION}",
                file.version
            )));
        }
        Config::check(file.config.clone()).map_err(|error| damaged(error.to_string()))?;
        Ok(file)
    }

    pub(super) fn write(&self, folder: &SplitsFolder) -> Result<(), WorkflowError> {
        let path = folder.file_path();
        let text = toml::to_string(self).map_err(|error| WorkflowError::DamagedSplits {
            path: path.clone(),
            problem: format!("cannot be written: {error}"),
        })?;
        Ok(write_atomically(&path, text.as_bytes())?)
    }

    /// The project's config.
    ///
    /// # Errors
    /// When a value is out of range.
    pub fn config(&self) -> Result<Config, WorkflowError> {
        Ok(Config::check(self.config.clone())?)
    }

    /// Takes over what may change in the config.
    ///
    /// # Errors
    /// [`WorkflowError::OtherSplits`] with the settings of trainings that differ.
    pub(super) fn adopt(
        &mut self,
        folder: &SplitsFolder,
        config: &Config,
    ) -> Result<(), WorkflowError> {
        let config = with_absolute_paths(config);
        let mut changes = Vec::new();
        compare(
            "",
            &deciding(&self.config),
            &deciding(&config),
            &mut changes,
        );
        if changes.is_empty() {
            self.config = (*config).clone();
            return Ok(());
        }
        let changes: Vec<String> = changes.iter().map(InputChange::to_string).collect();
        Err(WorkflowError::OtherSplits {
            path: folder.root().to_owned(),
            changed: changes.join(", "),
        })
    }
}

/// The settings that decide a training.
fn deciding(config: &RawConfig) -> Value {
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
