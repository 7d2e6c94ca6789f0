use super::{Svg, check_length};
use crate::ReportError;
use crate::drawing::{
    Area, Axis, HALF_WIDTH, Header, LegendEntry, Mark, Range, Rgb, Scale, Stroke, draw_axes,
    draw_curve, draw_no_data, draw_spots, draw_svg, series_colour,
};

const CHART: &str = "pixel histograms";
const PLOT_HEIGHT: f64 = 220.0;

/// The frequency of each pixel value in each colour channel.
#[derive(Debug, Clone, Copy)]
pub struct PixelHistograms<'a> {
    /// The title of the chart.
    pub title: &'a str,
    /// Counts of the red channel in bins of equal width over 0 to 255.
    pub red: &'a [u64],
    /// Counts of the green channel in the same bins.
    pub green: &'a [u64],
    /// Counts of the blue channel in the same bins.
    pub blue: &'a [u64],
}

/// Draws the three histograms on top of each other, each as the fraction of its channel's pixels.
///
/// # Errors
/// [`ReportError::LengthMismatch`] if the channels have different numbers of bins.
pub fn pixel_histograms(spec: &PixelHistograms<'_>) -> Result<Svg, ReportError> {
    let n_bins = spec.red.len();
    let expected = (n_bins, "as many bins as the red channel");
    check_length(CHART, "green", spec.green.len(), expected)?;
    check_length(CHART, "blue", spec.blue.len(), expected)?;
    // The palette's vermilion, green and blue represent the channels.
    let channels: [(&str, &[u64], Rgb); 3] = [
        ("red", spec.red, series_colour(1)),
        ("green", spec.green, series_colour(2)),
        ("blue", spec.blue, series_colour(0)),
    ];
    let entries = channels
        .iter()
        .map(|(name, _, colour)| LegendEntry::new(*name, Mark::Square(*colour)))
        .collect();
    let header = Header::new(spec.title, entries, HALF_WIDTH);
    let top = header.height() + 28.0;
    let area = Area {
        left: 58.0,
        top,
        right: HALF_WIDTH - 18.0,
        bottom: top + PLOT_HEIGHT,
    };
    let size = (HALF_WIDTH, area.bottom + 50.0);
    let description = description(&channels);
    Ok(draw_svg(spec.title, &description, size, |canvas| {
        header.draw(canvas);
        let curves: Vec<(Vec<f64>, Rgb, &str)> = channels
            .iter()
            .filter_map(|(name, counts, colour)| Some((fractions(counts)?, *colour, *name)))
            .collect();
        let highest = curves.iter().flat_map(|(values, _, _)| values).copied();
        let Some(range) = Range::of(highest) else {
            return draw_no_data(canvas, area);
        };
        let x = Scale::linear(Range::new(0.0, 256.0), area.left, area.right);
        let y = Scale::rounded(Range::new(0.0, range.high), area.bottom, area.top, 4);
        let mut x_axis = Axis::new(x, "pixel value (0 to 255)", 8);
        for tick in &mut x_axis.ticks {
            // Values end at 255; a tick at 256 would show a value that does not exist.
            tick.value = tick.value.min(255.0);
        }
        draw_axes(
            canvas,
            area,
            &x_axis,
            &Axis::new(y, "fraction of pixels", 4),
        );
        for (values, colour, _) in &curves {
            let steps = steps(values);
            let outline = [(0.0, 0.0)]
                .into_iter()
                .chain(steps.clone())
                .chain([(256.0, 0.0)]);
            let polygon: Vec<_> = outline.map(|(px, py)| (x.at(px), y.at(py))).collect();
            canvas.polygon(&polygon, *colour, 0.13);
        }
        for (values, colour, name) in curves {
            draw_curve(canvas, (&x, &y), steps(&values), Stroke::new(colour, 1.5));
            draw_spots(canvas, (&x, &y), levels(&values), name);
        }
    }))
}

/// Each count divided by their sum; `None` without any count.
fn fractions(counts: &[u64]) -> Option<Vec<f64>> {
    let total: f64 = counts.iter().map(|&count| count as f64).sum();
    (total > 0.0).then(|| counts.iter().map(|&count| count as f64 / total).collect())
}

/// The corners of the outline of a histogram over 0 to 256.
fn steps(values: &[f64]) -> Vec<(f64, f64)> {
    let width = 256.0 / values.len().max(1) as f64;
    values
        .iter()
        .enumerate()
        .flat_map(|(bin, &value)| {
            let left = bin as f64 * width;
            [(left, value), (left + width, value)]
        })
        .collect()
}

/// Each bin's first level and its value.
fn levels(values: &[f64]) -> impl Iterator<Item = (f64, f64)> {
    let width = 256.0 / values.len().max(1) as f64;
    let bins = values.iter().enumerate();
    bins.map(move |(bin, &value)| (bin as f64 * width, value))
}

fn description(channels: &[(&str, &[u64], Rgb)]) -> String {
    let means: Vec<String> = channels
        .iter()
        .filter_map(|(name, counts, _)| {
            let width = 256.0 / counts.len().max(1) as f64;
            let middles = fractions(counts)?
                .iter()
                .enumerate()
                .map(|(bin, share)| share * ((bin as f64 + 0.5) * width - 0.5))
                .sum::<f64>();
            Some(format!("{name} {middles:.1}"))
        })
        .collect();
    if means.is_empty() {
        return "Histograms of pixel values: no data.".to_string();
    }
    format!("Histograms of pixel values; means: {}.", means.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn means_are_described_and_channels_named() {
        let mut red = vec![0; 256];
        red[10] = 5;
        red[20] = 5;
        let flat = vec![1; 256];
        let svg = pixel_histograms(&PixelHistograms {
            title: "Pixels",
            red: &red,
            green: &flat,
            blue: &flat,
        })
        .unwrap();
        assert!(svg.as_str().contains("red 15.0, green 127.5, blue 127.5"));
    }

    #[test]
    fn empty_channels_are_no_data() {
        for bins in [0, 256] {
            let zeros = vec![0; bins];
            let svg = pixel_histograms(&PixelHistograms {
                title: "Pixels",
                red: &zeros,
                green: &zeros,
                blue: &zeros,
            })
            .unwrap();
            assert!(svg.as_str().contains("no data"));
        }
    }
}
