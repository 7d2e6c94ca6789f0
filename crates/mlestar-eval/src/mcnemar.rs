use serde::{Deserialize, Serialize};

use crate::binomial::fair_coin_p_value;
use crate::error::{check_not_empty, check_same_length};
use crate::paired_difference::checked_total;
use crate::{EvalError, Interval, paired_difference_interval};

/// Comparison of two classifiers on the same samples.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct McNemar {
    /// Samples that both classified correctly.
    pub both: u64,
    /// Samples that only a classified correctly.
    pub only_a: u64,
    /// Samples that only b classified correctly.
    pub only_b: u64,
    /// Samples that both classified wrongly.
    pub neither: u64,
    /// Accuracy of a, 0-1.
    pub accuracy_a: f64,
    /// Accuracy of b, 0-1.
    pub accuracy_b: f64,
    /// `accuracy_b - accuracy_a`: positive if b is better.
    pub difference: f64,
    /// Interval of `difference` for paired samples (see [`paired_difference_interval`]).
    pub interval: Interval,
    /// Two-sided p-value of the exact binomial test that a disagreement favours either classifier with
    /// probability 1/2; 1 if they never disagree.
    pub p_value: f64,
}

/// Exact McNemar test of whether two classifiers differ, and by how much. Pass the baseline first, so that
/// [`McNemar::difference`] is positive if the second is better.
///
/// Only samples that exactly one classifies correctly carry information; under the null hypothesis each favours
/// either with probability 1/2 (McNemar 1947, "Note on the sampling error of the difference between correlated
/// proportions"). The p-value is always that of the exact binomial test, never of the chi-squared
/// approximation; `statsmodels.stats.contingency_tables.mcnemar(exact=True)`.
///
/// # Errors
/// [`EvalError::Empty`]; [`EvalError::LengthMismatch`]; [`EvalError::ParameterOutOfRange`] for an invalid
/// confidence.
///
/// ```
/// use mlestar_eval::mcnemar;
/// let baseline = [true, false, false, false, false, false, false, true];
/// let refined = [true, true, true, true, true, true, true, false];
/// let comparison = mcnemar(&baseline, &refined, 0.95)?;
/// assert_eq!((comparison.only_a, comparison.only_b), (1, 6));
/// assert!((comparison.p_value - 0.125).abs() < 1e-12);
/// assert_eq!(comparison.difference, 0.625);
/// # Ok::<(), mlestar_eval::EvalError>(())
/// ```
pub fn mcnemar(
    a_correct: &[bool],
    b_correct: &[bool],
    confidence: f64,
) -> Result<McNemar, EvalError> {
    check_same_length("b_correct", b_correct.len(), "a_correct", a_correct.len())?;
    check_not_empty("a_correct", a_correct.len())?;
    let count = |a: bool, b: bool| {
        a_correct
            .iter()
            .zip(b_correct)
            .filter(|&(&in_a, &in_b)| in_a == a && in_b == b)
            .count() as u64
    };
    mcnemar_from_counts(
        count(true, true),
        count(true, false),
        count(false, true),
        count(false, false),
        confidence,
    )
}

/// [`mcnemar`] from the four counts.
///
/// # Errors
/// [`EvalError::Empty`] if all are 0; [`EvalError::CountOverflow`]; [`EvalError::ParameterOutOfRange`] for an
/// invalid confidence.
pub fn mcnemar_from_counts(
    both: u64,
    only_a: u64,
    only_b: u64,
    neither: u64,
    confidence: f64,
) -> Result<McNemar, EvalError> {
    let n = checked_total([both, only_a, only_b, neither])? as f64;
    Ok(McNemar {
        both,
        only_a,
        only_b,
        neither,
        accuracy_a: (both + only_a) as f64 / n,
        accuracy_b: (both + only_b) as f64 / n,
        // From the discordant counts, so that equal accuracies differ by exactly 0.
        difference: (only_b as f64 - only_a as f64) / n,
        interval: paired_difference_interval(both, only_a, only_b, neither, confidence)?,
        p_value: fair_coin_p_value(only_a, only_a + only_b),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classifiers_that_never_disagree_do_not_differ() {
        let comparison = mcnemar(&[true, false], &[true, false], 0.95).unwrap();
        assert_eq!(comparison.p_value, 1.0);
        assert_eq!(comparison.difference, 0.0);
        assert!(comparison.interval.contains(0.0));
    }

    #[test]
    fn nonsense_is_refused() {
        assert!(matches!(
            mcnemar(&[], &[], 0.95),
            Err(EvalError::Empty { .. })
        ));
        assert!(matches!(
            mcnemar(&[true], &[], 0.95),
            Err(EvalError::LengthMismatch { .. })
        ));
        assert!(mcnemar(&[true], &[true], 0.0).is_err());
    }
}
