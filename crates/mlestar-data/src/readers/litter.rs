//! Files and folders that systems and programs leave among images.

use std::ffi::OsStr;

/// Names, in lower case, that macOS, Windows, Synology, QNAP and file systems leave.
const NAMES: [&str; 12] = [
    "@eadir",
    "@tmp",
    "@recycle",
    "#recycle",
    "__macosx",
    "lost+found",
    "$recycle.bin",
    "system volume information",
    "thumbs.db",
    "ehthumbs.db",
    "desktop.ini",
    "icon\r",
];

/// Prefixes, in lower case, of hidden names of the same kind.
const HIDDEN_BEGINNINGS: [&str; 7] = [
    "._",
    ".ds_store",
    ".ipynb_checkpoints",
    ".trash",
    ".appledouble",
    ".spotlight-v100",
    ".fseventsd",
];

/// Whether a file or folder with this name was left by a system or a program and is neither an image nor a
/// class. Case does not matter.
///
/// ```
/// use mlestar_data::readers::litter::is_litter;
/// assert!(is_litter("@eaDir".as_ref()) && is_litter("._0001.png".as_ref()) && is_litter("Thumbs.db".as_ref()));
/// assert!(!is_litter("0001.png".as_ref()) && !is_litter(".hidden".as_ref()));
/// ```
pub fn is_litter(name: &OsStr) -> bool {
    let name = name.to_string_lossy().to_lowercase();
    NAMES.contains(&name.as_str())
        || HIDDEN_BEGINNINGS
            .iter()
            .any(|beginning| name.starts_with(beginning))
}
