//! The initial state of a training: initial weights or a checkpoint.

use std::{
    fs,
    path::{Path, PathBuf},
};

use burn::tensor::Device;
use mlestar_artifact::{append_json_line, write_atomically};
use mlestar_model::{NamedTensor, Network};

use crate::{
    EpochRecord, Observer, Remedy, TrainError, TrainEvent, TrainingSetup,
    checkpoint::{self, EpochPosition, TrainingIdentity},
    ema::Ema,
    history::Progress,
    initial::{InitialModel, initial_model},
    optimizer::Optimizer,
};

/// The state of a training at some step.
pub(super) struct Beginning<M> {
    pub model: M,
    pub ema: Option<Ema<M>>,
    pub optimizer: Optimizer,
    pub history: Vec<EpochRecord>,
    pub progress: Progress,
    pub best_state: Vec<NamedTensor>,
    pub position: EpochPosition,
    pub remedies: Vec<Remedy>,
}

/// The state before the first step, on an autodiff device.
pub(super) fn fresh<M: Network>(
    setup: &TrainingSetup<'_, M>,
    device: &Device,
    observer: &mut dyn Observer,
) -> Result<Beginning<M>, TrainError> {
    let training = &setup.training;
    let file = training.initial_weights.as_deref();
    let InitialModel { model, begun_anew } = initial_model(&setup.network, file, device)?;
    if let Some(file) = file {
        observer.event(&TrainEvent::InitialWeights {
            path: file.to_owned(),
            begun_anew,
        });
    }
    Ok(Beginning {
        best_state: model.state(),
        ema: training
            .ema
            .as_ref()
            .map(|config| Ema::new(config.clone(), &model)),
        model,
        optimizer: Optimizer::new(training.optimizer.clone()),
        history: Vec::new(),
        progress: Progress::default(),
        position: EpochPosition::default(),
        remedies: Vec::new(),
    })
}

/// The newest intact checkpoint of this training, and its path; `None` if there are no checkpoints.
pub(super) fn newest<M: Network>(
    checkpoints: &Path,
    network: &M,
    identity: &TrainingIdentity,
    device: &Device,
    observer: &mut dyn Observer,
) -> Result<Option<(Beginning<M>, PathBuf)>, TrainError> {
    let mut reasons = Vec::new();
    for path in checkpoint::candidates(checkpoints)? {
        match begin_from(&path, network, identity, device) {
            Ok(begin) => {
                observer.event(&TrainEvent::Resumed {
                    path: path.clone(),
                    epoch: begin.history.len(),
                    steps: begin.position.steps,
                });
                return Ok(Some((begin, path)));
            }
            Err(error) => {
                let reason = error.to_string();
                reasons.push(reason.clone());
                observer.event(&TrainEvent::CheckpointRefused { path, reason });
            }
        }
    }
    if reasons.is_empty() {
        return Ok(None);
    }
    Err(TrainError::NoUsableCheckpoint {
        folder: checkpoints.to_owned(),
        reasons: reasons.join("; "),
    })
}

fn begin_from<M: Network>(
    path: &Path,
    network: &M,
    identity: &TrainingIdentity,
    device: &Device,
) -> Result<Beginning<M>, TrainError> {
    let checkpoint = checkpoint::load(path)?;
    let record = &checkpoint.record;
    let differences = identity.differences(&record.identity);
    if !differences.is_empty() {
        return Err(TrainError::ForeignCheckpoint {
            path: path.to_owned(),
            differences: differences.join(", "),
        });
    }
    // The files are unchanged, but their contents may still not fit the record.
    let unusable = |error: TrainError| TrainError::DamagedCheckpoint {
        path: path.to_owned(),
        reason: error.to_string(),
    };
    let plain = device.clone().without_autodiff();
    let model = network
        .clone()
        .load_state(checkpoint.training_state(), device)
        .map_err(|error| unusable(error.into()))?;
    let ema = identity.training.ema.as_ref().map(|config| {
        Ema::restore(config.clone(), &model, &checkpoint.model, &plain).map_err(unusable)
    });
    let optimizer = Optimizer::restore(
        identity.training.optimizer.clone(),
        record.optimizer_steps,
        &checkpoint.optimizer,
        &plain,
    )
    .map_err(unusable)?;
    Ok(Beginning {
        model,
        ema: ema.transpose()?,
        optimizer,
        best_state: checkpoint.best_state().to_vec(),
        history: checkpoint.record.history,
        progress: checkpoint.record.progress,
        position: checkpoint.record.position.unwrap_or_default(),
        remedies: checkpoint.record.remedies,
    })
}

/// A resumed training repeats later epochs; they must not be in the log twice.
pub(super) fn rewrite_metrics(path: &Path, history: &[EpochRecord]) -> Result<(), TrainError> {
    write_atomically(path, b"")?;
    for record in history {
        append_json_line(path, record)?;
    }
    Ok(())
}

/// Removes what an earlier training left in the folders of checkpoints and event files.
pub(super) fn remove_earlier_results(
    checkpoints: &Path,
    event_files: &Path,
) -> Result<(), TrainError> {
    checkpoint::clear(checkpoints)?;
    let Ok(entries) = fs::read_dir(event_files) else {
        return Ok(());
    };
    for entry in entries.flatten() {
        let path = entry.path();
        if entry
            .file_name()
            .to_string_lossy()
            .starts_with("events.out.tfevents.")
        {
            fs::remove_file(&path).map_err(TrainError::io("removing", &path))?;
        }
    }
    Ok(())
}
