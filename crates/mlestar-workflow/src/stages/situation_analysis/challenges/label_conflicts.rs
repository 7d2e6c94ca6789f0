use super::{Challenge, ChallengeEvidence, Severity};
use crate::stages::situation_analysis::measurements::Measurements;
use mlestar_data::quality::FindingKind;
use mlestar_gates::{Limit, Unit};

/// A single contradiction is one too many.
const THRESHOLD_PICTURES: f64 = 1.0;

/// Equal images with different labels.
pub(super) fn detect(measurements: &Measurements) -> Option<Challenge> {
    let n_all = measurements.n_all();
    let n_found = measurements.n_findings(&[FindingKind::LabelConflict]);
    let fraction = n_found as f64 / n_all.max(1) as f64;
    let evidence = ChallengeEvidence::new(
        "images with the same bytes as one of another class",
        n_found as f64,
        Unit::Count,
        Limit::AtLeast(THRESHOLD_PICTURES),
        n_all,
        "equal bytes, in all splits",
    );
    Some(Challenge {
        id: "label_conflicts".into(),
        title: "Equal images in two classes".into(),
        severity: Severity::rising(fraction, 0.001, 0.01),
        statement: format!(
            "{n_found} of {n_all} images are equal to one of another class: one label of each pair is wrong"
        ),
        consequence: "No model can be right about both, so they lower the accuracy that can be reached and measured."
            .into(),
        evidence: vec![evidence],
        classes: Vec::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::super::detect_all;
    use super::super::testing::{appears, with_findings};
    use super::*;

    /// They are wrong labels, and no leakage: a model that knows the copy is wrong about the image.
    #[test]
    fn equal_pictures_in_two_classes_are_wrong_labels() {
        let change = with_findings(FindingKind::LabelConflict, [5, 0, 3]);
        let ids: Vec<String> = detect_all(&change)
            .into_iter()
            .map(|found| found.id)
            .collect();
        assert_eq!(ids, ["label_conflicts"]);
        let found = appears(detect, |m| *m = change);
        assert_eq!(found.evidence[0].value, 8.0);
        assert_eq!(found.severity, Severity::Low);
    }
}
