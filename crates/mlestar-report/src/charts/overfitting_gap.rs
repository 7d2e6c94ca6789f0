use super::over_time::{
    Chart, Panel, Trace, Values, check, first_and_last, main_stroke, mark_entry, marked_at,
    reference_stroke,
};
use super::{Svg, TrainingMark};
use crate::ReportError;
use crate::drawing::{LegendEntry, Mark};

const CHART: &str = "overfitting gap";

/// How much worse a network is on validation images than on training images.
#[derive(Debug, Clone, Copy)]
pub struct OverfittingGapChart<'a> {
    /// The title of the chart.
    pub title: &'a str,
    /// The numbers of the epochs.
    pub epochs: &'a [f64],
    /// Validation loss minus training loss of each epoch, in nats.
    pub loss_gap: &'a [f64],
    /// Training accuracy minus validation accuracy of each epoch, as a fraction.
    pub accuracy_gap: &'a [f64],
    /// Epochs to mark.
    pub marks: &'a [TrainingMark<'a>],
}

/// Draws both gaps side by side; above 0, the network is better on the training images.
///
/// # Errors
/// [`ReportError::LengthMismatch`] if there is not one gap for each epoch, [`ReportError::TooMany`] above 200
/// marks.
pub fn overfitting_gap(spec: &OverfittingGapChart<'_>) -> Result<Svg, ReportError> {
    let columns = [
        ("loss_gap", spec.loss_gap),
        ("accuracy_gap", spec.accuracy_gap),
    ];
    check(CHART, spec.epochs, &columns, spec.marks)?;
    let zeros = |values: &[f64]| -> Vec<f64> {
        let zero = |value: &f64| if value.is_finite() { 0.0 } else { f64::NAN };
        values.iter().map(zero).collect()
    };
    let (loss_zeros, accuracy_zeros) = (zeros(spec.loss_gap), zeros(spec.accuracy_gap));
    let description = format!(
        "The gap between validation and training over {} epochs: loss {}, accuracy {}{}.",
        spec.epochs.len(),
        first_and_last(spec.loss_gap),
        first_and_last(spec.accuracy_gap),
        marked_at(spec.marks)
    );
    let panel = |value_label, values, zeros, colour| Panel {
        position_label: "epoch",
        value_label,
        positions: spec.epochs,
        values: Values::FromZero,
        traces: vec![
            Trace {
                values: zeros,
                stroke: reference_stroke(),
                is_dense: false,
            },
            Trace {
                values,
                stroke: main_stroke(colour),
                is_dense: false,
            },
        ],
        marks: spec.marks,
        limit: None,
    };
    let no_gap = LegendEntry::new("no gap", Mark::Line(reference_stroke()));
    Ok(Chart {
        title: spec.title,
        description,
        legend: [no_gap].into_iter().chain(mark_entry(spec.marks)).collect(),
        panels: vec![
            panel(
                "validation loss less training loss (nats)",
                spec.loss_gap,
                &loss_zeros,
                0,
            ),
            panel(
                "training accuracy less validation accuracy (fraction)",
                spec.accuracy_gap,
                &accuracy_zeros,
                2,
            ),
        ],
    }
    .draw())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_gaps_are_drawn_around_zero() {
        let svg = overfitting_gap(&OverfittingGapChart {
            title: "Gap",
            epochs: &[1.0, 2.0, 3.0],
            loss_gap: &[-0.2, 0.1, 0.6],
            accuracy_gap: &[-0.05, 0.0, 0.12],
            marks: &[],
        })
        .unwrap()
        .into_string();
        assert_eq!(
            svg.matches(">0.0<").count() + svg.matches(">0.00<").count(),
            2,
            "{svg}"
        );
        for text in ["(nats)", "(fraction)", "no gap", "loss from -0.2 to 0.6"] {
            assert!(svg.contains(text), "{text}");
        }
    }
}
