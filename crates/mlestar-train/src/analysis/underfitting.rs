//! The training ended before the network had learned what it could, or the loss hardly fell.

use super::suggest::{is_rate_high, learning_rate, set, short, two_digits};
use super::{Finding, Kind, Record, Severity, Suggestion};

const FEWEST_EPOCHS: usize = 5;
/// A loss that ends above this share of the initial loss has hardly fallen.
const HARDLY_LEARNED: f64 = 0.9;
/// The end of the training is this share of the epochs.
const END_SHARE: f64 = 0.2;
/// The training accuracy still rises if it gained more than this at the end ...
const STILL_RISING: f64 = 0.01;
/// ... and it rises fast if it gained more than this.
const RISING_FAST: f64 = 0.03;
/// Above this training accuracy, little is left to learn.
const NEARLY_ALL: f64 = 0.95;
/// Below this training accuracy, much is left to learn.
const LITTLE: f64 = 0.7;
/// If the validation accuracy is this far below the training accuracy, a longer training would not help.
const OVERFITTING_GAP: f64 = 0.05;

pub(super) fn find(record: &Record<'_>) -> Option<Finding> {
    if record.epochs.len() < FEWEST_EPOCHS {
        return None;
    }
    hardly_learned(record).or_else(|| still_rising(record))
}

fn hardly_learned(record: &Record<'_>) -> Option<Finding> {
    let last = record.epochs.last()?;
    let initial = record.initial_loss()?;
    if last.train_loss.is_nan() || last.train_loss <= HARDLY_LEARNED * initial {
        return None;
    }
    let statement = format!(
        "After {} epochs the training loss is {}, hardly below the initial {}; the training accuracy is {:.4}.",
        record.epochs.len(),
        short(last.train_loss),
        short(initial),
        last.train_accuracy
    );
    let rate = match is_rate_high(record) {
        true => learning_rate(
            record,
            0.1,
            "at such a high rate, each step undoes the one before",
        ),
        false => learning_rate(record, 5.0, "at such a low rate, the weights hardly change"),
    };
    Some(
        Finding::new(Kind::Underfitting, Severity::Problem, statement)
            .suggest(rate)
            .suggest(less_dropout(record)),
    )
}

fn still_rising(record: &Record<'_>) -> Option<Finding> {
    let n = record.epochs.len();
    if !record.is_complete() {
        return None;
    }
    let n_end = ((END_SHARE * n as f64).round() as usize).max(2);
    let (then, last) = (&record.epochs[n - 1 - n_end], &record.epochs[n - 1]);
    let gain = last.train_accuracy - then.train_accuracy;
    // The last epoch always has a validation.
    let validation_accuracy = last.validation_accuracy?;
    let is_room = last.train_accuracy < NEARLY_ALL
        && validation_accuracy >= last.train_accuracy - OVERFITTING_GAP;
    if !(gain > STILL_RISING && is_room) {
        return None;
    }
    let severity = match gain > RISING_FAST || last.train_accuracy < LITTLE {
        true => Severity::Warning,
        false => Severity::Note,
    };
    let rate = match record.rates() {
        Some((highest, rate)) => format!(
            "; the learning rate ended at {}, {:.1}% of the highest",
            short(rate),
            100.0 * rate / highest
        ),
        None => String::new(),
    };
    let statement = format!(
        "The training accuracy was still rising at the end: from {:.4} to {:.4} in the last {n_end} of {n} epochs; the validation accuracy is {:.4}{rate}.",
        then.train_accuracy, last.train_accuracy, validation_accuracy
    );
    let factor = if gain > RISING_FAST { 2.0 } else { 1.5 };
    let configured = record.settings.training.epochs;
    let epochs = (factor * configured as f64).ceil() as usize;
    let longer = set(
        "training.epochs",
        epochs,
        Some(configured),
        "the accuracy was still rising; the schedule adapts to the number of epochs",
    );
    Some(
        Finding::new(Kind::Underfitting, severity, statement)
            .at_epochs([last.epoch])
            .suggest(longer)
            .suggest(less_dropout(record)),
    )
}

fn less_dropout(record: &Record<'_>) -> Option<Suggestion> {
    const MUCH: f64 = 0.3;
    let model = record.settings.model?;
    let last = record.validated().pop()?;
    let is_held_back = last.accuracy > last.epoch.train_accuracy;
    if model.dropout < MUCH || !is_held_back {
        return None;
    }
    let reason = "validation, which runs without dropout, is more accurate than training: dropout is too high";
    set(
        "model.dropout",
        two_digits(model.dropout / 2.0),
        Some(model.dropout),
        reason,
    )
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Simulation, found, kinds};
    use super::*;

    #[test]
    fn an_accuracy_that_still_rises_asks_for_more_epochs() {
        let mut record = Simulation::default().run();
        for (index, epoch) in record.epochs.iter_mut().enumerate() {
            epoch.train_accuracy = 0.3 + 0.02 * index as f64;
            epoch.validation_accuracy = Some(epoch.train_accuracy);
        }
        let finding = found(&record, Kind::Underfitting);
        assert_eq!(finding.severity, Severity::Warning);
        assert!(
            finding
                .statement
                .contains("from 0.6000 to 0.6800 in the last 4 of 20 epochs"),
            "{}",
            finding.statement
        );
        assert_eq!(finding.suggestions[0].to_string(), "training.epochs=40");
        // An unfinished training has not ended too early.
        record.config.epochs = 50;
        assert!(kinds(&record).is_empty(), "{:?}", kinds(&record));
    }

    #[test]
    fn a_loss_that_does_not_move_is_a_problem() {
        let mut record = Simulation::default().run();
        for epoch in &mut record.epochs {
            epoch.train_loss = 2.29;
            epoch.validation_loss = Some(2.3);
            epoch.train_accuracy = 0.11;
            epoch.validation_accuracy = Some(0.1);
        }
        for step in &mut record.steps {
            step.loss = 2.3;
        }
        let finding = found(&record, Kind::Underfitting);
        assert_eq!(finding.severity, Severity::Problem);
        assert_eq!(
            finding.suggestions[0].to_string(),
            "training.optimizer.learning_rate=0.005"
        );
        record.config.optimizer.learning_rate = 0.5;
        let finding = found(&record, Kind::Underfitting);
        assert_eq!(
            finding.suggestions[0].to_string(),
            "training.optimizer.learning_rate=0.05"
        );
    }
}
