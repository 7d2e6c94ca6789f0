use super::{Challenge, ChallengeEvidence, Severity};
use crate::stages::situation_analysis::measurements::Measurements;
use mlestar_gates::{Limit, Unit};

/// Standard deviation of the centre, as a fraction of the side.
const THRESHOLD_STD: f64 = 0.04;

/// Objects that are not always at the same place.
pub(super) fn detect(measurements: &Measurements) -> Option<Challenge> {
    let found = measurements.variability.as_ref()?;
    let std = found.center_x.std.max(found.center_y.std);
    let evidence = ChallengeEvidence::new(
        "standard deviation of the centre of what differs from the border, over the side",
        std,
        Unit::Fraction,
        Limit::AtLeast(THRESHOLD_STD),
        found.n_pictures,
        "centre of mass of the difference from the border's mean brightness; the larger of both axes",
    );
    Some(Challenge {
        id: "object_position".into(),
        title: "Objects are at different places".into(),
        severity: Severity::rising(std, 0.08, 0.15),
        statement: format!(
            "the centre of the objects scatters by {:.1} pixels across and {:.1} down (standard \
             deviations)",
            found.center_x.std * measurements.width as f64,
            found.center_y.std * measurements.height as f64
        ),
        consequence:
            "The model must recognise objects wherever they are: random crops teach it this, and \
            pooling over the whole image preserves it."
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
    fn the_larger_scatter_decides() {
        let found = appears(detect, |m| {
            m.variability.as_mut().unwrap().center_y.std = 0.1
        });
        assert_eq!(
            (found.severity, found.evidence[0].value),
            (Severity::Medium, 0.1)
        );
    }
}
