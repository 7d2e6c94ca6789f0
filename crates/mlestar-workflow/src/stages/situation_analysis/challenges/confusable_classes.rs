use super::{Challenge, ChallengeEvidence, Severity};
use crate::stages::situation_analysis::measurements::Measurements;
use mlestar_gates::{Limit, Unit};

/// From this share of confused images on, a pair is a challenge of its own.
const THRESHOLD_FRACTION: f64 = 0.05;
/// It must also stand out from the other pairs.
const THRESHOLD_TIMES_MEAN: f64 = 1.5;

/// Pairs of classes that look more alike than others.
pub(super) fn detect(measurements: &Measurements) -> Option<Challenge> {
    let found = measurements.separability.as_ref()?;
    // Without a confused pair none stands out.
    let worst = found.confused_pairs.first();
    let worst_fraction = worst.map_or(0.0, |pair| pair.fraction);
    let times_mean = worst_fraction / found.mean_pair_confusion.max(f64::MIN_POSITIVE);
    let method = format!(
        "vote of the {} nearest training images by mean colours",
        found.n_neighbours
    );
    let fraction = ChallengeEvidence::new(
        "images of the worst pair that are classified as the other class",
        worst_fraction,
        Unit::Fraction,
        Limit::AtLeast(THRESHOLD_FRACTION),
        worst.map_or(found.n_queries, |pair| pair.n_pictures as usize),
        method.clone(),
    );
    let standing_out = ChallengeEvidence::new(
        "confusion of the worst pair over the mean of all pairs",
        times_mean,
        Unit::Other("times".into()),
        Limit::AtLeast(THRESHOLD_TIMES_MEAN),
        found.n_queries,
        method,
    );
    let pairs: Vec<String> = found
        .confused_pairs
        .iter()
        .take(3)
        .map(|pair| {
            format!(
                "{} and {} ({:.3})",
                pair.classes[0], pair.classes[1], pair.fraction
            )
        })
        .collect();
    Some(Challenge {
        id: "confusable_classes".into(),
        title: "Classes that look alike".into(),
        severity: Severity::rising(worst_fraction, 0.1, 0.2),
        statement: format!("most often confused with each other: {}", pairs.join(", ")),
        consequence:
            "These classes limit each other's recall. Judge them one by one, and look at their images first \
            when accuracy stalls."
                .into(),
        evidence: vec![fraction, standing_out],
        classes: worst.map_or_else(Vec::new, |pair| pair.classes.to_vec()),
    })
}

#[cfg(test)]
mod tests {
    use super::super::testing::{appears, shown, untroubled};
    use super::*;

    #[test]
    fn a_pair_must_be_confused_and_stand_out() {
        let found = appears(detect, |m| {
            m.separability.as_mut().unwrap().confused_pairs[0].fraction = 0.15;
        });
        assert_eq!(found.severity, Severity::Medium);
        assert_eq!(found.classes, ["cat", "dog"]);
        let mut everywhere = untroubled();
        let separability = everywhere.separability.as_mut().unwrap();
        separability.confused_pairs[0].fraction = 0.15;
        separability.mean_pair_confusion = 0.14;
        assert_eq!(shown(detect, &everywhere), None);
    }
}
