use super::{Challenge, ChallengeEvidence, Severity};
use crate::stages::situation_analysis::measurements::Measurements;
use mlestar_gates::{Limit, Unit};

/// Below this, a network that is trained from scratch usually overfits without augmentation.
const THRESHOLD_PICTURES: f64 = 1_000.0;

/// Classes that are named.
const MOST_NAMED: usize = 100;

/// A class with few training images.
pub(super) fn detect(measurements: &Measurements) -> Option<Challenge> {
    let (name, smallest) = measurements.extreme_class(true);
    let n_classes = measurements.classes.len();
    let evidence = ChallengeEvidence::new(
        "training images of the smallest class",
        smallest as f64,
        Unit::Count,
        Limit::AtMost(THRESHOLD_PICTURES),
        measurements.class_counts.train.iter().sum(),
        "counted",
    );
    let few = measurements
        .classes
        .iter()
        .zip(&measurements.class_counts.train)
        .filter(|(_, count)| **count as f64 <= THRESHOLD_PICTURES);
    let n_few = few.clone().count();
    let classes: Vec<String> = few.take(MOST_NAMED).map(|(name, _)| name.clone()).collect();
    Some(Challenge {
        id: "few_samples".into(),
        title: "Few training images per class".into(),
        severity: Severity::falling(smallest as f64, 500.0, 100.0),
        statement: format!(
            "{} of {n_classes} classes have at most {THRESHOLD_PICTURES} training images; the \
             smallest, {name}, has {smallest}",
            n_few
        ),
        consequence:
            "The network can memorise the training images: augmentation, weight decay and early \
            stopping matter."
                .into(),
        evidence: vec![evidence],
        // All classes being small is no property of single ones; the statement says how many there are.
        classes: if n_few < n_classes {
            classes
        } else {
            Vec::new()
        },
    })
}

#[cfg(test)]
mod tests {
    use super::super::testing::appears;
    use super::*;

    #[test]
    fn the_smallest_class_counts() {
        let found = appears(detect, |m| {
            m.class_counts.train = vec![5_000, 80, 5_000, 900]
        });
        assert_eq!(found.severity, Severity::High);
        assert_eq!(found.classes, ["dog", "tree"]);
        let all = appears(detect, |m| m.class_counts.train = vec![400; 4]);
        assert_eq!(all.severity, Severity::Medium);
        assert!(all.classes.is_empty());
    }
}
