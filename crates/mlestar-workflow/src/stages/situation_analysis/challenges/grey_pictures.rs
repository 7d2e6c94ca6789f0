use super::{Challenge, ChallengeEvidence, Severity};
use crate::stages::situation_analysis::measurements::Measurements;
use mlestar_gates::{Limit, Unit};

/// One image in a hundred.
const THRESHOLD_FRACTION: f64 = 0.01;

/// Grey images among coloured ones.
pub(super) fn detect(measurements: &Measurements) -> Option<Challenge> {
    let found = measurements.variability.as_ref()?;
    // The smaller of both groups: a wholly grey set is no mixture.
    let mixed = found.grey_fraction.min(1.0 - found.grey_fraction);
    let evidence = ChallengeEvidence::new(
        "fraction of the rarer kind, grey or coloured",
        mixed,
        Unit::Fraction,
        Limit::AtLeast(THRESHOLD_FRACTION),
        found.n_pictures,
        "training images whose channels differ by less than 0.02 on average count as grey",
    );
    Some(Challenge {
        id: "grey_pictures".into(),
        title: "Grey and coloured images are mixed".into(),
        severity: Severity::rising(mixed, 0.05, 0.2),
        statement: format!(
            "{:.3} of the training images are grey and the others coloured",
            found.grey_fraction
        ),
        consequence: "The model cannot rely on colour: vary the saturation in training.".into(),
        evidence: vec![evidence],
        classes: Vec::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::super::testing::{appears, shown, untroubled};
    use super::*;

    #[test]
    fn only_a_mixture_is_a_challenge() {
        let found = appears(detect, |m| {
            m.variability.as_mut().unwrap().grey_fraction = 0.9
        });
        assert_eq!(found.severity, Severity::Medium);
        let mut grey = untroubled();
        grey.variability.as_mut().unwrap().grey_fraction = 1.0;
        assert_eq!(shown(detect, &grey), None);
    }
}
