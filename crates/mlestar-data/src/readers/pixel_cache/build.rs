//! Makes and opens the file of pixels.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::time::Instant;

use mlestar_artifact::{ContentHash, write_atomically};
use rayon::prelude::*;

use super::key::KeyFile;
use super::record::{self, Header, Piece, discard};
use super::{IMAGES, LoadProgress, OnProgress, PARTIAL, PIXELS, Request, VERIFIED, space};
use crate::error::{DataError, Result};
use crate::file_state::FileState;
use crate::pixel_file::PixelFile;
use crate::readers::folder::{SeenResult, read_one};
use crate::readers::name;

/// Bytes of a piece, if an image is not larger.
const PIECE_BYTES: usize = 16 << 20;

/// The largest number of images of a piece, and so the most that a kill can lose.
const MOST_IMAGES: usize = 1024;

/// Images that are decoded again when a finished file is opened, evenly spaced.
const N_COMPARED: usize = 8;

/// The finished pixels, if they are there, as recorded and as the files say; otherwise what is left of them is removed.
pub(super) fn open_finished(
    request: &Request<'_>,
    folder: &Path,
    key: &ContentHash,
) -> Result<Option<(PixelFile, Vec<SeenResult>)>> {
    let path = folder.join(PIXELS);
    if !path.exists() {
        return Ok(None);
    }
    match open_whole(request, folder, key) {
        Some(found) => Ok(Some(found)),
        None => {
            for name in [PIXELS, IMAGES, VERIFIED] {
                discard(&folder.join(name)).map_err(|e| DataError::write(folder, e))?;
            }
            Ok(None)
        }
    }
}

fn open_whole(
    request: &Request<'_>,
    folder: &Path,
    key: &ContentHash,
) -> Option<(PixelFile, Vec<SeenResult>)> {
    let (header, pieces) = record::read(&folder.join(IMAGES))?;
    let n: usize = pieces.iter().map(|piece| piece.images.len()).sum();
    if header.key != *key || header.n != n || n != request.entries.len() {
        return None;
    }
    let path = folder.join(PIXELS);
    let pixels = PixelFile::open(&path, request.bytes()).ok()?;
    let state = FileState::of(&fs::metadata(&path).ok()?);
    let verified = fs::read(folder.join(VERIFIED)).ok();
    let verified = verified.and_then(|bytes| serde_json::from_slice::<FileState>(&bytes).ok());
    if verified.as_ref() != Some(&state) {
        if !is_as_recorded(request, &pieces, &pixels) {
            return None;
        }
        note_verified(folder, &state);
    }
    let seen: Vec<SeenResult> = pieces.into_iter().flat_map(|piece| piece.images).collect();
    is_as_decoded(request, &seen, &pixels).then_some((pixels, seen))
}

/// Notes the state of pixels whose hashes are right. Without the note, they are checked again next time.
fn note_verified(folder: &Path, state: &FileState) {
    if let Ok(bytes) = serde_json::to_vec(state) {
        let _ = write_atomically(&folder.join(VERIFIED), &bytes);
    }
}

/// Whether every piece has its recorded hash.
fn is_as_recorded(request: &Request<'_>, pieces: &[Piece], pixels: &PixelFile) -> bool {
    let mut start = 0;
    let ranges: Vec<_> = pieces
        .iter()
        .map(|piece| {
            let first = start;
            start += piece.images.len() * request.image_bytes();
            (first..start, &piece.pixels)
        })
        .collect();
    ranges
        .into_par_iter()
        .all(|(range, hash)| ContentHash::of_bytes(pixels.get(range)) == *hash)
}

/// Whether some images, decoded again, have the same pixels.
fn is_as_decoded(request: &Request<'_>, seen: &[SeenResult], pixels: &PixelFile) -> bool {
    let n = request.entries.len();
    let step = n.div_ceil(N_COMPARED).max(1);
    let compared: Vec<usize> = (0..n).step_by(step).collect();
    let size = request.image_bytes();
    compared.into_par_iter().all(|index| {
        let mut again = vec![0; size];
        let path = request.root.join(&request.entries[index].path);
        let result = SeenResult::from(read_one(&path, request.preparation, &mut again));
        result == seen[index] && again == pixels.get(index * size..(index + 1) * size)
    })
}

/// Makes the pixels, from where an earlier attempt ended, and returns the number of images that were decoded.
pub(super) fn make(
    request: &Request<'_>,
    folder: &Path,
    key: &ContentHash,
    files: &[KeyFile],
    progress: OnProgress<'_>,
) -> Result<usize> {
    let (partial, images) = (folder.join(PARTIAL), folder.join(IMAGES));
    let fail = |e| DataError::write(&partial, e);
    let header = Header {
        key: key.clone(),
        root: name::shown(request.root),
        n: request.entries.len(),
        preparation: *request.preparation,
    };
    let options = File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(&partial);
    let mut file = options.map_err(fail)?;
    let pieces = whole_pieces(request, &header, &images, &mut file);
    let n_resumed: usize = pieces.iter().map(|piece| piece.images.len()).sum();
    let done_bytes = (n_resumed * request.image_bytes()) as u64;
    file.set_len(done_bytes).map_err(fail)?;
    file.seek(SeekFrom::End(0)).map_err(fail)?;
    record::begin(&images, header, &pieces)?;
    drop(pieces);
    space::check(request.cache, folder, request.bytes() - done_bytes)?;

    let mut meter = Meter::new(request, n_resumed);
    progress(meter.progress(n_resumed));
    let n_per_piece = (PIECE_BYTES / request.image_bytes()).clamp(1, MOST_IMAGES);
    let mut buffer = Vec::new();
    for first in (n_resumed..request.entries.len()).step_by(n_per_piece) {
        request.check_stop()?;
        let end = (first + n_per_piece).min(request.entries.len());
        let seen = decode(request, first, end, &mut buffer);
        for (index, state) in files.iter().enumerate().take(end).skip(first) {
            if !state.is_unchanged(request, index) {
                return Err(changed(request, index));
            }
        }
        file.write_all(&buffer).map_err(fail)?;
        record::append(&images, &Piece::new(seen, &buffer)?)?;
        progress(meter.progress(end));
    }
    file.sync_all().map_err(fail)?;
    let mut permissions = file.metadata().map_err(fail)?.permissions();
    permissions.set_readonly(true);
    file.set_permissions(permissions).map_err(fail)?;
    drop(file);
    let path = folder.join(PIXELS);
    fs::rename(&partial, &path).map_err(|e| DataError::write(&path, e))?;
    // The hashes were computed from the same bytes.
    let metadata = fs::metadata(&path).map_err(|e| DataError::read(&path, e))?;
    note_verified(folder, &FileState::of(&metadata));
    Ok(request.entries.len() - n_resumed)
}

/// The pieces of an earlier attempt whose pixels are there.
fn whole_pieces(
    request: &Request<'_>,
    header: &Header,
    images: &Path,
    file: &mut File,
) -> Vec<Piece> {
    let Some((found, mut pieces)) = record::read(images).filter(|(found, _)| found == header)
    else {
        return Vec::new();
    };
    let mut buffer = Vec::new();
    let n_whole = pieces.iter().take_while(|piece| {
        buffer.resize(piece.images.len() * request.image_bytes(), 0);
        file.read_exact(&mut buffer).is_ok() && ContentHash::of_bytes(&buffer) == piece.pixels
    });
    let n_whole = n_whole.count();
    pieces.truncate(n_whole);
    let n: usize = pieces.iter().map(|piece| piece.images.len()).sum();
    match n <= found.n {
        true => pieces,
        false => Vec::new(),
    }
}

fn decode(
    request: &Request<'_>,
    first: usize,
    end: usize,
    buffer: &mut Vec<u8>,
) -> Vec<SeenResult> {
    buffer.clear();
    buffer.resize((end - first) * request.image_bytes(), 0);
    buffer
        .par_chunks_exact_mut(request.image_bytes())
        .zip(&request.entries[first..end])
        .with_max_len(1)
        .map(|(out, entry)| {
            let path = request.root.join(&entry.path);
            SeenResult::from(read_one(&path, request.preparation, out))
        })
        .collect()
}

fn changed(request: &Request<'_>, index: usize) -> DataError {
    DataError::Layout {
        path: request.root.join(&request.entries[index].path),
        problem: "it changed while the images were being prepared".to_string(),
        remedy: "wait until nothing writes to the data, and run the same command again".to_string(),
    }
}

/// Measures the speed of preparing images.
struct Meter {
    start: Instant,
    n: usize,
    n_resumed: usize,
    bytes: u64,
}

impl Meter {
    fn new(request: &Request<'_>, n_resumed: usize) -> Self {
        Self {
            start: Instant::now(),
            n: request.entries.len(),
            n_resumed,
            bytes: request.bytes(),
        }
    }

    fn progress(&mut self, n_done: usize) -> LoadProgress {
        let seconds = self.start.elapsed().as_secs_f64();
        let n_new = n_done - self.n_resumed;
        let speed = (n_new > 0 && seconds > 0.0).then(|| n_new as f64 / seconds);
        LoadProgress {
            n_done,
            n: self.n,
            n_resumed: self.n_resumed,
            images_per_second: speed,
            seconds_left: speed.map(|speed| (self.n - n_done) as f64 / speed),
            bytes: self.bytes,
        }
    }
}
