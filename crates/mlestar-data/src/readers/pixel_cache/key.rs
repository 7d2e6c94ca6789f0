//! The key of a cache: everything that its pixels depend on.

use std::fs;
use std::time::SystemTime;

use mlestar_artifact::ContentHash;
use mlestar_image::Preparation;
use rayon::prelude::*;
use serde::Serialize;

use super::Request;
use crate::error::Result;
use crate::file_state::{FileState, UNSETTLED};
use crate::readers::name;

/// Changes with the layout of the files.
const FORMAT: u32 = 1;

/// The state of a file; a file without one cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct KeyFile {
    name: String,
    state: Option<FileState>,
    /// The hash of its content, if its state alone may not show the next change.
    hash: Option<ContentHash>,
}

#[derive(Serialize)]
struct Parts<'a> {
    format: u32,
    code: ContentHash,
    preparation: &'a Preparation,
    files: &'a [KeyFile],
}

pub(super) fn of(request: &Request<'_>, files: &[KeyFile]) -> Result<ContentHash> {
    Ok(ContentHash::of_json(&Parts {
        format: FORMAT,
        code: ContentHash::of_bytes(mlestar_image::SOURCES.concat().as_bytes()),
        preparation: request.preparation,
        files,
    })?)
}

/// The states of all files, after those that have just changed have settled. A file whose time is in the future never
/// does, so its content is hashed.
pub(super) fn settled_states(request: &Request<'_>) -> Result<Vec<KeyFile>> {
    let files = states(request);
    let now = SystemTime::now();
    if files.iter().all(|file| file.is_settled(now)) {
        return Ok(files);
    }
    std::thread::sleep(UNSETTLED);
    request.check_stop()?;
    let mut files = states(request);
    let now = SystemTime::now();
    for (file, entry) in files.iter_mut().zip(request.entries) {
        if !file.is_settled(now) {
            // A file that cannot be read has no hash, and reading it will say so.
            file.hash = ContentHash::of_file(&request.root.join(&entry.path)).ok();
        }
    }
    Ok(files)
}

fn states(request: &Request<'_>) -> Vec<KeyFile> {
    let entries = request.entries.par_iter();
    entries
        .map(|entry| KeyFile {
            name: name::shown(&entry.path),
            state: fs::metadata(request.root.join(&entry.path))
                .ok()
                .map(|metadata| FileState::of(&metadata)),
            hash: None,
        })
        .collect()
}

impl KeyFile {
    fn is_settled(&self, now: SystemTime) -> bool {
        self.state
            .as_ref()
            .is_none_or(|state| state.is_settled(now))
    }

    /// Whether the file is still in this state.
    pub fn is_unchanged(&self, request: &Request<'_>, index: usize) -> bool {
        let path = request.root.join(&request.entries[index].path);
        let now = fs::metadata(path)
            .ok()
            .map(|metadata| FileState::of(&metadata));
        now == self.state
    }
}
