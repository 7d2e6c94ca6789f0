//! Prepared images on disk, for folders whose pixels exceed `data.memory_limit_mib`.
//!
//! The files of a folder are decoded and resized once, in parallel, into one file of pixels, which is then mapped into
//! memory. It lies in the folder `data.cache`, in a folder of its own named after a key:
//!
//! | file | content |
//! |---|---|
//! | `pixels` | all images, planar, one after the other, read-only |
//! | `images.jsonl` | what the pixels were made of, then a line per piece of them: BLAKE3 hashes, sizes and conversions |
//! | `verified.json` | the state of `pixels` when its hashes were last checked |
//! | `pixels.partial` | the pixels so far, while they are made |
//! | `lock` | held while pixels are made or checked; its time is that of the last use |
//!
//! The key covers each file's name, size, times and inode, the [`Preparation`] and the code of `mlestar-image`. A changed,
//! added or removed file therefore makes a new key. Files that changed within the last two seconds are waited for, and those
//! that change while they are read are an error.
//!
//! Pieces appear whole: after a crash, or a kill, the next reading checks the hashes of the pieces that are there and continues
//! behind them. When a finished file is opened again and its state differs from the verified one, all hashes are checked. Some
//! images are decoded again and compared in any case. A damaged or outdated file is made again.
//!
//! [`list`] shows the caches and [`remove`] deletes one; deleting its folder by hand is as good. A mapped file may be
//! removed while it is in use, and its content stays until then. It must not be shortened: it is read-only, and a lock
//! says that it is in use. A reader that notices it panics with the reason, but one that is just touching a page that
//! is gone is ended by the system (`SIGBUS`).

mod build;
mod key;
mod listing;
mod lock;
mod record;
mod space;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use mlestar_image::Preparation;

use super::folder::{Entry, SeenResult};
use crate::error::{DataError, Result};
use crate::pixel_file::PixelFile;
pub use listing::{CachedPixels, list, remove};

/// Name of the finished file of pixels.
const PIXELS: &str = "pixels";
/// Name of the file of pixels while it is made.
const PARTIAL: &str = "pixels.partial";
/// Name of the record.
const IMAGES: &str = "images.jsonl";
/// Name of the file with the verified state.
const VERIFIED: &str = "verified.json";

/// The progress of preparing images.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LoadProgress {
    /// Images that are prepared.
    pub n_done: usize,
    /// All images.
    pub n: usize,
    /// Images that an earlier, interrupted reading had prepared.
    pub n_resumed: usize,
    /// Images prepared per second so far; `None` before the first ones.
    pub images_per_second: Option<f64>,
    /// Seconds until all are prepared, at this speed.
    pub seconds_left: Option<f64>,
    /// Bytes that the pixels of all images take on the disk.
    pub bytes: u64,
}

/// Called with the progress of preparing images, before the first and after each piece.
pub type OnProgress<'a> = &'a mut dyn FnMut(LoadProgress);

/// What to prepare, and where to keep it.
pub(crate) struct Request<'a> {
    pub cache: &'a Path,
    pub root: &'a Path,
    pub entries: &'a [&'a Entry],
    pub preparation: &'a Preparation,
    pub stop: &'a AtomicBool,
}

impl Request<'_> {
    fn image_bytes(&self) -> usize {
        3 * self.preparation.height * self.preparation.width
    }

    fn bytes(&self) -> u64 {
        self.entries.len() as u64 * self.image_bytes() as u64
    }

    fn check_stop(&self) -> Result<()> {
        match self.stop.load(Ordering::Acquire) {
            true => Err(DataError::Stopped {
                doing: "preparing images",
            }),
            false => Ok(()),
        }
    }
}

/// Prepared images.
pub(crate) struct Prepared {
    pub pixels: PixelFile,
    /// What was seen of each entry; unreadable images are black.
    pub seen: Vec<SeenResult>,
    pub use_of_cache: CacheUse,
}

/// How a cache was used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheUse {
    /// The cache's folder.
    pub folder: PathBuf,
    /// Bytes of its pixels.
    pub bytes: u64,
    /// Images that were decoded; 0 if the cache was complete.
    pub n_prepared: usize,
}

/// The images of a request, from the cache as far as they are there.
pub(crate) fn open_or_make(request: &Request<'_>, progress: OnProgress<'_>) -> Result<Prepared> {
    let files = key::settled_states(request)?;
    let key = key::of(request, &files)?;
    let folder = request.cache.join(key.short());
    std::fs::create_dir_all(&folder).map_err(|e| DataError::write(&folder, e))?;
    let _lock = lock::exclusive(&folder, request)?;
    if let Some((pixels, seen)) = build::open_finished(request, &folder, &key)? {
        return Ok(prepared(request, folder, pixels, seen, 0));
    }
    let n_prepared = build::make(request, &folder, &key, &files, progress)?;
    match build::open_finished(request, &folder, &key)? {
        Some((pixels, seen)) => Ok(prepared(request, folder, pixels, seen, n_prepared)),
        None => Err(DataError::Layout {
            path: folder,
            problem: "the pixels that were just written there differ from what was written"
                .to_string(),
            remedy: "check the disk, or set data.cache to a folder on another one".to_string(),
        }),
    }
}

fn prepared(
    request: &Request<'_>,
    folder: PathBuf,
    pixels: PixelFile,
    seen: Vec<SeenResult>,
    n_prepared: usize,
) -> Prepared {
    Prepared {
        pixels,
        seen,
        use_of_cache: CacheUse {
            folder,
            bytes: request.bytes(),
            n_prepared,
        },
    }
}
