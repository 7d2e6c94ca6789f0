//! The page about an evaluation.

use super::{Drawings, Evaluation, EvaluationResults, MISTAKES, RESULTS};
use crate::WorkflowError;
use crate::config::Config;
use mlestar_data::ImageSet;
use mlestar_eval::{Estimate, Predictions};
use mlestar_report::{
    Block, Callout, ChartFigure, Column, KeyFigure, Link, Page, Picture, PictureGrid, Row, Section,
    Table, format, thumbnail,
};

/// Correct predictions that are shown for comparison.
const RIGHT_ANSWERS: usize = 12;

pub(super) fn render(
    config: &Config,
    evaluation: &Evaluation,
    predictions: &Predictions,
    test: &ImageSet,
    warnings: &[String],
) -> Result<String, WorkflowError> {
    let results = &evaluation.results;
    let summary = &results.summary;
    let about = Section::new("What this page is about").block(Callout::info(
        "The baseline",
        "All figures, charts and mistakes on this page are those of the baseline, the model that stage 4 \
        trained. The final model, which stage 6 selects, is the one that ships. \
        6-refinement/final_report.html shows its evaluation next to the baseline's.",
    ));
    let about = warnings.iter().fold(about, |about, warning| {
        about.block(Callout::warning(
            "Accuracies on this page can be too good",
            warning.clone(),
        ))
    });
    let mut page = Page::new("Evaluation of the baseline")
        .project("MLE-Star")
        .subtitle(format!(
            "{}: {} test images, intervals at {}",
            config.project.name,
            format::count(summary.n_samples),
            summary.confidence
        ))
        .fact("model", format!("baseline {}", results.model.short()))
        .section(about);
    for section in sections(evaluation, predictions, test)? {
        page = page.section(section);
    }
    let links = vec![
        Link::new("predictions.jsonl", "predictions.jsonl").note("one line per test image"),
        Link::new(RESULTS, RESULTS),
        Link::new(
            "Evaluation of the final model",
            "../6-refinement/final_report.html",
        )
        .note("once stage 6 has run"),
    ];
    Ok(page.section(Section::new("Files").block(links)).render())
}

/// The sections of an evaluation: figures, classes, confusions, curves, images.
pub(crate) fn sections(
    evaluation: &Evaluation,
    predictions: &Predictions,
    test: &ImageSet,
) -> Result<Vec<Section>, WorkflowError> {
    let Evaluation { results, drawings } = evaluation;
    Ok(vec![
        figures(results),
        per_class(results, drawings),
        Section::new("Confusions")
            .block(Block::columns(vec![
                ChartFigure::new(drawings.confusion_counts.clone()).into(),
                ChartFigure::new(drawings.confusion_fractions.clone()).into(),
            ]))
            .block(confused_pairs(results)),
        Section::new("Thresholds")
            .intro("How well each class is separated from the rest, over all thresholds.")
            .block(Block::columns(vec![
                ChartFigure::new(drawings.roc.clone()).into(),
                ChartFigure::new(drawings.precision_recall.clone()).into(),
            ])),
        Section::new("Confidence").block(ChartFigure::new(drawings.reliability.clone()).caption(
            "Images are grouped by the probability of the predicted class. Bars below the \
                 diagonal mean overconfidence.",
        )),
        pictures(results, predictions, test)?,
    ])
}

fn figures(results: &EvaluationResults) -> Section {
    let summary = &results.summary;
    let card = |label: &str, estimate: &Estimate| {
        KeyFigure::new(label, format::fraction(estimate.value)).interval(format::interval(
            estimate.interval.low,
            estimate.interval.high,
            4,
        ))
    };
    let plain = |label: &str, value: f64| KeyFigure::new(label, format::fraction(value));
    let weighted = &summary.averages.weighted_average;
    Section::new("Result").block(vec![
        card("accuracy", &summary.accuracy),
        card("balanced accuracy", &summary.balanced_accuracy),
        card("macro F1", &summary.macro_f1),
        plain("weighted precision", weighted.precision),
        plain("weighted recall", weighted.recall),
        plain("weighted F1", weighted.f1),
        KeyFigure::new("macro ROC AUC", format::optional(summary.macro_roc_auc, 4)),
        card("log loss (nats)", &summary.log_loss),
        plain(
            "expected calibration error",
            summary.reliability.expected_calibration_error,
        ),
    ])
}

fn per_class(results: &EvaluationResults, drawings: &Drawings) -> Section {
    let mut table = Table::new("Each class")
        .column(Column::text("class"))
        .column(Column::number("images", ""))
        .column(Column::number("precision", "fraction"))
        .column(Column::number("recall", "fraction"))
        .column(Column::text("recall interval"))
        .column(Column::number("F1", "fraction"))
        .column(Column::number("ROC AUC", ""))
        .column(Column::number("average precision", ""));
    for class in &results.summary.per_class {
        table = table.row(Row::new([
            class.class.clone(),
            format::count(class.support),
            format::optional(class.precision, 4),
            format::optional(class.recall, 4),
            class.recall_interval.map_or_else(String::new, |interval| {
                format::interval(interval.low, interval.high, 3)
            }),
            format::optional(class.f1, 4),
            format::optional(class.roc_auc, 4),
            format::optional(class.average_precision, 4),
        ]));
    }
    Section::new("Classes")
        .block(ChartFigure::new(drawings.recall.clone()).caption("Whiskers are Wilson intervals."))
        .block(table)
}

fn confused_pairs(results: &EvaluationResults) -> Table {
    let classes = &results.summary.classes;
    let mut table = Table::new("Most confused pairs")
        .column(Column::text("truth"))
        .column(Column::text("predicted"))
        .column(Column::number("images", ""))
        .column(Column::number("of the true class", "fraction"));
    for pair in results.summary.most_confused.iter().take(10) {
        table = table.row(Row::new([
            classes[pair.truth as usize].clone(),
            classes[pair.predicted as usize].clone(),
            format::count(pair.count),
            format::fraction(pair.fraction_of_truth),
        ]));
    }
    table
}

fn pictures(
    results: &EvaluationResults,
    predictions: &Predictions,
    test: &ImageSet,
) -> Result<Section, WorkflowError> {
    let mut wrong = PictureGrid::new("The most confident mistakes");
    for mistake in &results.mistakes {
        wrong = wrong.picture(picture(mistake.index, predictions, test)?);
    }
    let mut right = PictureGrid::new("Some correct predictions");
    let step = (test.len() / RIGHT_ANSWERS).max(1);
    for index in (0..test.len()).step_by(step).take(RIGHT_ANSWERS) {
        if predictions.predicted(index) == predictions.label(index) {
            right = right.picture(picture(index, predictions, test)?);
        }
    }
    let list =
        Link::new(MISTAKES, MISTAKES).note("every mistake with its file, the most confident first");
    let section = Section::new("Images").block(wrong).block(vec![list]);
    Ok(section.block(right))
}

fn picture(
    index: usize,
    predictions: &Predictions,
    test: &ImageSet,
) -> Result<Picture, WorkflowError> {
    let data = thumbnail(&test.interleaved(index), test.height(), test.width())?;
    let class = |label: u32| test.classes()[label as usize].as_str();
    let origin = test.origin(index).to_string();
    Ok(Picture::new(data, origin.clone())
        .caption(origin)
        .truth(class(predictions.label(index)))
        .predicted(class(predictions.predicted(index)))
        .confidence(predictions.confidence(index)))
}
