//! The loss is not finite, or it rose and stayed high.

use super::robust::{block_medians, lowest, median};
use super::suggest::{clipping, learning_rate, short, warm_up};
use super::{Finding, Kind, Record, Severity};

/// The loss has diverged when it ends this many times above its lowest level ...
const FACTOR: f64 = 1.5;
/// ... and the rise is at least this share of the initial loss.
const SHARE: f64 = 0.25;
/// A level of the loss is the median over one twentieth of the steps.
const BLOCKS: usize = 20;
/// With fewer steps or epochs than this, no level is computed.
const FEWEST_STEPS: usize = 100;
const FEWEST_EPOCHS: usize = 3;

pub(super) fn find(record: &Record<'_>) -> Option<Finding> {
    let finding = not_finite_step(record)
        .or_else(|| not_finite_epoch(record))
        .or_else(|| risen_in_steps(record))
        .or_else(|| risen_in_epochs(record))?;
    let norms: Vec<f64> = record.steps.iter().map(|step| step.gradient_norm).collect();
    let is_early = finding.epochs.first().is_some_and(|&epoch| epoch <= 2);
    let warmed = is_early
        .then(|| {
            warm_up(
                record,
                "it happened in the first epochs, while the weights still change fast",
            )
        })
        .flatten();
    Some(
        finding
            .suggest(learning_rate(
                record,
                1.0 / 3.0,
                "the steps are too large, so the loss rises instead of falling",
            ))
            .suggest(clipping(record, median(&norms)))
            .suggest(warmed),
    )
}

fn problem(statement: String) -> Finding {
    Finding::new(Kind::Divergence, Severity::Problem, statement)
}

fn not_finite_step(record: &Record<'_>) -> Option<Finding> {
    let at = record
        .steps
        .iter()
        .position(|step| !(step.loss.is_finite() && step.gradient_norm.is_finite()))?;
    let step = &record.steps[at];
    let what = if step.loss.is_finite() {
        "the gradient norm"
    } else {
        "the loss"
    };
    let before = match at.checked_sub(1).map(|before| &record.steps[before]) {
        Some(last) => format!(
            "; the step before had a loss of {} and a gradient norm of {}",
            short(last.loss),
            short(last.gradient_norm)
        ),
        None => String::new(),
    };
    let statement = format!(
        "At step {} (epoch {}, learning rate {}) {what} is not a finite number{before}.",
        step.step,
        step.epoch,
        short(step.learning_rate)
    );
    Some(
        problem(statement)
            .at_steps([step.step])
            .at_epochs([step.epoch]),
    )
}

fn not_finite_epoch(record: &Record<'_>) -> Option<Finding> {
    let epoch = record.epochs.iter().find(|epoch| {
        let is_validation_finite = epoch.validation_loss.is_none_or(f64::is_finite);
        !(epoch.train_loss.is_finite() && is_validation_finite)
    })?;
    let what = if epoch.train_loss.is_finite() {
        "validation"
    } else {
        "training"
    };
    let statement = format!(
        "The {what} loss of epoch {} is not a finite number.",
        epoch.epoch
    );
    Some(problem(statement).at_epochs([epoch.epoch]))
}

/// The lowest and the last level, if the last one is too high.
fn risen(levels: &[f64], last: f64, record: &Record<'_>) -> Option<(f64, f64)> {
    let low = lowest(levels)?;
    let initial = record.initial_loss()?;
    (last > FACTOR * low && last - low > SHARE * initial).then_some((low, last))
}

fn risen_in_steps(record: &Record<'_>) -> Option<Finding> {
    if record.steps.len() < FEWEST_STEPS {
        return None;
    }
    let losses: Vec<f64> = record.steps.iter().map(|step| step.loss).collect();
    let n_last = (losses.len() / (2 * BLOCKS)).max(10);
    let last = median(&losses[losses.len() - n_last..])?;
    let (low, last) = risen(&block_medians(&losses, BLOCKS), last, record)?;
    // The rise began where the loss was last near its lowest level.
    let limit = low + 0.25 * (last - low);
    let at = losses.iter().rposition(|loss| *loss <= limit).unwrap_or(0);
    let step = &record.steps[at];
    let statement = format!(
        "The loss rose from {} to {} (median of the last {n_last} steps) and did not fall again; it was last near its lowest level at step {} (epoch {}).",
        short(low),
        short(last),
        step.step,
        step.epoch
    );
    Some(
        problem(statement)
            .at_steps([step.step])
            .at_epochs([step.epoch]),
    )
}

fn risen_in_epochs(record: &Record<'_>) -> Option<Finding> {
    if record.epochs.len() < FEWEST_EPOCHS {
        return None;
    }
    let losses = record.column(|epoch| epoch.train_loss);
    let last = *losses.last()?;
    let (low, last) = risen(&losses, last, record)?;
    let at = losses.iter().position(|loss| *loss == low)?;
    let epoch = record.epochs[at].epoch;
    let statement = format!(
        "The training loss rose from {} in epoch {epoch} to {} in epoch {}.",
        short(low),
        short(last),
        record.epochs.len()
    );
    Some(problem(statement).at_epochs([epoch]))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Simulation, found, kinds};
    use super::*;

    #[test]
    fn the_first_step_that_is_no_number_is_named() {
        let mut record = Simulation::default().run();
        for step in &mut record.steps[700..] {
            step.loss = f64::NAN;
        }
        let finding = found(&record, Kind::Divergence);
        assert_eq!(
            (finding.severity, finding.steps),
            (Severity::Problem, vec![701])
        );
        assert!(
            finding.statement.contains("the step before had a loss"),
            "{}",
            finding.statement
        );
    }

    #[test]
    fn a_loss_that_rises_and_stays_is_found_with_both_levels() {
        let mut record = Simulation::default().run();
        let n = record.steps.len();
        for step in &mut record.steps[n / 2..] {
            step.loss = 2.3;
        }
        let finding = found(&record, Kind::Divergence);
        assert!(
            finding.statement.contains("to 2.30"),
            "{}",
            finding.statement
        );
        assert!(finding.steps[0] as usize <= n / 2 && finding.steps[0] as usize > n / 3);
        assert!(
            !kinds(&record).contains(&Kind::LossSpikes),
            "reported twice"
        );
        let first = &finding.suggestions[0];
        assert_eq!(
            first.to_string(),
            "training.optimizer.learning_rate=0.00033"
        );
        assert_eq!(first.configured.as_deref(), Some("0.001"));
    }

    #[test]
    fn a_training_that_died_within_its_first_epoch_is_told_from_its_steps() {
        let mut record = Simulation {
            epochs: 3,
            ..Simulation::default()
        }
        .run();
        record.epochs.clear();
        for (index, step) in record.steps[120..].iter_mut().enumerate() {
            step.loss = 2.3 * 1.2_f64.powi(index as i32 % 40);
        }
        record.steps.truncate(160);
        assert_eq!(found(&record, Kind::Divergence).severity, Severity::Problem);
    }

    #[test]
    fn epochs_alone_are_enough() {
        let mut record = Simulation {
            steps_per_epoch: 0,
            ..Simulation::default()
        }
        .run();
        for epoch in &mut record.epochs[12..] {
            epoch.train_loss = 2.2;
        }
        assert!(
            found(&record, Kind::Divergence)
                .statement
                .contains("to 2.20 in epoch")
        );
        record.epochs[4].validation_loss = Some(f64::INFINITY);
        assert_eq!(found(&record, Kind::Divergence).epochs, [5]);
    }
}
