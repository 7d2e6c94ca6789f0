//! The record of a cache: a header, then a line for each piece of the pixels.

use std::fs;
use std::path::Path;

use mlestar_artifact::{ContentHash, append_json_line, read_json_lines};
use mlestar_image::Preparation;
use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::readers::folder::SeenResult;

/// A line of the record.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Line {
    Header(Header),
    Piece(Piece),
}

/// What the pixels are made of.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Header {
    pub key: ContentHash,
    /// The data folder, for people.
    pub root: String,
    pub n: usize,
    pub preparation: Preparation,
}

/// Some consecutive images.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Piece {
    /// What was seen of each image.
    pub images: Vec<SeenResult>,
    /// The hash of their pixels.
    pub pixels: ContentHash,
    /// The hash of the other two, so that damage to the record shows.
    check: ContentHash,
}

impl Piece {
    pub fn new(images: Vec<SeenResult>, pixels: &[u8]) -> Result<Self> {
        let pixels = ContentHash::of_bytes(pixels);
        Ok(Self {
            check: ContentHash::of_json(&(&images, &pixels))?,
            images,
            pixels,
        })
    }

    fn is_whole(&self) -> bool {
        ContentHash::of_json(&(&self.images, &self.pixels)).is_ok_and(|hash| hash == self.check)
    }
}

/// The header and the whole pieces before the first damaged one; `None` without a header.
pub(super) fn read(path: &Path) -> Option<(Header, Vec<Piece>)> {
    let mut lines = read_json_lines::<Line>(path).ok()?.into_iter();
    let Some(Line::Header(header)) = lines.next() else {
        return None;
    };
    let pieces = lines.map_while(|line| match line {
        Line::Piece(piece) if piece.is_whole() => Some(piece),
        Line::Piece(_) | Line::Header(_) => None,
    });
    Some((header, pieces.collect()))
}

/// Writes the record anew, with the given pieces.
pub(super) fn begin(path: &Path, header: Header, pieces: &[Piece]) -> Result<()> {
    let mut text = String::new();
    let lines = std::iter::once(Line::Header(header));
    for line in lines.chain(pieces.iter().cloned().map(Line::Piece)) {
        let line = serde_json::to_string(&line);
        text.push_str(
            &line.map_err(|e| crate::error::DataError::write(path, std::io::Error::other(e)))?,
        );
        text.push('\n');
    }
    Ok(mlestar_artifact::write_atomically(path, text.as_bytes())?)
}

pub(super) fn append(path: &Path, piece: &Piece) -> Result<()> {
    Ok(append_json_line(path, &Line::Piece(piece.clone()))?)
}

/// Removes a file that may not be there.
pub(super) fn discard(path: &Path) -> std::io::Result<()> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(e),
        _ => Ok(()),
    }
}
