//! The page about a sweep of learning rates.

use super::{ARTIFACT, KEY, LrFind};
use crate::WorkflowError;
use mlestar_report::{
    Callout, ChartFigure, Code, Column, KeyFigure, Link, Page, Row, Section, Table, charts, format,
};
use mlestar_train::lr_find::SweepEnd;

pub(super) fn render(found: &LrFind) -> Result<String, WorkflowError> {
    Ok(Page::new("Learning rate")
        .project("MLE-Star")
        .subtitle(&found.project)
        .fact("seed", found.seed.to_string())
        .fact("optimizer", format!("{:?}", found.optimizer).to_lowercase())
        .fact("batch", found.batch_size.to_string())
        .fact("parameters", format::count(found.parameters))
        .section(result(found))
        .section(curve(found)?)
        .section(rules(found))
        .section(Section::new("Files").block(vec![
            Link::new(ARTIFACT, ARTIFACT).note("every step and every suggestion"),
        ]))
        .render())
}

fn result(found: &LrFind) -> Section {
    let last = found.points.last();
    let figures = vec![
        KeyFigure::new("suggested learning rate", optional(found.suggested)),
        KeyFigure::new("in the config now", rate(found.configured)),
        KeyFigure::new(
            "steps",
            format!("{} of {}", found.points.len(), found.options.steps),
        ),
        KeyFigure::new(
            "highest rate reached",
            optional(last.map(|point| point.learning_rate)),
        ),
    ];
    let section = Section::new("Result").block(figures);
    match found.config_lines() {
        Some(lines) => section.block(Code::new(lines).caption("for the config")),
        None => section.block(Callout::warning("No suggestion", found.why_none())),
    }
}

fn curve(found: &LrFind) -> Result<Section, WorkflowError> {
    let column = |field: fn(&mlestar_train::lr_find::SweepPoint) -> f64| -> Vec<f64> {
        found.points.iter().map(field).collect()
    };
    let marks: Vec<charts::SweepMark<'_>> = rows(found)
        .into_iter()
        .filter_map(|(label, learning_rate, _)| {
            Some(charts::SweepMark {
                label,
                learning_rate: learning_rate?,
            })
        })
        .collect();
    let chart = charts::learning_rate_sweep(&charts::LearningRateSweep {
        title: "Loss while the learning rate rises",
        learning_rates: &column(|point| point.learning_rate),
        losses: &column(|point| point.loss),
        smoothed_losses: &column(|point| point.smoothed_loss),
        marks: &marks,
    })?;
    let end = match found.ended {
        SweepEnd::Diverged => {
            "The sweep ended early: the smoothed loss rose above four times its lowest value."
        }
        SweepEnd::NotFinite => "The sweep ended early: the next loss was not finite.",
        _ => "The sweep reached its highest rate.",
    };
    let caption = format!(
        "Each step trains on one batch of training images, starting from the initial weights. Losses above \
        the chart are drawn at its upper edge. {end}"
    );
    Ok(Section::new("Curve").block(ChartFigure::new(chart).caption(caption)))
}

/// Each rule: its name, its rate and its meaning.
fn rows(found: &LrFind) -> [(&'static str, Option<f64>, &'static str); 3] {
    let suggestions = &found.suggestions;
    [
        (
            "valley",
            suggestions.valley,
            "the middle of the longest stretch of falling loss; the suggestion",
        ),
        (
            "steepest fall",
            suggestions.steepest,
            "where the smoothed loss falls fastest",
        ),
        (
            "minimum / 10",
            suggestions.minimum_tenth,
            "a tenth of the rate with the lowest smoothed loss",
        ),
    ]
}

fn rules(found: &LrFind) -> Section {
    let mut table = Table::new("What each rule suggests")
        .column(Column::text("rule"))
        .column(Column::number("learning rate", ""))
        .column(Column::text("meaning"));
    for (name, learning_rate, meaning) in rows(found) {
        let cells = [name.to_owned(), optional(learning_rate), meaning.to_owned()];
        table = table.row(Row::new(cells));
    }
    Section::new("Rules")
        .intro(format!(
            "All rules use the smoothed loss over the logarithm of the rate, without its first tenth. The \
            value is for {KEY}, the highest rate of the schedule. Where the rules differ much, try a rate \
            between them."
        ))
        .block(table)
}

fn optional(value: Option<f64>) -> String {
    value.map_or_else(|| format::MISSING.to_owned(), rate)
}

/// Two significant digits, without an exponent where that is short.
fn rate(value: f64) -> String {
    format!("{:?}", super::two_digits(value))
}
