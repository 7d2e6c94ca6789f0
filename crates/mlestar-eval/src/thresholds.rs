use crate::EvalError;
use crate::error::{check_not_empty, check_same_length};

/// The counts if every sample with a score of at least `threshold` is predicted as positive.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct ThresholdCounts {
    pub(crate) threshold: f64,
    pub(crate) true_positives: u64,
    pub(crate) false_positives: u64,
}

/// One entry per distinct score, from the highest down.
pub(crate) fn threshold_counts(
    truth: &[bool],
    scores: &[f64],
) -> Result<Vec<ThresholdCounts>, EvalError> {
    check_scores(truth, scores)?;
    let mut samples: Vec<(f64, bool)> = scores.iter().copied().zip(truth.iter().copied()).collect();
    samples.sort_unstable_by(|a, b| b.0.total_cmp(&a.0));
    let mut counts: Vec<ThresholdCounts> = Vec::new();
    let (mut true_positives, mut false_positives) = (0, 0);
    for (score, positive) in samples {
        if positive {
            true_positives += 1;
        } else {
            false_positives += 1;
        }
        let entry = ThresholdCounts {
            threshold: score,
            true_positives,
            false_positives,
        };
        match counts.last_mut() {
            Some(last) if last.threshold == score => *last = entry,
            _ => counts.push(entry),
        }
    }
    Ok(counts)
}

/// There must be one finite score per sample, and at least one sample.
pub(crate) fn check_scores(truth: &[bool], scores: &[f64]) -> Result<(), EvalError> {
    check_same_length(
        "the list of scores",
        scores.len(),
        "the list of truths",
        truth.len(),
    )?;
    check_not_empty("the list of scores", scores.len())?;
    if let Some(index) = scores.iter().position(|score| !score.is_finite()) {
        return Err(EvalError::NotFinite {
            what: "score",
            index,
            value: scores[index],
        });
    }
    Ok(())
}
