//! The study: suggestions, objective, pruning, log.

use std::collections::BTreeMap;
use std::path::Path;

use mlestar_artifact::ContentHash;
use serde::{Deserialize, Serialize};

use crate::TuneError;
use crate::event::StudyEvent;
use crate::importance::importance;
use crate::log;
use crate::pareto::dominates;
use crate::pruning::{Pruner, PruningRule};
use crate::record::{TrialRecord, TrialState};
use crate::sampler::{Sampler, Settings, suggest};
use crate::space::{Parameters, SearchSpace};
use crate::trial::{Trial, TrialError};

/// Settings of a study.
///
/// | key | default | purpose | range |
/// |---|---|---|---|
/// | `trials` | 20 | total number of trials, including those tried first | 1 to 100,000 |
/// | `sampler` | `"tpe"` | how parameters are chosen | `"tpe"`, `"gp"`, `"cma-es"`, `"sobol"`, `"random"`, `"grid"` |
/// | `pruner` | `"median"` | when a trial is pruned | [`Pruner`]: `"median"`, `{ percentile = { percent = 25 } }`, `{ patience = { steps = 5 } }`, `{ halving = { first = 1, last = 27, factor = 3 } }`, `"none"` |
/// | `startup_trials` | 5 | random trials before the estimator is used, and complete trials before any is pruned | 1 to 100,000 |
/// | `warmup_steps` | 1 | no trial is pruned at steps below this | any |
/// | `space` | empty | the parameters to search | at least one |
/// | `window` | 1 | trials that may run at the same time: a suggestion rests on the results of all trials but the last `window - 1` | 1 to 1,000 |
/// | `directions` | `["maximize"]` | for each objective, whether higher or lower is better | 1 to 8 |
/// | `objective` | empty | anything else that determines the objective's values, such as a hash of its data |
/// any |
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StudyConfig {
    /// Total number of trials, including those tried first and those in the log.
    pub trials: usize,
    /// How parameters are chosen.
    pub sampler: Sampler,
    /// When a trial is pruned.
    pub pruner: Pruner,
    /// Random trials before the estimator is used, and complete trials before any is pruned.
    pub startup_trials: usize,
    /// No trial is pruned at steps below this one.
    pub warmup_steps: u64,
    /// Trials that may run at the same time. Suggestions and pruning rest on the results of all earlier trials but the last
    /// `window - 1`, so the same trials come out no matter how many run at once, up to this number.
    #[serde(skip_serializing_if = "is_one")]
    pub window: usize,
    /// For each objective, whether higher or lower is better.
    #[serde(skip_serializing_if = "is_one_maximum")]
    pub directions: Vec<Direction>,
    /// The parameters to search.
    pub space: SearchSpace,
    /// Anything else that determines the objective's values, such as a hash of its data and of its code: trials
    /// of another objective are never reused.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub objective: String,
}

/// Whether higher or lower values of an objective are better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Direction {
    /// Higher is better.
    Maximize,
    /// Lower is better.
    Minimize,
}

impl Direction {
    /// 1 if higher is better, else -1.
    pub(crate) fn sign(self) -> f64 {
        match self {
            Self::Maximize => 1.0,
            Self::Minimize => -1.0,
        }
    }
}

fn is_one(window: &usize) -> bool {
    *window == 1
}

fn is_one_maximum(directions: &[Direction]) -> bool {
    directions == [Direction::Maximize]
}

impl Default for StudyConfig {
    fn default() -> Self {
        Self {
            trials: 20,
            sampler: Sampler::Tpe,
            pruner: Pruner::Median,
            startup_trials: 5,
            warmup_steps: 1,
            window: 1,
            directions: vec![Direction::Maximize],
            space: SearchSpace::default(),
            objective: String::new(),
        }
    }
}

impl StudyConfig {
    /// Checks the settings and the search space.
    ///
    /// # Errors
    ///
    /// [`TuneError::OutOfRange`], [`TuneError::EmptySpace`] and [`TuneError::BadParameter`].
    ///
    /// ```
    /// use mlestar_tune::StudyConfig;
    ///
    /// let config = StudyConfig { trials: 0, ..StudyConfig::default() };
    /// assert_eq!(
    ///     config.check().unwrap_err().to_string(),
    ///     "study setting `trials` is 0; it must be 1 to 100000"
    /// );
    /// ```
    pub fn check(&self) -> Result<(), TuneError> {
        for (key, value) in [
            ("trials", self.trials),
            ("startup_trials", self.startup_trials),
        ] {
            if !(1..=100_000).contains(&value) {
                return Err(TuneError::OutOfRange {
                    key,
                    value: value.to_string(),
                    limits: "1 to 100000",
                });
            }
        }
        if !(1..=1000).contains(&self.window) {
            return Err(TuneError::OutOfRange {
                key: "window",
                value: self.window.to_string(),
                limits: "1 to 1000",
            });
        }
        if !(1..=8).contains(&self.directions.len()) {
            return Err(TuneError::OutOfRange {
                key: "directions",
                value: format!("a list of {}", self.directions.len()),
                limits: "a list of 1 to 8",
            });
        }
        self.pruner.check()?;
        if self.directions.len() > 1 && self.pruner != Pruner::None {
            return Err(TuneError::OutOfRange {
                key: "pruner",
                value: "set".into(),
                limits: "\"none\" with several directions, because values during a trial have no common order",
            });
        }
        self.space.check()?;
        self.sampler.check(&self.space, self.directions.len())
    }

    /// The pruning rule of a trial whose decisions rest on these trials.
    pub(crate) fn pruning_rule<'a>(&self, trials: &'a [TrialRecord]) -> PruningRule<'a> {
        PruningRule {
            pruner: self.pruner,
            sign: self
                .directions
                .first()
                .map_or(1.0, |direction| direction.sign()),
            warmup_steps: self.warmup_steps,
            fewest_trials: self.startup_trials,
            trials,
            pause_at: None,
        }
    }

    /// The parameters of the trial that follows `trials`, which are in order. Of the last `window - 1` only the parameters
    /// are used, not the results.
    ///
    /// ```
    /// use mlestar_tune::{ParameterSpace, SearchSpace, StudyConfig};
    ///
    /// let space = SearchSpace::new([("rate".to_owned(), ParameterSpace::log_float(1e-4, 1e-1))]);
    /// let config = StudyConfig { space, ..StudyConfig::default() };
    /// let first = config.suggest(7, &[]);
    /// assert!(config.space.contains(&first));
    /// ```
    pub fn suggest(&self, seed: u64, trials: &[TrialRecord]) -> Parameters {
        let n_known = (trials.len() + 1).saturating_sub(self.window);
        let (known, pending) = trials.split_at(n_known);
        let pending: Vec<Parameters> = pending.iter().map(|t| t.parameters.clone()).collect();
        self.suggest_from(seed, trials.len() as u64, known, &pending)
    }

    /// The parameters of trial `number` from the results of some trials and the parameters of others.
    pub(crate) fn suggest_from(
        &self,
        seed: u64,
        number: u64,
        known: &[TrialRecord],
        pending: &[Parameters],
    ) -> Parameters {
        let signs: Vec<f64> = self.directions.iter().map(|d| d.sign()).collect();
        let settings = Settings {
            sampler: self.sampler,
            space: &self.space,
            startup_trials: self.startup_trials,
            seed,
            signs: &signs,
        };
        suggest(settings, number, known, pending)
    }
}

/// The result of a study.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StudyReport {
    /// All trials, in order.
    pub trials: Vec<TrialRecord>,
    /// Number of the complete trial with the best value; of equal ones, the first; `None` without complete
    /// trials, and with several objectives.
    pub best: Option<u64>,
    /// With several objectives the numbers of the trials that no other trial beats in all of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub front: Vec<u64>,
    /// Share of the objective's variance that each parameter explains alone (0 to 1; the rest up to 1 belongs
    /// to interactions). `None` below [`MIN_TRIALS_FOR_IMPORTANCE`] complete trials, or if their values are all
    /// equal.
    ///
    /// [`MIN_TRIALS_FOR_IMPORTANCE`]: crate::MIN_TRIALS_FOR_IMPORTANCE
    pub importance: Option<BTreeMap<String, f64>>,
    /// Whether the study was stopped before all trials were run.
    pub stopped: bool,
}

impl StudyReport {
    /// The complete trial with the best value.
    pub fn best_trial(&self) -> Option<&TrialRecord> {
        let best = self.best?;
        self.trials.iter().find(|trial| trial.number == best)
    }

    /// How many trials ended this way.
    pub fn count(&self, state: TrialState) -> usize {
        self.trials
            .iter()
            .filter(|trial| trial.state == state)
            .count()
    }
}

/// Runs a study that maximises `objective`, or resumes one whose trials are already in `log`.
///
/// The sets in `enqueue` are tried first. The sampler suggests the parameters that they leave out, and their
/// values may lie outside the search space, so that a baseline can always be tried. The objective returns the
/// value, or [`TrialError`]. A trial that fails, or whose value is not finite, is recorded and the study
/// continues. On [`TrialError::Stopped`], the report of the trials so far is returned.
///
/// The same settings, seed and log give the same next suggestions: a resumed study makes the same suggestions
/// as an uninterrupted one, if the objective returns the same values. A damaged line of the log affects only
/// its own trial, which is run again.
///
/// # Errors
///
/// Settings out of range, an invalid search space or set to try first, or a log that cannot be read or written
/// or belongs to a study with other settings or another objective.
pub fn run_study(
    config: &StudyConfig,
    seed: u64,
    log: &Path,
    enqueue: &[Parameters],
    objective: &mut dyn FnMut(&mut Trial<'_>) -> Result<f64, TrialError>,
    observer: &mut dyn FnMut(&StudyEvent<'_>),
) -> Result<StudyReport, TuneError> {
    config.check()?;
    if matches!(config.pruner, Pruner::Halving { .. }) {
        return Err(TuneError::OutOfRange {
            key: "pruner",
            value: "halving".into(),
            limits: "another one here: paused trials need a journal (`shared::SharedStudy`)",
        });
    }
    let enqueue = check_enqueued(&config.space, enqueue)?;
    let study = identity(config, seed, &enqueue)?;
    let (mut logged, damaged) = log::read(log, &study)?;
    if damaged > 0 {
        observer(&StudyEvent::Damaged { lines: damaged });
    }
    if !logged.is_empty() {
        observer(&StudyEvent::Resumed {
            trials: logged.len(),
        });
    }
    let mut trials: Vec<TrialRecord> = Vec::new();
    let mut stopped = false;
    while trials.len() < config.trials {
        let number = trials.len() as u64;
        if let Some(record) = logged.get(&number) {
            trials.push(record.clone());
            continue;
        }
        let mut parameters = config.suggest(seed, &trials);
        if let Some(first) = enqueue.get(trials.len()) {
            parameters = config.space.filled(&parameters, first);
        }
        observer(&StudyEvent::Started {
            number,
            trials: config.trials,
            parameters: &parameters,
        });
        let n_known = (trials.len() + 1).saturating_sub(config.window);
        let rule = config.pruning_rule(&trials[..n_known]);
        let mut trial = Trial::new(number, parameters, Some(rule), observer);
        let outcome = objective(&mut trial).map(|value| vec![value]);
        let Some(record) = trial.finish(outcome, config.directions.len()) else {
            stopped = true;
            break;
        };
        let is_last = logged.range(number..).next().is_none();
        logged.insert(number, record.clone());
        match is_last {
            true => log::append(log, &study, &record)?,
            // Replaces a damaged line.
            false => log::write(log, &study, &logged)?,
        }
        observer(&StudyEvent::Ended { trial: &record });
        trials.push(record);
    }
    Ok(report(&config.space, &config.directions, trials, stopped))
}

pub(crate) fn report(
    space: &SearchSpace,
    directions: &[Direction],
    trials: Vec<TrialRecord>,
    stopped: bool,
) -> StudyReport {
    StudyReport {
        importance: importance(space, &trials),
        ..outcome(directions, trials, stopped)
    }
}

/// As [`report`], without the importances, which take time where there are many trials.
pub(crate) fn outcome(
    directions: &[Direction],
    trials: Vec<TrialRecord>,
    stopped: bool,
) -> StudyReport {
    StudyReport {
        best: best(
            &trials,
            directions.first().map_or(1.0, |direction| direction.sign()),
        ),
        front: front(&trials, directions),
        importance: None,
        trials,
        stopped,
    }
}

/// The report of the first `trials` trials of a log, computed from the log alone, of an objective that is maximised.
///
/// # Errors
///
/// A log that cannot be read, is damaged, or holds the trials of more than one study.
pub fn report_of_log(
    space: &SearchSpace,
    trials: usize,
    log: &Path,
) -> Result<StudyReport, TuneError> {
    let mut logged = log::read_strictly(log)?;
    logged.truncate(trials);
    let stopped = logged.len() < trials;
    Ok(report(space, &[Direction::Maximize], logged, stopped))
}

/// Copies the trials in the log `from` that belong to exactly the study described by the other arguments into
/// the log `to`, and returns their number. If there are none, because space, seed or objective differ, `to` is
/// not written.
///
/// # Errors
///
/// As for [`run_study`], except for a log of another study or a damaged one.
pub fn carry_over(
    config: &StudyConfig,
    seed: u64,
    from: &Path,
    to: &Path,
    enqueue: &[Parameters],
) -> Result<usize, TuneError> {
    config.check()?;
    let enqueue = check_enqueued(&config.space, enqueue)?;
    let study = identity(config, seed, &enqueue)?;
    let trials = log::of_study(from, &study)?;
    if !trials.is_empty() {
        log::write(to, &study, &trials)?;
    }
    Ok(trials.len())
}

/// The numbers of the complete trials with several values that no other one beats in all objectives.
fn front(trials: &[TrialRecord], directions: &[Direction]) -> Vec<u64> {
    let losses = |trial: &TrialRecord| -> Vec<f64> {
        let values = trial.values.iter().zip(directions);
        values
            .map(|(value, direction)| -value * direction.sign())
            .collect()
    };
    let several = trials.iter().filter(|trial| !trial.values.is_empty());
    let points: Vec<(u64, Vec<f64>)> = several.map(|t| (t.number, losses(t))).collect();
    let is_beaten = |point: &[f64]| points.iter().any(|(_, other)| dominates(other, point));
    let front = points.iter().filter(|(_, point)| !is_beaten(point));
    front.map(|(number, _)| *number).collect()
}

fn best(trials: &[TrialRecord], sign: f64) -> Option<u64> {
    let mut best: Option<(f64, u64)> = None;
    for trial in trials
        .iter()
        .filter(|trial| trial.state == TrialState::Complete)
    {
        if let Some(value) = trial.value
            && best.is_none_or(|(best, _)| sign * value > sign * best)
        {
            best = Some((value, trial.number));
        }
    }
    best.map(|(_, number)| number)
}

pub(crate) fn check_enqueued(
    space: &SearchSpace,
    enqueue: &[Parameters],
) -> Result<Vec<Parameters>, TuneError> {
    let coerce = |index: usize, key: &str, value| {
        space
            .get(key)
            .ok_or_else(|| "is not in the search space".to_owned())
            .and_then(|parameter| parameter.coerce(value))
            .map(|value| (key.to_owned(), value))
            .map_err(|message| TuneError::BadEnqueued {
                index,
                key: key.to_owned(),
                message,
            })
    };
    enqueue
        .iter()
        .enumerate()
        .map(|(index, set)| {
            set.iter()
                .map(|(key, value)| coerce(index, key, value))
                .collect()
        })
        .collect()
}

/// Hash of everything that determines the suggestions and the objective. It does not include `trials`, so a
/// study can be extended.
pub(crate) fn identity(
    config: &StudyConfig,
    seed: u64,
    enqueue: &[Parameters],
) -> Result<String, TuneError> {
    let decisive = (
        seed,
        config.sampler,
        config.pruner,
        config.startup_trials,
        config.warmup_steps,
        (config.window, &config.directions),
        &config.space,
        enqueue,
        &config.objective,
    );
    Ok(ContentHash::of_json(&decisive)?.to_string())
}
