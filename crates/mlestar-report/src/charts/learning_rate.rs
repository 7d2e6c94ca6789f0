use super::{LineChart, LineSeries, Svg, lines};
use crate::ReportError;

/// The learning rate over a training.
#[derive(Debug, Clone, Copy)]
pub struct LearningRateChart<'a> {
    /// The title of the chart.
    pub title: &'a str,
    /// The positions: epochs or steps.
    pub positions: &'a [f64],
    /// The name of the positions: `epoch`, `step`.
    pub position_label: &'a str,
    /// The learning rate at each position.
    pub learning_rates: &'a [f64],
}

/// Draws the learning rate over time, on a logarithmic axis if it spans more than three powers of ten.
///
/// # Errors
/// [`ReportError::LengthMismatch`] if there is not one learning rate for each position.
pub fn learning_rate(spec: &LearningRateChart<'_>) -> Result<Svg, ReportError> {
    let finite = || {
        spec.learning_rates
            .iter()
            .copied()
            .filter(|rate| rate.is_finite())
    };
    let smallest = finite().fold(f64::INFINITY, f64::min);
    let largest = finite().fold(0.0, f64::max);
    lines(&LineChart {
        title: spec.title,
        x_label: spec.position_label,
        y_label: "learning rate",
        x_log: false,
        y_log: smallest > 0.0 && largest / smallest > 1e3,
        series: &[LineSeries {
            label: "learning rate",
            x: spec.positions,
            y: spec.learning_rates,
        }],
        markers: false,
        y_limit: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wide_schedules_are_drawn_by_powers_of_ten() {
        let draw = |rates: &[f64]| {
            let positions: Vec<f64> = (0..rates.len()).map(|index| index as f64).collect();
            let svg = learning_rate(&LearningRateChart {
                title: "Learning rate",
                positions: &positions,
                position_label: "epoch",
                learning_rates: rates,
            });
            svg.unwrap().into_string()
        };
        assert!(draw(&[1e-6, 1e-3, 1e-1]).contains("1e-6"));
        assert!(draw(&[0.0, 0.001]).contains("0.0002"));
        assert!(draw(&[]).contains("no data"));
    }
}
