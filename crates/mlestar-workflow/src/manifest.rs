//! What each stage read and wrote, as content hashes.

use crate::audit::AuditMark;
use crate::inputs::Inputs;
use crate::{RunFolder, Stage, WorkflowError};
use mlestar_artifact::{Artifact, ArtifactError, ContentHash, read_artifact, write_artifact};
use mlestar_report::without_verdict;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::Path;
use std::{fs, io};

/// Hashes by name.
pub type Hashes = BTreeMap<String, ContentHash>;

/// `manifest.json` of a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RunManifest {
    /// The stages that have started, by stem.
    pub stages: BTreeMap<String, StageRecord>,
}

impl Artifact for RunManifest {
    const SCHEMA: &'static str = "mlestar.manifest";
    const VERSION: u32 = 2;
}

/// The record of one stage.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct StageRecord {
    /// Whether it finished. An interrupted stage keeps its inputs so that it can resume.
    pub complete: bool,
    /// What it depends on.
    pub inputs: Inputs,
    /// What it wrote: path inside the stage's folder (with `/`) to content hash.
    pub outputs: Hashes,
    /// The audit log when the stage ended; absent while it has not.
    pub audit: Option<AuditMark>,
}

impl StageRecord {
    /// The record of a stage that has started.
    pub fn begun(inputs: Inputs) -> Self {
        Self {
            inputs,
            ..Self::default()
        }
    }
}

impl RunManifest {
    /// Reads the manifest of `run`; an absent one is empty.
    ///
    /// # Errors
    /// When it is there and cannot be read.
    pub fn read(run: &RunFolder) -> Result<Self, WorkflowError> {
        match read_artifact(&run.manifest_path()) {
            Ok(manifest) => Ok(manifest),
            Err(error) if error.is_missing() => Ok(Self::default()),
            Err(error) => Err(WorkflowError::of_run_file(
                error,
                "Restore a good copy, or delete the file: `mlestar run` then runs every stage again and \
                keeps the earlier files of the stages in .previous",
            )),
        }
    }

    /// Writes it.
    ///
    /// # Errors
    /// When the run folder cannot be written.
    pub fn write(&self, run: &RunFolder) -> Result<(), WorkflowError> {
        Ok(write_artifact(&run.manifest_path(), self)?)
    }

    /// The record of a stage, if it has ever started.
    pub fn stage(&self, stage: Stage) -> Option<&StageRecord> {
        self.stages.get(stage.stem())
    }

    /// The record of a finished stage.
    pub fn complete_stage(&self, stage: Stage) -> Option<&StageRecord> {
        self.stage(stage).filter(|record| record.complete)
    }

    /// Replaces the record of a stage.
    pub fn set(&mut self, stage: Stage, record: StageRecord) {
        self.stages.insert(stage.stem().into(), record);
    }
}

/// The hash of a file that a stage wrote. For a page, the part with the gate's verdict is left out.
///
/// # Errors
/// When the file is not there or cannot be read.
pub fn content_hash(path: &Path) -> Result<ContentHash, ArtifactError> {
    if !is_page(path) {
        return ContentHash::of_file(path);
    }
    let page = fs::read(path).map_err(|source| match source.kind() {
        io::ErrorKind::NotFound => ArtifactError::Missing {
            path: path.to_owned(),
        },
        _ => ArtifactError::Read {
            path: path.to_owned(),
            source,
        },
    })?;
    Ok(ContentHash::of_bytes(&without_verdict(&page)))
}

pub(crate) fn is_page(path: &Path) -> bool {
    path.extension() == Some(OsStr::new("html"))
}

/// Hashes every file below `folder` whose name does not begin with a dot; hidden files are those that a killed
/// process was still writing. A missing folder has no files. The verdicts in a page's header do not count
/// ([`content_hash`]).
///
/// # Errors
/// When a file or folder cannot be read.
pub fn hash_folder(folder: &Path) -> Result<Hashes, WorkflowError> {
    let mut hashes = Hashes::new();
    walk(folder, "", &mut hashes)?;
    Ok(hashes)
}

fn walk(folder: &Path, prefix: &str, hashes: &mut Hashes) -> Result<(), WorkflowError> {
    let fail = |source| {
        WorkflowError::from(ArtifactError::Read {
            path: folder.to_owned(),
            source,
        })
    };
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(fail(error)),
    };
    for entry in entries {
        let entry = entry.map_err(fail)?;
        let file_name = entry.file_name().to_string_lossy().into_owned();
        if file_name.starts_with('.') {
            continue;
        }
        let name = format!("{prefix}{file_name}");
        if entry.file_type().map_err(fail)?.is_dir() {
            walk(&entry.path(), &format!("{name}/"), hashes)?;
        } else {
            hashes.insert(name, content_hash(&entry.path())?);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_hashed_by_relative_path() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("a/b")).unwrap();
        fs::write(folder.path().join("a/b/c"), "x").unwrap();
        fs::write(folder.path().join("d"), "y").unwrap();
        fs::write(folder.path().join(".partial-x"), "z").unwrap();
        let hashes = hash_folder(folder.path()).unwrap();
        assert_eq!(hashes.keys().collect::<Vec<_>>(), ["a/b/c", "d"]);
        assert_eq!(hashes["d"], ContentHash::of_bytes(b"y"));
        assert!(hash_folder(&folder.path().join("none")).unwrap().is_empty());
    }
}
