//! Which stages are fresh, and which changed input made the others stale.

use crate::config::Config;
use crate::inputs::{InputChange, Inputs, RecordedInput};
use crate::manifest::{RunManifest, StageRecord, hash_folder};
use crate::{RunFolder, Stage, WorkflowError, code_version};
use mlestar_artifact::{ArtifactError, ContentHash};
use mlestar_data::Reread;
use mlestar_train::{StopReason, TrainError, TrainingConfig, checkpoint};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;

/// Why a stage must run; empty when it need not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Staleness {
    /// One line for each reason, such as `training.epochs 6 -> 7`.
    pub reasons: Vec<String>,
}

impl Staleness {
    /// Whether nothing has changed.
    pub fn is_fresh(&self) -> bool {
        self.reasons.is_empty()
    }
}

/// The surroundings of a run: the config, data and device that a stage would run with.
#[derive(Clone, Debug)]
pub struct Surroundings {
    /// The checked config.
    pub config: Config,
    /// The hash of the images and labels, or why they cannot be read.
    pub data: Result<ContentHash, String>,
    /// The name of the device that computes, such as `cpu` or `cuda:1`.
    pub device: String,
}

impl Surroundings {
    /// Hashes the data that `config` names. Unreadable data are not an error here: they make whatever depends on them
    /// stale. An existing run keeps the hashes of the files that it has read.
    pub fn look(config: &Config, run: &RunFolder, device: impl Into<String>) -> Self {
        Self::look_again(config, run, device, Reread::Changed)
    }

    /// As [`Surroundings::look`], with a choice of which files are read: [`Reread::All`] reads every file again, even
    /// if it seems unchanged.
    pub fn look_again(
        config: &Config,
        run: &RunFolder,
        device: impl Into<String>,
        reread: Reread,
    ) -> Self {
        let cache = run.fingerprints_path();
        let cache = run.root().is_dir().then_some(cache.as_path());
        Self {
            config: config.clone(),
            data: mlestar_data::fingerprint_with(&config.data, cache, reread)
                .map_err(|error| error.to_string()),
            device: device.into(),
        }
    }
}

/// One thing that a stage depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Input {
    /// The images and labels.
    Data,
    /// The kind of device.
    Device,
    /// The weights file that training starts from, if there is one.
    InitialWeights,
    /// Whether training starts from the weights of a file, whatever they are.
    HasInitialWeights,
    /// The weights of the teacher networks, if there are any.
    Teachers,
    /// What decides the repeated splits of the head, if a fine-tuning fits one.
    RepeatedSplits,
    /// A section of the config.
    Section(&'static str),
    /// A file of an earlier stage, by stage and name.
    File(Stage, &'static str),
    /// One field of an earlier stage's JSON artifact.
    Field(Stage, &'static str, &'static str),
}

/// What each stage reads. A stage reruns when one of these changes and for no other reason: a new learning rate
/// causes a new training, a new accuracy target does not.
fn inputs_of(stage: Stage) -> &'static [Input] {
    use Input::{Data, Device, Field, File, HasInitialWeights, InitialWeights};
    use Input::{RepeatedSplits, Section, Teachers};
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
            HasInitialWeights,
            Teachers,
            Section("evaluation"),
            Section("refinement"),
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
            RepeatedSplits,
            Section("faults"),
            Field(SituationAnalysis, ANALYSIS, "/normalization"),
        ],
        Evaluation => &[
            Data,
            Device,
            Section("data"),
            Section("evaluation"),
            Field(SituationAnalysis, ANALYSIS, "/challenges"),
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
            Section("evaluation"),
            File(Refinement, "final/model.safetensors"),
            File(Refinement, "final/final_model.json"),
            File(Refinement, "comparison.json"),
        ],
    }
}

/// Settings that do not affect the result: how often something is saved, how much is computed at once, and the path
/// of a file whose content is an input itself.
const WITHOUT_EFFECT: [&str; 10] = [
    "data.memory_limit_mib",
    "data.cache",
    "training.checkpoint_every_epochs",
    "training.checkpoint_every_minutes",
    "training.keep_checkpoints",
    "training.histograms_every_epochs",
    "training.evaluation_batch_size",
    "training.initial_weights",
    "training.distillation.teachers",
    "evaluation.batch_size",
];

/// All inputs of `stage`, by readable names.
///
/// # Errors
/// [`WorkflowError::MissingInput`] when the data cannot be read or an earlier stage has not left what this one needs.
pub fn current_inputs(
    stage: Stage,
    surroundings: &Surroundings,
    run: &RunFolder,
    manifest: &RunManifest,
) -> Result<Inputs, WorkflowError> {
    let mut inputs = Inputs::new();
    let code = ContentHash::of_bytes(code_version(stage).as_bytes());
    inputs.insert("the code".into(), RecordedInput::Hash(code));
    for input in inputs_of(stage) {
        let (name, value) = match *input {
            Input::Data => {
                let hash = surroundings.data.clone().map_err(|reason| {
                    let needs = "the data".into();
                    WorkflowError::MissingInput {
                        stage,
                        needs,
                        reason,
                    }
                })?;
                ("the data".into(), RecordedInput::Hash(hash))
            }
            Input::Device => {
                let kind = surroundings.device.split(':').next().unwrap_or_default();
                ("the device".into(), RecordedInput::Setting(kind.into()))
            }
            Input::InitialWeights => match initial_weights(&surroundings.config)? {
                None => continue,
                Some(hash) => ("the initial weights".into(), RecordedInput::Hash(hash)),
            },
            Input::HasInitialWeights => {
                let is_given = surroundings.config.training.initial_weights.is_some();
                (
                    "training begins with given weights".into(),
                    RecordedInput::Setting(is_given.into()),
                )
            }
            Input::Teachers => match surroundings.config.training.teaching() {
                None => continue,
                Some(teaching) => (
                    "the teachers".into(),
                    RecordedInput::Hash(ContentHash::of_json(&teaching.hashes()?)?),
                ),
            },
            Input::RepeatedSplits => {
                let config = &surroundings.config;
                if config.training.finetune.is_none() {
                    continue;
                }
                let repeats = config.evaluation.cross_validation_repeats;
                let value = serde_json::json!({
                    "confidence": config.evaluation.confidence,
                    "cross_validation_repeats": repeats,
                });
                ("evaluation".into(), RecordedInput::Setting(value))
            }
            Input::Section(section) => {
                let value = surroundings.config.section_hash_input(section);
                (section.into(), RecordedInput::Setting(value))
            }
            Input::File(from, file) => (
                RunFolder::display_name(from, file),
                RecordedInput::Hash(recorded_hash(stage, from, file, manifest)?),
            ),
            Input::Field(from, file, pointer) => {
                recorded_hash(stage, from, file, manifest)?;
                let name = format!("{}#{pointer}", RunFolder::display_name(from, file));
                let value = field(stage, from, file, pointer, run)?;
                (name, RecordedInput::Setting(value))
            }
        };
        inputs.insert(name, value);
    }
    Ok(inputs)
}

fn initial_weights(config: &Config) -> Result<Option<ContentHash>, WorkflowError> {
    let Some(path) = &config.training.initial_weights else {
        return Ok(None);
    };
    let hash = ContentHash::of_file(path).map_err(|error| {
        WorkflowError::Train(TrainError::InitialWeights {
            path: path.clone(),
            reason: error.to_string(),
        })
    })?;
    Ok(Some(hash))
}

fn recorded_hash(
    stage: Stage,
    from: Stage,
    file: &str,
    manifest: &RunManifest,
) -> Result<ContentHash, WorkflowError> {
    manifest
        .complete_stage(from)
        .and_then(|record| record.outputs.get(file))
        .cloned()
        .ok_or_else(|| WorkflowError::MissingInput {
            stage,
            needs: RunFolder::display_name(from, file),
            reason: format!("stage {from} has not written it"),
        })
}

fn field(
    stage: Stage,
    from: Stage,
    file: &str,
    pointer: &str,
    run: &RunFolder,
) -> Result<Value, WorkflowError> {
    let path = run.artifact(from, file);
    let bytes = fs::read(&path).map_err(|source| ArtifactError::Read {
        path: path.clone(),
        source,
    })?;
    let mut document: Value =
        serde_json::from_slice(&bytes).map_err(|error| ArtifactError::Invalid {
            path,
            message: error.to_string(),
        })?;
    document
        .pointer_mut(pointer)
        .map(Value::take)
        .ok_or_else(|| WorkflowError::MissingInput {
            stage,
            needs: format!("{}#{pointer}", RunFolder::display_name(from, file)),
            reason: "the file does not hold it".into(),
        })
}

/// The inputs of `stage` that have changed since it ran.
pub(crate) fn changes(
    stage: Stage,
    record: &StageRecord,
    inputs: &Inputs,
    run: &RunFolder,
) -> Vec<InputChange> {
    let ended = LastTraining::of(stage, record, run);
    crate::inputs::changes(&record.inputs, inputs)
        .into_iter()
        .filter(|change| ended.rests_on(&change.name))
        .collect()
}

/// What took effect in the trainings of a finished stage: some settings count only where they did.
struct LastTraining {
    a_limit_of_time: bool,
    recovery: bool,
}

impl LastTraining {
    fn of(stage: Stage, record: &StageRecord, run: &RunFolder) -> Self {
        let training = match stage {
            Stage::Implementation if record.complete => "",
            Stage::Refinement if record.complete => "training/",
            // An interrupted stage may resume under other settings, and the other stages train only for some steps.
            _ => {
                return Self {
                    a_limit_of_time: false,
                    recovery: false,
                };
            }
        };
        let stopped = field(stage, stage, "training_summary.json", "/stopped", run).ok();
        let stopped = stopped.and_then(|reason| serde_json::from_value::<StopReason>(reason).ok());
        let last = run.artifact(stage, &format!("{training}checkpoints/last"));
        let limit = || {
            let training = record.inputs.get("training")?.setting()?;
            training.get("max_minutes").filter(|limit| !limit.is_null())
        };
        Self {
            // For the trainings of a search this is unknown, so every limit counts.
            a_limit_of_time: match stopped {
                Some(reason) => reason == StopReason::TimeUp,
                None => limit().is_some(),
            },
            recovery: checkpoint::read_record(&last)
                .is_ok_and(|record| !record.remedies.is_empty()),
        }
    }

    fn rests_on(&self, key: &str) -> bool {
        let list = key.split('[').next().unwrap_or(key);
        if WITHOUT_EFFECT.contains(&list) {
            return false;
        }
        if key == "training.max_minutes" {
            return self.a_limit_of_time;
        }
        if key.starts_with("training.recovery.") {
            return self.recovery;
        }
        true
    }
}

/// Whether the work of `stage` so far is the beginning of what it would do now, so that it can resume in place: a
/// longer training, a search with more trials, or figures that are computed again from the same trainings.
pub(crate) fn goes_on(
    stage: Stage,
    record: &StageRecord,
    inputs: &Inputs,
    changes: &[InputChange],
) -> bool {
    let name_is = |allowed: fn(&str) -> bool| changes.iter().all(|change| allowed(&change.name));
    match stage {
        Stage::Implementation => {
            name_is(|name| name.starts_with("training.") || name.starts_with("evaluation."))
                && training_extends(record, inputs)
        }
        Stage::Refinement => {
            name_is(|name| {
                name == "refinement.trials"
                    || name.starts_with("evaluation.")
                    || name.starts_with(&Stage::Evaluation.folder())
            }) && number(inputs, "/trials") >= number(&record.inputs, "/trials")
        }
        _ => changes.is_empty(),
    }
}

fn number(inputs: &Inputs, pointer: &str) -> Option<u64> {
    inputs
        .get("refinement")?
        .setting()?
        .pointer(pointer)?
        .as_u64()
}

fn training_extends(record: &StageRecord, inputs: &Inputs) -> bool {
    let training = |inputs: &Inputs| -> Option<TrainingConfig> {
        serde_json::from_value(inputs.get("training")?.setting()?.clone()).ok()
    };
    match (training(&record.inputs), training(inputs)) {
        (Some(before), Some(now)) => now.extends(&before),
        _ => false,
    }
}

/// Compares the inputs of a stage's last run with its inputs now, and its recorded files with the files on disk.
///
/// # Errors
/// When a file of the stage cannot be read.
pub fn staleness(
    stage: Stage,
    inputs: &Inputs,
    run: &RunFolder,
    manifest: &RunManifest,
) -> Result<Staleness, WorkflowError> {
    let Some(record) = manifest.stage(stage) else {
        return Ok(one_reason("it has not run yet"));
    };
    let changes = changes(stage, record, inputs, run);
    let mut reasons: Vec<String> = changes.iter().map(InputChange::to_string).collect();
    if !record.complete {
        reasons.push("it did not finish the last time".into());
        return Ok(Staleness { reasons });
    }
    reasons.extend(altered_outputs(stage, record, run)?);
    Ok(Staleness { reasons })
}

/// The altered files of a stage, one line each.
pub(crate) fn altered_outputs(
    stage: Stage,
    record: &StageRecord,
    run: &RunFolder,
) -> Result<Vec<String>, WorkflowError> {
    let on_disk = hash_folder(&run.stage_folder(stage))?;
    let mut reasons = Vec::new();
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
    Ok(reasons)
}

/// What the finished `stage` describes but has changed since: its own inputs, and those of the stages whose files it
/// reads. Empty when all of it is unchanged.
pub(crate) fn outdated(
    stage: Stage,
    surroundings: &Surroundings,
    run: &RunFolder,
    manifest: &RunManifest,
) -> Vec<String> {
    let Some(record) = manifest.complete_stage(stage) else {
        return Vec::new();
    };
    let mut reasons: Vec<String> = match current_inputs(stage, surroundings, run, manifest) {
        Ok(inputs) => changes(stage, record, &inputs, run)
            .iter()
            .map(InputChange::to_string)
            .collect(),
        Err(WorkflowError::MissingInput { needs, reason, .. }) => {
            vec![format!("{needs}: {reason}")]
        }
        Err(error) => vec![error.to_string()],
    };
    for earlier in read_from(stage) {
        if !outdated(earlier, surroundings, run, manifest).is_empty() {
            reasons.push(format!("stage {earlier} is stale"));
        }
    }
    reasons
}

/// The stages whose files `stage` reads.
pub(crate) fn read_from(stage: Stage) -> BTreeSet<Stage> {
    inputs_of(stage)
        .iter()
        .filter_map(|input| match input {
            Input::File(from, _) | Input::Field(from, ..) => Some(*from),
            _ => None,
        })
        .collect()
}

fn one_reason(text: &str) -> Staleness {
    Staleness {
        reasons: vec![text.into()],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::Hashes;

    fn hashes(pairs: &[(&str, &str)]) -> Inputs {
        pairs
            .iter()
            .map(|(name, content)| {
                let hash = ContentHash::of_bytes(content.as_bytes());
                ((*name).into(), RecordedInput::Hash(hash))
            })
            .collect()
    }

    #[test]
    fn every_stage_names_only_earlier_stages() {
        for stage in Stage::ALL {
            assert!(read_from(stage).iter().all(|from| *from < stage), "{stage}");
        }
    }

    #[test]
    fn a_changed_input_and_an_altered_output_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let run = RunFolder::new(folder.path());
        let stage = Stage::TaskDefinition;
        let path = run.artifact(stage, "task_spec.json");
        mlestar_artifact::write_atomically(&path, b"{}").unwrap();
        let mut manifest = RunManifest::default();
        manifest.set(
            stage,
            StageRecord {
                complete: true,
                inputs: hashes(&[("the task", "a"), ("the data", "b")]),
                outputs: hash_folder(&run.stage_folder(stage)).unwrap(),
                ..StageRecord::default()
            },
        );
        let same = hashes(&[("the task", "a"), ("the data", "b")]);
        assert!(staleness(stage, &same, &run, &manifest).unwrap().is_fresh());

        let other = hashes(&[("the task", "c"), ("the data", "b")]);
        let reasons = staleness(stage, &other, &run, &manifest).unwrap().reasons;
        assert_eq!(reasons, ["the task changed"]);

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
        let mut manifest = RunManifest::default();
        let never = staleness(stage, &Inputs::new(), &run, &manifest).unwrap();
        assert_eq!(never.reasons, ["it has not run yet"]);
        manifest.set(stage, StageRecord::begun(Inputs::new()));
        let cut_off = staleness(stage, &Inputs::new(), &run, &manifest).unwrap();
        assert_eq!(cut_off.reasons, ["it did not finish the last time"]);
        assert_eq!(manifest.stages[stage.stem()].outputs, Hashes::new());
    }

    #[test]
    fn settings_without_effect_and_another_device_of_a_kind_change_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let run = RunFolder::new(folder.path());
        let set = |settings: &[&str]| {
            let settings: Vec<_> = settings
                .iter()
                .map(|text| crate::config::Override::parse(text).unwrap())
                .collect();
            Config::default().with_overrides(&settings).unwrap()
        };
        let look = |config: &Config, device: &str| {
            let data = Ok(ContentHash::of_bytes(b"x"));
            let surroundings = Surroundings {
                config: config.clone(),
                data,
                device: device.into(),
            };
            let stage = Stage::SituationAnalysis;
            let mut inputs =
                current_inputs(stage, &surroundings, &run, &RunManifest::default()).unwrap();
            let section = config.section_hash_input("training");
            inputs.insert("training".into(), RecordedInput::Setting(section));
            inputs.insert(
                "the device".into(),
                RecordedInput::Setting(device.split(':').next().into()),
            );
            inputs
        };
        let record = StageRecord {
            complete: true,
            inputs: look(&set(&[]), "cuda:0"),
            ..StageRecord::default()
        };
        let changed = |settings: &[&str], device: &str| -> Vec<String> {
            let now = look(&set(settings), device);
            changes(Stage::SituationAnalysis, &record, &now, &run)
                .iter()
                .map(InputChange::to_string)
                .collect()
        };
        let unused = [
            "training.checkpoint_every_epochs=7",
            "training.checkpoint_every_minutes=7.0",
            "training.keep_checkpoints=7",
            "training.histograms_every_epochs=7",
            "training.evaluation_batch_size=7",
            "training.initial_weights='elsewhere'",
            "training.max_minutes=3.5",
            "training.recovery.attempts=1",
        ];
        assert_eq!(changed(&unused, "cuda:1"), Vec::<String>::new());
        assert_eq!(
            changed(&["training.epochs=7"], "cpu"),
            ["the device \"cuda\" -> \"cpu\"", "training.epochs 100 -> 7"]
        );
    }
}
