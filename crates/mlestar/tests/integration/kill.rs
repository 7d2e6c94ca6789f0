//! A process that is killed, as by `kill -9` or a power cut, loses less than an epoch.

use crate::chain::command;
use mlestar_train::checkpoint;
use mlestar_workflow::manifest::{Hashes, RunManifest, hash_folder};
use mlestar_workflow::{RunFolder, Stage};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

const EPOCHS: usize = 24;
/// The time after which a test gives up on a very slow machine.
const LIMIT: Duration = Duration::from_secs(500);
/// What stands in files of these names, or names that begin so, depends on the clock.
const WITH_TIMES: [&str; 22] = [
    "ablation.json",
    "action_plan.html",
    "alerts.yaml",
    "architecture_check.json",
    "benchmark.json",
    "checkpoint.json",
    "deployment_report.html",
    "events.out.tfevents",
    "feasibility_report.html",
    "feasibility_report.json",
    "final_report.html",
    "kubernetes.yaml",
    "manifest.json",
    "metrics.jsonl",
    "monitoring.md",
    "package.tar.zst",
    "refinement_report.html",
    "requirements.md",
    "training_memory.json",
    "training_report.html",
    "training_timing.json",
    "trainings.jsonl",
];

#[test]
fn a_killed_run_goes_on_to_the_same_bits() {
    let whole = tempfile::tempdir().unwrap();
    finish(whole.path());
    let killed = tempfile::tempdir().unwrap();
    let run = run_folder(killed.path());
    for _ in 0..2 {
        kill_in_training(killed.path());
        assert!(
            !run.artifact(Stage::Implementation, "training_summary.json")
                .exists()
        );
        assert_incomplete(&run, Stage::Implementation);
    }
    kill_in_search(killed.path());
    assert_incomplete(&run, Stage::Refinement);
    finish(killed.path());

    let expected = run_folder(whole.path());
    for stage in Stage::ALL {
        assert_eq!(lasting(&run, stage), lasting(&expected, stage), "{stage}");
    }
    assert_eq!(epochs(&run), epochs(&expected));
    assert_eq!(epochs(&run).len(), EPOCHS);
    assert_eq!(names_of_checkpoints(&run), names_of_checkpoints(&expected));
    assert_whole(&run);
    for path in files_below(run.root()) {
        // Only the lock and what a rerun has set aside are hidden.
        let name = path.strip_prefix(run.root()).unwrap().to_string_lossy();
        assert!(
            name == ".lock" || !format!("/{name}").contains("/."),
            "{name} is left"
        );
    }
}

fn program(folder: &Path) -> Command {
    let epochs = format!("training.epochs={EPOCHS}");
    let settings = ["run", "--set", &epochs];
    command(folder, &settings)
}

fn run_folder(folder: &Path) -> RunFolder {
    RunFolder::new(folder.join("runs/tiny"))
}

fn finish(folder: &Path) {
    let output = program(folder).output().unwrap();
    // So little training reaches nothing, and the program says so.
    assert_eq!(output.status.code(), Some(4), "{output:?}");
}

/// Kills stage 4 after it has trained two epochs more than had been trained before.
fn kill_in_training(folder: &Path) {
    let metrics = run_folder(folder).artifact(Stage::Implementation, "metrics.jsonl");
    let n_lines = || fs::read_to_string(&metrics).map_or(0, |text| text.matches('\n').count());
    let n_before = n_lines();
    kill_when(folder, &|| n_lines() >= n_before + 2);
    assert!(n_lines() < EPOCHS, "killed too late: {} epochs", n_lines());
}

/// Kills stage 6 after its first trial, while its second one has a folder to work in.
fn kill_in_search(folder: &Path) {
    let run = run_folder(folder);
    kill_when(folder, &|| {
        run.artifact(Stage::Refinement, "trials.jsonl").exists()
            && files_below(&run.stage_folder(Stage::Refinement))
                .iter()
                .any(|path| path.to_string_lossy().contains("/.partial-"))
    });
}

fn kill_when(folder: &Path, is_due: &dyn Fn() -> bool) {
    let mut child = program(folder)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let started = Instant::now();
    while !is_due() {
        if let Some(status) = child.try_wait().unwrap() {
            panic!("ended with {status} before it could be killed");
        }
        if started.elapsed() > LIMIT {
            child.kill().unwrap();
            panic!("not where it should be killed after {LIMIT:?}");
        }
        sleep(Duration::from_millis(1));
    }
    child.kill().unwrap();
    let status = child.wait().unwrap();
    assert_ne!(status.code(), Some(4), "ended before it was killed");
    assert_whole(&run_folder(folder));
}

fn assert_incomplete(run: &RunFolder, stage: Stage) {
    let manifest = RunManifest::read(run).unwrap();
    assert!(!manifest.stage(stage).unwrap().complete, "killed too late");
}

/// No file is half written: each document can be read and each checkpoint is what its record says.
fn assert_whole(run: &RunFolder) {
    for path in files_below(run.root()) {
        if path.to_string_lossy().contains("/.") {
            continue;
        }
        match path.file_name().unwrap().to_str().unwrap() {
            "checkpoint.json" => {
                checkpoint::verify(path.parent().unwrap()).unwrap();
            }
            name if name.ends_with(".json") => {
                let text = fs::read(&path).unwrap();
                serde_json::from_slice::<Value>(&text)
                    .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            }
            _ => {}
        }
    }
}

/// What a stage left, without the files that depend on the clock.
fn lasting(run: &RunFolder, stage: Stage) -> Hashes {
    let mut hashes = hash_folder(&run.stage_folder(stage)).unwrap();
    hashes.retain(|path, _| {
        let name = path.rsplit('/').next().unwrap();
        !WITH_TIMES.iter().any(|start| name.starts_with(start))
    });
    assert!(!hashes.is_empty());
    hashes
}

/// The lines of `metrics.jsonl` without what depends on the clock.
fn epochs(run: &RunFolder) -> Vec<Value> {
    let path = run.artifact(Stage::Implementation, "metrics.jsonl");
    let text = fs::read_to_string(path).unwrap();
    text.lines()
        .map(|line| {
            let mut epoch: Value = serde_json::from_str(line).unwrap();
            let fields = epoch.as_object_mut().unwrap();
            for key in [
                "images_per_second",
                "seconds",
                "validation_seconds",
                "loader_wait_seconds",
            ] {
                fields.remove(key).unwrap();
            }
            epoch
        })
        .collect()
}

fn names_of_checkpoints(run: &RunFolder) -> Vec<String> {
    let folder = run.artifact(Stage::Implementation, "checkpoints");
    let mut names: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// Every file in `folder` and below, hidden ones and empty folders too. Another process may be
/// renaming some of them.
fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        let inside = files_below(&path);
        match inside.is_empty() {
            true => files.push(path),
            false => files.extend(inside),
        }
    }
    files
}
