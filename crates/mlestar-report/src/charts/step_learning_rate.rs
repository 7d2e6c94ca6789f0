use super::over_time::{
    Chart, Panel, Trace, Values, check, first_and_last, main_stroke, mark_entry, marked_at,
};
use super::{Svg, TrainingMark};
use crate::ReportError;

const CHART: &str = "learning rate of each step";

/// The learning rate of each step.
#[derive(Debug, Clone, Copy)]
pub struct StepLearningRateChart<'a> {
    /// The title of the chart.
    pub title: &'a str,
    /// The numbers of the steps.
    pub steps: &'a [f64],
    /// The learning rate of each step.
    pub learning_rates: &'a [f64],
    /// Steps to mark.
    pub marks: &'a [TrainingMark<'a>],
}

/// Draws the actual learning rate of each step.
///
/// # Errors
/// [`ReportError::LengthMismatch`] if there is not one rate for each step, [`ReportError::TooMany`] above 200
/// marks.
pub fn step_learning_rate(spec: &StepLearningRateChart<'_>) -> Result<Svg, ReportError> {
    let columns = [("learning_rates", spec.learning_rates)];
    check(CHART, spec.steps, &columns, spec.marks)?;
    let description = format!(
        "The learning rate over {} steps, {}{}.",
        spec.steps.len(),
        first_and_last(spec.learning_rates),
        marked_at(spec.marks)
    );
    Ok(Chart {
        title: spec.title,
        description,
        legend: mark_entry(spec.marks).into_iter().collect(),
        panels: vec![Panel {
            position_label: "step",
            value_label: "learning rate",
            positions: spec.steps,
            values: Values::FromZero,
            traces: vec![Trace {
                values: spec.learning_rates,
                stroke: main_stroke(2),
                is_dense: true,
            }],
            marks: spec.marks,
            limit: None,
        }],
    }
    .draw())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_schedule_is_a_short_curve() {
        let steps: Vec<f64> = (1..=100_000).map(f64::from).collect();
        let rates: Vec<f64> = steps
            .iter()
            .map(|step| 0.1 * (1.0 + (step / 3.2e4).cos()))
            .collect();
        let svg = step_learning_rate(&StepLearningRateChart {
            title: "Learning rate",
            steps: &steps,
            learning_rates: &rates,
            marks: &[TrainingMark {
                at: 50_000.0,
                label: "1",
            }],
        })
        .unwrap();
        assert!(svg.as_str().len() < 20_000, "{}", svg.as_str().len());
        assert!(svg.as_str().contains(">learning rate<"));
    }
}
