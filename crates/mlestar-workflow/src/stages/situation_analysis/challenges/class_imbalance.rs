use super::{Challenge, ChallengeEvidence, Severity};
use crate::stages::situation_analysis::measurements::Measurements;
use crate::words::counted;
use mlestar_data::SplitName;
use mlestar_gates::{Limit, Unit};

/// A quarter more images in one class than in another starts to show in accuracy.
const THRESHOLD_RATIO: f64 = 1.25;

/// Classes of different size.
pub(super) fn detect(measurements: &Measurements) -> Option<Challenge> {
    let (largest, n_largest) = measurements.extreme_class(false);
    let (smallest, n_smallest) = measurements.extreme_class(true);
    // An absent class is as imbalanced as can be: its one missing image stands for the ratio.
    let ratio = n_largest as f64 / n_smallest.max(1) as f64;
    let evidence = ChallengeEvidence::new(
        "training images of the largest class over those of the smallest",
        ratio,
        Unit::Other("times".into()),
        Limit::AtLeast(THRESHOLD_RATIO),
        measurements.n_pictures(SplitName::Train),
        format!(
            "{} of {largest}, {n_smallest} of {smallest}",
            counted(n_largest, "image")
        ),
    );
    Some(Challenge {
        id: "class_imbalance".into(),
        title: "Imbalanced classes".into(),
        severity: Severity::rising(ratio, 2.0, 5.0),
        statement: format!(
            "{largest} has {} and {smallest} has {n_smallest}, a ratio \
             of {ratio:.2}",
            counted(n_largest, "training image")
        ),
        consequence: "Accuracy can rise while small classes are ignored: look at the recall of \
                      every class, and at balanced accuracy."
            .into(),
        evidence: vec![evidence],
        classes: vec![smallest.to_owned()],
    })
}

#[cfg(test)]
mod tests {
    use super::super::testing::{appears, shown, untroubled};
    use super::*;

    #[test]
    fn the_ratio_decides() {
        let found = appears(detect, |m| {
            m.class_counts.train = vec![3_000, 2_000, 2_500, 2_500]
        });
        assert_eq!(
            (found.severity, found.evidence[0].value),
            (Severity::Low, 1.5)
        );
        assert_eq!(found.classes, ["dog"]);
        let absent = appears(detect, |m| {
            m.class_counts.train = vec![3_000, 0, 2_500, 2_500]
        });
        assert_eq!(absent.severity, Severity::High);
        let mut nearly = untroubled();
        nearly.class_counts.train = vec![1_240, 1_000, 1_000, 1_000];
        assert_eq!(shown(detect, &nearly), None);
    }
}
