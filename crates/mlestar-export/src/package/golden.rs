//! Golden images: inputs whose predictions every copy of a package must reproduce.

use mlestar_artifact::ContentHash;
use serde::{Deserialize, Serialize};

use crate::error::ExportError;
use crate::predictor::{Predictor, argmax};

/// Largest difference of a logit from the recorded one, relative to the largest logit of the image (at least 1).
/// Processors with other vector units round differently; a damaged file, other weights or another way to resize
/// change logits by far more.
pub const GOLDEN_TOLERANCE: f64 = 1e-3;

/// An image file to become a golden image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GoldenInput {
    /// File name, without a folder.
    pub name: String,
    /// Content of the file, in a format that training reads.
    pub content: Vec<u8>,
    /// The true class, if known.
    pub label: Option<usize>,
}

/// A golden image as a manifest records it. Its file is in `golden/`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GoldenImage {
    /// Name of the file inside the package's folder.
    pub file: String,
    /// The true class, if known.
    pub label: Option<usize>,
    /// BLAKE3 of the pixels after decoding and resizing: it tells a difference there from one in the model.
    pub pixels_blake3: ContentHash,
    /// The logits.
    pub logits: Vec<f32>,
    /// Name of the predicted class.
    pub class: String,
    /// Its calibrated probability, 0-1.
    pub probability: f64,
    /// Whether the image is none of the classes.
    pub none_of_these: bool,
}

/// How today's predictions of a golden image compare with the recorded ones.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GoldenResult {
    /// Name of the file inside the package's folder.
    pub file: String,
    /// Whether decoding and resizing gave the recorded pixels.
    pub same_pixels: bool,
    /// Largest difference of a logit, relative to the largest recorded one (at least 1).
    pub largest_difference: f64,
    /// Whether the class and "none of these" are the recorded ones.
    pub same_answer: bool,
}

impl GoldenResult {
    /// Whether the recorded prediction was reproduced: the same pixels, the same class and "none of these", and
    /// logits within [`GOLDEN_TOLERANCE`].
    #[must_use]
    pub fn is_reproduced(&self) -> bool {
        self.same_pixels && self.same_answer && self.largest_difference <= GOLDEN_TOLERANCE
    }
}

impl GoldenImage {
    /// Predicts an image and records the prediction. `file` is its name inside the package's folder.
    pub(super) fn record(
        predictor: &Predictor,
        file: String,
        input: &GoldenInput,
    ) -> Result<Self, ExportError> {
        let (pixels, logits) = run(predictor, &file, &input.content)?;
        let prediction = predictor.prediction(&logits);
        Ok(Self {
            file,
            label: input.label,
            pixels_blake3: ContentHash::of_bytes(&pixels),
            logits,
            class: prediction.class,
            probability: prediction.probability,
            none_of_these: prediction.none_of_these,
        })
    }

    /// Predicts the image again, from the content of its file.
    ///
    /// # Errors
    ///
    /// [`ExportError::Image`] if the file cannot be decoded.
    pub fn compare(
        &self,
        predictor: &Predictor,
        content: &[u8],
    ) -> Result<GoldenResult, ExportError> {
        let (pixels, logits) = run(predictor, &self.file, content)?;
        let scale = self.logits.iter().fold(1.0_f32, |a, b| a.max(b.abs()));
        let differences = self.logits.iter().zip(&logits);
        let largest = differences
            .map(|(a, b)| f64::from((a - b).abs()))
            // A NaN must not vanish in the maximum.
            .fold(
                0.0,
                |a: f64, b| if b.is_nan() { f64::MAX } else { a.max(b) },
            );
        let same_length = self.logits.len() == logits.len();
        let none_of_these = predictor.prediction(&logits).none_of_these;
        Ok(GoldenResult {
            file: self.file.clone(),
            same_pixels: ContentHash::of_bytes(&pixels) == self.pixels_blake3,
            largest_difference: largest / f64::from(scale),
            same_answer: same_length
                && argmax(&logits) == argmax(&self.logits)
                && none_of_these == self.none_of_these,
        })
    }
}

fn run(
    predictor: &Predictor,
    file: &str,
    content: &[u8],
) -> Result<(Vec<u8>, Vec<f32>), ExportError> {
    let pixels = predictor.preparation().apply(content);
    let pixels = pixels.map_err(|reason| ExportError::Image {
        name: file.to_owned(),
        reason,
    })?;
    let pixels = pixels.into_raw();
    let logits = predictor.logits(&pixels, 1)?;
    Ok((pixels, logits))
}
