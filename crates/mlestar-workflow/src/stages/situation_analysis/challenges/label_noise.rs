use super::{Challenge, ChallengeEvidence, Severity};
use crate::stages::situation_analysis::measurements::Measurements;
use mlestar_data::quality::FindingKind;
use mlestar_gates::{Limit, Unit};

/// Two images in a thousand.
const THRESHOLD_FRACTION: f64 = 0.002;
/// Neighbours that are right less often than this say little about a label.
const TRUSTED_NEIGHBOURS: f64 = 0.6;

/// Labels that the nearest images speak against.
pub(super) fn detect(measurements: &Measurements) -> Option<Challenge> {
    let n_all = measurements.n_all();
    let n_suspected = measurements.n_findings(&[FindingKind::SuspectedMislabel]);
    let fraction = n_suspected as f64 / n_all.max(1) as f64;
    let trust = measurements.label_neighbour_accuracy?;
    let suspected = ChallengeEvidence::new(
        "images whose label their neighbours contradict",
        fraction,
        Unit::Fraction,
        Limit::AtLeast(THRESHOLD_FRACTION),
        n_all,
        "vote of the nearest training images by shape and brightness, nearly unanimous",
    );
    let trusted = ChallengeEvidence::new(
        "images whose label their neighbours confirm",
        trust,
        Unit::Fraction,
        Limit::AtLeast(TRUSTED_NEIGHBOURS),
        n_all,
        "the same vote over all images: it shows how reliable a suspicion is",
    );
    Some(Challenge {
        id: "label_noise".into(),
        title: "Suspected wrong labels".into(),
        severity: Severity::rising(fraction, 0.01, 0.05),
        statement: format!(
            "{n_suspected} of {n_all} images have neighbours that agree on another class"
        ),
        consequence:
            "Wrong labels limit the accuracy that can be measured, and a model that fits them too \
            well generalises worse."
                .into(),
        evidence: vec![suspected, trusted],
        classes: Vec::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::super::testing::{appears, shown, with_findings};
    use super::*;

    #[test]
    fn suspicions_count_only_when_neighbours_can_be_trusted() {
        let suspects = || with_findings(FindingKind::SuspectedMislabel, [60, 20, 0]);
        let found = appears(detect, |m| *m = suspects());
        assert_eq!(found.severity, Severity::Low);
        assert_eq!(found.evidence.len(), 2);
        let mut untrusted = suspects();
        untrusted.label_neighbour_accuracy = Some(0.45);
        assert_eq!(shown(detect, &untrusted), None);
        assert_eq!(
            shown(
                detect,
                &with_findings(FindingKind::SuspectedMislabel, [60, 0, 0])
            ),
            None
        );
    }
}
