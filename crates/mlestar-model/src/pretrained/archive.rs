//! The zip files that PyTorch writes: entries are stored without compression.
//!
//! (PKWARE's APPNOTE.TXT: 4.3.7 local header, 4.3.12 central directory, 4.3.16 its end.)

use std::collections::BTreeMap;
use std::ops::Range;

/// Beginning of every zip file with entries.
pub(super) const MAGIC: &[u8] = b"PK\x03\x04";

const LOCAL: usize = 30;
const CENTRAL: usize = 46;
const END: usize = 22;
/// A comment after the end has at most this length.
const LONGEST_COMMENT: usize = 1 << 16;

/// The bytes of each entry, by its name.
pub(super) fn entries(file: &[u8]) -> Result<BTreeMap<&str, Range<usize>>, String> {
    let end =
        end_of(file).ok_or("its zip directory is missing: the file is incomplete or damaged")?;
    let number = |at: usize, bytes: usize| number(file, at, bytes);
    let (count, mut at) = (number(end + 10, 2)?, number(end + 16, 4)?);
    if count == 0xffff || at == 0xffff_ffff {
        return Err("it is a zip file of 64 bits, of more than 4 GB or 65,534 entries".to_owned());
    }
    let mut entries = BTreeMap::new();
    for _ in 0..count {
        if file.get(at..at.saturating_add(4)) != Some(b"PK\x01\x02") {
            return Err("its zip directory is damaged".to_owned());
        }
        let (method, checksum) = (number(at + 10, 2)?, number(at + 16, 4)?);
        let (stored, size) = (number(at + 20, 4)?, number(at + 24, 4)?);
        let lengths = [
            number(at + 28, 2)?,
            number(at + 30, 2)?,
            number(at + 32, 2)?,
        ];
        let name = slice(file, at + CENTRAL, lengths[0])?;
        let name =
            std::str::from_utf8(name).map_err(|_| "a name in its zip directory is not UTF-8")?;
        if method != 0 || stored != size {
            return Err(format!(
                "`{name}` in it is compressed, which PyTorch does not do: it was packed by another program"
            ));
        }
        let local = number(at + 42, 4)?;
        if file.get(local..local.saturating_add(4)) != Some(MAGIC) {
            return Err(format!("`{name}` in it has no header: the file is damaged"));
        }
        let begin = local + LOCAL + number(local + 26, 2)? + number(local + 28, 2)?;
        if crc32fast::hash(slice(file, begin, size)?) != checksum as u32 {
            return Err(format!("`{name}` in it is damaged: its checksum differs"));
        }
        entries.insert(name, begin..begin + size);
        at += CENTRAL + lengths.iter().sum::<usize>();
    }
    Ok(entries)
}

/// The position of the end of the directory.
fn end_of(file: &[u8]) -> Option<usize> {
    let last = file.len().checked_sub(END)?;
    let first = last.saturating_sub(LONGEST_COMMENT);
    (first..=last)
        .rev()
        .find(|&at| file[at..].starts_with(b"PK\x05\x06"))
}

fn slice(file: &[u8], at: usize, length: usize) -> Result<&[u8], String> {
    let end = at.checked_add(length);
    end.and_then(|end| file.get(at..end))
        .ok_or_else(|| "its zip directory points outside the file".to_owned())
}

fn number(file: &[u8], at: usize, bytes: usize) -> Result<usize, String> {
    let bytes = slice(file, at, bytes)?;
    Ok((bytes.iter().rev()).fold(0, |value, &byte| value << 8 | usize::from(byte)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_without_a_directory_are_refused() {
        assert!(entries(b"").unwrap_err().contains("directory is missing"));
        assert!(
            entries(b"PK\x03\x04 and more, but no end")
                .unwrap_err()
                .contains("missing")
        );
        let mut end = b"PK\x05\x06".to_vec();
        end.resize(END, 0);
        assert_eq!(entries(&end).unwrap().len(), 0);
        end[10] = 1;
        assert!(entries(&end).unwrap_err().contains("directory is damaged"));
        end[10..12].fill(0xff);
        assert!(entries(&end).unwrap_err().contains("64 bits"));
    }
}
