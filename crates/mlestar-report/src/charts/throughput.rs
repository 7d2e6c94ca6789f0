use super::over_time::{
    Chart, Panel, Trace, Values, check, limit_entry, main_stroke, mark_entry, marked_at,
};
use super::{Svg, TrainingMark};
use crate::ReportError;
use crate::drawing::{Range, short_number};
use mlestar_eval::median;

const CHART: &str = "throughput";

/// Training images per second in each epoch.
#[derive(Debug, Clone, Copy)]
pub struct ThroughputChart<'a> {
    /// The title of the chart.
    pub title: &'a str,
    /// The numbers of the epochs.
    pub epochs: &'a [f64],
    /// Training images per second in each epoch.
    pub images_per_second: &'a [f64],
    /// Epochs to mark.
    pub marks: &'a [TrainingMark<'a>],
}

/// Draws the speed of each epoch on an axis that starts at 0, with its median as a level.
///
/// # Errors
/// [`ReportError::LengthMismatch`] if there is not one speed for each epoch, [`ReportError::TooMany`] above 200
/// marks.
pub fn throughput(spec: &ThroughputChart<'_>) -> Result<Svg, ReportError> {
    let columns = [("images_per_second", spec.images_per_second)];
    check(CHART, spec.epochs, &columns, spec.marks)?;
    let speeds = spec.images_per_second.iter().copied();
    let median = median(&speeds.filter(|speed| speed.is_finite()).collect::<Vec<_>>());
    let range = Range::of(spec.images_per_second.iter().copied());
    let spread = range.map_or_else(String::new, |range| {
        let (low, high) = (short_number(range.low), short_number(range.high));
        format!(", between {low} and {high}")
    });
    let description = format!(
        "Training images per second in {} epochs{spread}{}.",
        spec.epochs.len(),
        marked_at(spec.marks)
    );
    Ok(Chart {
        title: spec.title,
        description,
        legend: median
            .map(|median| limit_entry(format!("median {}", short_number(median))))
            .into_iter()
            .chain(mark_entry(spec.marks))
            .collect(),
        panels: vec![Panel {
            position_label: "epoch",
            value_label: "training speed (images/s)",
            positions: spec.epochs,
            values: Values::FromZero,
            traces: vec![Trace {
                values: spec.images_per_second,
                stroke: main_stroke(0),
                is_dense: false,
            }],
            marks: spec.marks,
            limit: median,
        }],
    }
    .draw())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_axis_begins_at_zero_and_the_median_is_a_level() {
        let svg = throughput(&ThroughputChart {
            title: "Speed",
            epochs: &[1.0, 2.0, 3.0],
            images_per_second: &[240.0, 260.0, 120.0],
            marks: &[TrainingMark {
                at: 3.0,
                label: "1",
            }],
        })
        .unwrap()
        .into_string();
        for text in [">0<", "median 240", "(images/s)", "marked at 3"] {
            assert!(svg.contains(text), "{text}");
        }
    }
}
