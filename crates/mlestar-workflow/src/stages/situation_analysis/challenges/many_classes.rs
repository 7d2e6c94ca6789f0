use super::{Challenge, ChallengeEvidence, Severity};
use crate::stages::situation_analysis::measurements::Measurements;
use mlestar_gates::{Limit, Unit};

/// From here on chance is right less than once in twenty.
const THRESHOLD_CLASSES: f64 = 20.0;

/// Many classes.
pub(super) fn detect(measurements: &Measurements) -> Option<Challenge> {
    let n_classes = measurements.classes.len();
    let evidence = ChallengeEvidence::new(
        "classes",
        n_classes as f64,
        Unit::Count,
        Limit::AtLeast(THRESHOLD_CLASSES),
        n_classes,
        "counted",
    );
    Some(Challenge {
        id: "many_classes".into(),
        title: "Many classes".into(),
        severity: Severity::rising(n_classes as f64, 50.0, 200.0),
        statement: format!(
            "{n_classes} classes: guessing is right with probability {:.4}",
            1.0 / n_classes as f64
        ),
        consequence:
            "Classes share features, and each has few images: the last layers need width, and \
            single classes have wide intervals."
                .into(),
        evidence: vec![evidence],
        classes: Vec::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::super::testing::appears;
    use super::*;

    #[test]
    fn many_classes_are_a_challenge() {
        let found = appears(detect, |m| {
            m.classes = (0..100).map(|i| format!("c{i}")).collect()
        });
        assert_eq!(found.severity, Severity::Medium);
    }
}
