//! `study.toml`.

use super::{Decisive, StudyFolder, decisive};
use crate::WorkflowError;
use crate::config::{Config, RawConfig};
use mlestar_artifact::{ContentHash, write_atomically};
use mlestar_tune::{Parameters, StudyConfig};
use serde::{Deserialize, Serialize};

/// The version of the file's layout, and of how trials are computed from it.
const VERSION: u32 = 1;

/// `study.toml`: everything that a process needs to work on the study.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StudyFile {
    /// Version of the layout.
    pub version: u32,
    /// Name of the study in the journal: that of the project.
    pub name: String,
    /// Kind of the device on which trials compute, such as `cpu`.
    pub device: String,
    /// What else decides the values of trials.
    pub decisive: Decisive,
    /// Parameters to try first; the config's own are the first of them.
    pub enqueue: Vec<Parameters>,
    /// The project's config as resolved when the study began. Files have absolute paths, so a process may start
    /// anywhere.
    pub config: RawConfig,
}

impl StudyFile {
    pub(super) fn new(
        config: &Config,
        device: &str,
        decisive: Decisive,
        given: Vec<Parameters>,
    ) -> Self {
        let config = with_absolute_paths(config);
        let first = [config.baseline_parameters()];
        Self {
            version: VERSION,
            name: config.project.name.clone(),
            device: device.to_owned(),
            decisive,
            enqueue: first.into_iter().chain(given).collect(),
            config: (*config).clone(),
        }
    }

    pub(super) fn read(folder: &StudyFolder) -> Result<Self, WorkflowError> {
        let path = folder.study_path();
        let text = std::fs::read_to_string(&path).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => WorkflowError::NoStudy {
                path: folder.root().to_owned(),
            },
            _ => folder.unusable(&path, error),
        })?;
        let damaged = |problem: String| WorkflowError::DamagedStudy {
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

    pub(super) fn write(&self, folder: &StudyFolder) -> Result<(), WorkflowError> {
        let path = folder.study_path();
        let text = toml::to_string(self).map_err(|error| WorkflowError::DamagedStudy {
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

    /// The study as `mlestar_tune` knows it.
    ///
    /// # Errors
    /// When the settings cannot be hashed.
    pub fn study(&self) -> Result<StudyConfig, WorkflowError> {
        let objective = serde_json::json!({
            "version": self.version,
            "device": self.device,
            "decisive": self.decisive,
            "settings": decisive::settings(&self.config),
        });
        Ok(StudyConfig {
            objective: ContentHash::of_json(&objective)?.to_string(),
            ..self.config.refinement.shared_study()
        })
    }
}

/// The config with absolute paths of files.
pub(crate) fn with_absolute_paths(config: &Config) -> Config {
    let mut sections: RawConfig = (**config).clone();
    let absolute = |path: &mut std::path::PathBuf| {
        if let Ok(found) = std::path::absolute(&*path) {
            *path = found;
        }
    };
    sections.data.path.iter_mut().for_each(absolute);
    absolute(&mut sections.data.cache);
    sections
        .training
        .initial_weights
        .iter_mut()
        .for_each(absolute);
    if let Some(distillation) = &mut sections.training.distillation {
        distillation.teachers.iter_mut().for_each(absolute);
    }
    // Where a file lies is no reason to refuse a config that was accepted.
    Config::check(sections).unwrap_or_else(|_| config.clone())
}
