use super::{MAX_ITEMS, Svg, check_count};
use crate::ReportError;
use crate::drawing::{
    Area, Axis, Canvas, HALF_WIDTH, Header, INK, LegendEntry, Mark, Range, Scale, Stroke,
    bar_colour, draw_axes, draw_no_data, draw_svg, series_colour,
};
use crate::format;

const CHART: &str = "reliability diagram";
const PLOT_HEIGHT: f64 = 220.0;
const COUNTS_HEIGHT: f64 = 66.0;
const GAP: f64 = 52.0;

/// The images whose confidence is in one interval.
#[derive(Debug, Clone, Copy)]
pub struct ReliabilityBin {
    /// Lower end of the interval (0 to 1).
    pub low: f64,
    /// Upper end of the interval (0 to 1).
    pub high: f64,
    /// Mean confidence of the images; NaN if there are none.
    pub mean_confidence: f64,
    /// Fraction of the images that are classified correctly; NaN if there are none.
    pub accuracy: f64,
    /// Number of images.
    pub count: u64,
}

/// How well the confidence of a classifier matches its accuracy.
#[derive(Debug, Clone, Copy)]
pub struct ReliabilityDiagram<'a> {
    /// The title of the chart.
    pub title: &'a str,
    /// The intervals of confidence.
    pub bins: &'a [ReliabilityBin],
    /// Expected calibration error (0 to 1).
    pub expected_calibration_error: Option<f64>,
}

/// Draws the accuracy of each interval of confidence as a bar and its mean confidence as a mark (for a
/// perfectly calibrated classifier both are equal), and the number of images below.
///
/// # Errors
/// [`ReportError::TooMany`] above 400 bins.
pub fn reliability(spec: &ReliabilityDiagram<'_>) -> Result<Svg, ReportError> {
    check_count(CHART, "bins", spec.bins.len(), MAX_ITEMS)?;
    let mut entries = vec![
        LegendEntry::new("accuracy", Mark::Square(bar_colour())),
        LegendEntry::new("mean confidence", Mark::Line(gap_stroke(2.5))),
        LegendEntry::new("perfectly calibrated", Mark::Line(diagonal())),
    ];
    if let Some(error) = spec.expected_calibration_error {
        let label = format!("expected calibration error {}", format::number(error, 4));
        entries.push(LegendEntry::new(label, Mark::None));
    }
    let header = Header::new(spec.title, entries, HALF_WIDTH);
    let top = header.height() + 28.0;
    let area = Area {
        left: 58.0,
        top,
        right: HALF_WIDTH - 18.0,
        bottom: top + PLOT_HEIGHT,
    };
    let counts_area = Area {
        top: area.bottom + GAP,
        bottom: area.bottom + GAP + COUNTS_HEIGHT,
        ..area
    };
    let size = (HALF_WIDTH, counts_area.bottom + 50.0);
    Ok(draw_svg(spec.title, &description(spec), size, |canvas| {
        header.draw(canvas);
        let bins: Vec<ReliabilityBin> = spec.bins.iter().copied().filter(is_drawable).collect();
        if bins.iter().all(|bin| bin.count == 0) {
            return draw_no_data(canvas, area);
        }
        draw_accuracies(canvas, area, &bins);
        draw_counts(canvas, counts_area, &bins)
    }))
}

fn gap_stroke(width: f64) -> Stroke {
    Stroke::new(series_colour(1), width)
}

fn diagonal() -> Stroke {
    Stroke::new(INK, 1.25).opacity(0.7).dash(&[4.0, 3.0])
}

fn is_drawable(bin: &ReliabilityBin) -> bool {
    bin.low.is_finite() && bin.high.is_finite() && bin.low < bin.high
}

fn draw_accuracies(canvas: &mut Canvas, area: Area, bins: &[ReliabilityBin]) {
    let unit = Range::new(0.0, 1.0);
    let x = Scale::linear(unit, area.left, area.right);
    let y = Scale::linear(unit, area.bottom, area.top);
    // The counts below share the axis and show its title.
    let x_axis = Axis::new(x, "", 5);
    draw_axes(
        canvas,
        area,
        &x_axis,
        &Axis::new(y, "accuracy (fraction)", 5),
    );
    for bin in bins
        .iter()
        .filter(|bin| bin.count > 0 && bin.accuracy.is_finite())
    {
        let (left, right) = (x.at(bin.low) + 1.0, x.at(bin.high) - 1.0);
        let top = y.at(bin.accuracy);
        canvas.titled(&bin_words(bin), |canvas| {
            canvas.rectangle((left, top), (right, area.bottom), bar_colour(), 0.85);
        });
        if bin.mean_confidence.is_finite() {
            let confidence = y.at(bin.mean_confidence);
            let middle = (left + right) / 2.0;
            canvas.line((middle, top), (middle, confidence), gap_stroke(1.5));
            canvas.line((left, confidence), (right, confidence), gap_stroke(2.5));
        }
    }
    canvas.line((area.left, area.bottom), (area.right, area.top), diagonal())
}

fn bin_words(bin: &ReliabilityBin) -> String {
    format!(
        "confidence {}: accuracy {}, mean confidence {}, {} images",
        format::interval(bin.low, bin.high, 2),
        format::number(bin.accuracy, 3),
        format::number(bin.mean_confidence, 3),
        format::count(bin.count)
    )
}

fn draw_counts(canvas: &mut Canvas, area: Area, bins: &[ReliabilityBin]) {
    let largest = bins.iter().map(|bin| bin.count).max().unwrap_or(0).max(1);
    let x = Scale::linear(Range::new(0.0, 1.0), area.left, area.right);
    let range = Range::new(0.0, largest as f64);
    let y = Scale::rounded(range, area.bottom, area.top, 3);
    let x_axis = Axis::new(x, "confidence (probability of the predicted class)", 5);
    draw_axes(canvas, area, &x_axis, &Axis::whole(y, "images", 3));
    for bin in bins.iter().filter(|bin| bin.count > 0) {
        let (left, right) = (x.at(bin.low) + 1.0, x.at(bin.high) - 1.0);
        let top = y.at(bin.count as f64);
        canvas.titled(&bin_words(bin), |canvas| {
            canvas.rectangle((left, top), (right, area.bottom), INK, 0.4);
        });
    }
}

fn description(spec: &ReliabilityDiagram<'_>) -> String {
    let total: u128 = spec.bins.iter().map(|bin| u128::from(bin.count)).sum();
    format!(
        "Accuracy over confidence of {total} images in {} bins. Expected calibration error: {}.",
        spec.bins.len(),
        format::optional(spec.expected_calibration_error, 4)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_bins_have_no_bars() {
        let bin = |low: f64, count: u64, accuracy: f64| ReliabilityBin {
            low,
            high: low + 0.5,
            mean_confidence: low + 0.3,
            accuracy,
            count,
        };
        let svg = reliability(&ReliabilityDiagram {
            title: "Reliability",
            bins: &[bin(0.0, 0, f64::NAN), bin(0.5, 10, 0.7)],
            expected_calibration_error: Some(0.1),
        })
        .unwrap();
        assert!(svg.as_str().contains("expected calibration error 0.1000"));
        let drawn = svg.as_str().matches("<rect ").count();
        // The square of the legend; accuracy and count of the bin that has images.
        assert_eq!(drawn, 3);
    }

    #[test]
    fn no_pictures_are_no_data() {
        let svg = reliability(&ReliabilityDiagram {
            title: "Reliability",
            bins: &[],
            expected_calibration_error: None,
        })
        .unwrap();
        assert!(svg.as_str().contains("no data"));
    }
}
