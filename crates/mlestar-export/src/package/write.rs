//! Writes packages.

use std::collections::BTreeMap;
use std::path::Path;

use mlestar_artifact::{read_artifact, write_artifact, write_atomically};
use mlestar_image::Preparation;

use super::golden::{GOLDEN_TOLERANCE, GoldenImage, GoldenInput};
use super::manifest::{
    Calibration, FileRole, GateRecord, InputContract, Manifest, MetricRecord, OutputContract,
    PackageFile, PrecisionRecord,
};
use super::read::file_path;
use super::training_data::TrainingData;
use super::{GOLDEN_FOLDER, INT8_FILE, MANIFEST_FILE, ONNX_FILE, SAFETENSORS_FILE, TORCH_FILE};
use crate::confidence::familiarity;
use crate::error::ExportError;
use crate::frozen::FrozenModel;
use crate::int8_model::QuantizedModel;
use crate::predictor::Predictor;
use crate::quantize::is_quantization_of;
use crate::{onnx, safetensors_file, torch};

/// A golden image decides nothing if another machine's rounding could change its class. So its margins are at least
/// this many times the tolerance.
const CLEAR_MARGIN: f64 = 10.0;

/// What goes into a package besides the files of the model.
#[derive(Debug, Clone, Default)]
pub struct Contents {
    /// Images to become golden images. Those whose class or "none of these" is a matter of rounding are left out.
    pub golden: Vec<GoldenInput>,
    /// How temperature and limit were chosen.
    pub calibration: Option<Calibration>,
    /// The model in int8.
    pub quantized: Option<QuantizedModel>,
    /// How other precisions compare with `f32`.
    pub precisions: Vec<PrecisionRecord>,
    /// What the model was trained on.
    pub training_data: Option<TrainingData>,
    /// What the model achieved.
    pub metrics: Vec<MetricRecord>,
    /// The origin of the model: run, data, code version ...
    pub provenance: BTreeMap<String, String>,
}

/// A file to add to a package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddedFile {
    /// Name inside the package's folder, with `/` between folders.
    pub name: String,
    /// Its purpose.
    pub role: FileRole,
    /// Its content.
    pub content: Vec<u8>,
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
/// produces images of another size than the model expects, or `contents` do not fit the model or name a file that
/// cannot be in a package; [`ExportError::Image`] if a golden image cannot be decoded.
pub fn write_package(
    dir: &Path,
    model: &FrozenModel,
    preparation: &Preparation,
    contents: &Contents,
) -> Result<Manifest, ExportError> {
    check(model, preparation, contents)?;
    let mut files = vec![
        AddedFile {
            name: SAFETENSORS_FILE.to_owned(),
            role: FileRole::Model,
            content: safetensors_file::to_bytes(model),
        },
        AddedFile {
            name: ONNX_FILE.to_owned(),
            role: FileRole::Model,
            content: onnx::to_bytes(model),
        },
    ];
    files.push(AddedFile {
        name: TORCH_FILE.to_owned(),
        role: FileRole::Model,
        content: torch::source(model).into_bytes(),
    });
    if let Some(quantized) = &contents.quantized {
        files.push(AddedFile {
            name: INT8_FILE.to_owned(),
            role: FileRole::Model,
            content: onnx::quantized_to_bytes(quantized),
        });
    }
    let predictor = Predictor::new(model.clone()).with_preparation(*preparation);
    let mut golden = Vec::new();
    for input in &contents.golden {
        let name = format!("{GOLDEN_FOLDER}/{}", input.name);
        let image = GoldenImage::record(&predictor, name.clone(), input)?;
        if !is_clear(&image, &predictor) {
            continue;
        }
        golden.push(image);
        files.push(AddedFile {
            name,
            role: FileRole::Golden,
            content: input.content.clone(),
        });
    }
    let manifest = Manifest {
        files: write_files(dir, &files)?,
        golden,
        calibration: contents.calibration,
        precisions: contents.precisions.clone(),
        training_data: contents.training_data.clone(),
        metrics: contents.metrics.clone(),
        provenance: contents.provenance.clone(),
        ..manifest_of(model, preparation)
    };
    write_artifact(&dir.join(MANIFEST_FILE), &manifest)?;
    Ok(manifest)
}

/// Writes further files into the package in the folder `dir` and records them in its manifest. A file of the same name
/// is replaced.
///
/// # Errors
///
/// [`ExportError::Artifact`] if the manifest is missing, invalid or a file cannot be written;
/// [`ExportError::InvalidArgument`] for a name that leads out of the folder or is the manifest's own.
pub fn add_files(dir: &Path, files: &[AddedFile]) -> Result<Manifest, ExportError> {
    let path = dir.join(MANIFEST_FILE);
    let mut manifest: Manifest = read_artifact(&path)?;
    let added = write_files(dir, files)?;
    manifest
        .files
        .retain(|file| added.iter().all(|new| new.name != file.name));
    manifest.files.extend(added);
    manifest.files.sort_by(|a, b| a.name.cmp(&b.name));
    write_artifact(&path, &manifest)?;
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

fn check(
    model: &FrozenModel,
    preparation: &Preparation,
    contents: &Contents,
) -> Result<(), ExportError> {
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
    if let Some(quantized) = &contents.quantized
        && !is_quantization_of(quantized, model)
    {
        return Err(ExportError::argument(
            "quantised model",
            "it is not a quantisation of the model",
        ));
    }
    if let Some(data) = &contents.training_data {
        data.check(model.n_classes())?;
    }
    Ok(())
}

/// Whether class and "none of these" of a golden image are certain on every machine.
fn is_clear(image: &GoldenImage, predictor: &Predictor) -> bool {
    let logits = &image.logits;
    let scale = logits.iter().fold(1.0_f32, |a, b| a.max(b.abs()));
    let least = CLEAR_MARGIN * GOLDEN_TOLERANCE * f64::from(scale);
    let mut sorted = logits.clone();
    sorted.sort_by(|a, b| b.total_cmp(a));
    let margin = match sorted[..] {
        [first, second, ..] => f64::from(first - second),
        _ => f64::INFINITY,
    };
    let limit = predictor.model().confidence().familiarity_limit;
    let distance = limit.map_or(f64::INFINITY, |limit| {
        (familiarity(logits) - f64::from(limit)).abs()
    });
    margin >= least && distance >= least
}

fn write_files(dir: &Path, files: &[AddedFile]) -> Result<Vec<PackageFile>, ExportError> {
    let mut records = Vec::new();
    for file in files {
        let path = file_path(dir, &file.name).map_err(|reason| {
            ExportError::argument("file name", format!("{:?}: {reason}", file.name))
        })?;
        write_atomically(&path, &file.content)?;
        records.push(PackageFile::of(&file.name, file.role, &file.content));
    }
    records.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(records)
}

/// The part of the manifest that follows from the model.
pub(super) fn manifest_of(model: &FrozenModel, preparation: &Preparation) -> Manifest {
    let output = |name: &str, element_type: &str, layout: &str, meaning: &str| OutputContract {
        name: name.to_owned(),
        element_type: element_type.to_owned(),
        layout: layout.to_owned(),
        meaning: meaning.to_owned(),
    };
    let per_class = "batch, classes";
    let mut outputs = vec![
        output(
            onnx::LOGITS,
            "float32",
            per_class,
            "one score for each class, before the softmax",
        ),
        output(
            onnx::PROBABILITIES,
            "float32",
            per_class,
            "softmax of the logits divided by the temperature",
        ),
        output(
            onnx::FAMILIARITY,
            "float32",
            "batch",
            "logarithm of the sum of exp(logits): low for images unlike the training images",
        ),
    ];
    if model.confidence().familiarity_limit.is_some() {
        outputs.push(output(
            onnx::NONE_OF_THESE,
            "bool",
            "batch",
            "whether the familiarity is below its limit",
        ));
    }
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
        outputs,
        confidence: model.confidence(),
        calibration: None,
        parameters: model.parameters() as u64,
        multiply_adds_per_image: model.multiply_adds(),
        files: Vec::new(),
        golden: Vec::new(),
        precisions: Vec::new(),
        training_data: None,
        metrics: Vec::new(),
        provenance: BTreeMap::new(),
        gates: Vec::new(),
    }
}
