//! `bench-model` on the package of a tiny run.

use crate::chain::command;
use crate::{ended, program};
use serde_json::Value;
use std::fs;
use std::path::Path;

fn read(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

#[test]
fn a_package_is_measured_in_processes_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let (_, _, stderr) = ended(command(folder, &["run", "--threads", "2"]));
    let run = folder.join("runs/tiny");
    stage_7_measured_in_its_own_process(&read(&run.join("7-deployment/benchmark.json")), &stderr);
    every_scenario_has_figures(folder, &run);
    failures_are_rows(folder, &run.join("7-deployment/package"));
}

fn stage_7_measured_in_its_own_process(measured: &Value, stderr: &str) {
    assert_eq!(measured["process"], "own", "{stderr}");
    assert_eq!(measured["threads"], 2);
    assert!(measured["latency"]["n"].as_u64().unwrap() >= 10);
    if cfg!(target_os = "linux") {
        let memory = &measured["memory"];
        let bytes = |name: &str| memory[name].as_u64().unwrap();
        assert!(bytes("baseline_bytes") < bytes("peak_bytes"), "{memory}");
        // Far less than a process that trains: its images and Burn alone are more.
        assert!(bytes("peak_bytes") < 60_000_000, "{memory}");
    }
    let start = &measured["cold_start"];
    let ms = |name: &str| start[name].as_f64().unwrap();
    assert!(ms("open_ms") < ms("open_to_answer_ms"), "{start}");
    assert!(
        ms("open_to_answer_ms") < ms("process_to_answer_ms"),
        "{start}"
    );
}

fn every_scenario_has_figures(folder: &Path, run: &Path) {
    let short = ["bench-model", "tiny", "--seconds", "0.2", "--threads", "1"];
    let (code, stdout, stderr) = ended(program(folder, &short));
    assert_eq!(code, 0, "{stderr}");
    for text in ["cold-start:", "server:", "ONNX", "golden images", "p99.9"] {
        assert!(stdout.contains(text), "{text}: {stdout}");
    }
    let artifact = read(&run.join("model_benchmark.json"));
    assert_eq!(artifact["schema"], "mlestar.model_benchmark");
    let rows = artifact["rows"].as_array().unwrap();
    assert_eq!(rows.len(), 5 * 4);
    for row in rows {
        assert!(row["outcome"].get("failed").is_none(), "{row}");
    }
    assert!(run.join("model_benchmark.html").is_file());

    let few = [
        "--scenario",
        "offline",
        "--candidate",
        "onnx-f32",
        "--format",
        "json",
    ];
    let (code, stdout, _) = ended(program(folder, &[&short[..], &few].concat()));
    assert_eq!(code, 0);
    let printed: Value = serde_json::from_str(&stdout).unwrap();
    let measured = &printed["rows"][0]["outcome"]["measured"];
    assert_eq!(measured["process"], "own");
    assert_eq!(measured["memory"]["batch_size"], 128);
}

fn failures_are_rows(folder: &Path, package: &Path) {
    fs::write(package.join("model.onnx"), "something else").unwrap();
    let arguments = [
        "bench-model",
        "tiny",
        "--seconds",
        "0.1",
        "--threads",
        "1",
        "--scenario",
        "single-stream",
        "--output",
        "elsewhere",
    ];
    let (code, stdout, stderr) = ended(program(folder, &arguments));
    assert_eq!(code, 1);
    assert!(stdout.contains("model.onnx: altered"), "{stdout}");
    assert!(
        stderr.contains("1 of 4 configurations could not be measured"),
        "{stderr}"
    );
    assert!(folder.join("elsewhere/model_benchmark.json").is_file());
}

#[test]
fn what_cannot_be_measured_is_said() {
    let folder = tempfile::tempdir().unwrap();
    for (arguments, code, part) in [
        (vec!["nowhere"], 3, "there is no package in runs/nowhere"),
        (vec![], 2, "RUN|PACKAGE"),
        (vec!["x", "--scenario", "offlin"], 2, "offline"),
        (vec!["x", "--candidate", "onnx"], 2, "onnx-f32"),
        (vec!["x", "--threads", "two"], 2, "two"),
    ] {
        let (found, _, stderr) = ended(program(
            folder.path(),
            &[&["bench-model"], &arguments[..]].concat(),
        ));
        assert_eq!(found, code, "{arguments:?}: {stderr}");
        assert!(stderr.contains(part), "{arguments:?}: {stderr}");
    }
    // A package is needed before its options are looked at; one with a manifest is enough for that.
    let package = folder.path().join("package");
    fs::create_dir(&package).unwrap();
    fs::write(package.join("manifest.json"), "{}").unwrap();
    for (option, value) in [("--threads", "0"), ("--seconds", "0"), ("--limit-ms", "-1")] {
        let option_is = format!("{option}={value}");
        let arguments = ["bench-model", "./package", &option_is];
        let (code, _, stderr) = ended(program(folder.path(), &arguments));
        assert_eq!(code, 2, "{option}: {stderr}");
        assert!(stderr.contains(option), "{stderr}");
    }
}

/// The process that measures says what is wrong with its job.
#[test]
fn a_child_without_a_job_fails() {
    let folder = tempfile::tempdir().unwrap();
    let mut child = program(folder.path(), &["bench-model", "--child"]);
    let (code, stdout, _) = ended({
        child.stdin(std::process::Stdio::null());
        child
    });
    assert_eq!(code, 1);
    assert!(
        stdout.contains(r#"{"failed":"the job makes no sense"#),
        "{stdout}"
    );
}

#[cfg(unix)]
#[test]
fn a_signal_stops_the_measurement_and_its_process() {
    use nix::sys::signal::{Signal, kill};
    use nix::unistd::Pid;
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    ended(command(folder, &["run"]));
    let arguments = [
        "bench-model",
        "tiny",
        "--scenario",
        "single-stream",
        "--seconds",
        "1000",
        "--output",
        "out",
    ];
    let mut parent = program(folder, &arguments)
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let children = format!("/proc/{0}/task/{0}/children", parent.id());
    let begin = std::time::Instant::now();
    while fs::read_to_string(&children).is_ok_and(|ids| ids.trim().is_empty()) {
        assert!(
            begin.elapsed().as_secs() < 60,
            "no process has been started"
        );
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    let child = fs::read_to_string(&children).unwrap_or_default();
    kill(
        Pid::from_raw(parent.id().try_into().unwrap()),
        Signal::SIGTERM,
    )
    .unwrap();
    assert_eq!(parent.wait().unwrap().code(), Some(6));
    assert!(!folder.join("out").exists());
    if let Ok(id) = child.trim().parse::<u32>() {
        let stat = fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
        assert!(
            !stat.contains("mlestar") && !stat.contains("(exe)"),
            "{stat}"
        );
    }
}
