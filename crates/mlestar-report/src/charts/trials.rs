use super::{Svg, thinned_title};
use crate::drawing::{
    Area, Axis, Canvas, HALF_WIDTH, Header, INK, LegendEntry, Mark, Range, Scale, Stroke,
    bar_colour, draw_axes, draw_curve, draw_limit, draw_no_data, draw_svg, series_colour,
    short_number, thin,
};
use crate::format;

const PLOT_HEIGHT: f64 = 250.0;
/// Trials that a chart draws at most.
const MOST: usize = 1000;

/// How a trial ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TrialState {
    /// It ran to its end.
    Complete,
    /// It was pruned because others were better at the same step.
    Pruned,
    /// It has no value.
    Failed,
}

/// One trial of a search.
#[derive(Debug, Clone, Copy)]
pub struct TrialPoint {
    /// Its number.
    pub number: u64,
    /// Its result; NaN if it failed.
    pub value: f64,
    /// How it ended.
    pub state: TrialState,
}

/// The trials of a hyper-parameter search.
#[derive(Debug, Clone, Copy)]
pub struct TrialsChart<'a> {
    /// The title of the chart.
    pub title: &'a str,
    /// The quantity of the values, with its unit.
    pub value_label: &'a str,
    /// The trials.
    pub trials: &'a [TrialPoint],
    /// Whether larger values are better.
    pub maximize: bool,
    /// The value of the first trial, drawn as a line to compare with.
    pub first_value: Option<f64>,
}

/// Draws the value of each trial over its number, with the best value so far as a stepped line.
/// Failed trials are crosses on the axis; pruned ones do not count as best. Of more than 1,000 trials those are drawn that keep
/// every region occupied, and the title says how many.
pub fn trials(spec: &TrialsChart<'_>) -> Svg {
    let mut ordered = spec.trials.to_vec();
    ordered.sort_by_key(|trial| trial.number);
    let has = |state| ordered.iter().any(|trial| trial.state == state);
    let mut entries = vec![
        LegendEntry::new("trial", Mark::Disc(bar_colour())),
        LegendEntry::new("best so far", Mark::Line(best_stroke())),
    ];
    if has(TrialState::Pruned) {
        entries.push(LegendEntry::new("pruned", Mark::Ring(ring_stroke())));
    }
    if has(TrialState::Failed) {
        entries.push(LegendEntry::new("failed", Mark::Cross(cross_stroke())));
    }
    let (drawn, n) = drawn(spec, &ordered);
    let title = thinned_title(spec.title, drawn.len(), n);
    let header = Header::new(&title, entries, HALF_WIDTH);
    let top = header.height() + 28.0;
    let area = Area {
        left: 58.0,
        top,
        right: HALF_WIDTH - 18.0,
        bottom: top + PLOT_HEIGHT,
    };
    let size = (HALF_WIDTH, area.bottom + 50.0);
    draw_svg(&title, &description(spec), size, |canvas| {
        header.draw(canvas);
        draw_trials(canvas, area, spec, (&ordered, &drawn))
    })
}

fn best_stroke() -> Stroke {
    Stroke::new(series_colour(1), 2.0)
}

fn ring_stroke() -> Stroke {
    Stroke::new(INK, 1.5).opacity(0.55)
}

fn cross_stroke() -> Stroke {
    Stroke::new(series_colour(1), 1.75)
}

/// The trials to draw, and how many there are with a mark.
fn drawn(spec: &TrialsChart<'_>, ordered: &[TrialPoint]) -> (Vec<TrialPoint>, usize) {
    let marked = |trial: &&TrialPoint| trial.state == TrialState::Failed || trial.value.is_finite();
    let marked: Vec<TrialPoint> = ordered.iter().filter(marked).copied().collect();
    let numbers = Range::of(marked.iter().map(|trial| trial.number as f64));
    let values = Range::of(marked.iter().map(|trial| trial.value));
    let (Some(numbers), Some(values)) = (numbers, values) else {
        return (marked.clone(), marked.len());
    };
    let x = Scale::linear(numbers, 0.0, 360.0);
    let y = Scale::linear(values, PLOT_HEIGHT, 0.0);
    let place = |trial: &TrialPoint| match trial.state {
        TrialState::Failed => (x.at(trial.number as f64), PLOT_HEIGHT + 10.0),
        _ => (x.at(trial.number as f64), y.at(trial.value)),
    };
    let places: Vec<(f64, f64)> = marked.iter().map(place).collect();
    let steps = best_steps(&marked, spec.maximize);
    let best = steps.last().map(|(_, value)| *value);
    let is_best =
        |trial: &TrialPoint| trial.state == TrialState::Complete && Some(trial.value) == best;
    let kept: Vec<usize> = marked.iter().position(is_best).into_iter().collect();
    let chosen = thin(&places, MOST, &kept);
    (
        chosen.into_iter().map(|at| marked[at]).collect(),
        marked.len(),
    )
}

fn draw_trials(
    canvas: &mut Canvas,
    area: Area,
    spec: &TrialsChart<'_>,
    (ordered, drawn): (&[TrialPoint], &[TrialPoint]),
) {
    let values = ordered
        .iter()
        .filter(|trial| trial.state != TrialState::Failed)
        .map(|trial| trial.value);
    let Some(mut y_range) = Range::of(values) else {
        return draw_no_data(canvas, area);
    };
    if let Some(first) = spec.first_value {
        y_range = y_range.with(first);
    }
    let numbers = Range::of(ordered.iter().map(|trial| trial.number as f64));
    let numbers = numbers.unwrap_or(Range::new(0.0, 0.0));
    // Half a trial of space keeps the first and the last mark inside.
    let x_range = Range::new(numbers.low - 0.5, numbers.high + 0.5);
    let x = Scale::linear(x_range, area.left, area.right);
    let y = Scale::rounded(y_range, area.bottom, area.top, 5);
    let x_axis = Axis::whole(x, "trial", 8);
    draw_axes(canvas, area, &x_axis, &Axis::new(y, spec.value_label, 5));
    if let Some(first) = spec.first_value.filter(|first| first.is_finite()) {
        let words = format!("first trial {}", short_number(first));
        draw_limit(canvas, area, y.at(first), &words);
    }
    draw_curve(
        canvas,
        (&x, &y),
        best_steps(ordered, spec.maximize),
        best_stroke(),
    );
    for trial in drawn {
        let at = (x.at(trial.number as f64), y.at(trial.value));
        canvas.trial(trial.number, &trial_words(trial), |canvas| {
            match trial.state {
                TrialState::Failed => canvas.cross((at.0, area.bottom), 4.0, cross_stroke()),
                _ if !trial.value.is_finite() => {}
                TrialState::Complete => canvas.disc(at, 3.8, bar_colour(), 0.9),
                TrialState::Pruned => canvas.ring(at, 3.5, ring_stroke()),
            }
        });
    }
}

fn trial_words(trial: &TrialPoint) -> String {
    let value = format::significant(trial.value, 4);
    match trial.state {
        TrialState::Complete => format!("trial {}: {value}", trial.number),
        TrialState::Pruned => format!("trial {}: {value}, pruned", trial.number),
        TrialState::Failed => format!("trial {}: failed", trial.number),
    }
}

/// The corners of the line of the best value of all complete trials so far.
fn best_steps(ordered: &[TrialPoint], maximize: bool) -> Vec<(f64, f64)> {
    let mut steps: Vec<(f64, f64)> = Vec::new();
    let mut best: Option<f64> = None;
    for trial in ordered {
        let number = trial.number as f64;
        let counts = trial.state == TrialState::Complete && trial.value.is_finite();
        if let Some(best) = best {
            steps.push((number, best));
        }
        let is_better = |best: f64| {
            if maximize {
                trial.value > best
            } else {
                trial.value < best
            }
        };
        if counts && best.is_none_or(is_better) {
            best = Some(trial.value);
            steps.push((number, trial.value));
        }
    }
    steps
}

fn description(spec: &TrialsChart<'_>) -> String {
    let count = |state| {
        spec.trials
            .iter()
            .filter(|trial| trial.state == state)
            .count()
    };
    let values = spec
        .trials
        .iter()
        .filter(|trial| trial.state == TrialState::Complete)
        .map(|trial| trial.value);
    let best = Range::of(values).map_or_else(
        || "none".to_string(),
        |range| short_number(if spec.maximize { range.high } else { range.low }),
    );
    format!(
        "{} of {} trials: {} complete, {} pruned, {} failed; best value {best}.",
        spec.value_label,
        spec.trials.len(),
        count(TrialState::Complete),
        count(TrialState::Pruned),
        count(TrialState::Failed),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trial(number: u64, value: f64, state: TrialState) -> TrialPoint {
        TrialPoint {
            number,
            value,
            state,
        }
    }

    #[test]
    fn pruned_and_failed_trials_are_never_the_best() {
        let ordered = [
            trial(0, 0.5, TrialState::Complete),
            trial(1, 0.9, TrialState::Pruned),
            trial(2, f64::NAN, TrialState::Failed),
            trial(3, 0.7, TrialState::Complete),
        ];
        let steps = best_steps(&ordered, true);
        assert_eq!(steps.last(), Some(&(3.0, 0.7)));
        assert!(steps.iter().all(|step| step.1 < 0.9));
        let steps = best_steps(&ordered, false);
        assert_eq!(steps.last(), Some(&(3.0, 0.5)));
    }

    #[test]
    fn only_states_that_occur_are_in_the_legend() {
        let draw = |trials_: &[TrialPoint]| {
            let svg = trials(&TrialsChart {
                title: "Search",
                value_label: "validation accuracy (fraction)",
                trials: trials_,
                maximize: true,
                first_value: Some(0.6),
            });
            svg.into_string()
        };
        let svg = draw(&[trial(0, 0.5, TrialState::Complete)]);
        assert!(svg.contains("first trial 0.6") && !svg.contains(">pruned<"));
        assert!(draw(&[]).contains("no data"));
        assert!(draw(&[trial(0, f64::NAN, TrialState::Failed)]).contains("no data"));
    }
}
