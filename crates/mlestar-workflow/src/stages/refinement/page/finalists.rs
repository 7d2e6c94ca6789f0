//! The best settings with several seeds.

use super::super::Finalists;
use crate::study_page::shown;
use crate::words::counted;
use mlestar_report::{Callout, Column, Row, Section, Table, format};

pub(super) fn section(finalists: &Finalists) -> Section {
    let section = Section::new("Finalists");
    if finalists.candidates.len() < 2 {
        return section.intro("Nothing that was tried was better than the config's own settings.");
    }
    let mut table = Table::new("The best settings beside the config's own")
        .column(Column::text("settings from"))
        .column(Column::text("changes"))
        .column(Column::number("mean accuracy", ""))
        .column(Column::text("gain"))
        .column(Column::text("verdict"));
    for (index, candidate) in finalists.candidates.iter().enumerate() {
        let figures = &candidate.figures;
        let interval = &figures.interval;
        let changes = candidate.settings.iter();
        let changes: Vec<String> = changes
            .map(|(key, value)| format!("{key} = {}", shown(value)))
            .collect();
        table = table.row(Row::new([
            candidate.name.clone(),
            changes.join(", "),
            format::fraction(figures.accuracy),
            match index {
                0 => String::new(),
                _ => format!(
                    "{:+.4} [{:+.4}, {:+.4}]",
                    figures.difference, interval.low, interval.high
                ),
            },
            match index == finalists.chosen {
                true => "chosen".to_owned(),
                false => String::new(),
            },
        ]));
    }
    let intro = match finalists.seeds.len() {
        0 => "Without further seeds: the trainings that made them finalists.".to_owned(),
        n => format!(
            "Each trained again with {}, which chose none of them, as long as a trial. Accuracy is that of the validation \
             images, and intervals are over them.",
            counted(n, "new seed")
        ),
    };
    let section = section.intro(intro).block(table);
    match &finalists.selection {
        Some(score) => section.block(Callout::info(
            "The best of many looks too good",
            format!(
                "The best of {} reached {} on the validation images that chose it. On other images {} is to be expected: \
                 choosing added {} (bootstrap of the choice).",
                counted(score.candidates, "setting"),
                format::fraction(score.apparent),
                format::fraction(score.corrected),
                format::fraction(score.optimism()),
            ),
        )),
        None => section,
    }
}
