use super::{Challenge, ChallengeEvidence, Severity};
use crate::stages::situation_analysis::measurements::Measurements;
use mlestar_gates::{Limit, Unit};

/// Networks for photographs are designed for about 224 pixels; from a quarter of that down, fine
/// detail is gone.
const THRESHOLD_PIXELS: f64 = 64.0;

/// Files so small that fine detail is lost. What is lost because larger files are shrunk is no property of the data.
pub(super) fn detect(measurements: &Measurements) -> Option<Challenge> {
    let sizes = &measurements.file_sizes;
    let side = measurements.shorter_side_of_files() as f64;
    let evidence = ChallengeEvidence::new(
        "shorter side of the files of median size",
        side,
        Unit::Other("pixels".into()),
        Limit::AtMost(THRESHOLD_PIXELS),
        sizes.n,
        "size of every file, before it is resized for training",
    );
    Some(Challenge {
        id: "low_resolution".into(),
        title: "Low resolution".into(),
        severity: Severity::falling(side, 48.0, 32.0),
        statement: format!(
            "half of the files have at most {} x {} pixels, {} values in all",
            sizes.median[0],
            sizes.median[1],
            3 * u64::from(sizes.median[0]) * u64::from(sizes.median[1])
        ),
        consequence:
            "Fine detail is lost, and every stride discards part of the rest: the first layer must \
            keep the full resolution."
                .into(),
        evidence: vec![evidence],
        classes: Vec::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::super::testing::{appears, shown, untroubled};
    use super::*;
    use mlestar_data::readers::folder::FileSizes;

    #[test]
    fn small_pictures_are_a_challenge_and_large_ones_are_not() {
        let at = |side| {
            let size = FileSizes::uniform(side, 2 * side, 100);
            appears(detect, |m| m.file_sizes = size).severity
        };
        assert_eq!(
            [32, 48, 64].map(at),
            [Severity::High, Severity::Medium, Severity::Low]
        );
        // Shrunk by us: the files have the detail.
        let mut shrunk = untroubled();
        (shrunk.height, shrunk.width) = (32, 32);
        assert_eq!(shown(detect, &shrunk), None);
    }
}
