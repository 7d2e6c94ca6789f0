use super::{MAX_ITEMS, Svg, check_count, check_length};
use crate::ReportError;
use crate::drawing::{
    Anchor, Area, Axis, Header, LegendEntry, Mark, Range, Scale, Stroke, TextLook, WIDE_WIDTH,
    draw_axes, draw_curve, draw_limit_line, draw_no_data, draw_spots, draw_svg, series_colour,
    series_dash, short_number, text_width,
};

const CHART: &str = "accuracy over time";
const PLOT_HEIGHT: f64 = 330.0;
/// With markers on more points than this, a curve could not be seen.
const MOST_DISCS: usize = 60;
/// Lines closer than this, in pixels, would have overlapping names.
const LABEL_HEIGHT: f64 = 13.0;
const LABEL_SIZE: f64 = 11.5;

/// The accuracy of one training over time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AccuracyCurve<'a> {
    /// Minutes since the start of the training.
    pub minutes: &'a [f64],
    /// The accuracy (0 to 1) at each time.
    pub accuracies: &'a [f64],
}

/// Trainings that belong together, such as those that differ only in their seed: one colour.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AccuracyGroup<'a> {
    /// Its name.
    pub label: &'a str,
    /// Its trainings.
    pub curves: &'a [AccuracyCurve<'a>],
}

/// Accuracies of several trainings over time.
#[derive(Debug, Clone, Copy)]
pub struct AccuracyOverTime<'a> {
    /// The title of the chart.
    pub title: &'a str,
    /// Trainings, by colour.
    pub groups: &'a [AccuracyGroup<'a>],
    /// Accuracies for comparison.
    pub levels: &'a [f64],
}

/// Draws the accuracy of trainings over time.
///
/// # Errors
/// [`ReportError::LengthMismatch`] if a curve does not have one accuracy per time, [`ReportError::TooMany`]
/// above 400 curves or levels.
pub fn accuracy_over_time(spec: &AccuracyOverTime<'_>) -> Result<Svg, ReportError> {
    let n_curves = spec.groups.iter().map(|group| group.curves.len()).sum();
    check_count(CHART, "curves", n_curves, MAX_ITEMS)?;
    check_count(CHART, "groups", spec.groups.len(), MAX_ITEMS)?;
    check_count(CHART, "levels", spec.levels.len(), MAX_ITEMS)?;
    for group in spec.groups {
        for curve in group.curves {
            let what = format!("a curve of {:?}", group.label);
            let expected = (curve.minutes.len(), "one for each time");
            check_length(CHART, what, curve.accuracies.len(), expected)?;
        }
    }
    let entries = spec.groups.iter().enumerate().map(|(index, group)| {
        let label = match group.curves.len() {
            1 => group.label.to_owned(),
            n => format!("{} ({n} trainings)", group.label),
        };
        LegendEntry::new(label, Mark::Line(stroke_of(index)))
    });
    let header = Header::new(spec.title, entries.collect(), WIDE_WIDTH);
    let top = header.height() + 28.0;
    let mut area = Area {
        left: 62.0,
        top,
        right: WIDE_WIDTH - 30.0,
        bottom: top + PLOT_HEIGHT,
    };
    // The names of levels are beside the plot: inside it, the longest curve would cross them.
    let named = scales(spec, area).map_or_else(Vec::new, |(_, y)| named_levels(spec, &y));
    let widths = named.iter().map(|(_, name)| text_width(name, LABEL_SIZE));
    area.right -= widths.fold(0.0, f64::max);
    let size = (WIDE_WIDTH, area.bottom + 50.0);
    Ok(draw_svg(spec.title, &description(spec), size, |canvas| {
        header.draw(canvas);
        let Some((x, y)) = scales(spec, area) else {
            return draw_no_data(canvas, area);
        };
        let x_axis = Axis::new(x, "time of training and validation (minutes)", 10);
        draw_axes(canvas, area, &x_axis, &Axis::new(y, "accuracy", 6));
        for level in levels(spec) {
            draw_limit_line(canvas, area, y.at(level));
        }
        for (level, name) in &named {
            let look = TextLook::new(LABEL_SIZE, Anchor::Start);
            canvas.text(name, (area.right + 5.0, y.at(*level)), look);
        }
        for (index, group) in spec.groups.iter().enumerate() {
            let stroke = stroke_of(index);
            for curve in group.curves {
                draw_curve(canvas, (&x, &y), points(curve), stroke);
                if curve.minutes.len() <= MOST_DISCS {
                    for (at, value) in points(curve).filter(is_drawable) {
                        canvas.disc((x.at(at), y.at(value)), 2.6, stroke.colour, 1.0);
                    }
                }
                draw_spots(canvas, (&x, &y), points(curve), group.label);
            }
        }
    }))
}

fn stroke_of(index: usize) -> Stroke {
    Stroke::new(series_colour(index), 1.75).dash(series_dash(index))
}

fn points<'a>(curve: &AccuracyCurve<'a>) -> impl Iterator<Item = (f64, f64)> + 'a {
    curve
        .minutes
        .iter()
        .copied()
        .zip(curve.accuracies.iter().copied())
}

fn is_drawable((minutes, accuracy): &(f64, f64)) -> bool {
    minutes.is_finite() && accuracy.is_finite()
}

fn all_points<'a>(spec: &AccuracyOverTime<'a>) -> impl Iterator<Item = (f64, f64)> + use<'a> {
    let groups: &'a [AccuracyGroup<'a>] = spec.groups;
    groups
        .iter()
        .flat_map(|group| group.curves)
        .flat_map(points)
        .filter(is_drawable)
}

fn levels(spec: &AccuracyOverTime<'_>) -> impl Iterator<Item = f64> {
    spec.levels
        .iter()
        .copied()
        .filter(|level| level.is_finite())
}

/// Levels and their labels. The highest of several close levels names them all, so that labels do not overlap.
fn named_levels(spec: &AccuracyOverTime<'_>, y: &Scale) -> Vec<(f64, String)> {
    let mut levels: Vec<f64> = levels(spec).collect();
    levels.sort_by(|a, b| b.total_cmp(a));
    let close_together = levels.chunk_by(|a, b| y.at(*b) - y.at(*a) < LABEL_HEIGHT);
    close_together
        .filter_map(|close| {
            let names: Vec<String> = close.iter().map(|level| short_number(*level)).collect();
            Some((*close.first()?, names.join(", ")))
        })
        .collect()
}

fn scales(spec: &AccuracyOverTime<'_>, area: Area) -> Option<(Scale, Scale)> {
    let x = Range::of(all_points(spec).map(|point| point.0))?.with(0.0);
    let y = Range::of(all_points(spec).map(|point| point.1))?;
    let y = levels(spec).fold(y, Range::with);
    Some((
        Scale::linear(x, area.left, area.right),
        Scale::rounded(y, area.bottom, area.top, 6),
    ))
}

fn description(spec: &AccuracyOverTime<'_>) -> String {
    let parts: Vec<String> = spec
        .groups
        .iter()
        .take(12)
        .map(|group| {
            let ends = group.curves.iter().filter_map(|curve| {
                let best = Range::of(curve.accuracies.iter().copied())?.high;
                let minutes = Range::of(curve.minutes.iter().copied())?.high;
                Some(format!("{best:.4} in {} minutes", short_number(minutes)))
            });
            let ends: Vec<String> = ends.take(12).collect();
            match ends.is_empty() {
                true => format!("{} without data", group.label),
                false => format!("{}: {}", group.label, ends.join(", ")),
            }
        })
        .collect();
    match parts.is_empty() {
        true => "No trainings.".to_owned(),
        false => format!("Highest accuracy of each training. {}.", parts.join("; ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn curve(accuracies: &'static [f64]) -> AccuracyCurve<'static> {
        AccuracyCurve {
            minutes: &[1.0, 2.0, 3.5],
            accuracies,
        }
    }

    #[test]
    fn trainings_of_a_group_share_a_colour_and_levels_are_named() {
        let fast = [curve(&[0.5, 0.7, 0.86]), curve(&[0.4, f64::NAN, 0.85])];
        let slow = [curve(&[0.3, 0.5, 0.6])];
        let group = |label, curves| AccuracyGroup { label, curves };
        let svg = accuracy_over_time(&AccuracyOverTime {
            title: "Two recipes",
            groups: &[group("fast", &fast), group("slow", &slow)],
            levels: &[0.85, f64::NAN],
        })
        .unwrap()
        .into_string();
        for text in [
            "fast (2 trainings)",
            ">slow<",
            ">0.85<",
            "(minutes)",
            "fast: 0.8600 in 3.5 minutes",
        ] {
            assert!(svg.contains(text), "{text}");
        }
        // Eight finite values; two of them have no neighbour to connect to and get a dot.
        assert_eq!(svg.matches("<circle ").count(), 10);
    }

    #[test]
    fn levels_that_lie_close_together_are_named_once() {
        let curves = [curve(&[0.3, 0.5, 0.92])];
        let groups = [AccuracyGroup {
            label: "a",
            curves: &curves,
        }];
        let svg = accuracy_over_time(&AccuracyOverTime {
            title: "Levels",
            groups: &groups,
            levels: &[0.9, 0.6, 0.91, 0.89],
        })
        .unwrap()
        .into_string();
        let number = |element: &str, name: &str| -> f64 {
            let (_, value) = element.split_once(&format!(" {name}=\"")).unwrap();
            value.split_once('"').unwrap().0.parse::<f64>().unwrap()
        };
        let end_of_curve = svg.split("<circle").skip(1).map(|disc| number(disc, "cx"));
        let end_of_curve = end_of_curve.fold(0.0, f64::max);
        for name in ["0.91, 0.9, 0.89", "0.6"] {
            let (before, _) = svg.rsplit_once(&format!(">{name}<")).expect(name);
            let begin = number(before.rsplit_once("<text").unwrap().1, "x");
            let end = begin + text_width(name, LABEL_SIZE);
            assert!(
                end_of_curve < begin && end < WIDE_WIDTH,
                "{name}: {begin} to {end}"
            );
        }
    }

    #[test]
    fn nothing_is_no_data_and_unequal_lengths_are_refused() {
        let spec = AccuracyOverTime {
            title: "None",
            groups: &[],
            levels: &[0.9],
        };
        let svg = accuracy_over_time(&spec).unwrap();
        assert!(svg.as_str().contains("no data"));
        let curves = [curve(&[0.5])];
        let groups = [AccuracyGroup {
            label: "a",
            curves: &curves,
        }];
        let error = accuracy_over_time(&AccuracyOverTime {
            groups: &groups,
            ..spec
        })
        .unwrap_err();
        assert!(error.to_string().contains("a curve of \"a\""), "{error}");
    }
}
