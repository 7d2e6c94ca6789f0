//! What the package says about the model's quality on the test split.

use super::calibration;
use mlestar_eval::{
    ConfusionMatrix, EvalError, Predictions, averages, expected_calibration_error, log_loss, wilson,
};
use mlestar_export::Confidence;
use mlestar_export::package::MetricRecord;

/// Bins of the calibration error, as in Guo et al. 2017.
const BINS: usize = 15;

/// The figures of a model with these test predictions.
///
/// # Errors
/// As [`wilson`] and [`Predictions::new`].
pub(crate) fn metrics(
    test: &Predictions,
    confidence: Confidence,
    level: f64,
) -> Result<Vec<MetricRecord>, EvalError> {
    let n = test.len() as u64;
    let share = |name: &str, count: u64| -> Result<MetricRecord, EvalError> {
        Ok(MetricRecord {
            name: name.to_owned(),
            value: count as f64 / n as f64,
            interval: Some(wilson(count, n, level)?),
            n,
        })
    };
    let plain = |name: &str, value: f64| MetricRecord {
        name: name.to_owned(),
        value,
        interval: None,
        n,
    };
    let correct = test.correct().iter().filter(|correct| **correct).count() as u64;
    let calibrated = calibrated(test, confidence)?;
    let matrix =
        ConfusionMatrix::from_labels(test.labels(), test.predicted_labels(), test.n_classes())?;
    Ok(vec![
        share("accuracy", correct)?,
        plain("f1_macro", averages(&matrix).macro_average.f1),
        plain("log_loss", log_loss(&calibrated)),
        plain(
            "expected_calibration_error",
            expected_calibration_error(&calibrated, BINS)?,
        ),
        plain(
            "expected_calibration_error_uncalibrated",
            expected_calibration_error(test, BINS)?,
        ),
        share("false_alarms", calibration::false_alarms(test, confidence))?,
    ])
}

/// The predictions with calibrated probabilities.
fn calibrated(test: &Predictions, confidence: Confidence) -> Result<Predictions, EvalError> {
    let logits = test.logits().unwrap_or_default();
    let cooled = logits.iter().map(|logit| logit / confidence.temperature);
    Predictions::from_logits(test.labels().to_vec(), cooled.collect(), test.n_classes())
}
