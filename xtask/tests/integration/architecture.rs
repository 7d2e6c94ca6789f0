//! The crate table of ARCHITECTURE.md against the manifests.

use crate::root;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

#[derive(Debug, PartialEq)]
struct Entry {
    uses: BTreeSet<String>,
    uses_burn: bool,
}

#[test]
fn the_crate_table_and_the_manifests_agree() {
    let table = table_of_the_document();
    let manifests = crates_of_the_workspace();
    assert_eq!(
        table.keys().collect::<Vec<_>>(),
        manifests.keys().collect::<Vec<_>>()
    );
    for (name, entry) in &table {
        assert_eq!(entry, &manifests[name], "{name}");
    }
}

/// Rows such as `| `mlestar-data` | what | artifact, random | no |`.
fn table_of_the_document() -> BTreeMap<String, Entry> {
    let text = std::fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    text.lines()
        .filter_map(|line| line.strip_prefix("| `"))
        .map(|row| {
            let cells: Vec<&str> = row.split('|').map(str::trim).collect();
            let name = cells[0].trim_end_matches('`').to_owned();
            let uses = cells[2]
                .split(", ")
                .filter(|short| *short != "-")
                .map(|short| match short {
                    "mlestar" => short.to_owned(),
                    _ => format!("mlestar-{short}"),
                })
                .collect();
            let uses_burn = match cells[3] {
                "yes" => true,
                "no" => false,
                other => panic!("{name}: burn is \"{other}\", not yes or no"),
            };
            (name, Entry { uses, uses_burn })
        })
        .collect()
}

fn crates_of_the_workspace() -> BTreeMap<String, Entry> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version=1", "--no-deps", "--offline"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let mut crates = BTreeMap::new();
    for package in metadata["packages"].as_array().unwrap() {
        let name = package["name"].as_str().unwrap();
        // Examples and benches may use everything.
        if ["mlestar-examples", "mlestar-benches"].contains(&name) {
            continue;
        }
        let normal: BTreeSet<String> = package["dependencies"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|dependency| dependency["kind"].is_null())
            .map(|dependency| dependency["name"].as_str().unwrap().to_owned())
            .collect();
        let ours = normal
            .iter()
            .filter(|name| name.starts_with("mlestar"))
            .cloned()
            .collect();
        let entry = Entry {
            uses: ours,
            uses_burn: normal.contains("burn"),
        };
        crates.insert(name.to_owned(), entry);
    }
    crates
}
