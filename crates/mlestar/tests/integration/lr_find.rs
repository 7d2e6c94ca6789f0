//! `lr-find` on a tiny set.

use crate::chain::command;
use crate::ended;
use mlestar_artifact::read_artifact;
use mlestar_workflow::lr_find::LrFind;
use std::fs;
use std::path::Path;

const SWEEP: [&str; 7] = [
    "lr-find",
    "--steps",
    "200",
    "--lowest",
    "1e-4",
    "--highest",
    "1",
];

fn lr_find(folder: &Path, arguments: &[&str]) -> (i32, String, String) {
    ended(command(folder, arguments))
}

#[test]
fn a_rate_is_found_that_the_config_takes() {
    let folder = tempfile::tempdir().unwrap();
    let (code, stdout, stderr) = lr_find(folder.path(), &SWEEP);
    assert_eq!(code, 0, "{stdout}{stderr}");
    let run = folder.path().join("runs/tiny");
    let path = run.join("lr_find.json");
    let found: LrFind = read_artifact(&path).unwrap();
    let rate = found.suggested.unwrap();
    assert!(rate > 1e-4 && rate < 1.0, "{rate}");
    assert_eq!(
        (found.batch_size, found.configured, found.seed),
        (10, 1e-5, 3)
    );
    assert!(found.points.len() > 20);
    for line in ["valley", "steepest fall", "minimum / 10", "lr_find.html"] {
        assert!(stdout.contains(line), "{stdout}");
    }
    let setting = format!("training.optimizer.learning_rate={rate:?}");
    assert!(
        stdout.contains(&format!("or --set {setting}\n")),
        "{stdout}"
    );
    assert!(stdout.contains(&format!("[training.optimizer]\nlearning_rate = {rate:?}\n")));
    let (code, stdout, stderr) = lr_find(folder.path(), &["config", "--set", &setting]);
    assert_eq!(code, 0, "{stderr}");
    assert!(
        stdout.contains(&format!("learning_rate = {rate:?}")),
        "{stdout}"
    );

    let html = fs::read_to_string(run.join("lr_find.html")).unwrap();
    assert!(html.contains("<svg") && !html.contains("src=\"http"));
    assert!(html.contains(&format!("learning_rate = {rate:?}")));

    // Nothing but its two files and the lock of the folder; the same once more.
    let mut names: Vec<_> = fs::read_dir(&run)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names, [".lock", "lr_find.html", "lr_find.json"]);
    let first = fs::read(&path).unwrap();
    assert_eq!(lr_find(folder.path(), &SWEEP).0, 0);
    assert_eq!(fs::read(&path).unwrap(), first);
}

/// Rates at which nothing moves.
#[test]
fn a_sweep_that_learns_nothing_suggests_nothing_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let arguments = ["lr-find", "--lowest", "1e-9", "--highest", "1e-7"];
    let (code, stdout, stderr) = lr_find(folder.path(), &arguments);
    assert_eq!(code, 0, "{stdout}{stderr}");
    let sentence = "Nothing was learned in this sweep";
    assert!(stdout.contains(sentence) && !stdout.contains("learning_rate ="));
    let run = folder.path().join("runs/tiny");
    let found: LrFind = read_artifact(&run.join("lr_find.json")).unwrap();
    assert_eq!(found.suggested, None);
    let html = fs::read_to_string(run.join("lr_find.html")).unwrap();
    assert!(html.contains(sentence));
}

#[test]
fn options_out_of_range_end_with_2() {
    let folder = tempfile::tempdir().unwrap();
    for (arguments, expected) in [
        (
            ["--steps", "3"],
            "--steps = 3 is out of range: it must be 20 to 10000",
        ),
        (
            ["--lowest", "0"],
            "--lowest = 0 is out of range: it must be above 0 and at most 10",
        ),
        (["--lowest", "NaN"], "--lowest = NaN is out of range"),
        (
            ["--highest", "11"],
            "--highest = 11 is out of range: it must be at least 10 times",
        ),
        (
            ["--highest", "1e-6"],
            "--highest = 0.000001 is out of range",
        ),
        (["--highest", "much"], "much"),
    ] {
        let arguments = ["lr-find", arguments[0], arguments[1]];
        let (code, _, stderr) = lr_find(folder.path(), &arguments);
        assert_eq!(code, 2, "{arguments:?}: {stderr}");
        assert!(stderr.contains(expected), "{arguments:?}: {stderr}");
    }
    assert!(!folder.path().join("runs").exists());
}

/// Ctrl-C in a sweep that would take minutes.
#[cfg(unix)]
#[test]
fn an_interrupt_ends_the_sweep_and_leaves_no_file() {
    use std::process::{Command, Stdio};
    use std::time::{Duration, Instant};

    let folder = tempfile::tempdir().unwrap();
    let arguments = ["lr-find", "--steps", "10000", "--highest", "1e-4"];
    let child = command(folder.path(), &arguments)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let run = folder.path().join("runs/tiny");
    let started = Instant::now();
    // The handler is in place before the folder is made.
    while !run.join(".lock").exists() {
        assert!(
            started.elapsed() < Duration::from_secs(300),
            "it never started"
        );
        std::thread::sleep(Duration::from_millis(5));
    }
    let status = Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status()
        .unwrap();
    assert!(status.success());
    let output = child.wait_with_output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(6), "{stderr}");
    assert!(
        stderr.contains("stopped while finding a learning rate; nothing was written"),
        "{stderr}"
    );
    assert!(!run.join("lr_find.json").exists() && !run.join("lr_find.html").exists());
}
