use super::canvas::{Anchor, Canvas, Stroke, TextLook};
use super::palette::INK;
use super::scale::{Scale, Tick};
use super::simplify::simplify;
use super::text::{text_width, truncate};

const TICK_SIZE: f64 = 11.5;
const LABEL_SIZE: f64 = 12.0;

/// The rectangle for the data, in pixels.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Area {
    pub left: f64,
    pub top: f64,
    pub right: f64,
    pub bottom: f64,
}

impl Area {
    pub(crate) fn width(&self) -> f64 {
        self.right - self.left
    }

    pub(crate) fn height(&self) -> f64 {
        self.bottom - self.top
    }
}

/// One axis: its scale, its title with the unit, its marks.
pub(crate) struct Axis<'a> {
    pub scale: Scale,
    pub label: &'a str,
    pub ticks: Vec<Tick>,
}

impl<'a> Axis<'a> {
    pub(crate) fn new(scale: Scale, label: &'a str, ticks: usize) -> Self {
        let ticks = scale.ticks(ticks);
        Self {
            scale,
            label,
            ticks,
        }
    }

    /// An axis for counts.
    pub(crate) fn whole(scale: Scale, label: &'a str, ticks: usize) -> Self {
        let ticks = scale.whole_ticks(ticks);
        Self {
            scale,
            label,
            ticks,
        }
    }
}

/// Draws grid lines, tick labels and titles. The title of the vertical axis is above it, where it can be read
/// without tilting the head.
pub(crate) fn draw_axes(canvas: &mut Canvas, area: Area, x: &Axis<'_>, y: &Axis<'_>) {
    let grid = Stroke::new(INK, 1.0).opacity(0.11);
    for tick in &y.ticks {
        let at = y.scale.at(tick.value);
        canvas.line((area.left, at), (area.right, at), grid);
        let look = TextLook::new(TICK_SIZE, Anchor::End).muted();
        canvas.text(&tick.label, (area.left - 7.0, at), look);
    }
    let baseline = Stroke::new(INK, 1.0).opacity(0.45);
    canvas.line(
        (area.left, area.bottom),
        (area.right, area.bottom),
        baseline,
    );
    draw_x_ticks(canvas, area, x);
    let look = TextLook::new(LABEL_SIZE, Anchor::Middle).muted();
    let label = truncate(x.label, area.width(), LABEL_SIZE);
    let middle = (area.left + area.right) / 2.0;
    canvas.text(&label, (middle, area.bottom + 36.0), look);
    let look = TextLook::new(LABEL_SIZE, Anchor::Start).muted();
    let label = truncate(y.label, area.width(), LABEL_SIZE);
    canvas.text(
        &label,
        ((area.left - 46.0).max(12.0), area.top - 16.0),
        look,
    )
}

/// Labels that would touch the previous one are left out.
fn draw_x_ticks(canvas: &mut Canvas, area: Area, x: &Axis<'_>) {
    let mark = Stroke::new(INK, 1.0).opacity(0.45);
    let mut free_from = f64::NEG_INFINITY;
    for tick in &x.ticks {
        let at = x.scale.at(tick.value);
        let half = text_width(&tick.label, TICK_SIZE) / 2.0;
        if at - half < free_from {
            continue;
        }
        free_from = at + half + 6.0;
        canvas.line((at, area.bottom), (at, area.bottom + 4.0), mark);
        let look = TextLook::new(TICK_SIZE, Anchor::Middle).muted();
        canvas.text(&tick.label, (at, area.bottom + 15.0), look);
    }
}

/// Whether the scales can show a point.
pub(super) fn is_drawable((x_scale, y_scale): (&Scale, &Scale), (x, y): (f64, f64)) -> bool {
    let positive = |scale: &Scale, value: f64| !scale.is_log() || value > 0.0;
    x.is_finite() && y.is_finite() && positive(x_scale, x) && positive(y_scale, y)
}

/// Draws a line through the finite points. It breaks at other points, and a point without a neighbour becomes a
/// dot.
pub(crate) fn draw_curve(
    canvas: &mut Canvas,
    (x_scale, y_scale): (&Scale, &Scale),
    points: impl IntoIterator<Item = (f64, f64)>,
    stroke: Stroke,
) {
    let mut run: Vec<(f64, f64)> = Vec::new();
    // A last point that cannot be drawn ends the last run.
    let end = (f64::NAN, f64::NAN);
    for point in points.into_iter().chain([end]) {
        if is_drawable((x_scale, y_scale), point) {
            run.push((x_scale.at(point.0), y_scale.at(point.1)));
            continue;
        }
        match run.as_slice() {
            [] => {}
            [only] => canvas.disc(*only, stroke.width * 1.4, stroke.colour, stroke.opacity),
            _ => canvas.polyline(&simplify(&run), stroke),
        }
        run.clear();
    }
}

/// Draws a dashed level line with its label at the right end.
pub(crate) fn draw_limit(canvas: &mut Canvas, area: Area, y: f64, words: &str) {
    draw_limit_line(canvas, area, y);
    // Above the line, unless that is outside the area.
    let at = if y - 9.0 < area.top { y + 9.0 } else { y - 9.0 };
    let look = TextLook::new(11.5, Anchor::End);
    canvas.text(words, (area.right - 2.0, at), look)
}

/// The line of a limit without its label.
pub(crate) fn draw_limit_line(canvas: &mut Canvas, area: Area, y: f64) {
    let stroke = Stroke::new(INK, 1.25).opacity(0.7).dash(&[6.0, 4.0]);
    canvas.line((area.left, y), (area.right, y), stroke)
}

/// Says that there is nothing to draw.
pub(crate) fn draw_no_data(canvas: &mut Canvas, area: Area) {
    canvas.rectangle((area.left, area.top), (area.right, area.bottom), INK, 0.04);
    let middle = (
        (area.left + area.right) / 2.0,
        (area.top + area.bottom) / 2.0,
    );
    canvas.text(
        "no data",
        middle,
        TextLook::new(14.0, Anchor::Middle).muted(),
    )
}
