use super::{Challenge, ChallengeEvidence, Severity};
use crate::stages::situation_analysis::measurements::Measurements;
use mlestar_gates::{Limit, Unit};

/// When the best simple classifier is above this, colour and layout nearly solve the task.
const THRESHOLD_ACCURACY: f64 = 0.8;

/// Classes that colour and layout alone do not tell apart.
pub(super) fn detect(measurements: &Measurements) -> Option<Challenge> {
    let found = measurements.separability.as_ref()?;
    let best = found.best_simple_accuracy();
    let evidence = ChallengeEvidence::new(
        "best validation accuracy of simple classifiers",
        best,
        Unit::Fraction,
        Limit::AtMost(THRESHOLD_ACCURACY),
        found.n_queries,
        format!(
            "nearest class mean {:.3}, {} nearest neighbours {:.3}, linear {:.3}, on mean colours \
             of a {} x {} grid, fitted to {} training images",
            found.centroid_accuracy,
            found.n_neighbours,
            found.neighbour_accuracy,
            found.linear_accuracy,
            found.grid[0],
            found.grid[1],
            found.n_references
        ),
    );
    Some(Challenge {
        id: "low_separability".into(),
        title: "Colour and layout do not tell the classes apart".into(),
        severity: Severity::falling(best, 0.7, 0.5),
        statement: format!(
            "the best of three simple classifiers reaches {best:.3} on validation images; always predicting \
            the most frequent class reaches {:.3}",
            found.majority_accuracy
        ),
        consequence:
            "The model must learn shape and texture: it needs several layers of convolutions, and \
            enough steps."
                .into(),
        evidence: vec![evidence],
        classes: Vec::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::super::testing::{appears, shown, untroubled};
    use super::*;

    #[test]
    fn the_best_simple_classifier_decides() {
        let found = appears(detect, |m| {
            let found = m.separability.as_mut().unwrap();
            (found.centroid_accuracy, found.neighbour_accuracy) = (0.28, 0.35);
            found.linear_accuracy = 0.38;
        });
        assert_eq!(
            (found.severity, found.evidence[0].value),
            (Severity::High, 0.38)
        );
        let mut unmeasured = untroubled();
        unmeasured.separability = None;
        assert_eq!(shown(detect, &unmeasured), None);
    }
}
