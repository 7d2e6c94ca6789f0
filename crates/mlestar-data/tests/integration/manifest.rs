//! Manifests: images and labels listed in a file.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use mlestar_data::detect::recognise;
use mlestar_data::subset::write_subset;
use mlestar_data::{DataConfig, DataError, SourceKind, fingerprint, load};

use crate::support::picture;

/// Writes a file, and the images that its lines could name: `a0.png` to `a11.png`, and as many `b`.
fn place(name: &str, text: &str) -> (tempfile::TempDir, DataConfig) {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("photos")).unwrap();
    for number in 0..12 {
        for (class, beginning) in [(0, "a"), (1, "b")] {
            let file = folder
                .path()
                .join(format!("photos/{beginning}{number}.png"));
            picture(number + 50 * class, 9, 9).save(file).unwrap();
        }
    }
    let path = folder.path().join(name);
    fs::write(&path, text).unwrap();
    let config = DataConfig::new(SourceKind::Manifest, path);
    (folder, config)
}

fn refused(name: &str, text: &str, expect: &str) {
    let (_folder, config) = place(name, text);
    let error = load(&config, 1).unwrap_err();
    let message = error.to_string();
    assert!(message.contains(expect), "{message}");
    assert!(message.contains(name), "{message}");
}

#[test]
fn labels_splits_and_attributes_come_from_the_lines() {
    let mut text = String::from("camera,path,label,split\n");
    for number in 0..12 {
        let split = ["train", "val", "test"][(number / 4) as usize];
        text += &format!("A{},photos/a{number}.png,ant,{split}\n", number % 2);
        text += &format!("\"B, {number}\",photos/b{number}.png,\"bee, wild\",{split}\n");
    }
    let (_folder, config) = place("labels.csv", &text);
    let loaded = load(&config, 1).unwrap();
    let splits = &loaded.splits;
    assert_eq!(splits.named().map(|(_, set)| set.len()), [8, 8, 8]);
    assert_eq!(splits.train.classes().to_vec(), ["ant", "bee, wild"]);
    assert_eq!(loaded.source.layout, "images listed in a manifest");
    let set = &splits.validation;
    assert_eq!(set.attribute_names().collect::<Vec<_>>(), ["camera"]);
    for index in 0..set.len() {
        let origin = set.origin(index).to_string();
        let number: u32 = origin["photos/a".len()..origin.len() - 4].parse().unwrap();
        assert!((4..8).contains(&number), "{origin}");
        let camera = match set.label(index) {
            0 => format!("A{}", number % 2),
            _ => format!("B, {number}"),
        };
        assert_eq!(
            set.attribute("camera", index),
            Some(camera.as_str()),
            "{origin}"
        );
        assert_eq!(set.attribute("place", index), None);
    }
    let shown: Vec<_> = set
        .compact()
        .select(&[3])
        .unwrap()
        .attribute("camera", 0)
        .map(String::from)
        .into_iter()
        .collect();
    assert_eq!(shown, [set.attribute("camera", 3).unwrap()]);
    assert_eq!(
        recognise(config.folder().unwrap()).unwrap(),
        SourceKind::Manifest
    );
    assert_eq!(config.root(), config.path.as_deref().unwrap().parent());
}

fn json_lines(line: impl Fn(&str, u32) -> String) -> String {
    let lines = (0..12).flat_map(|number| ["a", "b"].map(|class| line(class, number) + "\n"));
    lines.collect()
}

#[test]
fn groups_stay_together_and_the_order_of_lines_does_not_matter() {
    let line = |class: &str, number: u32| {
        format!(
            r#"{{"path":"photos/{class}{number}.png","label":"{class}","group":{},"iso":400}}"#,
            number / 2
        )
    };
    let text = json_lines(line);
    let (_folder, config) = place("labels.jsonl", &text);
    let loaded = load(&config, 3).unwrap();
    let mut splits_of: BTreeMap<u32, Vec<&str>> = BTreeMap::new();
    let mut groups_of: BTreeMap<u32, BTreeSet<u32>> = BTreeMap::new();
    for (split, set) in loaded.splits.named() {
        assert!(!set.is_empty());
        for index in 0..set.len() {
            let origin = set.origin(index).to_string();
            let number: u32 = origin["photos/a".len()..origin.len() - 4].parse().unwrap();
            splits_of
                .entry(number / 2)
                .or_default()
                .push(split.as_str());
            assert_eq!(set.attribute("iso", index), Some("400"));
            groups_of
                .entry(number / 2)
                .or_default()
                .insert(set.group(index).unwrap());
        }
    }
    let numbers: BTreeSet<u32> = groups_of.values().flatten().copied().collect();
    assert!(groups_of.values().all(|group| group.len() == 1) && numbers.len() == 6);
    for splits in splits_of.values() {
        assert!(
            splits.iter().all(|split| *split == splits[0]),
            "{splits_of:?}"
        );
    }
    let reversed: String = text.lines().rev().map(|line| format!("{line}\n")).collect();
    fs::write(config.folder().unwrap(), reversed).unwrap();
    let again = load(&config, 3).unwrap();
    for ((_, a), (_, b)) in loaded.splits.named().into_iter().zip(again.splits.named()) {
        let origins = |set: &mlestar_data::ImageSet| {
            (0..set.len())
                .map(|i| set.origin(i).clone())
                .collect::<Vec<_>>()
        };
        assert_eq!(origins(a), origins(b));
    }
}

#[test]
fn errors_name_the_file_and_the_line() {
    refused("x.csv", "", "line 1: it is empty");
    refused(
        "x.csv",
        "file,label\n",
        "line 1: there is no column path (there are: file, label)",
    );
    refused(
        "x.csv",
        "path,label,path\n",
        "line 1: column 3 has no name, or the same as another",
    );
    refused(
        "x.csv",
        "path,label\n1.png,ant,x\n",
        "line 2: it has 3 fields, but the first line names 2 columns",
    );
    refused(
        "x.csv",
        "path,label\n1.png,\n",
        "line 2: the label is missing",
    );
    refused(
        "x.csv",
        "path,label\n1.png,\"ant\n",
        "line 2: a quote (\") is not closed",
    );
    refused(
        "x.csv",
        "path,label\n1.png,ant\n2.png,bee\n1.png,bee\n",
        "line 4: 1.png is listed in line 2 already",
    );
    refused(
        "x.csv",
        "path,label,split\n1.png,ant,dev\n",
        "line 2: the split is \"dev\"",
    );
    refused("x.csv", "path,label\n1.png,ant\n", "has 1 class(es) (ant)");
    refused(
        "x.csv",
        "path,label,split\n1.png,ant,test\n2.png,bee,test\n",
        "none of its lines has the split train",
    );
    let cut = "path,label,split,group\n1.png,ant,train,7\n2.png,bee,train,\n3.png,ant,test,7\n";
    refused(
        "x.csv",
        cut,
        "line 4: the group 7 is in the test split here and in the train split in line 2",
    );
    refused(
        "x.jsonl",
        "{\"path\":\"1.png\",\"label\":\"ant\"}\n{\n",
        "line 2: it is no JSON object",
    );
    refused(
        "x.jsonl",
        "{\"path\":[],\"label\":\"ant\"}\n",
        "line 1: the value of path is a list or an object",
    );
    let mixed = "{\"path\":\"1.png\",\"label\":\"ant\",\"split\":\"train\"}\n\n{\"path\":\"2.png\",\"label\":\"bee\"}\n";
    refused("x.jsonl", mixed, "line 3: it has a split, or lacks one");
    refused(
        "x.txt",
        "path,label\n",
        "its extension is not one of csv, jsonl",
    );
    let (_folder, config) = place("x.csv", "");
    fs::write(config.folder().unwrap(), b"path,label\n\xe9.png,ant\n").unwrap();
    let message = load(&config, 1).unwrap_err().to_string();
    assert!(
        message.contains("x.csv, line 2: it is not UTF-8"),
        "{message}"
    );
    let config = DataConfig::new(SourceKind::Manifest, "nowhere.csv");
    assert!(matches!(load(&config, 1), Err(DataError::Io { .. })));
    let message = DataConfig::new(SourceKind::Manifest, "")
        .check()
        .unwrap_err()
        .to_string();
    assert_eq!(
        message,
        "data.path is not set; the source manifest needs its file"
    );
}

#[test]
fn files_that_are_not_there_are_listed_as_unreadable() {
    let text = json_lines(|class, number| {
        format!(r#"{{"path":"photos/{class}{number}.png","label":"{class}"}}"#)
    });
    let (folder, config) = place("labels.jsonl", &text);
    let before = fingerprint(&config, None).unwrap();
    fs::remove_file(folder.path().join("photos/a3.png")).unwrap();
    let loaded = load(&config, 1).unwrap();
    assert_eq!(loaded.source.n_unreadable, 1);
    assert_eq!(loaded.source.unreadable[0].path, "photos/a3.png");
    assert_ne!(fingerprint(&config, None).unwrap(), before);
    fs::write(folder.path().join("photos/unlisted.png"), b"x").unwrap();
    let after = fingerprint(&config, None).unwrap();
    // A label is part of the content, too.
    let other = text.replacen("\"label\":\"a\"", "\"label\":\"b\"", 1);
    fs::write(config.folder().unwrap(), other).unwrap();
    assert_ne!(fingerprint(&config, None).unwrap(), after);
    let error = write_subset(&config, 4, 1, Path::new("/nowhere")).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("for a manifest, set data.subset"),
        "{error}"
    );
}
