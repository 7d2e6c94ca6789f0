//! What can go wrong with a data set, each with the file, the value, the limit and the remedy.

use std::io;
use std::path::PathBuf;

use crate::image_set::SplitName;
use crate::readers::folder::Skipped;
use crate::readers::name::shown;

/// The result of this crate's functions.
pub type Result<T, E = DataError> = std::result::Result<T, E>;

/// Everything that can be wrong with a data set or with the settings that describe it.
///
/// Every message is a lowercase sentence that names the file, key or record, the offending value,
/// the limit, and what to do.
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
        /// What is allowed, such as "0 to 1", and where it helps what to write.
        allowed: String,
    },

    /// A setting that this source needs is absent.
    #[error("{key} is not set; {remedy}")]
    MissingSetting {
        /// The setting's dotted name.
        key: String,
        /// What to do.
        remedy: String,
    },

    /// A stop was asked for. Nothing is half done: what was downloaded is continued by the next attempt.
    #[error("stopped while {doing}; the same command goes on")]
    Stopped {
        /// What was being done.
        doing: &'static str,
    },

    /// The operating system refused something.
    #[error("cannot {action} {}: {source}; {remedy}", shown(.path))]
    Io {
        /// What was tried, such as "read".
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What to do.
        remedy: &'static str,
        /// The cause.
        source: io::Error,
    },

    /// A file or folder that the layout needs is not there.
    #[error("{} is missing: {what}; {remedy}", shown(.path))]
    MissingPath {
        /// The file or folder.
        path: PathBuf,
        /// What it is.
        what: String,
        /// What to do.
        remedy: String,
    },

    /// A file stands where a folder is needed.
    #[error("{} is not a folder; {remedy}", shown(.path))]
    NotAFolder {
        /// The path.
        path: PathBuf,
        /// What to do.
        remedy: String,
    },

    /// The folder is not laid out as any source that can be read.
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
        "{} has {bytes} bytes, which is {} whole records of {record_bytes} bytes and {} bytes over; the file is \
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
        /// The label that was found.
        label: u32,
        /// The number of classes.
        n_classes: usize,
    },

    /// More images cannot be read than the config lets be left out.
    #[error("{}", list_unreadable(.unreadable, *.n, *.share_max))]
    TooManyUnreadable {
        /// All of them, in path order, each with the reason.
        unreadable: Vec<Skipped>,
        /// How many images were to be read.
        n: usize,
        /// The share that may be left out (a fraction, 0-1).
        share_max: f64,
    },

    /// No image of a class could be read.
    #[error(
        "none of the training images of class {class} can be read; mend them, or remove the class:{}",
        listed(.unreadable)
    )]
    UnreadableClass {
        /// The class.
        class: String,
        /// The images that could not be read, of all classes, each with the reason.
        unreadable: Vec<Skipped>,
    },

    /// No image of a split could be read.
    #[error("none of the {split} images can be read; mend them:{}", listed(.unreadable))]
    UnreadableSplit {
        /// The split.
        split: SplitName,
        /// The images that could not be read, each with the reason.
        unreadable: Vec<Skipped>,
    },

    /// The images would not fit into memory.
    #[error(
        "{n} images of {} x {} pixels take {} of memory, more than {limit}; {remedy}",
        .size[0], .size[1], in_units(set_bytes(*.n, *.size))
    )]
    TooLargeForMemory {
        /// How many images.
        n: usize,
        /// Their height and width, in pixels.
        size: [usize; 2],
        /// What there is, such as "the 8.0 GB that are free".
        limit: String,
        /// What to do.
        remedy: &'static str,
    },

    /// A class folder holds no picture.
    #[error(
        "{} holds no picture{found}; put pictures of this class there (png, jpg, jpeg, webp, bmp) or delete the folder",
        shown(.path)
    )]
    EmptyClass {
        /// The class folder.
        path: PathBuf,
        /// What else it holds, empty or starting with a comma.
        found: String,
    },

    /// A split holds a class that the training split lacks, so that no model could learn it.
    #[error(
        "{} is a class that {} does not have (it has: {known}); rename the folder to a known class, or add training \
         pictures of it", shown(.path), shown(.train)
    )]
    ClassNotInTrain {
        /// The class folder.
        path: PathBuf,
        /// The training folder.
        train: PathBuf,
        /// The known classes.
        known: String,
    },

    /// There is no picture at all.
    #[error("{} holds no pictures: {detail}", shown(.path))]
    NoPictures {
        /// The folder.
        path: PathBuf,
        /// What is there, and what should be.
        detail: String,
    },

    /// A folder was named as data and holds none that can be read.
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
        "{place} has {n} class(es) ({names}), but at least 2 are needed; use one folder for each class"
    )]
    TooFewClasses {
        /// Where.
        place: String,
        /// How many there are.
        n: usize,
        /// Their names.
        names: String,
    },

    /// A class has too few pictures to have some in every split.
    #[error(
        "class {class} has {n} picture(s), but splitting off a {split} split needs at least {needed}; add pictures, \
         remove the class, or provide the split"
    )]
    TooFewToSplit {
        /// The class.
        class: String,
        /// How many pictures it has.
        n: usize,
        /// How many it needs.
        needed: usize,
        /// The split that was to be made: `validation` or `test`.
        split: &'static str,
    },

    /// The pictures of a class that belong together are too few groups to split them.
    #[error(
        "the images of class {class} make {n} group(s) by data.group_by, but a {split} split needs at least {needed} \
         groups that can be kept apart; add images of others, group by something finer, or make the folders train, val \
         and test by hand"
    )]
    TooFewGroups {
        /// The class.
        class: String,
        /// How many groups it has.
        n: usize,
        /// How many it needs.
        needed: usize,
        /// The split that was to be made: `validation` or `test`.
        split: &'static str,
    },

    /// A subset of more pictures than there are.
    #[error(
        "a subset of {requested} pictures was asked for, but {place} has {available}; ask for at most {available}"
    )]
    SubsetTooLarge {
        /// How many were asked for.
        requested: usize,
        /// How many there are.
        available: usize,
        /// Where.
        place: String,
    },

    /// A subset too small to hold every class.
    #[error("a subset of {requested} pictures cannot hold {needed_for}; ask for at least {needed}")]
    SubsetTooSmall {
        /// How many were asked for.
        requested: usize,
        /// How many are needed.
        needed: usize,
        /// What they are needed for.
        needed_for: String,
    },

    /// The parts of an image set do not fit together.
    #[error("the image set is inconsistent: {problem}")]
    Inconsistent {
        /// Which parts, with their sizes.
        problem: String,
    },

    /// An index beyond the end of an image set.
    #[error("index {index} is out of range: the image set has {len} pictures")]
    IndexOutOfRange {
        /// The index.
        index: usize,
        /// The number of pictures.
        len: usize,
    },

    /// A data set could not be downloaded.
    #[error(
        "cannot download {url}: {reason}; with a connection, run this again (it resumes); without one, download \
         {url} ({bytes} bytes, SHA-256 {sha256}) on another machine, put it at {}, and run this again", shown(.place)
    )]
    Download {
        /// The address.
        url: String,
        /// Why not.
        reason: String,
        /// The size of the archive.
        bytes: u64,
        /// The archive's SHA-256, in hexadecimal.
        sha256: String,
        /// Where to put the file by hand.
        place: PathBuf,
    },

    /// A downloaded file is not the one that the manifest names.
    #[error(
        "{} is not the file that was expected: its {what} is {found}, but should be {expected}; delete it and fetch again",
        shown(.path)
    )]
    Verification {
        /// The file.
        path: PathBuf,
        /// `size in bytes` or `SHA-256`.
        what: &'static str,
        /// What it should be.
        expected: String,
        /// What it is.
        found: String,
    },

    /// An archive that will not be unpacked.
    #[error("{} was not unpacked: {problem}; nothing was written: delete it and fetch it again from the address in \
             its manifest", shown(.path))]
    UnsafeArchive {
        /// The archive.
        path: PathBuf,
        /// The entry and what is wrong with it.
        problem: String,
    },

    /// A file could not be written, read or hashed.
    #[error(transparent)]
    Artifact(#[from] mlestar_artifact::ArtifactError),

    /// A manifest of a known data set that cannot be used.
    #[error("the data set manifest {name} is invalid: {problem}")]
    InvalidManifest {
        /// Its name.
        name: String,
        /// What is wrong.
        problem: String,
    },
}

impl DataError {
    /// That there is no folder at `path`, or a link that leads nowhere.
    pub(crate) fn no_folder(path: impl Into<PathBuf>, remedy: impl Into<String>) -> Self {
        let path = path.into();
        if path.is_symlink() && !path.exists() {
            return Self::Layout {
                path,
                problem: "it is a link that leads nowhere".into(),
                remedy: "mend the link or delete it".into(),
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

    /// A failure to read a file or folder.
    pub fn read(path: impl Into<PathBuf>, source: io::Error) -> Self {
        Self::Io {
            action: "read",
            path: path.into(),
            remedy: "check that it exists and that you may read it",
            source,
        }
    }

    /// A failure to write a file or folder.
    pub fn write(path: impl Into<PathBuf>, source: io::Error) -> Self {
        Self::Io {
            action: "write",
            path: path.into(),
            remedy: "check that the disk has room and that you may write there",
            source,
        }
    }
}

/// How many of `n` images may be unreadable: the share of them, but at least one unless it is 0.
pub(crate) fn n_unreadable_allowed(n: usize, share_max: f64) -> usize {
    let share = (n as f64 * share_max).floor() as usize;
    share.max(usize::from(share_max > 0.0))
}

fn list_unreadable(unreadable: &[Skipped], n: usize, share_max: f64) -> String {
    format!(
        "{} of {n} images cannot be read, but at most {} may be left out (data.unreadable_share_max = {share_max}):{}\n\
         mend or delete them, or set data.unreadable_share_max to {} to leave them out",
        unreadable.len(),
        n_unreadable_allowed(n, share_max),
        listed(unreadable),
        share_that_allows(unreadable.len(), n),
    )
}

/// A share in hundredths of which [`n_unreadable_allowed`] makes at least `wanted`.
fn share_that_allows(wanted: usize, n: usize) -> f64 {
    (100 * wanted).div_ceil(n.max(1)) as f64 / 100.0
}

fn listed(unreadable: &[Skipped]) -> String {
    let lines = unreadable.iter();
    lines
        .map(|image| format!("\n  {}: {}", image.path, image.reason))
        .collect()
}

/// The bytes of `n` images of `size`, in 128 bits: the product of three settings may be beyond 64.
pub(crate) fn set_bytes(n: usize, size: [usize; 2]) -> u128 {
    3 * n as u128 * size[0] as u128 * size[1] as u128
}

/// Bytes in units that people read, with one decimal.
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
