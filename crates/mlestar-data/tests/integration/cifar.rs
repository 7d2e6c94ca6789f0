//! CIFAR binary files, valid and invalid.

use std::collections::HashSet;
use std::fs;
use std::path::Path;

use mlestar_data::readers::cifar::CifarKind;
use mlestar_data::{DataConfig, DataError, ImageSplits, LoadedData, SourceKind, load};

use crate::support::{cifar, records, refused};

fn load10(folder: &Path) -> Result<LoadedData, DataError> {
    load(&DataConfig::new(SourceKind::Cifar10, folder), 1)
}

fn origins(splits: &ImageSplits) -> Vec<String> {
    let of = |set: &mlestar_data::ImageSet| {
        (0..set.len())
            .map(|i| set.origin(i).to_string())
            .collect::<Vec<_>>()
    };
    [of(&splits.train), of(&splits.validation), of(&splits.test)].concat()
}

#[test]
fn cifar10_is_read_and_split() {
    let folder = tempfile::tempdir().unwrap();
    cifar(folder.path(), CifarKind::Cifar10, 40, 30);
    let loaded = load10(folder.path()).unwrap();
    let splits = &loaded.splits;
    assert_eq!(
        (
            splits.train.len(),
            splits.validation.len(),
            splits.test.len()
        ),
        (180, 20, 30)
    );
    assert_eq!(splits.train.class_counts(), [18; 10]);
    assert_eq!(splits.validation.class_counts(), [2; 10]);
    assert_eq!(splits.train.classes()[3], "class_003");

    let unique: HashSet<String> = origins(splits).into_iter().collect();
    assert_eq!(unique.len(), 230);
    assert_eq!(splits.test.origin(17).to_string(), "test_batch.bin#17");
    assert_eq!(splits.test.label(17), 7);
    assert_eq!(
        splits.test.pixels(17),
        &records(CifarKind::Cifar10, 9, (0..18).map(|_| 0))[17 * 3073 + 1..]
    );

    let report = &loaded.source;
    assert_eq!(report.layout, "CIFAR-10 binary files");
    assert_eq!(report.n_available, 230);
    assert_eq!(report.splits[1].n, 20);
    assert_eq!(
        report.splits[1].made_from,
        "0.1 of the training files, stratified by class"
    );
    let json = serde_json::to_string(report).unwrap();
    assert_eq!(
        &serde_json::from_str::<mlestar_data::SourceReport>(&json).unwrap(),
        report
    );
}

#[test]
fn the_seed_alone_decides_the_split() {
    let folder = tempfile::tempdir().unwrap();
    cifar(folder.path(), CifarKind::Cifar10, 40, 30);
    let of = |seed| {
        origins(
            &load(&DataConfig::new(SourceKind::Cifar10, folder.path()), seed)
                .unwrap()
                .splits,
        )
    };
    assert_eq!(of(1), of(1));
    assert_ne!(of(1), of(2));
}

#[test]
fn cifar100_has_the_fine_labels() {
    let folder = tempfile::tempdir().unwrap();
    cifar(
        &folder.path().join("cifar-100-binary"),
        CifarKind::Cifar100,
        300,
        100,
    );
    // The folder above the unpacked archive is also accepted.
    let loaded = load(&DataConfig::new(SourceKind::Cifar100, folder.path()), 1).unwrap();
    let test = &loaded.splits.test;
    assert_eq!(test.n_classes(), 100);
    assert_eq!(test.labels(), (0..100).collect::<Vec<u32>>());
    assert_eq!(
        test.pixels(42),
        &records(CifarKind::Cifar100, 9, 0..43)[42 * 3074 + 2..]
    );
    assert_eq!(
        loaded.splits.validation.len(),
        100,
        "every class keeps a validation image"
    );
}

#[test]
fn a_subset_takes_test_pictures_in_proportion() {
    let folder = tempfile::tempdir().unwrap();
    cifar(folder.path(), CifarKind::Cifar10, 40, 60);
    let config = DataConfig {
        subset: Some(50),
        ..DataConfig::new(SourceKind::Cifar10, folder.path())
    };
    let loaded = load(&config, 1).unwrap();
    let splits = &loaded.splits;
    assert_eq!(splits.train.len() + splits.validation.len(), 50);
    assert_eq!(splits.test.len(), 15);
    assert!(
        splits
            .named()
            .iter()
            .all(|(_, set)| set.class_counts().iter().all(|n| *n > 0))
    );
    assert!(loaded.source.notes[0].contains("a subset of 50"));

    let with = |subset| DataConfig {
        subset: Some(subset),
        ..config.clone()
    };
    refused(
        load(&with(201), 1),
        &[
            "the requested subset has 201 images",
            "has only 200",
            "request at most 200",
        ],
    );
    refused(
        load(&with(19), 1),
        &["a subset of 19 images cannot hold", "request at least 20"],
    );
}

#[test]
fn damaged_files_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    cifar(folder.path(), CifarKind::Cifar10, 20, 20);

    let whole = fs::read(path("data_batch_2.bin")).unwrap();
    fs::write(path("data_batch_2.bin"), &whole[..whole.len() - 1]).unwrap();
    refused(
        load10(folder.path()),
        &[
            "data_batch_2.bin has 61459 bytes",
            "19 whole records of 3073 bytes",
            "fetch it again",
        ],
    );
    fs::write(path("data_batch_2.bin"), b"").unwrap();
    refused(load10(folder.path()), &["data_batch_2.bin has 0 bytes"]);

    fs::write(
        path("data_batch_2.bin"),
        records(CifarKind::Cifar10, 1, [1, 2, 10]),
    )
    .unwrap();
    refused(
        load10(folder.path()),
        &["data_batch_2.bin: record 2 has the label 10, but labels are 0 to 9"],
    );

    fs::remove_file(path("data_batch_2.bin")).unwrap();
    fs::remove_file(path("batches.meta.txt")).unwrap();
    refused(
        load10(folder.path()),
        &[
            "data_batch_2.bin is missing",
            "needs data_batch_2.bin, batches.meta.txt",
        ],
    );
}

#[test]
fn a_label_of_100_in_cifar100_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    cifar(folder.path(), CifarKind::Cifar100, 200, 100);
    let mut bytes = records(CifarKind::Cifar100, 0, 0..100);
    bytes[5 * 3074 + 1] = 100;
    fs::write(folder.path().join("train.bin"), bytes).unwrap();
    let config = DataConfig::new(SourceKind::Cifar100, folder.path());
    refused(
        load(&config, 1),
        &["train.bin: record 5 has the label 100, but labels are 0 to 99"],
    );
}

#[test]
fn class_names_must_be_as_many_as_classes() {
    let folder = tempfile::tempdir().unwrap();
    cifar(folder.path(), CifarKind::Cifar10, 20, 20);
    fs::write(folder.path().join("batches.meta.txt"), "cat\ndog\ncat\n").unwrap();
    refused(
        load10(folder.path()),
        &[
            "batches.meta.txt: it holds 3 class names, of which 2 are different, but CIFAR-10 has 10",
        ],
    );
}

#[test]
fn other_folders_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    refused(
        load10(&folder.path().join("x")),
        &["x is missing: there is no such folder", "fetch the dataset"],
    );
    let file = folder.path().join("data_batch_1");
    fs::write(&file, b"pickle").unwrap();
    refused(load10(&file), &["data_batch_1 is not a folder"]);
    refused(
        load10(folder.path()),
        &["this folder holds the Python version"],
    );
}

#[test]
fn a_tested_class_without_training_pictures_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    cifar(folder.path(), CifarKind::Cifar10, 20, 20);
    for (file, name) in (0..).zip(CifarKind::Cifar10.train_names()) {
        fs::write(
            folder.path().join(name),
            records(CifarKind::Cifar10, file, 0..9),
        )
        .unwrap();
    }
    refused(
        load10(folder.path()),
        &["class class_009 has test images but no training images"],
    );
}

#[test]
fn too_few_pictures_of_a_class_to_validate_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    cifar(folder.path(), CifarKind::Cifar10, 20, 20);
    for (file, name) in (0..).zip(CifarKind::Cifar10.train_names()) {
        let labels = (0..9).chain((file == 0).then_some(9));
        fs::write(
            folder.path().join(name),
            records(CifarKind::Cifar10, file, labels),
        )
        .unwrap();
    }
    refused(
        load10(folder.path()),
        &[
            "class class_009 has 1 image(s)",
            "a validation split needs at least 2",
        ],
    );
}
