use super::{Challenge, ChallengeEvidence, Severity};
use crate::stages::situation_analysis::measurements::Measurements;
use mlestar_gates::{Limit, Unit};

/// Standard deviation of the mean brightness of pictures' borders, in 0-1.
const THRESHOLD_STD: f64 = 0.12;

/// Backgrounds that differ much from picture to picture.
pub(super) fn detect(measurements: &Measurements) -> Option<Challenge> {
    let found = measurements.variability.as_ref()?;
    let border = found.border_brightness;
    let evidence = ChallengeEvidence::new(
        "standard deviation of the mean brightness of the pictures' borders",
        border.std,
        Unit::Fraction,
        Limit::AtLeast(THRESHOLD_STD),
        found.n_pictures,
        "outer eighth of each side of each training picture",
    );
    Some(Challenge {
        id: "background".into(),
        title: "Backgrounds differ".into(),
        severity: Severity::rising(border.std, 0.2, 0.3),
        statement: format!(
            "the border of a picture has a mean brightness of {:.3} with a standard deviation of \
             {:.3} between pictures",
            border.mean, border.std
        ),
        consequence: "The model can take the background for the object where the two go together: \
                      crops and holes in training pictures make it look at more than one place."
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
    fn borders_that_differ_are_a_challenge() {
        let found = appears(detect, |m| {
            m.variability.as_mut().unwrap().border_brightness.std = 0.24
        });
        assert_eq!(found.severity, Severity::Medium);
    }
}
