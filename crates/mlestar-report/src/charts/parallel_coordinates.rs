use super::{MAX_ITEMS, Svg, check_count, check_length};
use crate::drawing::{
    Anchor, Area, Canvas, HALF_WIDTH, Header, INK, LegendEntry, Mark, Range, Scale, Stroke,
    TextLook, bar_colour, draw_no_data, draw_svg, series_colour, short_number, truncate,
};
use crate::{ReportError, format};

const CHART: &str = "parallel coordinates";
const SIDE: f64 = 34.0;
/// Distance between two axes, in pixels.
const PITCH: f64 = 66.0;
const LABEL_SIZE: f64 = 12.0;
const TICK_SIZE: f64 = 11.5;
/// Values that span more than this factor have a logarithmic axis.
const WIDE: f64 = 30.0;

/// One setting that differs between trials.
#[derive(Debug, Clone, Copy)]
pub struct ParallelAxis<'a> {
    /// Its name.
    pub label: &'a str,
    /// Its value in each trial, as text: a number or a word.
    pub values: &'a [String],
}

/// The trials of a search, each a line through its settings to its result.
#[derive(Debug, Clone, Copy)]
pub struct ParallelCoordinates<'a> {
    /// The title of the chart.
    pub title: &'a str,
    /// The settings, from the top.
    pub axes: &'a [ParallelAxis<'a>],
    /// The quantity of the results, with its unit.
    pub value_label: &'a str,
    /// The number of each trial.
    pub numbers: &'a [u64],
    /// The result of each trial, larger is better; NaN for a trial without a result, which is not drawn.
    pub values: &'a [f64],
}

/// Draws a horizontal axis for each setting and one for the result, one above the other so that a narrow page has room
/// for them, and each trial as a line from the top to the bottom: the better, the more it stands out. Of more than 400 trials the best are drawn.
///
/// # Errors
/// [`ReportError::LengthMismatch`] if an axis or the numbers do not have one value for each trial,
/// [`ReportError::TooMany`] above 400 settings.
pub fn parallel_coordinates(spec: &ParallelCoordinates<'_>) -> Result<Svg, ReportError> {
    check_count(CHART, "settings", spec.axes.len(), MAX_ITEMS)?;
    let expected = (spec.values.len(), "one for each trial");
    check_length(CHART, "numbers", spec.numbers.len(), expected)?;
    for axis in spec.axes {
        check_length(CHART, axis.label, axis.values.len(), expected)?;
    }
    let trials = shown_trials(spec);
    let entries = vec![
        LegendEntry::new("best trial", Mark::Line(stroke(1.0, true))),
        LegendEntry::new(
            "others, the better the stronger",
            Mark::Line(stroke(0.7, false)),
        ),
    ];
    let header = Header::new(spec.title, entries, HALF_WIDTH);
    let area = Area {
        left: SIDE,
        top: header.height() + 30.0,
        right: HALF_WIDTH - SIDE,
        bottom: header.height() + 30.0 + PITCH * spec.axes.len() as f64,
    };
    let size = (HALF_WIDTH, area.bottom.max(area.top + 100.0) + 34.0);
    let description = description(spec, &trials);
    Ok(draw_svg(spec.title, &description, size, |canvas| {
        header.draw(canvas);
        let Some(scales) = scales(spec, &trials, area) else {
            let bottom = area.top + 100.0;
            return draw_no_data(canvas, Area { bottom, ..area });
        };
        // The best one is last, on top of the others.
        for (rank, &trial) in trials.iter().enumerate().rev() {
            let share = 1.0 - rank as f64 / trials.len() as f64;
            let corners: Vec<(f64, f64)> = scales
                .iter()
                .enumerate()
                .map(|(index, axis)| (axis.at(trial), area.top + PITCH * index as f64))
                .collect();
            canvas.titled(&trial_words(spec, trial), |canvas| {
                canvas.polyline(&corners, stroke(share, rank == 0));
            });
        }
        for (index, axis) in scales.iter().enumerate() {
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

/// The trials with a result, best first; of very many, only the best.
fn shown_trials(spec: &ParallelCoordinates<'_>) -> Vec<usize> {
    let all = 0..spec.values.len();
    let mut trials: Vec<usize> = all
        .filter(|trial| spec.values[*trial].is_finite())
        .collect();
    trials.sort_by(|&a, &b| spec.values[b].total_cmp(&spec.values[a]));
    trials.truncate(MAX_ITEMS);
    trials
}

/// One axis as drawn.
struct DrawnAxis<'a> {
    label: &'a str,
    /// The position of each trial; NaN if it has none.
    places: Vec<f64>,
    /// Labels below the axis and their positions.
    ticks: Vec<(f64, String)>,
}

impl DrawnAxis<'_> {
    fn at(&self, trial: usize) -> f64 {
        self.places[trial]
    }

    fn draw(&self, canvas: &mut Canvas, area: Area, y: f64) {
        let line = Stroke::new(INK, 1.0).opacity(0.55);
        canvas.line((area.left, y), (area.right, y), line);
        let look = TextLook::new(LABEL_SIZE, Anchor::Start);
        let label = truncate(self.label, area.width(), LABEL_SIZE);
        canvas.text(&label, (area.left - 22.0, y - 13.0), look);
        let room = area.width() / self.ticks.len().max(1) as f64;
        for (x, words) in &self.ticks {
            canvas.line((*x, y - 4.0), (*x, y + 4.0), line);
            let look = TextLook::new(TICK_SIZE, Anchor::Middle).muted();
            canvas.text(
                &truncate(words, room.max(50.0), TICK_SIZE),
                (*x, y + 14.0),
                look,
            );
        }
    }
}

/// The axes of the settings and of the result; `None` if there is no trial to draw.
fn scales<'a>(
    spec: &ParallelCoordinates<'a>,
    trials: &[usize],
    area: Area,
) -> Option<Vec<DrawnAxis<'a>>> {
    if trials.is_empty() {
        return None;
    }
    let settings = spec.axes.iter().map(|axis| {
        let numbers: Vec<f64> = axis
            .values
            .iter()
            .map(|value| value.parse().unwrap_or(f64::NAN))
            .collect();
        match trials.iter().all(|trial| numbers[*trial].is_finite()) {
            true => number_axis(axis.label, &numbers, trials, area),
            false => word_axis(axis, trials, area),
        }
    });
    let result = number_axis(spec.value_label, spec.values, trials, area);
    Some(settings.chain([result]).collect())
}

fn number_axis<'a>(label: &'a str, numbers: &[f64], trials: &[usize], area: Area) -> DrawnAxis<'a> {
    let shown = trials.iter().map(|trial| numbers[*trial]);
    // There is a trial, and its number is finite.
    let range = Range::of(shown).unwrap_or(Range::new(0.0, 1.0));
    let scale = match range.low > 0.0 && range.high / range.low > WIDE {
        true => Scale::log(range, area.left, area.right),
        false => Scale::linear(range, area.left, area.right),
    };
    let mut ends = vec![range.low, range.high];
    ends.dedup();
    DrawnAxis {
        label,
        places: numbers.iter().map(|number| scale.at(*number)).collect(),
        ticks: ends
            .iter()
            .map(|end| (scale.at(*end), short_number(*end)))
            .collect(),
    }
}

fn word_axis<'a>(axis: &ParallelAxis<'a>, trials: &[usize], area: Area) -> DrawnAxis<'a> {
    let mut words: Vec<&String> = trials.iter().map(|trial| &axis.values[*trial]).collect();
    words.sort();
    words.dedup();
    let place = |word: &String| {
        let index = words.iter().position(|other| *other == word);
        let share = index.map_or(f64::NAN, |index| (index as f64 + 0.5) / words.len() as f64);
        area.left + share * area.width()
    };
    DrawnAxis {
        label: axis.label,
        places: axis.values.iter().map(place).collect(),
        ticks: words
            .iter()
            .map(|word| (place(word), (*word).clone()))
            .collect(),
    }
}

fn trial_words(spec: &ParallelCoordinates<'_>, trial: usize) -> String {
    let settings = spec
        .axes
        .iter()
        .map(|axis| format!("{} = {}", axis.label, axis.values[trial]));
    let settings: Vec<String> = settings.collect();
    format!(
        "trial {}: {}; {}",
        spec.numbers[trial],
        format::significant(spec.values[trial], 4),
        settings.join(", ")
    )
}

fn description(spec: &ParallelCoordinates<'_>, trials: &[usize]) -> String {
    match trials.first() {
        Some(best) => format!(
            "{} trials over {} settings and {}. The best one is {}.",
            trials.len(),
            spec.axes.len(),
            spec.value_label,
            trial_words(spec, *best)
        ),
        None => format!("Settings and {} of trials: no data.", spec.value_label),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(values: &[&str]) -> Vec<String> {
        values.iter().map(|value| (*value).to_owned()).collect()
    }

    #[test]
    fn each_trial_is_a_line_and_the_best_one_lies_on_top() {
        let rates = texts(&["0.001", "0.1", "0.01"]);
        let optimizers = texts(&["sgd", "adam", "sgd"]);
        let axes = [
            ParallelAxis {
                label: "learning rate",
                values: &rates,
            },
            ParallelAxis {
                label: "optimizer",
                values: &optimizers,
            },
        ];
        let svg = parallel_coordinates(&ParallelCoordinates {
            title: "Settings of the trials",
            axes: &axes,
            value_label: "accuracy (fraction)",
            numbers: &[0, 1, 2],
            values: &[0.8, f64::NAN, 0.9],
        })
        .unwrap()
        .into_string();
        // The trial without a result is left out.
        assert_eq!(svg.matches("<polyline ").count(), 2);
        let titles: Vec<&str> = svg.split("<g><title>").skip(1).collect();
        assert!(titles[0].starts_with("trial 0: 0.8; learning rate = 0.001, optimizer = sgd"));
        assert!(titles[1].starts_with("trial 2: 0.9") && titles[1].contains("#D55E00"));
        for tick in [">0.001<", ">0.01<", ">sgd<", ">0.8<", ">0.9<"] {
            assert!(svg.contains(tick), "{tick}");
        }
        assert!(!svg.contains(">adam<") && !svg.contains("NaN"));
    }

    #[test]
    fn nothing_is_no_data_and_unequal_lengths_are_refused() {
        let spec = ParallelCoordinates {
            title: "t",
            axes: &[],
            value_label: "accuracy (fraction)",
            numbers: &[0],
            values: &[f64::NAN],
        };
        assert!(
            parallel_coordinates(&spec)
                .unwrap()
                .as_str()
                .contains("no data")
        );
        let axes = [ParallelAxis {
            label: "dropout",
            values: &[],
        }];
        let error = parallel_coordinates(&ParallelCoordinates {
            axes: &axes,
            ..spec
        })
        .unwrap_err();
        assert!(error.to_string().contains("dropout"), "{error}");
    }
}
