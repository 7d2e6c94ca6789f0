//! The charts of an evaluation.

use super::EvaluationResults;
use crate::WorkflowError;
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

fn confusion(results: &EvaluationResults, cells: charts::CellValue) -> Result<Svg, WorkflowError> {
    let counts: Vec<u64> = results.summary.confusion.counts().concat();
    let title = match cells {
        charts::CellValue::Counts => "Confusion matrix, pictures",
        charts::CellValue::RowFractions => "Confusion matrix, fraction of the true class",
    };
    Ok(charts::confusion_matrix(&charts::ConfusionMatrixChart {
        title,
        classes: &results.summary.classes,
        counts: &counts,
        cells,
    })?)
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
        title: "Reliability: is the model as right as it is sure?",
        bins: &bins,
        expected_calibration_error: Some(reliability.expected_calibration_error),
    })?)
}
