use super::{Challenge, ChallengeEvidence, Severity};
use crate::stages::situation_analysis::measurements::Measurements;
use mlestar_data::SplitName;
use mlestar_data::quality::FindingKind;
use mlestar_gates::{Limit, Unit};

/// A single shared picture is one too many.
const THRESHOLD_PICTURES: f64 = 1.0;

/// Validation or test pictures that an earlier split has too, with the same label.
pub(super) fn detect(measurements: &Measurements) -> Option<Challenge> {
    let kinds = [FindingKind::Leakage, FindingKind::NearLeakage];
    let splits = [SplitName::Validation, SplitName::Test];
    let n_leaked = |split| measurements.n_findings_in(&kinds, split);
    let n_exact = measurements.n_findings(&[FindingKind::Leakage]);
    let evidence = ChallengeEvidence::those_that_hold(splits.into_iter().map(|split| {
        ChallengeEvidence::new(
            &format!("{split} pictures that an earlier split has too"),
            n_leaked(split) as f64,
            Unit::Count,
            Limit::AtLeast(THRESHOLD_PICTURES),
            measurements.n_pictures(split),
            "equal bytes, or near in perceptual hash and in a small version",
        )
    }));
    let share = |split| measurements.share(n_leaked(split), split);
    let largest = splits.into_iter().map(share).fold(0.0, f64::max);
    let bounds: Vec<String> = splits
        .into_iter()
        .filter(|split| n_leaked(*split) > 0)
        .map(|split| {
            format!(
                "{} of {} {split} pictures repeat one of an earlier split, so that {split} accuracy can be too good \
                 by {:.4}",
                n_leaked(split),
                measurements.n_pictures(split),
                share(split)
            )
        })
        .collect();
    Some(Challenge {
        id: "leakage".into(),
        title: "Pictures shared between splits".into(),
        severity: Severity::rising(largest, 0.001, 0.01),
        statement: format!(
            "{}; {n_exact} of them exactly. There can be more: copies that are cropped, turned or recoloured are not \
             all recognised",
            bounds.join("; ")
        ),
        consequence: "The model is judged on pictures that it was trained on: remove one copy of \
                      each before believing small differences."
            .into(),
        evidence,
        classes: Vec::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::super::testing::{appears, with_findings};
    use super::*;

    #[test]
    fn one_shared_picture_is_enough() {
        let found = appears(detect, |m| {
            *m = with_findings(FindingKind::Leakage, [0, 1, 0])
        });
        assert_eq!(found.severity, Severity::Low);
        let many = appears(detect, |m| {
            *m = with_findings(FindingKind::NearLeakage, [0, 0, 160])
        });
        assert_eq!(many.severity, Severity::High);
    }

    /// 10 of 20 test pictures are a half, however many validation pictures there are.
    #[test]
    fn each_split_is_judged_by_its_own_size() {
        let found = appears(detect, |m| {
            *m = with_findings(FindingKind::Leakage, [0, 4, 10]);
            m.class_counts.validation = vec![500; 4];
            m.class_counts.test = vec![5; 4];
        });
        let sizes: Vec<_> = found
            .evidence
            .iter()
            .map(|row| (row.value, row.n))
            .collect();
        assert_eq!(sizes, [(4.0, 2_000), (10.0, 20)]);
        assert_eq!(found.severity, Severity::High);
        insta::assert_snapshot!(found.statement, @"4 of 2000 validation pictures repeat one of an earlier split, so that validation accuracy can be too good by 0.0020; 10 of 20 test pictures repeat one of an earlier split, so that test accuracy can be too good by 0.5000; 14 of them exactly. There can be more: copies that are cropped, turned or recoloured are not all recognised");
    }
}
