use super::{Challenge, ChallengeEvidence, Severity};
use crate::stages::situation_analysis::measurements::Measurements;
use mlestar_data::SplitName;
use mlestar_eval::wilson;
use mlestar_gates::{Limit, Unit};

/// Half of an interval's width, from which on usual improvements cannot be told from chance.
const THRESHOLD_HALF_WIDTH: f64 = 0.02;
/// The confidence and the accuracy for which widths are computed.
const CONFIDENCE: f64 = 0.95;
const ACCURACY: f64 = 0.85;

/// Validation or test splits so small that accuracies on them are uncertain.
pub(super) fn detect(measurements: &Measurements) -> Option<Challenge> {
    let splits = [SplitName::Validation, SplitName::Test];
    let evidence = ChallengeEvidence::those_that_hold(splits.into_iter().filter_map(|split| {
        let n = measurements.n_pictures(split);
        Some(ChallengeEvidence::new(
            &format!("half width of the interval of a {split} accuracy of {ACCURACY}"),
            half_width(n)?,
            Unit::Fraction,
            Limit::AtLeast(THRESHOLD_HALF_WIDTH),
            n,
            format!("Wilson's interval, confidence {CONFIDENCE}"),
        ))
    }));
    let widest = evidence
        .iter()
        .map(|evidence| evidence.value)
        .fold(0.0, f64::max);
    Some(Challenge {
        id: "small_evaluation".into(),
        title: "Small evaluation splits".into(),
        severity: Severity::rising(widest, 0.03, 0.06),
        statement: format!(
            "{} validation and {} test images: accuracies are uncertain by up to {widest:.3}",
            measurements.n_pictures(SplitName::Validation),
            measurements.n_pictures(SplitName::Test)
        ),
        consequence: "Small differences between models cannot be told from chance, and gates can be INCONCLUSIVE."
            .into(),
        evidence,
        classes: Vec::new(),
    })
}

/// Half of the width of Wilson's interval around [`ACCURACY`]; 0.5 without images: nothing is
/// known then.
fn half_width(n: usize) -> Option<f64> {
    if n == 0 {
        return Some(0.5);
    }
    let interval = wilson((ACCURACY * n as f64).round() as u64, n as u64, CONFIDENCE).ok()?;
    Some((interval.high - interval.low) / 2.0)
}

#[cfg(test)]
mod tests {
    use super::super::testing::appears;
    use super::*;

    #[test]
    fn each_small_split_is_evidence() {
        let one = appears(detect, |m| m.class_counts.validation = vec![250; 4]);
        assert_eq!((one.evidence.len(), one.severity), (1, Severity::Low));
        assert!(
            (one.evidence[0].value - 0.0221).abs() < 2e-4,
            "{:?}",
            one.evidence
        );
        let both = appears(detect, |m| {
            m.class_counts.validation = vec![25; 4];
            m.class_counts.test = vec![0; 4];
        });
        assert_eq!((both.evidence.len(), both.severity), (2, Severity::High));
    }
}
