//! Steps that waited for their images.

use super::suggest::short;
use super::{Finding, Kind, Record, Severity};

/// Waiting for less than this share of the training is no finding.
const WORTH_KNOWING: f64 = 0.05;
/// Waiting for more than this share is a warning.
const LONG: f64 = 0.2;
/// In a shorter training, the first batch dominates the figures.
const SHORTEST_SECONDS: f64 = 2.0;

pub(super) fn find(record: &Record<'_>) -> Option<Finding> {
    let (mut images, mut seconds, mut waited) = (0.0, 0.0, 0.0);
    for epoch in record.epochs {
        let figures = [
            epoch.images_per_second,
            epoch.seconds,
            epoch.loader_wait_seconds,
        ];
        if figures.iter().all(|figure| figure.is_finite()) {
            images += epoch.images_per_second * epoch.seconds;
            seconds += epoch.seconds;
            waited += epoch.loader_wait_seconds;
        }
    }
    let share = waited / seconds;
    // The steps themselves must also have taken some time.
    if !(seconds >= SHORTEST_SECONDS && (WORTH_KNOWING..1.0).contains(&share)) {
        return None;
    }
    let severity = match share > LONG {
        true => Severity::Warning,
        false => Severity::Note,
    };
    let statement = format!(
        "Steps waited {waited:.0} of {seconds:.0} s ({:.0}%) for images: they could train {} images/s but received {}. More threads (--threads) prepare batches faster if processors are idle; on a GPU, training.picture_memory = \"device\" prepares them there.",
        100.0 * share,
        short(images / (seconds - waited)),
        short(images / seconds),
    );
    Some(Finding::new(Kind::SlowLoader, severity, statement))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Simulation, found, kinds};
    use super::*;

    #[test]
    fn waiting_is_told_by_its_share_of_the_training() {
        let mut record = Simulation::default().run();
        for epoch in &mut record.epochs {
            epoch.images_per_second = 250.0;
            epoch.seconds = 25.0;
            epoch.loader_wait_seconds = 1.0;
        }
        assert!(kinds(&record).is_empty());
        for epoch in &mut record.epochs {
            epoch.loader_wait_seconds = 5.0;
        }
        let finding = found(&record, Kind::SlowLoader);
        assert_eq!(finding.severity, Severity::Note);
        assert!(
            finding.statement.starts_with(
                "Steps waited 100 of 500 s (20%) for images: they could train 312 images/s but received 250."
            ),
            "{}",
            finding.statement
        );
        record.epochs[0].loader_wait_seconds = 6.0;
        assert_eq!(found(&record, Kind::SlowLoader).severity, Severity::Warning);
        // An epoch without finite figures does not hide the other epochs.
        record.epochs[0].loader_wait_seconds = f64::NAN;
        assert_eq!(found(&record, Kind::SlowLoader).severity, Severity::Note);
    }

    #[test]
    fn a_training_of_a_moment_and_one_without_figures_are_nothing() {
        let mut record = Simulation::default().run();
        for epoch in &mut record.epochs {
            epoch.seconds = 0.05;
            epoch.loader_wait_seconds = 0.04;
        }
        assert!(kinds(&record).is_empty());
        for epoch in &mut record.epochs {
            epoch.seconds = 0.0;
            epoch.loader_wait_seconds = 0.0;
        }
        assert!(kinds(&record).is_empty());
    }
}
