use super::{Svg, check_length, lowest_of_many};
use crate::drawing::{BarRow, BarRows, LegendEntry, Mark, Segment, series_colour};
use crate::{ReportError, format};

const CHART: &str = "class distribution";

/// The number of images of each class in one split.
#[derive(Debug, Clone, Copy)]
pub struct CountSeries<'a> {
    /// Name of the split: `train`.
    pub label: &'a str,
    /// One count for each class.
    pub counts: &'a [u64],
}

/// The number of images of each class, in one or several splits.
#[derive(Debug, Clone, Copy)]
pub struct ClassDistribution<'a> {
    /// The title of the chart.
    pub title: &'a str,
    /// The names of the classes, in the order of the counts.
    pub classes: &'a [String],
    /// The splits, drawn one after the other in each bar.
    pub series: &'a [CountSeries<'a>],
}

/// Draws one bar for each class, made of the counts of all splits, with their sum at its end. Of more than 400
/// classes it shows the smallest, and the title says so.
///
/// # Errors
/// [`ReportError::LengthMismatch`] if a series does not have one count for each class.
///
/// ```
/// use mlestar_report::charts::{ClassDistribution, CountSeries, class_distribution};
///
/// let classes = ["cat".to_string(), "dog".to_string()];
/// let svg = class_distribution(&ClassDistribution {
///     title: "Images in each class",
///     classes: &classes,
///     series: &[CountSeries { label: "train", counts: &[4500, 4480] }],
/// })?;
/// assert!(svg.as_str().contains("4,480"));
/// # Ok::<(), mlestar_report::ReportError>(())
/// ```
pub fn class_distribution(spec: &ClassDistribution<'_>) -> Result<Svg, ReportError> {
    let n_classes = spec.classes.len();
    for series in spec.series {
        let what = format!("the series {:?}", series.label);
        let expected = (n_classes, "one for each class");
        check_length(CHART, what, series.counts.len(), expected)?;
    }
    let counts_of = |class: usize| spec.series.iter().map(move |series| series.counts[class]);
    let totals: Vec<u64> = (0..n_classes)
        .filter(|_| !spec.series.is_empty())
        .map(|class| counts_of(class).fold(0, u64::saturating_add))
        .collect();
    let lengths: Vec<f64> = totals.iter().map(|total| *total as f64).collect();
    let (chosen, title) = lowest_of_many(spec.title, &lengths);
    let rows = chosen
        .into_iter()
        .map(|class| BarRow {
            label: spec.classes[class].clone(),
            segments: counts_of(class)
                .enumerate()
                .map(|(index, count)| Segment {
                    length: count as f64,
                    colour: series_colour(index),
                })
                .collect(),
            interval: None,
            value_text: format::count(totals[class]),
        })
        .collect();
    let names: Vec<&str> = spec.series.iter().map(|series| series.label).collect();
    let smallest = totals.iter().min().copied().unwrap_or(0);
    let largest = totals.iter().max().copied().unwrap_or(0);
    Ok(BarRows {
        title: &title,
        description: format!(
            "Bars of the number of images in each of {n_classes} classes ({}): from {smallest} to {largest}.",
            names.join(", ")
        ),
        value_label: "images",
        legend: if spec.series.len() > 1 {
            names
                .iter()
                .enumerate()
                .map(|(index, name)| LegendEntry::new(*name, Mark::Square(series_colour(index))))
                .collect()
        } else {
            Vec::new()
        },
        rows,
        limit: None,
        range: None,
    }
    .draw())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_are_as_long_as_their_counts() {
        let classes = ["a".to_string(), "b".to_string()];
        let svg = class_distribution(&ClassDistribution {
            title: "t",
            classes: &classes,
            series: &[CountSeries {
                label: "train",
                counts: &[100, 50],
            }],
        })
        .unwrap();
        let widths: Vec<f64> = svg
            .as_str()
            .split("<rect ")
            .skip(1)
            .map(|rect| {
                let rest = rect.split("width=\"").nth(1).unwrap();
                rest.split('"').next().unwrap().parse().unwrap()
            })
            .collect();
        assert_eq!(widths.len(), 2);
        assert!((widths[0] / widths[1] - 2.0).abs() < 0.01, "{widths:?}");
    }

    #[test]
    fn a_count_too_few_is_an_error_that_names_the_series() {
        let classes = ["a".to_string(), "b".to_string()];
        let error = class_distribution(&ClassDistribution {
            title: "t",
            classes: &classes,
            series: &[CountSeries {
                label: "validation",
                counts: &[1],
            }],
        })
        .unwrap_err();
        let message = error.to_string();
        assert!(
            message.contains("\"validation\" has 1 values, but 2"),
            "{message}"
        );
    }
}
