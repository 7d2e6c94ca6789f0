//! What a reduced precision costs, for a gate.

use mlestar_eval::{Interval, paired_ratio_interval, wilson};
use serde::{Deserialize, Serialize};

use crate::error::ExportError;
use crate::parity;
use crate::predictor::argmax;

/// How a model in a reduced precision (int8 or bfloat16) compares with the `f32` model on labelled images.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PrecisionFigures {
    /// Number of images.
    pub n: u64,
    /// Share of correct predictions of the `f32` model, 0-1.
    pub f32_accuracy: f64,
    /// Share of correct predictions of the reduced model, 0-1.
    pub reduced_accuracy: f64,
    /// Images that both models predict correctly.
    pub both_correct: u64,
    /// Images that only the `f32` model predicts correctly.
    pub only_f32_correct: u64,
    /// Images that only the reduced model predicts correctly.
    pub only_reduced_correct: u64,
    /// `reduced_accuracy / f32_accuracy`; `None` if the `f32` model has no correct prediction.
    pub accuracy_kept: Option<f64>,
    /// Interval of `accuracy_kept`, which counts that both models saw the same images.
    pub accuracy_kept_interval: Option<Interval>,
    /// Share of images for which both models predict the same class, 0-1.
    pub agreement: f64,
    /// Wilson's interval of `agreement`.
    pub agreement_interval: Interval,
    /// Largest absolute difference of a logit.
    pub max_logit_difference: f64,
    /// Mean absolute difference of all logits.
    pub mean_logit_difference: f64,
}

/// Compares the logits of both models, row-major `[n, n_classes]`, of images with these labels.
///
/// ```
/// use mlestar_export::quantize::compare_precisions;
///
/// let (reference, int8) = ([2.0, 1.0, 0.0, 3.0], [2.0, 1.5, 0.5, 2.5]);
/// let figures = compare_precisions(&reference, &int8, &[0, 1], 2, 0.95)?;
/// assert_eq!((figures.accuracy_kept, figures.agreement), (Some(1.0), 1.0));
/// assert_eq!(figures.mean_logit_difference, 0.375);
/// assert!(figures.agreement_interval.low < 0.5);
/// # Ok::<(), mlestar_export::ExportError>(())
/// ```
///
/// # Errors
///
/// [`ExportError::InvalidArgument`] if the lengths do not fit together, a logit is not finite, a label is no class or
/// `confidence` is not between 0 and 1.
pub fn compare_precisions(
    reference: &[f32],
    int8: &[f32],
    labels: &[u32],
    n_classes: usize,
    confidence: f64,
) -> Result<PrecisionFigures, ExportError> {
    let parity = parity::compare(reference, int8, n_classes)?;
    if labels.len() != parity.n || labels.iter().any(|&label| label as usize >= n_classes) {
        let reason = format!(
            "{} labels for {} images, each below {n_classes}",
            labels.len(),
            parity.n
        );
        return Err(ExportError::argument("labels", reason));
    }
    let mut counts = [[0_u64; 2]; 2];
    let rows = reference
        .chunks_exact(n_classes)
        .zip(int8.chunks_exact(n_classes));
    for ((reference, int8), &label) in rows.zip(labels) {
        let is_right = |row: &[f32]| usize::from(argmax(row) == label as usize);
        counts[is_right(reference)][is_right(int8)] += 1;
    }
    let [[neither, only_int8], [only_f32, both]] = counts;
    let n = parity.n as u64;
    let statistics = |error: mlestar_eval::EvalError| {
        ExportError::argument("figures of the precision", error.to_string())
    };
    let right = |only: u64| both + only;
    let kept = (right(only_f32) > 0).then(|| right(only_int8) as f64 / right(only_f32) as f64);
    let kept_interval = kept
        .map(|_| paired_ratio_interval(both, only_f32, only_int8, neither, confidence))
        .transpose()
        .map_err(statistics)?;
    Ok(PrecisionFigures {
        n,
        f32_accuracy: right(only_f32) as f64 / n as f64,
        reduced_accuracy: right(only_int8) as f64 / n as f64,
        both_correct: both,
        only_f32_correct: only_f32,
        only_reduced_correct: only_int8,
        accuracy_kept: kept,
        accuracy_kept_interval: kept_interval,
        agreement: parity.top1_agreement,
        agreement_interval: wilson(parity.same_top1 as u64, n, confidence).map_err(statistics)?,
        max_logit_difference: parity.max_abs_difference,
        mean_logit_difference: parity.mean_abs_difference,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_and_shares_are_those_of_a_hand_computed_case() {
        // Right and right, right and wrong, wrong and right, wrong and wrong.
        let reference = [1.0, 0.0, 1.0, 0.0, 1.0, 0.0, 1.0, 0.0];
        let int8 = [1.0, 0.0, 0.0, 1.0, 0.0, 1.0, 1.0, 0.5];
        let figures = compare_precisions(&reference, &int8, &[0, 0, 1, 1], 2, 0.95).unwrap();
        let counts = (
            figures.both_correct,
            figures.only_f32_correct,
            figures.only_reduced_correct,
        );
        assert_eq!(counts, (1, 1, 1));
        assert_eq!((figures.f32_accuracy, figures.reduced_accuracy), (0.5, 0.5));
        assert_eq!((figures.accuracy_kept, figures.agreement), (Some(1.0), 0.5));
        assert!(figures.accuracy_kept_interval.unwrap().contains(1.0));
    }

    #[test]
    fn nothing_right_has_no_ratio_and_nonsense_is_refused() {
        let figures = compare_precisions(&[1.0, 0.0], &[0.0, 1.0], &[1], 2, 0.95).unwrap();
        assert_eq!(
            (figures.accuracy_kept, figures.accuracy_kept_interval),
            (None, None)
        );
        for (labels, confidence) in [(&[2][..], 0.95), (&[0, 1], 0.95), (&[], 0.95), (&[0], 1.5)] {
            assert!(compare_precisions(&[1.0, 0.0], &[1.0, 0.0], labels, 2, confidence).is_err());
        }
    }
}
