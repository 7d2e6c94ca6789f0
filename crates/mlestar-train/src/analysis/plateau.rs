//! Loss and accuracy have not changed for long: although the learning rate would still allow it, or because it
//! is too low.

use super::robust::{lowest, median};
use super::suggest::{learning_rate, set, short};
use super::{Finding, Kind, Record, Severity, Suggestion};
use crate::config::ScheduleKind;

const FEWEST_EPOCHS: usize = 10;
/// A plateau is this share of the epochs without change, and at least this many epochs.
const SHARE: f64 = 0.3;
const FEWEST_FLAT: usize = 5;
/// The validation loss has improved when it fell below its lowest value by this factor ...
const LOSS_PROGRESS: f64 = 0.995;
/// ... the validation accuracy when it rose above its highest value by this much ...
const ACCURACY_PROGRESS: f64 = 0.002;
/// ... and the training loss when its median fell by this factor.
const TRAIN_PROGRESS: f64 = 0.98;
/// A network that classifies this share of the training images correctly has nothing left to learn.
const LEARNED: f64 = 0.98;
/// A loss still above this share of the initial loss has not begun to fall: that is underfitting.
const NOT_BEGUN: f64 = 0.9;
/// A rate below this share of the highest one hardly changes the weights.
const NEAR_ZERO: f64 = 0.02;

pub(super) fn find(record: &Record<'_>) -> Option<Finding> {
    let n = record.epochs.len();
    if n < FEWEST_EPOCHS {
        return None;
    }
    let n_flat = ((SHARE * n as f64).ceil() as usize).max(FEWEST_FLAT);
    let start = n - n_flat;
    if !is_flat(record, start)? {
        return None;
    }
    let (highest, _) = record.rates()?;
    let rates = record.column(|epoch| epoch.learning_rate);
    let first = record.epochs[start].epoch;
    let all_small = rates[start..]
        .iter()
        .all(|rate| *rate < NEAR_ZERO * highest);
    // A schedule that ends at 0 changes nothing in the last epochs. That is intended.
    let ends_at_zero = rates.last().is_some_and(|last| *last < NEAR_ZERO * highest);
    if ends_at_zero && !all_small {
        return None;
    }
    let figures = format!(
        "In the last {n_flat} epochs, since epoch {first}, neither the losses nor the validation accuracy improved (training loss {}, validation accuracy {:.4})",
        short(record.epochs[n - 1].train_loss),
        record.validated().last()?.accuracy,
    );
    let finding = if all_small {
        let statement = format!(
            "{figures}: the learning rate was at most {} in these epochs, {:.1}% of the highest.",
            short(rates[start]),
            100.0 * rates[start] / highest
        );
        Finding::new(Kind::Plateau, Severity::Note, statement).suggest(after_the_schedule(record))
    } else {
        let rate = rates[n - 1];
        let statement = format!("{figures}, at a learning rate of {}.", short(rate));
        Finding::new(Kind::Plateau, Severity::Warning, statement).suggest(lower_rate(record))
    };
    Some(finding.at_epochs([first]))
}

/// Whether nothing improved since the epoch with index `start`; `None` if that cannot be determined.
fn is_flat(record: &Record<'_>, start: usize) -> Option<bool> {
    // Epochs without validation are NaN, and `lowest` skips NaN.
    let validation = record.column(|epoch| epoch.validation_loss.unwrap_or(f64::NAN));
    let accuracy = record.column(|epoch| -epoch.validation_accuracy.unwrap_or(f64::NAN));
    let train = &record.column(|epoch| epoch.train_loss)[start..];
    let last = record.epochs.last()?;
    let third = train.len().div_ceil(3);
    let (then, now) = (
        median(&train[..third])?,
        median(&train[train.len() - third..])?,
    );
    let initial = record.initial_loss()?;
    Some(
        lowest(&validation[start..])? > LOSS_PROGRESS * lowest(&validation[..start])?
            && lowest(&accuracy[start..])? > lowest(&accuracy[..start])? - ACCURACY_PROGRESS
            && now > TRAIN_PROGRESS * then
            && last.train_accuracy < LEARNED
            && last.train_loss < NOT_BEGUN * initial,
    )
}

fn lower_rate(record: &Record<'_>) -> Vec<Suggestion> {
    let kind = record.settings.training.schedule.kind;
    let cosine = (kind == ScheduleKind::Constant)
        .then(|| {
            let reason =
                "a falling rate reduces the loss where a constant one only makes it oscillate";
            set("training.schedule.kind", "cosine", Some("constant"), reason)
        })
        .flatten();
    let slower = learning_rate(
        record,
        1.0 / 3.0,
        "smaller steps can reduce the loss where these only make it oscillate",
    );
    cosine.into_iter().chain(slower).collect()
}

/// The schedule ended long before the training.
fn after_the_schedule(record: &Record<'_>) -> Option<Suggestion> {
    let training = record.settings.training;
    let horizon = training.schedule.t_max_epochs?;
    let key = "training.schedule.t_max_epochs";
    let reason = "the rate then falls during the whole training";
    set(key, training.epochs as f64, Some(horizon), reason)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Record, Simulation, found, kinds};
    use super::*;

    fn flat(rate: f64) -> Record {
        let mut record = Simulation::default().run();
        for epoch in &mut record.epochs {
            epoch.learning_rate = rate;
        }
        for step in &mut record.steps {
            step.learning_rate = rate;
        }
        for epoch in &mut record.epochs[8..] {
            epoch.train_loss = 0.8;
            epoch.train_accuracy = 0.7;
            epoch.validation_loss = Some(0.9);
            epoch.validation_accuracy = Some(0.68);
        }
        record
    }

    #[test]
    fn a_plateau_at_a_constant_rate_asks_for_a_falling_one() {
        let mut record = flat(0.001);
        record.config.schedule.kind = ScheduleKind::Constant;
        let finding = found(&record, Kind::Plateau);
        assert_eq!(
            (finding.severity, finding.epochs),
            (Severity::Warning, vec![15])
        );
        assert!(
            finding.statement.contains("learning rate of 0.00100"),
            "{}",
            finding.statement
        );
        assert_eq!(
            finding.suggestions[0].to_string(),
            "training.schedule.kind=\"cosine\""
        );
        assert_eq!(finding.suggestions[1].value, "0.00033");
    }

    #[test]
    fn epochs_after_the_end_of_the_schedule_are_noted() {
        let mut record = flat(0.001);
        record.config.schedule.t_max_epochs = Some(10.0);
        for epoch in &mut record.epochs[9..] {
            epoch.learning_rate = 0.0;
        }
        let finding = found(&record, Kind::Plateau);
        assert_eq!(finding.severity, Severity::Note);
        assert_eq!(
            finding.suggestions[0].to_string(),
            "training.schedule.t_max_epochs=20.0"
        );
    }

    #[test]
    fn the_end_of_a_falling_rate_is_no_plateau() {
        let mut record = flat(0.001);
        for (index, epoch) in record.epochs.iter_mut().enumerate() {
            epoch.learning_rate = 0.001 * (1.0 - index as f64 / 19.0);
        }
        assert!(!kinds(&record).contains(&Kind::Plateau));
    }
}
