//! The page about a benchmark.

use super::columns::{NOTES, about, cells, names};
use super::{BenchmarkRow, ModelBenchmark, Outcome, ScenarioKind};
use crate::WorkflowError;
use mlestar_export::benchmark::{RateTrial, ScenarioResult, ServerResult, quantile};
use mlestar_report::{Block, ChartFigure, Column, Page, Row, Section, Svg, Table, charts, format};

pub(super) fn render(benchmark: &ModelBenchmark) -> Result<String, WorkflowError> {
    let mut page = Page::new("Benchmark of a model")
        .project("MLE-Star")
        .subtitle(benchmark.package.display().to_string())
        .fact("machine", &benchmark.machine.cpu_model)
        .fact("logical cores", benchmark.machine.logical_cores.to_string())
        .fact("images", benchmark.images().unwrap_or(format::MISSING))
        .fact("seconds", format::significant(benchmark.options.seconds, 4));
    for scenario in ScenarioKind::ALL {
        let rows = benchmark.rows_of(scenario);
        if !rows.is_empty() {
            page = page.section(section(scenario, &rows)?);
        }
    }
    let mut notes = Section::new("Notes");
    for note in NOTES {
        notes = notes.block(Block::paragraph(note));
    }
    let process = "Each row was measured in a process of its own.";
    Ok(page
        .section(notes.block(Block::paragraph(process)))
        .render())
}

fn section(scenario: ScenarioKind, rows: &[&BenchmarkRow]) -> Result<Section, WorkflowError> {
    let mut section = Section::new(title(scenario)).intro(about(scenario));
    if let Some(chart) = bars(scenario, rows)? {
        section = section.block(ChartFigure::new(chart));
    }
    if scenario == ScenarioKind::Server
        && let Some(chart) = rates(rows)?
    {
        section = section.block(ChartFigure::new(chart).caption(
            "Every rate that was tried. The last trials of a search measure longer than the first.",
        ));
    }
    Ok(section.block(table(scenario, rows)))
}

fn title(scenario: ScenarioKind) -> &'static str {
    match scenario {
        ScenarioKind::ColdStart => "Cold start",
        ScenarioKind::SingleStream => "Single stream",
        ScenarioKind::MultiStream => "Multi-stream",
        ScenarioKind::Server => "Server",
        ScenarioKind::Offline => "Offline",
    }
}

/// How charts name a configuration.
fn label(row: &BenchmarkRow) -> String {
    let threads = crate::words::counted(row.threads, "thread");
    format!(
        "{} {}, {threads}",
        row.candidate.format(),
        row.candidate.precision()
    )
}

fn table(scenario: ScenarioKind, rows: &[&BenchmarkRow]) -> Table {
    let mut table = Table::new("Every configuration")
        .column(Column::text("model"))
        .column(Column::number("threads", ""));
    for name in names(scenario) {
        table = table.column(Column::number(*name, ""));
    }
    for row in rows {
        // One column for both: a narrow page has room for few.
        let (format, precision) = (row.candidate.format(), row.candidate.precision());
        let of = [format!("{format} {precision}"), row.threads.to_string()];
        let cells = cells(row).unwrap_or_else(|reason| vec![format!("error: {reason}")]);
        table = table.row(Row::new(of.into_iter().chain(cells)));
    }
    table
}

/// The figure that a scenario is about: its quantity, the value and perhaps its interval.
fn headline(row: &BenchmarkRow) -> Option<(&'static str, f64, Option<[f64; 2]>)> {
    match &row.outcome {
        Outcome::Failed(_) => None,
        Outcome::Started(starts) => {
            let times = starts
                .starts
                .iter()
                .filter_map(|start| start.process_to_answer_ms);
            let mut times: Vec<f64> = times.collect();
            times.sort_by(f64::total_cmp);
            let range = [*times.first()?, *times.last()?];
            Some((
                "start of the process to first answer (ms)",
                quantile(&times, 0.5),
                Some(range),
            ))
        }
        Outcome::Measured(measured) => Some(match measured.results.first()? {
            ScenarioResult::SingleStream(result) => {
                let p90 = result.latency.p90;
                ("latency, 90th percentile (ms)", p90.ms, p90.interval_ms)
            }
            ScenarioResult::MultiStream(result) => {
                let p99 = result.latency.p99;
                (
                    "latency of a query, 99th percentile (ms)",
                    p99.ms,
                    p99.interval_ms,
                )
            }
            ScenarioResult::Server(result) => ("queries per second", result.rate?, None),
            ScenarioResult::Offline(result) => {
                let best = result.best()?;
                ("images per second", best.images_per_second, best.interval)
            }
        }),
    }
}

fn bars(scenario: ScenarioKind, rows: &[&BenchmarkRow]) -> Result<Option<Svg>, WorkflowError> {
    let figures: Vec<_> = rows
        .iter()
        .filter_map(|row| Some((label(row), headline(row)?)))
        .collect();
    let Some((_, (value_label, ..))) = figures.first() else {
        return Ok(None);
    };
    let bars: Vec<charts::HorizontalBar<'_>> = figures
        .iter()
        .map(|(label, (_, value, interval))| charts::HorizontalBar {
            label,
            value: *value,
            interval: *interval,
            note: "",
        })
        .collect();
    Ok(Some(charts::horizontal_bars(&charts::HorizontalBars {
        title: title(scenario),
        value_label,
        bars: &bars,
        limit: None,
    })?))
}

/// The 99th percentile over the rate, with a line for each configuration.
fn rates(rows: &[&BenchmarkRow]) -> Result<Option<Svg>, WorkflowError> {
    let results: Vec<(String, &ServerResult)> = rows
        .iter()
        .filter_map(|row| match &row.outcome {
            Outcome::Measured(measured) => match measured.results.first()? {
                ScenarioResult::Server(result) => Some((label(row), result)),
                _ => None,
            },
            _ => None,
        })
        .collect();
    let points: Vec<(Vec<f64>, Vec<f64>)> = results
        .iter()
        .map(|(_, result)| by_rate(&result.trials))
        .collect();
    let series: Vec<charts::LineSeries<'_>> = results
        .iter()
        .zip(&points)
        .map(|((label, _), (x, y))| charts::LineSeries { label, x, y })
        .collect();
    if series.is_empty() {
        return Ok(None);
    }
    // A limit that was not given differs from configuration to configuration.
    let given = results.iter().find(|(_, result)| result.limit_was_given);
    Ok(Some(charts::lines(&charts::LineChart {
        title: "99th percentile by rate",
        x_label: "queries per second",
        y_label: "latency, 99th percentile (ms)",
        x_log: true,
        y_log: true,
        series: &series,
        markers: true,
        y_limit: given.map(|(_, result)| result.limit_ms),
    })?))
}

/// Rates in order with their 99th percentiles; of a rate that was measured twice, the last.
fn by_rate(trials: &[RateTrial]) -> (Vec<f64>, Vec<f64>) {
    let mut sorted: Vec<RateTrial> = Vec::new();
    for trial in trials {
        sorted.retain(|other| other.rate != trial.rate);
        sorted.push(*trial);
    }
    sorted.sort_by(|a, b| a.rate.total_cmp(&b.rate));
    sorted
        .iter()
        .map(|trial| (trial.rate, trial.p99_ms))
        .unzip()
}
