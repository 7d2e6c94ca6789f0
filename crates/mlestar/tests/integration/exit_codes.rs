//! The exit code of every command in every kind of trouble, as README.md has them.

use crate::root;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

/// What a command line is given besides its command.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Trouble {
    /// Nothing was ever run here.
    NoRun,
    /// The config that is named has a wrong key.
    BrokenConfig,
    /// The config names a folder of images that is not there.
    NoData,
    /// The record of the run that is named is empty.
    EmptyManifest,
    /// A newer program made the run.
    NewerRun,
    /// The run's own config is truncated.
    CutOffConfig,
}

const TROUBLES: [Trouble; 6] = [
    Trouble::NoRun,
    Trouble::BrokenConfig,
    Trouble::NoData,
    Trouble::EmptyManifest,
    Trouble::NewerRun,
    Trouble::CutOffConfig,
];

/// A command with its exit code in each trouble, in their order; `-` where it is of no concern.
const TABLE: &str = "
    status                  3 2 3 1 1 2
    explain                 3 2 3 1 1 2
    validate                3 2 3 1 1 2
    validate --stage 2      3 2 3 1 1 2
    summary                 3 2 3 1 1 2
    monitor --once          3 2 3 1 1 2
    analyze-training        3 2 3 3 3 2
    run                     - 2 1 1 1 2
    run --resume            3 2 3 1 1 2
    stage 5                 3 2 1 1 1 2
    lr-find                 - 2 1 - - 2
    subset --size 8 --output small  - 2 1 - - 2
    config                  0 2 0 0 0 2
    doctor                  0 2 1 0 0 2
    compare-trainings nowhere  3 - - - - -
    fetch nothing           2 - - - - -
    fetch weights           2 - - - - -
    fetch weights nothing   2 - - - - -
    fetch --list            0 - - - - -
    help stage 9            2 - - - - -
";

fn make(folder: &Path, trouble: Trouble) -> Vec<String> {
    let words = |text: &str| text.split_whitespace().map(str::to_owned).collect();
    let run = folder.join("runs/old");
    fs::create_dir_all(&run).unwrap();
    match trouble {
        Trouble::NoRun => Vec::new(),
        Trouble::BrokenConfig => {
            fs::write(folder.join("broken.toml"), "[training]\nepoch = 3\n").unwrap();
            words("--config broken.toml")
        }
        Trouble::NoData => {
            let config = root().join("configs/folder.toml");
            let config = config.to_str().unwrap().to_owned();
            [vec!["--config".to_owned(), config], words("--data nowhere")].concat()
        }
        Trouble::EmptyManifest => {
            fs::write(run.join("manifest.json"), "").unwrap();
            words("--run old")
        }
        Trouble::NewerRun => {
            let text = r#"{"schema": "mlestar.manifest", "schema_version": 99, "stages": {}}"#;
            fs::write(run.join("manifest.json"), text).unwrap();
            words("--run old")
        }
        Trouble::CutOffConfig => {
            let text = r#"{"schema": "mlestar.manifest", "schema_version": 2, "stages": {}}"#;
            fs::write(run.join("manifest.json"), text).unwrap();
            fs::write(
                run.join("config.toml"),
                "seed = 0\n[project]\nname = 'old'\n",
            )
            .unwrap();
            words("--run old")
        }
    }
}

#[test]
fn every_command_ends_with_the_documented_code() {
    let mut messages: BTreeMap<(Trouble, String), Vec<String>> = BTreeMap::new();
    for row in TABLE.lines().filter(|row| !row.trim().is_empty()) {
        let words: Vec<&str> = row.split_whitespace().collect();
        let (command, codes) = words.split_at(words.len() - TROUBLES.len());
        for (trouble, code) in TROUBLES.into_iter().zip(codes) {
            if *code == "-" {
                continue;
            }
            let folder = tempfile::tempdir().unwrap();
            let options = make(folder.path(), trouble);
            let output = Command::new(env!("CARGO_BIN_EXE_mlestar"))
                .args(command)
                .args(options)
                .current_dir(folder.path())
                .output()
                .unwrap();
            let stderr = String::from_utf8(output.stderr).unwrap();
            let found = output.status.code().unwrap();
            assert_eq!(
                found.to_string(),
                *code,
                "{command:?}, {trouble:?}: {stderr}"
            );
            assert!(
                !stderr.contains("panicked"),
                "{command:?}, {trouble:?}: {stderr}"
            );
            if found != 0 && command != ["doctor"] {
                let said = stderr.lines().find(|line| line.starts_with("error: "));
                let said = said.unwrap_or_else(|| panic!("{command:?}, {trouble:?}: {stderr}"));
                let said = said.replace(&folder.path().display().to_string(), "HERE");
                let commands = messages.entry((trouble, said)).or_default();
                commands.push(command.join(" "));
            }
        }
    }
    // What the program says to trouble with the run itself; the other messages have tests of their own.
    let text: Vec<String> = messages
        .into_iter()
        .filter(|((trouble, _), _)| *trouble >= Trouble::EmptyManifest)
        .map(|((trouble, said), commands)| {
            format!("{trouble:?}: {said}\n    {}", commands.join(", "))
        })
        .collect();
    insta::assert_snapshot!(text.join("\n"), @r#"
    EmptyManifest: error: no training has recorded anything in runs/old; `mlestar run --to 4` trains. Name the run's folder, or a folder with metrics.jsonl or steps.jsonl
        analyze-training
    EmptyManifest: error: runs/old/manifest.json is not valid: it is empty. Restore a good copy, or delete the file: `mlestar run` then runs every stage again and keeps the earlier files of the stages in .previous
        status, explain, validate, validate --stage 2, summary, monitor --once, run, run --resume, stage 5
    NewerRun: error: no training has recorded anything in runs/old; `mlestar run --to 4` trains. Name the run's folder, or a folder with metrics.jsonl or steps.jsonl
        analyze-training
    NewerRun: error: runs/old/manifest.json is version 99 of "mlestar.manifest", this program reads version 2; a newer program wrote it: use that program, or another folder
        status, explain, validate, validate --stage 2, summary, monitor --once, run, run --resume, stage 5
    CutOffConfig: error: runs/old/config.toml is truncated: its last section, [gates.deployment], is missing; this is the config that the run recorded. Name the project's config with --config FILE; `mlestar run` then writes it again
        status, explain, validate, validate --stage 2, summary, monitor --once, analyze-training, run, run --resume, stage 5, lr-find, subset --size 8 --output small, config
    "#);
}

#[test]
fn the_documents_name_every_code() {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let readme = readme.split_whitespace().collect::<Vec<_>>().join(" ");
    let output = Command::new(env!("CARGO_BIN_EXE_mlestar"))
        .arg("help")
        .output()
        .unwrap();
    let help = String::from_utf8(output.stdout).unwrap();
    let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
    let codes = "Exit codes: 0 all gates pass, 1 the program failed, 2 wrong usage or config, 3 an artifact is \
                 missing or stale, 4 a gate is not met, 5 a gate is inconclusive, 6 a signal stopped it; \
                 the same command resumes it";
    for (name, text) in [("README.md", readme), ("help", help)] {
        assert!(text.contains(codes), "{name}: {text}");
    }
}
