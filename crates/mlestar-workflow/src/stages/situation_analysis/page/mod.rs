//! `exploration.html`: the data to look at.

mod augmentation;
mod findings;
mod samples;
mod source;
mod statements;

pub(super) use findings::list as list_of_findings;
pub(super) use samples::classes_with_samples;
pub(crate) use samples::{n_samples_shown, shown_classes};

use super::artifact::SituationAnalysis;
use super::measurements::SPLITS;
use super::{Input, Severity};
use crate::WorkflowError;
use crate::words::counted;
use mlestar_data::ImageSet;
use mlestar_data::describe::Description;
use mlestar_report::charts::{self, ClassDistribution, CountSeries, PixelHistograms};
use mlestar_report::{
    Badge, Block, ChartFigure, Column, KeyFigure, Page, Row, Section, Table, format, thumbnail,
};

/// Charts hold at most this many classes.
const MOST_CHARTED_CLASSES: usize = 400;

/// The page as HTML.
pub(super) fn render(
    analysis: &SituationAnalysis,
    input: &Input<'_>,
) -> Result<String, WorkflowError> {
    let summary = &analysis.summary;
    let page = Page::new("Situation analysis")
        .project("MLE-Star")
        .subtitle("Stage 1: what the data are, and what is hard about them")
        .fact(
            "source",
            format!("{} ({})", analysis.source.source, analysis.source.layout),
        )
        .fact("images", format::count(summary.n_images as u64))
        .fact("classes", format::count(summary.n_classes as u64))
        .section(overview(analysis))
        .section(source::section(&analysis.source))
        .section(statements::challenges(&analysis.challenges))
        .section(statements::advice(analysis))
        .section(samples::section(&input.splits.train)?)
        .section(distribution(analysis)?)
        .section(pixels(analysis, input.description)?)
        .section(augmentation::section(input, &analysis.normalization)?)
        .section(findings::section(&analysis.quality, input.splits)?)
        .footer("The same data, seed and config give this page again, byte for byte.");
    Ok(page.render())
}

fn overview(analysis: &SituationAnalysis) -> Section {
    let summary = &analysis.summary;
    let n = |count: usize| format::count(count as u64);
    let splits: Vec<String> = summary
        .splits
        .iter()
        .map(|split| format!("{} {}", n(split.n_images), split.name))
        .collect();
    let severe = |severity: Severity| {
        summary
            .challenges
            .iter()
            .filter(|challenge| challenge.severity == severity)
            .count()
    };
    let figures = vec![
        KeyFigure::new("images", n(summary.n_images)).interval(splits.join(", ")),
        KeyFigure::new("classes", n(summary.n_classes))
            .interval(summary.class_balance.statement.clone()),
        KeyFigure::new(
            "size",
            format!(
                "{} x {}",
                summary.resolution.height, summary.resolution.width
            ),
        )
        .unit("pixels")
        .interval(counted(summary.resolution.channels, "colour channel")),
        KeyFigure::new("challenges", n(summary.n_challenges)).interval(format!(
            "{} high, {} medium, {} low",
            severe(Severity::High),
            severe(Severity::Medium),
            severe(Severity::Low)
        )),
        KeyFigure::new("quality findings", n(summary.quality.n_findings))
            .interval(format!("of {} images", n(summary.quality.n_checked))),
    ];
    Section::new("Overview").block(figures)
}

fn distribution(analysis: &SituationAnalysis) -> Result<Section, WorkflowError> {
    let measurements = &analysis.measurements;
    let counts = SPLITS.map(|split| {
        let counts = measurements.class_counts.of(split).iter();
        counts.map(|count| *count as u64).collect::<Vec<u64>>()
    });
    let labels = SPLITS.map(|split| split.as_str());
    let mut section = Section::new("Class distribution").intro(format!(
        "Training split: {}.",
        analysis.summary.class_balance.statement
    ));
    if measurements.classes.len() <= MOST_CHARTED_CLASSES {
        let series: Vec<CountSeries<'_>> = labels
            .into_iter()
            .zip(&counts)
            .map(|(label, counts)| CountSeries { label, counts })
            .collect();
        let chart = charts::class_distribution(&ClassDistribution {
            title: "Images of each class",
            classes: &measurements.classes,
            series: &series,
        })?;
        section = section.block(ChartFigure::new(chart));
    }
    let mut table = Table::new("Images of each class and split").column(Column::text("class"));
    for label in labels {
        table = table.column(Column::number(label, "images"));
    }
    let n_classes = measurements.classes.len();
    if n_classes > MOST_CHARTED_CLASSES {
        table = table.note(format!(
            "{MOST_CHARTED_CLASSES} of {n_classes} classes; situation_analysis.json has all."
        ));
    }
    for class in shown_classes(n_classes) {
        let name = &measurements.classes[class];
        let cells = counts.iter().map(|counts| format::count(counts[class]));
        table = table.row(Row::new([name.clone()].into_iter().chain(cells)));
    }
    Ok(section.block(table))
}

fn pixels(analysis: &SituationAnalysis, train: &Description) -> Result<Section, WorkflowError> {
    let [red, green, blue] = &train.channels;
    let chart = charts::pixel_histograms(&PixelHistograms {
        title: "Training pixels by level",
        red: &red.histogram,
        green: &green.histogram,
        blue: &blue.histogram,
    })?;
    let mut table = Table::new("Training pixels, scaled to 0-1")
        .column(Column::text("channel"))
        .column(Column::number("mean", ""))
        .column(Column::number("std", ""))
        .column(Column::number("min", ""))
        .column(Column::number("max", ""))
        .note("Computed in 64-bit floating point from exact sums; the mean and standard deviation normalise every image.");
    for channel in &analysis.summary.channels {
        table = table.row(Row::new([
            channel.name.clone(),
            format::optional(channel.mean, 6),
            format::optional(channel.std, 6),
            format::optional(channel.min, 4),
            format::optional(channel.max, 4),
        ]));
    }
    Ok(Section::new("Pixels").block(Block::columns([
        Block::from(ChartFigure::new(chart)),
        Block::from(table),
    ])))
}

fn severity_badge(severity: Severity) -> Badge {
    match severity {
        Severity::High => Badge::bad("high"),
        Severity::Medium => Badge::caution("medium"),
        Severity::Low => Badge::info("low"),
    }
}

/// An image of a split as a page shows it.
fn thumbnail_of(set: &ImageSet, index: usize) -> Result<String, WorkflowError> {
    Ok(thumbnail(
        &set.interleaved(index),
        set.height(),
        set.width(),
    )?)
}
