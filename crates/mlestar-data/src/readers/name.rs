//! File names in a form that can be shown, written to JSON and read back.

use std::path::{Component, Path, PathBuf};

/// A printable form of a path: parts joined by slashes on every platform, so that reports are the same
/// everywhere; bytes that are not UTF-8 as `\\xe9`, a backslash as `\\\\`. Different paths have different
/// forms.
///
/// ```
/// use mlestar_data::readers::name::{original, shown};
/// use std::path::Path;
/// assert_eq!(shown(Path::new("train/cat/0001.jpg")), "train/cat/0001.jpg");
/// # #[cfg(unix)] {
/// use std::{ffi::OsStr, os::unix::ffi::OsStrExt};
/// let name = Path::new(OsStr::from_bytes(b"caf\xe9.png"));
/// assert_eq!(shown(name), r"caf\xe9.png");
/// assert_eq!(original(r"caf\xe9.png"), name);
/// # }
/// ```
pub fn shown(path: &Path) -> String {
    let mut text = String::new();
    for (i, part) in path.components().enumerate() {
        match part {
            Component::Normal(name) => {
                if i > 0 && !text.ends_with('/') {
                    text.push('/');
                }
                escape(name.as_encoded_bytes(), &mut text);
            }
            Component::Prefix(_) | Component::RootDir => {
                text.push_str(&part.as_os_str().to_string_lossy());
            }
            Component::CurDir | Component::ParentDir => {
                if i > 0 && !text.ends_with('/') {
                    text.push('/');
                }
                text.push_str(&part.as_os_str().to_string_lossy());
            }
        }
    }
    text
}

fn escape(bytes: &[u8], text: &mut String) {
    use std::fmt::Write;
    for chunk in bytes.utf8_chunks() {
        text.push_str(&chunk.valid().replace('\\', r"\\"));
        for byte in chunk.invalid() {
            // Writing to a string cannot fail.
            let _ = write!(text, r"\x{byte:02x}");
        }
    }
}

/// The path that [`shown`] was given. A text that it cannot have produced is used unchanged.
pub fn original(text: &str) -> PathBuf {
    match unescape(text) {
        Some(bytes) => path_from(bytes).unwrap_or_else(|| text.into()),
        None => text.into(),
    }
}

fn unescape(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        rest = after;
        if *first != b'\\' {
            bytes.push(*first);
            continue;
        }
        match after {
            [b'\\', after @ ..] => {
                bytes.push(b'\\');
                rest = after;
            }
            [b'x', high, low, after @ ..] => {
                let digit = |byte: &u8| char::from(*byte).to_digit(16);
                // Two digits of four bits fit into a byte.
                bytes.push((digit(high)? * 16 + digit(low)?) as u8);
                rest = after;
            }
            _ => return None,
        }
    }
    Some(bytes)
}

#[cfg(unix)]
fn path_from(bytes: Vec<u8>) -> Option<PathBuf> {
    use std::os::unix::ffi::OsStringExt;
    Some(std::ffi::OsString::from_vec(bytes).into())
}

#[cfg(not(unix))]
fn path_from(bytes: Vec<u8>) -> Option<PathBuf> {
    String::from_utf8(bytes).ok().map(PathBuf::from)
}

/// A path as a JSON string, by [`shown`] and [`original`]: serde's own form rejects paths that are not UTF-8.
pub(crate) mod as_text {
    use serde::{Deserialize, Deserializer, Serializer};
    use std::path::{Path, PathBuf};

    pub fn serialize<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&super::shown(path))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<PathBuf, D::Error> {
        String::deserialize(deserializer).map(|text| super::original(&text))
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::ffi::OsString;
    use std::os::unix::ffi::OsStringExt;

    fn name() -> impl Strategy<Value = OsString> {
        // Backslashes, letters that look like escapes, and any byte except the two that no name may hold.
        let byte = prop_oneof![Just(b'\\'), Just(b'x'), Just(b'e'), Just(b'9'), 1_u8..=255];
        prop::collection::vec(byte.prop_filter("no slash", |b| *b != b'/'), 1..8)
            .prop_map(OsString::from_vec)
            .prop_filter("a name", |name| name != "." && name != "..")
    }

    proptest! {
        #[test]
        fn names_survive_and_stay_different(a in name(), b in name(), folder in name()) {
            let (a, b) = (Path::new(&folder).join(a), Path::new(&folder).join(b));
            prop_assert_eq!(original(&shown(&a)), a.clone());
            prop_assert_eq!(shown(&a) == shown(&b), a == b);
        }
    }

    #[test]
    fn absolute_and_relative_paths_keep_their_beginning() {
        for path in ["/a/b", "a/b", "../a", "./a", "/"] {
            assert_eq!(shown(Path::new(path)), path);
        }
        assert_eq!(original(r"a\q"), Path::new(r"a\q"), "no escape");
    }
}
