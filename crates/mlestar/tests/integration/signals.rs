//! What signals do to the program.

use crate::chain::command;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs;
use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

const LIMIT: Duration = Duration::from_secs(300);

fn send(child: &Child, signal: Signal) {
    kill(Pid::from_raw(child.id().try_into().unwrap()), signal).unwrap();
}

/// Waits until `is_due`; the program must not end before.
fn wait_until(child: &mut Child, is_due: impl Fn() -> bool) {
    let started = Instant::now();
    while !is_due() {
        if let Some(status) = child.try_wait().unwrap() {
            panic!("ended with {status} too early");
        }
        assert!(started.elapsed() < LIMIT, "not there after {LIMIT:?}");
        sleep(Duration::from_millis(2));
    }
}

fn n_epochs(folder: &Path) -> usize {
    let metrics = folder.join("runs/tiny/4-implementation/metrics.jsonl");
    fs::read_to_string(metrics).map_or(0, |text| text.matches('\n').count())
}

fn ended(mut child: Child) -> (Option<i32>, String) {
    let started = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if started.elapsed() > LIMIT {
            child.kill().unwrap();
            panic!("still running {LIMIT:?} after the signal");
        }
        sleep(Duration::from_millis(2));
    };
    let mut stderr = String::new();
    let stream = child.stderr.take();
    stream.unwrap().read_to_string(&mut stderr).unwrap();
    (status.code(), stderr)
}

#[test]
fn a_scheduler_stops_a_training_that_goes_on_afterwards() {
    let folder = tempfile::tempdir().unwrap();
    let arguments = ["run", "--to", "4", "--set", "training.epochs=40"];
    // As `nohup` starts a program: the end of its terminal is no reason to stop.
    let plain = command(folder.path(), &arguments);
    let mut child = Command::new("sh")
        .args(["-c", "trap '' HUP; exec \"$0\" \"$@\""])
        .arg(plain.get_program())
        .args(plain.get_args())
        .current_dir(folder.path())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    wait_until(&mut child, || n_epochs(folder.path()) >= 1);
    send(&child, Signal::SIGHUP);
    wait_until(&mut child, || n_epochs(folder.path()) >= 3);
    send(&child, Signal::SIGTERM);
    let (code, stderr) = ended(child);
    assert_eq!(code, Some(6), "{stderr}");
    assert_eq!(stderr.matches("stopping at the next safe point").count(), 1);
    assert!(stderr.contains("the work so far is saved"), "{stderr}");
    let done = n_epochs(folder.path());
    assert!((3..40).contains(&done), "{done} epochs");

    let output = command(folder.path(), &arguments).output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.contains("resumes after epoch"), "{stderr}");
    assert_eq!(n_epochs(folder.path()), 40, "{stderr}");
}

/// The second signal does not wait for a safe point. (Another one than the first: equal ones that wait are one.)
#[test]
fn a_second_signal_ends_the_program_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let arguments = ["run", "--to", "4", "--set", "training.epochs=40"];
    let mut child = command(folder.path(), &arguments)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    wait_until(&mut child, || n_epochs(folder.path()) >= 1);
    send(&child, Signal::SIGTERM);
    send(&child, Signal::SIGINT);
    let (code, stderr) = ended(child);
    assert_eq!(code, Some(130), "{stderr}");
    // Nothing is half-written: the same command resumes.
    let output = command(folder.path(), &arguments).output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(n_epochs(folder.path()), 40, "{stderr}");
}

/// Whether this process, and with it every program that it starts, ignores a hangup, as under `nohup`.
fn ignores_hangup() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    ignored.is_some_and(|mask| mask & 1 << (Signal::SIGHUP as i32 - 1) != 0)
}

#[test]
fn a_hangup_stops_a_monitor_with_the_same_code() {
    if ignores_hangup() {
        eprintln!("skipped: the tests run under nohup");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("runs/tiny");
    fs::create_dir_all(&run).unwrap();
    let manifest = r#"{"schema": "mlestar.manifest", "schema_version": 2, "stages": {}}"#;
    fs::write(run.join("manifest.json"), manifest).unwrap();
    let log = folder.path().join("log");
    let mut child = command(folder.path(), &["monitor"])
        .stdout(fs::File::create(&log).unwrap())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    wait_until(&mut child, || fs::metadata(&log).unwrap().len() > 0);
    send(&child, Signal::SIGHUP);
    let (code, stderr) = ended(child);
    assert_eq!((code, stderr.as_str()), (Some(6), ""));
}
