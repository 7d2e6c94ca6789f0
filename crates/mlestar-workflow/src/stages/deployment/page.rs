//! The page about a deployment.

use super::PACKAGE;
use super::documents::{DOCUMENTS, Facts};
use crate::WorkflowError;
use mlestar_report::{
    ChartFigure, Column, KeyFigure, Link, Page, Row, Section, Table, charts, format,
};

pub(super) fn render(facts: &Facts<'_>) -> Result<String, WorkflowError> {
    let manifest = facts.manifest;
    let measured = facts.measured;
    let parity = &facts.parity.parity;
    let mut files = Table::new("The package")
        .column(Column::text("file"))
        .column(Column::number("size", ""))
        .column(Column::text("BLAKE3"));
    for file in &manifest.files {
        files = files.row(Row::new([
            file.name.clone(),
            format::bytes(file.bytes),
            file.blake3.short().to_owned(),
        ]));
    }
    let figures = Section::new("Result").block(vec![
        KeyFigure::new(
            "test accuracy",
            format::fraction(facts.comparison.paired.accuracy_b),
        ),
        KeyFigure::new(
            "latency, median",
            format::milliseconds(measured.latency.p50.ms),
        ),
        KeyFigure::new(
            "latency, p95",
            format::milliseconds(measured.latency.p95.ms),
        )
        .interval(format!("{} measurements", measured.latency.n)),
        KeyFigure::new(
            "largest logit difference",
            format::significant(parity.max_abs_difference, 2),
        ),
        KeyFigure::new(
            "same class",
            format!("{} of {}", parity.same_top1, parity.n),
        ),
        KeyFigure::new(
            "temperature",
            format::significant(f64::from(manifest.confidence.temperature), 3),
        ),
        KeyFigure::new("golden images", format::count(manifest.golden.len() as u64)),
        KeyFigure::new(
            "memory for predicting",
            format::bytes(measured.memory_bytes()),
        )
        .interval(format!("batches of {}", measured.memory.batch_size)),
        KeyFigure::new(
            "opening to first answer",
            format::milliseconds(measured.cold_start.open_to_answer_ms),
        ),
    ]);
    let documents: Vec<Link> = DOCUMENTS
        .iter()
        .map(|document| Link::new(document.name, format!("{PACKAGE}/{}", document.name)))
        .collect();
    Ok(Page::new("Deployment")
        .project("MLE-Star")
        .subtitle(&facts.config.project.name)
        .fact("machine", &measured.machine.cpu_model)
        .fact("measured", measured.process.name())
        .fact("threads", measured.threads.to_string())
        .section(figures)
        .section(Section::new("Package").block(files))
        .section(Section::new("Speed").block(
            ChartFigure::new(throughput(facts)?).caption(
                "Images per second by batch size, on this machine, preprocessing included.",
            ),
        ))
        .section(Section::new("Documents").block(documents))
        .render())
}

fn throughput(facts: &Facts<'_>) -> Result<mlestar_report::Svg, WorkflowError> {
    let measured = &facts.measured.throughput;
    let labels: Vec<String> = measured
        .iter()
        .map(|throughput| format!("batch {}", throughput.batch_size))
        .collect();
    let bars: Vec<charts::HorizontalBar> = measured
        .iter()
        .zip(&labels)
        .map(|(throughput, label)| charts::HorizontalBar {
            label,
            value: throughput.images_per_second,
            interval: None,
            note: "",
        })
        .collect();
    Ok(charts::horizontal_bars(&charts::HorizontalBars {
        title: "Throughput",
        value_label: "images per second",
        bars: &bars,
        limit: None,
    })?)
}
