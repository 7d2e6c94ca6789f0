//! Every file that a run leaves, and every field that a gate rests on, is changed in turn.

use crate::{finished_run, run_in, tiny};
use mlestar_artifact::ContentHash;
use mlestar_gates::{Evidence, Status, Verdict};
use mlestar_train::StopSignal;
use mlestar_workflow::config::Config;
use mlestar_workflow::freshness::Surroundings;
use mlestar_workflow::gates::judge_stages;
use mlestar_workflow::manifest::RunManifest;
use mlestar_workflow::{RunFolder, Stage};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

struct Run {
    run: RunFolder,
    manifest: RunManifest,
    surroundings: Surroundings,
}

impl Run {
    fn open(folder: &Path) -> Self {
        Self::of(folder, &tiny(&[]))
    }

    fn of(folder: &Path, config: &Config) -> Self {
        let run = RunFolder::new(folder);
        Self {
            manifest: RunManifest::read(&run).unwrap(),
            surroundings: Surroundings::look(config, &run, "cpu"),
            run,
        }
    }

    /// The fields of a JSON file on which a verdict rests, and those on which none does: each is changed in turn, with the
    /// hash in the manifest set to match.
    fn fields_seen(
        &mut self,
        (stage, name): (Stage, &String),
        before: &BTreeMap<String, Verdict>,
    ) -> [BTreeSet<String>; 2] {
        let path = self.run.artifact(stage, name);
        let content = fs::read(&path).unwrap();
        let document: Value = serde_json::from_slice(&content).unwrap();
        let mut pointers = Vec::new();
        leaves("", &document, &mut pointers);
        let [mut seen, mut unseen] = [BTreeSet::new(), BTreeSet::new()];
        for pointer in pointers {
            let mut forged = document.clone();
            let field = forged.pointer_mut(&pointer).unwrap();
            *field = other_value(field);
            let bytes = serde_json::to_vec_pretty(&forged).unwrap();
            fs::write(&path, &bytes).unwrap();
            let mut record = self.manifest.complete_stage(stage).unwrap().clone();
            let recorded = record
                .outputs
                .insert(name.clone(), ContentHash::of_bytes(&bytes));
            self.manifest.set(stage, record.clone());
            let after = self.judge(&Stage::ALL[stage.number() - 1..]);
            record.outputs.insert(name.clone(), recorded.unwrap());
            self.manifest.set(stage, record);
            // That a later stage is stale follows from the hash alone.
            let is_seen = after.iter().any(|(key, verdict)| {
                !matches!(verdict.evidence, Evidence::Stale { .. }) && before[key] != *verdict
            });
            match is_seen {
                true => seen.insert(pointer),
                false => unseen.insert(pointer),
            };
        }
        fs::write(&path, &content).unwrap();
        [seen, unseen]
    }

    /// The verdicts of `stages` by `stage.criterion`.
    fn judge(&self, stages: &[Stage]) -> BTreeMap<String, Verdict> {
        let judged = judge_stages(stages, &self.surroundings, &self.run, &self.manifest);
        let mut verdicts = BTreeMap::new();
        for stage in judged.stages {
            for verdict in stage.verdicts {
                let key = format!("{}.{}", stage.stage, verdict.criterion.id);
                verdicts.insert(key, verdict);
            }
        }
        verdicts
    }

    fn files(&self, stage: Stage) -> Vec<String> {
        let record = self.manifest.complete_stage(stage).unwrap();
        record.outputs.keys().cloned().collect()
    }
}

/// What can happen to a file.
const WAYS: [&str; 4] = ["edited", "emptied", "deleted", "replaced by another run's"];

fn happen(way: &str, path: &Path, content: &[u8], other: &Path) -> bool {
    match way {
        "edited" => {
            let mut edited = content.to_vec();
            match edited.len() {
                0 => edited.push(b'0'),
                // After the part of a page that holds the verdicts, which every judgement fills in.
                n => edited[n - n.div_ceil(8)] ^= 1,
            }
            fs::write(path, edited).unwrap();
        }
        "emptied" if content.is_empty() => return false,
        "emptied" => fs::write(path, "").unwrap(),
        "deleted" => fs::remove_file(path).unwrap(),
        _ => match fs::read(other) {
            Ok(replacement) if replacement != content => fs::write(path, replacement).unwrap(),
            _ => return false,
        },
    }
    true
}

#[test]
fn whatever_happens_to_a_file_turns_its_stage_red() {
    let folder = finished_run();
    let other = tempfile::tempdir().unwrap();
    run_in(
        other.path(),
        &tiny(&["seed=4"]),
        &StopSignal::new(),
        &mut (),
    )
    .unwrap();
    let run = Run::open(folder.path());
    let other = RunFolder::new(other.path());
    let mut table = BTreeMap::new();
    for stage in Stage::ALL {
        for name in run.files(stage) {
            let path = run.run.artifact(stage, &name);
            let content = fs::read(&path).unwrap();
            for way in WAYS {
                if !happen(way, &path, &content, &other.artifact(stage, &name)) {
                    continue;
                }
                let verdicts = run.judge(&[stage]);
                fs::write(&path, &content).unwrap();
                let intact = &verdicts[&format!("{}.files_intact", stage.stem())];
                assert!(
                    matches!(intact.status, Status::Fail | Status::Missing),
                    "{stage}: {name} {way}: {}",
                    intact.message
                );
                assert!(intact.message.contains(&name), "{}", intact.message);
                *table.entry((stage.number(), way)).or_insert(0) += 1;
            }
        }
    }
    println!("files of each stage, by what happened to them, that turned it red: {table:?}");
    assert!(table.len() >= 4 * 7 - 3, "{table:?}");
    let unmet = |verdict: &&Verdict| {
        verdict.criterion.id == "files_intact" && verdict.status != Status::Pass
    };
    assert_eq!(run.judge(&Stage::ALL).values().filter(unmet).count(), 0);
}

/// The leaves of a JSON value by their pointers. A list of numbers is one leaf: whether one timing of several moves
/// their median depends on the machine. Of another list the first entry stands for all.
fn leaves(pointer: &str, value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                let name = name.replace('~', "~0").replace('/', "~1");
                leaves(&format!("{pointer}/{name}"), field, found);
            }
        }
        Value::Array(entries) if !entries.iter().all(Value::is_number) => {
            if let Some(first) = entries.first() {
                leaves(&format!("{pointer}/0"), first, found);
            }
        }
        _ => found.push(pointer.to_owned()),
    }
}

/// Another value of the same kind, so different that no message rounds the difference away.
fn other_value(value: &Value) -> Value {
    match value {
        Value::Bool(value) => (!value).into(),
        Value::Number(number) => match (number.as_u64(), number.as_f64()) {
            (Some(number), _) => (number + number / 3 + 1).into(),
            (_, Some(number)) => (1.37 * number + 0.37).into(),
            _ => 1.into(),
        },
        Value::String(text) => format!("{text}x").into(),
        Value::Array(numbers) if !numbers.is_empty() => numbers.iter().map(other_value).collect(),
        _ => 1.into(),
    }
}

/// Changes one field at a time: which criteria then say something else? The list of fields on which no verdict rests is kept here, so that a new one must be looked at.
#[test]
fn every_field_that_a_gate_rests_on_is_seen() {
    let folder = finished_run();
    let mut run = Run::open(folder.path());
    let before = run.judge(&Stage::ALL);
    let mut without: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut n_seen = 0;
    for stage in Stage::ALL {
        let names = run.files(stage);
        let is_document = |name: &&String| name.ends_with(".json") && !name.contains("checkpoint");
        for name in names.iter().filter(is_document) {
            let [seen, unseen] = run.fields_seen((stage, name), &before);
            n_seen += seen.len();
            if !unseen.is_empty() {
                without.insert(RunFolder::display_name(stage, name), unseen);
            }
        }
    }
    let mut text = String::new();
    for (file, pointers) in &without {
        for pointer in pointers {
            text += &format!("{file}{pointer}\n");
        }
    }
    println!("{n_seen} fields are seen, {} are not", text.lines().count());
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/integration/unguarded_fields.txt");
    if std::env::var_os("UPDATE_UNGUARDED_FIELDS").is_some() {
        fs::write(&path, &text).unwrap();
    }
    let declared = fs::read_to_string(&path).unwrap();
    let declared: BTreeSet<&str> = declared.lines().collect();
    let found: BTreeSet<&str> = text.lines().collect();
    let new: Vec<_> = found.difference(&declared).collect();
    assert!(
        new.is_empty(),
        "no gate rests on {new:#?}: add a check, or declare that they do not matter"
    );
}

/// A run without fine-tuning has no such file.
#[test]
fn every_field_of_the_accuracy_over_repeated_splits_is_seen() {
    let pretrained = finished_run();
    let weights = pretrained
        .path()
        .join("4-implementation/checkpoints/best/model.safetensors");
    let config = tiny(&[
        &format!("training.initial_weights={weights:?}"),
        "training.finetune={}",
        "training.epochs=1",
        "training.schedule.warmup_epochs=0",
        "refinement.enabled=false",
    ]);
    let folder = tempfile::tempdir().unwrap();
    run_in(folder.path(), &config, &StopSignal::new(), &mut ()).unwrap();
    let mut run = Run::of(folder.path(), &config);
    let before = run.judge(&Stage::ALL);
    let name = "head_accuracy.json".to_owned();
    let [seen, unseen] = run.fields_seen((Stage::Implementation, &name), &before);
    assert!(seen.len() > 10 && unseen.is_empty(), "{unseen:?}");
}
