//! The manifest of a package.

use std::collections::BTreeMap;

use mlestar_artifact::{Artifact, ContentHash};
use mlestar_eval::{Interval, TemperatureFit};
use mlestar_image::Preparation;
use serde::{Deserialize, Serialize};

use super::golden::GoldenImage;
use super::training_data::TrainingData;
use crate::confidence::Confidence;
use crate::executor::Precision;
use crate::graph::PixelNormalization;
use crate::quantize::PrecisionFigures;

/// The description of a package: the content of `manifest.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Class names; position is class index.
    pub classes: Vec<String>,
    /// The input of the model.
    pub input: InputContract,
    /// The normalisation of pixels inside the model: callers pass raw bytes.
    pub normalization: PixelNormalization,
    /// How to convert an image file to that input, as in training.
    pub preparation: Preparation,
    /// The outputs of the model.
    pub outputs: Vec<OutputContract>,
    /// How logits become probabilities and "none of these".
    pub confidence: Confidence,
    /// How these numbers were chosen; `None` if the caller did not say.
    pub calibration: Option<Calibration>,
    /// Weights and biases, batch norm folded.
    pub parameters: u64,
    /// Multiply-adds of one image.
    pub multiply_adds_per_image: u64,
    /// The other files of the package, by name.
    pub files: Vec<PackageFile>,
    /// Images with the predictions that every copy of the package must reproduce.
    pub golden: Vec<GoldenImage>,
    /// What the model was trained on, to compare the images of today with; `None` if the caller did not say.
    pub training_data: Option<TrainingData>,
    /// The precisions besides `f32` that were compared with it.
    pub precisions: Vec<PrecisionRecord>,
    /// What the model achieved.
    pub metrics: Vec<MetricRecord>,
    /// The origin of the model, as given to the exporter: run, data, code version ...
    pub provenance: BTreeMap<String, String>,
    /// The verdicts of the quality gates of the run, in their order; empty if there were none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gates: Vec<GateRecord>,
}

impl Artifact for Manifest {
    const SCHEMA: &'static str = "mlestar.model_package";
    const VERSION: u32 = 3;
}

/// How temperature and limit were chosen, on validation images.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Calibration {
    /// The fit of the temperature.
    pub temperature: TemperatureFit,
    /// The share of images of the classes that may be called "none of these", 0-1.
    pub false_alarm_rate: f64,
}

/// How a precision besides `f32` compares with it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PrecisionRecord {
    /// The precision.
    pub precision: Precision,
    /// The comparison on the validation split, which decides `is_allowed`.
    pub validation: PrecisionFigures,
    /// The comparison on the test split, for the record.
    pub test: PrecisionFigures,
    /// Whether it keeps enough of the validation accuracy to be chosen by [`Predictor::open_fastest`](crate::Predictor::open_fastest).
    pub is_allowed: bool,
}

/// A figure of the model on the test split.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MetricRecord {
    /// Such as `accuracy`.
    pub name: String,
    /// Its value.
    pub value: f64,
    /// Its confidence interval, if there is one.
    pub interval: Option<Interval>,
    /// Number of test images.
    pub n: u64,
}

/// The verdict of one quality gate on the model or on how it was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GateRecord {
    /// The gate, such as `evaluation`.
    pub gate: String,
    /// Its verdict, such as `PASS` or `FAIL`.
    pub status: String,
    /// The unmet criteria, one sentence each; empty if all are met.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unmet: Vec<String>,
}

/// The input of a model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InputContract {
    /// Name of the ONNX input.
    pub name: String,
    /// Type of a value: `uint8`.
    pub element_type: String,
    /// Order of the values: `batch, height, width, channel`.
    pub layout: String,
    /// Meaning of the channels, in order: `RGB`.
    pub channels: String,
    /// Height in pixels.
    pub height: usize,
    /// Width in pixels.
    pub width: usize,
}

/// One output of a model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OutputContract {
    /// Name of the ONNX output.
    pub name: String,
    /// Type of a value, such as `float32`.
    pub element_type: String,
    /// Its dimensions, such as `batch, classes`.
    pub layout: String,
    /// Its meaning.
    pub meaning: String,
}

/// What a file of a package is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FileRole {
    /// The model in one of its formats.
    Model,
    /// A golden image.
    Golden,
    /// Text for people.
    Document,
    /// A file for the tools that deploy and watch the model.
    Deployment,
}

/// A file of a package.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PackageFile {
    /// Name inside the package's folder, with `/` between folders.
    pub name: String,
    /// Its purpose.
    pub role: FileRole,
    /// Size in bytes.
    pub bytes: u64,
    /// BLAKE3 of the content: fast to check.
    pub blake3: ContentHash,
    /// SHA-256 of the content, in lower-case hexadecimal digits: every system has a tool for it.
    pub sha256: String,
}

impl PackageFile {
    pub(super) fn of(name: &str, role: FileRole, content: &[u8]) -> Self {
        Self {
            name: name.to_owned(),
            role,
            bytes: content.len() as u64,
            blake3: ContentHash::of_bytes(content),
            sha256: sha256(content),
        }
    }
}

/// SHA-256 in lower-case hexadecimal digits.
pub(super) fn sha256(content: &[u8]) -> String {
    use sha2::{Digest, Sha256};
    let digest = Sha256::digest(content);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sha256_is_that_of_the_standard() {
        // FIPS 180-2, B.1.
        let expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(sha256(b"abc"), expected);
    }
}
