//! Logs with one JSON value per line.

use crate::ArtifactError;
use serde::{Serialize, de::DeserializeOwned};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

/// Appends `value` as one line, in a single write, and makes it durable. A partial last line, left by a crash,
/// is removed first so that it cannot corrupt the new one.
///
/// # Errors
/// [`ArtifactError::Write`]; [`ArtifactError::Invalid`] if the value has no JSON form.
pub fn append_json_line<T: Serialize>(path: &Path, value: &T) -> Result<(), ArtifactError> {
    let mut line =
        serde_json::to_vec(value).map_err(|error| ArtifactError::invalid(path, error))?;
    line.push(b'\n');
    let fail = |source| ArtifactError::write(path, source);
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(fail)?;
    }
    let mut file = OpenOptions::new()
        .create(true)
        .append(true)
        .read(true)
        .open(path)
        .map_err(fail)?;
    let whole_bytes = length_of_whole_lines(&mut file).map_err(fail)?;
    file.set_len(whole_bytes).map_err(fail)?;
    file.write_all(&line).map_err(fail)?;
    file.sync_data().map_err(fail)
}

/// The length of the file up to and including its last newline.
fn length_of_whole_lines(file: &mut File) -> io::Result<u64> {
    let length = file.seek(SeekFrom::End(0))?;
    if length == 0 {
        return Ok(0);
    }
    file.seek(SeekFrom::End(-1))?;
    let mut last = [0];
    file.read_exact(&mut last)?;
    if last == *b"\n" {
        return Ok(length);
    }
    let mut content = Vec::new();
    file.seek(SeekFrom::Start(0))?;
    file.read_to_end(&mut content)?;
    let last_newline = content.iter().rposition(|byte| *byte == b'\n');
    Ok(last_newline.map_or(0, |position| position as u64 + 1))
}

/// Reads every line. A partial last line (no newline, not JSON), left by a crash during appending, is skipped.
/// Empty lines are skipped too.
///
/// # Errors
/// [`ArtifactError::Missing`], [`ArtifactError::Read`], or [`ArtifactError::Invalid`] with the number of the
/// first line that cannot be read.
pub fn read_json_lines<T: DeserializeOwned>(path: &Path) -> Result<Vec<T>, ArtifactError> {
    let bytes = fs::read(path).map_err(|source| ArtifactError::read(path, source))?;
    let n_lines = bytes.split(|byte| *byte == b'\n').count();
    let mut values = Vec::new();
    for (number, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
        if line.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        match serde_json::from_slice(line) {
            Ok(value) => values.push(value),
            // A last piece without a newline was left by a crash.
            Err(_) if number + 1 == n_lines => {}
            Err(error) => {
                let message = format!("line {}: {error}", number + 1);
                return Err(ArtifactError::invalid(path, message));
            }
        }
    }
    Ok(values)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_append_and_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log/events.jsonl");
        for number in 0..3 {
            append_json_line(&path, &number).unwrap();
        }
        assert_eq!(read_json_lines::<u32>(&path).unwrap(), [0, 1, 2]);
    }

    #[test]
    fn a_torn_last_line_is_passed_over_and_gives_way_to_the_next() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.jsonl");
        fs::write(&path, "[1]\n[2").unwrap();
        assert_eq!(read_json_lines::<[u32; 1]>(&path).unwrap(), [[1]]);
        append_json_line(&path, &[3]).unwrap();
        assert_eq!(read_json_lines::<[u32; 1]>(&path).unwrap(), [[1], [3]]);
    }

    #[test]
    fn a_damaged_line_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.jsonl");
        fs::write(&path, "1\n?\n3\n").unwrap();
        let message = read_json_lines::<u32>(&path).unwrap_err().to_string();
        assert!(message.contains("line 2"), "{message}");
    }
}
