//! Every config key in a text exists.

use crate::root;
use mlestar_workflow::config::{Config, ConfigError, Override};
use mlestar_workflow::{Stage, guide};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

const SECTIONS: [&str; 11] = [
    "project",
    "data",
    "augmentation",
    "model",
    "training",
    "faults",
    "task",
    "evaluation",
    "refinement",
    "deployment",
    "gates",
];

/// Names with these endings are files.
const FILES: [&str; 10] = [
    "rs",
    "json",
    "jsonl",
    "onnx",
    "safetensors",
    "toml",
    "html",
    "md",
    "csv",
    "py",
];

/// Names of Rust code that look like keys.
const CODE: [&str; 1] = ["model.parameters"];

fn exists(key: &str) -> bool {
    if CODE.contains(&key) {
        return true;
    }
    let Ok(set) = Override::new(key, toml::Value::Boolean(true)) else {
        return false;
    };
    let result = Config::default().with_overrides(&[set]);
    !matches!(result, Err(ConfigError::UnknownKey { .. }))
}

/// Words such as `training.epochs` that are not part of a longer name.
fn keys_in(text: &str) -> Vec<String> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || "_.-/:<>".contains(c);
    text.split(|c| !is_part(c))
        .map(|word| word.trim_matches(['.', ':']))
        .filter(|word| {
            word.split_once('.').is_some_and(|(section, rest)| {
                SECTIONS.contains(&section)
                    && rest
                        .chars()
                        .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "_.".contains(c))
                    && !FILES.contains(&rest.rsplit('.').next().unwrap_or_default())
            })
        })
        .map(str::to_owned)
        .collect()
}

/// The text between two backticks in one line.
fn in_backticks(text: &str) -> String {
    text.lines()
        .flat_map(|line| line.split('`').skip(1).step_by(2))
        .collect::<Vec<_>>()
        .join("\n")
}

/// The texts for people, by location.
fn texts() -> BTreeMap<String, String> {
    let mut texts = BTreeMap::new();
    let config = Config::default();
    for stage in Stage::ALL {
        texts.insert(
            format!("help stage {stage}"),
            guide::help_text(stage, &config),
        );
        let criteria = config.criteria(stage).into_iter();
        let remedies: Vec<String> = criteria.map(|criterion| criterion.remedy).collect();
        texts.insert(format!("remedies of stage {stage}"), remedies.join("\n"));
    }
    let mut files = Vec::new();
    for folder in ["docs", "crates", "xtask/src"] {
        crate::repository::files_below(&root().join(folder), &mut files);
    }
    for name in ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md"] {
        files.push(root().join(name));
    }
    for path in files {
        let is_text = |extension: &str| path.extension().is_some_and(|e| e == extension);
        if is_text("md") || is_text("rs") {
            let text = fs::read_to_string(&path).unwrap();
            texts.insert(path.display().to_string(), in_backticks(&text));
        }
    }
    texts
}

#[test]
fn every_key_that_a_text_names_exists() {
    let mut wrong = Vec::new();
    let mut n_keys = 0;
    for (place, text) in texts() {
        // Tests use keys that do not exist on purpose.
        if place.contains("/tests") || Path::new(&place).ends_with("config/mod.rs") {
            continue;
        }
        for key in keys_in(&text) {
            n_keys += 1;
            if !exists(&key) {
                wrong.push(format!("{place}: {key}"));
            }
        }
    }
    assert!(n_keys > 100, "only {n_keys} keys were found");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_key_that_does_not_exist_is_found() {
    let text = in_backticks(
        "set `training.epochs` or\n`--set refinement.train_fraction=0.5`, see `model.onnx`",
    );
    let keys = keys_in(&text);
    assert_eq!(keys, ["training.epochs", "refinement.train_fraction"]);
    assert_eq!(
        keys.iter().map(|key| exists(key)).collect::<Vec<_>>(),
        [true, false]
    );
}
