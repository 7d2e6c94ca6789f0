use super::axes::{Area, draw_no_data};
use super::canvas::{Anchor, Canvas, HALF_WIDTH, Stroke, TextLook, WIDE_WIDTH, draw_svg};
use super::legend::{Header, LegendEntry};
use super::palette::{INK, Rgb};
use super::scale::{Range, Scale};
use super::text::{text_width, truncate};
use crate::charts::Svg;
use crate::format;

/// More rows than this are split over panels side by side.
const ROWS_OF_ONE_PANEL: usize = 34;
const PANELS: usize = 3;
const PANEL_GAP: f64 = 26.0;

/// A part of a bar, from left to right.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Segment {
    pub length: f64,
    pub colour: Rgb,
}

/// One horizontal bar with its label at the left and its value at the right.
#[derive(Debug, Clone)]
pub(crate) struct BarRow {
    pub label: String,
    /// Stacked; segments that are not finite are left out.
    pub segments: Vec<Segment>,
    pub interval: Option<[f64; 2]>,
    /// The value in words.
    pub value_text: String,
}

impl BarRow {
    /// The end of the bar; `None` if there is nothing to draw.
    fn end(&self) -> Option<f64> {
        let lengths = self.segments.iter().map(|segment| segment.length);
        let finite: Vec<f64> = lengths.filter(|length| length.is_finite()).collect();
        let end: f64 = finite.iter().sum();
        (!finite.is_empty() && end.is_finite()).then_some(end)
    }

    fn drawable_interval(&self) -> Option<[f64; 2]> {
        self.interval
            .filter(|[low, high]| low.is_finite() && high.is_finite() && low <= high)
    }
}

/// Horizontal bars, one for each class or item; many of them are split over three panels.
pub(crate) struct BarRows<'a> {
    pub title: &'a str,
    pub description: String,
    pub value_label: &'a str,
    pub legend: Vec<LegendEntry>,
    pub rows: Vec<BarRow>,
    /// A vertical line at this value.
    pub limit: Option<f64>,
    /// The range of the value axis; by default it covers the bars.
    pub range: Option<[f64; 2]>,
}

/// Sizes common to all panels, in pixels.
struct Layout {
    panels: usize,
    rows_of_panel: usize,
    row_height: f64,
    font_size: f64,
    label_width: f64,
    value_width: f64,
    width: f64,
}

impl BarRows<'_> {
    pub(crate) fn draw(self) -> Svg {
        let layout = self.layout();
        let header = Header::new(self.title, self.legend.clone(), layout.width);
        let top = header.height() + if self.limit.is_some() { 20.0 } else { 8.0 };
        let rows_height = layout.row_height * layout.rows_of_panel as f64;
        let rows_height = if self.rows.is_empty() {
            140.0
        } else {
            rows_height
        };
        let bottom = top + rows_height;
        let size = (layout.width, bottom + 50.0);
        draw_svg(self.title, &self.description, size, |canvas| {
            header.draw(canvas);
            let Some(range) = self.value_range() else {
                let area = Area {
                    left: 12.0,
                    top,
                    right: layout.width - 12.0,
                    bottom,
                };
                return draw_no_data(canvas, area);
            };
            for (index, rows) in self.rows.chunks(layout.rows_of_panel).enumerate() {
                let pitch = (layout.width - 24.0 + PANEL_GAP) / layout.panels as f64;
                let left = 12.0 + index as f64 * pitch;
                let area = Area {
                    left: left + layout.label_width,
                    top,
                    right: left + pitch - PANEL_GAP - layout.value_width,
                    bottom: top + layout.row_height * rows.len() as f64,
                };
                self.draw_panel(canvas, area, rows, range, &layout);
            }
        })
    }

    fn layout(&self) -> Layout {
        let n_rows = self.rows.len();
        let panels = if n_rows > ROWS_OF_ONE_PANEL {
            PANELS
        } else {
            1
        };
        let (row_height, font_size): (f64, f64) = match n_rows {
            0..=6 => (36.0, 12.5),
            7..=12 => (29.0, 12.5),
            13..=20 => (21.0, 12.0),
            21..=ROWS_OF_ONE_PANEL => (17.5, 11.5),
            _ => (15.0, 11.5),
        };
        let widest = |texts: &mut dyn Iterator<Item = &str>| {
            texts
                .map(|text| text_width(text, font_size))
                .fold(0.0, f64::max)
        };
        let label_limit = if panels > 1 { 110.0 } else { 232.0 };
        let labels = widest(&mut self.rows.iter().map(|row| row.label.as_str()));
        let values = widest(&mut self.rows.iter().map(|row| row.value_text.as_str()));
        Layout {
            panels,
            rows_of_panel: n_rows.div_ceil(panels).max(1),
            row_height,
            font_size,
            label_width: labels.min(label_limit) + 8.0,
            value_width: values.min(150.0) + 8.0,
            width: if panels > 1 { WIDE_WIDTH } else { HALF_WIDTH },
        }
    }

    /// The range of the axis, which contains 0 unless the caller sets a range.
    fn value_range(&self) -> Option<Range> {
        let ends = self.rows.iter().filter_map(BarRow::end);
        let intervals = self.rows.iter().filter_map(BarRow::drawable_interval);
        let values = Range::of(ends.chain(intervals.flatten()))?;
        if let Some([low, high]) = self.range
            && low.is_finite()
            && high.is_finite()
            && low < high
        {
            return Some(Range::new(low, high));
        }
        Some(values.with(0.0).with(self.limit.unwrap_or(0.0)))
    }

    fn draw_panel(
        &self,
        canvas: &mut Canvas,
        area: Area,
        rows: &[BarRow],
        range: Range,
        layout: &Layout,
    ) {
        let ticks = if layout.panels > 1 { 3 } else { 5 };
        let scale = if self.range.is_some() {
            Scale::linear(range, area.left, area.right)
        } else {
            Scale::rounded(range, area.left, area.right, ticks)
        };
        self.draw_value_axis(canvas, area, scale, ticks);
        for (index, row) in rows.iter().enumerate() {
            let middle = area.top + (index as f64 + 0.5) * layout.row_height;
            draw_row(canvas, area, row, (scale, middle), layout);
        }
        if let Some(limit) = self.limit.filter(|limit| limit.is_finite()) {
            let at = scale.at(limit);
            let stroke = Stroke::new(INK, 1.25).opacity(0.75).dash(&[5.0, 3.0]);
            canvas.line((at, area.top - 4.0), (at, area.bottom), stroke);
            let words = format!("limit {}", super::text::short_number(limit));
            let look = TextLook::new(11.5, Anchor::Middle);
            canvas.text(&words, (at, area.top - 11.0), look);
        }
    }

    fn draw_value_axis(&self, canvas: &mut Canvas, area: Area, scale: Scale, ticks: usize) {
        let grid = Stroke::new(INK, 1.0).opacity(0.11);
        for tick in scale.ticks(ticks) {
            let at = scale.at(tick.value);
            canvas.line((at, area.top), (at, area.bottom), grid);
            let look = TextLook::new(11.5, Anchor::Middle).muted();
            canvas.text(&tick.label, (at, area.bottom + 13.0), look);
        }
        let middle = (area.left + area.right) / 2.0;
        let look = TextLook::new(12.0, Anchor::Middle).muted();
        canvas.text(self.value_label, (middle, area.bottom + 33.0), look)
    }
}

fn draw_row(
    canvas: &mut Canvas,
    area: Area,
    row: &BarRow,
    (scale, middle): (Scale, f64),
    layout: &Layout,
) {
    let half = (layout.row_height * 0.34).min(11.0);
    let label = truncate(&row.label, layout.label_width - 6.0, layout.font_size);
    let look = TextLook::new(layout.font_size, Anchor::End);
    canvas.text(&label, (area.left - 8.0, middle), look);
    canvas.titled(&row_words(row), |canvas| {
        draw_bar(canvas, row, (scale, middle), half);
    });
    let value = truncate(&row.value_text, layout.value_width - 6.0, layout.font_size);
    let look = TextLook::new(layout.font_size, Anchor::Start).muted();
    canvas.text(&value, (area.right + 8.0, middle), look);
}

/// A row in words, not shortened.
fn row_words(row: &BarRow) -> String {
    match row.drawable_interval() {
        Some([low, high]) => format!(
            "{}: {} ({})",
            row.label,
            row.value_text,
            format::interval(low, high, 3)
        ),
        None => format!("{}: {}", row.label, row.value_text),
    }
}

fn draw_bar(canvas: &mut Canvas, row: &BarRow, (scale, middle): (Scale, f64), half: f64) {
    let mut from = 0.0;
    for segment in &row.segments {
        if !segment.length.is_finite() {
            continue;
        }
        let to = from + segment.length;
        let (left, right) = (scale.at(from), scale.at(to));
        if (right - left).abs() > 0.01 {
            let corners = ((left, middle - half), (right, middle + half));
            canvas.rectangle(corners.0, corners.1, segment.colour, 0.88);
        }
        from = to;
    }
    if let Some([low, high]) = row.drawable_interval() {
        let stroke = Stroke::new(INK, 1.5).opacity(0.85);
        let (left, right) = (scale.at(low), scale.at(high));
        canvas.line((left, middle), (right, middle), stroke);
        for end in [left, right] {
            canvas.line(
                (end, middle - half * 0.5),
                (end, middle + half * 0.5),
                stroke,
            );
        }
    }
}
