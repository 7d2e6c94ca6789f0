//! Exit codes and messages of the program itself.

use crate::{ended, program, root};

/// Runs the program in an empty folder; its exit code, standard output and standard error.
fn run(arguments: &[&str]) -> (i32, String, String) {
    let folder = tempfile::tempdir().unwrap();
    ended(program(folder.path(), arguments))
}

fn assert_fails(arguments: &[&str], code: i32, expected: &str) {
    let (found, _, stderr) = run(arguments);
    assert!(stderr.contains(expected), "{arguments:?}: {stderr}");
    assert_eq!(found, code, "{arguments:?}: {stderr}");
    assert!(!stderr.contains("panicked"), "{stderr}");
}

#[test]
fn a_run_that_is_to_go_on_must_have_begun() {
    let nothing = "holds no run to resume; leave out --resume";
    assert_fails(&["run", "--resume"], 3, nothing);
    assert_fails(&["stage", "4", "--resume"], 3, nothing);
    assert_fails(&["run", "--resume", "--force"], 2, "cannot be used with");
}

#[test]
fn a_reader_that_is_gone_changes_no_exit_code() {
    let folder = tempfile::tempdir().unwrap();
    let gone = || {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        writer
    };
    for (arguments, expected) in [
        (vec!["config"], 0),
        (vec!["help"], 0),
        (vec!["explain"], 3),
        (vec!["run", "--set", "training.epochs=0"], 2),
    ] {
        let status = program(folder.path(), &arguments)
            .stdout(gone())
            .stderr(gone())
            .status()
            .unwrap();
        assert_eq!(status.code(), Some(expected), "{arguments:?}");
    }
}

#[test]
fn wrong_usage_and_wrong_configs_end_with_2_and_say_what_to_do() {
    for (arguments, expected) in [
        (vec!["run", "--from", "9"], "is not a stage; use 1 to 7"),
        (vec!["run", "--from", "5", "--to", "3"], "comes after --to"),
        (vec!["run", "--device", "tpu"], "tpu"),
        (vec!["run", "--device", "cuda"], "--features cuda"),
        (vec!["run", "--threads", "0"], "must be 1 to 1024"),
        (vec!["run", "--set", "training.epoch=3"], "training.epochs"),
        (
            vec!["run", "--set", "training.epochs=many"],
            "training.epochs",
        ),
        (vec!["run", "--set", "training.epochs=0"], "training.epochs"),
        (vec!["run", "--set", "model.dropout=1.5"], "dropout"),
        (
            vec!["run", "--set", "data.validation_fraction=10"],
            "validation_fraction",
        ),
        (
            vec![
                "run",
                "--set",
                "gates.evaluation.criteria.accuracy={at_least=85}",
            ],
            "0.85",
        ),
        (
            vec!["run", "--set", "gates.evaluation.criteria.acuracy=false"],
            "accuracy",
        ),
        (vec!["run", "--config", "nowhere.toml"], "nowhere.toml"),
        (vec!["help", "stag"], "there is no help on \"stag\""),
        (vec!["run", "--set", "project.name=../x"], "project.name"),
        (vec!["frobnicate"], "frobnicate"),
    ] {
        assert_fails(&arguments, 2, expected);
    }
}

#[test]
fn a_missing_artifact_ends_with_3() {
    assert_fails(&["run", "--from", "5"], 3, "Run `mlestar run --to 4` first");
    for command in ["status", "explain", "summary", "validate"] {
        assert_fails(&[command], 3, "there is no run in");
    }
}

#[test]
fn missing_data_end_with_1_and_are_named() {
    let folder = root().join("configs/folder.toml");
    let folder = folder.to_str().unwrap();
    assert_fails(
        &["run", "--config", folder, "--data", "nowhere"],
        1,
        "nowhere",
    );
}

#[test]
fn a_run_folder_that_cannot_be_written_is_named() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("runs"), "in the way").unwrap();
    let (code, _, stderr) = ended(program(folder.path(), &["run"]));
    assert_eq!(code, 1, "{stderr}");
    assert!(stderr.contains("cannot use the run folder"), "{stderr}");
}

#[test]
fn the_stages_and_commands_are_explained() {
    for number in 1..=7 {
        let (code, stdout, _) = run(&["help", "stage", &number.to_string()]);
        assert_eq!(code, 0);
        assert!(stdout.contains("Gate ([gates."), "{stdout}");
    }
    let (code, stdout, _) = run(&["help"]);
    assert_eq!(code, 0);
    assert!(stdout.contains("validate"), "{stdout}");
    let (code, stdout, _) = run(&["config"]);
    assert_eq!(code, 0);
    assert!(stdout.contains("[training"), "{stdout}");
}

#[test]
fn the_doctor_looks_at_backends_and_memory() {
    let (code, stdout, _) = run(&["doctor"]);
    assert_eq!(code, 0, "{stdout}");
    for word in ["memory", "threads", "cpu"] {
        assert!(stdout.to_lowercase().contains(word), "{stdout}");
    }
}
