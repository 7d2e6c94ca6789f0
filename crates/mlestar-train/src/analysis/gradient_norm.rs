//! The global gradient norm grows, jumps, vanishes, or is always clipped.

use super::loss_spikes::unique;
use super::robust::{SpikeLimits, block_medians, highest_level, lowest, median, spikes};
use super::suggest::{clipping, learning_rate, set, short, two_digits};
use super::{Finding, Kind, Record, Severity};

/// Norms vary more from step to step than losses do, so the limit is higher.
const SPIKES: SpikeLimits = SpikeLimits {
    deviations: 8.0,
    factor: 5.0,
};
/// A warning needs more than one jump per this many steps, or one jump this many times above the median.
const STEPS_PER_SPIKE: usize = 500;
const LARGE_SPIKE: f64 = 50.0;

/// A level of the norm is the median over one tenth of the training.
const BLOCKS: usize = 10;
const FEWEST_STEPS: usize = 100;
const FEWEST_EPOCHS: usize = 5;
/// Norms that end this many times above their lowest level have exploded. Norms fall while a network memorises
/// its training images, and may rise a few times before that.
const EXPLOSION: f64 = 20.0;
/// They must also end this many times above their first level, so that a temporary dip does not count.
const EXPLOSION_OVER_FIRST: f64 = 5.0;
/// Norms that end this far below their highest level have vanished, unless the loss has vanished too.
const VANISHING: f64 = 1e-3;
/// The loss is still high if it is above this share of the initial loss.
const UNLEARNED: f64 = 0.5;
/// If clipping shortens more than this share of the gradients, it acts as a second learning rate.
const ALWAYS_CLIPPED: f64 = 0.9;

pub(super) fn find(record: &Record<'_>, has_diverged: bool) -> Vec<Finding> {
    let trend = (!has_diverged).then(|| exploding(record).or_else(|| vanishing(record)));
    trend
        .flatten()
        .into_iter()
        .chain(spiking(record))
        .chain(clipped(record))
        .collect()
}

/// Levels of the norm over the training, in order.
fn levels(record: &Record<'_>) -> Option<Vec<f64>> {
    let values = norms(record);
    let levels = if record.steps.is_empty() {
        (values.len() >= FEWEST_EPOCHS).then(|| block_medians(&values, BLOCKS))
    } else {
        (values.len() >= FEWEST_STEPS).then(|| block_medians(&values, BLOCKS))
    };
    levels.filter(|levels| levels.len() > 2)
}

fn norms(record: &Record<'_>) -> Vec<f64> {
    if record.steps.is_empty() {
        record.column(|epoch| epoch.gradient_norm_mean)
    } else {
        record.steps.iter().map(|step| step.gradient_norm).collect()
    }
}

fn exploding(record: &Record<'_>) -> Option<Finding> {
    let levels = levels(record)?;
    let (first, last, low) = (*levels.first()?, *levels.last()?, lowest(&levels)?);
    if !(last > EXPLOSION * low && last > EXPLOSION_OVER_FIRST * first) {
        return None;
    }
    let statement = format!(
        "The gradient norm grew from {} (its lowest level, median of a tenth of the training) to {} at the end; the first level was {}.",
        short(low),
        short(last),
        short(first)
    );
    Some(
        Finding::new(Kind::GradientExplosion, Severity::Problem, statement)
            .suggest(clipping(record, Some(low)))
            .suggest(learning_rate(
                record,
                1.0 / 3.0,
                "a lower rate slows the growth of the weights, and large weights cause large gradients",
            ))
            .suggest(more_weight_decay(record)),
    )
}

fn more_weight_decay(record: &Record<'_>) -> Option<super::Suggestion> {
    let configured = record.settings.training.optimizer.weight_decay;
    let value = two_digits((5.0 * configured).max(1e-4));
    if value > 0.1 {
        return None;
    }
    set(
        "training.optimizer.weight_decay",
        value,
        Some(configured),
        "weight decay keeps the weights small",
    )
}

fn vanishing(record: &Record<'_>) -> Option<Finding> {
    let levels = levels(record)?;
    let last = *levels.last()?;
    let high = levels.iter().copied().max_by(f64::total_cmp)?;
    let losses: Vec<f64> = record.steps.iter().map(|step| step.loss).collect();
    let last_loss = match record.epochs.last() {
        Some(epoch) => epoch.train_loss,
        None => *block_medians(&losses, BLOCKS).last()?,
    };
    let initial = record.initial_loss()?;
    if !(last < VANISHING * high && last_loss > UNLEARNED * initial) {
        return None;
    }
    let statement = format!(
        "The gradient norm fell from {} to {}, but the loss is still {} (initially {}): the network has stopped learning.",
        short(high),
        short(last),
        short(last_loss),
        short(initial)
    );
    let factor = if super::suggest::is_rate_high(record) {
        0.1
    } else {
        3.0
    };
    let reason = if factor < 1.0 {
        "too high a rate drives ReLU units into the range where their gradient is 0, and they stay there"
    } else {
        "such small gradients need a higher rate"
    };
    Some(
        Finding::new(Kind::GradientVanishing, Severity::Problem, statement)
            .suggest(learning_rate(record, factor, reason)),
    )
}

fn spiking(record: &Record<'_>) -> Option<Finding> {
    let norms: Vec<f64> = record.steps.iter().map(|step| step.gradient_norm).collect();
    let found = spikes(&norms, SPIKES);
    let largest = found
        .iter()
        .max_by(|a, b| (a.height / a.before).total_cmp(&(b.height / b.before)))?;
    let is_clipped = record.settings.training.max_gradient_norm.is_some();
    let is_grave = found.len() > 1 && found.len() * STEPS_PER_SPIKE > norms.len()
        || largest.height > LARGE_SPIKE * largest.before;
    // A clipped gradient does no harm.
    let severity = match is_grave && !is_clipped {
        true => Severity::Warning,
        false => Severity::Note,
    };
    let peak = &record.steps[largest.peak];
    let times = match found.len() {
        1 => "once".to_owned(),
        n => format!("{n} times"),
    };
    let clipping_words = match record.settings.training.max_gradient_norm {
        Some(limit) => format!("; such gradients are clipped to {}", short(limit)),
        None => String::new(),
    };
    let statement = format!(
        "The gradient norm jumped {times} in {} steps, most at step {} (epoch {}): to {} from a median of {}{clipping_words}.",
        norms.len(),
        peak.step,
        peak.epoch,
        short(peak.gradient_norm),
        short(largest.before)
    );
    let places = || found.iter().map(|spike| &record.steps[spike.peak]);
    Some(
        Finding::new(Kind::GradientSpikes, severity, statement)
            .at_steps(places().map(|step| step.step))
            .at_epochs(unique(places().map(|step| step.epoch)))
            .suggest(clipping(record, highest_level(&norms))),
    )
}

fn clipped(record: &Record<'_>) -> Option<Finding> {
    let limit = record.settings.training.max_gradient_norm?;
    if record.steps.len() < FEWEST_STEPS {
        return None;
    }
    let norms: Vec<f64> = record.steps.iter().map(|step| step.gradient_norm).collect();
    let n_clipped = norms.iter().filter(|norm| **norm > limit).count();
    let share = n_clipped as f64 / norms.len() as f64;
    let usual = median(&norms)?;
    if share < ALWAYS_CLIPPED {
        return None;
    }
    let statement = format!(
        "{:.0}% of the gradients are longer than training.max_gradient_norm = {} (their median is {}): \
         clipping acts like a lower learning rate.",
        100.0 * share,
        short(limit),
        short(usual)
    );
    let suggestion = set(
        "training.max_gradient_norm",
        two_digits(2.0 * usual),
        Some(limit),
        "twice the median norm, so that clipping shortens only unusual gradients",
    );
    Some(
        Finding::new(Kind::GradientClipped, Severity::Note, statement)
            .suggest(suggestion.filter(|_| usual > 0.0 && usual < f64::MAX / 4.0)),
    )
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Simulation, found, kinds};
    use super::*;

    #[test]
    fn norms_that_grow_by_orders_of_magnitude_are_found() {
        let mut record = Simulation::default().run();
        let n = record.steps.len() as f64;
        for (index, step) in record.steps.iter_mut().enumerate() {
            step.gradient_norm = 100_f64.powf(index as f64 / n);
        }
        let finding = found(&record, Kind::GradientExplosion);
        assert_eq!(finding.severity, Severity::Problem);
        assert_eq!(finding.suggestions[0].key, "training.max_gradient_norm");
        // The same from epochs alone.
        record.steps.clear();
        for (index, epoch) in record.epochs.iter_mut().enumerate() {
            epoch.gradient_norm_mean = 1.6_f64.powi(index as i32);
        }
        found(&record, Kind::GradientExplosion);
    }

    #[test]
    fn norms_that_vanish_matter_only_while_the_loss_is_high() {
        let mut record = Simulation::default().run();
        for (index, step) in record.steps.iter_mut().enumerate() {
            step.gradient_norm = if index < 500 { 1.0 } else { 1e-5 };
        }
        assert!(!kinds(&record).contains(&Kind::GradientVanishing));
        for step in &mut record.steps {
            step.loss = 2.3;
        }
        for epoch in &mut record.epochs {
            epoch.train_loss = 2.3;
        }
        let finding = found(&record, Kind::GradientVanishing);
        assert!(
            finding.statement.contains("to 1.00e-5"),
            "{}",
            finding.statement
        );
        assert_eq!(
            finding.suggestions[0].to_string(),
            "training.optimizer.learning_rate=0.003"
        );
    }

    #[test]
    fn jumps_are_a_warning_unless_they_are_clipped() {
        let mut record = Simulation::default().run();
        record.steps[600].gradient_norm = 500.0;
        let finding = found(&record, Kind::GradientSpikes);
        assert_eq!(
            (finding.severity, finding.steps),
            (Severity::Warning, vec![601])
        );
        assert_eq!(finding.suggestions.len(), 1);
        record.config.max_gradient_norm = Some(5.0);
        let finding = found(&record, Kind::GradientSpikes);
        assert_eq!(
            (finding.severity, finding.suggestions.len()),
            (Severity::Note, 0)
        );
        assert!(
            finding.statement.contains("clipped to 5.00"),
            "{}",
            finding.statement
        );
    }

    #[test]
    fn clipping_nearly_everything_is_noted() {
        let mut record = Simulation::default().run();
        record.config.max_gradient_norm = Some(0.01);
        let finding = found(&record, Kind::GradientClipped);
        assert!(
            finding.statement.starts_with("100% of the gradients"),
            "{}",
            finding.statement
        );
        assert_eq!(finding.suggestions[0].configured.as_deref(), Some("0.01"));
    }
}
