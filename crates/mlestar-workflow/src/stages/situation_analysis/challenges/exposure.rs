use super::{Challenge, ChallengeEvidence, Severity};
use crate::stages::situation_analysis::measurements::Measurements;
use mlestar_data::SplitName;
use mlestar_data::quality::FindingKind;
use mlestar_gates::{Limit, Unit};

/// One training image in a thousand.
const THRESHOLD_FRACTION: f64 = 0.001;

/// Images in which little or nothing can be seen.
pub(super) fn detect(measurements: &Measurements) -> Option<Challenge> {
    let n_train = measurements.n_pictures(SplitName::Train);
    let counts = [
        (FindingKind::Blank, "blank"),
        (FindingKind::OverDark, "over-dark"),
        (FindingKind::OverBright, "over-bright"),
        (FindingKind::LowContrast, "low-contrast"),
    ]
    .map(|(kind, name)| (measurements.n_findings_in(&[kind], SplitName::Train), name));
    let n_bad: usize = counts.iter().map(|(count, _)| count).sum();
    let fraction = n_bad as f64 / n_train.max(1) as f64;
    let evidence = ChallengeEvidence::new(
        "findings of bad exposure per training image",
        fraction,
        Unit::Fraction,
        Limit::AtLeast(THRESHOLD_FRACTION),
        n_train,
        "mean and standard deviation of each image's brightness",
    );
    let found = counts.iter().filter(|(count, _)| *count > 0);
    let listed: Vec<String> = found
        .map(|(count, name)| format!("{count} {name}"))
        .collect();
    Some(Challenge {
        id: "bad_exposure".into(),
        title: "Blank or badly exposed images".into(),
        severity: Severity::rising(fraction, 0.01, 0.05),
        statement: format!("{} among {n_train} training images", listed.join(", ")),
        consequence:
            "Images that show nothing still have a label: the model learns noise from them.".into(),
        evidence: vec![evidence],
        classes: Vec::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::super::testing::{appears, shown, with_findings};
    use super::*;

    #[test]
    fn blank_pictures_are_counted_in_training() {
        let found = appears(detect, |m| {
            *m = with_findings(FindingKind::Blank, [200, 0, 0])
        });
        assert_eq!(found.severity, Severity::Medium);
        assert_eq!(found.statement, "200 blank among 20000 training images");
        assert_eq!(
            shown(detect, &with_findings(FindingKind::OverDark, [19, 90, 90])),
            None
        );
    }
}
