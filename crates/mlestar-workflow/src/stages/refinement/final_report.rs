//! The page about the model that ships: the evaluation of stage 5 over again, of the final model.

use super::page::Outcome;
use super::{Choice, Examined, FINAL_MODEL, PREDICTIONS, REPORT};
use crate::WorkflowError;
use crate::stages::evaluation::{self, Evaluation, EvaluationResults, RESULTS};
use mlestar_report::{Column, Link, Row, Section, Table, format};

pub(super) fn render(
    outcome: &Outcome<'_>,
    baseline: &EvaluationResults,
    evaluation: &Evaluation,
    examined: &Examined,
) -> Result<String, WorkflowError> {
    let mut page = outcome.page("Evaluation of the final model");
    if outcome.chosen.choice == Choice::Refined {
        page = page.section(side_by_side(baseline, &evaluation.results));
    }
    for section in evaluation::sections(evaluation, &examined.after, &examined.test)? {
        page = page.section(section);
    }
    let links = vec![
        Link::new("Search and choice", REPORT),
        Link::new(
            "Evaluation of the baseline",
            "../5-evaluation/evaluation_report.html",
        ),
        Link::new(PREDICTIONS, PREDICTIONS).note("one line a test picture"),
        Link::new(RESULTS, RESULTS),
        Link::new(FINAL_MODEL, FINAL_MODEL),
    ];
    Ok(page.section(Section::new("Files").block(links)).render())
}

/// What became of each class.
fn side_by_side(baseline: &EvaluationResults, chosen: &EvaluationResults) -> Section {
    let mut table = Table::new("Recall and precision, baseline and final model")
        .column(Column::text("class"))
        .column(Column::number("pictures", ""))
        .column(Column::number("recall, baseline", "fraction"))
        .column(Column::number("recall, final", "fraction"))
        .column(Column::number("difference", ""))
        .column(Column::number("precision, baseline", "fraction"))
        .column(Column::number("precision, final", "fraction"));
    let classes = baseline.summary.per_class.iter();
    for (before, after) in classes.zip(&chosen.summary.per_class) {
        let difference = before
            .recall
            .zip(after.recall)
            .map(|(before, after)| after - before);
        table = table.row(Row::new([
            after.class.clone(),
            format::count(after.support),
            format::optional(before.recall, 4),
            format::optional(after.recall, 4),
            format::optional(difference, 4),
            format::optional(before.precision, 4),
            format::optional(after.precision, 4),
        ]));
    }
    Section::new("Classes, side by side").block(table)
}
