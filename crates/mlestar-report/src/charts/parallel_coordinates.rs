use super::{MAX_ITEMS, Svg, TrialObjective, TrialSet, TrialSetting, thinned_title};
use crate::drawing::{
    Anchor, Area, Canvas, HALF_WIDTH, Header, INK, LegendEntry, Mark, Range, Scale, Stroke,
    TextLook, Tick, bar_colour, draw_no_data, draw_svg, series_colour, short_number, truncate,
};
use crate::{ReportError, format};

const CHART: &str = "parallel coordinates";
const SIDE: f64 = 34.0;
/// Distance between two axes, in pixels.
const PITCH: f64 = 66.0;
const LABEL_SIZE: f64 = 12.0;
const TICK_SIZE: f64 = 11.5;
/// Results that span more than this factor have a logarithmic axis.
const WIDE: f64 = 30.0;
/// Room for the trials without a setting, in pixels.
const MISSING_ROOM: f64 = 40.0;

/// The trials of a search, each a line through its settings to its result.
#[derive(Debug, Clone, Copy)]
pub struct ParallelCoordinates<'a> {
    /// The title of the chart.
    pub title: &'a str,
    /// The trials. Only complete ones are drawn.
    pub trials: &'a TrialSet,
    /// The position of the objective in the set.
    pub objective: usize,
}

/// Draws a horizontal axis for each setting and one for the result, one above the other so that a narrow page has room
/// for them, and each complete trial as a line from the top to the bottom: the better, the more it stands out. A trial without a setting
/// crosses that axis at its left end. Of more than 400 trials the 200 best are drawn and as many of the others, and the title says so.
///
/// # Errors
/// [`ReportError::LengthMismatch`] if a list does not have one entry for each trial,
/// [`ReportError::TooMany`] above 400 settings or without such an objective.
pub fn parallel_coordinates(spec: &ParallelCoordinates<'_>) -> Result<Svg, ReportError> {
    spec.trials.check(CHART)?;
    let objective = super::of_list(CHART, "objectives", &spec.trials.objectives, spec.objective)?;
    let ranked = spec.trials.ranked(objective);
    let trials = shown_trials(&ranked);
    let entries = vec![
        LegendEntry::new("best trial", Mark::Line(stroke(1.0, true))),
        LegendEntry::new(
            "others, the better the stronger",
            Mark::Line(stroke(0.7, false)),
        ),
    ];
    let title = thinned_title(spec.title, trials.len(), ranked.len());
    let header = Header::new(&title, entries, HALF_WIDTH);
    let area = Area {
        left: SIDE,
        top: header.height() + 30.0,
        right: HALF_WIDTH - SIDE,
        bottom: header.height() + 30.0 + PITCH * spec.trials.settings.len() as f64,
    };
    let size = (HALF_WIDTH, area.bottom.max(area.top + 100.0) + 34.0);
    let description = description(spec.trials, objective, &ranked);
    Ok(draw_svg(&title, &description, size, |canvas| {
        header.draw(canvas);
        if trials.is_empty() {
            let bottom = area.top + 100.0;
            return draw_no_data(canvas, Area { bottom, ..area });
        }
        let axes = axes(spec, objective, &ranked, area);
        // The best one is last, on top of the others.
        for (rank, &trial) in trials.iter().enumerate().rev() {
            let share = 1.0 - rank as f64 / trials.len() as f64;
            let corners: Vec<(f64, f64)> = axes
                .iter()
                .enumerate()
                .map(|(index, axis)| (axis.at(trial), area.top + PITCH * index as f64))
                .collect();
            canvas.trial(
                spec.trials.numbers[trial],
                &spec.trials.words(trial, objective),
                |canvas| canvas.polyline(&corners, stroke(share, rank == 0)),
            );
        }
        for (index, axis) in axes.iter().enumerate() {
            axis.draw(canvas, area, area.top + PITCH * index as f64);
        }
    }))
}

fn stroke(share: f64, best: bool) -> Stroke {
    match best {
        true => Stroke::new(series_colour(1), 3.0),
        false => Stroke::new(bar_colour(), 1.75).opacity(0.15 + 0.7 * share),
    }
}

/// Of very many trials, which are ranked, the best half of what fits and every so many of the others.
fn shown_trials(ranked: &[usize]) -> Vec<usize> {
    if ranked.len() <= MAX_ITEMS {
        return ranked.to_vec();
    }
    let (best, others) = ranked.split_at(MAX_ITEMS / 2);
    let every = others.len().div_ceil(MAX_ITEMS / 2);
    let others = others.iter().step_by(every);
    best.iter().chain(others).copied().collect()
}

/// One axis as drawn.
struct DrawnAxis<'a> {
    label: &'a str,
    /// Its column in the table of trials: objectives first.
    column: usize,
    values: &'a [f64],
    scale: Scale,
    /// Where trials without a value are.
    missing: Option<f64>,
    ticks: Vec<Tick>,
}

impl DrawnAxis<'_> {
    fn at(&self, trial: usize) -> f64 {
        let value = self.values[trial];
        match self.missing {
            Some(missing) if !value.is_finite() => missing,
            _ => self.scale.at(value),
        }
    }

    fn draw(&self, canvas: &mut Canvas, area: Area, y: f64) {
        let from = self
            .missing
            .map_or(area.left, |missing| missing + MISSING_ROOM);
        let mut attributes = vec![
            ("label", self.label.to_owned()),
            ("column", self.column.to_string()),
            ("y", y.to_string()),
            ("from", from.to_string()),
            ("to", area.right.to_string()),
            ("low", format::six_digits(self.scale.low()).to_string()),
            ("high", format::six_digits(self.scale.high()).to_string()),
        ];
        if self.scale.is_log() {
            attributes.push(("log", "1".to_owned()));
        }
        if let Some(missing) = self.missing {
            attributes.push(("missing", missing.to_string()));
        }
        canvas.axis(&attributes, |canvas| self.draw_line(canvas, area, y));
    }

    fn draw_line(&self, canvas: &mut Canvas, area: Area, y: f64) {
        let line = Stroke::new(INK, 1.0).opacity(0.55);
        canvas.line((area.left, y), (area.right, y), line);
        let look = TextLook::new(LABEL_SIZE, Anchor::Start);
        let label = truncate(self.label, area.width(), LABEL_SIZE);
        canvas.text(&label, (area.left - 22.0, y - 13.0), look);
        let missing = self.missing.map(|x| (x, "none"));
        let ticks = self
            .ticks
            .iter()
            .map(|tick| (self.scale.at(tick.value), tick.label.as_str()));
        let room = area.width() / self.ticks.len().max(1) as f64;
        for (x, words) in missing.into_iter().chain(ticks) {
            canvas.line((x, y - 4.0), (x, y + 4.0), line);
            let look = TextLook::new(TICK_SIZE, Anchor::Middle).muted();
            let words = truncate(words, room.max(50.0), TICK_SIZE);
            canvas.text(&words, (x, y + 14.0), look);
        }
    }
}

/// The axes of the settings and of the result. There is at least one ranked trial.
fn axes<'a>(
    spec: &ParallelCoordinates<'a>,
    objective: &'a TrialObjective,
    ranked: &[usize],
    area: Area,
) -> Vec<DrawnAxis<'a>> {
    let n_objectives = spec.trials.objectives.len();
    let settings = spec.trials.settings.iter().enumerate();
    let settings =
        settings.map(|(index, setting)| setting_axis(setting, n_objectives + index, area));
    let results = ranked.iter().map(|trial| objective.values[*trial]);
    // There is a trial, and its result is finite.
    let range = Range::of(results).unwrap_or(Range::new(0.0, 1.0));
    let scale = match range.low > 0.0 && range.high / range.low > WIDE {
        true => Scale::log(range, area.left, area.right),
        false => Scale::linear(range, area.left, area.right),
    };
    let mut ends = vec![range.low, range.high];
    ends.dedup();
    let tick = |value| Tick {
        value,
        label: short_number(value),
    };
    let result = DrawnAxis {
        label: &objective.label,
        column: spec.objective,
        values: &objective.values,
        scale,
        missing: None,
        ticks: ends.into_iter().map(tick).collect(),
    };
    settings.chain([result]).collect()
}

fn setting_axis(setting: &TrialSetting, column: usize, area: Area) -> DrawnAxis<'_> {
    let missing = setting.is_missing_somewhere().then_some(area.left);
    let from = missing.map_or(area.left, |missing| missing + MISSING_ROOM);
    let axis = setting.axis(from, area.right);
    DrawnAxis {
        label: &setting.label,
        column,
        values: &setting.values,
        scale: axis.scale,
        missing,
        ticks: axis.ends(),
    }
}

fn description(trials: &TrialSet, objective: &TrialObjective, ranked: &[usize]) -> String {
    let Some(best) = ranked.first() else {
        return format!("Settings and {} of trials: no data.", objective.label);
    };
    let settings = trials.settings.iter();
    let settings: Vec<String> = settings
        .map(|setting| format!("{} = {}", setting.label, setting.shown(*best)))
        .collect();
    format!(
        "{} over {} settings and {}. The best one is trial {}: {}; {}.",
        super::counted_trials(ranked.len()),
        trials.settings.len(),
        objective.label,
        trials.numbers[*best],
        format::significant(objective.values[*best], 4),
        settings.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::charts::trial_set::tests::four_trials;

    fn draw(trials: &TrialSet) -> Result<Svg, ReportError> {
        parallel_coordinates(&ParallelCoordinates {
            title: "Settings of the trials",
            trials,
            objective: 0,
        })
    }

    #[test]
    fn each_complete_trial_is_a_line_and_the_best_one_lies_on_top() {
        let svg = draw(&four_trials()).unwrap().into_string();
        assert_eq!(svg.matches("<polyline ").count(), 2);
        let lines: Vec<&str> = svg.split("data-t=\"").skip(1).collect();
        assert!(lines[0].starts_with("0\"><title>trial 0: 0.8<"));
        assert!(lines[1].starts_with("3\"><title>trial 3: 0.9<") && lines[1].contains("#D55E00"));
        for tick in [
            ">1e-4<", ">1<", ">none<", ">sgd<", ">adam<", ">0.8<", ">0.9<",
        ] {
            assert!(svg.contains(tick), "{tick}");
        }
        assert!(
            svg.contains("rate = 0.01, momentum = 0.9, optimizer = sgd"),
            "{svg}"
        );
        assert!(!svg.contains("NaN"));
    }

    #[test]
    fn axes_say_where_they_are() {
        let svg = draw(&four_trials()).unwrap().into_string();
        let axes: Vec<&str> = svg.split("class=\"axis\"").skip(1).collect();
        assert_eq!(axes.len(), 4);
        assert!(axes[0].contains("data-low=\"0.0001\" data-high=\"1\" data-log=\"1\""));
        assert!(axes[1].contains("data-from=\"74\"") && axes[1].contains("data-missing=\"34\""));
        assert!(axes[2].contains("data-column=\"4\""));
        assert!(
            axes[3].contains("data-column=\"0\"") && axes[3].contains("data-label=\"accuracy\"")
        );
    }

    #[test]
    fn of_very_many_trials_the_best_half_and_some_others_are_drawn() {
        let ranked: Vec<usize> = (0..10_000).collect();
        let shown = shown_trials(&ranked);
        assert_eq!(shown.len(), MAX_ITEMS);
        assert_eq!(shown[..200], ranked[..200]);
        assert!(shown[399] > 9900);
    }

    #[test]
    fn nothing_is_no_data_and_unequal_lengths_are_refused() {
        let mut trials = four_trials();
        trials.objectives[0].values = vec![f64::NAN; 4];
        assert!(draw(&trials).unwrap().as_str().contains("no data"));
        trials.settings[0].values.pop();
        let error = draw(&trials).unwrap_err();
        assert!(error.to_string().contains("rate"), "{error}");
    }
}
