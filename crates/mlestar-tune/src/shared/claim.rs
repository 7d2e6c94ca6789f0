//! How a process takes a trial.

use serde_json::Value;

use super::halving::promotion;
use super::knowledge::{Knowledge, Leg, knowledge, legs};
use super::worker::Sign;
use super::{
    ATTEMPTS, COPIED, GIVEN, LEFT, MESSAGE, MOVED, PAUSED, REACHED, Settings, SharedStudy, WORKER,
    Work, record,
};
use crate::TuneError;
use crate::journal::{JournalTrial, Operation, State};
use crate::pruning::Pruner;
use crate::record::{IntermediateValue, TrialRecord};
use crate::space::Parameters;

/// A trial whose process ended this often without getting further, while others lived on, is recorded as failed.
const MOST_ATTEMPTS: i64 = 3;
/// So often all processes may end, as when a machine stops, before the trial counts as the reason.
const MOST_LEFT: i64 = 10;

/// What a process does next.
pub(super) enum Claim {
    Trial(Box<Claimed>),
    /// Other processes must finish first.
    Wait,
    /// The study is complete.
    Over,
}

/// A trial that belongs to this process now.
pub(super) struct Claimed {
    pub(super) id: usize,
    pub(super) number: u64,
    pub(super) parameters: Parameters,
    /// The trials that pruning may rest on.
    pub(super) known: Vec<TrialRecord>,
    /// What the trial reported before.
    pub(super) earlier: Vec<IntermediateValue>,
    /// The step at which it pauses.
    pub(super) pause_at: Option<u64>,
    /// How often it was taken from a process that may go on.
    pub(super) moved: u64,
}

/// What to write, and which trial it makes ours.
enum Step {
    /// A new trial.
    New(Parameters),
    /// A trial that waits or was left behind, with the changes that take it.
    Take(usize, Vec<Operation>),
    /// Changes, after which to look again.
    Change(Vec<Operation>),
    Wait,
    Over,
}

impl SharedStudy {
    pub(super) fn claim(&mut self, work: &Work<'_>) -> Result<Claim, TuneError> {
        let locked = self.journal.lock()?;
        loop {
            let (id, operations) = match self.next_step(work) {
                Step::Wait => return Ok(Claim::Wait),
                Step::Over => return Ok(Claim::Over),
                Step::Change(operations) => {
                    self.journal.append(&locked, &operations)?;
                    continue;
                }
                Step::Take(id, operations) => (id, operations),
                Step::New(parameters) => {
                    let create = Operation::CreateTrial {
                        study: self.id,
                        state: State::Running,
                        space: self.settings.config.space.clone(),
                        parameters,
                        values: Vec::new(),
                        intermediate: Vec::new(),
                        attributes: vec![(WORKER, self.presence.id().into())],
                    };
                    (self.journal.replay().n_trials(), vec![create])
                }
            };
            self.journal.append(&locked, &operations)?;
            return Ok(match self.claimed(id) {
                Some(claimed) => Claim::Trial(Box::new(claimed)),
                None => Claim::Wait,
            });
        }
    }

    fn next_step(&self, work: &Work<'_>) -> Step {
        let trials: Vec<&JournalTrial> = self.journal.replay().trials_of(self.id).collect();
        if let Some(step) = trials
            .iter()
            .find_map(|trial| self.left_behind(trial, work))
        {
            return step;
        }
        let given = |trial: &&&JournalTrial| {
            trial.state == State::Waiting && !trial.system.contains_key(PAUSED)
        };
        if let Some(trial) = trials.iter().find(given) {
            return self.take(trial);
        }
        let own = trials
            .iter()
            .filter(|trial| !trial.system.contains_key(COPIED))
            .count();
        let legs = legs(&self.journal, self.id);
        let config = &self.settings.config;
        let Some(known) = knowledge(&legs, config.window, &config.pruner.rungs()) else {
            return Step::Wait;
        };
        if let Some(step) = self.promoted(&known, &legs, &trials) {
            return step;
        }
        if own < self.settings.planned() {
            let given = trials
                .iter()
                .filter(|trial| trial.system.contains_key(GIVEN));
            return Step::New(self.suggestion(own - given.count(), trials.len(), &known));
        }
        // From here on the window does not matter: what is left follows from all results.
        let Some(all) = knowledge(&legs, 1, &config.pruner.rungs()) else {
            return Step::Wait;
        };
        self.promoted(&all, &legs, &trials)
            .unwrap_or_else(|| self.closed(&trials))
    }

    /// A running trial whose process has ended is taken up, or recorded as failed.
    fn left_behind(&self, trial: &JournalTrial, work: &Work<'_>) -> Option<Step> {
        if trial.state != State::Running {
            return None;
        }
        let reached = trial.intermediate.keys().next_back().copied();
        let recorded = |key| trial.system.get(key).and_then(Value::as_i64);
        // A process that got further was not ended by this trial, as one is whose memory does not suffice.
        let before = |key| match recorded(REACHED) == reached {
            true => recorded(key).unwrap_or(0),
            false => 0,
        };
        let (mut attempts, mut left) = (before(ATTEMPTS), before(LEFT));
        let mut is_moved = false;
        match trial.system.get(WORKER)? {
            Value::Null => {}
            Value::String(worker) => match self.presence.sign_of(worker, work.patience) {
                Sign::AtWork => return None,
                Sign::Silent => (attempts, is_moved) = (attempts + 1, true),
                Sign::Ended if self.presence.has_outlived(worker, work.replaces) => attempts += 1,
                Sign::Ended => left += 1,
            },
            _ => return None,
        }
        let set = |key, value: Value| Operation::TrialAttribute {
            trial: trial.id,
            key,
            value,
        };
        if attempts >= MOST_ATTEMPTS || left >= MOST_LEFT {
            let message = format!(
                "{} processes ended while they ran this trial and got no further (killed, perhaps because memory ran out)",
                attempts + left
            );
            return Some(Step::Change(vec![
                Operation::UserAttribute {
                    trial: trial.id,
                    key: MESSAGE,
                    value: message.into(),
                },
                Operation::SetState {
                    trial: trial.id,
                    state: State::Failed,
                    values: Vec::new(),
                },
            ]));
        }
        let mut take = vec![
            set(ATTEMPTS, attempts.into()),
            set(LEFT, left.into()),
            set(REACHED, reached.map_or(Value::Null, Value::from)),
            set(WORKER, self.presence.id().into()),
        ];
        if is_moved {
            take.push(set(MOVED, (moved(trial) + 1).into()));
        }
        Some(Step::Take(trial.id, take))
    }

    /// A waiting trial becomes ours.
    fn take(&self, trial: &JournalTrial) -> Step {
        let worker = self.presence.id().into();
        Step::Take(
            trial.id,
            vec![
                Operation::TrialAttribute {
                    trial: trial.id,
                    key: WORKER,
                    value: worker,
                },
                Operation::SetState {
                    trial: trial.id,
                    state: State::Running,
                    values: Vec::new(),
                },
            ],
        )
    }

    /// The paused trial that goes on next.
    fn promoted(
        &self,
        known: &Knowledge,
        legs: &[Leg<'_>],
        trials: &[&JournalTrial],
    ) -> Option<Step> {
        let config = &self.settings.config;
        let Pruner::Halving { factor, .. } = config.pruner else {
            return None;
        };
        let sign = config.pruning_rule(&[]).sign;
        let number = promotion(known, legs, &config.pruner.rungs(), factor, sign)?;
        let trial = trials.get(usize::try_from(number).ok()?)?;
        (trial.state == State::Waiting).then(|| self.take(trial))
    }

    /// The parameters of a new trial, the `nth` that this study chose itself.
    fn suggestion(&self, nth: usize, number: usize, known: &Knowledge) -> Parameters {
        let Settings {
            config,
            seed,
            enqueue,
            ..
        } = &self.settings;
        let suggested = config.suggest_from(*seed, number as u64, &known.known, &known.pending);
        match enqueue.get(nth) {
            Some(given) => config.space.filled(&suggested, given),
            None => suggested,
        }
    }

    /// Ends the trials that paused for good.
    fn closed(&self, trials: &[&JournalTrial]) -> Step {
        let paused = trials.iter().filter(|trial| trial.state == State::Waiting);
        let end = |trial: &&JournalTrial| Operation::SetState {
            trial: trial.id,
            state: State::Pruned,
            values: Vec::new(),
        };
        let ends: Vec<Operation> = paused.map(end).collect();
        match ends.is_empty() {
            true => Step::Over,
            false => Step::Change(ends),
        }
    }

    /// What this process needs to run a trial that it has taken.
    fn claimed(&self, id: usize) -> Option<Claimed> {
        let trial = self.journal.replay().trial(id)?;
        let config = &self.settings.config;
        let rungs = config.pruner.rungs();
        let legs = legs(&self.journal, self.id);
        let at = legs.iter().rposition(|leg| leg.trial.id == id)?;
        // The legs that it rests on were settled when it began, and stay so.
        let known = knowledge(&legs[..at], config.window, &rungs)?;
        let rung = legs[at].rung;
        let is_last = rung + 1 >= rungs.len();
        Some(Claimed {
            id,
            number: trial.number as u64,
            parameters: trial.parameters.clone(),
            known: known.known,
            earlier: record(trial).intermediate,
            pause_at: rungs.get(rung).copied().filter(|_| !is_last),
            moved: moved(trial),
        })
    }
}

/// How often a trial was taken from a process that may go on.
pub(super) fn moved(trial: &JournalTrial) -> u64 {
    let recorded = trial.system.get(MOVED).and_then(Value::as_u64);
    recorded.unwrap_or(0)
}
