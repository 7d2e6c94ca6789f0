//! The validation loss is far above the loss of guessing. That is not overfitting: the steps are too large.

use super::robust::median;
use super::suggest::{learning_rate, short};
use super::{Finding, Kind, Record, Severity};

/// The final loss is the median over this many validations.
const LAST: usize = 3;
/// Overfitting ends at a few times the loss of guessing; this many times means exploding logits.
const TIMES: f64 = 20.0;
/// The loss of guessing among 1,000 classes, used if the first step is not known.
const GUESSING: f64 = 6.9;

pub(super) fn find(record: &Record<'_>) -> Option<Finding> {
    let losses: Vec<f64> = record.validated().iter().map(|at| at.loss).collect();
    let now = median(&losses[losses.len().saturating_sub(LAST)..])?;
    // Before the first update the network guesses: the loss is about the logarithm of the number of classes.
    let first = record.steps.first().map(|step| step.loss);
    let guessing = first
        .filter(|loss| loss.is_finite() && *loss > 0.0)
        .unwrap_or(GUESSING);
    if !(now.is_finite() && now > TIMES * guessing) {
        return None;
    }
    let statement = format!(
        "The validation loss ends at {}, {:.0} times the loss of guessing ({}): the network gives wrong answers with extreme confidence. First check the learning rate; this is not a sign of overfitting.",
        short(now),
        now / guessing,
        short(guessing),
    );
    Some(
        Finding::new(Kind::WildValidation, Severity::Problem, statement).suggest(learning_rate(
            record,
            0.1,
            "steps that are far too large make the weights useless",
        )),
    )
}

#[cfg(test)]
mod tests {
    use super::super::testing::Simulation;
    use super::super::{Kind, Settings, analyse};

    fn kinds(times: f64) -> Vec<Kind> {
        let mut record = Simulation {
            epochs: 30,
            ..Simulation::default()
        }
        .run();
        let low = record.epochs[14].validation_loss.unwrap();
        let guessing = record.steps[0].loss;
        for (index, epoch) in record.epochs.iter_mut().enumerate().skip(15) {
            let share = (index - 14) as f64 / 15.0;
            epoch.validation_loss = Some(low + share * times * guessing);
        }
        let found = analyse(&record.epochs, &record.steps, &Settings::of(&record.config));
        if let Some(wild) = found.iter().find(|f| f.kind == Kind::WildValidation) {
            assert_eq!(wild.suggestions[0].key, "training.optimizer.learning_rate");
            assert!(wild.statement.contains("times the loss of guessing"));
        }
        found.into_iter().map(|finding| finding.kind).collect()
    }

    #[test]
    fn thousands_of_times_guessing_is_the_rate_and_not_overfitting() {
        let found = kinds(5_000.0);
        assert_eq!(found[0], Kind::WildValidation, "{found:?}");
        assert!(!found.contains(&Kind::Overfitting), "{found:?}");
    }

    #[test]
    fn a_loss_of_twice_guessing_is_overfitting() {
        let found = kinds(2.0);
        assert!(!found.contains(&Kind::WildValidation), "{found:?}");
        assert!(found.contains(&Kind::Overfitting), "{found:?}");
    }
}
