use super::{Challenge, ChallengeEvidence, Severity};
use crate::stages::situation_analysis::measurements::Measurements;
use mlestar_gates::{Limit, Unit};

/// Standard deviation of the mean brightness of images, in 0-1.
const THRESHOLD_BRIGHTNESS: f64 = 0.1;
/// Standard deviation of the contrast of images over its mean.
const THRESHOLD_CONTRAST: f64 = 0.3;

/// Light that differs much from image to image.
pub(super) fn detect(measurements: &Measurements) -> Option<Challenge> {
    let found = measurements.variability.as_ref()?;
    let contrast = found.contrast.std / found.contrast.mean.max(1e-9);
    let candidates = [
        ChallengeEvidence::new(
            "standard deviation of the images' mean brightness",
            found.brightness.std,
            Unit::Fraction,
            Limit::AtLeast(THRESHOLD_BRIGHTNESS),
            found.n_pictures,
            "mean brightness of each training image, 0 to 1",
        ),
        ChallengeEvidence::new(
            "standard deviation of the images' contrast over its mean",
            contrast,
            Unit::Other("times".into()),
            Limit::AtLeast(THRESHOLD_CONTRAST),
            found.n_pictures,
            "standard deviation of the brightness within each training image",
        ),
    ];
    let evidence = ChallengeEvidence::those_that_hold(candidates);
    Some(Challenge {
        id: "lighting".into(),
        title: "Light differs from image to image".into(),
        severity: Severity::rising(found.brightness.std / 0.15, 1.0, 2.0).max(Severity::rising(
            contrast / 0.5,
            1.0,
            2.0,
        )),
        statement: format!(
            "mean brightness {:.3} with a standard deviation of {:.3} between images; contrast \
             {:.3} with {:.3}",
            found.brightness.mean, found.brightness.std, found.contrast.mean, found.contrast.std
        ),
        consequence: "Brightness says little about the class: normalise, and vary brightness and \
                      contrast in training."
            .into(),
        evidence,
        classes: Vec::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::super::testing::appears;
    use super::*;

    #[test]
    fn either_brightness_or_contrast_is_enough() {
        let bright = appears(detect, |m| {
            m.variability.as_mut().unwrap().brightness.std = 0.16
        });
        assert_eq!(
            (bright.severity, bright.evidence.len()),
            (Severity::Medium, 1)
        );
        let both = appears(detect, |m| {
            let found = m.variability.as_mut().unwrap();
            (found.brightness.std, found.contrast.std) = (0.12, 0.1);
        });
        assert_eq!((both.severity, both.evidence.len()), (Severity::Low, 2));
    }
}
