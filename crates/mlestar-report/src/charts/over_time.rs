//! Common parts of the charts over the steps or epochs of a training: panels of traces, marks and limits.

use super::{Svg, check_count, check_length};
use crate::ReportError;
use crate::drawing::{
    Anchor, Area, Axis, Canvas, Header, INK, LegendEntry, Mark, Range, Scale, Stroke, TextLook,
    WIDE_WIDTH, draw_axes, draw_curve, draw_no_data, draw_spots, draw_svg, series_colour,
    short_number, text_width, truncate,
};

const PLOT_HEIGHT: f64 = 230.0;
const LABEL_SIZE: f64 = 11.5;
/// Pixels.
const LONGEST_LABEL: f64 = 36.0;
/// More marks than this would hide the curves.
const MOST_MARKS: usize = 200;

/// A marked position in a training, such as a jump of the loss.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TrainingMark<'a> {
    /// The step or epoch, in the chart's positions.
    pub at: f64,
    /// A short label above the plot, such as the number of a finding.
    pub label: &'a str,
}

/// The scale of the values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Values {
    /// Linear, with 0 on the axis.
    FromZero,
    /// Logarithmic; values not above 0 are left out.
    Log,
}

/// One line of a panel.
pub(super) struct Trace<'a> {
    pub values: &'a [f64],
    pub stroke: Stroke,
    /// If there are very many points, only the extremes in each pixel are drawn.
    pub is_dense: bool,
}

/// One plot: positions along the bottom, traces, marks.
pub(super) struct Panel<'a> {
    pub position_label: &'a str,
    pub value_label: &'a str,
    pub positions: &'a [f64],
    pub values: Values,
    pub traces: Vec<Trace<'a>>,
    pub marks: &'a [TrainingMark<'a>],
    /// A level for comparison; the legend explains it.
    pub limit: Option<f64>,
}

/// A chart of one panel or of several side by side.
pub(super) struct Chart<'a> {
    pub title: &'a str,
    pub description: String,
    pub legend: Vec<LegendEntry>,
    pub panels: Vec<Panel<'a>>,
}

/// The stroke of single values, which are many and noisy.
pub(super) fn raw_stroke() -> Stroke {
    Stroke::new(series_colour(0), 0.75).opacity(0.4)
}

/// The stroke of the main curve.
pub(super) fn main_stroke(index: usize) -> Stroke {
    Stroke::new(series_colour(index), 2.0)
}

/// The stroke of marks.
fn mark_stroke() -> Stroke {
    Stroke::new(series_colour(1), 1.25).dash(&[3.0, 3.0])
}

/// The stroke of levels for comparison.
fn limit_stroke() -> Stroke {
    Stroke::new(INK, 1.25).opacity(0.7).dash(&[6.0, 4.0])
}

/// The legend entry of a level for comparison.
pub(super) fn limit_entry(words: String) -> LegendEntry {
    LegendEntry::new(words, Mark::Line(limit_stroke()))
}

/// The legend entry of marks, if there are any.
pub(super) fn mark_entry(marks: &[TrainingMark<'_>]) -> Option<LegendEntry> {
    (!marks.is_empty()).then(|| LegendEntry::new("finding", Mark::Line(mark_stroke())))
}

/// Checks that there is one value for each position and that there are not too many marks.
pub(super) fn check(
    kind: &'static str,
    positions: &[f64],
    columns: &[(&'static str, &[f64])],
    marks: &[TrainingMark<'_>],
) -> Result<(), ReportError> {
    for (what, values) in columns {
        let expected = (positions.len(), "one for each position");
        check_length(kind, *what, values.len(), expected)?;
    }
    check_count(kind, "marks", marks.len(), MOST_MARKS)
}

impl Chart<'_> {
    pub(super) fn draw(self) -> Svg {
        let header = Header::new(self.title, self.legend, WIDE_WIDTH);
        let top = header.height() + 28.0;
        let bottom = top + PLOT_HEIGHT;
        let size = (WIDE_WIDTH, bottom + 50.0);
        let n_panels = self.panels.len().max(1) as f64;
        draw_svg(self.title, &self.description, size, |canvas| {
            header.draw(canvas);
            let pitch = WIDE_WIDTH / n_panels;
            for (index, panel) in self.panels.iter().enumerate() {
                let left = index as f64 * pitch;
                let area = Area {
                    left: left + 62.0,
                    top,
                    right: left + pitch - 30.0,
                    bottom,
                };
                panel.draw(canvas, area);
            }
        })
    }
}

impl Panel<'_> {
    fn draw(&self, canvas: &mut Canvas, area: Area) {
        let Some((x, y)) = self.scales(area) else {
            return draw_no_data(canvas, area);
        };
        let x_axis = Axis::whole(x, self.position_label, 8);
        draw_axes(canvas, area, &x_axis, &Axis::new(y, self.value_label, 5));
        for trace in &self.traces {
            let points = self.drawable(trace);
            let points = match trace.is_dense {
                true => extremes(points, x.low(), x.high(), area.width()),
                false => points,
            };
            draw_curve(canvas, (&x, &y), points, trace.stroke);
        }
        // The last trace is the main one.
        if let Some(trace) = self.traces.last() {
            draw_spots(canvas, (&x, &y), self.drawable(trace), self.value_label);
        }
        self.draw_marks(canvas, area, &x);
        if let Some(limit) = self.shown_limit() {
            let level = y.at(limit);
            canvas.line((area.left, level), (area.right, level), limit_stroke());
        }
    }

    /// The limit, if the axis can show it.
    fn shown_limit(&self) -> Option<f64> {
        self.limit
            .filter(|limit| limit.is_finite() && (self.values != Values::Log || *limit > 0.0))
    }

    /// The points of a trace, with values that the axis cannot show as gaps.
    fn drawable(&self, trace: &Trace<'_>) -> Vec<(f64, f64)> {
        let is_shown =
            |value: f64| value.is_finite() && (self.values != Values::Log || value > 0.0);
        self.positions
            .iter()
            .zip(trace.values)
            .map(|(&x, &y)| (x, if is_shown(y) { y } else { f64::NAN }))
            .collect()
    }

    fn scales(&self, area: Area) -> Option<(Scale, Scale)> {
        let shown = || {
            let points = self.traces.iter().flat_map(|trace| self.drawable(trace));
            points.filter(|(x, y)| x.is_finite() && y.is_finite())
        };
        let x = Range::of(shown().map(|point| point.0))?;
        let mut y = Range::of(shown().map(|point| point.1))?;
        if self.values == Values::FromZero {
            y = y.with(0.0);
        }
        if let Some(limit) = self.shown_limit() {
            y = y.with(limit);
        }
        let x = Scale::linear(x, area.left, area.right);
        let y = match self.values {
            Values::Log => Scale::rounded_log(y, area.bottom, area.top),
            _ => Scale::rounded(y, area.bottom, area.top, 5),
        };
        Some((x, y))
    }

    /// Labels that would touch the previous one are left out; their lines stay.
    fn draw_marks(&self, canvas: &mut Canvas, area: Area, x: &Scale) {
        let inside = |mark: &&TrainingMark<'_>| mark.at >= x.low() && mark.at <= x.high();
        let mut marks: Vec<_> = self.marks.iter().filter(inside).collect();
        marks.sort_by(|a, b| a.at.total_cmp(&b.at));
        let mut free_from = f64::NEG_INFINITY;
        for mark in marks {
            let at = x.at(mark.at);
            canvas.line((at, area.top - 2.0), (at, area.bottom), mark_stroke());
            let label = truncate(mark.label, LONGEST_LABEL, LABEL_SIZE);
            let width = text_width(&label, LABEL_SIZE);
            // Beside the line, within the plot.
            let (start, end, anchor) = match at + 4.0 + width <= area.right {
                true => (at + 4.0, at + 4.0 + width, Anchor::Start),
                false => (at - 4.0 - width, at - 4.0, Anchor::End),
            };
            if start < free_from {
                continue;
            }
            free_from = end + 4.0;
            let look = TextLook::new(LABEL_SIZE, anchor)
                .bold()
                .colour(series_colour(1));
            let place = if anchor == Anchor::Start { start } else { end };
            canvas.text(&label, (place, area.top + 7.0), look);
        }
    }
}

/// At most two points for each pixel: its lowest and highest value, in order. A run of values that cannot be
/// drawn stays a gap if it fills a pixel.
fn extremes(points: Vec<(f64, f64)>, low: f64, high: f64, width: f64) -> Vec<(f64, f64)> {
    if points.len() as f64 <= 2.0 * width {
        return points;
    }
    let column = |point: &(f64, f64)| {
        let share = (point.0 / 2.0 - low / 2.0) / (high / 2.0 - low / 2.0);
        (share * width).floor()
    };
    let mut kept = Vec::new();
    for run in points.chunk_by(|a, b| column(a) == column(b)) {
        let drawable = || {
            run.iter()
                .enumerate()
                .filter(|(_, point)| point.1.is_finite())
        };
        let lowest = drawable().min_by(|a, b| a.1.1.total_cmp(&b.1.1));
        let highest = drawable().max_by(|a, b| a.1.1.total_cmp(&b.1.1));
        match (lowest, highest) {
            (Some((a, low)), Some((b, high))) if a < b => kept.extend([*low, *high]),
            (Some((a, low)), Some((b, high))) if a > b => kept.extend([*high, *low]),
            (Some((_, only)), _) => kept.push(*only),
            // Only values that cannot be drawn.
            _ => kept.push(run[0]),
        }
    }
    kept
}

/// A moving average with exponentially falling weights, over about a fiftieth of the values. Values that are
/// not finite are skipped and become gaps.
pub(super) fn smoothed(values: &[f64]) -> Vec<f64> {
    let span = (values.len() as f64 / 50.0).max(5.0);
    let keep = 1.0 - 1.0 / span;
    // It starts at the mean of the first values, not at the first one alone.
    let first: Vec<f64> = values
        .iter()
        .copied()
        .filter(|value| value.is_finite())
        .take((span / 4.0).ceil() as usize)
        .collect();
    let mut weight = first.len() as f64 / span;
    let mut sum = first.iter().sum::<f64>() / span;
    values
        .iter()
        .map(|&value| {
            if !value.is_finite() {
                return f64::NAN;
            }
            sum = keep * sum + (1.0 - keep) * value;
            weight = keep * weight + (1.0 - keep);
            sum / weight
        })
        .collect()
}

/// Like [`smoothed`], for the logarithms: a single value far above the others does not raise it for long.
/// Values not above 0 are skipped.
pub(super) fn smoothed_log(values: &[f64]) -> Vec<f64> {
    let logs: Vec<f64> = values
        .iter()
        .map(|&value| if value > 0.0 { value.ln() } else { f64::NAN })
        .collect();
    smoothed(&logs).into_iter().map(f64::exp).collect()
}

/// `from 2.31 to 0.052`, for descriptions.
pub(super) fn first_and_last(values: &[f64]) -> String {
    let finite = || values.iter().copied().filter(|value| value.is_finite());
    match (finite().next(), finite().next_back()) {
        (Some(first), Some(last)) => {
            format!("from {} to {}", short_number(first), short_number(last))
        }
        _ => "without data".to_string(),
    }
}

/// `, marked at 3 and 7`, for descriptions.
pub(super) fn marked_at(marks: &[TrainingMark<'_>]) -> String {
    if marks.is_empty() {
        return String::new();
    }
    let places: Vec<String> = marks
        .iter()
        .take(12)
        .map(|mark| short_number(mark.at))
        .collect();
    format!(", marked at {}", places.join(", "))
}

/// The stroke of a reference level or a planned curve.
pub(super) fn reference_stroke() -> Stroke {
    Stroke::new(INK, 1.25).opacity(0.55)
}

/// The values of every step as a thin line, below their moving average.
pub(super) fn raw_and_smooth<'a>(raw: &'a [f64], smooth: &'a [f64]) -> Vec<Trace<'a>> {
    let trace = |values, stroke| Trace {
        values,
        stroke,
        is_dense: true,
    };
    vec![trace(raw, raw_stroke()), trace(smooth, main_stroke(0))]
}

/// The legend of [`raw_and_smooth`].
pub(super) fn raw_and_smooth_legend() -> [LegendEntry; 2] {
    [
        LegendEntry::new("each step", Mark::Line(raw_stroke())),
        LegendEntry::new("moving average", Mark::Line(main_stroke(0))),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn very_many_points_become_the_extremes_of_each_pixel() {
        let mut points: Vec<(f64, f64)> = (0..100_000)
            .map(|i| (f64::from(i), 1.0 + f64::from(i % 7)))
            .collect();
        points[50_000].1 = 900.0;
        for point in &mut points[70_000..80_000] {
            point.1 = f64::NAN;
        }
        let kept = extremes(points, 0.0, 99_999.0, 960.0);
        assert!(kept.len() <= 2 * 961, "{}", kept.len());
        assert!(kept.contains(&(50_000.0, 900.0)));
        assert!(kept.iter().filter(|point| point.1.is_nan()).count() > 90);
        assert!(kept.windows(2).all(|pair| pair[0].0 < pair[1].0));
    }

    #[test]
    fn smoothing_starts_at_the_first_value_and_passes_over_gaps() {
        let smooth = smoothed(&[2.0, f64::NAN, 2.0, 2.0]);
        assert!(smooth[1].is_nan());
        assert!((smooth[0] - 2.0).abs() < 1e-12 && (smooth[3] - 2.0).abs() < 1e-12);
        let mut values = vec![1.0; 1000];
        values[500] = 1e6;
        let smooth = smoothed_log(&values);
        assert!(smooth[501] < 2.0 && smooth[499] == 1.0, "{}", smooth[501]);
        assert!(smoothed(&[]).is_empty());
    }

    #[test]
    fn marks_that_are_too_many_are_refused() {
        let marks = vec![
            TrainingMark {
                at: 1.0,
                label: "1"
            };
            MOST_MARKS + 1
        ];
        assert!(check("chart", &[], &[], &marks).is_err());
        assert!(check("chart", &[1.0], &[("losses", &[])], &[]).is_err());
    }
}
