//! `bench` as a user runs it. No test checks speed.

use serde_json::Value;
use std::path::Path;
use std::process::{Command, Output};

const EAGER: &str = "\
contiguous    f32   train     108.7 img/s  infer     444.1 img/s  single   4.441 ms
channels_last f32   train     169.0 img/s  infer     584.5 img/s  single   4.200 ms
";
const OTHERS: &[u8] = b"\xff\xfe a warning
version onnxruntime 1.32.0
onnxruntime batch    1:    2.006 ms      498.6 img/s
onnxruntime batch    2:  182.867 ms
peak_memory_bytes 1048576000
";

/// The smallest batch for a peer's line of its own: every figure is still measured.
fn bench(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_xtask"))
        .args(["bench", "peers", "--batch", "2"])
        .args(arguments)
        .current_dir(folder)
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn saved_outputs_of_peers_stand_beside_our_own_figures() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("eager.txt"), EAGER).unwrap();
    std::fs::write(folder.path().join("others.txt"), OTHERS).unwrap();
    let output = bench(
        folder.path(),
        &[
            "--saved",
            "eager.txt",
            "others.txt",
            "--rounds",
            "2",
            "--json",
            "report.json",
        ],
    );
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    for part in [
        "| PyTorch eager, contiguous | 108.7 | 444.1 | 4.441 | - |",
        "| PyTorch eager, channels last | 169.0 | 584.5 | 4.200 | 1000 |",
        "| PyTorch compiled, contiguous | not available: not among the saved outputs |",
        "| ONNX Runtime | - | - | 2.006 | - |",
        "not of the same run as ours",
        "`onnxruntime batch 2: 182.867 ms`",
        "Versions: onnxruntime 1.32.0.",
        "bench peers --batch 2 --saved eager.txt others.txt --rounds 2 --json report.json`",
    ] {
        assert!(
            stdout
                .replace("    ", " ")
                .replace("  ", " ")
                .contains(part),
            "{part}:\n{stdout}"
        );
    }
    let json = std::fs::read_to_string(folder.path().join("report.json")).unwrap();
    let report: Value = serde_json::from_str(&json).unwrap();
    for figure in [
        "training_images_per_second",
        "inference_images_per_second",
        "single_picture_ms",
    ] {
        assert!(report["ours"][figure].as_f64().unwrap() > 0.0, "{figure}");
    }
    assert_eq!(report["rounds"].as_array().unwrap().len(), 2);
    let saved = &report["rounds"][1]["peers"]["PyTorch eager, contiguous"];
    assert_eq!(saved["training_images_per_second"], 108.7);
    assert!(stdout.contains("medians of 2 rounds"), "{stdout}");
    if cfg!(target_os = "linux") {
        let bytes = report["ours"]["training_peak_memory_bytes"].as_u64();
        assert!(bytes.unwrap() > 1 << 20);
    }
    assert_eq!(report["debug_assertions"], cfg!(debug_assertions));
    assert_eq!(
        stderr.contains("--release"),
        cfg!(debug_assertions),
        "{stderr}"
    );
}

#[test]
fn peers_that_cannot_run_are_rows_and_no_error() {
    let folder = tempfile::tempdir().unwrap();
    let output = bench(folder.path(), &["--script", "nowhere.py"]);
    let stdout = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{stdout}");
    let rows = stdout
        .lines()
        .filter(|line| line.starts_with('|') && line.contains("not available: nowhere.py"));
    assert_eq!(rows.count(), 10, "{stdout}");
    assert!(
        stdout.contains("| ours / best peer in f32 (above 1: ours is better) | - | - | - | - |")
    );
}

/// Messages name commands in the form used here; other text is not changed.
#[test]
fn commands_are_named_as_they_are_typed_and_configs_are_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let xtask = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
        command
            .args(arguments)
            .current_dir(folder.path())
            .output()
            .unwrap()
    };
    let missing = xtask(&["status"]);
    assert!(text(&missing.stderr).contains("`cargo xtask run` makes one"));
    let description = "project.description='mlestar run, on ants'";
    let config = text(&xtask(&["config", "--set", description]).stdout);
    assert!(config.contains("\"mlestar run, on ants\""), "{config}");
}

#[test]
fn a_saved_output_that_is_not_there_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let output = bench(folder.path(), &["--saved", "nowhere.txt"]);
    let stderr = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("cannot read nowhere.txt"), "{stderr}");
    let output = bench(folder.path(), &["--saved", "a", "--no-run"]);
    assert_eq!(output.status.code(), Some(2));
}
