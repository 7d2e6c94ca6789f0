use super::overlap::Overlap;
use super::{Challenge, Severity};
use crate::stages::situation_analysis::measurements::Measurements;
use mlestar_data::quality::FindingKind;

/// Files whose names continue the sequence of a file in an earlier split, in a dataset where such neighbours look
/// alike: bursts and frames of videos.
pub(super) fn detect(measurements: &Measurements) -> Option<Challenge> {
    let cut = Overlap {
        measurements,
        kinds: &[FindingKind::CutSequence],
    };
    let method = measurements.sequences.as_ref().map_or_else(
        || "too few file names form sequences to tell whether neighbours look alike".to_owned(),
        |found| {
            format!(
                "file names that end with numbers at most 2 apart; such a neighbour looked more alike than \
                another image of the class in {:.3} of {} comparisons, and 0.7 or more means sequences",
                found.neighbour_more_alike, found.n_compared
            )
        },
    );
    let bounds =
        cut.clauses(|split, counted, share| format!("{counted} {split} images ({share:.4})"));
    Some(Challenge {
        id: "cut_sequences".into(),
        title: "Sequences cut by the split".into(),
        severity: Severity::rising(cut.largest_share(), 0.01, 0.05),
        statement: format!(
            "{} continue the sequence of a file in an earlier split, and such neighbours look alike: both \
            splits have frames of one scene",
            bounds.join(" and ")
        ),
        consequence: "The model can know these scenes from training. Accuracy on new scenes can be lower by \
            up to the share of these images. Keep each sequence in one split, with data.group_by if the \
            dataset has no splits of its own."
            .into(),
        evidence: cut.evidence("whose name continues the sequence of a file in an earlier split", &method),
        classes: Vec::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::super::testing::{appears, with_findings};
    use super::*;

    #[test]
    fn a_sequence_on_both_sides_is_a_challenge() {
        let found = appears(detect, |m| {
            *m = with_findings(FindingKind::CutSequence, [0, 0, 800]);
        });
        assert_eq!(found.severity, Severity::High);
        assert!(
            found
                .statement
                .starts_with("800 of 8000 test images (0.1000) continue the sequence"),
            "{}",
            found.statement
        );
        assert_eq!(found.evidence.len(), 1);
    }
}
