use super::{Challenge, ChallengeEvidence, Severity};
use crate::stages::situation_analysis::measurements::Measurements;
use mlestar_data::SplitName;
use mlestar_gates::{Limit, Unit};

/// Networks for photographs are designed for about 224 pixels; from a quarter of that down, fine
/// detail is gone.
const THRESHOLD_PIXELS: f64 = 64.0;

/// Pictures so small that fine detail is lost.
pub(super) fn detect(measurements: &Measurements) -> Option<Challenge> {
    let side = measurements.shorter_side() as f64;
    let evidence = ChallengeEvidence::new(
        "shorter side of the pictures",
        side,
        Unit::Other("pixels".into()),
        Limit::AtMost(THRESHOLD_PIXELS),
        measurements.n_pictures(SplitName::Train),
        "size of every picture after reading",
    );
    Some(Challenge {
        id: "low_resolution".into(),
        title: "Low resolution".into(),
        severity: Severity::falling(side, 48.0, 32.0),
        statement: format!(
            "pictures are {} x {} pixels, {} values in all",
            measurements.height,
            measurements.width,
            3 * measurements.height * measurements.width
        ),
        consequence: "Fine detail is lost, and every stride throws away part of what is left: the \
                      first layer must keep the full resolution."
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
    fn small_pictures_are_a_challenge_and_large_ones_are_not() {
        let at = |side| appears(detect, |m| (m.height, m.width) = (side, 2 * side)).severity;
        assert_eq!(
            [32, 48, 64].map(at),
            [Severity::High, Severity::Medium, Severity::Low]
        );
    }
}
