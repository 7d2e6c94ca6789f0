//! The page about repeated splits.

use super::folder::SUMMARY;
use super::result::SplitOutcome;
use super::{SplitResult, SplitsSummary};
use mlestar_report::{Block, Callout, Column, KeyFigure, Link, Page, Row, Section, Table, format};

pub(super) fn render(summary: &SplitsSummary) -> String {
    let page = Page::new("Repeated splits")
        .project("MLE-Star")
        .subtitle(&summary.name)
        .fact("splits", summary.splits.to_string());
    page.section(result(summary))
        .section(splits(summary))
        .section(
            Section::new("Files").block(vec![Link::new(SUMMARY, SUMMARY).note("every figure")]),
        )
        .render()
}

fn result(summary: &SplitsSummary) -> Section {
    let section = Section::new("Result");
    let Some(all) = &summary.accuracy else {
        let failed = format!(
            "{} trainings failed. The mean of the others would be too high.",
            summary.n_failed()
        );
        return section.block(Callout::warning("No mean", failed));
    };
    let [low, high] = all.interval.ends();
    section
        .block(vec![
            KeyFigure::new("mean accuracy", format::fraction(all.mean)),
            KeyFigure::new(
                format!("{:.0} % interval", 100.0 * all.interval.confidence),
                format!("{} to {}", format::fraction(low), format::fraction(high)),
            ),
            KeyFigure::new("standard deviation", format::number(all.deviation, 4)),
            KeyFigure::new("standard error", format::number(all.standard_error, 4)),
        ])
        .block(Block::paragraph(
            "Each split draws training and validation images anew from those that are not test images. The standard deviation is \
             that of single splits. Splits share images, which the interval allows for (Nadeau and Bengio 2003). Each training \
             keeps the epoch that is best on its validation images, so its accuracy is a little too high.",
        ))
}

fn splits(summary: &SplitsSummary) -> Section {
    let mut table = Table::new("Every split")
        .column(Column::number("split", ""))
        .column(Column::number("accuracy", "fraction"))
        .column(Column::number("correct", "images"))
        .column(Column::number("validation", "images"))
        .column(Column::text("epoch"))
        .column(Column::number("time", "s"));
    for result in &summary.results {
        table = table.row(Row::new(row(result)));
    }
    Section::new("Splits").block(table)
}

fn row(result: &SplitResult) -> [String; 6] {
    let (accuracy, correct, epoch) = match &result.outcome {
        SplitOutcome::Measured {
            epoch,
            epochs,
            correct,
            accuracy,
            ..
        } => (
            format::fraction(*accuracy),
            correct.to_string(),
            format!("{epoch} of {epochs}"),
        ),
        SplitOutcome::Failed { reason } => (
            format::MISSING.to_owned(),
            format::MISSING.to_owned(),
            format!("failed: {reason}"),
        ),
    };
    [
        result.split.to_string(),
        accuracy,
        correct,
        result.validation_images.to_string(),
        epoch,
        format::number(result.seconds, 1),
    ]
}
