//! `analyze-training` and `monitor` on a run that the chain made, and where there is none.

use crate::chain::command;
use crate::{ended, program};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use std::process::Stdio;

fn mlestar(folder: &Path, arguments: &[&str]) -> (i32, String, String) {
    ended(command(folder, arguments))
}

/// Replaces the record of the baseline by one of 20 epochs that overfit after the eighth.
fn write_record(folder: &Path) {
    let epochs: String = (1..=20)
        .map(|epoch| {
            let train_loss = 0.1 + 2.2 * (-0.25 * f64::from(epoch)).exp();
            let late = f64::from((epoch - 8).max(0));
            let record = json!({
                "epoch": epoch, "learning_rate": 0.01,
                "train_loss": train_loss, "train_accuracy": 1.0 - 0.4 * train_loss,
                "validation_loss": 0.1 + train_loss + 0.1 * late,
                "validation_accuracy": 0.9 - 0.4 * train_loss - 0.004 * late,
                "images_per_second": 250.0, "seconds": 12.0, "validation_seconds": 1.0,
                "gradient_norm_mean": 1.0,
            });
            record.to_string() + "\n"
        })
        .collect();
    let steps: String = (1..=200)
        .map(|step| {
            let record = json!({
                "step": step, "epoch": (step - 1) / 10 + 1,
                "loss": if step == 150 { Value::Null } else { json!(1.0) },
                "learning_rate": 0.01, "gradient_norm": 1.0,
            });
            record.to_string() + "\n"
        })
        .collect();
    fs::create_dir_all(folder).unwrap();
    fs::write(folder.join("metrics.jsonl"), epochs).unwrap();
    fs::write(folder.join("steps.jsonl"), steps).unwrap();
}

#[test]
fn an_analysis_leaves_the_run_fresh_and_its_gates_alone() {
    let folder = tempfile::tempdir().unwrap();
    let (code, _, stderr) = mlestar(folder.path(), &["run", "--to", "6"]);
    assert_eq!(code, 4, "{stderr}");
    let run = folder.path().join("runs/tiny");
    let (_, before, _) = mlestar(folder.path(), &["validate"]);

    let (code, stdout, stderr) = mlestar(folder.path(), &["analyze-training"]);
    assert_eq!(code, 0, "{stderr}");
    assert!(
        stdout.contains("4-implementation: 2 of 2 epochs"),
        "{stdout}"
    );
    assert!(
        stdout.contains("6-refinement/training: 2 of 2 epochs"),
        "{stdout}"
    );
    for name in [
        "training_analysis",
        "training_analysis-6-refinement-training",
    ] {
        let json = fs::read(run.join(format!("{name}.json"))).unwrap();
        let json: Value = serde_json::from_slice(&json).unwrap();
        assert_eq!(json["schema"], "mlestar.training_analysis");
        assert_eq!(json["settings_from"], "checkpoint");
        let html = fs::read_to_string(run.join(format!("{name}.html"))).unwrap();
        assert!(html.contains("<svg"));
    }
    // A folder of the run, however it is named.
    for named in ["tiny", "runs/tiny/4-implementation", "./runs/tiny"] {
        let (code, stdout, stderr) = plain(folder.path(), &["analyze-training", named]);
        assert_eq!(code, 0, "{named}: {stderr}");
        assert!(stdout.contains("4-implementation"), "{named}: {stdout}");
    }

    let (_, after, _) = mlestar(folder.path(), &["validate"]);
    assert_eq!(before, after);
    let (_, stdout, _) = mlestar(folder.path(), &["status"]);
    assert_eq!(stdout.matches("unchanged").count(), 6, "{stdout}");

    let (code, stdout, stderr) = mlestar(folder.path(), &["monitor", "--once"]);
    assert_eq!(code, 0, "{stderr}");
    assert!(
        stdout.contains("6-refinement/training  (finished)"),
        "{stdout}"
    );
    assert!(
        stdout.contains("2 of 2, all finished") && stdout.contains("GB in use"),
        "{stdout}"
    );
    // A finished run has nothing to wait for.
    let (code, stdout, stderr) = mlestar(folder.path(), &["monitor"]);
    assert_eq!((code, stdout.lines().count()), (0, 1), "{stdout}{stderr}");
}

/// Without a config, as where only a run is named.
fn plain(folder: &Path, arguments: &[&str]) -> (i32, String, String) {
    ended(program(folder, arguments))
}

#[test]
fn findings_and_changes_are_printed_and_written_beside_a_record_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    write_record(&folder.path().join("mine/a"));
    let (code, stdout, stderr) = plain(folder.path(), &["analyze-training", "mine/a"]);
    assert_eq!(code, 0, "{stderr}");
    assert!(stdout.contains("1. divergence, problem"), "{stdout}");
    assert!(
        stdout.contains("At step 150 (epoch 15, learning rate 0.0100)"),
        "{stdout}"
    );
    assert!(stdout.contains("overfitting, warning"), "{stdout}");
    assert!(
        stdout.contains("--set 'training.optimizer.learning_rate=0.001'"),
        "{stdout}"
    );
    assert!(
        folder
            .path()
            .join("mine/a/training_analysis.html")
            .is_file()
    );

    fs::write(folder.path().join("mine/a/steps.jsonl"), "{\"step\": 1}\n").unwrap();
    let (code, _, stderr) = plain(folder.path(), &["analyze-training", "mine/a"]);
    assert_eq!(code, 1);
    assert!(
        stderr.contains("steps.jsonl is not valid: line 1: missing field"),
        "{stderr}"
    );
}

#[test]
fn trainings_are_put_beside_each_other_and_a_file_of_another_tool() {
    let folder = tempfile::tempdir().unwrap();
    write_record(&folder.path().join("mine/a"));
    write_record(&folder.path().join("runs/b"));
    fs::write(
        folder.path().join("peer.csv"),
        "seconds,accuracy\n60,0.5\n120,0.65\n",
    )
    .unwrap();
    let arguments = [
        "compare-trainings",
        "ours=mine/a",
        "ours=b",
        "peer.csv",
        "--reach",
        "0.6",
    ];
    let (code, stdout, stderr) = plain(folder.path(), &arguments);
    assert_eq!(code, 0, "{stderr}");
    assert!(stdout.contains("± 0.0000 (n = 2)"), "{stdout}");
    assert!(
        stdout.contains("peer: best accuracy 0.6500, 0.6 in 2.0 min"),
        "{stdout}"
    );
    // None of them has a checkpoint.
    assert_eq!(stdout.matches("(settings unknown)").count(), 3, "{stdout}");
    for file in ["training_comparison.json", "training_comparison.html"] {
        assert!(folder.path().join("runs").join(file).is_file(), "{file}");
    }
    let (code, _, stderr) = plain(folder.path(), &["compare-trainings", "nowhere"]);
    assert_eq!(code, 3, "{stderr}");
    assert!(
        stderr.contains("runs/nowhere holds no training"),
        "{stderr}"
    );
    let (code, _, stderr) = plain(folder.path(), &["compare-trainings", "=mine/a"]);
    assert_eq!(code, 2, "{stderr}");
    assert!(stderr.contains("has no label"), "{stderr}");
}

#[test]
fn where_there_is_nothing_both_end_with_3() {
    let folder = tempfile::tempdir().unwrap();
    let (code, _, stderr) = plain(folder.path(), &["analyze-training"]);
    assert_eq!(code, 3, "{stderr}");
    assert!(
        stderr.contains("no training has recorded anything in"),
        "{stderr}"
    );
    let (code, _, stderr) = plain(folder.path(), &["analyze-training", "nowhere"]);
    assert_eq!(code, 3, "{stderr}");
    for arguments in [vec!["monitor"], vec!["monitor", "nowhere", "--once"]] {
        let (code, _, stderr) = plain(folder.path(), &arguments);
        assert_eq!(code, 3, "{stderr}");
        assert!(stderr.contains("there is no run in"), "{stderr}");
    }
}

#[test]
fn a_monitor_ends_with_the_stage_of_the_training() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("runs/tiny");
    write_record(&run.join("4-implementation"));
    let manifest = |complete: bool| {
        let record = json!({"complete": complete, "inputs": {}, "outputs": {}, "audit": null});
        let document = json!({
            "schema": "mlestar.manifest", "schema_version": 2,
            "stages": {"implementation": record},
        });
        let path = run.join("manifest.json");
        fs::write(path.with_extension("new"), document.to_string()).unwrap();
        fs::rename(path.with_extension("new"), path).unwrap();
    };
    manifest(false);
    let monitor = command(folder.path(), &["monitor"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // Long enough to see the stage unfinished; if it is not, the monitor ends all the same.
    std::thread::sleep(std::time::Duration::from_millis(1500));
    manifest(true);
    let output = monitor.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let stdout = String::from_utf8(output.stdout).unwrap();
    let last = stdout.lines().last().unwrap();
    assert!(last.starts_with("4-implementation  (finished)"), "{stdout}");
    assert!(
        last.contains("epoch 20 of 2, all finished") && last.contains("findings: divergence"),
        "{stdout}"
    );
}
