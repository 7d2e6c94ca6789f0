//! The validation loss rises while the training loss falls.

use super::robust::median;
use super::suggest::{set, short, two_digits};
use super::{Finding, Kind, Record, Severity, Suggestion, Validated};

/// The final figures are medians over this many epochs.
const LAST: usize = 3;
const FEWEST_EPOCHS: usize = 6;
/// The validation loss has risen when it ends above its lowest value by this factor ...
const RISE: f64 = 1.05;
/// ... and by this share of the initial loss, so that noise near 0 does not count ...
const RISE_SHARE: f64 = 0.02;
/// ... while the training loss fell by this factor in the same time.
const FALL: f64 = 0.97;
/// A rise by this factor, or a drop in accuracy by this much, is a warning.
const LARGE_RISE: f64 = 1.2;
const ACCURACY_LOST: f64 = 0.005;
/// A training accuracy this far above the validation accuracy is overfitting whatever the losses do, provided
/// that the gap has grown by `GAP_GROWTH` since the first third.
const WIDE_GAP: f64 = 0.15;
const GAP_GROWTH: f64 = 0.05;
/// More changes at once would tell nothing about any of them.
const MOST_SUGGESTIONS: usize = 4;

pub(super) fn find(record: &Record<'_>) -> Option<Finding> {
    let validated = record.validated();
    if validated.len() < FEWEST_EPOCHS {
        return None;
    }
    rising_loss(record, &validated).or_else(|| wide_gap(record, &validated))
}

/// The median over the last epochs.
fn end(values: &[f64]) -> Option<f64> {
    median(&values[values.len().saturating_sub(LAST)..])
}

fn rising_loss(record: &Record<'_>, validated: &[Validated<'_>]) -> Option<Finding> {
    let column = |field: fn(&Validated<'_>) -> f64| validated.iter().map(field).collect::<Vec<_>>();
    let validation = column(|at| at.loss);
    let train = column(|at| at.epoch.train_loss);
    let accuracy = column(|at| at.accuracy);
    let finite = validation
        .iter()
        .enumerate()
        .filter(|(_, loss)| loss.is_finite());
    let (best, &low) = finite.min_by(|a, b| a.1.total_cmp(b.1))?;
    if validated.len() - 1 - best < LAST {
        return None;
    }
    let (now, train_now) = (end(&validation)?, end(&train)?);
    let has_risen = now > RISE * low && now - low > RISE_SHARE * record.initial_loss()?;
    if !(has_risen && train_now < FALL * train[best]) {
        return None;
    }
    let highest = accuracy
        .iter()
        .copied()
        .filter(|a| a.is_finite())
        .max_by(f64::total_cmp)?;
    let accuracy_now = end(&accuracy)?;
    let severity = match now > LARGE_RISE * low || highest - accuracy_now > ACCURACY_LOST {
        true => Severity::Warning,
        false => Severity::Note,
    };
    let epoch = validated[best].epoch.epoch;
    let statement = format!(
        "Since epoch {epoch} the validation loss rose from {} to {} while the training loss fell from {} \
         to {} (medians of the last {LAST} validations); the gap between them grew from {} to {}. The validation accuracy is {accuracy_now:.4}; its highest value was {highest:.4}.",
        short(low),
        short(now),
        short(train[best]),
        short(train_now),
        short(low - train[best]),
        short(now - train_now),
    );
    Some(
        Finding::new(Kind::Overfitting, severity, statement)
            .at_epochs([epoch])
            .suggest(suggestions(record)),
    )
}

fn wide_gap(record: &Record<'_>, validated: &[Validated<'_>]) -> Option<Finding> {
    let gap = |at: &Validated<'_>| at.epoch.train_accuracy - at.accuracy;
    let gaps: Vec<f64> = validated.iter().map(gap).collect();
    let now = end(&gaps)?;
    let early = median(&gaps[..gaps.len().div_ceil(3)])?;
    if !(now > WIDE_GAP && now - early > GAP_GROWTH) {
        return None;
    }
    let statement = format!(
        "The training accuracy ends {now:.4} above the validation accuracy; in the first third of the epochs the gap was {early:.4} (medians)."
    );
    Some(Finding::new(Kind::Overfitting, Severity::Warning, statement).suggest(suggestions(record)))
}

fn suggestions(record: &Record<'_>) -> Vec<Suggestion> {
    let mut found = Vec::new();
    if let Some(augmentation) = record.settings.augmentation {
        if augmentation.horizontal_flip_probability <= 0.0 {
            found.extend(set(
                "augmentation.horizontal_flip_probability",
                0.5,
                Some(augmentation.horizontal_flip_probability),
                "doubles the training images, if a mirrored image keeps its class",
            ));
        }
        if augmentation.random_crop_padding == 0 {
            found.extend(set(
                "augmentation.random_crop_padding",
                4,
                Some(0),
                "the network then cannot rely on the position of an object; 4 is usual for 32 x 32",
            ));
        }
    }
    if let Some(model) = record.settings.model
        && model.dropout < 0.5
    {
        found.extend(set(
            "model.dropout",
            two_digits((model.dropout + 0.2).min(0.5)),
            Some(model.dropout),
            "the last layer then relies less on single features",
        ));
    }
    let training = record.settings.training;
    let decay = training.optimizer.weight_decay;
    let more = two_digits((5.0 * decay).max(1e-4));
    if more <= 0.1 {
        found.extend(set(
            "training.optimizer.weight_decay",
            more,
            Some(decay),
            "smaller weights memorise fewer images",
        ));
    }
    if training.label_smoothing == 0.0 {
        found.extend(set(
            "training.label_smoothing",
            0.1,
            Some(0.0),
            "the loss then no longer rewards overconfidence",
        ));
    }
    found.truncate(MOST_SUGGESTIONS);
    found
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Simulation, found, kinds};
    use super::super::{Settings, analyse};
    use super::*;
    use mlestar_data::augment::AugmentationConfig;
    use mlestar_model::ModelConfig;

    #[test]
    fn a_rising_validation_loss_is_found_with_its_turning_point() {
        let mut record = Simulation::default().run();
        for (index, epoch) in record.epochs.iter_mut().enumerate().skip(8) {
            epoch.validation_loss = Some(0.6 + 0.05 * (index - 8) as f64);
            epoch.validation_accuracy = Some(0.84);
        }
        record.epochs[7].validation_loss = Some(0.5);
        let finding = found(&record, Kind::Overfitting);
        assert_eq!(
            (finding.severity, finding.epochs),
            (Severity::Warning, vec![8])
        );
        assert!(
            finding.statement.contains("rose from 0.500 to 1.10"),
            "{}",
            finding.statement
        );
    }

    #[test]
    fn only_what_is_known_and_off_is_suggested() {
        let mut record = Simulation::default().run();
        for epoch in &mut record.epochs[10..] {
            epoch.validation_loss = Some(2.0);
        }
        let keys = |settings: &Settings<'_>| -> Vec<String> {
            let findings = analyse(&record.epochs, &record.steps, settings);
            let finding = findings
                .into_iter()
                .find(|f| f.kind == Kind::Overfitting)
                .unwrap();
            finding.suggestions.into_iter().map(|s| s.key).collect()
        };
        let decay = "training.optimizer.weight_decay";
        let smoothing = "training.label_smoothing";
        assert_eq!(keys(&Settings::of(&record.config)), [decay, smoothing]);
        let augmentation = AugmentationConfig {
            horizontal_flip_probability: 0.5,
            ..AugmentationConfig::default()
        };
        let settings = Settings {
            training: &record.config,
            augmentation: Some(&augmentation),
            model: Some(&ModelConfig::small()),
        };
        let crop = "augmentation.random_crop_padding";
        assert_eq!(keys(&settings), [crop, "model.dropout", decay, smoothing]);
    }

    #[test]
    fn a_gap_of_accuracies_that_grew_is_enough() {
        let mut record = Simulation::default().run();
        for (index, epoch) in record.epochs.iter_mut().enumerate() {
            epoch.validation_accuracy = Some(epoch.train_accuracy - 0.01 * index as f64);
        }
        assert_eq!(
            found(&record, Kind::Overfitting).severity,
            Severity::Warning
        );
    }

    #[test]
    fn both_losses_rising_is_not_overfitting() {
        let mut record = Simulation::default().run();
        for epoch in &mut record.epochs[14..] {
            epoch.train_loss *= 1.3;
            epoch.validation_loss = epoch.validation_loss.map(|loss| 1.3 * loss);
        }
        assert!(!kinds(&record).contains(&Kind::Overfitting));
    }
}
