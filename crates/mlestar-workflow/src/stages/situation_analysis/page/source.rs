//! What was read, and what was not.

use mlestar_data::load::SourceReport;
use mlestar_data::readers::folder::Skipped;
use mlestar_report::{Block, Callout, Column, Row, Section, Table};

/// Files that a table names.
const MOST_NAMED: usize = 100;

/// The section.
pub(super) fn section(source: &SourceReport) -> Section {
    let mut section = Section::new("What was read");
    section = match source.n_unreadable {
        0 => section.block(Block::paragraph(full_stop(&source.usage()))),
        _ => section.block(Callout::warning(
            "Images were left out",
            full_stop(&source.usage()),
        )),
    };
    section = section.block(Block::paragraph(full_stop(&source.sizes_in_words())));
    if !source.resize_rule.is_empty() {
        let rule = source.resize_rule.trim_end_matches('.');
        section = section.block(Block::paragraph(format!("Resizing: {rule}.")));
    }
    for note in &source.notes {
        section = section.block(Block::paragraph(full_stop(note)));
    }
    if !source.unreadable.is_empty() {
        let title = "Images that cannot be read";
        section = section.block(table(title, &source.unreadable, source.n_unreadable));
    }
    if let Some(skipped) = source.skipped_in_words() {
        section = section
            .block(Block::paragraph(full_stop(&skipped)))
            .block(table(
                "Files and folders that were skipped",
                &source.skipped,
                source.n_skipped,
            ));
    }
    section
}

fn table(title: &str, files: &[Skipped], n: usize) -> Table {
    let mut table = Table::new(title)
        .column(Column::text("path"))
        .column(Column::text("why"));
    for file in files.iter().take(MOST_NAMED) {
        table = table.row(Row::new([file.path.clone(), file.reason.clone()]));
    }
    match n.saturating_sub(MOST_NAMED) {
        0 => table,
        more => table.note(format!("And {more} more.")),
    }
}

/// A line of the console as a sentence.
fn full_stop(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|first| first.to_uppercase());
    let first: String = first.into_iter().flatten().collect();
    format!("{first}{}.", letters.as_str())
}
