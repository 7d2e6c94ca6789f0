//! Which stages are fresh, and which changed input made the others stale.

use crate::config::Config;
use crate::manifest::{Hashes, Manifest, StageRecord, hash_folder};
use crate::{CODE_VERSION, RunFolder, Stage, WorkflowError};
use mlestar_artifact::{ArtifactError, ContentHash};
use mlestar_train::TrainError;
use serde_json::Value;
use std::fs;

/// Why a stage must run; empty when it need not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Staleness {
    /// One line for each reason, such as `config [training] changed`.
    pub reasons: Vec<String>,
}

impl Staleness {
    /// Whether nothing has changed.
    pub fn is_fresh(&self) -> bool {
        self.reasons.is_empty()
    }
}

/// What is the same for all stages of a run.
#[derive(Clone, Debug)]
pub struct Surroundings<'a> {
    /// The checked config.
    pub config: &'a Config,
    /// The content of the data.
    pub data_fingerprint: &'a ContentHash,
    /// The name of the device that computes.
    pub device: &'a str,
}

/// One thing that a stage depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Input {
    /// The pictures and labels.
    Data,
    /// The kind of device.
    Device,
    /// The file whose weights training begins with, if there is one.
    InitialWeights,
    /// The weights of the networks that training learns from, if there are any.
    Teachers,
    /// A section of the config.
    Section(&'static str),
    /// A file of an earlier stage, by stage and name.
    File(Stage, &'static str),
    /// One field of an earlier stage's JSON artifact.
    Field(Stage, &'static str, &'static str),
}

/// What each stage reads. A stage reruns when one of these changes and for no other reason, so
/// that a new accuracy target does not train again and a new learning rate does.
fn inputs_of(stage: Stage) -> &'static [Input] {
    use Input::{Data, Device, Field, File, InitialWeights, Section, Teachers};
    use Stage::{ActionPlanning, Evaluation, Implementation, Refinement};
    use Stage::{Deployment, SituationAnalysis, TaskDefinition};
    const ANALYSIS: &str = "situation_analysis.json";
    match stage {
        SituationAnalysis => &[
            Data,
            Section("seed"),
            Section("data"),
            Section("augmentation"),
        ],
        TaskDefinition => &[
            Data,
            Device,
            Section("seed"),
            Section("task"),
            Section("data"),
            Section("model"),
            Section("training"),
            Teachers,
            Section("evaluation"),
            File(SituationAnalysis, ANALYSIS),
        ],
        ActionPlanning => &[
            Data,
            Device,
            Section("seed"),
            Section("data"),
            Section("augmentation"),
            Section("model"),
            Section("training"),
            InitialWeights,
            Teachers,
            File(SituationAnalysis, ANALYSIS),
            File(TaskDefinition, "task_spec.json"),
        ],
        Implementation => &[
            Data,
            Device,
            Section("seed"),
            Section("data"),
            Section("augmentation"),
            Section("model"),
            Section("training"),
            InitialWeights,
            Teachers,
            Section("faults"),
            Field(SituationAnalysis, ANALYSIS, "/normalization"),
        ],
        Evaluation => &[
            Data,
            Device,
            Section("data"),
            Section("evaluation"),
            File(Implementation, "checkpoints/best/model.safetensors"),
            File(Implementation, "training_summary.json"),
        ],
        Refinement => &[
            Data,
            Device,
            Section("seed"),
            Section("data"),
            Section("augmentation"),
            Section("model"),
            Section("training"),
            InitialWeights,
            Teachers,
            Section("refinement"),
            Section("evaluation"),
            File(Implementation, "checkpoints/best/model.safetensors"),
            File(Evaluation, "evaluation_results.json"),
            File(Evaluation, "predictions.jsonl"),
        ],
        Deployment => &[
            Data,
            Device,
            Section("project"),
            Section("data"),
            Section("deployment"),
            File(Refinement, "final/model.safetensors"),
            File(Refinement, "final/final_model.json"),
            File(Refinement, "comparison.json"),
        ],
    }
}

/// The hashes of all that `stage` depends on, by a name that people can read.
///
/// # Errors
/// [`WorkflowError::MissingInput`] when an earlier stage has not left what this one needs.
pub fn current_inputs(
    stage: Stage,
    surroundings: &Surroundings<'_>,
    run: &RunFolder,
    manifest: &Manifest,
) -> Result<Hashes, WorkflowError> {
    let mut hashes = Hashes::new();
    let code = ContentHash::of_bytes(CODE_VERSION.as_bytes());
    hashes.insert("code version".into(), code);
    for input in inputs_of(stage) {
        let (name, hash) = match *input {
            Input::Data => ("data".into(), surroundings.data_fingerprint.clone()),
            Input::Device => {
                let hash = ContentHash::of_bytes(surroundings.device.as_bytes());
                ("device".into(), hash)
            }
            Input::InitialWeights => match &surroundings.config.training.initial_weights {
                None => continue,
                Some(path) => {
                    let hash = ContentHash::of_file(path).map_err(|error| {
                        WorkflowError::Train(TrainError::InitialWeights {
                            path: path.clone(),
                            reason: error.to_string(),
                        })
                    })?;
                    ("initial weights".into(), hash)
                }
            },
            Input::Teachers => match surroundings.config.training.teaching() {
                None => continue,
                Some(teaching) => (
                    "teachers".into(),
                    ContentHash::of_json(&teaching.hashes()?)?,
                ),
            },
            Input::Section(section) => {
                let value = surroundings.config.section_hash_input(section);
                (format!("config [{section}]"), ContentHash::of_json(&value)?)
            }
            Input::File(from, file) => (
                RunFolder::display_name(from, file),
                recorded_hash(stage, from, file, manifest)?,
            ),
            Input::Field(from, file, pointer) => {
                recorded_hash(stage, from, file, manifest)?;
                let name = format!("{}#{pointer}", RunFolder::display_name(from, file));
                (name, field_hash(stage, from, file, pointer, run)?)
            }
        };
        hashes.insert(name, hash);
    }
    Ok(hashes)
}

fn recorded_hash(
    stage: Stage,
    from: Stage,
    file: &str,
    manifest: &Manifest,
) -> Result<ContentHash, WorkflowError> {
    manifest
        .complete_stage(from)
        .and_then(|record| record.outputs.get(file))
        .cloned()
        .ok_or_else(|| WorkflowError::MissingInput {
            stage,
            needs: RunFolder::display_name(from, file),
            reason: format!("stage {from} has not left it"),
        })
}

fn field_hash(
    stage: Stage,
    from: Stage,
    file: &str,
    pointer: &str,
    run: &RunFolder,
) -> Result<ContentHash, WorkflowError> {
    let path = run.artifact(from, file);
    let bytes = fs::read(&path).map_err(|source| ArtifactError::Read {
        path: path.clone(),
        source,
    })?;
    let document: Value =
        serde_json::from_slice(&bytes).map_err(|error| ArtifactError::Invalid {
            path,
            message: error.to_string(),
        })?;
    let field = document
        .pointer(pointer)
        .ok_or_else(|| WorkflowError::MissingInput {
            stage,
            needs: format!("{}#{pointer}", RunFolder::display_name(from, file)),
            reason: "the file does not hold it".into(),
        })?;
    Ok(ContentHash::of_json(field)?)
}

/// Compares what a stage depended on when it last ran with what it depends on now, and what it
/// wrote then with what stands on disk now.
///
/// # Errors
/// When a file of the stage cannot be read.
pub fn staleness(
    stage: Stage,
    inputs: &Hashes,
    run: &RunFolder,
    manifest: &Manifest,
) -> Result<Staleness, WorkflowError> {
    let Some(record) = manifest.stage(stage) else {
        return Ok(one_reason("it has not run yet"));
    };
    let mut reasons = changed_inputs(record, inputs);
    if !record.complete {
        reasons.push("it did not finish the last time".into());
        return Ok(Staleness { reasons });
    }
    let on_disk = hash_folder(&run.stage_folder(stage))?;
    for (file, recorded) in &record.outputs {
        let name = RunFolder::display_name(stage, file);
        match on_disk.get(file) {
            None => reasons.push(format!("{name} is gone")),
            Some(found) if found != recorded => {
                reasons.push(format!("{name} was altered after it was written"));
            }
            Some(_) => {}
        }
    }
    Ok(Staleness { reasons })
}

fn one_reason(text: &str) -> Staleness {
    Staleness {
        reasons: vec![text.into()],
    }
}

/// The names of the inputs that differ between `record` and now.
pub(crate) fn changed_inputs(record: &StageRecord, inputs: &Hashes) -> Vec<String> {
    let mut reasons = Vec::new();
    for (name, hash) in inputs {
        match record.inputs.get(name) {
            None => reasons.push(format!("{name} is new")),
            Some(before) if before != hash => reasons.push(format!(
                "{name} changed ({} -> {})",
                before.short(),
                hash.short()
            )),
            Some(_) => {}
        }
    }
    for name in record.inputs.keys() {
        if !inputs.contains_key(name) {
            reasons.push(format!("{name} is no longer used"));
        }
    }
    reasons
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hashes(pairs: &[(&str, &str)]) -> Hashes {
        pairs
            .iter()
            .map(|(name, content)| ((*name).into(), ContentHash::of_bytes(content.as_bytes())))
            .collect()
    }

    #[test]
    fn every_stage_names_only_earlier_stages() {
        for stage in Stage::ALL {
            for input in inputs_of(stage) {
                if let Input::File(from, _) | Input::Field(from, ..) = input {
                    assert!(*from < stage, "{stage} reads {from}");
                }
            }
        }
    }

    #[test]
    fn a_changed_input_and_an_altered_output_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let run = RunFolder::new(folder.path());
        let stage = Stage::TaskDefinition;
        let path = run.artifact(stage, "task_spec.json");
        mlestar_artifact::write_atomically(&path, b"{}").unwrap();
        let mut manifest = Manifest::default();
        manifest.set(
            stage,
            StageRecord {
                complete: true,
                inputs: hashes(&[("config [task]", "a"), ("data", "b")]),
                outputs: hash_folder(&run.stage_folder(stage)).unwrap(),
            },
        );
        let same = hashes(&[("config [task]", "a"), ("data", "b")]);
        assert!(staleness(stage, &same, &run, &manifest).unwrap().is_fresh());

        let other = hashes(&[("config [task]", "c"), ("data", "b")]);
        let reasons = staleness(stage, &other, &run, &manifest).unwrap().reasons;
        assert_eq!(reasons.len(), 1);
        assert!(reasons[0].starts_with("config [task] changed"));

        fs::write(&path, "{ }").unwrap();
        let reasons = staleness(stage, &same, &run, &manifest).unwrap().reasons;
        assert_eq!(
            reasons,
            ["2-task-definition/task_spec.json was altered after it was written"]
        );
        fs::remove_file(&path).unwrap();
        let reasons = staleness(stage, &same, &run, &manifest).unwrap().reasons;
        assert_eq!(reasons, ["2-task-definition/task_spec.json is gone"]);
    }

    #[test]
    fn a_stage_that_never_ran_or_was_cut_off_is_stale() {
        let folder = tempfile::tempdir().unwrap();
        let run = RunFolder::new(folder.path());
        let stage = Stage::Implementation;
        let mut manifest = Manifest::default();
        let never = staleness(stage, &Hashes::new(), &run, &manifest).unwrap();
        assert_eq!(never.reasons, ["it has not run yet"]);
        manifest.set(
            stage,
            StageRecord {
                complete: false,
                inputs: Hashes::new(),
                outputs: Hashes::new(),
            },
        );
        let cut_off = staleness(stage, &Hashes::new(), &run, &manifest).unwrap();
        assert_eq!(cut_off.reasons, ["it did not finish the last time"]);
    }
}
