use super::{Svg, TrialObjective, TrialSet, check_count, thinned_title};
use crate::ReportError;
use crate::drawing::{
    Area, Axis, HALF_WIDTH, Header, LegendEntry, Mark, Range, Scale, Stroke, bar_colour, draw_axes,
    draw_curve, draw_no_data, draw_svg, series_colour, thin,
};
use crate::format;

const CHART: &str = "Pareto front";
const PLOT_HEIGHT: f64 = 290.0;
/// Trials that a chart draws at most, beside those of the front.
const MOST: usize = 1000;
/// Trials of a front that are drawn.
const MOST_OF_FRONT: usize = 2000;
/// Positive values that span more than this factor have a logarithmic axis.
const WIDE: f64 = 30.0;

/// Two objectives of the trials against each other.
#[derive(Debug, Clone, Copy)]
pub struct ParetoChart<'a> {
    /// The title of the chart.
    pub title: &'a str,
    /// The trials.
    pub trials: &'a TrialSet,
    /// The positions of the objectives to the right and upwards in the set.
    pub objectives: [usize; 2],
    /// The numbers of the trials that no other trial beats in all objectives.
    pub front: &'a [u64],
}

/// Draws each complete trial by two of its objectives and marks the front. With exactly two objectives a line bounds what the front
/// dominates. Of more than 1,000 other trials those are drawn that keep every region occupied, and the title says how many.
///
/// # Errors
/// [`ReportError::LengthMismatch`] if a list does not have one entry for each trial,
/// [`ReportError::TooMany`] for a front of more than 2,000 trials or a position behind the last objective.
pub fn pareto_front(spec: &ParetoChart<'_>) -> Result<Svg, ReportError> {
    spec.trials.check(CHART)?;
    check_count(
        CHART,
        "trials of the front",
        spec.front.len(),
        MOST_OF_FRONT,
    )?;
    let [right, up] = spec.objectives;
    let x = super::of_list(CHART, "objectives", &spec.trials.objectives, right)?;
    let y = super::of_list(CHART, "objectives", &spec.trials.objectives, up)?;
    let shown: Vec<usize> = spec
        .trials
        .ranked(x)
        .into_iter()
        .filter(|trial| y.values[*trial].is_finite())
        .collect();
    let front: std::collections::BTreeSet<u64> = spec.front.iter().copied().collect();
    let (of_front, others): (Vec<usize>, Vec<usize>) = shown
        .iter()
        .partition(|trial| front.contains(&spec.trials.numbers[**trial]));
    let line = Stroke::new(series_colour(1), 1.75).opacity(0.8);
    let ranges = [x, y].map(|objective| Range::of(shown.iter().map(|t| objective.values[*t])));
    let places: Vec<(f64, f64)> = match ranges {
        [Some(a), Some(b)] => {
            let scales = (scale(a, 0.0, 370.0), scale(b, PLOT_HEIGHT, 0.0));
            others
                .iter()
                .map(|t| (scales.0.at(x.values[*t]), scales.1.at(y.values[*t])))
                .collect()
        }
        _ => Vec::new(),
    };
    let others: Vec<usize> = thin(&places, MOST, &[])
        .into_iter()
        .map(|at| others[at])
        .collect();
    let title = thinned_title(spec.title, others.len() + of_front.len(), shown.len());
    let entries = vec![
        LegendEntry::new("front", Mark::Disc(series_colour(1))),
        LegendEntry::new("other complete trials", Mark::Disc(bar_colour())),
    ];
    let header = Header::new(&title, entries, HALF_WIDTH);
    let top = header.height() + 28.0;
    let area = Area {
        left: 62.0,
        top,
        right: HALF_WIDTH - 18.0,
        bottom: top + PLOT_HEIGHT,
    };
    let size = (HALF_WIDTH, area.bottom + 50.0);
    let description = format!(
        "{}; {}. {} of {} are on the front.",
        x.directed(),
        y.directed(),
        of_front.len(),
        super::counted_trials(shown.len())
    );
    Ok(draw_svg(&title, &description, size, |canvas| {
        header.draw(canvas);
        let [Some(x_range), Some(y_range)] = ranges else {
            return draw_no_data(canvas, area);
        };
        let scales = (
            scale(x_range, area.left, area.right),
            scale(y_range, area.bottom, area.top),
        );
        let labels = [x.directed(), y.directed()];
        let axes = (
            Axis::new(scales.0, &labels[0], 5),
            Axis::new(scales.1, &labels[1], 5),
        );
        draw_axes(canvas, area, &axes.0, &axes.1);
        if spec.trials.objectives.len() == 2 {
            draw_curve(
                canvas,
                (&scales.0, &scales.1),
                stairs((x, y), &of_front),
                line,
            );
        }
        let marks = others.iter().map(|t| (t, 3.8, bar_colour(), 0.55));
        for (trial, radius, colour, share) in
            marks.chain(of_front.iter().map(|t| (t, 5.0, series_colour(1), 1.0)))
        {
            let at = (scales.0.at(x.values[*trial]), scales.1.at(y.values[*trial]));
            let words = format!(
                "{}, {}",
                spec.trials.words(*trial, x),
                format::significant(y.values[*trial], 4)
            );
            canvas.trial(spec.trials.numbers[*trial], &words, |canvas| {
                canvas.disc(at, radius, colour, share);
            });
        }
    }))
}

fn scale(range: Range, from: f64, to: f64) -> Scale {
    match range.low > 0.0 && range.high / range.low > WIDE {
        true => Scale::rounded_log(range, from, to),
        false => Scale::rounded(range, from, to, 5),
    }
}

/// The corners of the border of what the front dominates.
fn stairs((x, y): (&TrialObjective, &TrialObjective), front: &[usize]) -> Vec<(f64, f64)> {
    let mut points: Vec<(f64, f64)> = front.iter().map(|t| (x.values[*t], y.values[*t])).collect();
    points.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut corners: Vec<(f64, f64)> = Vec::new();
    for point in points {
        if let Some(last) = corners.last().copied() {
            // Up to the next point, the best of the other objective is that of the point with the better `x`.
            corners.push(match x.maximize {
                true => (last.0, point.1),
                false => (point.0, last.1),
            });
        }
        corners.push(point);
    }
    corners
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::charts::trial_set::tests::four_trials;

    #[test]
    fn complete_trials_are_drawn_and_the_front_stands_out() {
        let trials = four_trials();
        let spec = ParetoChart {
            title: "Front",
            trials: &trials,
            objectives: [0, 1],
            front: &[3],
        };
        let svg = pareto_front(&spec).unwrap().into_string();
        let marks: Vec<&str> = svg.split("data-t=\"").skip(1).collect();
        assert_eq!(marks.len(), 2);
        assert!(marks[0].starts_with('0') && marks[1].starts_with('3'));
        assert!(
            svg.contains("accuracy, higher is better; seconds, lower is better. 1 of 2 trials")
        );
        let nothing = TrialSet {
            states: vec![super::super::TrialState::Failed; 4],
            ..trials.clone()
        };
        let svg = pareto_front(&ParetoChart {
            trials: &nothing,
            ..spec
        })
        .unwrap();
        assert!(svg.as_str().contains("no data"));
        assert!(
            pareto_front(&ParetoChart {
                objectives: [0, 2],
                ..spec
            })
            .is_err()
        );
    }

    #[test]
    fn the_border_is_what_the_front_dominates() {
        let objective = |maximize, values: &[f64]| TrialObjective {
            label: String::new(),
            maximize,
            values: values.to_vec(),
        };
        // Both lower is better: up to x = 3 nothing is below y = 5.
        let (x, y) = (objective(false, &[3.0, 1.0]), objective(false, &[2.0, 5.0]));
        assert_eq!(
            stairs((&x, &y), &[0, 1]),
            [(1.0, 5.0), (3.0, 5.0), (3.0, 2.0)]
        );
        // Both higher is better: beyond x = 1 nothing is above y = 2.
        let (x, y) = (objective(true, &[3.0, 1.0]), objective(true, &[2.0, 5.0]));
        assert_eq!(
            stairs((&x, &y), &[0, 1]),
            [(1.0, 5.0), (1.0, 2.0), (3.0, 2.0)]
        );
    }
}
