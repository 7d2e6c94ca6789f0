use super::{Svg, TrialSet, TrialState, thinned_title};
use crate::ReportError;
use crate::drawing::{
    Anchor, Area, Axis, Canvas, HALF_WIDTH, Header, INK, LegendEntry, Mark, Range, Scale, Stroke,
    TextLook, bar_colour, draw_axes, draw_no_data, draw_svg, series_colour, thin,
};

const CHART: &str = "slice";
const PLOT_HEIGHT: f64 = 190.0;
/// Trials that a chart draws at most.
const MOST: usize = 600;
/// Room for the trials without the setting, in pixels.
const MISSING_ROOM: f64 = 46.0;
/// The left end of the plot, in pixels.
const LEFT: f64 = 58.0;

/// One setting of the trials against one objective.
#[derive(Debug, Clone, Copy)]
pub struct SliceChart<'a> {
    /// The title of the chart.
    pub title: &'a str,
    /// The trials.
    pub trials: &'a TrialSet,
    /// The position of the setting in the set.
    pub setting: usize,
    /// The position of the objective in the set.
    pub objective: usize,
}

/// Draws the value of each trial over one of its settings. Complete trials are discs, pruned ones rings, and the best one
/// stands out; trials without the setting are left of the axis. Of more than 600 trials those are drawn that keep every region occupied, and the title
/// says how many.
///
/// # Errors
/// [`ReportError::LengthMismatch`] if a list does not have one entry for each trial,
/// [`ReportError::TooMany`] for a position behind the last setting or objective.
pub fn slice(spec: &SliceChart<'_>) -> Result<Svg, ReportError> {
    spec.trials.check(CHART)?;
    let setting = super::of_list(CHART, "settings", &spec.trials.settings, spec.setting)?;
    let objective = super::of_list(CHART, "objectives", &spec.trials.objectives, spec.objective)?;
    let has_value = |trial: &usize| objective.values[*trial].is_finite();
    let shown: Vec<usize> = (0..spec.trials.numbers.len()).filter(has_value).collect();
    let best = spec.trials.ranked(objective).first().copied();
    let left = match setting.is_missing_somewhere() {
        true => LEFT + MISSING_ROOM,
        false => LEFT,
    };
    let area = |top| Area {
        left: LEFT,
        top,
        right: HALF_WIDTH - 18.0,
        bottom: top + PLOT_HEIGHT,
    };
    let axis = setting.axis(left, HALF_WIDTH - 18.0);
    let values = Range::of(shown.iter().map(|trial| objective.values[*trial]));
    let y = values.map(|range| Scale::rounded(range, PLOT_HEIGHT, 0.0, 4));
    let place = |trial: usize| {
        let value = setting.values[trial];
        let x = match value.is_finite() {
            true => axis.scale.at(value),
            false => LEFT + 14.0,
        };
        (x, y.map_or(0.0, |y| y.at(objective.values[trial])))
    };
    let places: Vec<(f64, f64)> = shown.iter().map(|trial| place(*trial)).collect();
    let kept: Vec<usize> = shown
        .iter()
        .position(|trial| Some(*trial) == best)
        .into_iter()
        .collect();
    let drawn: Vec<usize> = thin(&places, MOST, &kept)
        .into_iter()
        .map(|at| shown[at])
        .collect();
    let title = thinned_title(spec.title, drawn.len(), shown.len());
    let header = Header::new(&title, entries(spec.trials, &drawn), HALF_WIDTH);
    let area = area(header.height() + 28.0);
    let size = (HALF_WIDTH, area.bottom + 50.0);
    let description = format!(
        "{} over {} of {}.",
        objective.directed(),
        setting.label,
        crate::charts::counted_trials(shown.len())
    );
    Ok(draw_svg(&title, &description, size, |canvas| {
        header.draw(canvas);
        let Some(range) = values else {
            return draw_no_data(canvas, area);
        };
        let y = Scale::rounded(range, area.bottom, area.top, 4);
        let x_axis = Axis {
            scale: axis.scale,
            label: &setting.label,
            ticks: axis.ticks(6),
        };
        draw_axes(canvas, area, &x_axis, &Axis::new(y, &objective.label, 4));
        if setting.is_missing_somewhere() {
            let look = TextLook::new(11.5, Anchor::Middle).muted();
            let at = (LEFT + 14.0, area.bottom + 15.0);
            canvas.text("none", at, look);
        }
        for trial in drawn
            .iter()
            .copied()
            .filter(|trial| Some(*trial) != best)
            .chain(best)
        {
            let at = (place(trial).0, y.at(objective.values[trial]));
            let words = format!(
                "{}, {}",
                spec.trials.words(trial, objective),
                setting.shown(trial)
            );
            canvas.trial(spec.trials.numbers[trial], &words, |canvas| {
                draw_mark(canvas, at, spec.trials.states[trial], Some(trial) == best);
            });
        }
    }))
}

/// The marks that occur.
fn entries(trials: &TrialSet, drawn: &[usize]) -> Vec<LegendEntry> {
    let has = |state| drawn.iter().any(|trial| trials.states[*trial] == state);
    let mut entries = vec![LegendEntry::new("complete", Mark::Disc(bar_colour()))];
    if has(TrialState::Complete) {
        entries.push(LegendEntry::new("best", Mark::Disc(series_colour(1))));
    }
    if has(TrialState::Pruned) {
        entries.push(LegendEntry::new("pruned, last value", Mark::Ring(ring())));
    }
    entries
}

fn ring() -> Stroke {
    Stroke::new(INK, 1.5).opacity(0.5)
}

fn draw_mark(canvas: &mut Canvas, at: (f64, f64), state: TrialState, is_best: bool) {
    match state {
        _ if is_best => canvas.disc(at, 5.5, series_colour(1), 1.0),
        TrialState::Complete => canvas.disc(at, 3.8, bar_colour(), 0.7),
        TrialState::Pruned | TrialState::Failed => canvas.ring(at, 3.5, ring()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::charts::trial_set::tests::four_trials;

    fn draw(setting: usize, objective: usize) -> Result<Svg, ReportError> {
        slice(&SliceChart {
            title: "Slice",
            trials: &four_trials(),
            setting,
            objective,
        })
    }

    #[test]
    fn trials_with_a_value_are_marked_and_the_best_one_is_last() {
        let svg = draw(0, 0).unwrap().into_string();
        let numbers: Vec<&str> = svg.split("data-t=\"").skip(1).collect();
        assert_eq!(numbers.len(), 3);
        assert!(numbers[2].starts_with('3') && numbers[2].contains("#D55E00"));
        assert!(svg.contains("trial 1: 0.5, pruned, 1<") && svg.contains(">0.01<"));
        assert!(!svg.contains(">none<"));
        // The best in seconds is another one.
        assert!(draw(0, 1).unwrap().as_str().contains("data-t=\"0\""));
    }

    #[test]
    fn trials_without_the_setting_are_beside_the_axis_and_words_are_its_ticks() {
        assert!(draw(1, 0).unwrap().as_str().contains(">none<"));
        assert!(draw(2, 0).unwrap().as_str().contains(">adam<"));
        let error = draw(3, 0).unwrap_err().to_string();
        assert!(error.contains("settings"), "{error}");
    }

    #[test]
    fn very_many_trials_are_thinned_out_and_the_title_says_so() {
        let values = |step: usize| (0..5000).map(|i| ((i * step) % 4999) as f64).collect();
        let range = crate::charts::SettingScale::Linear {
            low: 0.0,
            high: 5000.0,
        };
        let trials = TrialSet {
            numbers: (0..5000).collect(),
            states: vec![TrialState::Complete; 5000],
            remarks: vec![String::new(); 5000],
            objectives: vec![crate::charts::TrialObjective {
                label: "loss".into(),
                maximize: false,
                values: values(7),
            }],
            settings: vec![crate::charts::TrialSetting {
                label: "x".into(),
                scale: range,
                values: values(1301),
            }],
        };
        let spec = SliceChart {
            title: "Slice",
            trials: &trials,
            setting: 0,
            objective: 0,
        };
        let svg = slice(&spec).unwrap().into_string();
        let n = svg.matches("data-t=").count();
        assert!((200..=MOST + 1).contains(&n), "{n}");
        assert!(svg.contains(&format!("Slice: {n} of 5,000 trials")));
    }
}
