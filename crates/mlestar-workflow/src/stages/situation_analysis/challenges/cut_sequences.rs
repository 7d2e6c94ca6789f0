use super::overlap::Overlap;
use super::{Challenge, Severity};
use crate::stages::situation_analysis::measurements::Measurements;
use mlestar_data::quality::FindingKind;

/// Files whose names count on from one of an earlier split, in a set where such neighbours look alike: bursts and
/// frames of videos.
pub(super) fn detect(measurements: &Measurements) -> Option<Challenge> {
    let cut = Overlap {
        measurements,
        kinds: &[FindingKind::CutSequence],
    };
    let method = measurements.sequences.as_ref().map_or_else(
        || "too few names count on to tell whether neighbours look alike".to_owned(),
        |found| {
            format!(
                "names that end with numbers at most 2 apart; such a neighbour was more alike than another picture of \
                 the class in {:.3} of {} comparisons, from 0.7 on they are sequences",
                found.neighbour_more_alike, found.n_compared
            )
        },
    );
    let bounds =
        cut.clauses(|split, counted, share| format!("{counted} {split} pictures ({share:.4})"));
    Some(Challenge {
        id: "cut_sequences".into(),
        title: "Sequences cut by the split".into(),
        severity: Severity::rising(cut.largest_share(), 0.01, 0.05),
        statement: format!(
            "{} count on from a file of an earlier split, and such neighbours look alike: frames of one scene stand on \
             both sides",
            bounds.join(" and ")
        ),
        consequence: "The model can know these scenes from training, so that accuracy on new ones can be lower by as \
                      much as these pictures' share: keep each sequence on one side, with data.group_by where \
                      the splits are made here."
            .into(),
        evidence: cut.evidence("whose name counts on from one of an earlier split", &method),
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
                .starts_with("800 of 8000 test pictures (0.1000) count on"),
            "{}",
            found.statement
        );
        assert_eq!(found.evidence.len(), 1);
    }
}
