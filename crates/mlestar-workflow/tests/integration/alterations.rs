//! A number changed by hand makes exactly those gates fail that depend on its file.

use crate::{finished_run, tiny};
use mlestar_gates::{Evidence, Status};
use mlestar_workflow::config::Config;
use mlestar_workflow::freshness::Surroundings;
use mlestar_workflow::manifest::RunManifest;
use mlestar_workflow::validation::ValidationReport;
use mlestar_workflow::{RunFolder, Stage};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

fn judge(folder: &Path) -> ValidationReport {
    judge_with(folder, &tiny(&[]))
}

fn judge_with(folder: &Path, config: &Config) -> ValidationReport {
    let run = RunFolder::new(folder);
    let manifest = RunManifest::read(&run).unwrap();
    let surroundings = Surroundings::look(config, &run, "cpu");
    ValidationReport::judge(&Stage::ALL, &surroundings, &run, &manifest)
}

/// The criteria (stage and id) that fail because `file` was altered.
fn altered_by(report: &ValidationReport, file: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for stage in &report.verdict.stages {
        for verdict in &stage.verdicts {
            if matches!(&verdict.evidence, Evidence::Altered { file: altered, .. } if altered == file)
            {
                assert_eq!(verdict.status, Status::Fail);
                assert!(verdict.message.contains(file), "{}", verdict.message);
                found.insert(format!("{}.{}", stage.stage, verdict.criterion.id));
            }
        }
    }
    found
}

/// Every file of every stage in turn: exactly the criteria that read it when it was whole fail, and
/// every other verdict is what it was.
#[test]
fn exactly_the_gates_that_rest_on_a_file_turn_red() {
    let folder = finished_run();
    let before = judge(folder.path());
    let run = RunFolder::new(folder.path());
    let manifest = RunManifest::read(&run).unwrap();
    let mut n_guarded = 0;
    for stage in Stage::ALL {
        let record = manifest.complete_stage(stage).unwrap();
        for name in record.outputs.keys() {
            let file = RunFolder::display_name(stage, name);
            let rests_on_it: BTreeSet<String> = before
                .verdict
                .stages
                .iter()
                .flat_map(|stage| stage.verdicts.iter().map(move |verdict| (stage, verdict)))
                .filter(|(_, verdict)| verdict.evidence.files().contains(&file.as_str()))
                .map(|(stage, verdict)| format!("{}.{}", stage.stage, verdict.criterion.id))
                .chain([format!("{}.files_intact", stage.stem())])
                .collect();
            let path = run.artifact(stage, name);
            let content = fs::read(&path).unwrap();
            fs::write(&path, change_a_digit(&content)).unwrap();
            let after = judge(folder.path());
            fs::write(&path, content).unwrap();
            assert_eq!(altered_by(&after, &file), rests_on_it, "{file}");
            for (a, b) in before.verdict.stages.iter().zip(&after.verdict.stages) {
                for (a, b) in a.verdicts.iter().zip(&b.verdicts) {
                    let is_altered = matches!(b.evidence, Evidence::Altered { .. });
                    assert!(is_altered || a == b, "{file}: {}", b.message);
                }
            }
            n_guarded += usize::from(rests_on_it.len() > 1);
        }
    }
    assert!(n_guarded >= 15, "only {n_guarded} files are guarded");
    assert_eq!(judge(folder.path()), before);
}

/// Changes one digit, or a byte of a file without digits, in the last eighth: after the part of a page that holds the
/// verdicts.
fn change_a_digit(content: &[u8]) -> Vec<u8> {
    let mut content = content.to_vec();
    if content.is_empty() {
        return b"0".to_vec();
    }
    let begin = content.len() - content.len().div_ceil(8);
    let digit = content[begin..].iter().position(u8::is_ascii_digit);
    let at = digit.map_or(begin, |offset| begin + offset);
    content[at] = match content[at] {
        b'9' => b'8',
        byte => byte.wrapping_add(1),
    };
    content
}

#[test]
fn a_validation_that_is_due_and_missing_fails_its_gate() {
    let folder = finished_run();
    let run = RunFolder::new(folder.path());
    let name = "metrics.jsonl";
    let path = run.artifact(Stage::Implementation, name);
    let text = fs::read_to_string(&path).unwrap();
    let mut lines: Vec<serde_json::Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let first = lines[0].as_object_mut().unwrap();
    first.remove("validation_loss").unwrap();
    first.remove("validation_accuracy").unwrap();
    let forged: String = lines.iter().map(|line| format!("{line}\n")).collect();
    fs::write(&path, &forged).unwrap();
    let mut manifest = RunManifest::read(&run).unwrap();
    let mut record = manifest.stage(Stage::Implementation).unwrap().clone();
    let hash = mlestar_artifact::ContentHash::of_bytes(forged.as_bytes());
    record.outputs.insert(name.into(), hash);
    manifest.set(Stage::Implementation, record);
    manifest.write(&run).unwrap();
    let report = judge(folder.path());
    let stage = &report.verdict.stages[Stage::Implementation.number() - 1];
    let verdict = stage
        .verdicts
        .iter()
        .find(|verdict| verdict.criterion.id == "metrics_logged")
        .unwrap();
    assert_eq!(verdict.status, Status::Fail);
}

#[test]
fn a_claim_that_the_rows_do_not_bear_out_is_a_contradiction() {
    let folder = finished_run();
    let run = RunFolder::new(folder.path());
    let path = run.artifact(Stage::Implementation, "training_summary.json");
    let text = fs::read_to_string(&path).unwrap();
    let mut document: serde_json::Value = serde_json::from_str(&text).unwrap();
    document["validation_accuracy"] = 0.999.into();
    let forged = serde_json::to_vec_pretty(&document).unwrap();
    fs::write(&path, &forged).unwrap();
    // When the manifest is changed to match, the rows reveal the change.
    let mut manifest = RunManifest::read(&run).unwrap();
    let mut record = manifest.stage(Stage::Implementation).unwrap().clone();
    record.outputs.insert(
        "training_summary.json".into(),
        mlestar_artifact::ContentHash::of_bytes(&forged),
    );
    manifest.set(Stage::Implementation, record);
    manifest.write(&run).unwrap();
    let report = judge(folder.path());
    let stage = &report.verdict.stages[Stage::Implementation.number() - 1];
    let verdict = stage
        .verdicts
        .iter()
        .find(|verdict| verdict.criterion.id == "validation_accuracy")
        .unwrap();
    assert_eq!(verdict.status, Status::Fail);
    assert!(
        verdict
            .message
            .contains("4-implementation/training_summary.json")
    );
    assert!(verdict.message.contains("0.999"), "{}", verdict.message);
}

#[test]
fn a_run_that_has_not_begun_is_missing() {
    let folder = tempfile::tempdir().unwrap();
    let report = judge(folder.path());
    assert_eq!(report.status, Status::Missing);
    assert_eq!(report.exit_code, 3);
}
