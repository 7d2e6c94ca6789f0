//! A folder of pictures, one folder a class.
//!
//! Two layouts are read. With splits: `train/<class>/*`, `test/<class>/*`, and optionally
//! `val/<class>/*` (or `valid/`, or `validation/`). Without: `<class>/*`, which is then split. A
//! folder has splits when it holds a folder `train` or `test` that itself holds folders.
//!
//! Everything is ordered by name, byte by byte, so that the order does not depend on the machine.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::{picture, resize};
use crate::error::{CorruptPicture, DataError, MAX_LISTED, Result};
use crate::image_set::{ImageSet, Origin};

/// How many skipped files are listed; the rest are counted.
pub const MAX_SKIPPED_LISTED: usize = 100;

/// The largest side, in pixels, that [`choose_size`] chooses.
pub const MAX_CHOSEN_SIDE: usize = 64;

/// How many pictures are looked at to choose a size, evenly spaced over all of them.
const N_PROBED: usize = 1024;

/// A file or folder that was not read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Skipped {
    /// The file or folder, relative to the data folder, with slashes.
    pub path: String,
    /// Why.
    pub reason: String,
}

/// A picture that was found but not yet read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The file, relative to the data folder.
    pub path: PathBuf,
    /// Index of its class.
    pub label: u32,
}

/// What a folder holds.
#[derive(Debug, Clone)]
pub struct Listing {
    /// The data folder.
    pub root: PathBuf,
    /// The class names, sorted.
    pub classes: Arc<[String]>,
    /// The pictures of `train/`, or all pictures when there are no splits.
    pub train: Vec<Entry>,
    /// The pictures of the validation folder, if there is one.
    pub validation: Option<Vec<Entry>>,
    /// The pictures of `test/`, if there is one.
    pub test: Option<Vec<Entry>>,
    /// Names of the split folders; empty for the layout without splits.
    pub split_folders: Vec<String>,
    /// Number of files and folders that were not read.
    pub n_skipped: usize,
    /// The first of them (at most [`MAX_SKIPPED_LISTED`]), sorted.
    pub skipped: Vec<Skipped>,
}

impl Listing {
    /// The pictures of all splits: train, then validation, then test.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.train
            .iter()
            .chain(self.validation.iter().flatten())
            .chain(self.test.iter().flatten())
    }
}

/// A size that pictures had, and how many had it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SizeCount {
    /// Height in pixels.
    pub height: u32,
    /// Width in pixels.
    pub width: u32,
    /// Number of pictures.
    pub n: usize,
}

/// What had to be done to the pictures to bring them into one form.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Conversions {
    /// Pictures that were scaled or cropped.
    pub n_resized: usize,
    /// Grey pictures that were given three equal channels.
    pub n_grey: usize,
    /// Pictures with an alpha channel, which were laid on the background.
    pub n_alpha: usize,
    /// Pictures with more than 8 bits a channel, which were rounded to 8.
    pub n_deep: usize,
    /// Number of different sizes.
    pub n_sizes: usize,
    /// The commonest ten sizes, commonest first.
    pub sizes: Vec<SizeCount>,
}

/// How large the images of a set were before they were brought to one size. Sizes are `[height, width]` in
/// pixels, upright; they are ordered by their number of pixels.
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
    /// Images that had another size than the one they were brought to.
    pub n_resized: usize,
    /// Images that were made larger, because they did not cover that size.
    pub n_enlarged: usize,
}

impl FileSizes {
    /// Of a set whose `n` images all have the size that is used. A size beyond 32 bits is cut off there.
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

    /// Of images that were brought to `to`, `[height, width]`; of none, all zero.
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

/// Finds the pictures of a folder, without reading them.
///
/// # Errors
/// When the folder is missing, unreadable or not a folder; when it holds no pictures, or fewer
/// than two classes; when a class folder holds none; when a class of another split is not in
/// `train/`; when there are two validation folders.
pub fn scan(root: &Path) -> Result<Listing> {
    let mut walk = Walk {
        root,
        skipped: Vec::new(),
    };
    let top = walk.open(root)?;
    let folder_of = |name: &str| top.folders.iter().any(|f| f == name);
    let holds_folders = |name: &str| {
        Ok::<_, DataError>(
            !Walk {
                root,
                skipped: Vec::new(),
            }
            .open(&root.join(name))?
            .folders
            .is_empty(),
        )
    };
    let with_splits = (folder_of("train") && holds_folders("train")?)
        || (folder_of("test") && holds_folders("test")?);
    let mut listing = if with_splits {
        scan_splits(&mut walk, &top)?
    } else {
        scan_classes(&mut walk, &top)?
    };
    if listing.classes.len() < 2 {
        let place = if with_splits {
            root.join("train")
        } else {
            root.to_owned()
        };
        return Err(DataError::TooFewClasses {
            place: place.display().to_string(),
            n: listing.classes.len(),
            names: listing.classes.join(", "),
        });
    }
    walk.skipped.sort_unstable_by(|a, b| a.path.cmp(&b.path));
    listing.n_skipped = walk.skipped.len();
    walk.skipped.truncate(MAX_SKIPPED_LISTED);
    listing.skipped = walk.skipped;
    Ok(listing)
}

fn scan_classes(walk: &mut Walk<'_>, top: &Content) -> Result<Listing> {
    let mut listing = empty_listing(walk.root);
    if top.folders.is_empty() {
        return Err(no_class_folders(walk.root, top));
    }
    walk.skip_pictures(&top.pictures, "a picture outside the class folders");
    let (classes, train) = walk.classes(walk.root, &top.folders, None)?;
    listing.classes = classes;
    listing.train = train;
    Ok(listing)
}

fn scan_splits(walk: &mut Walk<'_>, top: &Content) -> Result<Listing> {
    let root = walk.root;
    let mut listing = empty_listing(root);
    let train = root.join("train");
    if !top.folders.iter().any(|f| f == "train") {
        return Err(DataError::MissingPath {
            path: train,
            what: "the folder has a test split, but no training split".to_string(),
            remedy: "add train/, or move the class folders of test/ up, to have them split"
                .to_string(),
        });
    }
    let validation_names: Vec<&String> = top
        .folders
        .iter()
        .filter(|f| ["val", "valid", "validation"].contains(&f.as_str()))
        .collect();
    if let [first, second, ..] = validation_names[..] {
        return Err(DataError::Layout {
            path: root.to_owned(),
            problem: format!("it has two validation folders, {first} and {second}"),
            remedy: "keep one of them".to_string(),
        });
    }
    walk.skip_pictures(&top.pictures, "a picture outside the split folders");
    for folder in &top.folders {
        if !["train", "test", "val", "valid", "validation"].contains(&folder.as_str()) {
            walk.skip(&root.join(folder), "a folder beside the split folders");
        }
    }
    let content = walk.open(&train)?;
    walk.skip_pictures(&content.pictures, "a picture outside the class folders");
    if content.folders.is_empty() {
        return Err(no_class_folders(&train, &content));
    }
    let (classes, entries) = walk.classes(&train, &content.folders, None)?;
    listing.train = entries;
    listing.split_folders.push("train".to_string());
    let validation = validation_names.first().map(|name| name.as_str());
    let test = top.folders.iter().any(|f| f == "test").then_some("test");
    for name in [validation, test].into_iter().flatten() {
        let folder = root.join(name);
        let content = walk.open(&folder)?;
        walk.skip_pictures(&content.pictures, "a picture outside the class folders");
        if content.folders.is_empty() {
            return Err(no_class_folders(&folder, &content));
        }
        let (_, entries) = walk.classes(&folder, &content.folders, Some((&train, &classes)))?;
        *(if name == "test" {
            &mut listing.test
        } else {
            &mut listing.validation
        }) = Some(entries);
        listing.split_folders.push(name.to_string());
    }
    listing.classes = classes;
    Ok(listing)
}

fn empty_listing(root: &Path) -> Listing {
    Listing {
        root: root.to_owned(),
        classes: Arc::from([]),
        train: Vec::new(),
        validation: None,
        test: None,
        split_folders: Vec::new(),
        n_skipped: 0,
        skipped: Vec::new(),
    }
}

fn no_class_folders(path: &Path, content: &Content) -> DataError {
    let detail = if content.pictures.is_empty() {
        "there are no class folders in it; give a folder with one folder of pictures for each class, or with \
         train/ and test/ that have them"
            .to_string()
    } else {
        format!(
            "its {} picture(s) are not in class folders; make a folder for each class, named as the class, and move them there",
            content.pictures.len()
        )
    };
    DataError::NoPictures {
        path: path.to_owned(),
        detail,
    }
}

/// The visible content of a folder, sorted.
#[derive(Default)]
struct Content {
    folders: Vec<String>,
    pictures: Vec<PathBuf>,
}

/// A walk over the folder, which collects what is skipped.
struct Walk<'a> {
    root: &'a Path,
    skipped: Vec<Skipped>,
}

impl Walk<'_> {
    fn skip(&mut self, path: &Path, reason: &str) {
        let path = Origin::File(relative(self.root, path)).to_string();
        self.skipped.push(Skipped {
            path,
            reason: reason.to_string(),
        });
    }

    fn skip_pictures(&mut self, paths: &[PathBuf], reason: &str) {
        for path in paths {
            self.skip(path, reason);
        }
    }

    /// Lists a folder; hidden files and what is no picture are skipped.
    fn open(&mut self, folder: &Path) -> Result<Content> {
        let entries = fs::read_dir(folder).map_err(|e| match e.kind() {
            std::io::ErrorKind::NotFound => DataError::MissingPath {
                path: folder.to_owned(),
                what: "there is no such folder".to_string(),
                remedy: "check the path in data.path or --data".to_string(),
            },
            std::io::ErrorKind::NotADirectory => DataError::NotAFolder {
                path: folder.to_owned(),
                remedy: "give the folder that holds the class folders".to_string(),
            },
            _ => DataError::read(folder, e),
        })?;
        let mut content = Content::default();
        for entry in entries {
            let entry = entry.map_err(|e| DataError::read(folder, e))?;
            let (path, name) = (entry.path(), entry.file_name());
            let kind = entry.file_type().map_err(|e| DataError::read(&path, e))?;
            let is_hidden = name.as_encoded_bytes().starts_with(b".");
            // A link that leads nowhere is no folder; it is an unreadable picture if it is named as one.
            let is_folder = kind.is_dir() || (kind.is_symlink() && path.is_dir());
            if is_hidden {
                self.skip(&path, "hidden");
            } else if is_folder || (kind.is_symlink() && has_no_extension(&path)) {
                content.folders.push(utf8_name(&path, &name)?);
            } else if is_picture(&path) {
                content.pictures.push(path);
            } else {
                self.skip(&path, "its extension is none of png, jpg, jpeg, webp, bmp");
            }
        }
        content.folders.sort_unstable();
        content.pictures.sort_unstable();
        Ok(content)
    }

    /// The pictures of the class folders of `parent`. With `known`, the training folder and its
    /// classes, a folder that is not one of them is an error.
    fn classes(
        &mut self,
        parent: &Path,
        folders: &[String],
        known: Option<(&Path, &Arc<[String]>)>,
    ) -> Result<(Arc<[String]>, Vec<Entry>)> {
        let classes: Arc<[String]> =
            known.map_or_else(|| folders.into(), |(_, classes)| classes.clone());
        let mut entries = Vec::new();
        for name in folders {
            let folder = parent.join(name);
            let Some(label) = classes.iter().position(|class| class == name) else {
                return Err(DataError::ClassNotInTrain {
                    path: folder,
                    train: known.map(|(train, _)| train.to_owned()).unwrap_or_default(),
                    known: classes.join(", "),
                });
            };
            let n_skipped = self.skipped.len();
            let content = self.open(&folder)?;
            for inner in &content.folders {
                self.skip(&folder.join(inner), "a folder inside a class folder");
            }
            if content.pictures.is_empty() {
                let n = self.skipped.len() - n_skipped;
                let found = if n == 0 {
                    String::new()
                } else {
                    format!(", only {n} other file(s) or folder(s)")
                };
                return Err(DataError::EmptyClass {
                    path: folder,
                    found,
                });
            }
            entries.extend(content.pictures.iter().map(|path| Entry {
                path: relative(self.root, path),
                label: label as u32,
            }));
        }
        Ok((classes, entries))
    }
}

fn relative(root: &Path, path: &Path) -> PathBuf {
    path.strip_prefix(root).unwrap_or(path).to_owned()
}

fn utf8_name(path: &Path, name: &OsStr) -> Result<String> {
    name.to_str()
        .map(String::from)
        .ok_or_else(|| DataError::Layout {
            path: path.to_owned(),
            problem: "the folder's name is not valid UTF-8".to_string(),
            remedy: "rename it: it becomes the name of a class".to_string(),
        })
}

fn is_picture(path: &Path) -> bool {
    path.extension().and_then(OsStr::to_str).is_some_and(|e| {
        picture::EXTENSIONS
            .iter()
            .any(|known| known.eq_ignore_ascii_case(e))
    })
}

fn has_no_extension(path: &Path) -> bool {
    path.extension().is_none()
}

/// Chooses the size that the images are brought to when none is set: a square whose side is the lower
/// median of their shorter sides, so that most of them are not made larger, but at most
/// [`MAX_CHOSEN_SIDE`]. Up to 1,024 evenly spaced images are looked at; those that cannot be read do not
/// count.
pub fn choose_size(listing: &Listing) -> [usize; 2] {
    let entries: Vec<&Entry> = listing.entries().collect();
    let step = entries.len().div_ceil(N_PROBED).max(1);
    let probed: Vec<&&Entry> = entries.iter().step_by(step).collect();
    let mut sides: Vec<u32> = probed
        .par_iter()
        .filter_map(|entry| {
            let bytes = fs::read(listing.root.join(&entry.path)).ok()?;
            picture::size(&bytes).ok()?.into_iter().min()
        })
        .collect();
    sides.sort_unstable();
    let median = sides.get(sides.len().saturating_sub(1) / 2);
    let side = median.map_or(MAX_CHOSEN_SIDE, |side| {
        (*side as usize).min(MAX_CHOSEN_SIDE)
    });
    [side; 2]
}

/// Reads pictures and brings them to `size`, `[height, width]`, by [`resize::RULE`]; transparent ones
/// are laid on `background`. They are decoded in parallel; the order is that of `entries`.
///
/// # Errors
/// When any picture cannot be decoded: the error lists the first ten and counts the rest. When the
/// pictures do not fit into memory.
pub fn read(
    listing: &Listing,
    entries: &[&Entry],
    size: [usize; 2],
    background: [u8; 3],
) -> Result<(ImageSet, Conversions, FileSizes)> {
    let [height, width] = size;
    let picture_bytes = ImageSet::CHANNELS * height * width;
    let mut pixels = allocate(entries.len(), picture_bytes, size)?;
    let results: Vec<Result<Seen, String>> = pixels
        .par_chunks_exact_mut(picture_bytes.max(1))
        .zip(entries)
        .map(|(out, entry)| read_one(&listing.root.join(&entry.path), size, background, out))
        .collect();
    let mut corrupt = Vec::new();
    let mut seen = Vec::with_capacity(results.len());
    for (result, entry) in results.into_iter().zip(entries) {
        match result {
            Ok(s) => seen.push(s),
            Err(reason) => corrupt.push(CorruptPicture {
                path: listing.root.join(&entry.path),
                reason,
            }),
        }
    }
    if !corrupt.is_empty() {
        let total = corrupt.len();
        corrupt.truncate(MAX_LISTED);
        return Err(DataError::CorruptPictures {
            listed: corrupt,
            total,
        });
    }
    let labels = entries.iter().map(|e| e.label).collect();
    let origins = entries
        .iter()
        .map(|e| Origin::File(e.path.clone()))
        .collect();
    let set = ImageSet::new(
        listing.classes.clone(),
        height,
        width,
        pixels,
        labels,
        origins,
    )?;
    let sizes = FileSizes::of(seen.iter().map(|s| s.size).collect(), size);
    Ok((set, summarize(&seen, size), sizes))
}

fn allocate(n: usize, picture_bytes: usize, [height, width]: [usize; 2]) -> Result<Vec<u8>> {
    let mut pixels = Vec::new();
    let total = n.checked_mul(picture_bytes);
    if total.is_none_or(|total| pixels.try_reserve_exact(total).is_err()) {
        return Err(DataError::invalid_setting(
            "data.image_size",
            format!("[{height}, {width}]"),
            format!(
                "smaller: {n} pictures of that size take {} GiB of memory, more than there is; or set data.subset",
                (n as u128 * picture_bytes as u128) >> 30
            ),
        ));
    }
    pixels.resize(total.unwrap_or_default(), 0);
    Ok(pixels)
}

/// What was noticed about a picture as it was read.
struct Seen {
    size: [u32; 2],
    was_grey: bool,
    had_alpha: bool,
    was_deep: bool,
}

fn read_one(
    path: &Path,
    [height, width]: [usize; 2],
    background: [u8; 3],
    out: &mut [u8],
) -> Result<Seen, String> {
    let bytes = fs::read(path).map_err(|e| format!("it cannot be read: {e}"))?;
    let picture = picture::decode(&bytes, background)?;
    let (from_width, from_height) = picture.rgb.dimensions();
    let rgb = resize::fit(picture.rgb, height as u32, width as u32)?;
    let area = height * width;
    for (i, pixel) in rgb.as_raw().chunks_exact(3).enumerate() {
        for (c, value) in pixel.iter().enumerate() {
            out[c * area + i] = *value;
        }
    }
    Ok(Seen {
        size: [from_height, from_width],
        was_grey: picture.was_grey,
        had_alpha: picture.had_alpha,
        was_deep: picture.was_deep,
    })
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
        n_sizes,
        sizes,
    }
}
