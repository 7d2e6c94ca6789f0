//! A study as somebody sees it who does not work on it.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

use super::claim::moved;
use super::{COPIED, SharedStudy, WORKER, outcome_of, record, settings_of, worker};
use crate::TuneError;
use crate::importance::importance;
use crate::journal::{Journal, State};
use crate::record::IntermediateValue;
use crate::space::Parameters;
use crate::study::{StudyConfig, StudyReport};

/// A study with its unfinished trials, read in one go.
#[derive(Debug, Clone, PartialEq)]
pub struct Overview {
    /// The settings of the study.
    pub config: StudyConfig,
    /// Trials that the study will have.
    pub planned: usize,
    /// The finished trials, without the importances, which take time: see [`Overview::importance`].
    pub report: StudyReport,
    /// The trials that a process runs, or that wait for another process because theirs has ended.
    pub running: Vec<RunningTrial>,
    /// The trials that paused, or were given to try and have not begun.
    pub waiting: Vec<RunningTrial>,
    /// How many finished trials were copied from another study. They are in no other field.
    pub copied: usize,
    /// How often each trial was taken from a process that may go on ([`Trial::moved`](crate::Trial::moved)), where that happened.
    pub moved: BTreeMap<u64, u64>,
}

impl Overview {
    /// Whether nothing is left to do.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        !self.report.stopped && self.running.is_empty() && self.waiting.is_empty()
    }

    /// The share of the variance of a single objective that each parameter explains; `None` before enough trials.
    #[must_use]
    pub fn importance(&self) -> Option<BTreeMap<String, f64>> {
        importance(&self.config.space, &self.report.trials)
    }
}

/// A trial without a result yet.
#[derive(Debug, Clone, PartialEq)]
pub struct RunningTrial {
    /// Its number, from 0.
    pub number: u64,
    /// Its parameters.
    pub parameters: Parameters,
    /// What it reported last.
    pub last: Option<IntermediateValue>,
    /// The name of the process that runs it; none where it was handed on or waits.
    pub worker: Option<String>,
    /// Whether that process is at work, as far as this machine can tell: a process on another machine counts as ended
    /// where locks of files do not reach it.
    pub is_at_work: bool,
}

impl SharedStudy {
    /// The study with its unfinished trials, without joining it.
    ///
    /// # Errors
    ///
    /// As for [`join`](Self::join).
    pub fn overview(journal: &Path, name: &str) -> Result<Overview, TuneError> {
        let opened = Journal::open_to_read(journal)?;
        let settings = settings_of(&opened, name)?;
        let study = opened.replay().studies().find(|study| study.name == name);
        let id = study.map_or(0, |study| study.id);
        let mut overview = Overview {
            report: outcome_of(&opened, id, &settings),
            planned: settings.planned(),
            config: settings.config,
            running: Vec::new(),
            waiting: Vec::new(),
            copied: 0,
            moved: BTreeMap::new(),
        };
        for trial in opened.replay().trials_of(id) {
            if trial.system.contains_key(COPIED) {
                overview.copied += 1;
                continue;
            }
            if let n @ 1.. = moved(trial) {
                overview.moved.insert(trial.number as u64, n);
            }
            let worker = trial.system.get(WORKER).and_then(Value::as_str);
            let unfinished = || RunningTrial {
                number: trial.number as u64,
                parameters: trial.parameters.clone(),
                last: record(trial).intermediate.last().copied(),
                worker: worker
                    .filter(|_| trial.state == State::Running)
                    .map(str::to_owned),
                is_at_work: trial.state == State::Running
                    && worker.is_some_and(|worker| worker::is_at_work(journal, worker)),
            };
            match trial.state {
                State::Running => overview.running.push(unfinished()),
                State::Waiting => overview.waiting.push(unfinished()),
                State::Complete | State::Pruned | State::Failed => {}
            }
        }
        Ok(overview)
    }
}
