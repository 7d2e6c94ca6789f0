//! Content hashes.

use crate::ArtifactError;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::Path;

const HEX_DIGITS: usize = 64;

/// The BLAKE3 hash of some content, 256 bits, written as 64 hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ContentHash(String);

impl ContentHash {
    /// The hash of `bytes`.
    pub fn of_bytes(bytes: &[u8]) -> Self {
        Self(blake3::hash(bytes).to_hex().to_string())
    }

    /// The hash of some pieces, one after the other: that of the whole, without having it in memory.
    ///
    /// ```
    /// use mlestar_artifact::ContentHash;
    /// assert_eq!(ContentHash::of_pieces([b"ab", b"cd"]), ContentHash::of_bytes(b"abcd"));
    /// ```
    pub fn of_pieces(pieces: impl IntoIterator<Item = impl AsRef<[u8]>>) -> Self {
        let mut hasher = blake3::Hasher::new();
        for piece in pieces {
            hasher.update(piece.as_ref());
        }
        Self(hasher.finalize().to_hex().to_string())
    }

    /// The hash of a file's content, read in pieces.
    ///
    /// # Errors
    /// [`ArtifactError::Missing`] or [`ArtifactError::Read`].
    pub fn of_file(path: &Path) -> Result<Self, ArtifactError> {
        let fail = |source| ArtifactError::read(path, source);
        let mut file = File::open(path).map_err(fail)?;
        let mut hasher = blake3::Hasher::new();
        let mut buffer = vec![0; 1 << 16];
        loop {
            match file.read(&mut buffer).map_err(fail)? {
                0 => return Ok(Self(hasher.finalize().to_hex().to_string())),
                n => {
                    hasher.update(&buffer[..n]);
                }
            }
        }
    }

    /// The hash of a value's JSON form. It is stable only if maps are ordered (`BTreeMap`).
    ///
    /// # Errors
    /// [`ArtifactError::Invalid`] if the value has no JSON form, such as a map with keys that are not strings.
    pub fn of_json<T: Serialize + ?Sized>(value: &T) -> Result<Self, ArtifactError> {
        serde_json::to_vec(value)
            .map(|bytes| Self::of_bytes(&bytes))
            .map_err(|error| ArtifactError::invalid(Path::new("value to hash"), error))
    }

    /// The 64 hexadecimal digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The first 12 digits, for people.
    pub fn short(&self) -> &str {
        &self.0[..12]
    }
}

impl fmt::Display for ContentHash {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl TryFrom<String> for ContentHash {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        if text.len() == HEX_DIGITS && text.bytes().all(is_digit) {
            Ok(Self(text))
        } else {
            Err(format!(
                "\"{text}\" is not a content hash of {HEX_DIGITS} lower-case hexadecimal digits"
            ))
        }
    }
}

impl From<ContentHash> for String {
    fn from(hash: ContentHash) -> Self {
        hash.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_blake3_and_files_agree_with_bytes() {
        // The published hash of the empty input.
        let empty = "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262";
        assert_eq!(ContentHash::of_bytes(b"").as_str(), empty);

        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let content = vec![7; 200_000];
        std::fs::write(&path, &content).unwrap();
        assert_eq!(
            ContentHash::of_file(&path).unwrap(),
            ContentHash::of_bytes(&content)
        );
        assert!(
            ContentHash::of_file(&folder.path().join("none"))
                .unwrap_err()
                .is_missing()
        );
    }

    #[test]
    fn only_hashes_are_read_as_hashes() {
        let hash = ContentHash::of_bytes(b"x");
        let json = serde_json::to_string(&hash).unwrap();
        assert_eq!(serde_json::from_str::<ContentHash>(&json).unwrap(), hash);
        assert!(serde_json::from_str::<ContentHash>("\"é12\"").is_err());
        assert!(serde_json::from_str::<ContentHash>("\"ABC\"").is_err());
    }
}
