//! The state of a running training and what is done with it.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Instant,
};

use burn::{module::Module, tensor::Device};
use mlestar_artifact::{append_json_line, write_atomically};
use mlestar_data::loader::{Loader, LoaderConfig};
use mlestar_model::{ImageClassifier, NamedTensor};

use super::{FitOutcome, FitRequest};
use crate::{
    EpochRecord, Observer, StepProgress, StopReason, TrainError, TrainEvent,
    checkpoint::{self, Checkpoint, CheckpointRecord, TrainingIdentity},
    history::Progress,
    loss::loss_sum_and_correct,
    optimizer::Optimizer,
    predict::predict,
    schedule::Schedule,
    step::{EpochTotals, Meter, StepContext},
    tensorboard::EventWriter,
};

const CHECKPOINTS: &str = "checkpoints";
const METRICS: &str = "metrics.jsonl";
const TENSORBOARD: &str = "tensorboard";

pub(super) struct Session<'a> {
    request: &'a FitRequest<'a>,
    plain: Device,
    autodiff: Device,
    loader: Loader,
    steps_per_epoch: usize,
    schedule: Schedule,
    identity: TrainingIdentity,
    events: EventWriter,
    model: ImageClassifier,
    optimizer: Optimizer,
    history: Vec<EpochRecord>,
    progress: Progress,
    /// Weights after the last finished epoch, on the host; initial weights before any has ended.
    state: Vec<NamedTensor>,
    /// Weights of the best epoch, on the host; initial weights before any has ended.
    best_state: Vec<NamedTensor>,
    /// Steps of an unfinished epoch that a stop gives up.
    lost_steps: usize,
}

/// Where a training begins.
struct Beginning {
    model: ImageClassifier,
    state: Vec<NamedTensor>,
    optimizer: Optimizer,
    history: Vec<EpochRecord>,
    progress: Progress,
    best_state: Vec<NamedTensor>,
}

impl<'a> Session<'a> {
    pub(super) fn start(
        request: &'a FitRequest<'a>,
        observer: &mut dyn Observer,
    ) -> Result<Self, TrainError> {
        let plain = request.device.clone().without_autodiff();
        let autodiff = plain.clone().autodiff();
        let loader = training_loader(request)?;
        let steps_per_epoch = loader.batches_per_epoch();
        let training = request.training;
        let identity = identity_of(request);
        let checkpoints = request.output.join(CHECKPOINTS);
        fs::create_dir_all(&checkpoints).map_err(TrainError::io("creating", &checkpoints))?;
        checkpoint::recover(&checkpoints)?;

        let resumed = match request.resume {
            true => resume(&checkpoints, &identity, &autodiff, observer)?,
            false => None,
        };
        // A stop in the first epoch must leave something to resume from, and a folder that cannot be
        // written is found out now. `last` is behind where the process was killed after it had saved
        // `best`, and would stay behind if that was the last epoch.
        let is_last_due = resumed.as_ref().is_none_or(|(_, path)| {
            ![checkpoint::LAST, checkpoint::PREVIOUS]
                .iter()
                .any(|name| path.ends_with(name))
        });
        let begin = match resumed {
            Some((begin, _)) => begin,
            None => {
                remove_earlier_results(request.output)?;
                fresh(request, &autodiff)
            }
        };
        rewrite_metrics(&request.output.join(METRICS), &begin.history)?;
        let next_epoch = begin.history.len() as u64 + 1;
        let events = EventWriter::create(&request.output.join(TENSORBOARD), next_epoch)?;
        let session = Self {
            request,
            plain,
            autodiff,
            steps_per_epoch,
            schedule: Schedule::new(
                &training.schedule,
                training.optimizer.learning_rate,
                training.epochs,
                steps_per_epoch,
            ),
            loader,
            identity,
            events,
            model: begin.model,
            optimizer: begin.optimizer,
            history: begin.history,
            progress: begin.progress,
            state: begin.state,
            best_state: begin.best_state,
            lost_steps: 0,
        };
        if is_last_due {
            session.save(checkpoint::LAST, &session.checkpoint(), observer)?;
        }
        observer.event(&TrainEvent::Started {
            first_epoch: session.history.len() + 1,
            epochs: training.epochs,
            steps: steps_per_epoch,
            train_images: request.train.len(),
            validation_images: request.validation.len(),
        });
        Ok(session)
    }

    /// Why there is nothing left to do, if so.
    pub(super) fn finished(&self) -> Option<StopReason> {
        let waited = self.progress.epochs_without_progress;
        match &self.request.training.early_stopping {
            _ if self.history.len() >= self.request.training.epochs => Some(StopReason::Completed),
            Some(early) if waited >= early.patience => Some(StopReason::EarlyStopping {
                epochs_without_progress: waited,
            }),
            _ => None,
        }
    }

    /// Trains, validates and records one epoch. False if it was given up because of the stop signal;
    /// the session is then of no further use but for its history.
    pub(super) fn train_epoch(&mut self, observer: &mut dyn Observer) -> Result<bool, TrainError> {
        let epoch = self.history.len() + 1;
        let started = Instant::now();
        let Some(totals) = self.train_steps(epoch, started, observer)? else {
            return Ok(false);
        };
        let seconds = started.elapsed().as_secs_f64();
        self.state = self.model.state();
        check_finite(epoch, &self.state)?;
        let started = Instant::now();
        let (validation_loss, validation_accuracy) = self.validate(epoch, observer)?;
        let record = EpochRecord {
            epoch,
            learning_rate: totals.last_learning_rate,
            train_loss: totals.mean_loss(),
            train_accuracy: totals.accuracy(),
            validation_loss,
            validation_accuracy,
            images_per_second: totals.images as f64 / seconds.max(f64::MIN_POSITIVE),
            seconds,
            validation_seconds: started.elapsed().as_secs_f64(),
            gradient_norm_mean: totals.mean_gradient_norm(),
        };
        self.finish_epoch(record, observer)?;
        Ok(true)
    }

    fn train_steps(
        &mut self,
        epoch: usize,
        started: Instant,
        observer: &mut dyn Observer,
    ) -> Result<Option<EpochTotals>, TrainError> {
        let mut meter = Meter::new(epoch);
        let loader = self.loader.clone();
        for (index, mut batch) in loader.epoch(epoch as u64).enumerate() {
            if self.request.stop.is_requested() {
                self.lost_steps = index;
                return Ok(None);
            }
            let step = self.optimizer.steps();
            let learning_rate = self.schedule.learning_rate(step);
            let n = batch.n;
            let indices = std::mem::take(&mut batch.indices);
            let context = StepContext {
                spec: self.request.model,
                training: self.request.training,
                seed: self.request.seed,
                device: &self.autodiff,
            };
            let model = self.model.clone();
            let (model, result) =
                context.run(model, &mut self.optimizer, batch, step, learning_rate);
            self.model = model;
            meter.push(result, n, learning_rate, indices);
            if meter.is_due() || index + 1 == self.steps_per_epoch {
                meter.read()?;
                observer.event(&TrainEvent::Step(self.step_progress(
                    epoch,
                    &meter.totals,
                    started,
                )));
            }
        }
        meter.read()?;
        Ok(Some(meter.totals))
    }

    fn step_progress(&self, epoch: usize, totals: &EpochTotals, started: Instant) -> StepProgress {
        let epochs = self.request.training.epochs;
        let seconds = started.elapsed().as_secs_f64();
        let epochs_to_validate = (epochs + 1 - epoch) as f64;
        let steps_left =
            (self.steps_per_epoch - totals.steps) + (epochs - epoch) * self.steps_per_epoch;
        let validation_seconds = self
            .history
            .last()
            .map_or(0.0, |last| last.validation_seconds);
        StepProgress {
            epoch,
            epochs,
            step: totals.steps,
            steps: self.steps_per_epoch,
            loss: totals.mean_loss(),
            accuracy: totals.accuracy(),
            learning_rate: totals.last_learning_rate,
            gradient_norm: totals.last_gradient_norm,
            images_per_second: totals.images as f64 / seconds.max(f64::MIN_POSITIVE),
            eta_seconds: seconds / totals.steps.max(1) as f64 * steps_left as f64
                + epochs_to_validate * validation_seconds,
        }
    }

    /// Mean loss and accuracy on the validation set.
    fn validate(
        &self,
        epoch: usize,
        observer: &mut dyn Observer,
    ) -> Result<(f64, f64), TrainError> {
        let set = &self.request.validation;
        let logits = predict(
            &self.model,
            set,
            &self.request.normalization,
            self.request.training.evaluation_batch_size,
            &self.plain,
            &mut |done, of| observer.event(&TrainEvent::Validation { epoch, done, of }),
        )?;
        let k = set.n_classes();
        if let Some(position) = logits.iter().position(|value| !value.is_finite()) {
            return Err(TrainError::NonFiniteLogits {
                split: "validation",
                epoch,
                index: position / k,
            });
        }
        let (loss, correct) = loss_sum_and_correct(&logits, set.labels(), k);
        let n = set.len() as f64;
        Ok((loss / n, correct as f64 / n))
    }

    fn finish_epoch(
        &mut self,
        record: EpochRecord,
        observer: &mut dyn Observer,
    ) -> Result<(), TrainError> {
        let training = self.request.training;
        let min_delta = training
            .early_stopping
            .as_ref()
            .map_or(0.0, |early| early.min_delta);
        let is_best = self.progress.record(&record, min_delta);
        if is_best {
            self.best_state.clone_from(&self.state);
        }
        append_json_line(&self.request.output.join(METRICS), &record)?;
        self.log(&record)?;
        self.history.push(record.clone());
        observer.event(&TrainEvent::Epoch(record));

        let epoch = self.history.len();
        let checkpoint = self.checkpoint();
        if is_best {
            self.save(checkpoint::BEST, &checkpoint, observer)?;
        }
        let every = training.checkpoint_every_epochs;
        if every > 0 && epoch.is_multiple_of(every) {
            let name = format!("{}{epoch:04}", checkpoint::EPOCH_PREFIX);
            self.save(&name, &checkpoint, observer)?;
        }
        self.save(checkpoint::LAST, &checkpoint, observer)
    }

    fn log(&mut self, record: &EpochRecord) -> Result<(), TrainError> {
        self.events.scalars(
            record.epoch as u64,
            &[
                ("train/loss", record.train_loss),
                ("train/accuracy", record.train_accuracy),
                ("train/learning_rate", record.learning_rate),
                ("train/gradient_norm", record.gradient_norm_mean),
                ("train/images_per_second", record.images_per_second),
                ("validation/loss", record.validation_loss),
                ("validation/accuracy", record.validation_accuracy),
            ],
        )
    }

    fn checkpoint(&self) -> Checkpoint {
        let epoch = self.history.len();
        let best_is_other = self
            .progress
            .best
            .as_ref()
            .is_some_and(|best| best.epoch != epoch);
        Checkpoint {
            record: CheckpointRecord {
                epoch,
                optimizer_steps: self.optimizer.steps(),
                history: self.history.clone(),
                progress: self.progress.clone(),
                identity: self.identity.clone(),
                files: std::collections::BTreeMap::new(),
            },
            model: self.state.clone(),
            best_model: best_is_other.then(|| self.best_state.clone()),
            optimizer: self.optimizer.state(),
        }
    }

    fn save(
        &self,
        name: &str,
        checkpoint: &Checkpoint,
        observer: &mut dyn Observer,
    ) -> Result<(), TrainError> {
        let path = self.request.output.join(CHECKPOINTS).join(name);
        checkpoint::save(&path, checkpoint)?;
        let epoch = checkpoint.record.epoch;
        observer.event(&TrainEvent::Checkpoint { path, epoch });
        Ok(())
    }

    fn best_epoch(&self) -> usize {
        self.progress.best.as_ref().map_or(0, |best| best.epoch)
    }

    /// Sends the event that belongs to an end before the last epoch.
    pub(super) fn announce(&self, stopped: &StopReason, observer: &mut dyn Observer) {
        match *stopped {
            StopReason::Completed => {}
            StopReason::EarlyStopping {
                epochs_without_progress,
            } => observer.event(&TrainEvent::EarlyStop {
                best_epoch: self.best_epoch(),
                epochs_without_progress,
            }),
            StopReason::Interrupted => observer.event(&TrainEvent::Interrupted {
                finished_epochs: self.history.len(),
                lost_steps: self.lost_steps,
            }),
        }
    }

    pub(super) fn into_outcome(self, stopped: StopReason) -> Result<FitOutcome, TrainError> {
        let seconds = |record: &EpochRecord| record.seconds + record.validation_seconds;
        let best_epoch = self.best_epoch();
        Ok(FitOutcome {
            train_seconds: self.history.iter().map(seconds).sum(),
            history: self.history,
            best_epoch,
            best_model: self
                .model
                .valid()
                .load_state(&self.best_state, &self.plain)?,
            stopped,
        })
    }
}

fn training_loader(request: &FitRequest<'_>) -> Result<Loader, TrainError> {
    let batch_size = request.training.batch_size;
    let config = LoaderConfig {
        batch_size,
        shuffle: true,
        drop_last: request.train.len() > batch_size,
        prefetch: request.threads.saturating_mul(2).min(8),
        threads: request.threads,
        seed: request.seed,
    };
    Ok(Loader::new(
        Arc::clone(&request.train),
        Some(request.augmentation.clone()),
        request.normalization,
        config,
    )?)
}

fn identity_of(request: &FitRequest<'_>) -> TrainingIdentity {
    TrainingIdentity {
        seed: request.seed,
        model: request.model.clone(),
        training: request.training.clone(),
        augmentation: request.augmentation.clone(),
        normalization: request.normalization,
        train: checkpoint::hash_of_set(&request.train),
        validation: checkpoint::hash_of_set(&request.validation),
    }
}

fn fresh(request: &FitRequest<'_>, device: &Device) -> Beginning {
    let model = request.model.init(request.seed, device);
    let state = model.state();
    Beginning {
        best_state: state.clone(),
        state,
        model,
        optimizer: Optimizer::new(request.training.optimizer.clone()),
        history: Vec::new(),
        progress: Progress::default(),
    }
}

/// A ReLU turns NaN into 0, so that neither the loss nor the logits need to show a weight that is not
/// finite.
fn check_finite(epoch: usize, state: &[NamedTensor]) -> Result<(), TrainError> {
    let is_finite = |tensor: &&NamedTensor| tensor.values.iter().all(|value| value.is_finite());
    match state.iter().find(|tensor| !is_finite(tensor)) {
        Some(tensor) => Err(TrainError::NonFiniteWeights {
            epoch,
            tensor: tensor.name.clone(),
        }),
        None => Ok(()),
    }
}

/// The newest checkpoint that belongs to this training and is whole, and its path; `None` if there
/// are none at all.
fn resume(
    checkpoints: &Path,
    identity: &TrainingIdentity,
    device: &Device,
    observer: &mut dyn Observer,
) -> Result<Option<(Beginning, PathBuf)>, TrainError> {
    let mut reasons = Vec::new();
    for path in checkpoint::candidates(checkpoints)? {
        match begin_from(&path, identity, device) {
            Ok(begin) => {
                let epoch = begin.history.len();
                observer.event(&TrainEvent::Resumed {
                    path: path.clone(),
                    epoch,
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

fn begin_from(
    path: &Path,
    identity: &TrainingIdentity,
    device: &Device,
) -> Result<Beginning, TrainError> {
    let checkpoint = checkpoint::load(path)?;
    let record = &checkpoint.record;
    let differences = identity.differences(&record.identity);
    if !differences.is_empty() {
        return Err(TrainError::ForeignCheckpoint {
            path: path.to_owned(),
            differences: differences.join(", "),
        });
    }
    // The files are as they were written, but what they hold may still not fit the record.
    let unusable = |error: TrainError| TrainError::DamagedCheckpoint {
        path: path.to_owned(),
        reason: error.to_string(),
    };
    let model = identity
        .model
        .init(identity.seed, device)
        .load_state(&checkpoint.model, device)
        .map_err(|error| unusable(error.into()))?;
    let optimizer = Optimizer::restore(
        identity.training.optimizer.clone(),
        record.optimizer_steps,
        &checkpoint.optimizer,
        &device.clone().without_autodiff(),
    )
    .map_err(unusable)?;
    Ok(Beginning {
        model,
        optimizer,
        best_state: checkpoint.best_state().to_vec(),
        state: checkpoint.model,
        history: checkpoint.record.history,
        progress: checkpoint.record.progress,
    })
}

/// Later epochs that a resumed training repeats must not be in the log twice.
fn rewrite_metrics(path: &Path, history: &[EpochRecord]) -> Result<(), TrainError> {
    write_atomically(path, b"")?;
    for record in history {
        append_json_line(path, record)?;
    }
    Ok(())
}

fn remove_earlier_results(output: &Path) -> Result<(), TrainError> {
    checkpoint::clear(&output.join(CHECKPOINTS))?;
    let folder = output.join(TENSORBOARD);
    let Ok(entries) = fs::read_dir(&folder) else {
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
