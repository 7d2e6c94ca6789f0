//! The charts of an evaluation.

use super::EvaluationResults;
use crate::WorkflowError;
use mlestar_eval::ConfusionMatrix;
use mlestar_report::{Svg, charts};

/// Every chart of an evaluation, drawn once for the page and for the files.
pub(crate) struct Drawings {
    pub(crate) confusion_counts: Svg,
    pub(crate) confusion_fractions: Svg,
    pub(crate) recall: Svg,
    pub(crate) roc: Svg,
    pub(crate) precision_recall: Svg,
    pub(crate) reliability: Svg,
}

impl Drawings {
    pub(crate) fn of(results: &EvaluationResults) -> Result<Self, WorkflowError> {
        Ok(Self {
            confusion_counts: confusion(results, charts::CellValue::Counts)?,
            confusion_fractions: confusion(results, charts::CellValue::RowFractions)?,
            recall: recall(results)?,
            roc: roc(results)?,
            precision_recall: precision_recall(results)?,
            reliability: reliability(results)?,
        })
    }

    /// Each chart with the name of its file.
    pub(crate) fn named(&self) -> [(&'static str, &Svg); 6] {
        [
            ("confusion_matrix", &self.confusion_counts),
            ("confusion_matrix_normalised", &self.confusion_fractions),
            ("per_class_recall", &self.recall),
            ("roc_curves", &self.roc),
            ("precision_recall_curves", &self.precision_recall),
            ("reliability_diagram", &self.reliability),
        ]
    }
}

/// With up to this many classes, the confusion matrix shows all of them.
const MOST_IN_CONFUSION: usize = 250;
/// With more classes, it shows this many: those with the most mistakes.
const SHOWN_OF_MORE: usize = 100;

fn confusion(results: &EvaluationResults, cells: charts::CellValue) -> Result<Svg, WorkflowError> {
    let what = match cells {
        charts::CellValue::Counts => "images",
        charts::CellValue::RowFractions => "fraction of the true class",
    };
    let matrix = &results.summary.confusion;
    let n_classes = matrix.n_classes();
    let shown = most_confused(matrix, MOST_IN_CONFUSION, SHOWN_OF_MORE);
    let title = match shown.len() == n_classes {
        true => format!("Confusion matrix, {what}"),
        // The images that were classified as a class that is not shown are in no cell.
        false => format!(
            "Confusion matrix, {what}: the {} of {n_classes} classes with the most mistakes, among themselves",
            shown.len()
        ),
    };
    let counts = matrix.among(&shown).concat();
    let classes: Vec<String> = shown
        .iter()
        .map(|class| results.summary.classes[*class].clone())
        .collect();
    Ok(charts::confusion_matrix(&charts::ConfusionMatrixChart {
        title: &title,
        classes: &classes,
        counts: &counts,
        cells,
    })?)
}

/// All classes, in order; if there are more than `most`, the `shown` ones with the most mistakes.
fn most_confused(matrix: &ConfusionMatrix, most: usize, shown: usize) -> Vec<usize> {
    let n_classes = matrix.n_classes();
    let mut chosen: Vec<usize> = (0..n_classes).collect();
    if n_classes <= most {
        return chosen;
    }
    let mut mistakes = vec![0_u64; n_classes];
    for (truth, predicted, count) in matrix.cells() {
        if truth != predicted {
            mistakes[truth as usize] += count;
            mistakes[predicted as usize] += count;
        }
    }
    chosen.sort_by_key(|class| std::cmp::Reverse(mistakes[*class]));
    chosen.truncate(shown);
    chosen.sort_unstable();
    chosen
}

fn recall(results: &EvaluationResults) -> Result<Svg, WorkflowError> {
    let per_class = &results.summary.per_class;
    let values: Vec<f64> = per_class
        .iter()
        .map(|class| class.recall.unwrap_or(f64::NAN))
        .collect();
    let intervals: Vec<[f64; 2]> = per_class
        .iter()
        .map(|class| match class.recall_interval {
            Some(interval) => [interval.low, interval.high],
            None => [f64::NAN; 2],
        })
        .collect();
    Ok(charts::class_bars(&charts::ClassBars {
        title: "Recall of each class",
        value_label: "recall (fraction)",
        classes: &results.summary.classes,
        values: &values,
        intervals: Some(&intervals),
        limit: None,
        range: Some([0.0, 1.0]),
    })?)
}

fn roc(results: &EvaluationResults) -> Result<Svg, WorkflowError> {
    let mut curves = Vec::new();
    for (class, summary) in results.curves.iter().zip(&results.summary.per_class) {
        if let Some(roc) = &class.roc {
            curves.push(charts::RocCurve {
                label: &class.class,
                false_positive_rate: &roc.false_positive_rate,
                true_positive_rate: &roc.true_positive_rate,
                auc: summary.roc_auc,
            });
        }
    }
    Ok(charts::roc_curves(&charts::RocCurves {
        title: "ROC, one class against the rest",
        classes: &curves,
        macro_average: None,
    })?)
}

fn precision_recall(results: &EvaluationResults) -> Result<Svg, WorkflowError> {
    let mut curves = Vec::new();
    for (class, summary) in results.curves.iter().zip(&results.summary.per_class) {
        if let Some(curve) = &class.precision_recall {
            curves.push(charts::PrecisionRecallCurve {
                label: &class.class,
                recall: &curve.recall,
                precision: &curve.precision,
                average_precision: summary.average_precision,
            });
        }
    }
    let spec = charts::PrecisionRecallCurves {
        title: "Precision over recall, one class against the rest",
        classes: &curves,
        macro_average: None,
    };
    Ok(charts::precision_recall_curves(&spec)?)
}

fn reliability(results: &EvaluationResults) -> Result<Svg, WorkflowError> {
    let reliability = &results.summary.reliability;
    let bins: Vec<charts::ReliabilityBin> = reliability
        .bins
        .iter()
        .map(|bin| charts::ReliabilityBin {
            low: bin.low,
            high: bin.high,
            mean_confidence: bin.mean_confidence.unwrap_or(f64::NAN),
            accuracy: bin.accuracy.unwrap_or(f64::NAN),
            count: bin.count,
        })
        .collect();
    Ok(charts::reliability(&charts::ReliabilityDiagram {
        title: "Reliability: accuracy by confidence",
        bins: &bins,
        expected_calibration_error: Some(reliability.expected_calibration_error),
    })?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_many_classes_those_with_the_most_mistakes_are_drawn() {
        let right = (0..6).map(|class| (class, class, 10));
        let cells = right.chain([(5, 1, 3), (2, 4, 2)]);
        let matrix = ConfusionMatrix::from_cells(6, cells).unwrap();
        assert_eq!(most_confused(&matrix, 6, 2), [0, 1, 2, 3, 4, 5]);
        assert_eq!(most_confused(&matrix, 5, 2), [1, 5]);
        assert_eq!(most_confused(&matrix, 5, 4), [1, 2, 4, 5]);
    }
}
