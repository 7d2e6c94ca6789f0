use super::{Svg, TrialState, thinned_title};
use crate::drawing::{
    Area, Axis, HALF_WIDTH, Header, INK, LegendEntry, Mark, Range, Scale, Stroke, bar_colour,
    draw_axes, draw_curve, draw_no_data, draw_svg, series_colour,
};
use crate::format;

const PLOT_HEIGHT: f64 = 250.0;
/// Curves that a chart draws at most.
const MOST: usize = 200;

/// The values that one trial reported while it ran.
#[derive(Debug, Clone, PartialEq)]
pub struct TrialCurve {
    /// The number of the trial.
    pub number: u64,
    /// How it ended.
    pub state: TrialState,
    /// Steps and values, in order of the steps.
    pub points: Vec<(f64, f64)>,
}

/// The values that trials reported while they ran.
#[derive(Debug, Clone, Copy)]
pub struct IntermediateValues<'a> {
    /// The title of the chart.
    pub title: &'a str,
    /// The quantity, with its unit.
    pub value_label: &'a str,
    /// What a step is, such as `epoch`.
    pub step_label: &'a str,
    /// The trials, in order of their numbers.
    pub curves: &'a [TrialCurve],
    /// The number of the best trial.
    pub best: Option<u64>,
}

/// Draws the values of each trial over its steps: a learning curve each. A pruned trial ends in a ring, a failed one in a cross.
/// Of more than 200 trials every so many are drawn, the best one among them, and the title says how many.
pub fn intermediate_values(spec: &IntermediateValues<'_>) -> Svg {
    let all: Vec<&TrialCurve> = spec
        .curves
        .iter()
        .filter(|curve| !curve.points.is_empty())
        .collect();
    let every = all.len().div_ceil(MOST).max(1);
    let is_best = |curve: &TrialCurve| Some(curve.number) == spec.best;
    let mut drawn: Vec<&TrialCurve> = all
        .iter()
        .enumerate()
        .filter(|(index, curve)| index % every == 0 && !is_best(curve))
        .map(|(_, curve)| *curve)
        .collect();
    // The best one is on top.
    drawn.extend(all.iter().filter(|curve| is_best(curve)));
    let title = thinned_title(spec.title, drawn.len(), all.len());
    let header = Header::new(&title, entries(spec, &drawn), HALF_WIDTH);
    let top = header.height() + 28.0;
    let area = Area {
        left: 58.0,
        top,
        right: HALF_WIDTH - 18.0,
        bottom: top + PLOT_HEIGHT,
    };
    let size = (HALF_WIDTH, area.bottom + 50.0);
    let description = format!(
        "{} over each {} of {}.",
        spec.value_label,
        spec.step_label,
        super::counted_trials(all.len())
    );
    draw_svg(&title, &description, size, |canvas| {
        header.draw(canvas);
        let points = || drawn.iter().flat_map(|curve| &curve.points);
        let ranges = (
            Range::of(points().map(|point| point.0)),
            Range::of(points().map(|point| point.1)),
        );
        let (Some(x_range), Some(y_range)) = ranges else {
            return draw_no_data(canvas, area);
        };
        let x = Scale::linear(x_range, area.left, area.right);
        let y = Scale::rounded(y_range, area.bottom, area.top, 5);
        draw_axes(
            canvas,
            area,
            &Axis::whole(x, spec.step_label, 8),
            &Axis::new(y, spec.value_label, 5),
        );
        for curve in &drawn {
            canvas.trial(curve.number, &words(curve), |canvas| {
                draw_curve(
                    canvas,
                    (&x, &y),
                    curve.points.iter().copied(),
                    stroke(curve.state, is_best(curve)),
                );
                let Some((step, value)) = curve.points.last().filter(|point| point.1.is_finite())
                else {
                    return;
                };
                let end = (x.at(*step), y.at(*value));
                match curve.state {
                    TrialState::Complete => {}
                    TrialState::Pruned => canvas.ring(end, 3.0, end_stroke()),
                    TrialState::Failed => canvas.cross(end, 3.5, end_stroke()),
                }
            });
        }
    })
}

fn stroke(state: TrialState, is_best: bool) -> Stroke {
    match state {
        _ if is_best => Stroke::new(series_colour(1), 3.0),
        TrialState::Complete => Stroke::new(bar_colour(), 1.5).opacity(0.6),
        TrialState::Pruned | TrialState::Failed => Stroke::new(INK, 1.25).opacity(0.3),
    }
}

fn end_stroke() -> Stroke {
    Stroke::new(INK, 1.25).opacity(0.55)
}

fn entries(spec: &IntermediateValues<'_>, drawn: &[&TrialCurve]) -> Vec<LegendEntry> {
    let has = |state| drawn.iter().any(|curve| curve.state == state);
    let line = |state, is_best| Mark::Line(stroke(state, is_best));
    let mut entries = Vec::new();
    if drawn.iter().any(|curve| Some(curve.number) == spec.best) {
        entries.push(LegendEntry::new("best", line(TrialState::Complete, true)));
    }
    if has(TrialState::Complete) {
        entries.push(LegendEntry::new(
            "complete",
            line(TrialState::Complete, false),
        ));
    }
    if has(TrialState::Pruned) {
        entries.push(LegendEntry::new("pruned", Mark::Ring(end_stroke())));
    }
    if has(TrialState::Failed) {
        entries.push(LegendEntry::new("failed", Mark::Cross(end_stroke())));
    }
    entries
}

fn words(curve: &TrialCurve) -> String {
    let end = curve.points.last().copied().unwrap_or((f64::NAN, f64::NAN));
    let state = match curve.state {
        TrialState::Complete => "",
        TrialState::Pruned => ", pruned",
        TrialState::Failed => ", failed",
    };
    format!(
        "trial {}: {} at {}{state}",
        curve.number,
        format::significant(end.1, 4),
        format::significant(end.0, 4)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn curve(number: u64, state: TrialState, n: u32) -> TrialCurve {
        let points = (1..=n)
            .map(|step| (f64::from(step), f64::from(step) * 0.1))
            .collect();
        TrialCurve {
            number,
            state,
            points,
        }
    }

    fn draw(curves: &[TrialCurve], best: Option<u64>) -> String {
        let spec = IntermediateValues {
            title: "Curves",
            value_label: "accuracy",
            step_label: "epoch",
            curves,
            best,
        };
        intermediate_values(&spec).into_string()
    }

    #[test]
    fn trials_are_lines_that_say_how_they_ended() {
        let curves = [
            curve(0, TrialState::Complete, 5),
            curve(1, TrialState::Pruned, 2),
            curve(2, TrialState::Failed, 1),
            curve(3, TrialState::Failed, 0),
        ];
        let svg = draw(&curves, Some(0));
        assert_eq!(svg.matches("data-t=").count(), 3);
        // The best one is drawn last.
        assert!(svg.rfind("data-t=\"0\"") > svg.rfind("data-t=\"2\""));
        assert!(svg.contains("trial 1: 0.2 at 2, pruned") && svg.contains(">failed<"));
        assert!(draw(&[], None).contains("no data"));
    }

    #[test]
    fn of_very_many_curves_some_are_drawn_the_best_among_them() {
        let curves: Vec<TrialCurve> = (0..1001)
            .map(|n| curve(n, TrialState::Complete, 3))
            .collect();
        let svg = draw(&curves, Some(17));
        let n = svg.matches("data-t=").count();
        assert!(n <= MOST + 1 && svg.contains("data-t=\"17\""));
        assert!(svg.contains(&format!("Curves: {n} of 1,001 trials")));
    }
}
