use maud::{Markup, html};

use super::{Badge, Link, Tone};
use crate::format;

/// The alignment of a column's cells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Align {
    /// Text.
    Left,
    /// Numbers, aligned by their digits.
    Right,
}

/// The header of a column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Its title.
    pub title: String,
    /// The unit of its numbers; may be empty.
    pub unit: String,
    /// The alignment of its cells.
    pub align: Align,
}

impl Column {
    /// A column of text or badges.
    pub fn text(title: impl Into<String>) -> Self {
        Self {
            title: title.into(),
            unit: String::new(),
            align: Align::Left,
        }
    }

    /// A column of numbers with a unit; the unit may be empty.
    pub fn number(title: impl Into<String>, unit: impl Into<String>) -> Self {
        Self {
            title: title.into(),
            unit: unit.into(),
            align: Align::Right,
        }
    }
}

/// A cell. Text, badges and links convert with `into()`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cell {
    /// Plain text, or a number as text (see [`format`](crate::format)).
    Text(String),
    /// Text in a fixed-width font: a path, a key, a hash.
    Code(String),
    /// A status.
    Badge(Badge),
    /// A figure and its rating.
    Judged(String, Badge),
    /// A link.
    Link(Link),
    /// Nothing.
    Empty,
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Self::Text(text.to_string())
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<&String> for Cell {
    fn from(text: &String) -> Self {
        Self::Text(text.clone())
    }
}

impl From<Badge> for Cell {
    fn from(badge: Badge) -> Self {
        Self::Badge(badge)
    }
}

impl From<Link> for Cell {
    fn from(link: Link) -> Self {
        Self::Link(link)
    }
}

/// A row of a [`Table`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// One cell for each column; missing ones are left empty.
    pub cells: Vec<Cell>,
    /// The tone of its background, if it is highlighted.
    pub highlight: Option<Tone>,
}

impl Row {
    /// A row of cells.
    pub fn new<T: Into<Cell>>(cells: impl IntoIterator<Item = T>) -> Self {
        Self {
            cells: cells.into_iter().map(Into::into).collect(),
            highlight: None,
        }
    }

    /// Highlights the row.
    pub fn highlight(mut self, tone: Tone) -> Self {
        self.highlight = Some(tone);
        self
    }
}

/// Rows beyond this number are not shown; the table then says so.
const MOST_ROWS: usize = 1000;

/// A text with more characters than this is a sentence, not a name or a number.
const SENTENCE: usize = 24;

/// A table with a caption and a header. Of more than 1,000 rows, the first are shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// What the table shows.
    pub caption: String,
    /// The columns, from the left.
    pub columns: Vec<Column>,
    /// The rows, from the top.
    pub rows: Vec<Row>,
    /// A remark below the table; may be empty.
    pub note: String,
}

impl Table {
    /// A table without columns and rows.
    pub fn new(caption: impl Into<String>) -> Self {
        Self {
            caption: caption.into(),
            columns: Vec::new(),
            rows: Vec::new(),
            note: String::new(),
        }
    }

    /// Adds a column at the right.
    pub fn column(mut self, column: Column) -> Self {
        self.columns.push(column);
        self
    }

    /// Adds a row at the bottom.
    pub fn row(mut self, row: Row) -> Self {
        self.rows.push(row);
        self
    }

    /// Adds rows at the bottom.
    pub fn rows(mut self, rows: impl IntoIterator<Item = Row>) -> Self {
        self.rows.extend(rows);
        self
    }

    /// Adds a remark below the table.
    pub fn note(mut self, note: impl Into<String>) -> Self {
        self.note = note.into();
        self
    }

    pub(crate) fn render(&self) -> Markup {
        let widest = self.rows.iter().map(|row| row.cells.len()).max();
        let width = self.columns.len().max(widest.unwrap_or(0)).max(1);
        let is_cards = self.has_sentences();
        html! {
            div class={ "card table" @if is_cards { " cards" } } {
                div class="scroll" tabindex="0" role="region" aria-label=(self.caption) {
                    table {
                        @if !self.caption.is_empty() { caption { (self.caption) } }
                        @if !self.columns.is_empty() {
                            thead { tr { @for index in 0..width { (self.head_cell(index)) } } }
                        }
                        tbody {
                            @for row in self.rows.iter().take(MOST_ROWS) { (self.body_row(row, width, is_cards)) }
                            @if self.rows.is_empty() {
                                tr { td class="muted" colspan=(width) { "None." } }
                            }
                        }
                    }
                }
                @if self.rows.len() > MOST_ROWS {
                    p class="table-note" {
                        "The first " (format::count(MOST_ROWS as u64)) " of "
                        (format::count(self.rows.len() as u64)) " rows."
                    }
                }
                @if !self.note.is_empty() { p class="table-note" { (self.note) } }
            }
        }
    }

    /// Whether a cell holds so much text that a narrow page would break it into a column of single words: each
    /// row then becomes a card.
    fn has_sentences(&self) -> bool {
        let mut cells = self.rows.iter().take(MOST_ROWS).flat_map(|row| &row.cells);
        cells.any(|cell| match cell {
            Cell::Text(text) | Cell::Code(text) | Cell::Judged(text, _) => {
                text.chars().count() > SENTENCE
            }
            Cell::Link(link) => link.text.chars().count() > SENTENCE,
            Cell::Badge(_) | Cell::Empty => false,
        })
    }

    /// The label that a narrow page writes before a cell, because columns have no header there.
    fn label(&self, index: usize) -> Option<&str> {
        let column = self.columns.get(index)?;
        (!column.title.is_empty()).then_some(column.title.as_str())
    }

    fn align_class(&self, index: usize) -> Option<&'static str> {
        let align = self.columns.get(index)?.align;
        (align == Align::Right).then_some("number")
    }

    fn head_cell(&self, index: usize) -> Markup {
        html! {
            th scope="col" class=[self.align_class(index)] {
                @if let Some(column) = self.columns.get(index) {
                    (column.title)
                    @if !column.unit.is_empty() { " " span class="unit" { (column.unit) } }
                }
            }
        }
    }

    fn body_row(&self, row: &Row, width: usize, is_cards: bool) -> Markup {
        html! {
            tr class=[row.highlight.map(Tone::class)] {
                @for index in 0..width {
                    td class=[self.align_class(index)] data-label=[self.label(index).filter(|_| is_cards)] {
                        @match row.cells.get(index) {
                            Some(Cell::Text(text)) => { (text) },
                            Some(Cell::Code(text)) => { code { (text) } },
                            Some(Cell::Badge(badge)) => { (badge.render()) },
                            Some(Cell::Judged(text, badge)) => { (text) " " (badge.render()) },
                            Some(Cell::Link(link)) => { (link.render()) },
                            Some(Cell::Empty) | None => {},
                        }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_with_sentences_become_labelled_cards_and_rows_of_numbers_stay_rows() {
        let table = |text: &str| {
            Table::new("t")
                .column(Column::text("class"))
                .column(Column::number("recall", "fraction"))
                .row(Row::new([text, "0.9"]))
                .render()
                .into_string()
        };
        let numbers = table("cat");
        assert!(!numbers.contains("cards") && !numbers.contains("data-label"));
        let sentences = table("half of the files have at most 32 x 32 pixels");
        assert!(sentences.contains("card table cards"));
        assert!(sentences.contains("data-label=\"recall\">0.9"));
    }
}
