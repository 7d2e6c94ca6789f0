//! The package that a command is asked about.

use super::project::run_path;
use mlestar_export::package::{MANIFEST_FILE, archive};
use mlestar_workflow::{RunFolder, Stage, WorkflowError};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// A package's folder, perhaps unpacked from a file for as long as this lives.
pub struct OpenPackage {
    folder: PathBuf,
    _unpacked: Option<TempDir>,
}

impl OpenPackage {
    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }
}

/// The package that the user means: a package's folder, a `.tar.zst` file, or the package of a run; a plain name
/// stands for `runs/NAME` first.
///
/// # Errors
/// [`WorkflowError::NoPackage`] where there is none; any failure of unpacking.
pub fn package_of(model: &Path) -> Result<OpenPackage, WorkflowError> {
    if model.is_file() && is_archive(model) {
        let unpacked = TempDir::new().map_err(|error| {
            WorkflowError::Usage(format!(
                "no temporary folder for {}: {error}",
                model.display()
            ))
        })?;
        archive::unpack(model, unpacked.path())?;
        return Ok(OpenPackage {
            folder: unpacked.path().to_owned(),
            _unpacked: Some(unpacked),
        });
    }
    let of_run = |run: &Path| RunFolder::new(run).artifact(Stage::Deployment, "package");
    let places = [model.to_owned(), of_run(&run_path(model)), of_run(model)];
    let found = places
        .into_iter()
        .find(|place| place.join(MANIFEST_FILE).is_file() && !is_run(place));
    match found {
        Some(folder) => Ok(OpenPackage {
            folder,
            _unpacked: None,
        }),
        None => Err(WorkflowError::NoPackage {
            path: run_path(model),
        }),
    }
}

/// Whether the name is that of a packed package.
pub fn is_archive(path: &Path) -> bool {
    path.to_string_lossy().ends_with(archive::EXTENSION)
}

/// A run's folder has a manifest of its own.
fn is_run(folder: &Path) -> bool {
    RunFolder::new(folder).config_path().is_file()
}
