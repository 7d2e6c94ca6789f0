//! The options of `run` that are shortcuts for settings of a training, and a training with an injected fault, as a
//! user sees them.

use crate::chain::command;
use serde_json::Value;
use std::fs;
use std::path::Path;

/// Standard error of a command that ran its stages, whatever their gates say.
fn ran(folder: &Path, arguments: &[&str]) -> String {
    let output = command(folder, arguments).output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(
        [0, 4, 5].contains(&output.status.code().unwrap()),
        "{stderr}"
    );
    stderr
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

#[test]
fn a_fast_dev_run_runs_every_stage_in_a_folder_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let output = command(folder.path(), &["run", "--fast-dev-run"])
        .output()
        .unwrap();
    // Gates that a network of two batches cannot meet decide nothing, and it says so.
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let stdout = String::from_utf8(output.stdout).unwrap();
    assert!(stdout.contains("is below the limit"), "{stdout}");
    assert!(
        stdout.contains(
            "Exit code 0: every stage ran, and with --fast-dev-run the gates do not decide"
        ),
        "{stdout}"
    );
    let runs = folder.path().join("runs");
    assert!(!runs.join("tiny").exists());
    let run = runs.join("tiny-fast-dev-run");
    assert!(json(&run.join("7-deployment/parity.json")).is_object());
    let summary = json(&run.join("4-implementation/training_summary.json"));
    assert_eq!(summary["epochs_run"], 1);
    let steps = fs::read_to_string(run.join("4-implementation/steps.jsonl")).unwrap();
    assert_eq!(steps.lines().count(), 2);
}

#[test]
fn time_and_data_can_be_limited() {
    let folder = tempfile::tempdir().unwrap();
    let stderr = ran(
        folder.path(),
        &[
            "run",
            "--to",
            "4",
            "--max-minutes",
            "1e-6",
            "--overfit-batches",
            "3",
        ],
    );
    assert!(stderr.contains("as training.max_minutes asks"), "{stderr}");
    let stage = folder.path().join("runs/tiny/4-implementation");
    let summary = json(&stage.join("training_summary.json"));
    assert_eq!(summary["stopped"], "time_up");
    let config = fs::read_to_string(folder.path().join("runs/tiny/config.toml")).unwrap();
    assert!(config.contains("overfit_batches = 3"), "{config}");
    let output = command(folder.path(), &["run", "--max-minutes", "-1"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn a_remedy_is_printed_and_recorded() {
    let folder = tempfile::tempdir().unwrap();
    let stderr = ran(
        folder.path(),
        &["run", "--to", "4", "--set", "faults.non_finite_at_step=2"],
    );
    assert!(stderr.contains("went back to step 0"), "{stderr}");
    let stage = folder.path().join("runs/tiny/4-implementation");
    let summary = json(&stage.join("training_summary.json"));
    let remedies = summary["remedies"].as_array().unwrap();
    assert_eq!(remedies.len(), 1);
    assert_eq!(remedies[0]["change"]["lower_rate"]["factor"], 0.5);
}
