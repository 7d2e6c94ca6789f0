//! From a config to three disjoint image sets and a report of what was read.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::config::{DataConfig, SourceKind};
use crate::detect;
use crate::error::{DataError, Result};
use crate::image_set::{ImageSplits, SplitName};
use crate::plan::Pools;
use crate::readers::cifar::CifarKind;
use crate::readers::folder::{self, Conversions, Entry, FileSizes, Listing, SizeCount, Skipped};
use crate::readers::resize;
use crate::synthetic;

/// The splits and where they came from.
#[derive(Debug, Clone)]
pub struct LoadedData {
    /// The pictures.
    pub splits: ImageSplits,
    /// What was read and what was done to it.
    pub source: SourceReport,
}

/// What was read, and what was done to it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SourceReport {
    /// What kind of data set it is.
    pub source: SourceKind,
    /// How it is laid out, in words.
    pub layout: String,
    /// The class names, in label order.
    pub classes: Vec<String>,
    /// `[height, width]` of every picture, in pixels.
    pub image_size: [usize; 2],
    /// Pictures in the source, before any subset was taken.
    pub n_available: usize,
    /// The train, validation and test splits, in that order.
    pub splits: Vec<SplitReport>,
    /// How pictures were brought to one size, in words.
    pub resize_rule: String,
    /// What had to be converted.
    pub conversions: Conversions,
    /// How large the images were before they were brought to one size.
    pub file_sizes: FileSizes,
    /// Number of files and folders that were not read.
    pub n_skipped: usize,
    /// The first 100 of them, with reasons.
    pub skipped: Vec<Skipped>,
    /// Anything else that a reader of the results should know, in words.
    pub notes: Vec<String>,
}

/// One split of a [`SourceReport`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SplitReport {
    /// Which one.
    pub name: SplitName,
    /// Number of pictures.
    pub n: usize,
    /// Number of pictures of each class, in label order.
    pub per_class: Vec<usize>,
    /// Where the split came from, in words.
    pub made_from: String,
}

/// Reads the data that `config` names and splits it.
///
/// A split that the source has is used as it is. A missing test split takes `test_fraction` of all
/// pictures, and a missing validation split `validation_fraction` of the training pictures; both are
/// stratified by class and depend on `seed` alone. With `subset`, that many training and validation
/// pictures stay; the test pictures are reduced in the same proportion. The test split that is made
/// does not depend on `subset`: a smaller subset is tested on some of the same pictures.
///
/// # Errors
/// When a setting is out of range, the source is missing or malformed, or there are too few
/// pictures for the splits or the subset.
pub fn load(config: &DataConfig, seed: u64) -> Result<LoadedData> {
    config.check()?;
    match config.source {
        SourceKind::Synthetic => load_synthetic(config, seed),
        SourceKind::Cifar10 => load_cifar(CifarKind::Cifar10, config, seed),
        SourceKind::Cifar100 => load_cifar(CifarKind::Cifar100, config, seed),
        SourceKind::Folder => load_folder(config, seed),
    }
}

fn load_synthetic(config: &DataConfig, seed: u64) -> Result<LoadedData> {
    let splits = synthetic::generate(&config.synthetic, seed)?.splits;
    let pools = Pools {
        place: "the synthetic set".to_string(),
        classes: splits.train.classes(),
        train: splits.train.labels(),
        validation: Some(splits.validation.labels()),
        test: Some(splits.test.labels()),
    };
    let n_available = pools.n_available();
    let plan = pools.plan(config, seed)?;
    let shift = |indices: &[usize], by: usize| indices.iter().map(|i| i - by).collect::<Vec<_>>();
    let n_train = splits.train.len();
    let chosen = ImageSplits {
        train: splits.train.select(&plan.train)?,
        validation: splits
            .validation
            .select(&shift(&plan.validation, n_train))?,
        test: splits
            .test
            .select(&shift(&plan.test, n_train + splits.validation.len()))?,
    };
    let made_from = Made {
        train: "generated".into(),
        validation: "generated".into(),
        test: "generated".into(),
    };
    let source = report(
        config,
        "generated pictures".to_string(),
        n_available,
        &chosen,
        made_from,
    );
    Ok(LoadedData {
        splits: chosen,
        source,
    })
}

fn load_cifar(kind: CifarKind, config: &DataConfig, seed: u64) -> Result<LoadedData> {
    let folder = config.folder()?;
    let data = kind.read(folder)?;
    let pools = Pools {
        place: folder.display().to_string(),
        classes: data.train.classes(),
        train: data.train.labels(),
        validation: None,
        test: Some(data.test.labels()),
    };
    let n_available = pools.n_available();
    let plan = pools.plan(config, seed)?;
    let test: Vec<usize> = plan.test.iter().map(|i| i - data.train.len()).collect();
    let mut splits = ImageSplits {
        train: data.train.select(&plan.train)?,
        validation: data.train.select(&plan.validation)?,
        test: data.test.select(&test)?,
    };
    if config.subset.is_some() {
        // The rest of the set would stay in memory as long as a single picture of it is in use.
        splits = ImageSplits {
            train: splits.train.compact(),
            validation: splits.validation.compact(),
            test: splits.test.compact(),
        };
    }
    let made_from = Made {
        train: "the rest of the training files".to_string(),
        validation: format!(
            "{} of the training files, stratified by class",
            config.validation_fraction
        ),
        test: format!("the file {}", kind.test_name()),
    };
    let layout = format!("{} binary files", kind.title());
    let source = report(config, layout, n_available, &splits, made_from);
    Ok(LoadedData { splits, source })
}

fn load_folder(config: &DataConfig, seed: u64) -> Result<LoadedData> {
    let root = config.folder()?;
    let listing = scan_folder(root)?;
    let labels = |entries: &[Entry]| entries.iter().map(|e| e.label).collect::<Vec<u32>>();
    let train = labels(&listing.train);
    let validation = listing.validation.as_deref().map(labels);
    let test = listing.test.as_deref().map(labels);
    let pools = Pools {
        place: root.display().to_string(),
        classes: &listing.classes,
        train: &train,
        validation: validation.as_deref(),
        test: test.as_deref(),
    };
    let n_available = pools.n_available();
    let plan = pools.plan(config, seed)?;

    let size = config
        .image_size
        .unwrap_or_else(|| folder::choose_size(&listing));
    let all: Vec<&Entry> = listing.entries().collect();
    let chosen = [&plan.train[..], &plan.validation, &plan.test].concat();
    let entries: Vec<&Entry> = chosen.iter().map(|i| all[*i]).collect();
    let (set, conversions, file_sizes) = folder::read(&listing, &entries, size, config.background)?;
    let (n_train, n_validation) = (plan.train.len(), plan.validation.len());
    let range = |from: usize, to: usize| set.select(&(from..to).collect::<Vec<_>>());
    let splits = ImageSplits {
        train: range(0, n_train)?,
        validation: range(n_train, n_train + n_validation)?,
        test: range(n_train + n_validation, set.len())?,
    };
    let mut source = report(
        config,
        folder_layout(&listing),
        n_available,
        &splits,
        folder_made_from(config, &listing),
    );
    source.resize_rule = resize::RULE.to_string();
    source.conversions = conversions;
    source.file_sizes = file_sizes;
    source.n_skipped = listing.n_skipped;
    source.skipped = listing.skipped;
    Ok(LoadedData { splits, source })
}

/// As [`folder::scan`]; where that finds no class folders, the error says so if the folder holds
/// another kind of data set.
pub(crate) fn scan_folder(root: &Path) -> Result<Listing> {
    folder::scan(root).map_err(|error| match (error, detect::detect(root)) {
        (DataError::NoPictures { path, detail: _ }, Ok(kind)) if kind != SourceKind::Folder => {
            DataError::NoPictures {
                path,
                detail: format!(
                    "it holds the binary files of {kind}; set data.source = \"{kind}\""
                ),
            }
        }
        (error, _) => error,
    })
}

fn folder_layout(listing: &Listing) -> String {
    if listing.split_folders.is_empty() {
        "one folder a class".to_string()
    } else {
        format!(
            "one folder a class in each of {}",
            listing.split_folders.join(", ")
        )
    }
}

fn folder_made_from(config: &DataConfig, listing: &Listing) -> Made {
    let whole = if listing.split_folders.is_empty() {
        "all pictures"
    } else {
        "train/"
    };
    let given = |is_validation: bool| {
        let name = listing
            .split_folders
            .iter()
            .find(|n| *n != "train" && (*n != "test") == is_validation);
        name.map(|name| format!("{name}/"))
    };
    let test = given(false);
    let validation = given(true);
    Made {
        train: if test.is_some() && validation.is_some() {
            whole.to_string()
        } else {
            format!("the rest of {whole}")
        },
        validation: validation.unwrap_or_else(|| {
            let rest = if test.is_none() {
                " that are not for testing"
            } else {
                ""
            };
            format!(
                "{} of {whole}{rest}, stratified by class",
                config.validation_fraction
            )
        }),
        test: test
            .unwrap_or_else(|| format!("{} of {whole}, stratified by class", config.test_fraction)),
    }
}

/// Where each split came from, in words.
struct Made {
    train: String,
    validation: String,
    test: String,
}

fn report(
    config: &DataConfig,
    layout: String,
    n_available: usize,
    splits: &ImageSplits,
    made_from: Made,
) -> SourceReport {
    let mut notes = Vec::new();
    for (name, set) in splits.named() {
        let counts = set.class_counts();
        let absent: Vec<&str> = set
            .classes()
            .iter()
            .zip(&counts)
            .filter(|(_, n)| **n == 0)
            .map(|(class, _)| class.as_str())
            .collect();
        if !absent.is_empty() {
            notes.push(format!(
                "the {name} split has no picture of {}",
                absent.join(", ")
            ));
        }
    }
    if let Some(n) = config.subset {
        notes.push(format!("only a subset of {n} training and validation pictures is used, and as large a share of the test pictures"));
    }
    let n_used = splits.named().iter().map(|(_, set)| set.len()).sum();
    let words = [made_from.train, made_from.validation, made_from.test];
    let reports = splits
        .named()
        .into_iter()
        .zip(words)
        .map(|((name, set), made_from)| SplitReport {
            name,
            n: set.len(),
            per_class: set.class_counts(),
            made_from,
        });
    SourceReport {
        source: config.source,
        layout,
        classes: splits.train.classes().to_vec(),
        image_size: [splits.train.height(), splits.train.width()],
        n_available,
        splits: reports.collect(),
        resize_rule: "none: all pictures have one size".to_string(),
        conversions: untouched(splits),
        file_sizes: FileSizes::uniform(splits.train.height(), splits.train.width(), n_used),
        n_skipped: 0,
        skipped: Vec::new(),
        notes,
    }
}

fn untouched(splits: &ImageSplits) -> Conversions {
    let n = splits.named().iter().map(|(_, set)| set.len()).sum();
    // Sizes of sets that are generated or have a fixed format are far below `u32::MAX`.
    let (height, width) = (splits.train.height() as u32, splits.train.width() as u32);
    Conversions {
        n_sizes: 1,
        sizes: vec![SizeCount { height, width, n }],
        ..Conversions::default()
    }
}

/// The file-backed kinds, and their CIFAR reader if they have one.
pub(crate) fn cifar_kind(source: SourceKind) -> Option<CifarKind> {
    match source {
        SourceKind::Cifar10 => Some(CifarKind::Cifar10),
        SourceKind::Cifar100 => Some(CifarKind::Cifar100),
        SourceKind::Synthetic | SourceKind::Folder => None,
    }
}
