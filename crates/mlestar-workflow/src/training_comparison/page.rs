//! The page about a comparison.

use super::{ComparedTraining, Curve, Difference, Group, TrainingComparison};
use crate::WorkflowError;
use mlestar_report::charts::{self, AccuracyCurve, AccuracyGroup};
use mlestar_report::{ChartFigure, Column, Page, Row, Section, Table, format};

pub(super) fn render(
    comparison: &TrainingComparison,
    curves: &[Curve],
) -> Result<String, WorkflowError> {
    let mut page = Page::new("Comparison of trainings")
        .project("MLE-Star")
        .section(chart(comparison, curves)?)
        .section(groups(comparison))
        .section(trainings(comparison));
    if !comparison.differences.is_empty() {
        page = page.section(differences(&comparison.differences));
    }
    Ok(page.render())
}

fn chart(comparison: &TrainingComparison, curves: &[Curve]) -> Result<Section, WorkflowError> {
    let members: Vec<Vec<AccuracyCurve<'_>>> = comparison
        .groups
        .iter()
        .map(|group| {
            let of_group = curves.iter().filter(|curve| curve.label == group.label);
            of_group
                .map(|curve| AccuracyCurve {
                    minutes: &curve.minutes,
                    accuracies: &curve.accuracies,
                })
                .collect()
        })
        .collect();
    let groups: Vec<AccuracyGroup<'_>> = comparison
        .groups
        .iter()
        .zip(&members)
        .map(|(group, curves)| AccuracyGroup {
            label: &group.label,
            curves,
        })
        .collect();
    let svg = charts::accuracy_over_time(&charts::AccuracyOverTime {
        title: "Accuracy over time",
        groups: &groups,
        levels: &comparison.levels,
    })?;
    Ok(Section::new("Curves").block(ChartFigure::new(svg).caption(
        "One point per epoch: the validation accuracy of trainings, and the values of CSV files. The time \
        is that of training and validation only.",
    )))
}

fn minutes(value: Option<f64>) -> String {
    format::optional(value, 1)
}

fn level_columns(mut table: Table, levels: &[f64]) -> Table {
    for level in levels {
        table = table.column(Column::number(format!("to {level}"), "min"));
    }
    table
}

fn groups(comparison: &TrainingComparison) -> Section {
    let table = Table::new("Each group")
        .column(Column::text("trainings"))
        .column(Column::number("number", ""))
        .column(Column::number("mean best accuracy", "fraction"))
        .column(Column::number("standard error", ""));
    let mut table = level_columns(table, &comparison.levels);
    for group in &comparison.groups {
        table = table.row(Row::new(cells(group)));
    }
    let note = "Times are medians; absent where half of the trainings or more did not reach it.";
    Section::new("Groups").block(table.note(note))
}

fn cells(group: &Group) -> Vec<String> {
    let mut cells = vec![
        group.label.clone(),
        group.trainings.len().to_string(),
        format::number(group.mean_accuracy, 4),
        format::optional(group.standard_error, 4),
    ];
    cells.extend(group.median_minutes.iter().copied().map(minutes));
    cells
}

fn trainings(comparison: &TrainingComparison) -> Section {
    let table = Table::new("Each training")
        .column(Column::text("training"))
        .column(Column::number("seed", ""))
        .column(Column::number("epochs", ""))
        .column(Column::number("time", "min"))
        .column(Column::number("best accuracy", "fraction"));
    let table = level_columns(table, &comparison.levels);
    let mut table = table.column(Column::text("record"));
    for group in &comparison.groups {
        for training in &group.trainings {
            table = table.row(Row::new(training_cells(&group.label, training)));
        }
    }
    Section::new("Trainings").block(table)
}

fn training_cells(label: &str, training: &ComparedTraining) -> Vec<String> {
    let mut cells = vec![
        label.to_owned(),
        training
            .seed
            .map_or_else(|| "–".to_owned(), |seed| seed.to_string()),
        training.points.to_string(),
        format::number(training.minutes, 1),
        format::number(training.best_accuracy, 4),
    ];
    cells.extend(training.minutes_to_level.iter().copied().map(minutes));
    cells.push(training.path.display().to_string());
    cells
}

fn differences(differences: &[Difference]) -> Section {
    let mut table = Table::new("Settings that differ").column(Column::text("setting"));
    // All differences list the same trainings.
    for (label, _) in differences.iter().take(1).flat_map(|first| &first.values) {
        table = table.column(Column::text(label.clone()));
    }
    for difference in differences {
        let values = difference
            .values
            .iter()
            .map(|(_, value)| match value.as_str() {
                "" => "–".to_owned(),
                value => value.to_owned(),
            });
        let cells: Vec<String> = std::iter::once(difference.key.clone())
            .chain(values)
            .collect();
        table = table.row(Row::new(cells));
    }
    Section::new("Settings")
        .block(table.note("Of trainings with a checkpoint, which holds their settings."))
}
