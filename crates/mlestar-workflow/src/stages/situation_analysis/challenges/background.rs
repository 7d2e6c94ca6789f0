use super::{Challenge, ChallengeEvidence, Severity};
use crate::stages::situation_analysis::measurements::Measurements;
use mlestar_gates::{Limit, Unit};

/// Standard deviation of the mean brightness of images' borders, in 0-1.
const THRESHOLD_STD: f64 = 0.12;

/// Backgrounds that differ much from image to image.
pub(super) fn detect(measurements: &Measurements) -> Option<Challenge> {
    let found = measurements.variability.as_ref()?;
    let border = found.border_brightness;
    let evidence = ChallengeEvidence::new(
        "standard deviation of the mean brightness of the images' borders",
        border.std,
        Unit::Fraction,
        Limit::AtLeast(THRESHOLD_STD),
        found.n_pictures,
        "outer eighth of each side of each training image",
    );
    Some(Challenge {
        id: "background".into(),
        title: "Backgrounds differ".into(),
        severity: Severity::rising(border.std, 0.2, 0.3),
        statement: format!(
            "the border of an image has a mean brightness of {:.3} with a standard deviation of \
             {:.3} between images",
            border.mean, border.std
        ),
        consequence:
            "The model can mistake the background for the object if both occur together. Crops and \
            holes in training images make it use more than one place."
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
