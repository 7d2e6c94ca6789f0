use crate::{EvalError, Interval, wilson};

/// Interval of the difference `p_a - p_b` of two proportions measured on different samples.
///
/// Method 10 of Newcombe 1998, "Interval estimation for the difference between independent proportions:
/// comparison of eleven methods": combines the Wilson intervals of both. Within -1 to 1. Equals
/// `statsmodels.stats.proportion.confint_proportions_2indep(method="newcomb")`.
///
/// # Errors
/// As for [`wilson`], for either proportion.
///
/// ```
/// use mlestar_eval::difference_interval;
/// // The paper's first example: 56 of 70 against 48 of 80.
/// let interval = difference_interval(56, 70, 48, 80, 0.95)?;
/// assert_eq!(format!("{:.4} {:.4}", interval.low, interval.high), "0.0524 0.3339");
/// # Ok::<(), mlestar_eval::EvalError>(())
/// ```
pub fn difference_interval(
    successes_a: u64,
    n_a: u64,
    successes_b: u64,
    n_b: u64,
    confidence: f64,
) -> Result<Interval, EvalError> {
    let a = wilson(successes_a, n_a, confidence)?;
    let b = wilson(successes_b, n_b, confidence)?;
    let (p_a, p_b) = (
        successes_a as f64 / n_a as f64,
        successes_b as f64 / n_b as f64,
    );
    let difference = p_a - p_b;
    Ok(Interval {
        low: difference - (p_a - a.low).hypot(b.high - p_b),
        high: difference + (a.high - p_a).hypot(p_b - b.low),
        confidence,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Examples (c) and (g) of the paper's table.
    #[test]
    fn the_papers_examples_are_met() {
        for (counts, expected) in [
            ((9, 10, 3, 10), "0.1705 0.8090"),
            ((10, 10, 0, 20), "0.6791 1.0000"),
            ((10, 10, 0, 10), "0.6075 1.0000"),
        ] {
            let (a, n_a, b, n_b) = counts;
            let interval = difference_interval(a, n_a, b, n_b, 0.95).unwrap();
            let found = format!("{:.4} {:.4}", interval.low, interval.high);
            assert_eq!(found, expected, "{counts:?}");
        }
    }

    proptest! {
        #[test]
        fn it_holds_the_difference_and_turns_with_it(
            n_a in 1_u64..5_000,
            n_b in 1_u64..5_000,
            share_a in 0.0_f64..=1.0,
            share_b in 0.0_f64..=1.0,
        ) {
            let (a, b) = ((n_a as f64 * share_a) as u64, (n_b as f64 * share_b) as u64);
            let interval = difference_interval(a, n_a, b, n_b, 0.95).unwrap();
            let turned = difference_interval(b, n_b, a, n_a, 0.95).unwrap();
            let difference = a as f64 / n_a as f64 - b as f64 / n_b as f64;
            prop_assert!(interval.low <= difference && difference <= interval.high);
            prop_assert!(-1.0 - 1e-12 <= interval.low && interval.high <= 1.0 + 1e-12);
            prop_assert!((interval.low + turned.high).abs() < 1e-12);
        }
    }
}
