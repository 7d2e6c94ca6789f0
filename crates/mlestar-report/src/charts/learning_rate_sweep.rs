use super::{MAX_NAMED_CURVES, Svg, check_count, check_length};
use crate::ReportError;
use crate::drawing::{
    Area, Axis, Header, INK, LegendEntry, Mark, Range, Scale, Stroke, WIDE_WIDTH, draw_axes,
    draw_curve, draw_no_data, draw_spots, draw_svg, series_colour, short_number,
};

const CHART: &str = "learning rate sweep";
const PLOT_HEIGHT: f64 = 340.0;
/// The vertical axis covers this share of the raw losses, from the lowest.
const RAW_SHARE: f64 = 0.9;
/// Dashes distinguish the marks without colour; pixels on and off.
const MARK_DASHES: [&[f64]; 3] = [&[6.0, 3.0], &[2.0, 3.0], &[9.0, 3.0, 2.0, 3.0]];

/// A learning rate that a [`LearningRateSweep`] marks.
#[derive(Debug, Clone, Copy)]
pub struct SweepMark<'a> {
    /// Why it is marked.
    pub label: &'a str,
    /// The learning rate.
    pub learning_rate: f64,
}

/// The loss while the learning rate rises from step to step.
#[derive(Debug, Clone, Copy)]
pub struct LearningRateSweep<'a> {
    /// The title of the chart.
    pub title: &'a str,
    /// The learning rate of each step; those not above 0 are left out.
    pub learning_rates: &'a [f64],
    /// The loss of each step.
    pub losses: &'a [f64],
    /// The smoothed loss at each step.
    pub smoothed_losses: &'a [f64],
    /// Learning rates to mark; they are marked on the smoothed curve.
    pub marks: &'a [SweepMark<'a>],
}

/// Draws raw and smoothed loss over the learning rate on a logarithmic axis, with the marks as vertical lines.
///
/// The vertical axis covers the smoothed losses and nine tenths of the raw ones; higher raw losses are drawn at
/// its upper end.
///
/// # Errors
/// [`ReportError::LengthMismatch`] if there is not one loss and one smoothed loss for each learning rate,
/// [`ReportError::TooMany`] above ten marks.
pub fn learning_rate_sweep(spec: &LearningRateSweep<'_>) -> Result<Svg, ReportError> {
    let expected = (spec.learning_rates.len(), "one for each learning rate");
    check_length(CHART, "losses", spec.losses.len(), expected)?;
    check_length(
        CHART,
        "smoothed_losses",
        spec.smoothed_losses.len(),
        expected,
    )?;
    check_count(CHART, "marks", spec.marks.len(), MAX_NAMED_CURVES)?;
    let mut entries = vec![
        LegendEntry::new("smoothed loss", Mark::Line(smoothed_stroke())),
        LegendEntry::new("loss of the batch", Mark::Line(raw_stroke())),
    ];
    entries.extend(spec.marks.iter().enumerate().map(|(index, mark)| {
        let label = format!("{}: {}", mark.label, short_number(mark.learning_rate));
        LegendEntry::new(label, Mark::Line(mark_stroke(index)))
    }));
    let header = Header::new(spec.title, entries, WIDE_WIDTH);
    let top = header.height() + 28.0;
    let area = Area {
        left: 58.0,
        top,
        right: WIDE_WIDTH - 18.0,
        bottom: top + PLOT_HEIGHT,
    };
    let size = (WIDE_WIDTH, area.bottom + 50.0);
    Ok(draw_svg(spec.title, &description(spec), size, |canvas| {
        header.draw(canvas);
        let Some((x, y)) = scales(spec, area) else {
            return draw_no_data(canvas, area);
        };
        let x_axis = Axis::new(x, "learning rate", 10);
        let y_axis = Axis::new(y, "loss (mean over the batch)", 6);
        draw_axes(canvas, area, &x_axis, &y_axis);
        let rates = || spec.learning_rates.iter().copied();
        let raw = rates().zip(spec.losses.iter().copied());
        draw_curve(canvas, (&x, &y), raw, raw_stroke());
        for (index, mark) in spec.marks.iter().enumerate() {
            let rate = mark.learning_rate;
            if rate >= x.low() && rate <= x.high() {
                let at = x.at(rate);
                canvas.line((at, area.top), (at, area.bottom), mark_stroke(index));
            }
        }
        let smoothed = rates().zip(spec.smoothed_losses.iter().copied());
        draw_curve(canvas, (&x, &y), smoothed.clone(), smoothed_stroke());
        draw_spots(canvas, (&x, &y), smoothed, "smoothed loss");
        for (index, mark) in spec.marks.iter().enumerate() {
            if let Some(loss) = loss_at(spec, mark.learning_rate) {
                let at = (x.at(mark.learning_rate), y.at(loss));
                canvas.disc(at, 4.5, mark_stroke(index).colour, 1.0);
            }
        }
    }))
}

fn smoothed_stroke() -> Stroke {
    Stroke::new(series_colour(0), 2.5)
}

fn raw_stroke() -> Stroke {
    Stroke::new(INK, 1.0).opacity(0.4)
}

fn mark_stroke(index: usize) -> Stroke {
    // The first colour is that of the curve.
    Stroke::new(series_colour(index + 1), 1.75).dash(MARK_DASHES[index % MARK_DASHES.len()])
}

fn scales(spec: &LearningRateSweep<'_>, area: Area) -> Option<(Scale, Scale)> {
    let drawn = |losses: &[f64]| -> Vec<(f64, f64)> {
        let points = spec
            .learning_rates
            .iter()
            .copied()
            .zip(losses.iter().copied());
        points
            .filter(|(rate, loss)| rate.is_finite() && *rate > 0.0 && loss.is_finite())
            .collect()
    };
    let (mut raw, smoothed) = (drawn(spec.losses), drawn(spec.smoothed_losses));
    let x_range = Range::of(raw.iter().chain(&smoothed).map(|point| point.0))?;
    raw.sort_by(|a, b| a.1.total_cmp(&b.1));
    let n_raw = (raw.len() as f64 * RAW_SHARE).ceil() as usize;
    let losses = raw.iter().take(n_raw).chain(&smoothed).map(|point| point.1);
    let y_range = Range::of(losses)?;
    Some((
        Scale::log(x_range, area.left, area.right),
        Scale::rounded(y_range, area.bottom, area.top, 6),
    ))
}

/// The smoothed loss at a learning rate, between its neighbours.
fn loss_at(spec: &LearningRateSweep<'_>, rate: f64) -> Option<f64> {
    let points = spec.learning_rates.iter().zip(spec.smoothed_losses);
    let points: Vec<(f64, f64)> = points.map(|(&rate, &loss)| (rate, loss)).collect();
    let pair = points
        .windows(2)
        .find(|pair| pair[0].0 > 0.0 && pair[0].0 <= rate && rate <= pair[1].0)?;
    let share = if pair[0].0 == pair[1].0 {
        0.0
    } else {
        (rate / pair[0].0).ln() / (pair[1].0 / pair[0].0).ln()
    };
    let loss = pair[0].1 + share * (pair[1].1 - pair[0].1);
    loss.is_finite().then_some(loss)
}

fn description(spec: &LearningRateSweep<'_>) -> String {
    let rates = spec
        .learning_rates
        .iter()
        .copied()
        .filter(|rate| *rate > 0.0);
    let smoothed = Range::of(spec.smoothed_losses.iter().copied());
    let mut text = match (Range::of(rates), smoothed) {
        (Some(rates), Some(losses)) => format!(
            "Loss over the learning rate from {} to {}; the smoothed loss lies between {} and {}.",
            short_number(rates.low),
            short_number(rates.high),
            short_number(losses.low),
            short_number(losses.high)
        ),
        _ => "Loss over the learning rate: no data.".to_string(),
    };
    for mark in spec.marks {
        let rate = short_number(mark.learning_rate);
        text.push_str(&format!(" {}: {rate}.", mark.label));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATES: [f64; 6] = [1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0];

    fn spec<'a>(losses: &'a [f64], marks: &'a [SweepMark<'a>]) -> LearningRateSweep<'a> {
        LearningRateSweep {
            title: "Sweep",
            learning_rates: &RATES,
            losses,
            smoothed_losses: &[2.3, 2.3, 2.0, 1.5, 1.6, 4.0],
            marks,
        }
    }

    #[test]
    fn every_mark_is_a_line_a_point_and_a_word() {
        let marks = [
            SweepMark {
                label: "valley",
                learning_rate: 1e-3,
            },
            SweepMark {
                label: "steepest fall",
                learning_rate: 3e-3,
            },
        ];
        let losses = [2.3, 2.2, 1.9, 1.4, 1.7, 6.0];
        let svg = learning_rate_sweep(&spec(&losses, &marks)).unwrap();
        assert!(svg.as_str().contains(">valley: 0.001<"));
        assert!(svg.as_str().contains(">steepest fall: 0.003<"));
        assert_eq!(svg.as_str().matches("<circle ").count(), 2);
        let unmarked = learning_rate_sweep(&spec(&losses, &[])).unwrap();
        // A line in the legend and one in the plot for each mark.
        let dashed = |svg: &Svg| svg.as_str().matches("stroke-dasharray").count();
        assert_eq!(dashed(&svg), dashed(&unmarked) + 4);
        assert!(svg.as_str().contains(">1e-5<") && svg.as_str().contains(">0.01<"));
    }

    #[test]
    fn a_mark_outside_the_sweep_stands_in_the_legend_only() {
        let marks = [SweepMark {
            label: "far",
            learning_rate: 9.0,
        }];
        let svg = learning_rate_sweep(&spec(&[2.0; 6], &marks)).unwrap();
        assert!(svg.as_str().contains(">far: 9<"));
        assert_eq!(svg.as_str().matches("<circle ").count(), 0);
    }

    /// One loss far above the others must not flatten the curve.
    #[test]
    fn a_single_peak_does_not_set_the_axis() {
        let rates: Vec<f64> = (0..20).map(|index| 1e-5 * f64::from(1 << index)).collect();
        let mut losses = vec![2.0; 20];
        losses[19] = 5000.0;
        let svg = learning_rate_sweep(&LearningRateSweep {
            title: "Sweep",
            learning_rates: &rates,
            losses: &losses,
            smoothed_losses: &[2.0; 20],
            marks: &[],
        })
        .unwrap();
        assert!(!svg.as_str().contains("5,000"));
    }

    #[test]
    fn a_mark_lies_on_the_curve() {
        let spec = spec(&[2.0; 6], &[]);
        let middle = loss_at(&spec, 10f64.powf(-2.5)).unwrap();
        assert!((middle - 1.75).abs() < 1e-12, "{middle}");
        assert_eq!(loss_at(&spec, 1e-6), None);
    }

    #[test]
    fn lengths_that_differ_are_refused() {
        let error = learning_rate_sweep(&spec(&[1.0], &[]))
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("losses has 1 values, but 6 are needed"),
            "{error}"
        );
    }
}
