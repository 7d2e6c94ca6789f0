//! How far a study is.

use super::{StudyFile, StudyFolder};
use crate::WorkflowError;
use crate::config::Objective;
use mlestar_tune::shared::{Overview, RunningTrial, SharedStudy};
use mlestar_tune::{IntermediateValue, Parameters, TrialRecord, TrialState};
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// A study: finished, running and waiting trials, and the best.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StudyStatus {
    /// The study's folder.
    pub folder: PathBuf,
    /// The name of the project and of the study in the journal.
    pub name: String,
    /// What trials are measured by, in the order of their values.
    pub objectives: Vec<Objective>,
    /// Trials that the study will have.
    pub planned: usize,
    /// Whether every trial is finished.
    pub is_complete: bool,
    /// Trials that were taken over from another study.
    pub copied: usize,
    /// The finished trials, by number.
    pub trials: Vec<TrialRow>,
    /// The trials that a process runs, or whose process has ended.
    pub running: Vec<UnfinishedRow>,
    /// The trials that paused or were given to try.
    pub waiting: Vec<UnfinishedRow>,
    /// With one objective, the number of the best trial.
    pub best: Option<u64>,
    /// With several, the numbers of the trials that no other beats in all of them.
    pub front: Vec<u64>,
    /// Share of the variance of the value that each parameter explains; none before enough trials, and from [`progress`].
    pub importance: Option<BTreeMap<String, f64>>,
}

/// A finished trial.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TrialRow {
    /// Its number, from 0.
    pub number: u64,
    /// How it ended.
    pub state: TrialState,
    /// Its parameters.
    pub parameters: Parameters,
    /// A value for each objective; empty unless complete.
    pub values: Vec<f64>,
    /// The last reported epoch, with the value of the first objective that has values during a training.
    pub last: Option<IntermediateValue>,
    /// Why it failed.
    pub message: Option<String>,
}

/// A trial that is not finished.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct UnfinishedRow {
    /// Its number, from 0.
    pub number: u64,
    /// Its parameters.
    pub parameters: Parameters,
    /// The last reported epoch.
    pub last: Option<IntermediateValue>,
    /// The process that runs it, by its name in the journal.
    pub worker: Option<String>,
    /// Whether that process is at work, as far as this machine can tell.
    pub is_at_work: bool,
}

impl StudyStatus {
    /// How many finished trials ended this way.
    pub fn count(&self, state: TrialState) -> usize {
        self.trials.iter().filter(|row| row.state == state).count()
    }

    /// The trial with the best value.
    pub fn best_trial(&self) -> Option<&TrialRow> {
        let best = self.best?;
        self.trials.iter().find(|row| row.number == best)
    }

    /// Processes that run a trial now.
    pub fn n_at_work(&self) -> usize {
        self.running.iter().filter(|row| row.is_at_work).count()
    }
}

/// Reads a study, without joining it.
///
/// # Errors
/// No study, or a damaged one.
pub fn status(folder: &StudyFolder) -> Result<StudyStatus, WorkflowError> {
    let (file, overview) = read(folder)?;
    let importance = overview.importance();
    Ok(StudyStatus {
        importance,
        ..status_of(folder, file, overview)
    })
}

/// As [`status`], without the importances: for those who look often, because importances take time.
///
/// # Errors
/// No study, or a damaged one.
pub fn progress(folder: &StudyFolder) -> Result<StudyStatus, WorkflowError> {
    let (file, overview) = read(folder)?;
    Ok(status_of(folder, file, overview))
}

fn read(folder: &StudyFolder) -> Result<(StudyFile, Overview), WorkflowError> {
    let file = folder.read()?;
    let overview = SharedStudy::overview(&folder.journal_path(), &file.name)?;
    Ok((file, overview))
}

fn status_of(folder: &StudyFolder, file: StudyFile, overview: Overview) -> StudyStatus {
    let is_complete = overview.is_complete();
    let report = overview.report;
    let trials: Vec<TrialRow> = report.trials.into_iter().map(row).collect();
    StudyStatus {
        folder: folder.root().to_owned(),
        name: file.name,
        objectives: file.config.refinement.objectives,
        planned: overview.planned.max(trials.len()),
        is_complete,
        copied: overview.copied,
        trials,
        running: overview.running.into_iter().map(unfinished).collect(),
        waiting: overview.waiting.into_iter().map(unfinished).collect(),
        best: report.best,
        front: report.front,
        importance: None,
    }
}

fn row(trial: TrialRecord) -> TrialRow {
    let mut values = trial.values;
    values.extend(trial.value);
    TrialRow {
        number: trial.number,
        state: trial.state,
        parameters: trial.parameters,
        values,
        last: trial.intermediate.last().copied(),
        message: trial.message,
    }
}

fn unfinished(trial: RunningTrial) -> UnfinishedRow {
    UnfinishedRow {
        number: trial.number,
        parameters: trial.parameters,
        last: trial.last,
        worker: trial.worker,
        is_at_work: trial.is_at_work,
    }
}
