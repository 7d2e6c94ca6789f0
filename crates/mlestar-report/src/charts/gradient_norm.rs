use super::over_time::{
    Chart, Panel, Values, check, first_and_last, limit_entry, mark_entry, marked_at,
    raw_and_smooth, raw_and_smooth_legend, smoothed_log,
};
use super::{Svg, TrainingMark};
use crate::ReportError;
use crate::drawing::short_number;

const CHART: &str = "gradient norm";

/// The global gradient norm at each step.
#[derive(Debug, Clone, Copy)]
pub struct GradientNormChart<'a> {
    /// The title of the chart.
    pub title: &'a str,
    /// The numbers of the steps.
    pub steps: &'a [f64],
    /// The norm at each step, before clipping.
    pub norms: &'a [f64],
    /// The norm to which longer gradients are clipped.
    pub clipped_to: Option<f64>,
    /// Steps to mark.
    pub marks: &'a [TrainingMark<'a>],
}

/// Draws the norm of every step as a thin line and the moving average of its logarithm as a thick line, on a
/// logarithmic axis. Norms of 0 are left out.
///
/// # Errors
/// [`ReportError::LengthMismatch`] if there is not one norm for each step, [`ReportError::TooMany`] above 200
/// marks.
pub fn gradient_norm(spec: &GradientNormChart<'_>) -> Result<Svg, ReportError> {
    check(CHART, spec.steps, &[("norms", spec.norms)], spec.marks)?;
    let smooth = smoothed_log(spec.norms);
    let legend = raw_and_smooth_legend();
    let finite = spec.clipped_to.filter(|limit| limit.is_finite());
    let clipped = finite.map(|limit| limit_entry(format!("clipped to {}", short_number(limit))));
    let description = format!(
        "The gradient norm over {} steps; its moving average goes {}{}.",
        spec.steps.len(),
        first_and_last(&smooth),
        marked_at(spec.marks)
    );
    Ok(Chart {
        title: spec.title,
        description,
        legend: legend
            .into_iter()
            .chain(clipped)
            .chain(mark_entry(spec.marks))
            .collect(),
        panels: vec![Panel {
            position_label: "step",
            value_label: "norm of all gradients (powers of ten)",
            positions: spec.steps,
            values: Values::Log,
            traces: raw_and_smooth(spec.norms, &smooth),
            marks: spec.marks,
            limit: spec.clipped_to,
        }],
    }
    .draw())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn norms_are_drawn_by_powers_of_ten_with_the_limit() {
        let svg = gradient_norm(&GradientNormChart {
            title: "Gradient norm",
            steps: &[1.0, 2.0, 3.0, 4.0],
            norms: &[0.001, 0.0, 1.0, 1000.0],
            clipped_to: Some(5.0),
            marks: &[],
        })
        .unwrap()
        .into_string();
        for text in [">0.001<", ">1,000<", "clipped to 5"] {
            assert!(svg.contains(text), "{text}: {svg}");
        }
        assert!(!svg.contains("finding"));
    }
}
