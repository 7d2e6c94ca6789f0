//! The loss of single steps jumps and falls again.

use super::robust::{Spike, SpikeLimits, highest_level, spikes};
use super::suggest::{clipping, learning_rate, short, warm_up};
use super::{Finding, Kind, Record, Severity, Suggestion};

/// Six standard deviations of the log loss, which is roughly normal: noise alone exceeds them once in 1e9
/// steps. The factor is for records that hardly vary.
const LIMITS: SpikeLimits = SpikeLimits {
    deviations: 6.0,
    factor: 1.5,
};
/// A jump by less than this share of the initial loss does no harm, even if it is unusual where the loss is
/// near 0.
const RELEVANT_SHARE: f64 = 0.1;
/// More than one jump per this many steps is a recurring problem.
const STEPS_PER_SPIKE: usize = 2000;

pub(super) fn find(record: &Record<'_>, has_diverged: bool) -> Option<Finding> {
    if record.steps.is_empty() {
        return in_epochs(record);
    }
    let losses: Vec<f64> = record.steps.iter().map(|step| step.loss).collect();
    let relevant = RELEVANT_SHARE * record.initial_loss()?;
    let mut found = spikes(&losses, LIMITS);
    found.retain(|spike| spike.height - spike.before > relevant);
    // The divergence finding reports a loss that stayed high until the end.
    found.retain(|spike| spike.recovered_after.is_some() || !has_diverged);
    let largest = *found
        .iter()
        .max_by(|a, b| (a.height / a.before).total_cmp(&(b.height / b.before)))?;
    let is_habit = found.len() > 1 && found.len() * STEPS_PER_SPIKE > losses.len();
    let severity = match largest.recovered_after {
        Some(_) if !is_habit => Severity::Note,
        _ => Severity::Warning,
    };
    let places: Vec<&crate::StepRecord> = found
        .iter()
        .map(|spike| &record.steps[spike.peak])
        .collect();
    Some(
        Finding::new(
            Kind::LossSpikes,
            severity,
            statement(record, &found, &largest),
        )
        .at_steps(places.iter().map(|step| step.step))
        .at_epochs(unique(places.iter().map(|step| step.epoch)))
        .suggest(suggestions(record, &found)),
    )
}

fn statement(record: &Record<'_>, found: &[Spike], largest: &Spike) -> String {
    let times = match found.len() {
        1 => "once".to_owned(),
        n => format!("{n} times"),
    };
    let peak = &record.steps[largest.peak];
    let end = match largest.recovered_after {
        Some(1) => "the next step was normal again".to_owned(),
        Some(n) => format!("it was normal again after {n} steps"),
        None => "it has stayed high since".to_owned(),
    };
    let which = if found.len() == 1 { "At" } else { "Most at" };
    format!(
        "The loss jumped {times} in {} steps. {which} step {} (epoch {}, learning rate {}): to {} from a median of {}; {end}.",
        record.steps.len(),
        peak.step,
        peak.epoch,
        short(peak.learning_rate),
        short(peak.loss),
        short(largest.before),
    )
}

fn suggestions(record: &Record<'_>, found: &[Spike]) -> Vec<Suggestion> {
    let norms: Vec<f64> = record.steps.iter().map(|step| step.gradient_norm).collect();
    // In the first tenth the weights still change fast, so a lower rate during that time is enough.
    let early = found
        .iter()
        .all(|spike| spike.first * 10 < record.steps.len());
    let warmed = early
        .then(|| {
            warm_up(
                record,
                "all jumps are at the beginning, where the full rate is too high for untrained weights",
            )
        })
        .flatten();
    let lower = warmed.is_none().then(|| {
        learning_rate(
            record,
            0.5,
            "smaller steps make jumps of the loss less likely",
        )
    });
    warmed
        .into_iter()
        .chain(clipping(record, highest_level(&norms)))
        .chain(lower.flatten())
        .collect()
}

/// Without step records: an epoch whose loss is far above its neighbours.
fn in_epochs(record: &Record<'_>) -> Option<Finding> {
    let losses = record.column(|epoch| epoch.train_loss);
    let relevant = RELEVANT_SHARE * record.initial_loss()?;
    let found: Vec<usize> = (2..losses.len().saturating_sub(1))
        .filter(|&index| {
            let before = losses[index - 2].max(losses[index - 1]);
            let usual = before.max(losses[index + 1]);
            losses[index].is_finite()
                && losses[index] > usual * LIMITS.factor
                && losses[index] - usual > relevant
        })
        .collect();
    let &first = found.first()?;
    let statement = format!(
        "The training loss of epoch {} is far above its neighbours: {} between {} and {}.",
        record.epochs[first].epoch,
        short(losses[first]),
        short(losses[first - 1]),
        short(losses[first + 1]),
    );
    let norms = record.column(|epoch| epoch.gradient_norm_mean);
    Some(
        Finding::new(Kind::LossSpikes, Severity::Warning, statement)
            .at_epochs(found.iter().map(|&index| record.epochs[index].epoch))
            .suggest(clipping(record, highest_level(&norms)))
            .suggest(learning_rate(
                record,
                0.5,
                "smaller steps make jumps of the loss less likely",
            )),
    )
}

pub(super) fn unique(epochs: impl Iterator<Item = usize>) -> Vec<usize> {
    let mut epochs: Vec<usize> = epochs.collect();
    epochs.sort_unstable();
    epochs.dedup();
    epochs
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Simulation, found};
    use super::*;

    #[test]
    fn a_jump_that_comes_back_is_a_note_with_its_values() {
        let mut record = Simulation::default().run();
        let at = record.steps.len() / 2;
        record.steps[at].loss = 9.0;
        record.steps[at + 1].loss = 7.0;
        let finding = found(&record, Kind::LossSpikes);
        assert_eq!(finding.severity, Severity::Note);
        assert_eq!(finding.steps, [at as u64 + 1]);
        assert_eq!(finding.epochs, [record.steps[at].epoch]);
        assert!(
            finding.statement.contains("to 9.00 from a median of"),
            "{}",
            finding.statement
        );
        assert!(
            finding.statement.contains("normal again after 2 steps"),
            "{}",
            finding.statement
        );
        let keys: Vec<&str> = finding.suggestions.iter().map(|s| s.key.as_str()).collect();
        assert_eq!(
            keys,
            [
                "training.max_gradient_norm",
                "training.optimizer.learning_rate"
            ]
        );
    }

    #[test]
    fn jumps_that_come_again_and_again_are_a_warning() {
        let mut record = Simulation::default().run();
        for at in [300, 500, 700, 900] {
            record.steps[at].loss = 9.0;
        }
        let finding = found(&record, Kind::LossSpikes);
        assert_eq!(
            (finding.severity, finding.steps.len()),
            (Severity::Warning, 4)
        );
        assert!(
            finding.statement.contains("jumped 4 times"),
            "{}",
            finding.statement
        );
    }

    #[test]
    fn jumps_at_the_beginning_ask_for_a_warm_up() {
        let mut record = Simulation::default().run();
        record.steps[50].loss = 12.0;
        let finding = found(&record, Kind::LossSpikes);
        assert_eq!(
            finding.suggestions[0].to_string(),
            "training.schedule.warmup_epochs=1.0"
        );
    }

    #[test]
    fn without_steps_an_epoch_can_stand_out() {
        let mut record = Simulation {
            steps_per_epoch: 0,
            ..Simulation::default()
        }
        .run();
        record.epochs[10].train_loss = 3.0;
        let finding = found(&record, Kind::LossSpikes);
        assert_eq!(finding.epochs, [11]);
    }
}
