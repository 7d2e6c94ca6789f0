//! Charts and self-contained HTML pages for machine-learning runs.
//!
//! A [`Page`] has [`Section`]s, a section has [`Block`]s: text, tables, cards with key figures, charts, images,
//! the verdicts of quality gates. [`Page::render`] returns one self-contained HTML file: no font, no
//! style sheet, no request, and no script except that of a [`TrialTable`]. The charts of [`charts`] are SVG, take plain slices, and can be used without a
//! page.
//!
//! All text is escaped; class names and paths may contain anything. Values that are not finite are left out of
//! charts, and an empty chart says "no data".
//!
//! ```
//! use mlestar_report::charts::{self, ClassBars};
//! use mlestar_report::{ChartFigure, Column, Page, Row, Section, Table, format};
//!
//! let classes = ["cat".to_string(), "dog".to_string()];
//! let recall = [0.81, 0.93];
//! let chart = charts::class_bars(&ClassBars {
//!     title: "Recall of each class",
//!     value_label: "recall (fraction)",
//!     classes: &classes,
//!     values: &recall,
//!     intervals: Some(&[[0.78, 0.84], [0.91, 0.95]]),
//!     limit: Some(0.70),
//!     range: Some([0.0, 1.0]),
//! })?;
//!
//! let mut table = Table::new("Recall")
//!     .column(Column::text("class"))
//!     .column(Column::number("recall", "fraction"));
//! for (class, value) in classes.iter().zip(recall) {
//!     table = table.row(Row::new([class.clone(), format::fraction(value)]));
//! }
//!
//! let html = Page::new("Evaluation")
//!     .section(Section::new("Classes").block(ChartFigure::new(chart)).block(table))
//!     .render();
//! assert!(html.contains("<svg") && html.contains("0.9300"));
//! # Ok::<(), mlestar_report::ReportError>(())
//! ```

mod blocks;
pub mod charts;
mod drawing;
mod error;
pub mod format;
mod page;
mod pictures;
mod verdict_header;

pub use blocks::{
    Align, Badge, Block, Callout, CalloutKind, Cell, ChartFigure, Code, Column, Definition,
    KeyFigure, Link, Picture, PictureGrid, Row, StageStep, Table, Tone, TrialTable,
};
pub use charts::Svg;
pub use error::ReportError;
pub use page::{Page, Section};
pub use pictures::thumbnail;
pub use verdict_header::{VerdictHeader, without_verdict};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
