//! Reads files of limited size, and floats from bytes.

use std::path::Path;

use crate::error::ExportError;

/// Largest model file that can be read: 2 GiB, which is also the limit of a Protocol Buffers message.
pub(crate) const MAX_FILE_BYTES: u64 = 1 << 31;

/// The content of a file of at most [`MAX_FILE_BYTES`].
pub(crate) fn read_file(path: &Path) -> Result<Vec<u8>, ExportError> {
    let error = |source| ExportError::Read {
        path: path.to_owned(),
        source,
    };
    let bytes = std::fs::metadata(path).map_err(error)?.len();
    if bytes > MAX_FILE_BYTES {
        return Err(ExportError::malformed(
            path,
            format!("{bytes} bytes, but model files have at most {MAX_FILE_BYTES}"),
        ));
    }
    std::fs::read(path).map_err(error)
}

/// Little-endian `f32`; trailing bytes that do not fill a value are left out.
pub(crate) fn floats(bytes: &[u8]) -> Vec<f32> {
    let (values, _) = bytes.as_chunks::<4>();
    values
        .iter()
        .map(|&value| f32::from_le_bytes(value))
        .collect()
}

/// Little-endian `i64`; trailing bytes that do not fill a value are left out.
pub(crate) fn integers(bytes: &[u8]) -> Vec<i64> {
    let (values, _) = bytes.as_chunks::<8>();
    values
        .iter()
        .map(|&value| i64::from_le_bytes(value))
        .collect()
}
