use super::over_time::{
    Chart, Panel, Values, check, first_and_last, mark_entry, marked_at, raw_and_smooth,
    raw_and_smooth_legend, smoothed, smoothed_log,
};
use super::{Svg, TrainingMark};
use crate::ReportError;

const CHART: &str = "loss of each step";
/// Losses that span more than this factor have a logarithmic axis.
const WIDE: f64 = 20.0;

/// The training loss of each step.
#[derive(Debug, Clone, Copy)]
pub struct StepLossChart<'a> {
    /// The title of the chart.
    pub title: &'a str,
    /// The numbers of the steps.
    pub steps: &'a [f64],
    /// The mean loss of each step's images, in nats.
    pub losses: &'a [f64],
    /// Steps to mark.
    pub marks: &'a [TrainingMark<'a>],
}

/// Draws the loss of every step as a thin line and its moving average as a thick line, on a logarithmic axis if
/// the average spans more than a factor of 20.
///
/// # Errors
/// [`ReportError::LengthMismatch`] if there is not one loss for each step, [`ReportError::TooMany`] above 200
/// marks.
pub fn step_loss(spec: &StepLossChart<'_>) -> Result<Svg, ReportError> {
    check(CHART, spec.steps, &[("losses", spec.losses)], spec.marks)?;
    let finite = || spec.losses.iter().copied().filter(|loss| loss.is_finite());
    let low = finite().fold(f64::INFINITY, f64::min);
    let high = finite().fold(0.0, f64::max);
    let is_log = low > 0.0 && high / low > WIDE;
    let smooth = if is_log {
        smoothed_log(spec.losses)
    } else {
        smoothed(spec.losses)
    };
    let legend = raw_and_smooth_legend();
    let description = format!(
        "The training loss over {} steps; its moving average goes {}{}.",
        spec.steps.len(),
        first_and_last(&smooth),
        marked_at(spec.marks)
    );
    Ok(Chart {
        title: spec.title,
        description,
        legend: legend.into_iter().chain(mark_entry(spec.marks)).collect(),
        panels: vec![Panel {
            position_label: "step",
            value_label: "training loss (nats)",
            positions: spec.steps,
            values: if is_log {
                Values::Log
            } else {
                Values::FromZero
            },
            traces: raw_and_smooth(spec.losses, &smooth),
            marks: spec.marks,
            limit: None,
        }],
    }
    .draw())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draw(losses: &[f64]) -> String {
        let steps: Vec<f64> = (1..=losses.len()).map(|step| step as f64).collect();
        let marks = [TrainingMark {
            at: 3.0,
            label: "7",
        }];
        let svg = step_loss(&StepLossChart {
            title: "Loss",
            steps: &steps,
            losses,
            marks: &marks,
        });
        svg.unwrap().into_string()
    }

    #[test]
    fn wide_losses_are_drawn_by_powers_of_ten_and_marks_are_labelled() {
        let narrow = draw(&[2.0, 1.0, 0.5, 0.4]);
        assert!(narrow.contains(">0.0<") && narrow.contains(">7<") && narrow.contains("finding"));
        assert!(draw(&[2.0, 0.3, 0.02, 0.002]).contains(">0.01<"));
        assert!(draw(&[f64::NAN]).contains("no data"));
    }

    #[test]
    fn a_hundred_thousand_noisy_steps_stay_small() {
        let losses: Vec<f64> = (0..100_000_u32)
            .map(|i| 0.1 + 2.0 * (-f64::from(i) / 3e4).exp() + f64::from(i * 7919 % 1000) / 1e4)
            .collect();
        let svg = draw(&losses);
        assert!(svg.len() < 60_000, "{} bytes", svg.len());
    }
}
