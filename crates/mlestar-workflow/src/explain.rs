//! The state of a run without running it: which stages are fresh, and why the others are not.

use crate::config::Config;
use crate::freshness::{Surroundings, current_inputs, read_from, staleness};
use crate::manifest::RunManifest;
use crate::remedies::Remedies;
use crate::{RunFolder, Stage, WorkflowError, gates};
use mlestar_gates::StageVerdict;
use mlestar_train::TrainError;

/// The state of one stage.
#[derive(Clone, Debug)]
pub struct StageState {
    /// The stage.
    pub stage: Stage,
    /// Whether it would run.
    pub freshness: Freshness,
    /// Its gate; absent while the stage has not finished.
    pub verdict: Option<StageVerdict>,
}

/// Whether a stage would run, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// Nothing that it depends on has changed.
    Fresh,
    /// It would run, for these reasons.
    Stale(Vec<String>),
    /// Whether it would run depends on what this stale stage will leave.
    WaitsFor(Stage),
}

/// Looks at every stage of a run.
///
/// # Errors
/// When the data or the run folder cannot be read, the record of what failed gates have changed (`remedies.json`)
/// included.
pub fn survey(
    config: &Config,
    run: &RunFolder,
    device_name: &str,
) -> Result<Vec<StageState>, WorkflowError> {
    let manifest = RunManifest::read(run)?;
    // A run starts with the settings that failed gates changed, so a damaged record of them is reported here too.
    let config = Remedies::read(run, config)?.apply(config)?;
    let surroundings = Surroundings::look(&config, run, device_name);
    let mut states: Vec<StageState> = Vec::new();
    for stage in Stage::ALL {
        let read_from = read_from(stage);
        let first_stale = states
            .iter()
            .find(|state| read_from.contains(&state.stage) && state.freshness != Freshness::Fresh)
            .map(|state| match state.freshness {
                Freshness::WaitsFor(stage) => stage,
                _ => state.stage,
            });
        let freshness = match current_inputs(stage, &surroundings, run, &manifest) {
            Ok(inputs) => match staleness(stage, &inputs, run, &manifest)?.reasons {
                reasons if !reasons.is_empty() => Freshness::Stale(reasons),
                _ => first_stale.map_or(Freshness::Fresh, Freshness::WaitsFor),
            },
            Err(WorkflowError::MissingInput { needs, reason, .. }) => first_stale.map_or_else(
                || Freshness::Stale(vec![format!("{needs}: {reason}")]),
                Freshness::WaitsFor,
            ),
            // This stage would fail: report that here, and still show the other stages.
            Err(WorkflowError::Train(
                error @ (TrainError::InitialWeights { .. } | TrainError::Teacher { .. }),
            )) => Freshness::Stale(vec![error.to_string()]),
            Err(error) => return Err(error),
        };
        let verdict = manifest
            .complete_stage(stage)
            .map(|_| gates::judge_stage(stage, &surroundings, run, &manifest));
        states.push(StageState {
            stage,
            freshness,
            verdict,
        });
    }
    Ok(states)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_damaged_record_of_what_gates_have_changed_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let run = RunFolder::new(folder.path());
        let config = Config::default();
        assert_eq!(survey(&config, &run, "cpu").unwrap().len(), 7);
        fs::write(folder.path().join("remedies.json"), "{").unwrap();
        let error = survey(&config, &run, "cpu").unwrap_err().to_string();
        assert!(error.contains("remedies.json"), "{error}");
    }
}
