//! Written subsets are read back.

use std::fs;
use std::path::Path;

use mlestar_data::readers::cifar::CifarKind;
use mlestar_data::subset::{SubsetReport, write_subset, write_subset_until};
use mlestar_data::{DataConfig, ImageSet, SourceKind, load};

use crate::support::{cifar, pictures, refused, split_folder};

fn bytes_of(folder: &Path, file: &str) -> Vec<u8> {
    fs::read(folder.join(file)).unwrap()
}

#[test]
fn a_cifar_subset_reads_back_with_records_of_the_source() {
    for (kind, source, n, report) in [
        (
            CifarKind::Cifar10,
            SourceKind::Cifar10,
            53,
            SubsetReport {
                n_train: 53,
                n_validation: 0,
                n_test: 21,
                n_files: 7,
            },
        ),
        (
            CifarKind::Cifar100,
            SourceKind::Cifar100,
            210,
            SubsetReport {
                n_train: 210,
                n_validation: 0,
                n_test: 140,
                n_files: 3,
            },
        ),
    ] {
        let root = tempfile::tempdir().unwrap();
        let (from, to) = (root.path().join("from"), root.path().join("new/to"));
        let per_file = if kind == CifarKind::Cifar10 { 30 } else { 300 };
        cifar(
            &from,
            kind,
            per_file,
            if kind == CifarKind::Cifar10 { 60 } else { 200 },
        );
        assert_eq!(
            write_subset(&DataConfig::new(source, &from), n, 5, &to).unwrap(),
            report
        );
        let splits = load(&DataConfig::new(source, &to), 1).unwrap().splits;
        assert_eq!(splits.train.len() + splits.validation.len(), n);
        assert_eq!(splits.test.len(), report.n_test);
        assert!(splits.train.class_counts().iter().all(|count| *count > 0));
        // Whole records, with the coarse labels of CIFAR-100, are those of the source.
        let size = kind.record_bytes();
        let all: Vec<u8> = kind
            .train_names()
            .iter()
            .flat_map(|name| bytes_of(&from, name))
            .collect();
        let part: Vec<u8> = kind
            .train_names()
            .iter()
            .flat_map(|name| bytes_of(&to, name))
            .collect();
        let mut source_records = all.chunks_exact(size);
        assert!(
            part.chunks_exact(size)
                .all(|record| source_records.any(|r| r == record)),
            "in the source's order"
        );
        assert!(
            fs::read_dir(root.path().join("new")).unwrap().count() == 1,
            "nothing temporary stays"
        );
    }
}

fn all_pixels(set: &ImageSet) -> Vec<Vec<u8>> {
    (0..set.len()).map(|i| set.pixels(i).to_vec()).collect()
}

#[test]
fn a_folder_subset_reads_back() {
    let root = tempfile::tempdir().unwrap();
    let (from, to) = (root.path().join("from"), root.path().join("to"));
    split_folder(&from);
    pictures(&from.join("val"), &["cat", "dog", "fox"], 5);
    fs::create_dir(&to).unwrap();
    let config = DataConfig::new(SourceKind::Folder, &from);
    let report = write_subset(&config, 15, 5, &to).unwrap();
    assert_eq!(
        report,
        SubsetReport {
            n_train: 10,
            n_validation: 5,
            n_test: 4,
            n_files: 19
        }
    );
    let (whole, part) = (
        load(&config, 1).unwrap().splits,
        load(&DataConfig::new(SourceKind::Folder, &to), 1)
            .unwrap()
            .splits,
    );
    for ((_, whole), (_, part)) in whole.named().into_iter().zip(part.named()) {
        assert!(part.class_counts().iter().all(|n| *n > 0));
        let known = all_pixels(whole);
        assert!(all_pixels(part).iter().all(|p| known.contains(p)));
    }
    assert_eq!(
        (part.train.len(), part.validation.len(), part.test.len()),
        (10, 5, 4)
    );
}

#[test]
fn a_subset_of_one_folder_of_classes_can_be_split() {
    let root = tempfile::tempdir().unwrap();
    let (from, to) = (root.path().join("from"), root.path().join("to"));
    pictures(&from, &["cat"], 40);
    pictures(&from, &["dog"], 4);
    let report = write_subset(&DataConfig::new(SourceKind::Folder, &from), 12, 5, &to).unwrap();
    assert_eq!(report.n_files, 12);
    let splits = load(&DataConfig::new(SourceKind::Folder, &to), 1)
        .unwrap()
        .splits;
    assert!(
        splits
            .named()
            .iter()
            .all(|(_, set)| set.class_counts().iter().all(|n| *n > 0))
    );
}

#[test]
fn a_subset_that_is_stopped_leaves_nothing() {
    let root = tempfile::tempdir().unwrap();
    let (from, to) = (root.path().join("from"), root.path().join("to"));
    split_folder(&from);
    let config = DataConfig::new(SourceKind::Folder, &from);
    let stop = std::sync::atomic::AtomicBool::new(true);
    refused(
        write_subset_until(&config, 12, 5, &to, &stop),
        &["stopped while", "run the same command again to resume"],
    );
    assert_eq!(fs::read_dir(root.path()).unwrap().count(), 1);
    assert_eq!(write_subset(&config, 12, 5, &to).unwrap().n_train, 12);
}

#[test]
fn impossible_subsets_are_refused_and_leave_nothing() {
    let root = tempfile::tempdir().unwrap();
    let (from, to) = (root.path().join("from"), root.path().join("to"));
    split_folder(&from);
    let config = DataConfig::new(SourceKind::Folder, &from);
    refused(
        write_subset(&config, 31, 1, &to),
        &["subset has 31 images", "has only 30"],
    );
    refused(
        write_subset(&config, 5, 1, &to),
        &["a subset of 5 images cannot hold", "request at least 6"],
    );
    refused(
        write_subset(&DataConfig::default(), 5, 1, &to),
        &["data.source is synthetic", "data.synthetic.n_train"],
    );
    refused(
        write_subset(&config, 10, 1, &from),
        &[
            "from: the subset cannot be written there",
            "delete this one",
        ],
    );
    fs::write(&to, b"a file").unwrap();
    refused(
        write_subset(&config, 10, 1, &to),
        &["to: the subset cannot be written there"],
    );
    assert_eq!(fs::read_dir(root.path()).unwrap().count(), 2);
}
