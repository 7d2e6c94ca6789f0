use super::{Challenge, ChallengeEvidence, Severity};
use crate::stages::situation_analysis::measurements::Measurements;
use mlestar_data::SplitName;
use mlestar_data::quality::FindingKind;
use mlestar_gates::{Limit, Unit};

/// A single shared picture is one too many.
const THRESHOLD_PICTURES: f64 = 1.0;

/// Validation or test pictures that an earlier split has too.
pub(super) fn detect(measurements: &Measurements) -> Option<Challenge> {
    let kinds = [FindingKind::Leakage, FindingKind::NearLeakage];
    let n_validation = measurements.n_findings_in(&kinds, SplitName::Validation);
    let n_test = measurements.n_findings_in(&kinds, SplitName::Test);
    let n_exact = measurements.n_findings(&[FindingKind::Leakage]);
    let n_leaked = n_validation + n_test;
    let n_judged =
        measurements.n_pictures(SplitName::Validation) + measurements.n_pictures(SplitName::Test);
    let evidence = ChallengeEvidence::new(
        "validation and test pictures that an earlier split has too",
        n_leaked as f64,
        Unit::Count,
        Limit::AtLeast(THRESHOLD_PICTURES),
        n_judged,
        "equal bytes, or near in perceptual hash and in a small version",
    );
    let fraction = n_leaked as f64 / n_judged.max(1) as f64;
    evidence.holds().then(|| Challenge {
        id: "leakage".into(),
        title: "Pictures shared between splits".into(),
        severity: Severity::rising(fraction, 0.001, 0.01),
        statement: format!(
            "{n_validation} validation and {n_test} test pictures repeat one of an earlier split \
             ({n_exact} of them exactly); accuracy can be too good by up to {fraction:.4}"
        ),
        consequence: "The model is judged on pictures that it was trained on: remove one copy of \
                      each before believing small differences."
            .into(),
        evidence: vec![evidence],
        classes: Vec::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::super::testing::{appears, with_findings};
    use super::*;

    #[test]
    fn one_shared_picture_is_enough() {
        let found = appears(detect, |m| {
            *m = with_findings(FindingKind::Leakage, [0, 1, 0])
        });
        assert_eq!(found.severity, Severity::Low);
        let many = appears(detect, |m| {
            *m = with_findings(FindingKind::NearLeakage, [0, 0, 160])
        });
        assert_eq!(many.severity, Severity::High);
    }
}
