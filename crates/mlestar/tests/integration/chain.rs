//! The whole chain through the command line, on a tiny set.

use crate::{ended, program, root};
use std::path::Path;
use std::process::Command;

/// The program on the tiny set, its run folder being `runs/tiny` in `folder`.
pub fn command(folder: &Path, arguments: &[&str]) -> Command {
    let config = root().join("crates/mlestar-workflow/tests/integration/tiny.toml");
    let mut command = program(folder, arguments);
    command.arg("--config").arg(config);
    command
}

fn mlestar(folder: &Path, arguments: &[&str]) -> (i32, String, String) {
    ended(command(folder, arguments))
}

#[test]
fn run_status_explain_validate_and_summary() {
    let folder = tempfile::tempdir().unwrap();
    // Two epochs of a tiny network on a tiny set reach nothing, and the program says so.
    let (code, stdout, stderr) = mlestar(folder.path(), &["run"]);
    assert_eq!(code, 4, "{stdout}{stderr}");
    assert!(stdout.contains("is below the limit 0.85 by"), "{stdout}");
    assert!(stdout.contains("7 stages ran, 0 unchanged"), "{stdout}");
    let run = folder.path().join("runs/tiny");
    assert!(run.join("summary.html").is_file());

    let (code, stdout, stderr) = mlestar(folder.path(), &["run"]);
    assert_eq!(code, 4);
    assert!(stdout.contains("0 stages ran, 7 unchanged"), "{stdout}");
    assert_eq!(stderr.matches("unchanged").count(), 7, "{stderr}");

    let (code, stdout, _) = mlestar(folder.path(), &["status"]);
    assert_eq!(code, 0);
    assert_eq!(stdout.matches("unchanged").count(), 7, "{stdout}");

    // Every page says how the run stands, and where the rest is.
    for (stage, page) in [
        ("1-situation-analysis", "exploration.html"),
        ("5-evaluation", "evaluation_report.html"),
    ] {
        let html = std::fs::read_to_string(run.join(stage).join(page)).unwrap();
        let header = &html[html.find("<header>").unwrap()..html.find("</header>").unwrap()];
        for word in [
            "FAIL",
            "../summary.html",
            "../4-implementation/",
            "Criteria and limits",
        ] {
            assert!(header.contains(word), "{stage}: no {word} in {header}");
        }
    }
    // A limit that all keep is told to the pages, and no stage is stale for it.
    let kind = [
        "validate",
        "--set",
        "gates.evaluation.criteria={accuracy=false, worst_class_recall=false}",
    ];
    let (_, _, stderr) = mlestar(folder.path(), &kind);
    assert_eq!(stderr, "");
    let (_, stdout, _) = mlestar(folder.path(), &["status"]);
    assert_eq!(stdout.matches("unchanged").count(), 7, "{stdout}");

    let changed = ["explain", "4", "--set", "training.epochs=3"];
    let (code, stdout, _) = mlestar(folder.path(), &changed);
    assert_eq!(code, 0);
    assert!(stdout.contains("training.epochs "), "{stdout}");
    assert!(stdout.contains(" -> 3"), "{stdout}");

    let report = folder.path().join("report.json");
    let validate = ["validate", "--all", "--output", report.to_str().unwrap()];
    let (code, stdout, _) = mlestar(folder.path(), &validate);
    assert_eq!(code, 4, "{stdout}");
    let report: serde_json::Value =
        serde_json::from_slice(&std::fs::read(report).unwrap()).unwrap();
    assert_eq!(report["status"], "FAIL");
    assert_eq!(report["exit_code"], 4);
    assert_eq!(report["verdict"]["stages"].as_array().unwrap().len(), 7);

    let (code, stdout, _) = mlestar(folder.path(), &["validate", "--stage", "7"]);
    assert_eq!(code, 0, "{stdout}");

    let page = folder.path().join("page.html");
    let (code, _, _) = mlestar(
        folder.path(),
        &["summary", "--output", page.to_str().unwrap()],
    );
    assert_eq!(code, 0);
    let html = std::fs::read_to_string(page).unwrap();
    assert!(
        html.contains("<svg") && !html.contains("src=\"http"),
        "not self-contained"
    );
}
