//! Rules that every file of the repository keeps.

use crate::root;
use std::fs;
use std::path::{Path, PathBuf};

pub fn files_below(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() {
            if !["target", "runs", "data", ".git", "proptest-regressions"].contains(&name.as_str())
            {
                files_below(&path, files);
            }
        } else {
            files.push(path);
        }
    }
}

fn sources() -> Vec<(PathBuf, String)> {
    let mut files = Vec::new();
    files_below(&root(), &mut files);
    files
        .into_iter()
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .map(|path| {
            let text = fs::read_to_string(&path).unwrap();
            (path, text)
        })
        .collect()
}

#[test]
fn every_library_crate_has_a_readme_and_an_example() {
    for entry in fs::read_dir(root().join("crates")).unwrap() {
        let folder = entry.unwrap().path();
        let name = folder.file_name().unwrap().to_string_lossy().into_owned();
        let Some(short) = name.strip_prefix("mlestar-") else {
            continue; // the crate that has all others under one name
        };
        let readme = fs::read_to_string(folder.join("README.md")).unwrap();
        assert!(readme.starts_with(&format!("# {name}")), "{name}");
        let example = root().join("examples").join(format!("{short}.rs"));
        assert!(example.is_file(), "{name} has no examples/{short}.rs");
    }
}

/// As the README says.
#[test]
fn from_a_folder_to_a_prediction_takes_under_60_lines() {
    let example = fs::read_to_string(root().join("examples/folder.rs")).unwrap();
    let n_lines = example.lines().count();
    assert!(n_lines < 60, "{n_lines} lines");
}

#[test]
fn every_example_and_bench_file_is_a_target() {
    for (folder, section) in [("examples", "example"), ("benches", "bench")] {
        let manifest = fs::read_to_string(root().join(folder).join("Cargo.toml")).unwrap();
        let manifest: toml::Table = manifest.parse().unwrap();
        let declared: Vec<&str> = manifest[section]
            .as_array()
            .unwrap()
            .iter()
            .map(|target| target["path"].as_str().unwrap())
            .collect();
        for entry in fs::read_dir(root().join(folder)).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if name.ends_with(".rs") && name != "lib.rs" {
                assert!(declared.contains(&name.as_str()), "{folder}/{name}");
            }
        }
        assert!(!declared.is_empty());
    }
}

#[test]
fn no_source_is_unfinished_and_every_doc_example_runs() {
    // Written in parts, so that this file does not find itself.
    let unfinished = [
        concat!("todo", "!("),
        concat!("unimplemented", "!("),
        concat!("#[igno", "re"),
        concat!("```igno", "re"),
        concat!("```no_", "run"),
        concat!("FIX", "ME"),
    ];
    for (path, text) in sources() {
        for word in unfinished {
            assert!(!text.contains(word), "{} holds {word}", path.display());
        }
    }
}

#[test]
fn no_member_names_a_version_of_its_own() {
    let mut files = Vec::new();
    files_below(&root(), &mut files);
    let root_manifest = root().join("Cargo.toml");
    for path in files {
        if path.file_name().is_some_and(|name| name == "Cargo.toml") && path != root_manifest {
            let manifest: toml::Table = fs::read_to_string(&path).unwrap().parse().unwrap();
            for section in ["dependencies", "dev-dependencies", "build-dependencies"] {
                let Some(dependencies) = manifest.get(section) else {
                    continue;
                };
                for (name, value) in dependencies.as_table().unwrap() {
                    let inherits = value.get("workspace").and_then(|flag| flag.as_bool());
                    assert_eq!(inherits, Some(true), "{name} in {}", path.display());
                }
            }
        }
    }
}
