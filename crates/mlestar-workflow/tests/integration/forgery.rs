//! A changed file is detected by the files that it contradicts, even when the manifest is changed to match.

use crate::{finished_run, tiny};
use mlestar_artifact::ContentHash;
use mlestar_export::package::{self, AddedFile, FileRole};
use mlestar_gates::{Status, Verdict};
use mlestar_workflow::freshness::Surroundings;
use mlestar_workflow::gates::judge_stage;
use mlestar_workflow::manifest::RunManifest;
use mlestar_workflow::{RunFolder, Stage};
use serde_json::Value;
use std::fs;

/// A copy of the finished run whose files can be replaced, with their hashes in the manifest.
struct Forgery {
    _folder: tempfile::TempDir,
    run: RunFolder,
}

impl Forgery {
    fn new() -> Self {
        let folder = finished_run();
        let run = RunFolder::new(folder.path());
        Self {
            _folder: folder,
            run,
        }
    }

    fn read(&self, stage: Stage, name: &str) -> Vec<u8> {
        fs::read(self.run.artifact(stage, name)).unwrap()
    }

    fn write(&self, stage: Stage, name: &str, content: &[u8]) {
        fs::write(self.run.artifact(stage, name), content).unwrap();
        let mut manifest = RunManifest::read(&self.run).unwrap();
        let mut record = manifest.stage(stage).unwrap().clone();
        let hash = ContentHash::of_bytes(content);
        record.outputs.insert(name.into(), hash);
        manifest.set(stage, record);
        manifest.write(&self.run).unwrap();
    }

    /// Replaces a file of the package, with its hashes in the package's manifest and the packed package.
    fn write_in_package(&self, name: &str, role: FileRole, content: &[u8]) {
        let stage = Stage::Deployment;
        let folder = self.run.artifact(stage, "package");
        let file = AddedFile {
            name: name.into(),
            role,
            content: content.into(),
        };
        package::add_files(&folder, &[file]).unwrap();
        self.repack();
        self.write(stage, &format!("package/{name}"), content);
    }

    /// Packs the package again and records its manifest and the packed file as they are.
    fn repack(&self) {
        let stage = Stage::Deployment;
        let folder = self.run.artifact(stage, "package");
        package::archive::pack(&folder, &self.run.artifact(stage, "package.tar.zst")).unwrap();
        for name in ["package/manifest.json", "package.tar.zst"] {
            self.write(stage, name, &self.read(stage, name));
        }
    }

    /// Sets one field of a JSON artifact.
    fn set(&self, stage: Stage, name: &str, pointer: &str, value: impl Into<Value>) {
        let mut document: Value = serde_json::from_slice(&self.read(stage, name)).unwrap();
        let field = document.pointer_mut(pointer).unwrap_or_else(|| {
            panic!("{name} has no {pointer}");
        });
        let value = value.into();
        assert_ne!(*field, value, "{name}{pointer} is that already");
        *field = value;
        self.write(stage, name, &serde_json::to_vec_pretty(&document).unwrap());
    }

    fn verdict(&self, stage: Stage, id: &str) -> Verdict {
        let manifest = RunManifest::read(&self.run).unwrap();
        let surroundings = Surroundings::look(&tiny(&[]), &self.run, "cpu");
        judge_stage(stage, &surroundings, &self.run, &manifest)
            .verdicts
            .into_iter()
            .find(|verdict| verdict.criterion.id == id)
            .unwrap()
    }

    /// The criterion is no longer met, and its message or the note of its measurement contains `what`.
    fn assert_caught(&self, stage: Stage, id: &str, what: &str) {
        let verdict = self.verdict(stage, id);
        assert!(
            matches!(verdict.status, Status::Fail | Status::Missing),
            "{id}: {}",
            verdict.message
        );
        let note = verdict.evidence.measurement().map(|found| &found.note);
        let is_said =
            verdict.message.contains(what) || note.is_some_and(|note| note.contains(what));
        assert!(is_said, "{what}: {}", verdict.message);
    }
}

const FINAL_MODEL: &str = "final/final_model.json";

#[test]
fn what_the_gates_rest_on_is_met_before_it_is_forged() {
    let run = Forgery::new();
    for (stage, id) in [
        (Stage::Implementation, "checkpoints_readable"),
        (Stage::Implementation, "metrics_logged"),
        (Stage::Implementation, "training_time"),
        (Stage::Implementation, "training_memory"),
        (Stage::Refinement, "search_completed"),
        (Stage::Refinement, "final_model"),
        (Stage::Refinement, "final_training_time"),
        (Stage::Refinement, "final_training_memory"),
        (Stage::Refinement, "final_analysis_complete"),
        (Stage::Deployment, "package_opens"),
        (Stage::Deployment, "package_is_the_final_model"),
        (Stage::Deployment, "parity"),
        (Stage::Deployment, "confidence_from_validation"),
        (Stage::Deployment, "memory_bytes"),
        (Stage::Deployment, "documentation"),
    ] {
        let verdict = run.verdict(stage, id);
        assert_eq!(verdict.status, Status::Pass, "{}", verdict.message);
    }
}

#[test]
fn a_record_of_the_baselines_training_must_be_of_that_training() {
    let stage = Stage::Implementation;
    for (name, pointer, value, id) in [
        (
            "training_summary.json",
            "/best_epoch",
            Value::from(9),
            "metrics_logged",
        ),
        (
            "training_summary.json",
            "/epochs_run",
            9.into(),
            "metrics_logged",
        ),
        (
            "training_summary.json",
            "/seed",
            9.into(),
            "checkpoints_readable",
        ),
        (
            "training_summary.json",
            "/normalization/mean/0",
            0.9.into(),
            "checkpoints_readable",
        ),
        (
            "training_timing.json",
            "/training_seconds",
            0.001.into(),
            "training_time",
        ),
        (
            "training_timing.json",
            "/validation_seconds",
            9e9.into(),
            "training_time",
        ),
    ] {
        let run = Forgery::new();
        run.set(stage, name, pointer, value);
        run.assert_caught(stage, id, "");
    }
    let run = Forgery::new();
    run.write(stage, "steps.jsonl", b"");
    run.assert_caught(stage, "metrics_logged", "it holds no step");
}

#[test]
fn the_final_weights_must_be_those_that_were_chosen() {
    let stage = Stage::Refinement;
    let name = "final/model.safetensors";
    let weights = Forgery::new().read(stage, name);
    let mut flipped = weights.clone();
    let last = flipped.len() - 1;
    flipped[last] ^= 1;
    for content in [&flipped[..], b"", &weights[..weights.len() / 2]] {
        let run = Forgery::new();
        run.write(stage, name, content);
        run.assert_caught(stage, "final_model", name);
    }
    // Weights and record of one make: they are not those of the training.
    let run = Forgery::new();
    run.write(stage, name, &flipped);
    let hash = ContentHash::of_bytes(&flipped).to_string();
    run.set(stage, FINAL_MODEL, "/weights", hash);
    run.assert_caught(stage, "final_model", name);

    let run = Forgery::new();
    fs::remove_file(run.run.artifact(stage, name)).unwrap();
    run.assert_caught(stage, "final_model", name);
}

#[test]
fn what_is_said_of_the_final_model_must_be_what_its_training_left() {
    let stage = Stage::Refinement;
    for (pointer, value) in [
        ("/epochs_run", Value::from(9)),
        ("/best_epoch", 9.into()),
        ("/validation_accuracy", 0.999.into()),
        ("/baseline_validation_accuracy", 0.001.into()),
        ("/baseline_epochs_run", 9.into()),
        ("/final_training/epochs_run", 9.into()),
        ("/final_training/best_epoch", 9.into()),
        ("/final_training/validation_accuracy", 0.999.into()),
        ("/final_training", Value::Null),
        ("/parameters", 9.into()),
        ("/seed", 9.into()),
        ("/reason", "not_searched".into()),
        ("/classes/0", "another".into()),
        ("/normalization/std/0", 0.9.into()),
    ] {
        let run = Forgery::new();
        run.set(stage, FINAL_MODEL, pointer, value);
        run.assert_caught(stage, "final_model", "");
    }
    let run = Forgery::new();
    run.write(stage, "training/metrics.jsonl", b"");
    run.assert_caught(stage, "final_model", "");
    let run = Forgery::new();
    fs::remove_dir_all(run.run.artifact(stage, "training")).unwrap();
    for id in [
        "final_model",
        "final_training_time",
        "final_training_memory",
    ] {
        run.assert_caught(stage, id, "training");
    }
}

#[test]
fn the_search_must_be_what_its_log_says() {
    let stage = Stage::Refinement;
    let run = Forgery::new();
    run.set(stage, "study.json", "/report/best", 7);
    run.assert_caught(stage, "search_completed", "best");
    let run = Forgery::new();
    run.set(stage, "study.json", "/report/trials/1/value", 0.9999);
    run.assert_caught(stage, "search_completed", "trials.jsonl");
    let run = Forgery::new();
    fs::remove_file(run.run.artifact(stage, "trials.jsonl")).unwrap();
    run.assert_caught(stage, "search_completed", "trials.jsonl");
    let run = Forgery::new();
    let log = String::from_utf8(run.read(stage, "trials.jsonl")).unwrap();
    let first = log.lines().next().unwrap().to_owned() + "\n";
    run.write(stage, "trials.jsonl", first.as_bytes());
    run.assert_caught(stage, "search_completed", "trials.jsonl");
    let run = Forgery::new();
    let config = String::from_utf8(run.read(stage, "optimized_config.toml")).unwrap();
    let edited: String = config
        .lines()
        .map(|line| match line.starts_with("learning_rate = ") {
            true => "learning_rate = 0.0123456\n".to_owned(),
            false => format!("{line}\n"),
        })
        .collect();
    assert_ne!(config, edited);
    run.write(stage, "optimized_config.toml", edited.as_bytes());
    run.assert_caught(stage, "search_completed", "learning_rate");
    let run = Forgery::new();
    run.write(stage, "optimized_config.toml", b"[training");
    run.assert_caught(stage, "search_completed", "optimized_config.toml");
}

#[test]
fn the_comparison_and_the_evaluation_must_be_those_of_the_answers() {
    let stage = Stage::Refinement;
    for field in ["accuracy_a", "accuracy_b", "difference", "p_value"] {
        let run = Forgery::new();
        run.set(stage, "comparison.json", &format!("/paired/{field}"), 0.123);
        run.assert_caught(stage, "improvement", field);
    }
    for (pointer, value) in [
        ("/model", Value::from("0".repeat(64))),
        ("/summary/accuracy/value", 0.123.into()),
        ("/summary/balanced_accuracy/value", 0.123.into()),
        ("/summary/log_loss/value", 0.123.into()),
        ("/summary/per_class/3/recall", 0.123.into()),
    ] {
        let run = Forgery::new();
        run.set(stage, "evaluation_results.json", pointer, value);
        run.assert_caught(stage, "final_analysis_complete", "");
    }
    let run = Forgery::new();
    run.set(
        stage,
        "evaluation_results.json",
        "/summary/confusion/cells/0/2",
        99,
    );
    run.assert_caught(stage, "final_analysis_complete", "");
}

#[test]
fn the_package_must_be_the_final_model() {
    let stage = Stage::Deployment;
    for (pointer, value) in [
        ("/provenance/weights_blake3", Value::from("0".repeat(64))),
        ("/provenance/seed", "99".into()),
        ("/provenance/code_version", "another".into()),
    ] {
        let run = Forgery::new();
        run.set(stage, "package/manifest.json", pointer, value);
        run.assert_caught(stage, "package_is_the_final_model", "");
    }
    for pointer in ["/classes/0", "/input/name"] {
        let run = Forgery::new();
        run.set(stage, "package/manifest.json", pointer, "another");
        run.repack();
        run.assert_caught(stage, "package_opens", "");
    }
    // A manifest that the packed package does not have.
    let run = Forgery::new();
    run.set(stage, "package/manifest.json", "/golden/0/label", 7);
    run.assert_caught(stage, "package_opens", "package.tar.zst");
    run.repack();
    assert_eq!(run.verdict(stage, "package_opens").status, Status::Pass);
    // Another ONNX file with its hash in the package's own manifest.
    let run = Forgery::new();
    let mut bytes = run.read(stage, "package/model.onnx");
    let weight = bytes.len() / 2;
    bytes[weight] ^= 1;
    run.write_in_package("model.onnx", FileRole::Model, &bytes);
    run.assert_caught(stage, "package_is_the_final_model", "model.onnx");
}

#[test]
fn documents_and_logits_must_say_what_was_measured() {
    let stage = Stage::Deployment;
    let run = Forgery::new();
    let name = "docs/monitoring.md";
    let text = String::from_utf8(run.read(stage, &format!("package/{name}"))).unwrap();
    let text = text.replace("doubles", "halves");
    run.write_in_package(name, FileRole::Document, text.as_bytes());
    run.assert_caught(stage, "documentation", name);
    assert_eq!(run.verdict(stage, "package_opens").status, Status::Pass);

    let run = Forgery::new();
    let logits = String::from_utf8(run.read(stage, "logits.jsonl")).unwrap();
    let mut rows: Vec<Value> = logits
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    rows[0]["trained"][0] = 99.0.into();
    rows[0]["exported"][0] = 99.0.into();
    let text: String = rows.iter().map(|row| format!("{row}\n")).collect();
    run.write(stage, "logits.jsonl", text.as_bytes());
    run.assert_caught(stage, "same_class", "its row 1 differs");

    for (pointer, value) in [
        ("/parity/same_top1", Value::from(1)),
        ("/parity/mean_abs_difference", 0.5.into()),
        ("/pictures", 1.into()),
    ] {
        let run = Forgery::new();
        run.set(stage, "parity.json", pointer, value);
        run.assert_caught(stage, "parity", "");
    }
}

#[test]
fn what_the_package_says_of_its_confidence_must_follow_from_the_logits() {
    let stage = Stage::Deployment;
    for (pointer, value) in [
        ("/calibration/temperature/n", Value::from(9)),
        ("/calibration/temperature/log_loss_after", 0.001.into()),
        ("/training_data/predicted_classes/0", 99.into()),
        ("/metrics/0/value", 0.999.into()),
    ] {
        let run = Forgery::new();
        run.set(stage, "package/manifest.json", pointer, value);
        run.repack();
        run.assert_caught(stage, "confidence_from_validation", "");
    }
    // Another int8 file with its hashes.
    let run = Forgery::new();
    let mut bytes = run.read(stage, "package/model.int8.onnx");
    let integers = b"head.weight.q";
    let at = bytes
        .windows(integers.len())
        .rposition(|part| part == integers)
        .unwrap();
    let step = bytes[at - 20..at]
        .iter()
        .rposition(|byte| (1..=100).contains(byte))
        .unwrap();
    bytes[at - 20 + step] += 1;
    run.write_in_package("model.int8.onnx", FileRole::Model, &bytes);
    run.assert_caught(stage, "package_is_the_final_model", "");
    // What decides which precision a program may choose.
    for pointer in ["/precisions/1/is_allowed", "/precisions/0/is_allowed"] {
        let run = Forgery::new();
        let manifest = run.read(stage, "package/manifest.json");
        let manifest: Value = serde_json::from_slice(&manifest).unwrap();
        let allowed = manifest.pointer(pointer).unwrap().as_bool().unwrap();
        run.set(stage, "package/manifest.json", pointer, !allowed);
        run.repack();
        run.assert_caught(stage, "int8_accuracy_kept", "");
    }
    let run = Forgery::new();
    run.set(
        stage,
        "quantization.json",
        "/precisions/1/test/agreement",
        0.123,
    );
    run.assert_caught(stage, "int8_accuracy_kept", "");
    // Other logits give another temperature than the exported one.
    let run = Forgery::new();
    let name = "validation_logits.jsonl";
    let logits = String::from_utf8(run.read(stage, name)).unwrap();
    let kept: Vec<&str> = logits.lines().skip(40).collect();
    run.write(stage, name, (kept.join("\n") + "\n").as_bytes());
    run.assert_caught(stage, "confidence_from_validation", "");
    run.assert_caught(stage, "package_is_the_final_model", "");
}
