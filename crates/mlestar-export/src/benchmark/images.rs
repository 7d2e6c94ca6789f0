//! The images that a benchmark predicts.

use std::path::{Path, PathBuf};

use mlestar_image::Preparation;
use mlestar_random::Stream;
use serde::{Deserialize, Serialize};

use super::model::MeasuredModel;
use crate::error::ExportError;

/// Noise images together have at most this many bytes, but there is at least one: what the images hold is no memory
/// of the model.
const NOISE_BYTES: usize = 1 << 20;
/// More noise images than this would not change anything.
const MOST_NOISE_IMAGES: usize = 256;
/// The folder of a package with images and their expected answers.
const GOLDEN: &str = "golden";

/// Where the images of a benchmark come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ImageSource {
    /// The golden images of the package.
    Golden,
    /// Every byte is random. The work of a network does not depend on what an image shows.
    Noise,
}

impl ImageSource {
    /// In words.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Golden => "the golden images of the package",
            Self::Noise => "noise images",
        }
    }
}

/// Images of the model's size, used in turn.
#[derive(Debug, Clone)]
pub struct Images {
    bytes: Vec<u8>,
    image_bytes: usize,
    source: ImageSource,
}

impl Images {
    /// The golden images of the package in the folder `dir`, prepared as it records; noise if it has none.
    ///
    /// # Errors
    ///
    /// [`ExportError::Image`] for a golden image that cannot be read.
    pub fn of_package(
        dir: &Path,
        preparation: &Preparation,
        seed: u64,
    ) -> Result<Self, ExportError> {
        let image_bytes = preparation.height * preparation.width * 3;
        let mut bytes = Vec::new();
        for path in golden_files(&dir.join(GOLDEN)) {
            let image = preparation
                .read(&path)
                .map_err(|reason| ExportError::Image {
                    name: path.display().to_string(),
                    reason,
                })?;
            bytes.extend_from_slice(image.as_raw());
        }
        Ok(match bytes.is_empty() {
            true => Self::random(image_bytes, seed),
            false => Self {
                bytes,
                image_bytes,
                source: ImageSource::Golden,
            },
        })
    }

    /// Noise images for `model`. Equal seeds give equal images.
    #[must_use]
    pub fn noise(model: &dyn MeasuredModel, seed: u64) -> Self {
        Self::random(model.image_bytes(), seed)
    }

    fn random(image_bytes: usize, seed: u64) -> Self {
        let image_bytes = image_bytes.max(1);
        let n = (NOISE_BYTES / image_bytes).clamp(1, MOST_NOISE_IMAGES);
        let mut stream = Stream::new(seed, "benchmark images", 0, 0);
        let mut bytes = Vec::with_capacity(n * image_bytes + 3);
        while bytes.len() < n * image_bytes {
            bytes.extend_from_slice(&stream.next_u32().to_le_bytes());
        }
        bytes.truncate(n * image_bytes);
        Self {
            bytes,
            image_bytes,
            source: ImageSource::Noise,
        }
    }

    /// How many there are.
    #[must_use]
    pub fn n(&self) -> usize {
        self.bytes.len() / self.image_bytes
    }

    /// Where they come from.
    #[must_use]
    pub fn source(&self) -> ImageSource {
        self.source
    }

    /// The images in turn, at most `most` at once.
    pub(super) fn batches(&self, most: usize) -> Result<Batches, ExportError> {
        if most == 0 {
            let reason = "a query has 0 images, but must have at least 1";
            return Err(ExportError::argument("images of a query", reason));
        }
        let n = self.n();
        // The last batch of a turn goes on at the beginning.
        let all = self.bytes.iter().copied().cycle();
        Ok(Batches {
            bytes: all.take((n + most - 1) * self.image_bytes).collect(),
            image_bytes: self.image_bytes,
            n,
            next: 0,
        })
    }
}

/// Images one batch after the other.
#[derive(Debug)]
pub(super) struct Batches {
    bytes: Vec<u8>,
    image_bytes: usize,
    n: usize,
    next: usize,
}

impl Batches {
    /// The next `n` images; at most as many as [`Images::batches`] was told.
    pub(super) fn take(&mut self, n: usize) -> &[u8] {
        let start = self.next * self.image_bytes;
        self.next = (self.next + n) % self.n;
        &self.bytes[start..start + n * self.image_bytes]
    }
}

/// The image files of a folder in the order of their names; none if it does not exist.
fn golden_files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return Vec::new();
    };
    let is_image = |path: &PathBuf| {
        let extension = path
            .extension()
            .map(|extension| extension.to_ascii_lowercase());
        extension.is_some_and(|extension| {
            ["png", "jpg", "jpeg"]
                .iter()
                .any(|known| extension == *known)
        })
    };
    let mut files: Vec<PathBuf> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(is_image)
        .collect();
    files.sort();
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_come_in_turn_and_none_is_cut() {
        let images = Images {
            bytes: (0..15).collect(),
            image_bytes: 3,
            source: ImageSource::Noise,
        };
        let mut batches = images.batches(4).unwrap();
        let firsts: Vec<Vec<u8>> = [4, 4, 1, 3]
            .map(|n| batches.take(n).chunks(3).map(|image| image[0]).collect())
            .to_vec();
        assert_eq!(firsts[0], [0, 3, 6, 9]);
        assert_eq!(firsts[1], [12, 0, 3, 6]);
        assert_eq!(firsts[2], [9]);
        assert_eq!(firsts[3], [12, 0, 3]);
        // More at once than there are images.
        assert_eq!(images.batches(9).unwrap().take(9).len(), 27);
        assert!(images.batches(0).is_err());
    }

    #[test]
    fn noise_is_small_and_the_same_each_time() {
        let images = Images::random(32 * 32 * 3, 1);
        assert_eq!((images.n(), images.source()), (256, ImageSource::Noise));
        assert_eq!(images.bytes, Images::random(32 * 32 * 3, 1).bytes);
        assert_ne!(images.bytes, Images::random(32 * 32 * 3, 2).bytes);
        assert_eq!(Images::random(224 * 224 * 3, 1).n(), 6);
        assert_eq!(Images::random(5000 * 5000 * 3, 1).n(), 1);
    }

    #[test]
    fn golden_images_are_preferred_and_a_damaged_one_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let preparation = Preparation::new(4, 4);
        let noise = Images::of_package(folder.path(), &preparation, 0).unwrap();
        assert_eq!(noise.source(), ImageSource::Noise);
        let golden = folder.path().join(GOLDEN);
        std::fs::create_dir(&golden).unwrap();
        for (name, value) in [("b.png", 20), ("a.png", 10)] {
            let image = image::RgbImage::from_pixel(4, 4, image::Rgb([value; 3]));
            image.save(golden.join(name)).unwrap();
        }
        std::fs::write(golden.join("expected.json"), "{}").unwrap();
        let images = Images::of_package(folder.path(), &preparation, 0).unwrap();
        assert_eq!((images.n(), images.source()), (2, ImageSource::Golden));
        assert_eq!((images.bytes[0], images.bytes[48]), (10, 20));
        std::fs::write(golden.join("c.png"), "none").unwrap();
        let error = Images::of_package(folder.path(), &preparation, 0).unwrap_err();
        assert!(error.to_string().contains("c.png"), "{error}");
    }
}
