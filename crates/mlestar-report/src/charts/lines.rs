use super::{MAX_ITEMS, Svg, check_count, check_length};
use crate::ReportError;
use crate::drawing::{
    Area, Axis, HALF_WIDTH, Header, LegendEntry, Mark, Range, Scale, Stroke, draw_axes, draw_curve,
    draw_limit, draw_no_data, draw_spots, draw_svg, series_colour, series_dash, short_number,
};

const CHART: &str = "line chart";
const PLOT_HEIGHT: f64 = 250.0;
/// Markers on more points than this would hide the line.
const MAX_MARKED_POINTS: usize = 60;

/// One line of a [`LineChart`].
#[derive(Debug, Clone, Copy)]
pub struct LineSeries<'a> {
    /// Its name.
    pub label: &'a str,
    /// Horizontal positions.
    pub x: &'a [f64],
    /// Values; NaN makes a gap.
    pub y: &'a [f64],
}

/// Lines over a common horizontal axis.
#[derive(Debug, Clone, Copy)]
pub struct LineChart<'a> {
    /// The title of the chart.
    pub title: &'a str,
    /// The positions, with their unit.
    pub x_label: &'a str,
    /// The quantity, with its unit.
    pub y_label: &'a str,
    /// Logarithmic positions; those not above 0 are left out.
    pub x_log: bool,
    /// Logarithmic values; those not above 0 are left out.
    pub y_log: bool,
    /// The lines.
    pub series: &'a [LineSeries<'a>],
    /// Marks each point, if a line has at most 60 of them.
    pub markers: bool,
    /// A level for comparison.
    pub y_limit: Option<f64>,
}

/// Draws lines over a common axis.
///
/// # Errors
/// [`ReportError::LengthMismatch`] if a line does not have as many values as positions,
/// [`ReportError::TooMany`] above 400 lines.
pub fn lines(spec: &LineChart<'_>) -> Result<Svg, ReportError> {
    check_count(CHART, "series", spec.series.len(), MAX_ITEMS)?;
    for series in spec.series {
        let what = format!("the series {:?}", series.label);
        let expected = (series.x.len(), "one for each position");
        check_length(CHART, what, series.y.len(), expected)?;
    }
    let entries = spec
        .series
        .iter()
        .enumerate()
        .map(|(index, series)| LegendEntry::new(series.label, Mark::Line(stroke_of(index))));
    let entries: Vec<LegendEntry> = if spec.series.len() > 1 {
        entries.collect()
    } else {
        Vec::new()
    };
    let header = Header::new(spec.title, entries, HALF_WIDTH);
    let top = header.height() + 28.0;
    let area = Area {
        left: 58.0,
        top,
        right: HALF_WIDTH - 18.0,
        bottom: top + PLOT_HEIGHT,
    };
    let size = (HALF_WIDTH, area.bottom + 50.0);
    Ok(draw_svg(spec.title, &description(spec), size, |canvas| {
        header.draw(canvas);
        let Some((x, y)) = scales(spec, area) else {
            return draw_no_data(canvas, area);
        };
        let x_axis = Axis::new(x, spec.x_label, 6);
        draw_axes(canvas, area, &x_axis, &Axis::new(y, spec.y_label, 5));
        for (index, series) in spec.series.iter().enumerate() {
            let points = series.x.iter().copied().zip(series.y.iter().copied());
            let stroke = stroke_of(index);
            draw_curve(canvas, (&x, &y), points.clone(), stroke);
            if spec.markers && series.x.len() <= MAX_MARKED_POINTS {
                for point in points.clone().filter(|point| is_drawable(spec, *point)) {
                    canvas.disc((x.at(point.0), y.at(point.1)), 3.2, stroke.colour, 1.0);
                }
            }
            draw_spots(canvas, (&x, &y), points, series.label);
        }
        if let Some(limit) = spec.y_limit.filter(|limit| limit.is_finite()) {
            let words = format!("limit {}", short_number(limit));
            draw_limit(canvas, area, y.at(limit), &words);
        }
    }))
}

fn stroke_of(index: usize) -> Stroke {
    Stroke::new(series_colour(index), 2.0).dash(series_dash(index))
}

fn is_drawable(spec: &LineChart<'_>, (x, y): (f64, f64)) -> bool {
    let fits = |value: f64, log: bool| value.is_finite() && (!log || value > 0.0);
    fits(x, spec.x_log) && fits(y, spec.y_log)
}

fn scales(spec: &LineChart<'_>, area: Area) -> Option<(Scale, Scale)> {
    let points = || {
        let all = spec
            .series
            .iter()
            .flat_map(|series| series.x.iter().copied().zip(series.y.iter().copied()));
        all.filter(|point| is_drawable(spec, *point))
    };
    let x_range = Range::of(points().map(|point| point.0))?;
    let mut y_range = Range::of(points().map(|point| point.1))?;
    if let Some(limit) = spec.y_limit.filter(|limit| !spec.y_log || *limit > 0.0) {
        y_range = y_range.with(limit);
    }
    let x = if spec.x_log {
        Scale::log(x_range, area.left, area.right)
    } else {
        Scale::linear(x_range, area.left, area.right)
    };
    let y = if spec.y_log {
        Scale::rounded_log(y_range, area.bottom, area.top)
    } else {
        Scale::rounded(y_range, area.bottom, area.top, 5)
    };
    Some((x, y))
}

fn description(spec: &LineChart<'_>) -> String {
    let parts: Vec<String> = spec
        .series
        .iter()
        .take(12)
        .filter_map(|series| {
            let range = Range::of(series.y.iter().copied())?;
            Some(format!(
                "{} from {} to {}",
                series.label,
                short_number(range.low),
                short_number(range.high)
            ))
        })
        .collect();
    let parts = if parts.is_empty() {
        "no data".to_string()
    } else {
        parts.join(", ")
    };
    format!("Lines of {} over {}: {parts}.", spec.y_label, spec.x_label)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec<'a>(series: &'a [LineSeries<'a>]) -> LineChart<'a> {
        LineChart {
            title: "Throughput",
            x_label: "batch size (images)",
            y_label: "images/s",
            x_log: true,
            y_log: false,
            series,
            markers: true,
            y_limit: Some(900.0),
        }
    }

    #[test]
    fn points_that_a_log_axis_cannot_show_are_left_out() {
        let series = [LineSeries {
            label: "cpu",
            x: &[0.0, -1.0, 1.0, 8.0, 64.0],
            y: &[1.0, 1.0, 100.0, 400.0, 900.0],
        }];
        let svg = lines(&spec(&series)).unwrap();
        assert_eq!(svg.as_str().matches("<circle ").count(), 3);
        assert!(svg.as_str().contains("limit 900"));
    }

    #[test]
    fn gaps_break_the_line() {
        let series = [LineSeries {
            label: "a",
            x: &[1.0, 2.0, 3.0, 4.0, 5.0],
            y: &[1.0, 2.0, f64::NAN, 1.0, 3.0],
        }];
        let spec = LineChart {
            markers: false,
            y_limit: None,
            ..spec(&series)
        };
        assert_eq!(
            lines(&spec).unwrap().as_str().matches("<polyline ").count(),
            2
        );
    }

    #[test]
    fn nothing_finite_is_no_data() {
        let series = [LineSeries {
            label: "a",
            x: &[f64::NAN],
            y: &[1.0],
        }];
        assert!(lines(&spec(&series)).unwrap().as_str().contains("no data"));
        assert!(lines(&spec(&[])).unwrap().as_str().contains("no data"));
    }
}
