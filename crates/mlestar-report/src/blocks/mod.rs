//! The blocks of a section: one file for each kind, with its type and its markup.

mod badge;
mod callout;
mod chart_figure;
mod code;
mod definition;
mod key_figure;
mod link;
mod pictures;
mod stages;
mod table;
mod trial_table;
mod verdicts;

pub use badge::{Badge, Tone};
pub use callout::{Callout, CalloutKind};
pub use chart_figure::ChartFigure;
pub use code::Code;
pub use definition::Definition;
pub use key_figure::KeyFigure;
pub use link::Link;
pub use pictures::{Picture, PictureGrid};
pub use stages::StageStep;
pub use table::{Align, Cell, Column, Row, Table};
pub(crate) use trial_table::STYLE as TRIAL_STYLE;
pub use trial_table::TrialTable;

use maud::{Markup, html};
use mlestar_gates::StageVerdict;

use crate::charts::Svg;

/// One block of a [`Section`](crate::Section).
///
/// Most kinds convert with `into()`: `Section::new("Data").block(table)`.
#[derive(Debug, Clone)]
pub enum Block {
    /// A heading below the section's heading.
    Heading(String),
    /// A paragraph of plain text.
    Paragraph(String),
    /// A bullet list of plain text.
    List(Vec<String>),
    /// Cards with one number each.
    KeyFigures(Vec<KeyFigure>),
    /// A table.
    Table(Table),
    /// A chart with its caption.
    Chart(ChartFigure),
    /// Thumbnails with captions.
    Pictures(PictureGrid),
    /// The verdicts of the gates, one table for each stage.
    Verdicts(Vec<StageVerdict>),
    /// A remark that must not be overlooked.
    Callout(Callout),
    /// Text in a fixed-width font, kept as it is.
    Code(Code),
    /// The strip of stages with their status.
    Stages(Vec<StageStep>),
    /// Links to other files of the run.
    Links(Vec<Link>),
    /// Terms and their meanings or values.
    Definitions(Vec<Definition>),
    /// The table of all trials of a search, with the script of the page.
    Trials(TrialTable),
    /// Blocks side by side on a wide screen, stacked on a narrow one.
    Columns(Vec<Block>),
}

impl Block {
    /// A paragraph of plain text.
    pub fn paragraph(text: impl Into<String>) -> Self {
        Self::Paragraph(text.into())
    }

    /// A heading below the section's heading.
    pub fn heading(text: impl Into<String>) -> Self {
        Self::Heading(text.into())
    }

    /// A bullet list of plain text.
    pub fn list<T: Into<String>>(items: impl IntoIterator<Item = T>) -> Self {
        Self::List(items.into_iter().map(Into::into).collect())
    }

    /// Blocks side by side on a wide screen.
    pub fn columns(blocks: impl IntoIterator<Item = Block>) -> Self {
        Self::Columns(blocks.into_iter().collect())
    }

    pub(crate) fn render(&self) -> Markup {
        match self {
            Self::Heading(text) => html! { h3 { (text) } },
            Self::Paragraph(text) => html! { p { (text) } },
            Self::List(items) => {
                html! { ul class="plain" { @for item in items { li { (item) } } } }
            }
            Self::KeyFigures(figures) => key_figure::render(figures),
            Self::Table(table) => table.render(),
            Self::Chart(figure) => figure.render(),
            Self::Pictures(grid) => grid.render(),
            Self::Verdicts(stages) => verdicts::render(stages),
            Self::Callout(callout) => callout.render(),
            Self::Code(code) => code.render(),
            Self::Stages(steps) => stages::render(steps),
            Self::Links(links) => link::render_list(links),
            Self::Definitions(definitions) => definition::render(definitions),
            Self::Trials(table) => table.render(),
            Self::Columns(blocks) => html! {
                div class="columns" { @for block in blocks { div { (block.render()) } } }
            },
        }
    }
}

impl From<Table> for Block {
    fn from(table: Table) -> Self {
        Self::Table(table)
    }
}

impl From<TrialTable> for Block {
    fn from(table: TrialTable) -> Self {
        Self::Trials(table)
    }
}

impl From<ChartFigure> for Block {
    fn from(figure: ChartFigure) -> Self {
        Self::Chart(figure)
    }
}

impl From<Svg> for Block {
    fn from(svg: Svg) -> Self {
        Self::Chart(ChartFigure::new(svg))
    }
}

impl From<PictureGrid> for Block {
    fn from(grid: PictureGrid) -> Self {
        Self::Pictures(grid)
    }
}

impl From<StageVerdict> for Block {
    fn from(stage: StageVerdict) -> Self {
        Self::Verdicts(vec![stage])
    }
}

impl From<Vec<StageVerdict>> for Block {
    fn from(stages: Vec<StageVerdict>) -> Self {
        Self::Verdicts(stages)
    }
}

impl From<Callout> for Block {
    fn from(callout: Callout) -> Self {
        Self::Callout(callout)
    }
}

impl From<Code> for Block {
    fn from(code: Code) -> Self {
        Self::Code(code)
    }
}

impl From<Vec<KeyFigure>> for Block {
    fn from(figures: Vec<KeyFigure>) -> Self {
        Self::KeyFigures(figures)
    }
}

impl From<Vec<StageStep>> for Block {
    fn from(steps: Vec<StageStep>) -> Self {
        Self::Stages(steps)
    }
}

impl From<Vec<Link>> for Block {
    fn from(links: Vec<Link>) -> Self {
        Self::Links(links)
    }
}

impl From<Vec<Definition>> for Block {
    fn from(definitions: Vec<Definition>) -> Self {
        Self::Definitions(definitions)
    }
}
