//! What a decision may rest on.
//!
//! The trials of a study begin one after the other, and the journal keeps that order. One beginning, or one continuation of a paused trial, is a leg.
//! A decision about leg `n` may use the results of the legs up to `n - window`, no matter which others are finished: so it does not depend on the
//! number of processes.

use super::{COPIED, record};
use crate::journal::{Journal, JournalTrial, State};
use crate::record::TrialRecord;
use crate::space::Parameters;

/// One leg: the trial, and whether it is the trial's first, second ... (from 0).
#[derive(Clone, Copy)]
pub(super) struct Leg<'a> {
    pub(super) trial: &'a JournalTrial,
    pub(super) rung: usize,
    /// Whether a later leg of the trial has begun.
    is_followed: bool,
}

impl Leg<'_> {
    /// Whether its result is known.
    fn is_settled(&self) -> bool {
        self.is_followed || self.trial.state.is_finished() || self.trial.state == State::Waiting
    }
}

/// All legs of a study in order.
pub(super) fn legs(journal: &Journal, study: usize) -> Vec<Leg<'_>> {
    let replay = journal.replay();
    let begun = replay.study(study).map(|study| study.begun.as_slice());
    let mut legs: Vec<Leg<'_>> = Vec::new();
    let mut last: std::collections::HashMap<usize, usize> = std::collections::HashMap::new();
    for trial in begun
        .unwrap_or_default()
        .iter()
        .filter_map(|id| replay.trial(*id))
    {
        let rung = match last.insert(trial.id, legs.len()) {
            Some(before) => {
                legs[before].is_followed = true;
                legs[before].rung + 1
            }
            None => 0,
        };
        legs.push(Leg {
            trial,
            rung,
            is_followed: false,
        });
    }
    legs
}

/// What the decision about a leg may rest on.
pub(super) struct Knowledge {
    /// The trials with a known result, by number. What a later leg of a paused trial found is left out.
    pub(super) known: Vec<TrialRecord>,
    /// The highest known rung of each of them.
    pub(super) rungs: Vec<usize>,
    /// The parameters of the trials that have begun without a known result.
    pub(super) pending: Vec<Parameters>,
}

/// The knowledge for the leg that follows `before`; `None` while a leg that it needs is not settled.
pub(super) fn knowledge(before: &[Leg<'_>], window: usize, rungs: &[u64]) -> Option<Knowledge> {
    let n_copied = before
        .iter()
        .take_while(|leg| leg.trial.system.contains_key(COPIED))
        .count();
    let n_known = (before.len() + 1).saturating_sub(window).max(n_copied);
    let (known, pending) = before.split_at(n_known.min(before.len()));
    if !known.iter().all(Leg::is_settled) {
        return None;
    }
    let mut latest: std::collections::BTreeMap<usize, &Leg<'_>> = std::collections::BTreeMap::new();
    for leg in known {
        latest.insert(leg.trial.number, leg);
    }
    let pending = pending
        .iter()
        .filter(|leg| !latest.contains_key(&leg.trial.number));
    Some(Knowledge {
        pending: pending.map(|leg| leg.trial.parameters.clone()).collect(),
        rungs: latest.values().map(|leg| leg.rung).collect(),
        known: latest.values().map(|leg| as_of(leg, rungs)).collect(),
    })
}

/// The record of a trial at the end of a leg.
fn as_of(leg: &Leg<'_>, rungs: &[u64]) -> TrialRecord {
    let mut record = record(leg.trial);
    if let Some(step) = rungs
        .get(leg.rung)
        .filter(|_| leg.is_followed || leg.trial.state == State::Waiting)
    {
        record
            .intermediate
            .retain(|reported| reported.step <= *step);
        record.state = crate::record::TrialState::Pruned;
        record.value = None;
        record.message = None;
    }
    record
}
