//! A deployable model as a folder.
//!
//! | file | content |
//! |---|---|
//! | `model.safetensors` | folded weights, operations, classes, normalisation: what [`Predictor`] runs |
//! | `model.onnx` | the same model for any ONNX runtime |
//! | `model.json` | [`Manifest`]: input and output contract, hashes and sizes of the files, provenance |
//!
//! [`Predictor::open`] checks every recorded hash, so that a damaged or altered file is rejected by name and
//! never used. Hashes find damage and mix-ups. They are no signature and do not protect against someone who
//! also rewrites the manifest.

use std::collections::BTreeMap;
use std::path::Path;

use mlestar_artifact::{Artifact, ContentHash, read_artifact, write_artifact, write_atomically};
use mlestar_image::Preparation;
use serde::{Deserialize, Serialize};

use crate::bytes::read_file;
use crate::error::ExportError;
use crate::frozen::FrozenModel;
use crate::graph::PixelNormalization;
use crate::predictor::Predictor;
use crate::{onnx, safetensors_file};

/// File name of the weights in a package.
pub const SAFETENSORS_FILE: &str = "model.safetensors";
/// File name of the ONNX model in a package.
pub const ONNX_FILE: &str = "model.onnx";
/// File name of the manifest in a package.
pub const MANIFEST_FILE: &str = "model.json";

/// The description of a package: the content of `model.json`.
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
    /// Weights and biases, batch norm folded.
    pub parameters: u64,
    /// Multiply-adds of one image.
    pub multiply_adds_per_image: u64,
    /// The other files of the package.
    pub files: Vec<PackageFile>,
    /// The origin of the model, as given to the exporter: run, data, code version ...
    pub provenance: BTreeMap<String, String>,
    /// The verdicts of the quality gates of the run, in their order; empty if there were none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gates: Vec<GateRecord>,
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

impl Artifact for Manifest {
    const SCHEMA: &'static str = "mlestar.model_package";
    const VERSION: u32 = 2;
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

/// One output of a model, `[batch, classes]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OutputContract {
    /// Name of the ONNX output.
    pub name: String,
    /// Type of a value: `float32`.
    pub element_type: String,
    /// Its meaning.
    pub meaning: String,
}

/// A file of a package.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PackageFile {
    /// Name inside the package's folder.
    pub name: String,
    /// Size in bytes.
    pub bytes: u64,
    /// BLAKE3 of the content.
    pub blake3: ContentHash,
}

/// Writes the package of `model` into the folder `dir`, which is created if it is missing.
///
/// `preparation` describes how image files were converted to the model's input in training. Every file is
/// written atomically, the manifest last: an unfinished package is rejected on opening. Equal arguments give
/// equal bytes.
///
/// # Errors
///
/// [`ExportError::Artifact`] if a file cannot be written, [`ExportError::InvalidArgument`] if `preparation`
/// produces images of another size than the model expects.
pub fn write_package(
    dir: &Path,
    model: &FrozenModel,
    preparation: &Preparation,
    provenance: &BTreeMap<String, String>,
) -> Result<Manifest, ExportError> {
    if (preparation.height, preparation.width) != (model.height(), model.width()) {
        return Err(ExportError::argument(
            "preparation",
            format!(
                "it produces images of {} x {}, but the model takes {} x {}",
                preparation.height,
                preparation.width,
                model.height(),
                model.width()
            ),
        ));
    }
    let contents = [
        (SAFETENSORS_FILE, safetensors_file::to_bytes(model)),
        (ONNX_FILE, onnx::to_bytes(model)),
    ];
    let mut files = Vec::new();
    for (name, content) in &contents {
        write_atomically(&dir.join(name), content)?;
        files.push(PackageFile {
            name: (*name).to_owned(),
            bytes: content.len() as u64,
            blake3: ContentHash::of_bytes(content),
        });
    }
    let manifest = manifest_of(model, preparation, files, provenance.clone());
    write_artifact(&dir.join(MANIFEST_FILE), &manifest)?;
    Ok(manifest)
}

/// Writes the verdicts of the quality gates into the manifest of the package in the folder `dir`, replacing
/// earlier ones. Nothing else changes.
///
/// # Errors
///
/// [`ExportError::Artifact`] if the manifest is missing, invalid or cannot be written.
pub fn record_gates(dir: &Path, gates: Vec<GateRecord>) -> Result<Manifest, ExportError> {
    let path = dir.join(MANIFEST_FILE);
    let manifest = Manifest {
        gates,
        ..read_artifact(&path)?
    };
    write_artifact(&path, &manifest)?;
    Ok(manifest)
}

/// Reads and verifies the package in the folder `dir`.
///
/// # Errors
///
/// [`ExportError::Artifact`] if the manifest is missing or invalid, [`ExportError::Altered`] if a file differs
/// from its record or the manifest contradicts the model, [`ExportError::Read`] and [`ExportError::Malformed`]
/// for the single files.
pub fn open(dir: &Path) -> Result<(FrozenModel, Manifest), ExportError> {
    let manifest_path = dir.join(MANIFEST_FILE);
    let manifest: Manifest = read_artifact(&manifest_path)?;
    let mut model = None;
    for name in [SAFETENSORS_FILE, ONNX_FILE] {
        let path = dir.join(name);
        let recorded = manifest
            .files
            .iter()
            .find(|file| file.name == name)
            .ok_or_else(|| {
                ExportError::malformed(&manifest_path, format!("`files` lacks {name}"))
            })?;
        let content = read_file(&path)?;
        verify(&path, &content, recorded)?;
        if name == SAFETENSORS_FILE {
            let read = safetensors_file::from_bytes(&content)
                .map_err(|reason| ExportError::malformed(&path, reason))?;
            model = Some(read);
        }
    }
    let Some(model) = model else {
        return Err(ExportError::malformed(
            &manifest_path,
            "the package has no weights",
        ));
    };
    let expected = Manifest {
        gates: manifest.gates.clone(),
        ..manifest_of(
            &model,
            &Preparation {
                height: model.height(),
                width: model.width(),
                ..manifest.preparation
            },
            manifest.files.clone(),
            manifest.provenance.clone(),
        )
    };
    match contradiction(&expected, &manifest) {
        Some((what, recorded, found)) => Err(ExportError::Altered {
            path: manifest_path,
            what: format!("`{what}`"),
            recorded: format!("{recorded} in {SAFETENSORS_FILE}"),
            found,
        }),
        None => Ok((model, manifest)),
    }
}

impl Predictor {
    /// Opens and verifies a package that [`write_package`] wrote.
    ///
    /// ```
    /// use std::collections::BTreeMap;
    /// use mlestar_export::{Predictor, Preparation, package};
    #[doc = include_str!("doc_model.in")]
    /// # let folder = tempfile::tempdir()?;
    /// let dir = folder.path().join("package");
    /// package::write_package(&dir, &model, &Preparation::new(2, 2), &BTreeMap::new())?;
    /// let predictor = Predictor::open(&dir)?;
    /// assert_eq!(predictor.predict(&[255, 0, 0].repeat(4), 2, 2)?.class, "red");
    ///
    /// std::fs::write(dir.join("model.safetensors"), "something else")?;
    /// let error = Predictor::open(&dir).unwrap_err();
    /// assert!(error.to_string().contains("model.safetensors: altered"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`open`].
    pub fn open(dir: &Path) -> Result<Self, ExportError> {
        let (model, manifest) = open(dir)?;
        Ok(Self::new(model).with_preparation(manifest.preparation))
    }
}

fn manifest_of(
    model: &FrozenModel,
    preparation: &Preparation,
    files: Vec<PackageFile>,
    provenance: BTreeMap<String, String>,
) -> Manifest {
    let output = |name: &str, meaning: &str| OutputContract {
        name: name.to_owned(),
        element_type: "float32".to_owned(),
        meaning: meaning.to_owned(),
    };
    Manifest {
        classes: model.classes().to_vec(),
        input: InputContract {
            name: onnx::INPUT.to_owned(),
            element_type: "uint8".to_owned(),
            layout: "batch, height, width, channel".to_owned(),
            channels: "RGB".to_owned(),
            height: model.height(),
            width: model.width(),
        },
        normalization: *model.normalization(),
        preparation: *preparation,
        outputs: vec![
            output(onnx::LOGITS, "one score for each class, before the softmax"),
            output(onnx::PROBABILITIES, "softmax of the logits"),
        ],
        parameters: model.parameters() as u64,
        multiply_adds_per_image: model.multiply_adds(),
        files,
        provenance,
        gates: Vec::new(),
    }
}

fn verify(path: &Path, content: &[u8], recorded: &PackageFile) -> Result<(), ExportError> {
    let altered = |what: &str, recorded: String, found: String| ExportError::Altered {
        path: path.to_owned(),
        what: what.to_owned(),
        recorded,
        found,
    };
    let bytes = content.len() as u64;
    if bytes != recorded.bytes {
        return Err(altered(
            "its size in bytes",
            recorded.bytes.to_string(),
            bytes.to_string(),
        ));
    }
    let hash = ContentHash::of_bytes(content);
    if hash != recorded.blake3 {
        return Err(altered(
            "its BLAKE3 hash",
            recorded.blake3.to_string(),
            hash.to_string(),
        ));
    }
    Ok(())
}

/// The first field in which the manifest differs from the model: its name, the model's value and the
/// manifest's.
fn contradiction(expected: &Manifest, found: &Manifest) -> Option<(String, String, String)> {
    let json = |manifest: &Manifest| serde_json::to_value(manifest).unwrap_or_default();
    let (expected, found) = (json(expected), json(found));
    let fields = expected.as_object()?;
    fields
        .iter()
        .find(|(key, value)| found.get(key) != Some(value))
        .map(|(key, value)| {
            let found = found.get(key).map(ToString::to_string).unwrap_or_default();
            (key.clone(), value.to_string(), found)
        })
}
