//! Which paused trial goes on.

use super::knowledge::{Knowledge, Leg};
use crate::record::TrialState;

/// The number of the paused trial that goes on next: on the highest rung possible the best one that is among the best of every `factor` trials
/// known to have reached that rung, and that has not gone on yet.
pub(super) fn promotion(
    knowledge: &Knowledge,
    before: &[Leg<'_>],
    rungs: &[u64],
    factor: u64,
    sign: f64,
) -> Option<u64> {
    let legs_of = |number: u64| {
        before
            .iter()
            .filter(|leg| leg.trial.number as u64 == number)
            .count()
    };
    for rung in (0..rungs.len().saturating_sub(1)).rev() {
        let mut reached: Vec<(f64, u64)> = Vec::new();
        for (trial, highest) in knowledge.known.iter().zip(&knowledge.rungs) {
            // A trial that failed on its way to this rung has no value there.
            let value = trial
                .intermediate
                .iter()
                .find(|reported| reported.step >= rungs[rung]);
            if let Some(value) = value
                && *highest >= rung
            {
                reached.push((sign * value.value, trial.number));
            }
        }
        reached.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        reached.truncate(reached.len() / usize::try_from(factor).unwrap_or(usize::MAX));
        let is_alive = |number: u64| {
            let mut trials = knowledge.known.iter();
            trials.any(|trial| trial.number == number && trial.state == TrialState::Pruned)
        };
        let next = reached
            .iter()
            .find(|(_, number)| legs_of(*number) == rung + 1 && is_alive(*number));
        if let Some((_, number)) = next {
            return Some(*number);
        }
    }
    None
}
