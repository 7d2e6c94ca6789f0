//! Files and folders that were skipped, and the reasons.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

/// A skipped file or folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Skipped {
    /// The file or folder, relative to the data folder, in the form of [`shown`](super::name::shown).
    pub path: String,
    /// The reason.
    pub reason: String,
}

/// The number of skipped files and folders for one kind of reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SkippedCount {
    /// The kind, such as "left by the system".
    pub what: String,
    /// The number.
    pub n: usize,
}

/// The reason for skipping a file or folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Reason {
    /// A system or a program left it there.
    Litter,
    /// Its name begins with a dot.
    Hidden,
    /// Its extension (given here in lower case) is not an image's.
    OtherType(String),
    /// It is a FIFO, a socket or a device: opening it could block forever.
    Special,
    /// An image beside the class folders.
    OutsideClasses,
    /// An image beside the split folders.
    OutsideSplits,
    /// A folder beside the split folders.
    BesideSplits,
    /// A class folder of the validation or test split that holds no image.
    EmptyClass,
    /// A link to a file or folder that is read under another name.
    LinkToRead(String),
    /// A link without a target.
    Dangling,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Litter => f.write_str("left by the system or a program"),
            Self::Hidden => f.write_str("hidden"),
            Self::OtherType(_) => {
                f.write_str("its extension is not one of png, jpg, jpeg, webp, bmp, gif")
            }
            Self::Special => {
                f.write_str("a FIFO, a socket or a device, which is never opened: remove it")
            }
            Self::OutsideClasses => f.write_str("an image outside the class folders"),
            Self::OutsideSplits => f.write_str("an image outside the split folders"),
            Self::BesideSplits => f.write_str("a folder beside the split folders"),
            Self::EmptyClass => f.write_str("a class folder without images"),
            Self::LinkToRead(other) => write!(f, "a link to {other}, which is read anyway"),
            Self::Dangling => {
                f.write_str("a link whose target does not exist: repair or delete it")
            }
        }
    }
}

impl Reason {
    fn group(&self) -> &'static str {
        match self {
            Self::Litter => "left by the system or a program",
            Self::Hidden => "hidden",
            Self::OtherType(_) => "of another type",
            Self::Special => "FIFOs, sockets or devices",
            Self::OutsideClasses | Self::OutsideSplits => "images outside the class folders",
            Self::BesideSplits => "folders beside the split folders",
            Self::EmptyClass => "class folders without images",
            Self::LinkToRead(_) => "links to files that are read anyway",
            Self::Dangling => "links without a target",
        }
    }
}

/// The number of skipped entries for each kind of reason, most frequent first.
pub(super) fn count<'a>(reasons: impl Iterator<Item = &'a Reason>) -> Vec<SkippedCount> {
    let mut groups: BTreeMap<&str, (usize, BTreeMap<&str, usize>)> = BTreeMap::new();
    for reason in reasons {
        let (n, extensions) = groups.entry(reason.group()).or_default();
        *n += 1;
        if let Reason::OtherType(extension) = reason {
            *extensions.entry(extension).or_default() += 1;
        }
    }
    let mut counts: Vec<SkippedCount> = groups
        .into_iter()
        .map(|(what, (n, extensions))| SkippedCount {
            what: match extensions.is_empty() {
                true => what.to_owned(),
                false => format!("{what} ({})", commonest(&extensions)),
            },
            n,
        })
        .collect();
    counts.sort_by_key(|count| std::cmp::Reverse(count.n));
    counts
}

/// The most frequent extensions; they show whether there are images of an unknown format.
fn commonest(extensions: &BTreeMap<&str, usize>) -> String {
    const MOST_NAMED: usize = 5;
    let mut sorted: Vec<(&str, usize)> = extensions.iter().map(|(e, n)| (*e, *n)).collect();
    sorted.sort_by_key(|(_, n)| std::cmp::Reverse(*n));
    let mut names: Vec<&str> = sorted
        .iter()
        .take(MOST_NAMED)
        .map(|(extension, _)| match extension.is_empty() {
            true => "no extension",
            false => extension,
        })
        .collect();
    if sorted.len() > MOST_NAMED {
        names.push("others");
    }
    names.join(", ")
}
