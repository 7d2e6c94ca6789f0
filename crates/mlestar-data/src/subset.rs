//! Writes a smaller dataset in the same layout, for quick trials.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use serde::{Deserialize, Serialize};

use crate::config::{DataConfig, SourceKind};
use crate::error::{DataError, Result};
use crate::load::{cifar_kind, scan_folder};
use crate::plan::Pools;
use crate::readers::cifar::CifarKind;
use crate::readers::folder::Entry;

/// What was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubsetReport {
    /// Training images.
    pub n_train: usize,
    /// Validation images, for sources that have a validation split.
    pub n_validation: usize,
    /// Test images, for sources that have a test split.
    pub n_test: usize,
    /// Files that were written.
    pub n_files: usize,
}

/// Writes `n` of the training and validation images of `config`'s source, stratified by class and chosen by
/// `seed`, and the same share of the test images, to `out_dir`. The layout is that of the source; records and
/// files are copied byte for byte. For a source without splits, `n` is the total number of images.
///
/// Either the complete folder appears or nothing.
///
/// # Errors
/// If the source is synthetic or malformed; if there are fewer than `n` images, or `n` is too small for one
/// image of every class in every split; if `out_dir` exists and is not empty, or cannot be written.
pub fn write_subset(
    config: &DataConfig,
    n: usize,
    seed: u64,
    out_dir: &Path,
) -> Result<SubsetReport> {
    write_subset_until(config, n, seed, out_dir, &AtomicBool::new(false))
}

/// Like [`write_subset`], unless `stop` becomes true, set by another thread or a signal handler.
///
/// # Errors
/// As for [`write_subset`], and [`DataError::Stopped`], which leaves nothing behind.
pub fn write_subset_until(
    config: &DataConfig,
    n: usize,
    seed: u64,
    out_dir: &Path,
    stop: &AtomicBool,
) -> Result<SubsetReport> {
    config.check()?;
    check_target(out_dir)?;
    let parent = match out_dir.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    fs::create_dir_all(parent).map_err(|e| DataError::write(parent, e))?;
    let partial = tempfile::Builder::new()
        .prefix(mlestar_artifact::PARTIAL_PREFIX)
        .tempdir_in(parent)
        .map_err(|e| DataError::write(parent, e))?;
    let target = partial.path().join("subset");
    fs::create_dir(&target).map_err(|e| DataError::write(&target, e))?;
    let report = match (cifar_kind(config.source), config.source) {
        (Some(kind), _) => write_cifar(kind, config, n, seed, &target)?,
        (None, SourceKind::Folder) => write_folder(config, n, seed, &target, stop)?,
        (None, SourceKind::Manifest) => {
            return Err(DataError::invalid_setting(
                "data.source",
                config.source,
                "cifar10, cifar100 or folder; for a manifest, set data.subset, or remove lines of a copy of it",
            ));
        }
        (None, _) => {
            return Err(DataError::invalid_setting(
                "data.source",
                config.source,
                "cifar10, cifar100 or folder; reduce the synthetic set with data.synthetic.n_train and n_test",
            ));
        }
    };
    check_stop(stop)?;
    if out_dir.is_dir() {
        fs::remove_dir(out_dir).map_err(|e| DataError::write(out_dir, e))?;
    }
    fs::rename(&target, out_dir).map_err(|e| DataError::write(out_dir, e))?;
    Ok(report)
}

fn check_stop(stop: &AtomicBool) -> Result<()> {
    match stop.load(Ordering::Acquire) {
        true => Err(DataError::Stopped {
            doing: "copying images",
        }),
        false => Ok(()),
    }
}

fn check_target(out_dir: &Path) -> Result<()> {
    let is_free = match fs::read_dir(out_dir) {
        Ok(mut entries) => entries.next().is_none(),
        Err(e) => e.kind() == std::io::ErrorKind::NotFound,
    };
    if is_free {
        return Ok(());
    }
    Err(DataError::Layout {
        path: out_dir.to_owned(),
        problem: "the subset cannot be written there, because it exists and is not an empty folder"
            .to_string(),
        remedy: "choose a new folder, or delete this one".to_string(),
    })
}

fn write_cifar(
    kind: CifarKind,
    config: &DataConfig,
    n: usize,
    seed: u64,
    target: &Path,
) -> Result<SubsetReport> {
    let files = kind.files(config.folder()?)?;
    let classes = kind.read_class_names(&files.class_names)?;
    let mut train = Vec::new();
    for path in &files.train {
        train.append(&mut kind.read_records(path)?);
    }
    let test = kind.read_records(&files.test)?;
    let records = |bytes: &[u8]| -> Vec<u32> {
        bytes
            .chunks_exact(kind.record_bytes())
            .map(|r| u32::from(r[kind.label_bytes() - 1]))
            .collect()
    };
    let (train_labels, test_labels) = (records(&train), records(&test));
    let pools = Pools {
        place: files.folder.display().to_string(),
        classes: &classes,
        train: &train_labels,
        validation: None,
        test: Some(&test_labels),
        groups: None,
    };
    let all_train: Vec<usize> = (0..train_labels.len()).collect();
    let all_test: Vec<usize> = (train_labels.len()..pools.n_available()).collect();
    let [chosen, _, chosen_test] = pools.reduce(n, [&all_train, &[], &all_test], 1, seed)?;
    let gather = |bytes: &[u8], indices: &[usize], first: usize| -> Vec<u8> {
        let size = kind.record_bytes();
        indices
            .iter()
            .flat_map(|i| &bytes[(i - first) * size..(i - first + 1) * size])
            .copied()
            .collect()
    };
    let names = kind.train_names();
    let per_file = chosen.len().div_ceil(names.len());
    for (name, part) in names.iter().zip(chosen.chunks(per_file)) {
        write(&target.join(name), &gather(&train, part, 0))?;
    }
    write(
        &target.join(kind.test_name()),
        &gather(&test, &chosen_test, train_labels.len()),
    )?;
    let names_file =
        fs::read(&files.class_names).map_err(|e| DataError::read(&files.class_names, e))?;
    write(&target.join(kind.class_names_name()), &names_file)?;
    Ok(SubsetReport {
        n_train: chosen.len(),
        n_validation: 0,
        n_test: chosen_test.len(),
        n_files: names.len() + 2,
    })
}

fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    fs::write(path, bytes).map_err(|e| DataError::write(path, e))
}

fn write_folder(
    config: &DataConfig,
    n: usize,
    seed: u64,
    target: &Path,
    stop: &AtomicBool,
) -> Result<SubsetReport> {
    let listing = scan_folder(config.folder()?)?;
    let labels = |entries: &[Entry]| entries.iter().map(|e| e.label).collect::<Vec<u32>>();
    let train = labels(&listing.train);
    let validation = listing.validation.as_deref().map(labels);
    let test = listing.test.as_deref().map(labels);
    let pools = Pools {
        place: listing.root.display().to_string(),
        classes: &listing.classes,
        train: &train,
        validation: validation.as_deref(),
        test: test.as_deref(),
        groups: None,
    };
    let n_development = train.len() + validation.as_ref().map_or(0, Vec::len);
    let range = |from: usize, to: usize| (from..to).collect::<Vec<usize>>();
    let parts = [
        range(0, train.len()),
        range(train.len(), n_development),
        range(n_development, pools.n_available()),
    ];
    let n_splits_to_make = usize::from(validation.is_none()) + usize::from(test.is_none());
    let chosen = pools.reduce(n, [&parts[0], &parts[1], &parts[2]], n_splits_to_make, seed)?;
    let all: Vec<&Entry> = listing.entries().collect();
    for index in chosen.iter().flatten() {
        check_stop(stop)?;
        let (from, to) = (
            listing.root.join(&all[*index].path),
            target.join(&all[*index].path),
        );
        if let Some(folder) = to.parent() {
            fs::create_dir_all(folder).map_err(|e| DataError::write(folder, e))?;
        }
        fs::copy(&from, &to).map_err(|source| DataError::Io {
            action: "copy",
            path: from,
            remedy: "check that it can be read and that the disk has room",
            source,
        })?;
    }
    let [n_train, n_validation, n_test] = chosen.map(|part| part.len());
    Ok(SubsetReport {
        n_train,
        n_validation,
        n_test,
        n_files: n_train + n_validation + n_test,
    })
}
