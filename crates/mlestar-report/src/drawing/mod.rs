//! The drawing tools of the charts: a canvas that writes SVG, scales, axes, legends.
//!
//! Charts are laid out with the estimates of [`text`], so that no font is needed on the machine.

mod axes;
mod bar_rows;
mod canvas;
mod legend;
mod palette;
mod scale;
mod simplify;
mod spots;
mod text;
mod thin;

pub(crate) use axes::{
    Area, Axis, draw_axes, draw_curve, draw_limit, draw_limit_line, draw_no_data,
};
pub(crate) use bar_rows::{BarRow, BarRows, Segment};
pub(crate) use canvas::{Anchor, Canvas, HALF_WIDTH, Stroke, TextLook, WIDE_WIDTH, draw_svg};
pub(crate) use legend::{Header, LegendEntry, Mark};
pub(crate) use palette::{
    INK, Rgb, bar_colour, contrast_text, series_colour, series_dash, viridis,
};
pub(crate) use scale::{Range, Scale, Tick};
pub(crate) use spots::draw_spots;
pub(crate) use text::{clean, short_number, text_width, truncate};
pub(crate) use thin::thin;
