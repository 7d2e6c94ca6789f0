use super::{Challenge, ChallengeEvidence, Severity};
use crate::stages::situation_analysis::measurements::Measurements;
use mlestar_data::SplitName;
use mlestar_data::quality::FindingKind;
use mlestar_gates::{Limit, Unit};

/// One training image in a thousand.
const THRESHOLD_FRACTION: f64 = 0.001;

/// Training images that are there more than once.
pub(super) fn detect(measurements: &Measurements) -> Option<Challenge> {
    let n_train = measurements.n_pictures(SplitName::Train);
    let count = |kind| measurements.n_findings_in(&[kind], SplitName::Train);
    let (n_exact, n_near) = (
        count(FindingKind::ExactDuplicate),
        count(FindingKind::NearDuplicate),
    );
    let fraction = (n_exact + n_near) as f64 / n_train.max(1) as f64;
    let evidence = ChallengeEvidence::new(
        "training images that repeat another one",
        fraction,
        Unit::Fraction,
        Limit::AtLeast(THRESHOLD_FRACTION),
        n_train,
        "equal bytes, or near in perceptual hash and in a small version",
    );
    Some(Challenge {
        id: "duplicates".into(),
        title: "Duplicated training images".into(),
        severity: Severity::rising(fraction, 0.01, 0.05),
        statement: format!(
            "{n_exact} exact and {n_near} near duplicates among {n_train} training images"
        ),
        consequence:
            "Repeated images count more than others in the loss, and the dataset is smaller than it looks."
                .into(),
        evidence: vec![evidence],
        classes: Vec::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::super::testing::{appears, shown, with_findings};
    use super::*;

    #[test]
    fn duplicates_of_the_training_split_count() {
        let found = appears(detect, |m| {
            *m = with_findings(FindingKind::NearDuplicate, [20, 0, 0]);
        });
        assert_eq!(found.evidence[0].value, 0.001);
        assert_eq!(
            shown(
                detect,
                &with_findings(FindingKind::ExactDuplicate, [19, 0, 0])
            ),
            None
        );
        assert_eq!(
            shown(
                detect,
                &with_findings(FindingKind::ExactDuplicate, [0, 500, 500])
            ),
            None
        );
    }
}
