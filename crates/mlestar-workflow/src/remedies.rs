//! What failed gates have changed in the config.
//!
//! A gate with `on_failure = { return_to = .., set = {..} }` sends the chain back with other settings. The run folder
//! records them together with their config, so a second run of the same config starts from them instead of failing
//! again.

use crate::config::{Config, Override};
use crate::{RunFolder, Stage, WorkflowError};
use mlestar_artifact::{Artifact, ContentHash, read_artifact, write_artifact};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// `remedies.json` of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Remedies {
    /// The hash of the config as the user wrote it.
    config: ContentHash,
    /// What was changed, in order.
    applied: Vec<Remedy>,
}

/// One return.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Remedy {
    from: Stage,
    to: Stage,
    settings: BTreeMap<String, toml::Value>,
}

impl Artifact for Remedies {
    const SCHEMA: &'static str = "mlestar.remedies";
    const VERSION: u32 = 1;
}

impl Remedies {
    /// The changes that an earlier run of the same config applied; nothing for another config.
    pub(crate) fn read(run: &RunFolder, config: &Config) -> Result<Self, WorkflowError> {
        let hash = ContentHash::of_bytes(config.to_toml()?.as_bytes());
        match read_artifact::<Self>(&path(run)) {
            Ok(remedies) if remedies.config == hash => Ok(remedies),
            Ok(_) => Ok(Self::none(hash)),
            Err(error) if error.is_missing() => Ok(Self::none(hash)),
            Err(error) => Err(WorkflowError::of_run_file(
                error,
                "It records what failed gates changed in the config. Restore a good copy, or delete the \
                file: the run then starts with the config as written",
            )),
        }
    }

    fn none(config: ContentHash) -> Self {
        Self {
            config,
            applied: Vec::new(),
        }
    }

    pub(crate) fn write(&self, run: &RunFolder) -> Result<(), WorkflowError> {
        Ok(write_artifact(&path(run), self)?)
    }

    /// How often the gate of `stage` has sent the chain back.
    pub(crate) fn returns_from(&self, stage: Stage) -> usize {
        let from_stage = |remedy: &&Remedy| remedy.from == stage;
        self.applied.iter().filter(from_stage).count()
    }

    /// Records a return and gives `key = value` of each setting.
    pub(crate) fn add(
        &mut self,
        from: Stage,
        to: Stage,
        settings: &BTreeMap<String, toml::Value>,
    ) -> Vec<String> {
        self.applied.push(Remedy {
            from,
            to,
            settings: settings.clone(),
        });
        settings
            .iter()
            .map(|(key, value)| format!("{key} = {value}"))
            .collect()
    }

    /// `config` with everything applied, in order.
    pub(crate) fn apply(&self, config: &Config) -> Result<Config, WorkflowError> {
        let mut overrides = Vec::new();
        for (key, value) in self.applied.iter().flat_map(|remedy| &remedy.settings) {
            overrides.push(Override::new(key, value.clone())?);
        }
        match overrides.is_empty() {
            true => Ok(config.clone()),
            false => Ok(config.with_overrides(&overrides)?),
        }
    }
}

fn path(run: &RunFolder) -> PathBuf {
    run.root().join("remedies.json")
}
