//! Opens packages.

use std::path::{Component, Path, PathBuf};

use mlestar_artifact::{ContentHash, read_artifact};
use mlestar_image::Preparation;

use super::manifest::{FileRole, Manifest, PackageFile, sha256};
use super::write::manifest_of;
use super::{INT8_FILE, MANIFEST_FILE, SAFETENSORS_FILE};
use crate::bytes;
use crate::error::ExportError;
use crate::executor::{Choice, ChoiceOptions, Executor, Precision};
use crate::frozen::FrozenModel;
use crate::int8_model::QuantizedModel;
use crate::predictor::Predictor;
use crate::{onnx, safetensors_file};

/// Reads the manifest of the package in the folder `dir`, without its other files.
///
/// # Errors
///
/// [`ExportError::Artifact`] if it is missing or invalid.
pub fn read_manifest(dir: &Path) -> Result<Manifest, ExportError> {
    Ok(read_artifact(&dir.join(MANIFEST_FILE))?)
}

/// Reads the package in the folder `dir` and checks the BLAKE3 of every file of the model.
///
/// # Errors
///
/// [`ExportError::Artifact`] if the manifest is missing or invalid, [`ExportError::Altered`] if a file differs
/// from its record or the manifest contradicts the model, [`ExportError::Read`] and [`ExportError::Malformed`]
/// for the single files.
pub fn open(dir: &Path) -> Result<(FrozenModel, Manifest), ExportError> {
    open_with(dir, |file| file.role == FileRole::Model)
}

/// The content of a file of the package in the folder `dir`, after its BLAKE3 was checked.
///
/// # Errors
///
/// As for [`open`], for this file; [`ExportError::Malformed`] if the manifest does not record it.
pub fn read_file(dir: &Path, name: &str) -> Result<Vec<u8>, ExportError> {
    let manifest = read_manifest(dir)?;
    match manifest.files.iter().find(|file| file.name == name) {
        Some(file) => read_checked(dir, file, Hashes::Fast),
        None => {
            let reason = format!("`files` lacks {name}");
            Err(ExportError::malformed(&dir.join(MANIFEST_FILE), reason))
        }
    }
}

/// Reads the int8 model of the package in the folder `dir`; `None` if it has none.
///
/// # Errors
///
/// As for [`open`]; [`ExportError::Malformed`] if the file is not an int8 model that this crate wrote.
pub fn open_quantized(dir: &Path) -> Result<Option<QuantizedModel>, ExportError> {
    let manifest = read_manifest(dir)?;
    let Some(file) = manifest.files.iter().find(|file| file.name == INT8_FILE) else {
        return Ok(None);
    };
    let content = read_checked(dir, file, Hashes::Fast)?;
    onnx::quantized_from_bytes(&content)
        .map(Some)
        .map_err(|reason| ExportError::malformed(&dir.join(INT8_FILE), reason))
}

impl Predictor {
    /// Opens a package with the fastest precision on this machine ([`Predictor::fastest`]), of those that `options` and
    /// the package allow: `f32`, and the precisions that kept enough of the accuracy when the package was made.
    ///
    /// # Errors
    ///
    /// As for [`open`] and [`Predictor::fastest`].
    pub fn open_fastest(
        dir: &Path,
        options: &ChoiceOptions,
    ) -> Result<(Self, Choice), ExportError> {
        let (model, manifest) = open_with(dir, |_| false)?;
        let is_allowed = |precision: &Precision| {
            *precision == Precision::F32
                || (manifest.precisions.iter())
                    .any(|record| record.precision == *precision && record.is_allowed)
        };
        let options = ChoiceOptions {
            precisions: (options.precisions.iter().copied())
                .filter(is_allowed)
                .collect(),
            ..options.clone()
        };
        let quantized = match options.precisions.contains(&Precision::Int8) {
            true => open_quantized(dir)?,
            false => None,
        };
        let (predictor, choice) = Self::fastest(model, quantized.as_ref(), &options)?;
        Ok((predictor.with_preparation(manifest.preparation), choice))
    }

    /// Opens a package in this precision, with the fastest algorithms for batches of `batch` images, whether the package
    /// allows the precision or not.
    ///
    /// # Errors
    ///
    /// As for [`open`]; [`ExportError::InvalidArgument`] for int8 if the package has no such model.
    pub fn open_in(dir: &Path, precision: Precision, batch: usize) -> Result<Self, ExportError> {
        let (model, manifest) = open_with(dir, |_| false)?;
        let executor = match precision {
            Precision::Int8 => match open_quantized(dir)? {
                Some(quantized) => Executor::quantized(&quantized, batch),
                None => {
                    let reason = format!("int8, but {} has no {INT8_FILE}", dir.display());
                    return Err(ExportError::argument("precision", reason));
                }
            },
            _ => Executor::with_precision(&model, precision, batch)?,
        };
        Ok(Self::with_executor(model, executor).with_preparation(manifest.preparation))
    }

    /// Opens a package that [`write_package`](super::write_package) wrote, and checks the file that it uses.
    ///
    /// ```
    /// use mlestar_export::{Predictor, Preparation, package};
    #[doc = include_str!("../doc_model.in")]
    /// # let folder = tempfile::tempdir()?;
    /// let dir = folder.path().join("package");
    /// package::write_package(&dir, &model, &Preparation::new(2, 2), &package::Contents::default())?;
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
        let (model, manifest) = open_with(dir, |_| false)?;
        Ok(Self::new(model).with_preparation(manifest.preparation))
    }
}

/// Reads the weights, and checks them and the files that `checks` picks.
pub(super) fn open_with(
    dir: &Path,
    checks: impl Fn(&PackageFile) -> bool,
) -> Result<(FrozenModel, Manifest), ExportError> {
    let manifest_path = dir.join(MANIFEST_FILE);
    let manifest = read_manifest(dir)?;
    let mut model = None;
    for file in &manifest.files {
        let is_weights = file.name == SAFETENSORS_FILE;
        if !is_weights && !checks(file) {
            continue;
        }
        let content = read_checked(dir, file, Hashes::Fast)?;
        if is_weights {
            let path = dir.join(SAFETENSORS_FILE);
            let read = safetensors_file::from_bytes(&content)
                .map_err(|reason| ExportError::malformed(&path, reason))?;
            model = Some(read);
        }
    }
    let Some(model) = model else {
        return Err(ExportError::malformed(
            &manifest_path,
            format!("`files` lacks {SAFETENSORS_FILE}"),
        ));
    };
    match contradiction(&model, &manifest) {
        Some((what, recorded, found)) => Err(ExportError::Altered {
            path: manifest_path,
            what: format!("`{what}`"),
            recorded: format!("{recorded} in {SAFETENSORS_FILE}"),
            found,
        }),
        None => Ok((model, manifest)),
    }
}

/// Which hashes of a file are checked.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Hashes {
    /// BLAKE3.
    Fast,
    /// BLAKE3 and SHA-256.
    Both,
}

/// The content of a file of a package, after its size and hashes were checked.
pub(super) fn read_checked(
    dir: &Path,
    file: &PackageFile,
    hashes: Hashes,
) -> Result<Vec<u8>, ExportError> {
    let path = file_path(dir, &file.name)
        .map_err(|reason| ExportError::malformed(&dir.join(MANIFEST_FILE), reason))?;
    let content = bytes::read_file(&path)?;
    let altered = |what: &str, recorded: String, found: String| ExportError::Altered {
        path: path.clone(),
        what: what.to_owned(),
        recorded,
        found,
    };
    let size = content.len() as u64;
    if size != file.bytes {
        let (recorded, found) = (file.bytes.to_string(), size.to_string());
        return Err(altered("its size in bytes", recorded, found));
    }
    let hash = ContentHash::of_bytes(&content);
    if hash != file.blake3 {
        let (recorded, found) = (file.blake3.to_string(), hash.to_string());
        return Err(altered("its BLAKE3 hash", recorded, found));
    }
    if hashes == Hashes::Both {
        let found = sha256(&content);
        if found != file.sha256 {
            return Err(altered("its SHA-256 hash", file.sha256.clone(), found));
        }
    }
    Ok(content)
}

/// The path of a file of a package. Its name must stay inside the folder.
///
/// # Errors
///
/// What is wrong with the name.
pub(super) fn file_path(dir: &Path, name: &str) -> Result<PathBuf, String> {
    let is_plain = |component| matches!(component, Component::Normal(_));
    let path = Path::new(name);
    if name.is_empty() || name.contains('\\') || !path.components().all(is_plain) {
        return Err(format!(
            "a file is named {name:?}, which is no plain name inside the package"
        ));
    }
    if name == MANIFEST_FILE {
        return Err("the manifest does not record itself".to_owned());
    }
    Ok(dir.join(path))
}

/// The first field in which the manifest differs from the model: its name, the model's value and the
/// manifest's.
fn contradiction(model: &FrozenModel, manifest: &Manifest) -> Option<(String, String, String)> {
    let preparation = Preparation {
        height: model.height(),
        width: model.width(),
        ..manifest.preparation
    };
    let expected = Manifest {
        files: manifest.files.clone(),
        golden: manifest.golden.clone(),
        calibration: manifest.calibration,
        precisions: manifest.precisions.clone(),
        training_data: manifest.training_data.clone(),
        metrics: manifest.metrics.clone(),
        provenance: manifest.provenance.clone(),
        gates: manifest.gates.clone(),
        ..manifest_of(model, &preparation)
    };
    let json = |manifest: &Manifest| serde_json::to_value(manifest).unwrap_or_default();
    let (expected, found) = (json(&expected), json(manifest));
    let fields = expected.as_object()?;
    fields
        .iter()
        .find(|(key, value)| found.get(key) != Some(value))
        .map(|(key, value)| {
            let found = found.get(key).map(ToString::to_string).unwrap_or_default();
            (key.clone(), value.to_string(), found)
        })
}
