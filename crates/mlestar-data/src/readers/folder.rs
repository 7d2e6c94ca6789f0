//! A folder of images, one folder per class.
//!
//! There are two layouts. With splits: `train/<class>/*`, `test/<class>/*`, and optionally `val/<class>/*` (or
//! `valid/`, or `validation/`). Without: `<class>/*`, which is then split. A folder has splits if it holds a
//! folder `train` or `test` that itself holds folders.
//!
//! Images in folders inside a class folder belong to that class. Without splits, a class folder must hold
//! images directly; otherwise the data folder might be one level above the classes. Files left by systems and
//! programs, hidden files, special files and files of other types are skipped. A link is followed once, and a
//! file is read once. Everything skipped is listed with the reason.
//!
//! Classes are sorted in natural order (2 before 10) of their composed Unicode form; images are sorted by name,
//! byte by byte. The order does not depend on the machine.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use mlestar_image::Preparation;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::attributes::Attributes;
use super::class_names::{composed, natural_order};
use super::skipped::{Reason, count};
pub use super::skipped::{Skipped, SkippedCount};
use super::walk::{Content, Found, Walk, relative};
use super::{name, picture, pixel_cache};
use crate::error::{DataError, Result};
use crate::image_set::{ImageSet, Origin, Pixels};

/// Limit of the list of skipped files; the rest are only counted.
pub const MAX_SKIPPED_LISTED: usize = 100;

/// The largest side, in pixels, that [`choose_size`] chooses.
pub const MAX_CHOSEN_SIDE: usize = 64;

/// Number of images that decide the size, evenly spaced over all images.
const N_PROBED: usize = 1024;

/// The names of the validation folder.
const VALIDATION_NAMES: [&str; 3] = ["val", "valid", "validation"];

/// An image that was found but not yet read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The file, relative to the data folder.
    pub path: PathBuf,
    /// Index of its class.
    pub label: u32,
}

/// The contents of a folder.
#[derive(Debug, Clone)]
pub struct Listing {
    /// The data folder.
    pub root: PathBuf,
    /// The class names, composed (NFC), in natural order.
    pub classes: Arc<[String]>,
    /// The images of `train/`, or all images if there are no splits.
    pub train: Vec<Entry>,
    /// The images of the validation folder, if there is one.
    pub validation: Option<Vec<Entry>>,
    /// The images of `test/`, if there is one.
    pub test: Option<Vec<Entry>>,
    /// Names of the split folders; empty for the layout without splits.
    pub split_folders: Vec<String>,
    /// Number of images in folders inside class folders.
    pub n_nested: usize,
    /// Number of files and folders that were not read.
    pub n_skipped: usize,
    /// The number of skipped entries for each kind of reason, most frequent first.
    pub skipped_counts: Vec<SkippedCount>,
    /// The first skipped entries (at most [`MAX_SKIPPED_LISTED`]), sorted.
    pub skipped: Vec<Skipped>,
    /// A group number for each of the [`entries`](Self::entries), if a manifest gives groups.
    pub groups: Option<Vec<u32>>,
    /// Further properties of the images, in the order of [`Listing::entries`].
    pub attributes: Attributes,
}

impl Listing {
    /// The images of all splits: train, then validation, then test.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.train
            .iter()
            .chain(self.validation.iter().flatten())
            .chain(self.test.iter().flatten())
    }
}

/// An image size and its frequency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SizeCount {
    /// Height in pixels.
    pub height: u32,
    /// Width in pixels.
    pub width: u32,
    /// Number of images.
    pub n: usize,
}

/// How images were converted to a common form.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Conversions {
    /// Images that were scaled or cropped.
    pub n_resized: usize,
    /// Grey images that were converted to three equal channels.
    pub n_grey: usize,
    /// Images with an alpha channel, which were placed on the background.
    pub n_alpha: usize,
    /// Images with more than 8 bits per channel, which were rounded to 8.
    pub n_deep: usize,
    /// JPEG files that lack only their end marker.
    pub n_without_end_marker: usize,
    /// Number of different sizes.
    pub n_sizes: usize,
    /// The ten most frequent sizes, most frequent first.
    pub sizes: Vec<SizeCount>,
}

/// The original sizes of the images of a set. Sizes are `[height, width]` in pixels, upright, ordered by their
/// number of pixels.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileSizes {
    /// Number of images.
    pub n: usize,
    /// The smallest.
    pub smallest: [u32; 2],
    /// The lower median.
    pub median: [u32; 2],
    /// The largest.
    pub largest: [u32; 2],
    /// Number of different sizes.
    pub n_sizes: usize,
    /// Number of images whose size differed from the common size.
    pub n_resized: usize,
    /// Number of images that were enlarged because they did not cover the common size.
    pub n_enlarged: usize,
}

impl FileSizes {
    /// The sizes of a set whose `n` images all have the common size. Sizes beyond 32 bits are cut off.
    pub fn uniform(height: usize, width: usize, n: usize) -> Self {
        let size = [height, width].map(|side| u32::try_from(side).unwrap_or(u32::MAX));
        Self {
            n,
            smallest: size,
            median: size,
            largest: size,
            n_sizes: 1,
            ..Self::default()
        }
    }

    /// The sizes of images that are resized to `to`, `[height, width]`; all zero without images.
    fn of(mut sizes: Vec<[u32; 2]>, to: [usize; 2]) -> Self {
        sizes.sort_unstable_by_key(|&[height, width]| {
            (u64::from(height) * u64::from(width), height, width)
        });
        let to = to.map(|side| side as u64);
        let count = |what: &dyn Fn([u64; 2]) -> bool| {
            let wide = sizes.iter().map(|size| size.map(u64::from));
            wide.filter(|size| what(*size)).count()
        };
        let (n_resized, n_enlarged) = (
            count(&|size| size != to),
            count(&|[height, width]| height < to[0] || width < to[1]),
        );
        let at = |index: usize| sizes.get(index).copied().unwrap_or_default();
        Self {
            n: sizes.len(),
            smallest: at(0),
            median: at(sizes.len().saturating_sub(1) / 2),
            largest: at(sizes.len().saturating_sub(1)),
            n_sizes: sizes.chunk_by(|a, b| a == b).count(),
            n_resized,
            n_enlarged,
        }
    }
}

/// Finds the images of a folder, without reading them.
///
/// # Errors
/// If the folder is missing, unreadable or not a folder; if it holds no images, or fewer than two classes; if a
/// class folder of `train/` holds none; if a class of another split is not in `train/`; if there are two
/// validation folders.
pub fn scan(root: &Path) -> Result<Listing> {
    let mut walk = Walk::new(root);
    let top = walk.open(root)?;
    let holds_folders = |name: &str| -> Result<bool> {
        let is_there = top.folders.iter().any(|folder| folder == name);
        Ok(is_there && !Walk::new(root).open(&root.join(name))?.folders.is_empty())
    };
    let with_splits = holds_folders("train")? || holds_folders("test")?;
    let found = match with_splits {
        true => scan_splits(&mut walk, &top)?,
        false => scan_classes(&mut walk, &top)?,
    };
    if found.classes.len() < 2 {
        let place = match with_splits {
            true => root.join("train"),
            false => root.to_owned(),
        };
        return Err(DataError::TooFewClasses {
            place: name::shown(&place),
            n: found.classes.len(),
            names: found.classes.join(", "),
        });
    }
    listing(walk, found)
}

/// The images of the splits, with their labels, before links are resolved.
#[derive(Default)]
struct Scanned {
    classes: Vec<String>,
    /// Train, validation, test.
    parts: [Option<Vec<(Found, u32)>>; 3],
    split_folders: Vec<String>,
    n_nested: usize,
}

fn listing(mut walk: Walk<'_>, scanned: Scanned) -> Result<Listing> {
    let all: Vec<&Found> = scanned
        .parts
        .iter()
        .flatten()
        .flatten()
        .map(|(found, _)| found)
        .collect();
    let mut keep = walk.without_repeats(&all).into_iter();
    let root = walk.root;
    let [train, validation, test] = scanned.parts.map(|part| {
        part.map(|part| {
            let kept = part.into_iter().filter(|_| keep.next() == Some(true));
            kept.map(|(found, label)| Entry {
                path: relative(root, &found.path),
                label,
            })
            .collect::<Vec<_>>()
        })
    });
    for (part, folder) in [&train, &validation, &test]
        .into_iter()
        .zip(split_names(&scanned.split_folders))
    {
        if part.as_ref().is_some_and(Vec::is_empty) {
            return Err(DataError::NoPictures {
                path: root.join(folder),
                detail: "it holds only links to images that are read under other names; give it images of \
                         its own, or remove it"
                    .to_string(),
            });
        }
    }
    walk.skipped.sort_unstable_by(|a, b| a.0.cmp(&b.0));
    Ok(Listing {
        root: root.to_owned(),
        classes: scanned.classes.into(),
        train: train.unwrap_or_default(),
        validation,
        test,
        split_folders: scanned.split_folders,
        n_nested: scanned.n_nested,
        n_skipped: walk.skipped.len(),
        skipped_counts: count(walk.skipped.iter().map(|(_, reason)| reason)),
        skipped: walk
            .skipped
            .iter()
            .take(MAX_SKIPPED_LISTED)
            .map(|(path, reason)| Skipped {
                path: name::shown(path),
                reason: reason.to_string(),
            })
            .collect(),
        groups: None,
        attributes: Attributes::default(),
    })
}

/// The folders of the train, validation and test split; empty if there is none.
fn split_names(split_folders: &[String]) -> [&str; 3] {
    let find = |is_it: &dyn Fn(&str) -> bool| {
        let mut names = split_folders.iter().map(String::as_str);
        names.find(|name| is_it(name)).unwrap_or_default()
    };
    [
        find(&|name| name == "train"),
        find(&|name| VALIDATION_NAMES.contains(&name)),
        find(&|name| name == "test"),
    ]
}

fn scan_classes(walk: &mut Walk<'_>, top: &Content) -> Result<Scanned> {
    let root = walk.root;
    if top.folders.is_empty() {
        return Err(no_class_folders(root, top));
    }
    walk.skip_images(&top.images, &Reason::OutsideClasses);
    let folders = class_folders(root, &top.folders)?;
    let mut scanned = Scanned {
        classes: folders.iter().map(|class| class.name.clone()).collect(),
        ..Scanned::default()
    };
    scanned.parts[0] = Some(read_train_classes(
        walk,
        root,
        &folders,
        &mut scanned.n_nested,
        true,
    )?);
    Ok(scanned)
}

fn scan_splits(walk: &mut Walk<'_>, top: &Content) -> Result<Scanned> {
    let root = walk.root;
    let train = root.join("train");
    if !top.folders.iter().any(|f| f == "train") {
        return Err(DataError::MissingPath {
            path: train,
            what: "the folder has a test split, but no training split".to_string(),
            remedy: "add train/, or move the class folders of test/ up, so that they are split"
                .to_string(),
        });
    }
    let named = |folder: &OsString, names: &[&str]| names.iter().any(|name| folder == name);
    let validation_names: Vec<String> = top
        .folders
        .iter()
        .filter(|folder| named(folder, &VALIDATION_NAMES))
        .map(|folder| folder.to_string_lossy().into_owned())
        .collect();
    if let [first, second, ..] = &validation_names[..] {
        return Err(DataError::Layout {
            path: root.to_owned(),
            problem: format!("it has two validation folders, {first} and {second}"),
            remedy: "keep one of them".to_string(),
        });
    }
    walk.skip_images(&top.images, &Reason::OutsideSplits);
    for folder in &top.folders {
        if !named(folder, &["train", "test"]) && !named(folder, &VALIDATION_NAMES) {
            walk.skip(&root.join(folder), Reason::BesideSplits);
        }
    }
    let content = open_split(walk, &train)?;
    let folders = class_folders(&train, &content.folders)?;
    let mut scanned = Scanned {
        classes: folders.iter().map(|class| class.name.clone()).collect(),
        split_folders: vec!["train".to_string()],
        ..Scanned::default()
    };
    scanned.parts[0] = Some(read_train_classes(
        walk,
        &train,
        &folders,
        &mut scanned.n_nested,
        false,
    )?);
    let has_test = top.folders.iter().any(|f| f == "test");
    let test = has_test.then(|| "test".to_string());
    for (part, folder) in [(1, validation_names.into_iter().next()), (2, test)] {
        if let Some(folder) = folder {
            scanned.parts[part] = Some(read_other_split(
                walk,
                &root.join(&folder),
                &train,
                &mut scanned.n_nested,
                &scanned.classes,
            )?);
            scanned.split_folders.push(folder);
        }
    }
    Ok(scanned)
}

fn open_split(walk: &mut Walk<'_>, folder: &Path) -> Result<Content> {
    let content = walk.open(folder)?;
    walk.skip_images(&content.images, &Reason::OutsideClasses);
    match content.folders.is_empty() {
        true => Err(no_class_folders(folder, &content)),
        false => Ok(content),
    }
}

/// A class and its folders: one for each Unicode form of its name.
struct ClassFolders {
    name: String,
    folders: Vec<OsString>,
}

/// The classes of the folders in `parent`, in natural order.
fn class_folders(parent: &Path, folders: &[OsString]) -> Result<Vec<ClassFolders>> {
    let mut classes: Vec<ClassFolders> = Vec::new();
    for folder in folders {
        let Some(text) = folder.to_str() else {
            return Err(DataError::Layout {
                path: parent.join(folder),
                problem: "the folder's name is not valid UTF-8".to_string(),
                remedy: "rename it: it becomes the name of a class".to_string(),
            });
        };
        classes.push(ClassFolders {
            name: composed(text),
            folders: vec![folder.clone()],
        });
    }
    classes.sort_by(|a, b| natural_order(&a.name, &b.name));
    classes.dedup_by(|next, first| {
        let is_same = next.name == first.name;
        if is_same {
            first.folders.append(&mut next.folders);
        }
        is_same
    });
    Ok(classes)
}

/// The images of the classes of the training split, or of all images if there are no splits. In that case
/// (`directly`), each class folder must hold images itself.
fn read_train_classes(
    walk: &mut Walk<'_>,
    parent: &Path,
    classes: &[ClassFolders],
    n_nested: &mut usize,
    directly: bool,
) -> Result<Vec<(Found, u32)>> {
    let mut images = Vec::new();
    for (label, class) in (0..).zip(classes) {
        let n_before = images.len();
        let mut n_others = 0;
        for folder in &class.folders {
            let tree = walk.tree(&parent.join(folder))?;
            if directly && tree.n_nested > 0 && tree.n_nested == tree.images.len() {
                return Err(only_nested(&parent.join(folder)));
            }
            *n_nested += tree.n_nested;
            n_others += tree.n_skipped;
            images.extend(tree.images.into_iter().map(|found| (found, label)));
        }
        if images.len() == n_before {
            let found = match n_others {
                0 => String::new(),
                n => format!(", only {n} other file(s) or folder(s)"),
            };
            return Err(DataError::EmptyClass {
                path: parent.join(class.folders.first().map_or("".as_ref(), |f| f.as_os_str())),
                found,
            });
        }
    }
    Ok(images)
}

fn only_nested(path: &Path) -> DataError {
    DataError::Layout {
        path: path.to_owned(),
        problem: "it looks like a class, but all its images are in folders inside it, which could be the classes"
            .to_string(),
        remedy: "give the folder that holds the class folders; call split folders train, val and test; or move the \
                 images up"
            .to_string(),
    }
}

/// The images of the validation or test split. A class may have no images there, with or without a folder. A
/// folder of a class that `train` does not have is an error.
fn read_other_split(
    walk: &mut Walk<'_>,
    parent: &Path,
    train: &Path,
    n_nested: &mut usize,
    known: &[String],
) -> Result<Vec<(Found, u32)>> {
    let content = open_split(walk, parent)?;
    let mut images = Vec::new();
    for class in class_folders(parent, &content.folders)? {
        let label = known.iter().position(|name| *name == class.name);
        for folder in &class.folders {
            let path = parent.join(folder);
            let tree = walk.tree(&path)?;
            if tree.images.is_empty() {
                walk.skip(&path, Reason::EmptyClass);
                continue;
            }
            let Some(label) = label else {
                return Err(DataError::ClassNotInTrain {
                    path,
                    train: train.to_owned(),
                    known: known.join(", "),
                });
            };
            *n_nested += tree.n_nested;
            // There are fewer classes than files, and files are counted in 32 bits.
            images.extend(tree.images.into_iter().map(|found| (found, label as u32)));
        }
    }
    if images.is_empty() {
        return Err(DataError::NoPictures {
            path: parent.to_owned(),
            detail: "its class folders are empty; put images there, or remove the folder so that the split is made"
                .to_string(),
        });
    }
    Ok(images)
}

fn no_class_folders(path: &Path, content: &Content) -> DataError {
    let detail = if content.images.is_empty() {
        "there are no class folders in it; give a folder with one folder of images for each class, or with \
         train/ and test/ that have them"
            .to_string()
    } else {
        format!(
            "its {} image(s) are not in class folders; make a folder for each class, named as the class, and move them there",
            content.images.len()
        )
    };
    DataError::NoPictures {
        path: path.to_owned(),
        detail,
    }
}

/// Chooses the common size of the images if none is configured: a square whose side is the lower median of
/// their shorter sides, so that most images are not enlarged, but at most [`MAX_CHOSEN_SIDE`]. It reads the
/// sizes of up to 1,024 evenly spaced images; unreadable ones do not count.
pub fn choose_size(listing: &Listing) -> [usize; 2] {
    choose_size_within(listing, MAX_CHOSEN_SIDE)
}

/// As [`choose_size`], with another limit of the side.
pub fn choose_size_within(listing: &Listing, largest: usize) -> [usize; 2] {
    let entries: Vec<&Entry> = listing.entries().collect();
    let step = entries.len().div_ceil(N_PROBED).max(1);
    let probed: Vec<&&Entry> = entries.iter().step_by(step).collect();
    let mut sides: Vec<u32> = probed
        .par_iter()
        .filter_map(|entry| {
            let bytes = picture::read_file(&listing.root.join(&entry.path)).ok()?;
            picture::size(&bytes).ok()?.into_iter().min()
        })
        .collect();
    sides.sort_unstable();
    let median = sides.get(sides.len().saturating_sub(1) / 2);
    let side = median.map_or(largest, |side| (*side as usize).min(largest));
    [side; 2]
}

/// The images that were read, and those that could not be.
#[derive(Debug)]
pub struct Images {
    /// One image per entry, in the same order; unreadable ones are black.
    pub set: ImageSet,
    /// The indices of the entries that were read, ascending.
    pub readable: Vec<usize>,
    /// The other entries, in order, each with the reason.
    pub unreadable: Vec<Skipped>,
    /// How images were converted.
    pub conversions: Conversions,
    /// Their original sizes.
    pub file_sizes: FileSizes,
}

/// Reads images into memory and resizes them by `preparation`. Images are decoded in parallel; the order is that of
/// `entries`. Unreadable images are listed with the reason.
///
/// # Errors
/// If the images do not fit into memory.
pub fn read(listing: &Listing, entries: &[&Entry], preparation: &Preparation) -> Result<Images> {
    let size @ [height, width] = [preparation.height, preparation.width];
    let picture_bytes = ImageSet::CHANNELS * height * width;
    let mut pixels = allocate(entries.len(), picture_bytes, size)?;
    let seen: Vec<SeenResult> = pixels
        .par_chunks_exact_mut(picture_bytes.max(1))
        .zip(entries)
        .map(|(out, entry)| {
            SeenResult::from(read_one(&listing.root.join(&entry.path), preparation, out))
        })
        .collect();
    Images::of(listing, entries, preparation, Pixels::Memory(pixels), seen)
}

/// As [`read`], with the pixels in a file of the folder `cache`; see [`pixel_cache`].
pub(crate) fn read_cached(
    listing: &Listing,
    entries: &[&Entry],
    preparation: &Preparation,
    cache: &Path,
    stop: &AtomicBool,
    progress: pixel_cache::OnProgress<'_>,
) -> Result<(Images, pixel_cache::CacheUse)> {
    let request = pixel_cache::Request {
        cache,
        root: &listing.root,
        entries,
        preparation,
        stop,
    };
    let prepared = pixel_cache::open_or_make(&request, progress)?;
    let pixels = Pixels::File(prepared.pixels);
    let images = Images::of(listing, entries, preparation, pixels, prepared.seen)?;
    Ok((images, prepared.use_of_cache))
}

impl Images {
    fn of(
        listing: &Listing,
        entries: &[&Entry],
        preparation: &Preparation,
        pixels: Pixels,
        results: Vec<SeenResult>,
    ) -> Result<Self> {
        let size = [preparation.height, preparation.width];
        let (mut seen, mut readable, mut unreadable) = (Vec::new(), Vec::new(), Vec::new());
        for (i, (result, entry)) in results.into_iter().zip(entries).enumerate() {
            match result {
                SeenResult::Read(s) => {
                    seen.push(s);
                    readable.push(i);
                }
                SeenResult::Unreadable(reason) => unreadable.push(Skipped {
                    path: name::shown(&entry.path),
                    reason,
                }),
            }
        }
        let labels = entries.iter().map(|e| e.label).collect();
        let origins = entries.iter().map(|e| Origin::File(e.path.clone()));
        let classes = listing.classes.clone();
        Ok(Self {
            set: ImageSet::of(classes, size, pixels, labels, origins.collect())?,
            readable,
            unreadable,
            conversions: summarize(&seen, size),
            file_sizes: FileSizes::of(seen.iter().map(|s| s.size).collect(), size),
        })
    }
}

fn allocate(n: usize, picture_bytes: usize, size: [usize; 2]) -> Result<Vec<u8>> {
    let mut pixels = Vec::new();
    let total = n.checked_mul(picture_bytes);
    if total.is_none_or(|total| pixels.try_reserve_exact(total).is_err()) {
        return Err(DataError::TooLargeForMemory {
            n,
            size,
            limit: "the system gives".to_string(),
            remedy: TOO_LARGE_REMEDY,
        });
    }
    pixels.resize(total.unwrap_or_default(), 0);
    Ok(pixels)
}

/// The remedy if the images of a folder do not fit into memory.
pub(crate) const TOO_LARGE_REMEDY: &str = "set a smaller data.memory_limit_mib, so that they stay on the disk, a smaller data.image_size, or a data.subset";

/// Properties of an image noticed while reading it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Seen {
    size: [u32; 2],
    #[serde(default, skip_serializing_if = "is_no")]
    was_grey: bool,
    #[serde(default, skip_serializing_if = "is_no")]
    had_alpha: bool,
    #[serde(default, skip_serializing_if = "is_no")]
    was_deep: bool,
    #[serde(default, skip_serializing_if = "is_no")]
    lacked_end_marker: bool,
}

fn is_no(value: &bool) -> bool {
    !value
}

/// What was seen of an image, or why it cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum SeenResult {
    Read(Seen),
    Unreadable(String),
}

impl From<Result<Seen, String>> for SeenResult {
    fn from(result: Result<Seen, String>) -> Self {
        match result {
            Ok(seen) => Self::Read(seen),
            Err(reason) => Self::Unreadable(reason),
        }
    }
}

/// Writes the prepared pixels of a file to `out`, planar.
pub(crate) fn read_one(
    path: &Path,
    preparation: &Preparation,
    out: &mut [u8],
) -> Result<Seen, String> {
    let picture = preparation.decode(&picture::read_file(path)?)?;
    let seen = Seen {
        size: picture.size,
        was_grey: picture.was_grey,
        had_alpha: picture.had_alpha,
        was_deep: picture.was_deep,
        lacked_end_marker: picture.lacked_end_marker,
    };
    let rgb = preparation.finish(picture)?;
    let area = preparation.height * preparation.width;
    for (i, pixel) in rgb.as_raw().chunks_exact(3).enumerate() {
        for (c, value) in pixel.iter().enumerate() {
            out[c * area + i] = *value;
        }
    }
    Ok(seen)
}

fn summarize(seen: &[Seen], [height, width]: [usize; 2]) -> Conversions {
    let count = |what: fn(&Seen) -> bool| seen.iter().filter(|s| what(s)).count();
    let mut by_size: BTreeMap<[u32; 2], usize> = BTreeMap::new();
    for s in seen {
        *by_size.entry(s.size).or_default() += 1;
    }
    let n_resized = seen
        .iter()
        .filter(|s| s.size.map(|v| v as usize) != [height, width])
        .count();
    let mut sizes: Vec<SizeCount> = by_size
        .iter()
        .map(|([height, width], n)| SizeCount {
            height: *height,
            width: *width,
            n: *n,
        })
        .collect();
    sizes.sort_by_key(|s| std::cmp::Reverse(s.n));
    let n_sizes = sizes.len();
    sizes.truncate(10);
    Conversions {
        n_resized,
        n_grey: count(|s| s.was_grey),
        n_alpha: count(|s| s.had_alpha),
        n_deep: count(|s| s.was_deep),
        n_without_end_marker: count(|s| s.lacked_end_marker),
        n_sizes,
        sizes,
    }
}
