use super::{MAX_ITEMS, Svg, check_count};
use crate::ReportError;
use crate::drawing::{BarRow, BarRows, Segment, bar_colour, series_colour, short_number};

const CHART: &str = "horizontal bars";

/// One bar of [`HorizontalBars`].
#[derive(Debug, Clone, Copy)]
pub struct HorizontalBar<'a> {
    /// Its name.
    pub label: &'a str,
    /// Its length; NaN if it is undefined.
    pub value: f64,
    /// Lower and upper end of the interval of the value.
    pub interval: Option<[f64; 2]>,
    /// Text after the value; may be empty.
    pub note: &'a str,
}

/// Values of named items: importances, latencies, sizes.
#[derive(Debug, Clone, Copy)]
pub struct HorizontalBars<'a> {
    /// The title of the chart.
    pub title: &'a str,
    /// The quantity, with its unit: `latency (ms)`.
    pub value_label: &'a str,
    /// The bars, from the top.
    pub bars: &'a [HorizontalBar<'a>],
    /// The largest acceptable value; bars above it have another colour.
    pub limit: Option<f64>,
}

/// Draws one bar for each item, in the given order.
///
/// # Errors
/// [`ReportError::TooMany`] above 400 bars.
pub fn horizontal_bars(spec: &HorizontalBars<'_>) -> Result<Svg, ReportError> {
    check_count(CHART, "bars", spec.bars.len(), MAX_ITEMS)?;
    let rows = spec
        .bars
        .iter()
        .map(|bar| {
            let above = spec.limit.is_some_and(|limit| bar.value > limit);
            let number = short_number(bar.value);
            BarRow {
                label: bar.label.to_string(),
                segments: vec![Segment {
                    length: bar.value,
                    colour: if above {
                        series_colour(1)
                    } else {
                        bar_colour()
                    },
                }],
                interval: bar.interval,
                value_text: if bar.note.is_empty() {
                    number
                } else {
                    format!("{number} {}", bar.note)
                },
            }
        })
        .collect();
    let values: Vec<String> = spec
        .bars
        .iter()
        .take(12)
        .map(|bar| format!("{} {}", bar.label, short_number(bar.value)))
        .collect();
    Ok(BarRows {
        title: spec.title,
        description: format!(
            "Bars of {} of {} items: {}.",
            spec.value_label,
            spec.bars.len(),
            values.join(", ")
        ),
        value_label: spec.value_label,
        legend: Vec::new(),
        rows,
        limit: spec.limit,
        range: None,
    }
    .draw())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_and_notes_are_written_beside_the_bars() {
        let bar = |label, value, note| HorizontalBar {
            label,
            value,
            interval: None,
            note,
        };
        let svg = horizontal_bars(&HorizontalBars {
            title: "Latency",
            value_label: "latency (ms)",
            bars: &[bar("p50", 12.0, "ms"), bar("p99", 120.0, "ms")],
            limit: Some(100.0),
        })
        .unwrap();
        for text in ["p50", "12 ms", "p99", "120 ms", "latency (ms)", "limit 100"] {
            assert!(svg.as_str().contains(text), "{text}");
        }
        assert_eq!(svg.as_str().matches("fill=\"#D55E00\"").count(), 1);
    }
}
