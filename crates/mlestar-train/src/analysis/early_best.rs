//! The best epoch came long before the end of the training.

use super::robust::median;
use super::suggest::set;
use super::{Finding, Kind, Record, Severity};
use crate::config::ScheduleKind;

const FEWEST_EPOCHS: usize = 10;
/// The best epoch is early if it is within this share of the epochs ...
const EARLY: f64 = 0.4;
/// ... and the accuracy of the last epochs is lower by more than this, which exceeds noise.
const LOWER: f64 = 0.005;
/// An even earlier best epoch with an even larger drop is a warning.
const VERY_EARLY: f64 = 0.2;
const MUCH_LOWER: f64 = 0.02;
const LAST: usize = 3;

pub(super) fn find(record: &Record<'_>) -> Option<Finding> {
    let validated = record.validated();
    let n = validated.len();
    if n < FEWEST_EPOCHS {
        return None;
    }
    let accuracy: Vec<f64> = validated.iter().map(|epoch| epoch.accuracy).collect();
    let finite = accuracy
        .iter()
        .enumerate()
        .filter(|(_, value)| value.is_finite());
    // The first of several equally good epochs: the later ones improved nothing.
    let (best, &highest) = finite.rev().max_by(|a, b| a.1.total_cmp(b.1))?;
    let now = median(&accuracy[n - LAST..])?;
    let share = (best + 1) as f64 / n as f64;
    let drop = highest - now;
    if share > EARLY || drop <= LOWER {
        return None;
    }
    let severity = match share <= VERY_EARLY && drop > MUCH_LOWER {
        true => Severity::Warning,
        false => Severity::Note,
    };
    let epoch = validated[best].epoch.epoch;
    let last = record.epochs.last()?.epoch;
    let statement = format!(
        "The best of {last} epochs is epoch {epoch} with a validation accuracy of {highest:.4}; the last \
         {LAST} have {now:.4} (median). The training keeps the weights of epoch {epoch}: the {} epochs after it improved nothing.",
        last - epoch
    );
    let training = record.settings.training;
    let stopping = match &training.early_stopping {
        Some(_) => None,
        None => set(
            "training.early_stopping.patience",
            (last / 5).max(3),
            None,
            "the training then ends soon after the accuracy stops rising",
        ),
    };
    let shorter = (training.schedule.kind != ScheduleKind::Constant)
        .then(|| {
            let epochs = (2 * epoch).max(5);
            let reason =
                "the learning rate is then already lower when the training reaches the best epoch";
            set("training.epochs", epochs, Some(training.epochs), reason)
        })
        .flatten()
        .filter(|_| 2 * epoch < training.epochs);
    Some(
        Finding::new(Kind::EarlyBest, severity, statement)
            .at_epochs([epoch])
            .suggest(stopping)
            .suggest(shorter),
    )
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Simulation, found, kinds};
    use super::*;

    #[test]
    fn a_best_epoch_at_the_beginning_is_found() {
        let mut record = Simulation::default().run();
        for epoch in &mut record.epochs[4..] {
            epoch.validation_accuracy = Some(0.8);
        }
        record.epochs[3].validation_accuracy = Some(0.9);
        let finding = found(&record, Kind::EarlyBest);
        assert_eq!(
            (finding.severity, finding.epochs),
            (Severity::Warning, vec![4])
        );
        assert!(
            finding
                .statement
                .contains("16 epochs after it improved nothing"),
            "{}",
            finding.statement
        );
        let changes: Vec<String> = finding
            .suggestions
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(
            changes,
            ["training.early_stopping.patience=4", "training.epochs=8"]
        );
    }

    #[test]
    fn epochs_that_were_not_validated_are_counted_and_not_compared() {
        let mut record = Simulation {
            epochs: 40,
            ..Simulation::default()
        }
        .run();
        for epoch in &mut record.epochs {
            let validated = epoch.epoch % 2 == 0;
            epoch.validation_loss = epoch.validation_loss.filter(|_| validated);
            epoch.validation_accuracy =
                validated.then_some(if epoch.epoch == 6 { 0.9 } else { 0.8 });
        }
        let finding = found(&record, Kind::EarlyBest);
        assert_eq!(finding.epochs, [6]);
        assert!(
            finding
                .statement
                .contains("34 epochs after it improved nothing"),
            "{}",
            finding.statement
        );
    }

    #[test]
    fn an_early_best_that_is_only_noise_is_nothing() {
        let mut record = Simulation::default().run();
        for epoch in &mut record.epochs[4..] {
            epoch.validation_accuracy = Some(0.897);
        }
        record.epochs[3].validation_accuracy = Some(0.9);
        assert!(!kinds(&record).contains(&Kind::EarlyBest));
    }
}
