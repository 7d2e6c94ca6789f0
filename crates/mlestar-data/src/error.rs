//! What can go wrong with a data set, each with the file, the value, the limit and the remedy.

use std::io;
use std::path::PathBuf;

/// The result of this crate's functions.
pub type Result<T, E = DataError> = std::result::Result<T, E>;

/// How many offending files an error lists before it only counts the rest.
pub const MAX_LISTED: usize = 10;

/// A picture that cannot be decoded, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CorruptPicture {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it.
    pub reason: String,
}

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

    /// The operating system refused something.
    #[error("cannot {action} {}: {source}; {remedy}", .path.display())]
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
    #[error("{} is missing: {what}; {remedy}", .path.display())]
    MissingPath {
        /// The file or folder.
        path: PathBuf,
        /// What it is.
        what: String,
        /// What to do.
        remedy: String,
    },

    /// A file stands where a folder is needed.
    #[error("{} is not a folder; {remedy}", .path.display())]
    NotAFolder {
        /// The path.
        path: PathBuf,
        /// What to do.
        remedy: String,
    },

    /// The folder is not laid out as any source that can be read.
    #[error("{}: {problem}; {remedy}", .path.display())]
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
        .path.display(), .bytes / .record_bytes, .bytes % .record_bytes
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
        .path.display(), .n_classes - 1
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

    /// Pictures that cannot be decoded. Nothing is left out silently: mend or delete them.
    #[error("{}", list_corrupt(.listed, *.total))]
    CorruptPictures {
        /// The first of them, in path order (at most [`MAX_LISTED`]).
        listed: Vec<CorruptPicture>,
        /// How many there are.
        total: usize,
    },

    /// A class folder holds no picture.
    #[error(
        "{} holds no picture{found}; put pictures of this class there (png, jpg, jpeg, webp, bmp) or delete the folder",
        .path.display()
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
         pictures of it", .path.display(), .train.display()
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
    #[error("{} holds no pictures: {detail}", .path.display())]
    NoPictures {
        /// The folder.
        path: PathBuf,
        /// What is there, and what should be.
        detail: String,
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
         {url} ({bytes} bytes, SHA-256 {sha256}) on another machine, put it at {}, and run this again", .place.display()
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
        .path.display()
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
             its manifest", .path.display())]
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

fn list_corrupt(listed: &[CorruptPicture], total: usize) -> String {
    use std::fmt::Write;
    let mut text = format!("{total} picture(s) cannot be decoded; mend or delete them:");
    for picture in listed {
        // Writing to a string cannot fail.
        let _ = write!(text, "\n  {}: {}", picture.path.display(), picture.reason);
    }
    if total > listed.len() {
        let _ = write!(text, "\n  and {} more", total - listed.len());
    }
    text
}
