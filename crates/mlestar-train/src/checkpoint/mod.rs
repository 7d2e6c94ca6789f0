//! Checkpoints: everything a training needs to resume as if it had never stopped.
//!
//! A checkpoint is a folder with these files:
//!
//! - `model.safetensors`: parameters and running statistics (f32, the names of [`Network::state`]) of
//!   the model that is validated; averages if the training averages weights,
//! - `training_model.safetensors`: the newest weights, if `model.safetensors` holds averages,
//! - `best_model.safetensors`: the weights of the best epoch so far, unless that is this epoch,
//! - `optimizer.safetensors`: the optimizer's moments,
//! - `checkpoint.json`: a [`CheckpointRecord`] with the hashes of the other files.
//!
//! A checkpoint holds the state after a finished epoch or, if [`CheckpointRecord::position`] is set, within the
//! next one. Random choices need no state of their own: they are derived from the seed, the epoch and the step.
//!
//! A folder is written under a temporary name and renamed, so a crash leaves the old or the new one. First,
//! `last` is renamed to `previous`, and any other folder to a hidden name. If the new folder did not reach its
//! place, a resumed training restores the old one.

mod identity;
mod tensors;

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use burn::tensor::Device;
use mlestar_artifact::{Artifact, ContentHash, read_artifact, write_artifact, write_atomically};
use mlestar_model::{ImageClassifier, ModelSpec, NamedTensor, Network};
use serde::{Deserialize, Serialize};

pub(crate) use identity::hash_of_state;
pub use identity::{TrainingIdentity, hash_of_set};

use crate::{EpochRecord, Remedy, TrainError, history::Progress};

/// `checkpoint.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CheckpointRecord {
    /// Number of finished epochs; 0 is the initial state.
    pub epoch: usize,
    /// Position within the next epoch; `None` is its beginning.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position: Option<EpochPosition>,
    /// Number of optimizer steps.
    pub optimizer_steps: u64,
    /// The record of every finished epoch.
    pub history: Vec<EpochRecord>,
    /// The best epoch and the state of early stopping.
    pub progress: Progress,
    /// The remedies so far.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub remedies: Vec<Remedy>,
    /// What the training depends on.
    pub identity: TrainingIdentity,
    /// The other files of the checkpoint and the hashes of their contents.
    pub files: BTreeMap<String, ContentHash>,
}

impl Artifact for CheckpointRecord {
    const SCHEMA: &'static str = "mlestar.checkpoint";
    const VERSION: u32 = 3;
}

impl CheckpointRecord {
    /// Steps of the unfinished epoch that the checkpoint contains.
    #[must_use]
    pub fn steps_into_epoch(&self) -> usize {
        self.position.as_ref().map_or(0, |position| position.steps)
    }

    /// Whether the best model differs from the checkpoint's model.
    pub(crate) fn best_is_other(&self) -> bool {
        let best = self.progress.best.as_ref();
        best.is_some_and(|best| best.epoch != self.epoch || self.position.is_some())
    }
}

/// A position within an epoch, with the results of its steps so far.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EpochPosition {
    /// Steps of the epoch so far.
    pub steps: usize,
    /// Images seen in them.
    pub images: usize,
    /// Sum of the loss over these images.
    pub loss_sum: f64,
    /// How many of them were classified correctly, as the network saw them.
    pub correct: f64,
    /// Sum of the gradient norms of the steps.
    pub gradient_norm_sum: f64,
    /// Seconds that the steps took.
    pub seconds: f64,
    /// Seconds of these spent waiting for images.
    pub loader_wait_seconds: f64,
}

/// A checkpoint in memory.
#[derive(Debug, Clone, PartialEq)]
pub struct Checkpoint {
    /// Contents of `checkpoint.json`; [`save`] fills in `files`.
    pub record: CheckpointRecord,
    /// The model at this point that is validated.
    pub model: Vec<NamedTensor>,
    /// The model that the training continues to update, if `model` is an average.
    pub training_model: Option<Vec<NamedTensor>>,
    /// The model of the best epoch, if that is an earlier one.
    pub best_model: Option<Vec<NamedTensor>>,
    /// The optimizer's moments.
    pub optimizer: Vec<NamedTensor>,
}

const RECORD: &str = "checkpoint.json";
const MODEL: &str = "model.safetensors";
const TRAINING_MODEL: &str = "training_model.safetensors";
const BEST_MODEL: &str = "best_model.safetensors";
const OPTIMIZER: &str = "optimizer.safetensors";

/// The checkpoint of the last finished epoch.
pub(crate) const LAST: &str = "last";
/// The checkpoint that `last` replaced.
pub(crate) const PREVIOUS: &str = "previous";
/// The checkpoint of the best epoch.
pub(crate) const BEST: &str = "best";
/// Checkpoints that are kept permanently: `epoch-0010` and so on.
pub(crate) const EPOCH_PREFIX: &str = "epoch-";

impl Checkpoint {
    /// The weights of the best epoch; before the end of the first epoch, the initial weights.
    #[must_use]
    pub fn best_state(&self) -> &[NamedTensor] {
        self.best_model.as_deref().unwrap_or(&self.model)
    }

    /// The weights that the training updates.
    #[must_use]
    pub fn training_state(&self) -> &[NamedTensor] {
        self.training_model.as_deref().unwrap_or(&self.model)
    }
}

/// Writes a checkpoint to `folder` and replaces an existing one. If the folder is called `last`, the one it
/// replaces is kept beside it as `previous`.
///
/// # Errors
///
/// [`TrainError::Io`] or [`TrainError::Artifact`] naming the file; the folder is then unchanged.
pub fn save(folder: &Path, checkpoint: &Checkpoint) -> Result<(), TrainError> {
    let staging = beside(folder, STAGED);
    remove_folder(&staging)?;
    fs::create_dir_all(&staging).map_err(TrainError::io("creating", &staging))?;
    let written = write_files(&staging, checkpoint).and_then(|()| put_in_place(&staging, folder));
    if written.is_err() {
        // Report the first error.
        let _ = fs::remove_dir_all(&staging);
    }
    written
}

fn write_files(folder: &Path, checkpoint: &Checkpoint) -> Result<(), TrainError> {
    let mut record = checkpoint.record.clone();
    record.files.clear();
    let mut write = |name: &str, state: &[NamedTensor]| -> Result<(), TrainError> {
        let bytes = tensors::to_bytes(state).map_err(|reason| TrainError::DamagedCheckpoint {
            path: folder.into(),
            reason,
        })?;
        record
            .files
            .insert(name.to_owned(), ContentHash::of_bytes(&bytes));
        Ok(write_atomically(&folder.join(name), &bytes)?)
    };
    write(MODEL, &checkpoint.model)?;
    write(OPTIMIZER, &checkpoint.optimizer)?;
    if let Some(newest) = &checkpoint.training_model {
        write(TRAINING_MODEL, newest)?;
    }
    if let Some(best) = &checkpoint.best_model {
        write(BEST_MODEL, best)?;
    }
    Ok(write_artifact(&folder.join(RECORD), &record)?)
}

fn put_in_place(staging: &Path, folder: &Path) -> Result<(), TrainError> {
    let retired = match folder.file_name() {
        Some(name) if name == LAST => folder.with_file_name(PREVIOUS),
        _ => beside(folder, RETIRED),
    };
    if folder.exists() {
        remove_folder(&retired)?;
        fs::rename(folder, &retired).map_err(TrainError::io("renaming", folder))?;
    }
    fs::rename(staging, folder).map_err(TrainError::io("renaming", staging))?;
    if retired.file_name().is_some_and(|name| name != PREVIOUS) {
        remove_folder(&retired)?;
    }
    Ok(())
}

const STAGED: &str = "new";
const RETIRED: &str = "old";

/// `.last.new` beside `last`.
fn beside(folder: &Path, suffix: &str) -> PathBuf {
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    folder.with_file_name(format!(".{name}.{suffix}"))
}

/// Removes what a process left behind that was killed while it saved a checkpoint in `folder`.
pub(crate) fn recover(folder: &Path) -> Result<(), TrainError> {
    for hidden in names_in(folder)? {
        let Some((name, suffix)) = hidden
            .strip_prefix('.')
            .and_then(|rest| rest.rsplit_once('.'))
            .filter(|(name, _)| is_checkpoint_name(name))
        else {
            continue;
        };
        let (path, place) = (folder.join(&hidden), folder.join(name));
        match suffix {
            RETIRED if !place.exists() => {
                fs::rename(&path, &place).map_err(TrainError::io("renaming", &path))?;
            }
            RETIRED | STAGED => remove_folder(&path)?,
            _ => {}
        }
    }
    Ok(())
}

/// The names of the entries of `folder`; none if it does not exist.
fn names_in(folder: &Path) -> Result<Vec<String>, TrainError> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(TrainError::io("reading", folder)(error)),
    };
    entries
        .map(|entry| {
            let entry = entry.map_err(TrainError::io("reading", folder))?;
            Ok(entry.file_name().to_string_lossy().into_owned())
        })
        .collect()
}

fn remove_folder(folder: &Path) -> Result<(), TrainError> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(TrainError::io("removing", folder)(error))
        }
        _ => Ok(()),
    }
}

/// Reads a checkpoint and checks every file against its hash.
///
/// # Errors
///
/// [`TrainError::DamagedCheckpoint`] with the file and what is wrong with it.
pub fn load(folder: &Path) -> Result<Checkpoint, TrainError> {
    let record = read_record(folder)?;
    let read = |name: &str| -> Result<Vec<NamedTensor>, TrainError> {
        let bytes = read_checked(folder, &record, name)?;
        tensors::from_bytes(&bytes).map_err(|reason| damaged(folder, format!("{name}: {reason}")))
    };
    let model = read(MODEL)?;
    let optimizer = read(OPTIMIZER)?;
    let read_if = |wanted: bool, name: &str| wanted.then(|| read(name)).transpose();
    let training_model = read_if(record.identity.training.ema.is_some(), TRAINING_MODEL)?;
    let best_model = read_if(record.best_is_other(), BEST_MODEL)?;
    Ok(Checkpoint {
        record,
        model,
        training_model,
        best_model,
        optimizer,
    })
}

/// Checks every file of a checkpoint against its hash without loading the model.
///
/// # Errors
///
/// As for [`load`].
pub fn verify(folder: &Path) -> Result<CheckpointRecord, TrainError> {
    let record = read_record(folder)?;
    for name in record.files.keys() {
        read_checked(folder, &record, name)?;
    }
    Ok(record)
}

/// The model of a checkpoint, on `device`. Only the record and the weights are read and checked.
///
/// # Errors
///
/// As for [`load`], for the record and the weights; [`TrainError::Model`] if the weights do not fit the
/// recorded architecture.
pub fn load_model(folder: &Path, device: &Device) -> Result<ImageClassifier, TrainError> {
    let record = read_record(folder)?;
    let bytes = read_checked(folder, &record, MODEL)?;
    let state = tensors::from_bytes(&bytes)
        .map_err(|reason| damaged(folder, format!("{MODEL}: {reason}")))?;
    let spec = record
        .identity
        .spec()
        .map_err(|reason| damaged(folder, reason))?;
    Ok(spec.init(0, device).load_state(&state, device)?)
}

/// The path of a checkpoint's weights.
pub(crate) fn weights_file(folder: &Path) -> PathBuf {
    folder.join(MODEL)
}

/// The model with the weights in `file`, a `model.safetensors` outside its checkpoint, on `device`.
///
/// # Errors
///
/// [`TrainError::DamagedCheckpoint`] if the file cannot be read or is no safetensors file of 32-bit floats;
/// [`TrainError::Model`] if the weights do not fit `spec`.
pub fn load_weights(
    file: &Path,
    spec: &ModelSpec,
    device: &Device,
) -> Result<ImageClassifier, TrainError> {
    let bytes = fs::read(file).map_err(TrainError::io("reading", file))?;
    let state = tensors::from_bytes(&bytes).map_err(|reason| damaged(file, reason))?;
    Ok(spec.init(0, device).load_state(&state, device)?)
}

/// Reads the record of the checkpoint in `folder`, without its weights.
///
/// # Errors
/// [`TrainError::DamagedCheckpoint`] if the record is missing, cannot be read or contradicts itself.
pub fn read_record(folder: &Path) -> Result<CheckpointRecord, TrainError> {
    let path = folder.join(RECORD);
    let record: CheckpointRecord =
        read_artifact(&path).map_err(|error| damaged(folder, error.to_string()))?;
    for name in [MODEL, OPTIMIZER] {
        if !record.files.contains_key(name) {
            return Err(damaged(folder, format!("{RECORD} does not list {name}")));
        }
    }
    if record.history.len() != record.epoch {
        let epochs = record.history.len();
        let reason = format!("{RECORD} is of epoch {} but records {epochs}", record.epoch);
        return Err(damaged(folder, reason));
    }
    Ok(record)
}

fn read_checked(
    folder: &Path,
    record: &CheckpointRecord,
    name: &str,
) -> Result<Vec<u8>, TrainError> {
    let Some(expected) = record.files.get(name) else {
        return Err(damaged(folder, format!("{RECORD} does not list {name}")));
    };
    let bytes = fs::read(folder.join(name))
        .map_err(|error| damaged(folder, format!("{name} cannot be read: {error}")))?;
    let found = ContentHash::of_bytes(&bytes);
    if found != *expected {
        let reason = format!(
            "{name} has {} bytes and hash {found}, but {expected} was recorded",
            bytes.len()
        );
        return Err(damaged(folder, reason));
    }
    Ok(bytes)
}

fn damaged(folder: &Path, reason: String) -> TrainError {
    TrainError::DamagedCheckpoint {
        path: folder.to_owned(),
        reason,
    }
}

/// The folders in `folder` that may be checkpoints, newest first; of equally new ones, `last` comes first.
pub(crate) fn candidates(folder: &Path) -> Result<Vec<PathBuf>, TrainError> {
    let mut found = Vec::new();
    for name in names_in(folder)? {
        if is_checkpoint_name(&name) {
            let path = folder.join(&name);
            // An unreadable record sorts first, so that it is reported.
            let age = read_record(&path).map_or((usize::MAX, 0), |record| {
                (record.epoch, record.steps_into_epoch())
            });
            let is_last = path.ends_with(LAST);
            found.push((age, is_last, path));
        }
    }
    found.sort();
    Ok(found.into_iter().rev().map(|(_, _, path)| path).collect())
}

/// Removes all but the newest `kept` of the checkpoints that are kept at regular epochs.
pub(crate) fn retain_newest(folder: &Path, kept: usize) -> Result<(), TrainError> {
    let mut epochs: Vec<(usize, PathBuf)> = names_in(folder)?
        .iter()
        .filter_map(|name| {
            let epoch = name.strip_prefix(EPOCH_PREFIX)?.parse().ok()?;
            Some((epoch, folder.join(name)))
        })
        .collect();
    epochs.sort();
    let superfluous = epochs.len().saturating_sub(kept);
    for (_, path) in &epochs[..superfluous] {
        remove_folder(path)?;
    }
    Ok(())
}

/// Removes the checkpoints of an earlier training in `folder`.
pub(crate) fn clear(folder: &Path) -> Result<(), TrainError> {
    for path in candidates(folder)? {
        remove_folder(&path)?;
    }
    Ok(())
}

fn is_checkpoint_name(name: &str) -> bool {
    [LAST, PREVIOUS, BEST].contains(&name) || name.starts_with(EPOCH_PREFIX)
}
