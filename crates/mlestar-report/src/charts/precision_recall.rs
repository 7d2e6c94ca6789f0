use super::roc::{CurveLook, UnitSquare};
use super::{Svg, check_length, lowest_of_many};
use crate::ReportError;

const CHART: &str = "precision-recall curves";

/// Precision over recall of one class against the others.
#[derive(Debug, Clone, Copy)]
pub struct PrecisionRecallCurve<'a> {
    /// The class.
    pub label: &'a str,
    /// Recall (0 to 1).
    pub recall: &'a [f64],
    /// Precision (0 to 1) at each recall.
    pub precision: &'a [f64],
    /// Average precision; `None` if it is undefined.
    pub average_precision: Option<f64>,
}

/// Precision-recall curves of all classes.
#[derive(Debug, Clone, Copy)]
pub struct PrecisionRecallCurves<'a> {
    /// The title of the chart.
    pub title: &'a str,
    /// One curve for each class.
    pub classes: &'a [PrecisionRecallCurve<'a>],
    /// The mean over the classes.
    pub macro_average: Option<PrecisionRecallCurve<'a>>,
}

/// Draws the curves with the average precision of each in the legend. Of more than ten classes, only the three
/// with the smallest one are named; the others are thin and grey. Of more than 400 classes, the lowest are
/// drawn.
///
/// # Errors
/// [`ReportError::LengthMismatch`] if a curve does not have one precision for each recall.
pub fn precision_recall_curves(spec: &PrecisionRecallCurves<'_>) -> Result<Svg, ReportError> {
    let scores: Vec<f64> = spec
        .classes
        .iter()
        .map(|curve| curve.average_precision.unwrap_or(f64::NAN))
        .collect();
    let (chosen, title) = lowest_of_many(spec.title, &scores);
    let curves: Vec<CurveLook<'_>> = chosen
        .iter()
        .map(|&class| &spec.classes[class])
        .chain(spec.macro_average.as_ref())
        .map(|curve| CurveLook {
            label: curve.label,
            x: curve.recall,
            y: curve.precision,
            score: curve.average_precision,
        })
        .collect();
    for curve in &curves {
        let what = format!("the precision of {:?}", curve.label);
        let expected = (curve.x.len(), "one for each recall");
        check_length(CHART, what, curve.y.len(), expected)?;
    }
    Ok(UnitSquare {
        title: &title,
        x_label: "recall (fraction)",
        y_label: "precision (fraction)",
        score_name: "Average precision",
        has_average: spec.macro_average.is_some(),
        chance_diagonal: false,
        curves,
    }
    .draw())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn average_precision_stands_in_the_legend() {
        let curve = PrecisionRecallCurve {
            label: "cat",
            recall: &[0.0, 0.5, 1.0],
            precision: &[1.0, 0.9, 0.4],
            average_precision: Some(0.8125),
        };
        let svg = precision_recall_curves(&PrecisionRecallCurves {
            title: "Precision and recall",
            classes: &[curve],
            macro_average: None,
        })
        .unwrap();
        assert!(svg.as_str().contains("cat 0.812") || svg.as_str().contains("cat 0.813"));
        assert!(svg.as_str().contains("precision (fraction)"));
    }

    #[test]
    fn a_missing_precision_is_an_error() {
        let curve = PrecisionRecallCurve {
            label: "cat",
            recall: &[0.0, 1.0],
            precision: &[1.0],
            average_precision: None,
        };
        let error = precision_recall_curves(&PrecisionRecallCurves {
            title: "t",
            classes: &[],
            macro_average: Some(curve),
        })
        .unwrap_err();
        assert!(error.to_string().contains("one for each recall"), "{error}");
    }
}
