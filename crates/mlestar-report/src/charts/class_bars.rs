use super::{Svg, check_length, lowest_of_many};
use crate::ReportError;
use crate::drawing::{BarRow, BarRows, Segment, bar_colour, series_colour};
use crate::format;

const CHART: &str = "class bars";

/// One value for each class, with its interval.
#[derive(Debug, Clone, Copy)]
pub struct ClassBars<'a> {
    /// The title of the chart.
    pub title: &'a str,
    /// The quantity, with its unit: `recall (fraction)`.
    pub value_label: &'a str,
    /// The names of the classes.
    pub classes: &'a [String],
    /// One value for each class; NaN if it is undefined.
    pub values: &'a [f64],
    /// Lower and upper end of the interval of each value.
    pub intervals: Option<&'a [[f64; 2]]>,
    /// The smallest acceptable value; bars below it have another colour.
    pub limit: Option<f64>,
    /// The range of the value axis. By default it covers the values and 0.
    pub range: Option<[f64; 2]>,
}

/// Draws one bar for each class with a whisker for its interval. Of more than 400 classes it shows the lowest,
/// and the title says so.
///
/// # Errors
/// [`ReportError::LengthMismatch`] if there is not one value (and interval) for each class.
pub fn class_bars(spec: &ClassBars<'_>) -> Result<Svg, ReportError> {
    let n_classes = spec.classes.len();
    let expected = (n_classes, "one for each class");
    check_length(CHART, "values", spec.values.len(), expected)?;
    if let Some(intervals) = spec.intervals {
        check_length(CHART, "intervals", intervals.len(), expected)?;
    }
    let below = |value: f64| spec.limit.is_some_and(|limit| value < limit);
    let (chosen, title) = lowest_of_many(spec.title, spec.values);
    let rows = chosen
        .into_iter()
        .map(|class| {
            let value = spec.values[class];
            let colour = if below(value) {
                series_colour(1)
            } else {
                bar_colour()
            };
            BarRow {
                label: spec.classes[class].clone(),
                segments: vec![Segment {
                    length: value,
                    colour,
                }],
                interval: spec.intervals.map(|intervals| intervals[class]),
                value_text: format::number(value, 3),
            }
        })
        .collect();
    Ok(BarRows {
        title: &title,
        description: description(spec),
        value_label: spec.value_label,
        legend: Vec::new(),
        rows,
        limit: spec.limit,
        range: spec.range,
    }
    .draw())
}

fn description(spec: &ClassBars<'_>) -> String {
    let defined = || {
        let pairs = spec.classes.iter().zip(spec.values.iter().copied());
        pairs.filter(|(_, value)| value.is_finite())
    };
    let lowest = defined().min_by(|a, b| a.1.total_cmp(&b.1));
    let highest = defined().max_by(|a, b| a.1.total_cmp(&b.1));
    let Some(((worst, low), (best, high))) = lowest.zip(highest) else {
        return format!("Bars of {}: no data.", spec.value_label);
    };
    let below = defined()
        .filter(|(_, value)| spec.limit.is_some_and(|limit| *value < limit))
        .count();
    let limit = spec.limit.map_or_else(String::new, |limit| {
        format!(" {below} of them are below the limit {limit}.")
    });
    format!(
        "Bars of {} of {} classes: lowest {worst} with {}, highest {best} with {}.{limit}",
        spec.value_label,
        spec.classes.len(),
        format::number(low, 3),
        format::number(high, 3),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec<'a>(classes: &'a [String], values: &'a [f64]) -> ClassBars<'a> {
        ClassBars {
            title: "Recall",
            value_label: "recall (fraction)",
            classes,
            values,
            intervals: None,
            limit: Some(0.7),
            range: Some([0.0, 1.0]),
        }
    }

    #[test]
    fn bars_below_the_limit_stand_out_and_are_told() {
        let classes = ["cat".to_string(), "dog".to_string()];
        let svg = class_bars(&spec(&classes, &[0.65, 0.9])).unwrap();
        assert_eq!(svg.as_str().matches("fill=\"#D55E00\"").count(), 1);
        assert_eq!(svg.as_str().matches("fill=\"#0072B2\"").count(), 1);
        assert!(svg.as_str().contains("1 of them are below the limit 0.7"));
        assert!(svg.as_str().contains("lowest cat with 0.650"));
    }

    #[test]
    fn undefined_values_have_a_row_without_a_bar() {
        let classes = ["cat".to_string(), "dog".to_string()];
        let svg = class_bars(&spec(&classes, &[f64::NAN, 0.9])).unwrap();
        assert!(svg.as_str().contains("cat"));
        assert_eq!(svg.as_str().matches("<rect ").count(), 1);
    }

    #[test]
    fn a_hundred_classes_are_all_named() {
        let classes: Vec<String> = (0..100).map(|index| format!("class-{index}")).collect();
        let values = vec![0.5; 100];
        let svg = class_bars(&spec(&classes, &values)).unwrap();
        for class in &classes {
            assert!(svg.as_str().contains(class.as_str()), "{class}");
        }
    }
}
