//! Dataset errors, each with the file, the value, the limit and the remedy.

use std::io;
use std::path::PathBuf;

use crate::image_set::SplitName;
use crate::readers::folder::Skipped;
use crate::readers::name::shown;

/// The result of this crate's functions.
pub type Result<T, E = DataError> = std::result::Result<T, E>;

/// Everything that can be wrong with a dataset or with the settings that describe it.
///
/// Every message is a lowercase sentence that names the file, key or record, the wrong value, the limit, and
/// what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// A setting is outside its range.
    #[error("{key} is {value}, but must be {allowed}")]
    InvalidSetting {
        /// The setting's dotted name, such as `data.validation_fraction`.
        key: String,
        /// Its value.
        value: String,
        /// The allowed range, such as "0 to 1", and advice if useful.
        allowed: String,
    },

    /// A setting that this source needs is missing.
    #[error("{key} is not set; {remedy}")]
    MissingSetting {
        /// The setting's dotted name.
        key: String,
        /// What to do.
        remedy: String,
    },

    /// A stop was requested. Nothing is left half done: the next attempt resumes a download.
    #[error("stopped while {doing}; run the same command again to resume")]
    Stopped {
        /// The interrupted work.
        doing: &'static str,
    },

    /// The operating system reported an error.
    #[error("cannot {action} {}: {source}; {remedy}", shown(.path))]
    Io {
        /// The attempted action, such as "read".
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What to do.
        remedy: &'static str,
        /// The cause.
        source: io::Error,
    },

    /// A file or folder that the layout needs does not exist.
    #[error("{} is missing: {what}; {remedy}", shown(.path))]
    MissingPath {
        /// The file or folder.
        path: PathBuf,
        /// What it is.
        what: String,
        /// What to do.
        remedy: String,
    },

    /// There is a file where a folder is needed.
    #[error("{} is not a folder; {remedy}", shown(.path))]
    NotAFolder {
        /// The path.
        path: PathBuf,
        /// What to do.
        remedy: String,
    },

    /// The folder has none of the layouts that can be read.
    #[error("{}: {problem}; {remedy}", shown(.path))]
    Layout {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
        /// What to do.
        remedy: String,
    },

    /// A file of fixed-size records ends inside a record, or holds none.
    #[error(
        "{} has {bytes} bytes, which is {} whole records of {record_bytes} bytes and {} more bytes; the file is \
         truncated or in another format: fetch it again",
        shown(.path), .bytes / .record_bytes, .bytes % .record_bytes
    )]
    TruncatedRecord {
        /// The file.
        path: PathBuf,
        /// Its size.
        bytes: u64,
        /// The size of one record.
        record_bytes: u64,
    },

    /// A record's label is not one of the classes.
    #[error(
        "{}: record {record} has the {kind} {label}, but {kind}s are 0 to {}; the file is damaged or in another \
         format: fetch it again, or check that the source setting is right",
        shown(.path), .n_classes - 1
    )]
    LabelOutOfRange {
        /// The file.
        path: PathBuf,
        /// The record, from 0.
        record: u64,
        /// `label` or `coarse label`.
        kind: &'static str,
        /// The label in the file.
        label: u32,
        /// The number of classes.
        n_classes: usize,
    },

    /// More images are unreadable than the config allows to leave out.
    #[error("{}", list_unreadable(.unreadable, *.n, *.share_max))]
    TooManyUnreadable {
        /// All of them, in path order, each with the reason.
        unreadable: Vec<Skipped>,
        /// The number of images that should be read.
        n: usize,
        /// The share that may be left out (a fraction, 0-1).
        share_max: f64,
    },

    /// No image of a class could be read.
    #[error(
        "none of the training images of class {class} can be read; repair them, or remove the class:{}",
        listed(.unreadable)
    )]
    UnreadableClass {
        /// The class.
        class: String,
        /// The images that could not be read, of all classes, each with the reason.
        unreadable: Vec<Skipped>,
    },

    /// No image of a split could be read.
    #[error("none of the {split} images can be read; repair them:{}", listed(.unreadable))]
    UnreadableSplit {
        /// The split.
        split: SplitName,
        /// The images that could not be read, each with the reason.
        unreadable: Vec<Skipped>,
    },

    /// The images do not fit into memory.
    #[error(
        "{n} images of {} x {} pixels take {} of memory, more than {limit}; {remedy}",
        .size[0], .size[1], in_units(set_bytes(*.n, *.size))
    )]
    TooLargeForMemory {
        /// The number of images.
        n: usize,
        /// Their height and width, in pixels.
        size: [usize; 2],
        /// The available memory, such as "the 8.0 GB that are free".
        limit: String,
        /// What to do.
        remedy: &'static str,
    },

    /// The prepared images do not fit onto the disk.
    #[error(
        "the prepared images need {needed} in the folder {}, but only {free} are free there{others}; make room, set \
         data.cache to a folder on a larger disk, a smaller data.image_size, or a data.subset", shown(.cache)
    )]
    NoRoom {
        /// The folder `data.cache`.
        cache: PathBuf,
        /// What they need, such as "15.1 GB".
        needed: String,
        /// What is free.
        free: String,
        /// The other caches there: empty, or text in parentheses that starts with a space.
        others: String,
    },

    /// A line of a manifest cannot be used.
    #[error("{}, line {line}: {problem}; {remedy}", shown(.path))]
    Manifest {
        /// The manifest.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong with it.
        problem: String,
        /// What to do.
        remedy: String,
    },

    /// A class folder holds no image.
    #[error(
        "{} holds no image{found}; put images of this class there (png, jpg, jpeg, webp, bmp, gif) or delete the folder",
        shown(.path)
    )]
    EmptyClass {
        /// The class folder.
        path: PathBuf,
        /// What else it holds: empty, or text that starts with a comma.
        found: String,
    },

    /// A split holds a class that the training split lacks, so that no model could learn it.
    #[error(
        "{} is a class that {} does not have (it has: {known}); rename the folder to a known class, or add training \
         images of it", shown(.path), shown(.train)
    )]
    ClassNotInTrain {
        /// The class folder.
        path: PathBuf,
        /// The training folder.
        train: PathBuf,
        /// The known classes.
        known: String,
    },

    /// There are no images at all.
    #[error("{} holds no images: {detail}", shown(.path))]
    NoPictures {
        /// The folder.
        path: PathBuf,
        /// What the folder contains, and what it should contain.
        detail: String,
    },

    /// A folder was given as data but has no layout that can be read.
    #[error(
        "{problem}; looked for the binary files of CIFAR-10 or CIFAR-100, and for images in train/CLASS/ and \
         test/CLASS/, or in CLASS/"
    )]
    Unrecognised {
        /// What is wrong with it, with its path.
        problem: String,
    },

    /// Fewer than two classes: there is nothing to classify.
    #[error(
        "{place} has {n} class(es) ({names}), but at least 2 are needed; use one folder, or one label, for each class"
    )]
    TooFewClasses {
        /// Where.
        place: String,
        /// The number of classes.
        n: usize,
        /// Their names.
        names: String,
    },

    /// A class has too few images for every split.
    #[error(
        "class {class} has {n} image(s), but splitting off a {split} split needs at least {needed}; add images, \
         remove the class, or provide the split"
    )]
    TooFewToSplit {
        /// The class.
        class: String,
        /// The number of its images.
        n: usize,
        /// The number that it needs.
        needed: usize,
        /// The split to be made: `validation` or `test`.
        split: &'static str,
    },

    /// The images of a class form too few groups to split them.
    #[error(
        "the images of class {class} make {n} group(s) (data.group_by, or the column group of a manifest), but a {split} split needs at least {needed} \
         groups that can be kept apart; add more groups, use smaller groups, or create the folders train, val \
         and test by hand"
    )]
    TooFewGroups {
        /// The class.
        class: String,
        /// The number of its groups.
        n: usize,
        /// The number that it needs.
        needed: usize,
        /// The split to be made: `validation` or `test`.
        split: &'static str,
    },

    /// The requested subset is larger than the dataset.
    #[error(
        "the requested subset has {requested} images, but {place} has only {available}; request at most {available}"
    )]
    SubsetTooLarge {
        /// The number requested.
        requested: usize,
        /// The number available.
        available: usize,
        /// Where.
        place: String,
    },

    /// The requested subset is too small to hold every class.
    #[error("a subset of {requested} images cannot hold {needed_for}; request at least {needed}")]
    SubsetTooSmall {
        /// The number requested.
        requested: usize,
        /// The number needed.
        needed: usize,
        /// The reason for this number.
        needed_for: String,
    },

    /// The parts of an image set do not fit together.
    #[error("the image set is inconsistent: {problem}")]
    Inconsistent {
        /// The parts that do not fit, with their sizes.
        problem: String,
    },

    /// An index at or beyond the end of an image set.
    #[error("index {index} is out of range: the image set has {len} images")]
    IndexOutOfRange {
        /// The index.
        index: usize,
        /// The number of images.
        len: usize,
    },

    /// A dataset or a file of weights could not be downloaded.
    #[error(
        "cannot download {url}: {reason}; with a connection, run this again (it resumes); without one, download \
         {url} ({expected}) on another machine, put it at {}, and run this again", shown(.place)
    )]
    Download {
        /// The address.
        url: String,
        /// The reason.
        reason: String,
        /// Size and SHA-256 of the file, as far as they are known.
        expected: String,
        /// Where to put the file by hand.
        place: PathBuf,
    },

    /// A downloaded file differs from the file in the manifest.
    #[error(
        "{} is not the file that was expected: its {what} is {found}, but should be {expected}; delete it and fetch again",
        shown(.path)
    )]
    Verification {
        /// The file.
        path: PathBuf,
        /// `size in bytes` or `SHA-256`.
        what: &'static str,
        /// The expected value.
        expected: String,
        /// The value found.
        found: String,
    },

    /// An archive was refused.
    #[error("{} was not unpacked: {problem}; nothing was written: delete it and fetch it again from the address in \
             its manifest", shown(.path))]
    UnsafeArchive {
        /// The archive.
        path: PathBuf,
        /// The entry, and what is wrong with it.
        problem: String,
    },

    /// A file could not be written, read or hashed.
    #[error(transparent)]
    Artifact(#[from] mlestar_artifact::ArtifactError),

    /// A manifest of a known dataset that cannot be used.
    #[error("the dataset manifest {name} is invalid: {problem}")]
    InvalidManifest {
        /// Its name.
        name: String,
        /// What is wrong.
        problem: String,
    },
}

impl DataError {
    /// An error for a missing folder at `path`, or for a link without a target.
    pub(crate) fn no_folder(path: impl Into<PathBuf>, remedy: impl Into<String>) -> Self {
        let path = path.into();
        if path.is_symlink() && !path.exists() {
            return Self::Layout {
                path,
                problem: "it is a link whose target does not exist".into(),
                remedy: "repair or delete the link".into(),
            };
        }
        Self::MissingPath {
            path,
            what: "there is no such folder".into(),
            remedy: remedy.into(),
        }
    }

    /// A setting outside its range. `allowed` completes "must be ...".
    pub fn invalid_setting(
        key: impl Into<String>,
        value: impl ToString,
        allowed: impl Into<String>,
    ) -> Self {
        Self::InvalidSetting {
            key: key.into(),
            value: value.to_string(),
            allowed: allowed.into(),
        }
    }

    /// An error for a file or folder that cannot be read.
    pub fn read(path: impl Into<PathBuf>, source: io::Error) -> Self {
        Self::Io {
            action: "read",
            path: path.into(),
            remedy: "check that it exists and that you may read it",
            source,
        }
    }

    /// An error for a file or folder that cannot be written.
    pub fn write(path: impl Into<PathBuf>, source: io::Error) -> Self {
        Self::Io {
            action: "write",
            path: path.into(),
            remedy: "check that the disk has room and that you may write there",
            source,
        }
    }
}

/// How many of `n` images may be unreadable: the given share, but at least one unless the share is 0.
pub(crate) fn n_unreadable_allowed(n: usize, share_max: f64) -> usize {
    let share = (n as f64 * share_max).floor() as usize;
    share.max(usize::from(share_max > 0.0))
}

fn list_unreadable(unreadable: &[Skipped], n: usize, share_max: f64) -> String {
    format!(
        "{} of {n} images cannot be read, but at most {} may be left out (data.unreadable_share_max = {share_max}):{}\n\
         repair or delete them, or set data.unreadable_share_max to {} to leave them out",
        unreadable.len(),
        n_unreadable_allowed(n, share_max),
        listed(unreadable),
        share_that_allows(unreadable.len(), n),
    )
}

/// A share in hundredths for which [`n_unreadable_allowed`] returns at least `wanted`.
fn share_that_allows(wanted: usize, n: usize) -> f64 {
    (100 * wanted).div_ceil(n.max(1)) as f64 / 100.0
}

fn listed(unreadable: &[Skipped]) -> String {
    let lines = unreadable.iter();
    lines
        .map(|image| format!("\n  {}: {}", image.path, image.reason))
        .collect()
}

/// The bytes of `n` images of `size`, in 128 bits, because the product of three settings may exceed 64.
pub(crate) fn set_bytes(n: usize, size: [usize; 2]) -> u128 {
    3 * n as u128 * size[0] as u128 * size[1] as u128
}

/// Bytes in readable units, with one decimal.
pub(crate) fn in_units(bytes: u128) -> String {
    match bytes {
        0..1_000_000_000 => format!("{:.1} MB", bytes as f64 / 1e6),
        _ => format!("{:.1} GB", bytes as f64 / 1e9),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_share_that_is_named_is_enough(n in 1_usize..5000, wanted in 1_usize..5000) {
            let wanted = wanted.min(n);
            let share = share_that_allows(wanted, n);
            prop_assert!(share <= 1.0 && n_unreadable_allowed(n, share) >= wanted, "{share}");
        }
    }

    #[test]
    fn one_image_may_always_be_left_out_unless_the_share_is_zero() {
        assert_eq!(n_unreadable_allowed(72, 0.01), 1);
        assert_eq!(n_unreadable_allowed(1000, 0.01), 10);
        assert_eq!(n_unreadable_allowed(3, 0.01), 1);
        assert_eq!(n_unreadable_allowed(1000, 0.0), 0);
    }
}
