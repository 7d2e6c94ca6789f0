//! The study: suggestions, objective, pruning, log.

use std::collections::BTreeMap;
use std::path::Path;

use mlestar_artifact::ContentHash;
use serde::{Deserialize, Serialize};

use crate::TuneError;
use crate::event::StudyEvent;
use crate::importance::importance;
use crate::log;
use crate::pruning::{Pruner, PruningRule};
use crate::record::{TrialRecord, TrialState};
use crate::sampler::{Sampler, suggest};
use crate::space::{Parameters, SearchSpace};
use crate::trial::{Trial, TrialError};

/// Settings of a study.
///
/// | key | default | purpose | range |
/// |---|---|---|---|
/// | `trials` | 20 | total number of trials, including those tried first | 1 to 100,000 |
/// | `sampler` | `"tpe"` | how parameters are chosen | `"tpe"`, `"random"` |
/// | `pruner` | `"median"` | when a trial is pruned | `"median"`, `"none"` |
/// | `startup_trials` | 5 | random trials before the estimator is used, and complete trials before any is pruned | 1 to 100,000 |
/// | `warmup_steps` | 1 | no trial is pruned at steps below this | any |
/// | `space` | empty | the parameters to search | at least one |
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
    /// The parameters to search.
    pub space: SearchSpace,
    /// Anything else that determines the objective's values, such as a hash of its data and of its code: trials
    /// of another objective are never reused.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub objective: String,
}

impl Default for StudyConfig {
    fn default() -> Self {
        Self {
            trials: 20,
            sampler: Sampler::Tpe,
            pruner: Pruner::Median,
            startup_trials: 5,
            warmup_steps: 1,
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
        self.space.check()
    }
}

/// The result of a study.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StudyReport {
    /// All trials, in order.
    pub trials: Vec<TrialRecord>,
    /// Number of the complete trial with the highest value; of equal ones, the first; `None` without complete
    /// trials.
    pub best: Option<u64>,
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
    /// The complete trial with the highest value.
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
        let mut parameters = suggest(
            config.sampler,
            &config.space,
            config.startup_trials,
            seed,
            number,
            &trials,
        );
        if let Some(first) = enqueue.get(trials.len()) {
            parameters.extend(first.clone());
        }
        observer(&StudyEvent::Started {
            number,
            trials: config.trials,
            parameters: &parameters,
        });
        let pruning = match config.pruner {
            Pruner::None => None,
            Pruner::Median => Some(PruningRule {
                warmup_steps: config.warmup_steps,
                fewest_trials: config.startup_trials,
                trials: &trials,
            }),
        };
        let mut trial = Trial::new(number, parameters, pruning, observer);
        let outcome = objective(&mut trial);
        let Some(record) = trial.finish(outcome) else {
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
    Ok(report(&config.space, trials, stopped))
}

fn report(space: &SearchSpace, trials: Vec<TrialRecord>, stopped: bool) -> StudyReport {
    StudyReport {
        best: best(&trials),
        importance: importance(space, &trials),
        trials,
        stopped,
    }
}

/// The report of the first `trials` trials of a log, computed from the log alone.
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
    Ok(report(space, logged, stopped))
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

fn best(trials: &[TrialRecord]) -> Option<u64> {
    let mut best: Option<(f64, u64)> = None;
    for trial in trials
        .iter()
        .filter(|trial| trial.state == TrialState::Complete)
    {
        if let Some(value) = trial.value
            && best.is_none_or(|(highest, _)| value > highest)
        {
            best = Some((value, trial.number));
        }
    }
    best.map(|(_, number)| number)
}

fn check_enqueued(
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
fn identity(config: &StudyConfig, seed: u64, enqueue: &[Parameters]) -> Result<String, TuneError> {
    let decisive = (
        seed,
        config.sampler,
        config.pruner,
        config.startup_trials,
        config.warmup_steps,
        &config.space,
        enqueue,
        &config.objective,
    );
    Ok(ContentHash::of_json(&decisive)?.to_string())
}
