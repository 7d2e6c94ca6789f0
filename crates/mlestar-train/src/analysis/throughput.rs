//! Epochs that ran slower than the epochs before.

use super::robust::median;
use super::suggest::short;
use super::{Finding, Kind, Record, Severity};

/// An epoch is slow below this share of the usual speed.
const SLOW: f64 = 0.7;
/// The usual speed is the median of this many previous epochs that were not slow; it needs at least this many.
const MOST_USUAL: usize = 8;
const FEWEST_USUAL: usize = 2;
/// Other work on the machine dominates the speed of shorter epochs.
const SHORTEST_SECONDS: f64 = 2.0;
/// Losing more than this share of the time is a warning.
const TIME_LOST: f64 = 0.1;

pub(super) fn find(record: &Record<'_>) -> Option<Finding> {
    let mut usual: Vec<f64> = Vec::new();
    // Index, speed and usual speed of each slow epoch.
    let mut slow: Vec<(usize, f64, f64)> = Vec::new();
    let (mut seconds, mut seconds_lost) = (0.0, 0.0);
    for (index, epoch) in record.epochs.iter().enumerate() {
        // As if all images had full size.
        let speed = epoch.images_per_second * epoch.picture_area;
        if !(speed.is_finite() && speed > 0.0 && epoch.seconds.is_finite()) {
            continue;
        }
        seconds += epoch.seconds;
        let before = &usual[usual.len().saturating_sub(MOST_USUAL)..];
        match median(before).filter(|_| before.len() >= FEWEST_USUAL) {
            Some(before) if speed < SLOW * before && epoch.seconds >= SHORTEST_SECONDS => {
                slow.push((index, speed, before));
                seconds_lost += epoch.seconds * (1.0 - speed / before);
            }
            _ => usual.push(speed),
        }
    }
    let &(index, speed, before) = slow
        .iter()
        .min_by(|a, b| (a.1 / a.2).total_cmp(&(b.1 / b.2)))?;
    let severity = match seconds_lost > TIME_LOST * seconds {
        true => Severity::Warning,
        false => Severity::Note,
    };
    let others = match slow.len() {
        1 => String::new(),
        n => format!("; {n} of {} epochs were slow", record.epochs.len()),
    };
    let statement = format!(
        "Epoch {} trained {} images/s after a median of {}, {:.0}% fewer{others}. That cost {:.0} of {:.0} \
         s. Possible causes: another program used the machine, memory ran short, or the processor was throttled.",
        record.epochs[index].epoch,
        short(speed),
        short(before),
        100.0 * (1.0 - speed / before),
        seconds_lost,
        seconds,
    );
    let epochs = slow.iter().map(|&(index, ..)| record.epochs[index].epoch);
    Some(Finding::new(Kind::ThroughputDrop, severity, statement).at_epochs(epochs))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Simulation, found, kinds};
    use super::*;

    #[test]
    fn one_slow_epoch_is_a_note_and_many_are_a_warning() {
        let mut record = Simulation::default().run();
        record.epochs[9].images_per_second = 100.0;
        let finding = found(&record, Kind::ThroughputDrop);
        assert_eq!(
            (finding.severity, finding.epochs),
            (Severity::Note, vec![10])
        );
        assert!(
            finding
                .statement
                .contains("trained 100 images/s after a median of 2")
        );
        for epoch in &mut record.epochs[9..] {
            epoch.images_per_second = 100.0;
        }
        let finding = found(&record, Kind::ThroughputDrop);
        assert_eq!(
            (finding.severity, finding.epochs.len()),
            (Severity::Warning, 11)
        );
    }

    #[test]
    fn larger_pictures_are_no_drop() {
        let mut record = Simulation::default().run();
        for epoch in &mut record.epochs[..9] {
            epoch.images_per_second *= 4.0;
            epoch.picture_area = 0.25;
        }
        assert!(kinds(&record).is_empty());
    }

    #[test]
    fn a_slow_first_epoch_and_very_short_epochs_are_nothing() {
        let mut record = Simulation::default().run();
        record.epochs[0].images_per_second = 20.0;
        assert!(kinds(&record).is_empty());
        for epoch in &mut record.epochs {
            epoch.seconds = 0.1;
        }
        record.epochs[9].images_per_second = 50.0;
        assert!(kinds(&record).is_empty());
    }
}
