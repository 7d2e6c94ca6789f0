//! The page about the final model: the evaluation of stage 5, applied to it.

use super::page::Outcome;
use super::{Choice, Examined, FINAL_MODEL, PREDICTIONS, REPORT};
use crate::WorkflowError;
use crate::stages::evaluation::{self, Evaluation, EvaluationResults, RESULTS};
use crate::stages::implementation::curves;
use mlestar_report::{Column, Link, Row, Section, Table, format};
use mlestar_train::EpochRecord;

/// The facts that the page is written from.
pub(super) struct FinalReport<'a> {
    pub(super) outcome: &'a Outcome<'a>,
    /// Of the baseline.
    pub(super) baseline: &'a EvaluationResults,
    /// Of the final model.
    pub(super) evaluation: &'a Evaluation,
    pub(super) examined: &'a Examined,
    /// Of the training that gave the final model.
    pub(super) history: &'a [EpochRecord],
}

impl FinalReport<'_> {
    pub(super) fn render(&self) -> Result<String, WorkflowError> {
        let chosen = self.outcome.chosen;
        let evaluation = self.evaluation;
        let mut page = self.outcome.page("Evaluation of the final model");
        if chosen.choice == Choice::Refined {
            page = page.section(side_by_side(self.baseline, &evaluation.results));
        }
        let examined = self.examined;
        for section in evaluation::sections(evaluation, &examined.after, &examined.test)? {
            page = page.section(section);
        }
        let links = vec![
            Link::new("Search and choice", REPORT),
            Link::new(
                "Evaluation of the baseline",
                "../5-evaluation/evaluation_report.html",
            ),
            Link::new(PREDICTIONS, PREDICTIONS).note("one line per test image"),
            Link::new(RESULTS, RESULTS),
            Link::new(FINAL_MODEL, FINAL_MODEL),
        ];
        Ok(page
            .section(curves(chosen.best_epoch, self.history)?)
            .section(Section::new("Files").block(links))
            .render())
    }
}

/// The figures of each class with both models.
fn side_by_side(baseline: &EvaluationResults, chosen: &EvaluationResults) -> Section {
    let mut table = Table::new("Recall and precision, baseline and final model")
        .column(Column::text("class"))
        .column(Column::number("images", ""))
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
