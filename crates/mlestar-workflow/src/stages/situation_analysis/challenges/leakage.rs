use super::overlap::Overlap;
use super::{Challenge, Severity};
use crate::stages::situation_analysis::measurements::Measurements;
use mlestar_data::quality::FindingKind;

/// Validation or test images that an earlier split has too, with the same label.
pub(super) fn detect(measurements: &Measurements) -> Option<Challenge> {
    let shared = Overlap {
        measurements,
        kinds: &[FindingKind::Leakage, FindingKind::NearLeakage],
    };
    let n_exact = measurements.n_findings(&[FindingKind::Leakage]);
    let bounds = shared.clauses(|split, counted, share| {
        format!(
            "{counted} {split} images repeat one of an earlier split, so {split} accuracy can be too good by \
             {share:.4}"
        )
    });
    Some(Challenge {
        id: "leakage".into(),
        title: "Images shared between splits".into(),
        severity: Severity::rising(shared.largest_share(), 0.001, 0.01),
        statement: format!(
            "{}; {n_exact} of them exactly. There can be more: copies that are cropped, turned or recoloured are not \
             all recognised",
            bounds.join("; ")
        ),
        consequence: "The model is judged on images that it was trained on: remove one copy of \
                      each before believing small differences."
            .into(),
        evidence: shared.evidence(
            "that an earlier split has too",
            "equal bytes, or near in perceptual hash and in a small version",
        ),
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

    /// 10 of 20 test images are a half, however many validation images there are.
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
        insta::assert_snapshot!(found.statement, @"4 of 2000 validation images repeat one of an earlier split, so validation accuracy can be too good by 0.0020; 10 of 20 test images repeat one of an earlier split, so test accuracy can be too good by 0.5000; 14 of them exactly. There can be more: copies that are cropped, turned or recoloured are not all recognised");
    }
}
