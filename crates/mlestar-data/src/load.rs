//! Loads a dataset: from a config to three disjoint image sets and a report.

use std::path::Path;
use std::sync::atomic::AtomicBool;

use mlestar_image::Preparation;

use crate::config::{DataConfig, SourceKind};
use crate::detect;
use crate::error::{DataError, Result, in_units, n_unreadable_allowed, set_bytes};
use crate::image_set::ImageSplits;
use crate::plan::{Plan, Pools};
use crate::readers::cifar::CifarKind;
use crate::readers::folder::{
    self, Conversions, Entry, FileSizes, Images, Listing, MAX_CHOSEN_SIDE, MAX_SKIPPED_LISTED,
    SizeCount,
};
pub use crate::readers::pixel_cache::{CacheUse, LoadProgress, OnProgress};
use crate::readers::{manifest, name};
pub use crate::source_report::{SourceReport, SplitReport};
use crate::synthetic;

/// The splits and a report of their source.
#[derive(Debug, Clone)]
pub struct LoadedData {
    /// The images.
    pub splits: ImageSplits,
    /// What was read, and how it was processed.
    pub source: SourceReport,
    /// The file that holds the pixels, if they are not in memory.
    pub cache: Option<CacheUse>,
}

/// How to load a dataset.
#[derive(Default)]
pub struct LoadOptions<'a> {
    /// Memory for the images, in bytes; `None` for any amount. It does not limit images that are in a file.
    pub memory_bytes: Option<u64>,
    /// Called while images are prepared in a file.
    pub progress: Option<OnProgress<'a>>,
    /// Stops the preparation if it becomes true, set by another thread or a signal handler. What is prepared is kept.
    pub stop: Option<&'a AtomicBool>,
}

/// Reads the dataset that `config` describes and splits it.
///
/// Existing splits are used unchanged. A missing test split takes `test_fraction` of all images, and a missing
/// validation split takes `validation_fraction` of the training images; both are stratified by class and depend
/// only on `seed`. `subset` limits the number of training and validation images; the test images are reduced in
/// the same proportion. A generated test split does not depend on `subset`: a smaller subset is tested on some
/// of the same images.
///
/// Unreadable images of a folder are left out of the splits and listed in the report, up to the share
/// `unreadable_share_max`.
///
/// # Errors
/// If a setting is out of range, the source is missing or malformed, or there are too few images for the splits
/// or the subset; if too many images, or all images of a class, cannot be read.
pub fn load(config: &DataConfig, seed: u64) -> Result<LoadedData> {
    load_within(config, seed, None)
}

/// Like [`load`], but with at most `memory_bytes` of memory for the images, which is checked before it is
/// allocated.
///
/// # Errors
/// As for [`load`]; [`DataError::TooLargeForMemory`] if the images need more.
///
/// ```
/// use mlestar_data::{DataConfig, load::load_within};
/// assert_eq!(
///     load_within(&DataConfig::default(), 7, Some(1_000_000)).unwrap_err().to_string(),
///     "7000 images of 32 x 32 pixels take 21.5 MB of memory, more than the 1.0 MB that are free; set a smaller \
///      data.synthetic.n_train"
/// );
/// ```
pub fn load_within(
    config: &DataConfig,
    seed: u64,
    memory_bytes: Option<u64>,
) -> Result<LoadedData> {
    let options = LoadOptions {
        memory_bytes,
        ..LoadOptions::default()
    };
    load_with(config, seed, options)
}

/// Like [`load`], with options.
///
/// Images of a folder whose pixels exceed `data.memory_limit_mib` are prepared in a file of the folder `data.cache`, which
/// the next call uses again; see [`pixel_cache`](crate::readers::pixel_cache).
///
/// # Errors
/// As for [`load_within`]; [`DataError::NoRoom`] if the file does not fit onto the disk, [`DataError::Stopped`], or if a file
/// changes while it is read.
pub fn load_with(config: &DataConfig, seed: u64, options: LoadOptions<'_>) -> Result<LoadedData> {
    config.check()?;
    match config.source {
        SourceKind::Synthetic => load_synthetic(config, seed, options.memory_bytes),
        SourceKind::Cifar10 => load_cifar(CifarKind::Cifar10, config, seed),
        SourceKind::Cifar100 => load_cifar(CifarKind::Cifar100, config, seed),
        SourceKind::Folder => {
            let listing = scan_folder(config.folder()?)?;
            let groups = folder_groups(config, &listing);
            load_files(config, seed, options, listing, groups)
        }
        SourceKind::Manifest => {
            let mut listing = manifest::scan(config.folder()?)?;
            let groups = listing.groups.take();
            load_files(config, seed, options, listing, groups)
        }
    }
}

/// Fails if the images need more memory than is available.
fn check_memory(
    n: usize,
    size: [usize; 2],
    memory_bytes: Option<u64>,
    remedy: &'static str,
) -> Result<()> {
    match memory_bytes {
        Some(free) if set_bytes(n, size) > u128::from(free) => Err(DataError::TooLargeForMemory {
            n,
            size,
            limit: format!("the {} that are free", in_units(free.into())),
            remedy,
        }),
        _ => Ok(()),
    }
}

fn load_synthetic(config: &DataConfig, seed: u64, memory_bytes: Option<u64>) -> Result<LoadedData> {
    let n = [
        config.synthetic.n_train,
        config.synthetic.n_validation,
        config.synthetic.n_test,
    ];
    let n = n.into_iter().fold(0, usize::saturating_add);
    let remedy = "set a smaller data.synthetic.n_train";
    check_memory(n, [synthetic::SIZE; 2], memory_bytes, remedy)?;
    let splits = synthetic::generate(&config.synthetic, seed)?.splits;
    let pools = Pools {
        place: "the synthetic set".to_string(),
        classes: splits.train.classes(),
        train: splits.train.labels(),
        validation: Some(splits.validation.labels()),
        test: Some(splits.test.labels()),
        groups: None,
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
        "generated images".to_string(),
        n_available,
        &chosen,
        made_from,
    );
    Ok(LoadedData {
        splits: chosen,
        source,
        cache: None,
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
        groups: None,
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
        // Otherwise the rest of the set would stay in memory as long as one of its images is used.
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
    Ok(LoadedData {
        splits,
        source,
        cache: None,
    })
}

fn load_files(
    config: &DataConfig,
    seed: u64,
    options: LoadOptions<'_>,
    listing: Listing,
    groups: Option<Vec<u32>>,
) -> Result<LoadedData> {
    let labels = |entries: &[Entry]| entries.iter().map(|e| e.label).collect::<Vec<u32>>();
    let train = labels(&listing.train);
    let validation = listing.validation.as_deref().map(labels);
    let test = listing.test.as_deref().map(labels);
    let pools = Pools {
        place: name::shown(config.folder()?),
        classes: &listing.classes,
        train: &train,
        validation: validation.as_deref(),
        test: test.as_deref(),
        groups: groups.as_deref(),
    };
    let n_available = pools.n_available();
    let plan = pools.plan(config, seed)?;

    let size = config
        .image_size
        .unwrap_or_else(|| choose_size(config, &listing));
    let all: Vec<&Entry> = listing.entries().collect();
    // In the order of the listing, so that the file of pixels does not depend on the seed.
    let mut chosen = [&plan.train[..], &plan.validation, &plan.test].concat();
    chosen.sort_unstable();
    let entries: Vec<&Entry> = chosen.iter().map(|i| all[*i]).collect();
    let preparation = config.preparation(size[0], size[1]);
    let (mut images, cache) = read_images(config, &listing, &entries, &preparation, options)?;
    images.set = images
        .set
        .with_attributes(listing.attributes.select(&chosen));
    if let Some(groups) = &groups {
        let of_chosen = chosen.iter().map(|index| groups[*index]);
        images.set = images.set.with_groups(of_chosen.collect());
    }
    check_readable(config, entries.len(), &images)?;
    let splits = split_readable(&images, &chosen, &plan)?;
    let (layout, made_from) = match config.source {
        SourceKind::Manifest => (
            "images listed in a manifest".to_string(),
            manifest_made_from(config, &listing),
        ),
        _ => (folder_layout(&listing), folder_made_from(config, &listing)),
    };
    let mut source = report(config, layout, n_available, &splits, made_from);
    source.notes.extend(notes(&listing, &images));
    source.notes.extend(group_note(config, &listing));
    source.resize_rule = preparation.resize.describe();
    source.conversions = images.conversions;
    source.file_sizes = images.file_sizes;
    source.n_unreadable = images.unreadable.len();
    source.unreadable = images.unreadable;
    source.unreadable.truncate(MAX_SKIPPED_LISTED);
    source.n_skipped = listing.n_skipped;
    source.skipped_counts = listing.skipped_counts;
    source.skipped = listing.skipped;
    Ok(LoadedData {
        splits,
        source,
        cache,
    })
}

/// The groups that `data.group_by` makes of the images.
fn folder_groups(config: &DataConfig, listing: &Listing) -> Option<Vec<u32>> {
    let paths = listing.entries().map(|entry| entry.path.as_path());
    let n_outer = if listing.split_folders.is_empty() {
        1
    } else {
        2
    };
    Some(config.group_by?.number(paths, n_outer))
}

/// Reads images into memory, or into a file if they exceed `data.memory_limit_mib`.
fn read_images(
    config: &DataConfig,
    listing: &Listing,
    entries: &[&Entry],
    preparation: &Preparation,
    options: LoadOptions<'_>,
) -> Result<(Images, Option<CacheUse>)> {
    let size = [preparation.height, preparation.width];
    if !config.exceeds_memory_limit(entries.len(), size) {
        check_memory(
            entries.len(),
            size,
            options.memory_bytes,
            folder::TOO_LARGE_REMEDY,
        )?;
        return Ok((folder::read(listing, entries, preparation)?, None));
    }
    let never = AtomicBool::new(false);
    let mut silent = |_| ();
    let (images, used) = folder::read_cached(
        listing,
        entries,
        preparation,
        &config.cache,
        options.stop.unwrap_or(&never),
        options.progress.unwrap_or(&mut silent),
    )?;
    Ok((images, Some(used)))
}

/// [`folder::choose_size`], and at most `data.resize_side`, from which the image is cropped.
fn choose_size(config: &DataConfig, listing: &Listing) -> [usize; 2] {
    let largest = config.resize_side.unwrap_or(MAX_CHOSEN_SIDE);
    folder::choose_size_within(listing, largest.min(MAX_CHOSEN_SIDE))
}

/// Fails if too many of `n` images cannot be read.
fn check_readable(config: &DataConfig, n: usize, images: &Images) -> Result<()> {
    let share_max = config.unreadable_share_max;
    match images.unreadable.len() > n_unreadable_allowed(n, share_max) {
        false => Ok(()),
        true => {
            let mut unreadable = images.unreadable.clone();
            unreadable.sort_unstable_by(|a, b| a.path.cmp(&b.path));
            Err(DataError::TooManyUnreadable {
                unreadable,
                n,
                share_max,
            })
        }
    }
}

/// The readable images of each split. `chosen` are the entries that were read, ascending.
fn split_readable(images: &Images, chosen: &[usize], plan: &Plan) -> Result<ImageSplits> {
    let select = |part: &[usize]| {
        let positions = part.iter().filter_map(|i| chosen.binary_search(i).ok());
        let is_readable = |position: &usize| images.readable.binary_search(position).is_ok();
        let readable: Vec<usize> = positions.filter(is_readable).collect();
        images.set.select(&readable)
    };
    let splits = ImageSplits {
        train: select(&plan.train)?,
        validation: select(&plan.validation)?,
        test: select(&plan.test)?,
    };
    let unreadable = || images.unreadable.clone();
    let counts = splits.train.class_counts();
    if let Some(class) = counts.iter().position(|count| *count == 0) {
        return Err(DataError::UnreadableClass {
            class: splits.train.classes()[class].clone(),
            unreadable: unreadable(),
        });
    }
    for (split, set) in splits.named() {
        if set.is_empty() {
            return Err(DataError::UnreadableSplit {
                split,
                unreadable: unreadable(),
            });
        }
    }
    Ok(splits)
}

/// The effect of `data.group_by`.
fn group_note(config: &DataConfig, listing: &Listing) -> Option<String> {
    let by = config.group_by?;
    Some(match (&listing.validation, &listing.test) {
        (Some(_), Some(_)) => format!(
            "data.group_by = \"{by}\" has no effect on the splits, because the folder has both splits: {}",
            listing.split_folders.join(", ")
        ),
        _ => format!("images that belong together (by {by}) are in the same split"),
    })
}

/// Notes about the files that a reader of the results should know.
fn notes(listing: &Listing, images: &Images) -> Vec<String> {
    let mut notes = Vec::new();
    if listing.n_nested > 0 {
        notes.push(format!(
            "{} image(s) in folders inside class folders are used as images of these classes",
            listing.n_nested
        ));
    }
    match images.conversions.n_without_end_marker {
        0 => {}
        n => notes.push(format!(
            "{n} JPEG file(s) lack their end marker but are otherwise complete; they are used"
        )),
    }
    notes
}

/// As [`folder::scan`]. If there are no class folders, the error says whether the folder holds another kind of
/// dataset.
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
        "one folder per class".to_string()
    } else {
        format!(
            "one folder per class in each of {}",
            listing.split_folders.join(", ")
        )
    }
}

fn folder_made_from(config: &DataConfig, listing: &Listing) -> Made {
    let whole = if listing.split_folders.is_empty() {
        "all images"
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
                " outside the test split"
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

fn manifest_made_from(config: &DataConfig, listing: &Listing) -> Made {
    let rows = |split: &str| format!("the lines with the split {split}");
    let made = |fraction: f64| format!("{fraction} of the other lines, stratified by class");
    let (has_validation, has_test) = (listing.validation.is_some(), listing.test.is_some());
    Made {
        train: match has_validation && has_test {
            true => rows("train"),
            false => "the rest of the lines".to_string(),
        },
        validation: match has_validation {
            true => rows("validation"),
            false => made(config.validation_fraction),
        },
        test: match has_test {
            true => rows("test"),
            false => made(config.test_fraction),
        },
    }
}

/// The origin of each split, in words.
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
                "the {name} split has no image of {}",
                absent.join(", ")
            ));
        }
    }
    if let Some(n) = config.subset {
        notes.push(format!("only a subset of {n} training and validation images is used, and the same share of the test images"));
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
        resize_rule: "none: all images have one size".to_string(),
        conversions: untouched(splits),
        file_sizes: FileSizes::uniform(splits.train.height(), splits.train.width(), n_used),
        n_unreadable: 0,
        unreadable: Vec::new(),
        n_skipped: 0,
        skipped_counts: Vec::new(),
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
        SourceKind::Synthetic | SourceKind::Folder | SourceKind::Manifest => None,
    }
}
