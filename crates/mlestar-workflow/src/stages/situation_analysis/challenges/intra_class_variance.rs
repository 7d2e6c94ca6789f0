use super::{Challenge, ChallengeEvidence, Severity};
use crate::stages::situation_analysis::measurements::Measurements;
use mlestar_gates::{Limit, Unit};

/// A class explains less than a fifth of what distinguishes images.
const THRESHOLD_SHARE: f64 = 0.2;

/// Images of one class that differ more than the classes do.
pub(super) fn detect(measurements: &Measurements) -> Option<Challenge> {
    let found = measurements.separability.as_ref()?;
    let share = found.between_class_share;
    let evidence = ChallengeEvidence::new(
        "share of the variance of mean colours that lies between classes",
        share,
        Unit::Fraction,
        Limit::AtMost(THRESHOLD_SHARE),
        found.n_references,
        format!(
            "{} mean colours per image, variance between class means over the whole",
            found.n_features
        ),
    );
    Some(Challenge {
        id: "intra_class_variance".into(),
        title: "Classes vary more within than between".into(),
        severity: Severity::falling(share, 0.1, 0.05),
        statement: format!(
            "{:.1} times as much variance within classes as between their means",
            (1.0 - share) / share.max(1e-6)
        ),
        consequence:
            "Images of one class look very different. The model must learn what they share, which \
            needs capacity, images and augmentation."
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
    fn little_variance_between_classes_is_a_challenge() {
        let found = appears(detect, |m| {
            m.separability.as_mut().unwrap().between_class_share = 0.08
        });
        assert_eq!(found.severity, Severity::Medium);
        assert!(
            found.statement.starts_with("11.5 times"),
            "{}",
            found.statement
        );
        let none = appears(detect, |m| {
            m.separability.as_mut().unwrap().between_class_share = 0.0
        });
        assert_eq!(none.severity, Severity::High);
    }
}
