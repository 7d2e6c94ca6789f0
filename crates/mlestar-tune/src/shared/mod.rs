//! Studies that several processes work on, through one journal.
//!
//! The journal has the format of Optuna's `JournalStorage`, so `optuna-dashboard journal.log` shows such a study, also while it runs. Every process
//! that calls [`SharedStudy::work`] takes the next trial, runs it and writes its results; nothing else coordinates them.
//!
//! - The table of trials does not depend on how many processes work: a suggestion and a pruning decision rest on the trials that
//!   [`StudyConfig::window`] fixes, not on those that happen to be finished.
//! - A process may be killed at any time. Its trial is taken up again by the next process that looks; an objective that saved a checkpoint goes
//!   on from there ([`Trial::resumed_after`](crate::Trial::resumed_after)).
//! - A process that was paused for so long that another one took its trial writes nothing more about that trial
//!   ([`Trial::moved`](crate::Trial::moved)).
//! - A trial that fails, panics, is not finite, or whose process ends three times at the same step while others live on (as when memory runs out) is
//!   recorded as failed, and the study goes on. Where all processes end together, as when a machine stops, that is no fault of a trial, unless
//!   it happens ten times.
//!
//! ```
//! use mlestar_tune::shared::{SharedStudy, Work};
//! use mlestar_tune::{ParameterSpace, SearchSpace, StudyConfig};
//!
//! let folder = tempfile::tempdir()?;
//! let config = StudyConfig {
//!     trials: 12,
//!     window: 4,
//!     space: SearchSpace::new([("rate".to_owned(), ParameterSpace::log_float(1e-4, 1e-1))]),
//!     ..StudyConfig::default()
//! };
//! let journal = folder.path().join("journal.log");
//! // Each process, or here each thread, opens the study for itself.
//! std::thread::scope(|scope| {
//!     for _ in 0..4 {
//!         scope.spawn(|| -> Result<(), mlestar_tune::TuneError> {
//!             let mut study = SharedStudy::open(&journal, "example", &config, 7, &[])?;
//!             let mut objective = |trial: &mut mlestar_tune::Trial<'_>| {
//!                 let rate = trial.float("rate")?;
//!                 Ok(vec![-(rate.log10() + 2.0).powi(2)])
//!             };
//!             study.work(&Work::default(), &mut objective, &mut |_event| {})
//!         });
//!     }
//! });
//! let report = SharedStudy::read(&journal, "example")?;
//! assert_eq!(report.trials.len(), 12);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod claim;
mod halving;
mod knowledge;
mod overview;
mod worker;

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::TuneError;
use crate::event::StudyEvent;
use crate::journal::{Journal, JournalTrial, Operation, State};
use crate::pruning::Decision;
use crate::record::{IntermediateValue, TrialRecord, TrialState};
use crate::space::{Parameters, SearchSpace};
use crate::study::{StudyConfig, StudyReport, check_enqueued, identity, outcome, report};
use crate::trial::{Trial, TrialError};
use claim::{Claim, Claimed};
pub use overview::{Overview, RunningTrial};
use worker::Presence;

/// Attribute of a study: its settings.
const SETTINGS: &str = "mlestar:study";
/// Attribute of a trial: the process that runs it.
const WORKER: &str = "mlestar:worker";
/// Attribute of a trial: how many processes ended while they ran it and others lived on, since it last got further.
const ATTEMPTS: &str = "mlestar:attempts";
/// Attribute of a trial: how many others ended, perhaps all processes together.
const LEFT: &str = "mlestar:left";
/// Attribute of a trial: the last step that it had reported when they were counted.
const REACHED: &str = "mlestar:reached";
/// Attribute of a trial: how often it was taken from a process that had not shown itself for too long, but may go on.
const MOVED: &str = "mlestar:moved";
/// Attribute of a trial: it waits for its turn to go on.
const PAUSED: &str = "mlestar:paused";
/// Attribute of a trial: the study that it was copied from.
const COPIED: &str = "mlestar:copied_from";
/// Attribute of a trial: its parameters were given after the study had begun.
const GIVEN: &str = "mlestar:given";
/// What people see of a failed trial.
const MESSAGE: &str = "message";

/// What a study needs to know, as the journal keeps it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Settings {
    /// Hash of everything that decides the suggestions.
    identity: String,
    seed: u64,
    config: StudyConfig,
    enqueue: Vec<Parameters>,
}

impl Settings {
    /// How many trials of its own the study will have: a grid ends with its last point.
    fn planned(&self) -> usize {
        let StudyConfig { sampler, space, .. } = &self.config;
        let size = sampler
            .most_trials(space)
            .and_then(|n| usize::try_from(n).ok());
        let most = size.map_or(usize::MAX, |n| n + self.enqueue.len());
        self.config.trials.min(most)
    }
}

/// A study in a journal.
#[derive(Debug)]
pub struct SharedStudy {
    journal: Journal,
    /// Id of the study in the journal.
    id: usize,
    name: String,
    settings: Settings,
    presence: Presence,
}

/// How a process works on a study.
#[derive(Debug, Clone, Copy)]
pub struct Work<'a> {
    /// The process ends after its current trial once this is true.
    pub stop: Option<&'a AtomicBool>,
    /// The process takes no new trial after this time.
    pub until: Option<Instant>,
    /// How long to wait between two looks at the journal while other processes must finish first.
    pub pause: Duration,
    /// The trial of a process that has not shown itself for this long, as on a machine that is gone, is taken up by another.
    pub patience: Duration,
    /// The number of the process that this one replaces, if whoever starts processes saw that one end.
    pub replaces: Option<u32>,
}

impl Default for Work<'_> {
    fn default() -> Self {
        Self {
            stop: None,
            until: None,
            pause: Duration::from_millis(50),
            patience: Duration::from_secs(120),
            replaces: None,
        }
    }
}

impl Work<'_> {
    fn is_over(&self) -> bool {
        self.stop.is_some_and(|stop| stop.load(Ordering::Relaxed))
            || self.until.is_some_and(|until| Instant::now() >= until)
    }
}

impl SharedStudy {
    /// Opens the study of that name in the journal, or begins it. `enqueue` holds parameters to try first, as in
    /// [`run_study`](crate::run_study). Another number of trials than before extends the study, or ends it earlier.
    ///
    /// # Errors
    ///
    /// Settings out of range; a study of that name with other settings (`trials` may differ); a journal that is damaged, or cannot be read or
    /// written.
    pub fn open(
        journal: &Path,
        name: &str,
        config: &StudyConfig,
        seed: u64,
        enqueue: &[Parameters],
    ) -> Result<Self, TuneError> {
        config.check()?;
        let enqueue = check_enqueued(&config.space, enqueue)?;
        let settings = Settings {
            identity: identity(config, seed, &enqueue)?,
            seed,
            config: config.clone(),
            enqueue,
        };
        let presence = Presence::new(journal)?;
        let mut opened = Journal::open(journal, presence.id())?;
        let locked = opened.lock()?;
        let known = opened.replay().studies().find(|study| study.name == name);
        let id = match known {
            Some(study) => {
                let found = recorded(journal, name, &study.system)?;
                if found.identity != settings.identity {
                    let message = "has other settings (seed, search space, sampler, pruner, window, directions, first \
                                   parameters or objective); give another name";
                    return Err(TuneError::no_study(journal, name, message));
                }
                let id = study.id;
                if found.config.trials != settings.config.trials {
                    let value = serde_json::to_value(&settings)
                        .map_err(|error| TuneError::no_study(journal, name, error.to_string()))?;
                    let extend = Operation::StudyAttribute {
                        study: id,
                        key: SETTINGS,
                        value,
                    };
                    opened.append(&locked, &[extend])?;
                }
                id
            }
            None => {
                let id = opened.replay().n_studies();
                let value = serde_json::to_value(&settings)
                    .map_err(|error| TuneError::no_study(journal, name, error.to_string()))?;
                let create = Operation::CreateStudy {
                    name: name.to_owned(),
                    directions: config.directions.clone(),
                };
                let describe = Operation::StudyAttribute {
                    study: id,
                    key: SETTINGS,
                    value,
                };
                opened.append(&locked, &[create, describe])?;
                id
            }
        };
        drop(locked);
        Ok(Self {
            journal: opened,
            id,
            name: name.to_owned(),
            settings,
            presence,
        })
    }

    /// Opens a study that exists, with the settings that the journal has.
    ///
    /// # Errors
    ///
    /// As for [`open`](Self::open), and a journal without such a study.
    pub fn join(journal: &Path, name: &str) -> Result<Self, TuneError> {
        let settings = settings_of(&Journal::open_to_read(journal)?, name)?;
        Self::open(
            journal,
            name,
            &settings.config,
            settings.seed,
            &settings.enqueue,
        )
    }

    /// The names of the studies in a journal.
    ///
    /// # Errors
    ///
    /// A journal that is damaged or cannot be read.
    pub fn names(journal: &Path) -> Result<Vec<String>, TuneError> {
        let journal = Journal::open_to_read(journal)?;
        Ok(journal
            .replay()
            .studies()
            .map(|study| study.name.clone())
            .collect())
    }

    /// The report of a study, without joining it. Trials that are not finished are left out.
    ///
    /// # Errors
    ///
    /// As for [`join`](Self::join).
    pub fn read(journal: &Path, name: &str) -> Result<StudyReport, TuneError> {
        let opened = Journal::open_to_read(journal)?;
        let settings = settings_of(&opened, name)?;
        let id = opened
            .replay()
            .studies()
            .find(|study| study.name == name)
            .map(|study| study.id);
        Ok(report_of(&opened, id.unwrap_or_default(), &settings))
    }

    /// The settings of the study.
    pub fn config(&self) -> &StudyConfig {
        &self.settings.config
    }

    /// The report of the finished trials, after reading what other processes wrote.
    ///
    /// # Errors
    ///
    /// A journal that is damaged or cannot be read.
    pub fn report(&mut self) -> Result<StudyReport, TuneError> {
        self.journal.sync()?;
        Ok(report_of(&self.journal, self.id, &self.settings))
    }

    /// Whether nothing is left to do: every planned trial is finished.
    ///
    /// # Errors
    ///
    /// A journal that is damaged or cannot be read.
    pub fn is_complete(&mut self) -> Result<bool, TuneError> {
        self.journal.sync()?;
        let trials = self.journal.replay().trials_of(self.id);
        let own = trials.filter(|trial| !trial.system.contains_key(COPIED));
        let (finished, open): (Vec<_>, Vec<_>) = own.partition(|trial| trial.state.is_finished());
        Ok(open.is_empty() && finished.len() >= self.settings.planned())
    }

    /// Adds parameters to try before new suggestions. They count as one of the planned trials. Parameters that are left out get the middle of
    /// their range.
    ///
    /// # Errors
    ///
    /// Values that do not fit the search space, and a journal that cannot be written.
    pub fn enqueue(&mut self, parameters: &Parameters) -> Result<(), TuneError> {
        let space = &self.settings.config.space;
        let given = check_enqueued(space, std::slice::from_ref(parameters))?.remove(0);
        let create = Operation::CreateTrial {
            study: self.id,
            state: State::Waiting,
            space: space.clone(),
            parameters: space.filled(&Parameters::new(), &given),
            values: Vec::new(),
            intermediate: Vec::new(),
            attributes: vec![(GIVEN, true.into())],
        };
        let locked = self.journal.lock()?;
        self.journal.append(&locked, &[create])
    }

    /// Copies the finished trials of another study, also one of Optuna's, whose parameters lie in this study's space, so that the sampler learns
    /// from them. Returns how many. To be called before the first trial.
    ///
    /// # Errors
    ///
    /// A journal that cannot be read or written, no study of that name, or a study that has begun.
    pub fn warm_start(&mut self, from: &Path, name: &str) -> Result<usize, TuneError> {
        let other = Journal::open_to_read(from)?;
        let Some(source) = other.replay().studies().find(|study| study.name == name) else {
            return Err(TuneError::no_study(from, name, "does not exist"));
        };
        if source.directions != self.settings.config.directions {
            return Err(TuneError::no_study(
                from,
                name,
                "has other directions than this study",
            ));
        }
        let space = &self.settings.config.space;
        let locked = self.journal.lock()?;
        if self.journal.replay().trials_of(self.id).next().is_some() {
            let message = "has trials already: copy those of another study before the first one";
            return Err(TuneError::no_study(
                self.journal.path(),
                &self.name,
                message,
            ));
        }
        let copies: Vec<Operation> = other
            .replay()
            .trials_of(source.id)
            .filter(|trial| trial.state == State::Complete)
            .filter_map(|trial| {
                let parameters = adapted(space, &trial.parameters)?;
                Some(Operation::CreateTrial {
                    study: self.id,
                    state: trial.state,
                    space: space.clone(),
                    parameters,
                    values: trial.values.clone(),
                    intermediate: record(trial)
                        .intermediate
                        .iter()
                        .map(|v| (v.step, v.value))
                        .collect(),
                    attributes: vec![(COPIED, name.into())],
                })
            })
            .collect();
        self.journal.append(&locked, &copies)?;
        Ok(copies.len())
    }

    /// Takes trials and runs them until the study is complete, or the work is over. The objective returns a value for each of the study's
    /// directions.
    ///
    /// # Errors
    ///
    /// A journal that is damaged, or cannot be read or written. The results of finished trials are never lost; the trial of this process is taken
    /// up again by another.
    pub fn work(
        &mut self,
        work: &Work<'_>,
        objective: &mut dyn FnMut(&mut Trial<'_>) -> Result<Vec<f64>, TrialError>,
        observer: &mut dyn FnMut(&StudyEvent<'_>),
    ) -> Result<(), TuneError> {
        let _beating = self.presence.beat(work.patience);
        while !work.is_over() {
            match self.claim(work)? {
                Claim::Trial(claimed) => {
                    if self.run(*claimed, objective, observer)? {
                        return Ok(());
                    }
                }
                Claim::Wait => std::thread::sleep(work.pause),
                Claim::Over => return Ok(()),
            }
        }
        Ok(())
    }

    /// Runs a claimed trial. Returns whether the objective wants to stop.
    fn run(
        &mut self,
        claimed: Claimed,
        objective: &mut dyn FnMut(&mut Trial<'_>) -> Result<Vec<f64>, TrialError>,
        observer: &mut dyn FnMut(&StudyEvent<'_>),
    ) -> Result<bool, TuneError> {
        observer(&StudyEvent::Started {
            number: claimed.number,
            trials: self.settings.config.trials,
            parameters: &claimed.parameters,
        });
        let (config, journal) = (&self.settings.config, &mut self.journal);
        let worker = self.presence.id();
        // Other processes may take the trial if this one is paused for too long.
        let is_over = Cell::new(false);
        let mut failure = None;
        let mut reported = |event: &StudyEvent<'_>| {
            if let StudyEvent::Reported { step, value, .. } = event
                && value.is_finite()
                && !is_over.get()
            {
                let report = Operation::Intermediate {
                    trial: claimed.id,
                    step: *step,
                    value: *value,
                };
                match write(journal, claimed.id, worker, &[report]) {
                    Ok(is_ours) => is_over.set(!is_ours),
                    Err(error) => {
                        is_over.set(true);
                        failure = Some(error);
                    }
                }
            }
            observer(event);
        };
        let mut rule = config.pruning_rule(&claimed.known);
        rule.pause_at = claimed.pause_at;
        // A process that ended may have reported what makes the trial end here, without writing that it did.
        let decided = rule.decide(&claimed.earlier);
        let mut trial = Trial::new(
            claimed.number,
            claimed.parameters,
            Some(rule),
            &mut reported,
        )
        .resumed(claimed.earlier)
        .shared(claimed.moved, &is_over);
        let outcome = match decided {
            Decision::Prune => Err(TrialError::Pruned),
            Decision::Pause => Err(TrialError::Paused),
            Decision::Continue => catch_unwind(AssertUnwindSafe(|| objective(&mut trial)))
                .unwrap_or_else(|panic| Err(TrialError::Failed(text_of_panic(&*panic)))),
        };
        let is_stopped = matches!(outcome, Err(TrialError::Stopped));
        let is_paused = matches!(outcome, Err(TrialError::Paused));
        let record = trial.finish(outcome, config.directions.len());
        if let Some(error) = failure {
            return Err(error);
        }
        let operations = match &record {
            Some(record) => ending(claimed.id, record),
            None if is_paused => vec![
                Operation::TrialAttribute {
                    trial: claimed.id,
                    key: PAUSED,
                    value: true.into(),
                },
                Operation::SetState {
                    trial: claimed.id,
                    state: State::Waiting,
                    values: Vec::new(),
                },
            ],
            // Another process may take it up at once, and this does not count as an end of a process.
            None => vec![Operation::TrialAttribute {
                trial: claimed.id,
                key: WORKER,
                value: Value::Null,
            }],
        };
        let is_ours = write(
            &mut self.journal,
            claimed.id,
            self.presence.id(),
            &operations,
        )?;
        if let Some(record) = record.filter(|_| is_ours) {
            observer(&StudyEvent::Ended { trial: &record });
        }
        Ok(is_stopped)
    }
}

/// Writes about a trial, if it still belongs to that process.
fn write(
    journal: &mut Journal,
    trial: usize,
    worker: &str,
    operations: &[Operation],
) -> Result<bool, TuneError> {
    let locked = journal.lock()?;
    let is_ours = journal.replay().trial(trial).is_some_and(|trial| {
        let owner = trial.system.get(WORKER).and_then(Value::as_str);
        trial.state == State::Running && owner == Some(worker)
    });
    if is_ours {
        journal.append(&locked, operations)?;
    }
    Ok(is_ours)
}

/// The operations that end a trial.
fn ending(trial: usize, record: &TrialRecord) -> Vec<Operation> {
    let state = match record.state {
        TrialState::Complete => State::Complete,
        TrialState::Pruned => State::Pruned,
        TrialState::Failed => State::Failed,
    };
    let mut values = record.values.clone();
    values.extend(record.value);
    let end = Operation::SetState {
        trial,
        state,
        values,
    };
    match &record.message {
        Some(message) => {
            let value = message.as_str().into();
            vec![
                Operation::UserAttribute {
                    trial,
                    key: MESSAGE,
                    value,
                },
                end,
            ]
        }
        None => vec![end],
    }
}

fn text_of_panic(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    format!("the objective panicked: {}", text.unwrap_or_default())
}

fn settings_of(journal: &Journal, name: &str) -> Result<Settings, TuneError> {
    let study = journal.replay().studies().find(|study| study.name == name);
    match study {
        Some(study) => recorded(journal.path(), name, &study.system),
        None => Err(TuneError::no_study(journal.path(), name, "does not exist")),
    }
}

fn recorded(
    journal: &Path,
    name: &str,
    attributes: &serde_json::Map<String, Value>,
) -> Result<Settings, TuneError> {
    let Some(found) = attributes.get(SETTINGS) else {
        let message = "was begun by another program, without the settings that this one needs; give another name";
        return Err(TuneError::no_study(journal, name, message));
    };
    Settings::deserialize(found).map_err(|error| {
        TuneError::no_study(
            journal,
            name,
            format!("has settings that cannot be read: {error}"),
        )
    })
}

/// The parameters of another study's trial in this space; `None` if they do not fit.
fn adapted(space: &SearchSpace, parameters: &Parameters) -> Option<Parameters> {
    let known = parameters.iter().filter_map(|(key, value)| {
        let value = space.get(key)?.coerce(value).ok()?;
        Some((key.clone(), value))
    });
    let known: Parameters = known.collect();
    space.contains(&known).then_some(known)
}

fn report_of(journal: &Journal, study: usize, settings: &Settings) -> StudyReport {
    let outcome = outcome_of(journal, study, settings);
    let StudyConfig {
        space, directions, ..
    } = &settings.config;
    report(space, directions, outcome.trials, outcome.stopped)
}

/// As [`report_of`], without the importances.
fn outcome_of(journal: &Journal, study: usize, settings: &Settings) -> StudyReport {
    let all: Vec<&JournalTrial> = journal
        .replay()
        .trials_of(study)
        .filter(|trial| !trial.system.contains_key(COPIED))
        .collect();
    let finished = all.iter().filter(|trial| trial.state.is_finished());
    let trials: Vec<TrialRecord> = finished.map(|trial| record(trial)).collect();
    let stopped = trials.len() < settings.planned().max(all.len());
    outcome(&settings.config.directions, trials, stopped)
}

/// A trial of the journal as a record. One that is not finished counts as pruned after its last report.
fn record(trial: &JournalTrial) -> TrialRecord {
    let state = match trial.state {
        State::Complete => TrialState::Complete,
        State::Failed => TrialState::Failed,
        State::Pruned | State::Running | State::Waiting => TrialState::Pruned,
    };
    let several = trial.values.len() > 1;
    let steps = trial
        .intermediate
        .iter()
        .filter(|(_, value)| value.is_finite());
    let message = trial
        .user
        .get(MESSAGE)
        .and_then(Value::as_str)
        .map(str::to_owned);
    TrialRecord {
        number: trial.number as u64,
        state,
        parameters: trial.parameters.clone(),
        value: trial
            .values
            .first()
            .copied()
            .filter(|_| !several && state == TrialState::Complete),
        values: if several {
            trial.values.clone()
        } else {
            Vec::new()
        },
        intermediate: steps
            .filter_map(|(step, value)| {
                let step = u64::try_from(*step).ok()?;
                Some(IntermediateValue {
                    step,
                    value: *value,
                })
            })
            .collect(),
        message: message.filter(|_| state == TrialState::Failed),
    }
}
