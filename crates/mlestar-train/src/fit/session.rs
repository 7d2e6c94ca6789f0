//! The state of a running training and the operations on it.

mod finetuning;
mod recovery;

use std::{fs, path::PathBuf, sync::Arc, time::Instant};

use burn::tensor::Device;
use mlestar_artifact::{ContentHash, append_json_line};
use mlestar_data::ImageSet;
use mlestar_model::{NamedTensor, Network};
use mlestar_random::Stream;

use super::{
    FirstStep, FitOutcome, FitRequest,
    beginning::{self, Beginning},
    event_log::EventLog,
    step_log::StepLog,
};
use crate::{
    EpochRecord, Observer, PlateauState, Remedy, ScheduleKind, StepCosts, StepProgress, StopReason,
    TrainError, TrainEvent, TrainingSetup,
    analysis::{METRICS_FILE, STEPS_FILE},
    batches::StepBatch,
    checkpoint::{self, Checkpoint, CheckpointRecord, EpochPosition, TrainingIdentity},
    config::{DistillationConfig, TrainingConfig},
    device::catching_out_of_memory,
    ema::Ema,
    history::Progress,
    logits::logits,
    loss::loss_sum_and_correct,
    meter::{EpochTotals, Meter},
    optimizer::Optimizer,
    schedule::Schedule,
    setup::Machinery,
    step::{StepInput, StepOutput},
};

const CHECKPOINTS: &str = "checkpoints";
const TENSORBOARD: &str = "tensorboard";

pub(super) struct Session<'a, M> {
    request: &'a FitRequest<'a, M>,
    machinery: Machinery,
    /// The training images: the request's set, or a few batches of it.
    train: Arc<ImageSet>,
    validation: Arc<ImageSet>,
    steps_per_epoch: usize,
    schedule: Schedule,
    identity: TrainingIdentity,
    plateau: PlateauState,
    events: EventLog,
    /// Gradients of the epoch's last step, if they are to be logged.
    gradients: Vec<NamedTensor>,
    step_log: StepLog,
    model: M,
    ema: Option<Ema<M>>,
    optimizer: Optimizer,
    history: Vec<EpochRecord>,
    progress: Progress,
    /// The position of the model within the running epoch; the default value between epochs.
    position: EpochPosition,
    /// Weights of the best epoch, on the host; before the first validation, the weights at the start of this
    /// call.
    best_state: Vec<NamedTensor>,
    remedies: Vec<Remedy>,
    last_saved: Instant,
    is_time_up: bool,
    /// The first groups of the network that do not learn in the running epoch.
    frozen_groups: usize,
    began: Instant,
    first_step: Option<FirstStep>,
}

impl<'a, M: Network> Session<'a, M> {
    pub(super) fn start(
        request: &'a FitRequest<'a, M>,
        observer: &mut dyn Observer,
    ) -> Result<Self, TrainError> {
        let began = Instant::now();
        let setup = &request.setup;
        let training: &TrainingConfig = &setup.training;
        let (train, validation) = sets(request)?;
        // Images that are to be memorised must look the same every time.
        let is_augmented = training.overfit_batches == 0;
        let augmentation = is_augmented.then(|| setup.augmentation.clone());
        let machinery = setup.machinery(&train, augmentation)?;
        let steps_per_epoch = machinery.batches.batches_per_epoch();
        let identity = identity_of(request)?;
        if let Some(teachers) = &machinery.teachers {
            for event in teachers.tried_on(&train, &machinery.plain)? {
                observer.event(&event);
            }
        }
        let event_files = request.output.join(TENSORBOARD);
        let (begin, is_last_due) = begin(request, &identity, &machinery.autodiff, observer)?;
        let steps = begin.optimizer.steps();
        beginning::rewrite_metrics(&request.output.join(METRICS_FILE), &begin.history)?;
        let mut session = Self {
            request,
            machinery,
            train,
            validation,
            steps_per_epoch,
            schedule: Schedule::new(
                &training.schedule,
                training.optimizer.learning_rate,
                training.epochs_of_steps().max(1),
                steps_per_epoch,
            ),
            identity,
            plateau: plateau_after(training, &begin.history),
            events: EventLog::create(&event_files, steps)?,
            gradients: Vec::new(),
            step_log: StepLog::open(&request.output.join(STEPS_FILE), steps)?,
            model: begin.model,
            ema: begin.ema,
            optimizer: begin.optimizer,
            history: begin.history,
            progress: begin.progress,
            position: begin.position,
            best_state: begin.best_state,
            remedies: begin.remedies,
            last_saved: Instant::now(),
            is_time_up: false,
            frozen_groups: 0,
            began,
            first_step: None,
        };
        if is_last_due {
            session.save(checkpoint::LAST, &session.checkpoint()?, observer)?;
        }
        session.announce_start(observer)?;
        Ok(session)
    }

    /// Logs what is trained, where the training begins, and sends the first event.
    fn announce_start(&mut self, observer: &mut dyn Observer) -> Result<(), TrainError> {
        if self.optimizer.steps() == 0 {
            let size = self.picture_size(1);
            let first = self.machinery.batches.sample(1, size)?;
            self.events.begin(&self.request.setup, first.as_ref())?;
        }
        observer.event(&TrainEvent::Started {
            first_epoch: self.history.len() + 1,
            epochs: self.request.setup.training.epochs,
            steps: self.steps_per_epoch,
            train_images: self.train.len(),
            validation_images: self.validation.len(),
            pictures_on_device: self.machinery.batches.is_resident(),
        });
        Ok(())
    }

    /// Height and width of the training images in `epoch`, from 1.
    fn picture_size(&self, epoch: usize) -> [usize; 2] {
        let full = [self.train.height(), self.train.width()];
        self.request.setup.training.picture_size(epoch, full)
    }

    /// Why the training is complete, if it is.
    pub(super) fn finished(&self) -> Option<StopReason> {
        let waited = self.progress.epochs_without_progress;
        let between_epochs = self.position.steps == 0;
        // An epoch without validation is no reason to stop.
        let is_judged = self.history.last().is_some_and(EpochRecord::is_validated);
        match &self.request.setup.training.early_stopping {
            _ if self.history.len() >= self.request.setup.training.epochs => {
                Some(StopReason::Completed)
            }
            Some(early) if between_epochs && is_judged && waited >= early.patience => {
                Some(StopReason::EarlyStopping {
                    epochs_without_progress: waited,
                })
            }
            _ if self.is_time_up || (between_epochs && self.seconds_left() <= 0.0) => {
                Some(StopReason::TimeUp)
            }
            _ => None,
        }
    }

    /// Seconds of training and validation in the finished epochs.
    fn finished_seconds(&self) -> f64 {
        let seconds = |record: &EpochRecord| record.seconds + record.validation_seconds;
        self.history.iter().map(seconds).sum()
    }

    /// Seconds until the time limit for an epoch that begins now; infinite without a limit.
    fn seconds_left(&self) -> f64 {
        let minutes = self.request.setup.training.max_minutes;
        minutes.map_or(f64::INFINITY, |minutes| minutes * 60.0) - self.finished_seconds()
    }

    /// Trains, validates and records one epoch, or the rest of it. Returns false if the stop signal interrupted
    /// it; `last` then holds what was done.
    pub(super) fn train_epoch(&mut self, observer: &mut dyn Observer) -> Result<bool, TrainError> {
        let epoch = self.history.len() + 1;
        if self.is_head_epoch(epoch) {
            return self.fit_head(observer);
        }
        self.choose_groups(epoch);
        let Some(totals) = self.train_steps(epoch, observer)? else {
            return Ok(false);
        };
        let position = totals.position;
        check_finite(epoch, &self.model.state())?;
        let started = Instant::now();
        let is_last = self.is_time_up || position.seconds >= self.seconds_left();
        let validation = match is_last || self.request.setup.training.validates(epoch) {
            true => Some(catching_out_of_memory(|| self.validate(epoch, observer))?),
            false => None,
        };
        let validation_seconds = validation.map_or(0.0, |_| started.elapsed().as_secs_f64());
        let record = EpochRecord {
            epoch,
            learning_rate: totals.last_learning_rate,
            train_loss: totals.mean_loss(),
            train_accuracy: totals.accuracy(),
            validation_loss: validation.map(|(loss, _)| loss),
            validation_accuracy: validation.map(|(_, accuracy)| accuracy),
            images_per_second: position.images as f64 / position.seconds.max(f64::MIN_POSITIVE),
            picture_area: self.request.setup.training.picture_area(epoch),
            seconds: position.seconds,
            validation_seconds,
            loader_wait_seconds: position.loader_wait_seconds,
            gradient_norm_mean: totals.mean_gradient_norm(),
            head: None,
        };
        self.position = EpochPosition::default();
        self.finish_epoch(record, observer)?;
        Ok(true)
    }

    fn train_steps(
        &mut self,
        epoch: usize,
        observer: &mut dyn Observer,
    ) -> Result<Option<EpochTotals>, TrainError> {
        let first = self.position;
        let steps_before = self.optimizer.steps() - first.steps as u64;
        let mut meter = Meter::new(epoch, steps_before, first);
        let started = Instant::now();
        let now = |meter: &mut Meter, waited: f64| {
            meter.totals.position.seconds = first.seconds + started.elapsed().as_secs_f64();
            meter.totals.position.loader_wait_seconds = first.loader_wait_seconds + waited;
            meter.totals.position
        };
        let mut waited = 0.0;
        let size = self.picture_size(epoch);
        let mut batches = self
            .machinery
            .batches
            .epoch_from(epoch, first.steps, size)?;
        for index in first.steps..self.steps_per_epoch {
            if self.request.stop.is_requested() {
                self.read(&mut meter, observer, epoch)?;
                self.position = now(&mut meter, waited);
                if self.position.steps > first.steps {
                    self.save(checkpoint::LAST, &self.checkpoint()?, observer)?;
                }
                return Ok(None);
            }
            let asked = Instant::now();
            let Some(batch) = catching_out_of_memory(|| Ok(batches.next()))? else {
                break;
            };
            waited += asked.elapsed().as_secs_f64();
            let learning_rate = self.learning_rate(self.optimizer.steps());
            let is_last = index + 1 == self.steps_per_epoch;
            let output = self.step(batch, learning_rate, is_last)?;
            meter.push(output.result, output.squares, learning_rate, output.indices);
            self.model = output.model;
            if let Some(ema) = &mut self.ema {
                ema.observe(&self.model, self.optimizer.steps());
            }
            if let Some(gradients) = output.gradients {
                self.gradients = gradients;
            }
            now(&mut meter, waited);
            if meter.is_due() || is_last || self.first_step.is_none() {
                self.read(&mut meter, observer, epoch)?;
            }
            if self.first_step.is_none() {
                self.first_step = Some(FirstStep {
                    epoch,
                    seconds_before: asked.duration_since(self.began).as_secs_f64(),
                    seconds: asked.elapsed().as_secs_f64(),
                });
                now(&mut meter, waited);
            }
            if meter.totals.position.seconds >= self.seconds_left() {
                self.is_time_up = true;
                break;
            }
            let minutes = self.request.setup.training.checkpoint_every_minutes;
            if minutes > 0.0
                && !is_last
                && self.last_saved.elapsed().as_secs_f64() >= minutes * 60.0
            {
                self.read(&mut meter, observer, epoch)?;
                self.position = now(&mut meter, waited);
                self.save(checkpoint::LAST, &self.checkpoint()?, observer)?;
                self.last_saved = Instant::now();
            }
        }
        self.read(&mut meter, observer, epoch)?;
        now(&mut meter, waited);
        Ok(Some(meter.totals))
    }

    /// The learning rate of step `step`, counted from 0, after all remedies.
    fn learning_rate(&self, step: u64) -> f64 {
        self.schedule.learning_rate(step)
            * self.plateau.factor
            * Remedy::rate_factor(&self.remedies)
    }

    /// Takes one step on `batch`; its results are still on the device.
    fn step(
        &mut self,
        batch: StepBatch,
        learning_rate: f64,
        is_last: bool,
    ) -> Result<StepOutput<M>, TrainError> {
        let step = self.optimizer.steps();
        let setup = &self.request.setup;
        let faults = &self.request.faults;
        if faults.kill_at_step == Some(step + 1) {
            std::process::abort();
        }
        let [lowered, smaller] = Remedy::counts(&self.remedies);
        if faults.strikes(faults.out_of_memory_at_step, smaller, step + 1) {
            return Err(TrainError::OutOfMemory {
                message: "out of memory (injected fault, faults.out_of_memory_at_step)".into(),
            });
        }
        let parts = Remedy::accumulation_steps(&self.remedies, setup.training.accumulation_steps);
        let frozen_groups = self.frozen_groups;
        let context = self.machinery.step(setup, parts, frozen_groups);
        let model = self.model.clone();
        let keep_gradients = is_last && self.logs_histograms();
        let optimizer = &mut self.optimizer;
        let input = StepInput {
            batch,
            step,
            learning_rate,
            spoil: faults.strikes(faults.non_finite_at_step, lowered, step + 1),
            keep_gradients,
        };
        catching_out_of_memory(|| Ok(context.run(model, optimizer, input)))
    }

    /// Waits for the results of all steps so far and reports them.
    fn read(
        &mut self,
        meter: &mut Meter,
        observer: &mut dyn Observer,
        epoch: usize,
    ) -> Result<(), TrainError> {
        let records = catching_out_of_memory(|| meter.read())?;
        if records.is_empty() {
            return Ok(());
        }
        self.step_log.append(&records)?;
        self.events.steps(&records)?;
        observer.event(&TrainEvent::Step(self.step_progress(epoch, &meter.totals)));
        Ok(())
    }

    fn step_progress(&self, epoch: usize, totals: &EpochTotals) -> StepProgress {
        let training: &TrainingConfig = &self.request.setup.training;
        let position = &totals.position;
        let validations = training.validations_after(epoch - 1) as f64;
        let costs = StepCosts::of_epochs(&self.history).or(self.request.step_costs);
        // Position in steps of this epoch.
        let steps_left = (self.steps_per_epoch - position.steps) as f64
            + costs.unwrap_or_default().epochs_after(training, epoch) * self.steps_per_epoch as f64;
        let validated = self.history.iter().rfind(|record| record.is_validated());
        let validation_seconds = validated.map_or(0.0, |record| record.validation_seconds);
        // The first step may have taken as long as hundreds of others.
        let (seconds, steps) = match self.first_step {
            Some(first) if first.epoch == epoch && position.steps > 1 => {
                (position.seconds - first.seconds, position.steps - 1)
            }
            _ => (position.seconds, position.steps.max(1)),
        };
        let to_the_end = seconds / steps as f64 * steps_left + validations * validation_seconds;
        StepProgress {
            epoch,
            epochs: training.epochs,
            step: position.steps,
            steps: self.steps_per_epoch,
            loss: totals.mean_loss(),
            accuracy: totals.accuracy(),
            learning_rate: totals.last_learning_rate,
            gradient_norm: totals.last_gradient_norm,
            images_per_second: position.images as f64 / position.seconds.max(f64::MIN_POSITIVE),
            eta_seconds: to_the_end.min((self.seconds_left() - position.seconds).max(0.0)),
        }
    }

    /// The model to validate: the averaged weights, if there are any.
    fn evaluated(&self) -> &M {
        self.ema.as_ref().map_or(&self.model, Ema::model)
    }

    /// Mean loss and accuracy on the validation set.
    fn validate(
        &mut self,
        epoch: usize,
        observer: &mut dyn Observer,
    ) -> Result<(f64, f64), TrainError> {
        let set = Arc::clone(&self.validation);
        let logits = logits(
            self.evaluated(),
            &set,
            &self.request.setup.normalization,
            self.request.setup.training.evaluation_batch_size,
            &self.machinery.plain,
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
        if self.logs_histograms() {
            let step = self.optimizer.steps();
            self.events.confusion(step, &set, &logits)?;
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
        let training: &TrainingConfig = &self.request.setup.training;
        let min_delta = training
            .early_stopping
            .as_ref()
            .map_or(0.0, |early| early.min_delta);
        let is_best = self.progress.record(&record, min_delta);
        if is_best {
            self.best_state = self.evaluated().state();
        }
        append_json_line(&self.request.output.join(METRICS_FILE), &record)?;
        self.log(&record)?;
        if training.schedule.kind == ScheduleKind::Plateau {
            self.plateau.observe(&training.schedule.plateau, &record);
        }
        self.history.push(record.clone());
        observer.event(&TrainEvent::Epoch(record));

        let epoch = self.history.len();
        let checkpoint = self.checkpoint()?;
        if is_best {
            self.save(checkpoint::BEST, &checkpoint, observer)?;
        }
        let every = training.checkpoint_every_epochs;
        if every > 0 && epoch.is_multiple_of(every) {
            let name = format!("{}{epoch:04}", checkpoint::EPOCH_PREFIX);
            self.save(&name, &checkpoint, observer)?;
            if training.keep_checkpoints > 0 {
                let folder = self.request.output.join(CHECKPOINTS);
                checkpoint::retain_newest(&folder, training.keep_checkpoints)?;
            }
        }
        self.save(checkpoint::LAST, &checkpoint, observer)?;
        self.last_saved = Instant::now();
        Ok(())
    }

    fn log(&mut self, record: &EpochRecord) -> Result<(), TrainError> {
        let step = self.optimizer.steps();
        self.events.epoch(step, record)?;
        if self.logs_histograms() {
            let weights = self.model.state();
            self.events.histograms(step, "weights", &weights)?;
            self.events
                .histograms(step, "gradients", &std::mem::take(&mut self.gradients))?;
        }
        Ok(())
    }

    /// Whether distributions are logged after the running epoch.
    fn logs_histograms(&self) -> bool {
        let every = self.request.setup.training.histograms_every_epochs;
        every > 0 && (self.history.len() + 1).is_multiple_of(every)
    }

    /// The state at this moment.
    fn checkpoint(&self) -> Result<Checkpoint, TrainError> {
        let epoch = self.history.len();
        let record = CheckpointRecord {
            epoch,
            position: (self.position.steps > 0).then_some(self.position),
            optimizer_steps: self.optimizer.steps(),
            history: self.history.clone(),
            progress: self.progress.clone(),
            remedies: self.remedies.clone(),
            identity: self.identity.clone(),
            files: std::collections::BTreeMap::new(),
        };
        let newest = self.model.state();
        check_finite(epoch + usize::from(self.position.steps > 0), &newest)?;
        let (model, training_model) = match &self.ema {
            Some(ema) => (ema.model().state(), Some(newest)),
            None => (newest, None),
        };
        Ok(Checkpoint {
            best_model: record.best_is_other().then(|| self.best_state.clone()),
            model,
            training_model,
            optimizer: self.optimizer.state(),
            record,
        })
    }

    fn save(
        &self,
        name: &str,
        checkpoint: &Checkpoint,
        observer: &mut dyn Observer,
    ) -> Result<(), TrainError> {
        let path = self.request.output.join(CHECKPOINTS).join(name);
        checkpoint::save(&path, checkpoint)?;
        observer.event(&TrainEvent::Checkpoint {
            path,
            epoch: checkpoint.record.epoch,
            steps: checkpoint.record.steps_into_epoch(),
        });
        Ok(())
    }

    fn best_epoch(&self) -> usize {
        self.progress.best.as_ref().map_or(0, |best| best.epoch)
    }

    /// Sends the event that belongs to an end before the last epoch.
    pub(super) fn announce(
        &mut self,
        stopped: &StopReason,
        observer: &mut dyn Observer,
    ) -> Result<(), TrainError> {
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
                steps: self.position.steps,
            }),
            StopReason::TimeUp => observer.event(&TrainEvent::TimeUp {
                minutes: self.finished_seconds() / 60.0,
            }),
        }
        self.events.end(*stopped != StopReason::Interrupted)
    }

    pub(super) fn into_outcome(self, stopped: StopReason) -> Result<FitOutcome<M>, TrainError> {
        Ok(FitOutcome {
            train_seconds: self.finished_seconds(),
            best_epoch: self.best_epoch(),
            history: self.history,
            best_model: self
                .model
                .valid()
                .load_state(&self.best_state, &self.machinery.plain)?,
            stopped,
            first_step: self.first_step,
            remedies: self.remedies,
            precision: self.machinery.precision,
        })
    }
}

/// The state of the plateau schedule after `history`; the default for other schedules.
fn plateau_after(training: &TrainingConfig, history: &[EpochRecord]) -> PlateauState {
    let schedule = &training.schedule;
    match schedule.kind {
        ScheduleKind::Plateau => PlateauState::after(&schedule.plateau, history),
        _ => PlateauState::default(),
    }
}

/// The training and validation images; with `overfit_batches` the same few for both.
fn sets<M>(request: &FitRequest<'_, M>) -> Result<(Arc<ImageSet>, Arc<ImageSet>), TrainError> {
    let setup = &request.setup;
    match setup.training.overfit_batches {
        0 => Ok((Arc::clone(&setup.train), Arc::clone(&request.validation))),
        batches => {
            let few = few_batches(setup, batches)?;
            Ok((Arc::clone(&few), few))
        }
    }
}

/// Where the training begins, and whether `last` must be saved before the first step: so that a stop in the first epoch
/// leaves a checkpoint to resume from, and a folder that cannot be written is reported immediately. If the process was
/// killed right after it saved `best`, `last` is older, and would stay so if that was the last epoch.
fn begin<M: Network>(
    request: &FitRequest<'_, M>,
    identity: &TrainingIdentity,
    device: &Device,
    observer: &mut dyn Observer,
) -> Result<(Beginning<M>, bool), TrainError> {
    let setup = &request.setup;
    let checkpoints = request.output.join(CHECKPOINTS);
    fs::create_dir_all(&checkpoints).map_err(TrainError::io("creating", &checkpoints))?;
    checkpoint::recover(&checkpoints)?;
    let resumed = match request.resume {
        true => beginning::newest(&checkpoints, &setup.network, identity, device, observer)?,
        false => None,
    };
    if let Some((begin, path)) = resumed {
        let newest = [checkpoint::LAST, checkpoint::PREVIOUS];
        return Ok((begin, !newest.iter().any(|name| path.ends_with(name))));
    }
    beginning::remove_earlier_results(&checkpoints, &request.output.join(TENSORBOARD))?;
    Ok((beginning::fresh(setup, device, observer)?, true))
}

/// A random choice of as many training images as `batches` batches hold.
fn few_batches<M>(
    setup: &TrainingSetup<'_, M>,
    batches: usize,
) -> Result<Arc<ImageSet>, TrainError> {
    let mut order: Vec<usize> = (0..setup.train.len()).collect();
    Stream::new(setup.seed, "overfit batches", 0, 0).shuffle(&mut order);
    order.truncate(batches.saturating_mul(setup.training.batch_size));
    order.sort_unstable();
    Ok(Arc::new(setup.train.select(&order)?))
}

fn identity_of<M: Network>(request: &FitRequest<'_, M>) -> Result<TrainingIdentity, TrainError> {
    let setup = &request.setup;
    let file = setup.training.initial_weights.as_ref();
    let hash = |path: &PathBuf| {
        ContentHash::of_file(path).map_err(|error| TrainError::InitialWeights {
            path: path.clone(),
            reason: error.to_string(),
        })
    };
    let teaching = setup.training.teaching();
    Ok(TrainingIdentity {
        initial_weights: file.map(hash).transpose()?,
        teachers: teaching.map_or(Ok(Vec::new()), DistillationConfig::hashes)?,
        seed: setup.seed,
        model: setup.network.description(),
        initial_state: Some(checkpoint::hash_of_state(&setup.network.state())),
        training: TrainingConfig::clone(&setup.training),
        augmentation: setup.augmentation.clone(),
        normalization: setup.normalization,
        train: checkpoint::hash_of_set(&setup.train),
        validation: checkpoint::hash_of_set(&request.validation),
    })
}

/// Checks that all weights are finite. A ReLU turns NaN into 0, so the loss and the logits can be finite
/// although a weight is not.
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
