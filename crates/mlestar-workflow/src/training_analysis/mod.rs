//! What the record of a training shows: `training_analysis.json` and a page beside it.
//!
//! A finished stage vouches for every file in its folder. A stage that is interrupted and resumed vouches for those
//! that it finds there. So the analysis of a training that belongs to a run is written into the run's root, and
//! beside the record only where no run vouches for it.

mod page;
mod place;

pub(crate) use place::holds_record;
pub use place::{TrainingPlace, find_trainings};

use crate::WorkflowError;
use crate::config::Config;
use mlestar_artifact::{Artifact, read_artifact, write_artifact, write_atomically};
use mlestar_data::AugmentationConfig;
use mlestar_model::ModelConfig;
use mlestar_train::analysis::{Finding, History, Settings, analyse, read_history};
use mlestar_train::checkpoint::{CheckpointRecord, TrainingIdentity};
use mlestar_train::{EpochRecord, TrainingConfig};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// `training_analysis.json`: what a training has recorded so far, and the findings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainingAnalysis {
    /// Which training, such as `4-implementation`.
    pub training: String,
    /// Where the settings come from.
    pub settings_from: SettingsSource,
    /// Epochs that were asked for.
    pub epochs_planned: usize,
    /// Epochs that were recorded.
    pub epochs: usize,
    /// Steps that were recorded; 0 where the training kept no record of them.
    pub steps: usize,
    /// The epoch with the highest validation accuracy; absent before the first has ended.
    pub best_epoch: Option<usize>,
    /// Its validation accuracy.
    pub best_validation_accuracy: Option<f64>,
    /// The findings, the most severe first.
    pub findings: Vec<Finding>,
}

impl Artifact for TrainingAnalysis {
    const SCHEMA: &'static str = "mlestar.training_analysis";
    const VERSION: u32 = 1;
}

/// Where the settings of a training were found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SettingsSource {
    /// In its newest checkpoint: they are the ones that it ran with.
    Checkpoint,
    /// In the config of the project.
    Config,
}

/// The settings that a training ran with.
#[derive(Clone, Debug, PartialEq)]
pub struct TrainingSettings {
    /// Where they come from.
    pub source: SettingsSource,
    /// The `[training]` section.
    pub training: TrainingConfig,
    /// The `[augmentation]` section.
    pub augmentation: AugmentationConfig,
    /// The `[model]` section.
    pub model: ModelConfig,
}

impl TrainingSettings {
    /// Those of the newest checkpoint in `folder`, else those of `config`.
    pub fn of(folder: &Path, config: &Config) -> Self {
        let newest = newest_identity(folder);
        let newest = newest.and_then(|newest| Some((newest.spec().ok()?, newest)));
        match newest {
            Some((spec, identity)) => Self {
                source: SettingsSource::Checkpoint,
                training: identity.training,
                augmentation: identity.augmentation,
                model: spec.config().clone(),
            },
            None => Self {
                source: SettingsSource::Config,
                training: config.training.clone(),
                augmentation: config.augmentation.clone(),
                model: config.model.clone(),
            },
        }
    }

    /// As the analysis takes them.
    pub fn as_settings(&self) -> Settings<'_> {
        Settings {
            training: &self.training,
            augmentation: Some(&self.augmentation),
            model: Some(&self.model),
        }
    }
}

/// The identity that the newest checkpoint of the training in `folder` records.
pub(crate) fn newest_identity(folder: &Path) -> Option<TrainingIdentity> {
    ["last", "previous", "best"].iter().find_map(|name| {
        let path = folder
            .join("checkpoints")
            .join(name)
            .join("checkpoint.json");
        // One that is being replaced is not there for a moment; the others are.
        let record: CheckpointRecord = read_artifact(&path).ok()?;
        Some(record.identity)
    })
}

/// The epoch with the highest validation accuracy, and this; the first of equal ones.
pub fn best_epoch(epochs: &[EpochRecord]) -> Option<(&EpochRecord, f64)> {
    let validated = epochs
        .iter()
        .filter_map(|epoch| Some((epoch, epoch.validation_accuracy?)));
    validated
        .filter(|(_, accuracy)| accuracy.is_finite())
        .rev()
        .max_by(|(_, a), (_, b)| a.total_cmp(b))
}

/// Analyses the training at `place`; `None` when it has recorded nothing yet. Settings that are in no checkpoint are
/// taken from `config`.
///
/// # Errors
/// When its record is missing or cannot be understood; the message names the file and the line.
pub fn analyse_training(
    place: &TrainingPlace,
    config: &Config,
) -> Result<Option<AnalysedTraining>, WorkflowError> {
    let history = read_history(&place.folder)?;
    if history.is_empty() {
        return Ok(None);
    }
    let settings = TrainingSettings::of(&place.folder, config);
    let findings = analyse(&history.epochs, &history.steps, &settings.as_settings());
    let best = best_epoch(&history.epochs);
    let analysis = TrainingAnalysis {
        training: place.name.clone(),
        settings_from: settings.source,
        epochs_planned: settings.training.epochs,
        epochs: history.epochs.len(),
        steps: history.steps.len(),
        best_epoch: best.map(|(epoch, _)| epoch.epoch),
        best_validation_accuracy: best.map(|(_, accuracy)| accuracy),
        findings,
    };
    Ok(Some(AnalysedTraining {
        analysis,
        history,
        settings,
    }))
}

/// An analysis with what it rests on.
#[derive(Clone, Debug)]
pub struct AnalysedTraining {
    /// The findings.
    pub analysis: TrainingAnalysis,
    /// What the training recorded.
    pub history: History,
    /// The settings that it ran with.
    pub settings: TrainingSettings,
}

impl AnalysedTraining {
    /// Writes `training_analysis.json` and `training_analysis.html` where `place` says; their paths.
    ///
    /// # Errors
    /// When a file cannot be written or a chart not be drawn.
    pub fn write(&self, place: &TrainingPlace) -> Result<[PathBuf; 2], WorkflowError> {
        let json = place.output(".json");
        let html = place.output(".html");
        let page = page::render(self, place)?;
        write_artifact(&json, &self.analysis)?;
        write_atomically(&html, page.as_bytes())?;
        Ok([json, html])
    }
}

#[cfg(test)]
mod tests;
