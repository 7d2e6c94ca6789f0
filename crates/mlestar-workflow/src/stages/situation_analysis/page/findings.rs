//! What the quality check found, with the images.

use super::super::FINDINGS_FILE;
use super::super::artifact::{FindingGroup, QualityFindings};
use super::thumbnail_of;
use crate::WorkflowError;
use crate::csv::csv;
use mlestar_data::quality::{Finding, FindingKind, QualityReport, RelatedPicture};
use mlestar_data::{ImageSet, ImageSplits, SplitName};
use mlestar_report::{
    Block, Callout, Column, Link, Picture, PictureGrid, Row, Section, Table, format,
};

/// Findings of one kind whose images are shown.
const MOST_SHOWN: usize = 8;

/// Every finding as a line of CSV.
pub(in super::super) fn list(report: &QualityReport) -> String {
    let head = [
        "kind",
        "split",
        "index",
        "file",
        "class",
        "suggested_class",
        "value",
        "threshold",
        "other_split",
        "other_index",
        "other_file",
        "other_class",
    ];
    csv(head, report.findings.iter().map(row))
}

fn row(finding: &Finding) -> [String; 12] {
    let other = finding.related.as_ref();
    let of_other = |text: fn(&RelatedPicture) -> String| other.map_or_else(String::new, text);
    [
        finding.kind.title().to_owned(),
        finding.split.to_string(),
        finding.index.to_string(),
        finding.origin.clone(),
        finding.class.clone(),
        finding.suggested_class.clone().unwrap_or_default(),
        format::significant(finding.value, 6),
        format::significant(finding.threshold, 6),
        of_other(|other| other.split.to_string()),
        of_other(|other| other.index.to_string()),
        of_other(|other| other.origin.clone()),
        of_other(|other| other.class.clone()),
    ]
}

/// The section.
pub(super) fn section(
    quality: &QualityFindings,
    splits: &ImageSplits,
) -> Result<Section, WorkflowError> {
    let mut section = Section::new("Quality findings")
        .intro("All these images are in use. Decide what to do with them.");
    if quality.groups.is_empty() {
        section = section.block(Callout::info(
            "Nothing found",
            "No duplicates, no blank or badly exposed images, no suspected labels.",
        ));
    } else {
        section = section.block(totals(quality)).block(vec![
            Link::new(FINDINGS_FILE, FINDINGS_FILE).note("every finding with its file"),
        ]);
    }
    for group in &quality.groups {
        section = section.block(pictures(group, splits)?);
    }
    for note in &quality.notes {
        section = section.block(Block::paragraph(note.clone()));
    }
    Ok(section)
}

fn totals(quality: &QualityFindings) -> Table {
    let mut table = Table::new("Findings by kind")
        .column(Column::text("kind"))
        .column(Column::number("findings", ""))
        .column(Column::text("the first of them"))
        .note(format!("{FINDINGS_FILE} names the files of all of them."));
    for group in &quality.groups {
        let first: Vec<String> = group
            .listed
            .iter()
            .take(3)
            .map(|finding| finding.origin.clone())
            .collect();
        table = table.row(Row::new([
            group.title.clone(),
            format::count(group.n_findings as u64),
            first.join(", "),
        ]));
    }
    table
}

fn pictures(group: &FindingGroup, splits: &ImageSplits) -> Result<PictureGrid, WorkflowError> {
    let shown: Vec<&Finding> = group.listed.iter().take(MOST_SHOWN).collect();
    let mut grid = PictureGrid::new(format!(
        "{}: {} of {}",
        capitalised(&group.title),
        shown.len(),
        format::count(group.n_findings as u64)
    ));
    for finding in shown {
        let uri = thumbnail_of(set_of(splits, finding.split), finding.index)?;
        let mut picture = Picture::new(uri, format!("{} in {}", group.title, finding.split))
            .truth(finding.class.clone())
            .caption(format!("{} {}", finding.split, finding.origin));
        if let Some(class) = &finding.suggested_class {
            picture = picture.predicted(class.clone()).confidence(finding.value);
        }
        grid = grid.picture(picture);
        if let Some(other) = finding.related.as_ref().filter(|_| is_pair(finding.kind)) {
            let uri = thumbnail_of(set_of(splits, other.split), other.index)?;
            let (what, caption) = match finding.kind {
                FindingKind::CutSequence => ("its neighbour", "continues the sequence of"),
                _ => ("the other copy", "repeats"),
            };
            let picture = Picture::new(uri, format!("{what}, in {}", other.split))
                .truth(other.class.clone())
                .caption(format!("{caption} {} {}", other.split, other.origin));
            grid = grid.picture(picture);
        }
    }
    Ok(grid)
}

/// Whether a finding is about two images that look the same.
fn is_pair(kind: FindingKind) -> bool {
    matches!(
        kind,
        FindingKind::ExactDuplicate
            | FindingKind::NearDuplicate
            | FindingKind::Leakage
            | FindingKind::NearLeakage
            | FindingKind::LabelConflict
            | FindingKind::CutSequence
    )
}

fn set_of(splits: &ImageSplits, split: SplitName) -> &ImageSet {
    match split {
        SplitName::Train => &splits.train,
        SplitName::Validation => &splits.validation,
        SplitName::Test => &splits.test,
    }
}

fn capitalised(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| {
        first.to_uppercase().chain(letters).collect()
    })
}
