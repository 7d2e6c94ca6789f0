//! Charts as SVG: one file and one function for each kind, with plain slices as input.
//!
//! Every function takes a specification and returns an [`Svg`]. Values that are not finite mean "undefined" and
//! are left out; if none remain, the chart says "no data". Slices that belong together must have the same
//! length: otherwise the error names the one that differs.
//!
//! Series are distinguished by the colours of Okabe and Ito, which suit the common kinds of colour blindness,
//! and by dashes if there are more than six; heat maps use viridis. Axes and text have the colour of the
//! surrounding text, so that they are readable on light and dark.

mod accuracy_over_time;
mod class_bars;
mod class_distribution;
mod confusion_matrix;
mod gradient_norm;
mod horizontal_bars;
mod intermediate_values;
mod learning_curves;
mod learning_rate;
mod learning_rate_sweep;
mod lines;
mod over_time;
mod overfitting_gap;
mod parallel_coordinates;
mod pareto_front;
mod pixel_histograms;
mod precision_recall;
mod reliability;
mod roc;
mod slice;
mod step_learning_rate;
mod step_loss;
mod svg;
mod throughput;
mod trial_set;
mod trials;

pub use accuracy_over_time::{AccuracyCurve, AccuracyGroup, AccuracyOverTime, accuracy_over_time};
pub use class_bars::{ClassBars, class_bars};
pub use class_distribution::{ClassDistribution, CountSeries, class_distribution};
pub use confusion_matrix::{CellValue, ConfusionMatrixChart, confusion_matrix};
pub use gradient_norm::{GradientNormChart, gradient_norm};
pub use horizontal_bars::{HorizontalBar, HorizontalBars, horizontal_bars};
pub use intermediate_values::{IntermediateValues, TrialCurve, intermediate_values};
pub use learning_curves::{LearningCurves, learning_curves};
pub use learning_rate::{LearningRateChart, learning_rate};
pub use learning_rate_sweep::{LearningRateSweep, SweepMark, learning_rate_sweep};
pub use lines::{LineChart, LineSeries, lines};
pub use over_time::TrainingMark;
pub use overfitting_gap::{OverfittingGapChart, overfitting_gap};
pub use parallel_coordinates::{ParallelCoordinates, parallel_coordinates};
pub use pareto_front::{ParetoChart, pareto_front};
pub use pixel_histograms::{PixelHistograms, pixel_histograms};
pub use precision_recall::{PrecisionRecallCurve, PrecisionRecallCurves, precision_recall_curves};
pub use reliability::{ReliabilityBin, ReliabilityDiagram, reliability};
pub use roc::{RocCurve, RocCurves, roc_curves};
pub use slice::{SliceChart, slice};
pub use step_learning_rate::{StepLearningRateChart, step_learning_rate};
pub use step_loss::{StepLossChart, step_loss};
pub use svg::Svg;
pub use throughput::{ThroughputChart, throughput};
pub use trial_set::{SettingScale, TrialObjective, TrialSet, TrialSetting};
pub use trials::{TrialPoint, TrialState, TrialsChart, trials};

use crate::ReportError;

/// Maximum number of bars or series in a chart. Of more classes than this, a chart shows the lowest.
const MAX_ITEMS: usize = 400;

/// More curves of classes than this are drawn without distinguishing them.
const MAX_NAMED_CURVES: usize = 10;

/// Of many classes, those with the lowest values in their original order, and the title, which then says so.
/// Values that are not finite come last.
fn lowest_of_many(title: &str, values: &[f64]) -> (Vec<usize>, String) {
    let mut chosen: Vec<usize> = (0..values.len()).collect();
    if values.len() <= MAX_ITEMS {
        return (chosen, title.to_owned());
    }
    let key = |index: usize| match values[index].is_finite() {
        true => values[index],
        false => f64::INFINITY,
    };
    chosen.sort_by(|&a, &b| key(a).total_cmp(&key(b)));
    chosen.truncate(MAX_ITEMS);
    chosen.sort_unstable();
    let all = crate::format::count(values.len() as u64);
    (
        chosen,
        format!("{title}: the {MAX_ITEMS} lowest of {all} classes"),
    )
}

fn check_length(
    chart: &'static str,
    what: impl Into<String>,
    found: usize,
    (expected, reason): (usize, &'static str),
) -> Result<(), ReportError> {
    if found == expected {
        return Ok(());
    }
    Err(ReportError::LengthMismatch {
        chart,
        what: what.into(),
        expected,
        found,
        reason,
    })
}

fn check_count(
    chart: &'static str,
    what: &'static str,
    count: usize,
    limit: usize,
) -> Result<(), ReportError> {
    if count > limit {
        return Err(ReportError::TooMany {
            chart,
            what,
            count,
            limit,
        });
    }
    Ok(())
}

/// The item of a list at this position.
fn of_list<'a, T>(
    chart: &'static str,
    what: &'static str,
    items: &'a [T],
    index: usize,
) -> Result<&'a T, ReportError> {
    items.get(index).ok_or(ReportError::TooMany {
        chart,
        what,
        count: index.saturating_add(1),
        limit: items.len(),
    })
}

/// `1 trial`, `1,200 trials`.
fn counted_trials(n: usize) -> String {
    let s = if n == 1 { "" } else { "s" };
    format!("{} trial{s}", crate::format::count(n as u64))
}

/// The title, with how many trials are drawn where that is not all.
fn thinned_title(title: &str, drawn: usize, all: usize) -> String {
    match drawn < all {
        true => format!(
            "{title}: {} of {} trials",
            crate::format::count(drawn as u64),
            crate::format::count(all as u64)
        ),
        false => title.to_owned(),
    }
}
