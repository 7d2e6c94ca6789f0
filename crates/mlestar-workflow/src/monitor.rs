//! Watches a run that another process is working on: it shows what the newest training has recorded.
//!
//! A monitor only reads. What it shows comes from `metrics.jsonl`, `steps.jsonl` and the manifest, so it
//! can be started and ended at any time, on any machine that sees the run folder.

use crate::config::Config;
use crate::machine::memory_bytes;
use crate::manifest::RunManifest;
use crate::stages::action_planning::{ActionPlan, ArchitectureCheck};
use crate::training_analysis::{
    SettingsSource, TrainingPlace, TrainingSettings, best_epoch, holds_record,
};
use crate::{RunFolder, Stage, WorkflowError};
use mlestar_artifact::{PARTIAL_PREFIX, read_artifact};
use mlestar_train::analysis::{
    Finding, History, HistoryFollower, METRICS_FILE, STEPS_FILE, analyse,
};
use mlestar_train::{EpochRecord, StepCosts, StepRecord, TrainingConfig};
use std::collections::VecDeque;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// Speed is measured over about this much time.
const SPEED_WINDOW: Duration = Duration::from_secs(30);

/// Follows a run.
#[derive(Debug)]
pub struct RunMonitor {
    run: RunFolder,
    config: Config,
    followed: Option<Followed>,
}

/// What a run is doing.
#[derive(Debug, Clone)]
pub struct RunState {
    /// The stage that has started and not ended: it is running or was interrupted.
    pub unfinished_stage: Option<Stage>,
    /// The training with the newest record; `None` while there is none.
    pub training: Option<TrainingState>,
    /// Memory of the machine: free for programs, and all, in bytes; `None` where the system does not report it.
    pub memory_bytes: Option<(u64, u64)>,
    /// Whether there is nothing to wait for: the stage of the training has ended.
    pub is_over: bool,
}

/// Where a training is.
#[derive(Debug, Clone)]
pub struct TrainingState {
    /// Its folder in the run, such as `4-implementation`.
    pub name: String,
    /// Epochs that have ended.
    pub epochs_done: usize,
    /// Epochs in all.
    pub epochs: usize,
    /// The epoch that is being trained, from 1; the last one when all have ended.
    pub epoch: usize,
    /// Steps of that epoch that were recorded; `None` where no steps are recorded.
    pub step: Option<usize>,
    /// Steps in an epoch, where that is known.
    pub steps_per_epoch: Option<usize>,
    /// Mean loss of that epoch's steps so far, else the last epoch's.
    pub loss: Option<f64>,
    /// Learning rate of the last step, else of the last epoch.
    pub learning_rate: Option<f64>,
    /// The last epoch that has ended.
    pub last_epoch: Option<EpochRecord>,
    /// The one with the highest validation accuracy.
    pub best_epoch: Option<EpochRecord>,
    /// Training images per second: of the last seconds, else of the last epoch.
    pub images_per_second: Option<f64>,
    /// Seconds until the last epoch has ended, at that speed.
    pub seconds_left: Option<f64>,
    /// Seconds since the training last recorded something.
    pub seconds_since_record: Option<f64>,
    /// The findings of its record so far, the most severe first.
    pub findings: Vec<Finding>,
}

impl RunMonitor {
    /// Follows `run`. Settings that are in no checkpoint are taken from `config`.
    pub fn new(run: &RunFolder, config: &Config) -> Self {
        Self {
            run: run.clone(),
            config: config.clone(),
            followed: None,
        }
    }

    /// Reads the state of the run.
    ///
    /// # Errors
    /// When a file of the run cannot be read or understood; the message names it.
    pub fn look(&mut self) -> Result<RunState, WorkflowError> {
        let manifest = RunManifest::read(&self.run)?;
        let newest = newest_training(&self.run);
        if let Some(folder) = newest
            && self
                .followed
                .as_ref()
                .is_none_or(|followed| followed.place.folder != folder)
        {
            self.followed = Some(Followed::new(&folder, &self.config));
        }
        let training = match &mut self.followed {
            Some(followed) => Some(followed.look(&self.run, &self.config)?),
            None => None,
        };
        let unfinished_stage = Stage::ALL.into_iter().find(|stage| {
            manifest
                .stage(*stage)
                .is_some_and(|record| !record.complete)
        });
        Ok(RunState {
            unfinished_stage,
            training,
            memory_bytes: memory_bytes(),
            is_over: self.is_over(&manifest, unfinished_stage),
        })
    }

    /// Whether the stage of the watched training has ended, or no stage is running.
    fn is_over(&mut self, manifest: &RunManifest, unfinished: Option<Stage>) -> bool {
        let Some(followed) = &mut self.followed else {
            return unfinished.is_none() && Stage::ALL.iter().all(|s| manifest.stage(*s).is_some());
        };
        let stage = followed.place.stage;
        let is_complete = stage.is_none_or(|stage| manifest.complete_stage(stage).is_some());
        if !is_complete {
            followed.was_seen_unfinished = true;
        }
        is_complete && (followed.was_seen_unfinished || unfinished.is_none())
    }
}

/// The folder of the training with the newest record.
fn newest_training(run: &RunFolder) -> Option<PathBuf> {
    let refinement = run.stage_folder(Stage::Refinement);
    let mut folders = vec![
        run.stage_folder(Stage::Implementation),
        refinement.join("training"),
    ];
    // Trials of a search work in folders that are deleted with them.
    for entry in fs::read_dir(&refinement).into_iter().flatten().flatten() {
        if entry
            .file_name()
            .to_string_lossy()
            .starts_with(PARTIAL_PREFIX)
        {
            folders.push(entry.path());
        }
    }
    folders
        .into_iter()
        .filter(|folder| holds_record(folder))
        .filter_map(|folder| Some((last_written(&folder)?, folder)))
        .max_by_key(|(time, _)| *time)
        .map(|(_, folder)| folder)
}

fn last_written(folder: &Path) -> Option<SystemTime> {
    [METRICS_FILE, STEPS_FILE]
        .iter()
        .filter_map(|name| modified(&folder.join(name)))
        .max()
}

fn modified(path: &Path) -> Option<SystemTime> {
    fs::metadata(path)
        .and_then(|metadata| metadata.modified())
        .ok()
}

/// A training that is being followed.
#[derive(Debug)]
struct Followed {
    place: TrainingPlace,
    follower: HistoryFollower,
    settings: TrainingSettings,
    findings: Vec<Finding>,
    /// When the record of the steps was written, and how far it went; of one epoch, so that no validation
    /// lies between.
    progress: VecDeque<(SystemTime, StepRecord)>,
    was_seen_unfinished: bool,
}

impl Followed {
    fn new(folder: &Path, config: &Config) -> Self {
        Self {
            place: TrainingPlace::of(folder),
            follower: HistoryFollower::new(folder),
            settings: TrainingSettings::of(folder, config),
            findings: Vec::new(),
            progress: VecDeque::new(),
            was_seen_unfinished: false,
        }
    }

    fn look(&mut self, run: &RunFolder, config: &Config) -> Result<TrainingState, WorkflowError> {
        let folder = self.place.folder.clone();
        let written = modified(&folder.join(STEPS_FILE));
        if self.follower.read()? {
            // The first checkpoint may have appeared after the first look.
            if self.settings.source == SettingsSource::Config {
                self.settings = TrainingSettings::of(&folder, config);
            }
            let history = self.follower.history();
            self.findings = analyse(
                &history.epochs,
                &history.steps,
                &self.settings.as_settings(),
            );
        }
        let history = self.follower.history();
        if let (Some(time), Some(step)) = (written, history.steps.last()) {
            note_progress(&mut self.progress, time, *step);
        }
        let training = &self.settings.training;
        let position = Position::of(history, training);
        let steps_per_epoch = steps_per_epoch(history).or_else(|| planned_steps(run, training));
        let costs = StepCosts::of_epochs(&history.epochs)
            .or_else(|| ArchitectureCheck::measured_costs(run))
            .unwrap_or_default();
        let recent = recent_speed(&self.progress, training.batch_size);
        let images_per_second = match position.is_done {
            false => recent,
            true => None,
        }
        .or_else(|| {
            let last = history.epochs.last()?;
            let cost = costs.in_epoch(training, position.epoch);
            Some(last.images_per_second * costs.of(last.picture_area) / cost)
        })
        .filter(|speed| speed.is_finite() && *speed > 0.0);
        let since = last_written(&folder).and_then(|time| time.elapsed().ok());
        let seconds_since_record = since.map(|since| since.as_secs_f64());
        Ok(TrainingState {
            name: self.place.name.clone(),
            epochs_done: history.epochs.len(),
            epochs: training.epochs,
            epoch: position.epoch,
            step: position.step,
            steps_per_epoch,
            loss: position.loss,
            learning_rate: last_rate(history),
            last_epoch: history.epochs.last().cloned(),
            best_epoch: best_epoch(&history.epochs).map(|(epoch, _)| epoch.clone()),
            images_per_second,
            seconds_left: position.seconds_left(
                history,
                training,
                costs,
                steps_per_epoch.zip(images_per_second),
                seconds_since_record,
            ),
            seconds_since_record,
            findings: self.findings.clone(),
        })
    }
}

fn note_progress(
    progress: &mut VecDeque<(SystemTime, StepRecord)>,
    time: SystemTime,
    step: StepRecord,
) {
    if let Some((_, last)) = progress.back() {
        if last.step == step.step {
            return;
        }
        if last.epoch != step.epoch || last.step > step.step {
            progress.clear();
        }
    }
    progress.push_back((time, step));
    // Two looks are kept, however long ago they were.
    while progress.len() > 2 && progress[1].0 + SPEED_WINDOW < time {
        progress.pop_front();
    }
}

fn recent_speed(progress: &VecDeque<(SystemTime, StepRecord)>, batch_size: usize) -> Option<f64> {
    let ((from, first), (to, last)) = (progress.front()?, progress.back()?);
    let seconds = to.duration_since(*from).ok()?.as_secs_f64();
    let images = last.step.saturating_sub(first.step) as f64 * batch_size as f64;
    (seconds > 0.0 && images > 0.0).then(|| images / seconds)
}

fn last_rate(history: &History) -> Option<f64> {
    let of_epoch = || history.epochs.last().map(|epoch| epoch.learning_rate);
    history
        .steps
        .last()
        .map(|step| step.learning_rate)
        .or_else(of_epoch)
}

/// The most steps that a finished epoch has: the record may begin within one.
fn steps_per_epoch(history: &History) -> Option<usize> {
    let done = history.epochs.len();
    history
        .steps
        .chunk_by(|a, b| a.epoch == b.epoch)
        .filter(|steps| steps[0].epoch <= done)
        .map(<[StepRecord]>::len)
        .max()
}

/// What stage 3 planned, if it planned for this batch size. Trials train on fewer images and are short.
fn planned_steps(run: &RunFolder, training: &TrainingConfig) -> Option<usize> {
    let path = run.artifact(Stage::ActionPlanning, "action_plan.json");
    let plan: ActionPlan = read_artifact(&path).ok()?;
    (plan.training.batch_size == training.batch_size).then_some(plan.training_work.steps_per_epoch)
}

/// The position of a training in its epochs.
struct Position {
    epoch: usize,
    step: Option<usize>,
    loss: Option<f64>,
    is_done: bool,
}

impl Position {
    fn of(history: &History, training: &TrainingConfig) -> Self {
        let done = history.epochs.len();
        let is_done = done >= training.epochs;
        let epoch = if is_done { done } else { done + 1 };
        let of_epoch = history
            .steps
            .iter()
            .rev()
            .take_while(|step| step.epoch >= epoch);
        let losses: Vec<f64> = of_epoch.map(|step| step.loss).collect();
        let mean = (!losses.is_empty()).then(|| losses.iter().sum::<f64>() / losses.len() as f64);
        Self {
            epoch,
            step: (!history.steps.is_empty()).then_some(losses.len()),
            loss: mean.or_else(|| history.epochs.last().map(|epoch| epoch.train_loss)),
            is_done,
        }
    }

    /// From the speed of the steps where that is known, else from how long the last epochs took.
    fn seconds_left(
        &self,
        history: &History,
        training: &TrainingConfig,
        costs: StepCosts,
        steps_and_speed: Option<(usize, f64)>,
        seconds_since_record: Option<f64>,
    ) -> Option<f64> {
        if self.is_done {
            return Some(0.0);
        }
        let validated = history.epochs.iter().rfind(|epoch| epoch.is_validated());
        let validation = validated.map_or(0.0, |epoch| epoch.validation_seconds);
        let validation_of = |epoch| match training.validates(epoch) {
            true => validation,
            false => 0.0,
        };
        if let (Some((steps, speed)), Some(step)) = (steps_and_speed, self.step) {
            let later_epochs = costs.epochs_after(training, self.epoch);
            let steps_left = steps.saturating_sub(step) as f64 + later_epochs * steps as f64;
            let seconds = steps_left * training.batch_size as f64 / speed;
            let validations = training.validations_after(self.epoch.saturating_sub(1));
            return Some(seconds + validations as f64 * validation);
        }
        // Of full size; the costs of the epochs that are left tell how much of it each takes.
        let last = &history.epochs[history.epochs.len().saturating_sub(3)..];
        let sum: f64 = last
            .iter()
            .map(|epoch| epoch.seconds / costs.of(epoch.picture_area))
            .sum();
        let whole_epoch = (!last.is_empty() && sum.is_finite()).then(|| sum / last.len() as f64)?;
        let seconds_of =
            |epoch| whole_epoch * costs.in_epoch(training, epoch) + validation_of(epoch);
        let of_this = (seconds_of(self.epoch) - seconds_since_record.unwrap_or(0.0)).max(0.0);
        let later: f64 = (self.epoch + 1..=training.epochs).map(seconds_of).sum();
        Some(of_this + later)
    }
}

#[cfg(test)]
mod tests;
