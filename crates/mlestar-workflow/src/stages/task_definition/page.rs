//! `feasibility_report.html`: the task and whether it can be done.

use super::artifact::{Assessment, Feasibility, FeasibilityReport, Subject, TaskSpec};
use crate::words::counted;
use mlestar_gates::{Limit, Unit};
use mlestar_report::{
    Badge, Block, Cell, Column, Definition, KeyFigure, Page, Row, Section, Table, format,
};

/// The page as HTML.
pub(super) fn render(spec: &TaskSpec, report: &FeasibilityReport) -> String {
    Page::new("Task definition")
        .project("MLE-Star")
        .subtitle("Stage 2: the targets, and whether they can be reached")
        .badge(overall(report))
        .fact("device", report.figures.device.clone())
        .fact("confidence of intervals", spec.confidence.to_string())
        .section(overview(report))
        .section(task(spec))
        .section(assessments(report))
        .section(figures(report))
        .footer("Times are of this machine and differ from run to run; everything else follows from data and config.")
        .render()
}

fn overall(report: &FeasibilityReport) -> Badge {
    let summary = &report.summary;
    if summary.n_infeasible > 0 {
        Badge::bad("infeasible demands")
    } else if summary.n_doubtful + summary.n_not_measurable > 0 {
        Badge::caution("feasible with doubts")
    } else {
        Badge::good("feasible")
    }
}

fn overview(report: &FeasibilityReport) -> Section {
    let (timing, work) = (&report.figures.timing, &report.figures.training_work);
    let seconds = report.figures.run_seconds(timing.median_step_seconds());
    let whole = match &report.figures.search {
        Some(search) => format!(
            "search, {} as long as a trial: {}, final training {}",
            counted(search.n_short(), "training"),
            format::seconds(seconds.search),
            format::seconds(seconds.final_training)
        ),
        None => "no search".to_owned(),
    };
    let [shortest, longest] = timing.step_range_seconds();
    let resources = &report.figures.resources;
    Section::new("Overview").block(vec![
        KeyFigure::new(
            "training time, estimated",
            format::seconds(seconds.training),
        )
        .interval(format!(
            "{} of {} steps at {}",
            counted(work.epochs, "epoch"),
            format::count(work.steps_per_epoch as u64),
            format::seconds(timing.median_step_seconds())
        )),
        KeyFigure::new("all trainings, at most", format::seconds(seconds.total())).interval(whole),
        KeyFigure::new(
            "training step",
            format::seconds(timing.median_step_seconds()),
        )
        .interval(format!(
            "{} to {}, {}",
            format::seconds(shortest),
            format::seconds(longest),
            counted(timing.batch_size, "image")
        )),
        KeyFigure::new(
            "one image, deployed",
            format::milliseconds(timing.median_latency_ms()),
        )
        .interval(format!(
            "95th percentile {}",
            format::milliseconds(timing.p95_latency_ms())
        )),
        KeyFigure::new("model", format::bytes(resources.model_bytes)).interval(format!(
            "{} parameters",
            format::count(resources.parameters)
        )),
        KeyFigure::new(
            "training memory, computed",
            format::bytes(resources.training_memory_bytes()),
        )
        .interval(format!(
            "process after a few steps: {}",
            format::bytes(timing.resident_bytes)
        )),
    ])
}

fn task(spec: &TaskSpec) -> Section {
    let problem = spec_text(&spec.problem_type);
    let definitions = vec![
        Definition::new("problem", problem),
        Definition::new("target variable", spec.target_variable.clone()),
        Definition::new(
            "input",
            format!(
                "{} x {} pixels, {}, {}",
                spec.input.height,
                spec.input.width,
                counted(spec.input.channels, "channel"),
                spec.input.values
            ),
        ),
        Definition::new(
            counted(spec.classes.len(), "class"),
            class_list(&spec.classes),
        ),
        Definition::new(
            "interpretability",
            spec_text(&spec.quality.interpretability),
        ),
    ];
    let mut table = Table::new("Targets on test images")
        .column(Column::text("metric"))
        .column(Column::text("role"))
        .column(Column::number("target", "fraction"))
        .column(Column::text("definition"));
    for (place, target) in spec.targets().enumerate() {
        table = table.row(Row::new([
            target.metric.as_str().replace('_', " "),
            if place == 0 { "primary" } else { "secondary" }.to_owned(),
            target.target.to_string(),
            target.definition.clone(),
        ]));
    }
    Section::new("The task")
        .block(Block::Definitions(definitions))
        .block(table)
}

/// Names shown in full; the rest is counted.
const LISTED_CLASSES: usize = 30;

fn class_list(classes: &[String]) -> String {
    let listed: Vec<&str> = classes
        .iter()
        .take(LISTED_CLASSES)
        .map(String::as_str)
        .collect();
    match classes.len() - listed.len() {
        0 => listed.join(", "),
        rest => format!("{} and {rest} more", listed.join(", ")),
    }
}

/// An enum of the config as it is written there.
fn spec_text<T: serde::Serialize>(value: &T) -> String {
    let json = serde_json::to_value(value).ok();
    json.and_then(|value| Some(value.as_str()?.replace('_', " ")))
        .unwrap_or_default()
}

fn assessments(report: &FeasibilityReport) -> Section {
    let mut section = Section::new("Assessment")
        .intro("Each demand with the figures that were measured or computed for it.");
    for (subject, title) in [
        (Subject::Target, "Targets"),
        (Subject::Constraint, "Constraints"),
        (Subject::Quality, "Quality requirements"),
        (Subject::Consistency, "Consistency"),
    ] {
        let rows = report
            .assessments
            .iter()
            .filter(|row| row.subject == subject);
        section = section.block(verdict_table(title, rows));
    }
    section
}

fn verdict_table<'a>(title: &str, rows: impl Iterator<Item = &'a Assessment>) -> Table {
    let mut table = Table::new(title)
        .column(Column::text("verdict"))
        .column(Column::text("demand"))
        .column(Column::text("limit"))
        .column(Column::text("finding"))
        .column(Column::text("what to do"));
    for row in rows {
        table = table.row(Row::new([
            Cell::from(badge(row.verdict)),
            Cell::from(&row.title),
            Cell::from(
                row.demanded
                    .map_or_else(String::new, |limit| limit_text(limit, &row.unit)),
            ),
            Cell::from(&row.reason),
            Cell::from(&row.recommendation),
        ]));
    }
    table
}

fn badge(verdict: Feasibility) -> Badge {
    match verdict {
        Feasibility::Feasible => Badge::good(verdict.as_str()),
        Feasibility::Doubtful => Badge::caution(verdict.as_str()),
        Feasibility::Infeasible => Badge::bad(verdict.as_str()),
        Feasibility::NotMeasurable => Badge::neutral(verdict.as_str()),
    }
}

fn limit_text(limit: Limit, unit: &Unit) -> String {
    let words = match limit {
        Limit::AtLeast(_) => "at least",
        Limit::Above(_) => "above",
        Limit::AtMost(_) => "at most",
        Limit::Equals(_) => "exactly",
    };
    format!("{words} {}", unit.format(limit.value()))
}

fn figures(report: &FeasibilityReport) -> Section {
    let mut table = Table::new("Every figure")
        .column(Column::text("demand"))
        .column(Column::text("figure"))
        .column(Column::number("value", ""))
        .column(Column::text("source"))
        .column(Column::text("how"));
    for row in &report.assessments {
        for (place, figure) in row.comparisons.iter().enumerate() {
            let title = if place == 0 {
                row.title.clone()
            } else {
                String::new()
            };
            table = table.row(Row::new([
                title,
                figure.what.clone(),
                figure.unit.format(figure.value),
                figure.source.as_str().to_owned(),
                figure.method.clone(),
            ]));
        }
    }
    Section::new("Figures")
        .intro("The figures behind the verdicts.")
        .block(table)
}
