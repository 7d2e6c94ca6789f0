use crate::paired_difference::{checked_total, correlation};
use crate::{EvalError, Interval, wilson};

/// Interval of the ratio `p_b / p_a` of two proportions measured on the same samples.
///
/// The four counts are the samples on which both succeeded, only a, only b, and neither. The ratios for which the
/// interval of `p_b - ratio * p_a` contains 0, where that interval is made as in
/// [`paired_difference_interval`](crate::paired_difference_interval) (the method of variance estimates recovery of
/// Donner and Zou 2012, "Closed-form confidence intervals for functions of the normal mean and standard deviation",
/// with Newcombe's correlation). Not below 0.
///
/// # Errors
/// [`EvalError::Empty`] if all counts are 0; [`EvalError::CountOverflow`]; [`EvalError::ParameterOutOfRange`]
/// for an invalid confidence or if a never succeeded.
///
/// ```
/// use mlestar_eval::paired_ratio_interval;
/// // 0.82 became 0.832.
/// let interval = paired_ratio_interval(8_000, 200, 320, 1_480, 0.95)?;
/// assert_eq!(format!("{:.4} {:.4}", interval.low, interval.high), "1.0092 1.0202");
/// # Ok::<(), mlestar_eval::EvalError>(())
/// ```
pub fn paired_ratio_interval(
    both: u64,
    only_a: u64,
    only_b: u64,
    neither: u64,
    confidence: f64,
) -> Result<Interval, EvalError> {
    let n = checked_total([both, only_a, only_b, neither])?;
    let (right_a, right_b) = (both + only_a, both + only_b);
    let (a, b) = (
        wilson(right_a, n, confidence)?,
        wilson(right_b, n, confidence)?,
    );
    if right_a == 0 {
        return Err(EvalError::ParameterOutOfRange {
            name: "both + only_a",
            value: 0.0,
            range: "at least 1".to_owned(),
        });
    }
    let (p_a, p_b) = (right_a as f64 / n as f64, right_b as f64 / n as f64);
    let phi = correlation([both, only_a, only_b, neither].map(|count| count as f64));
    // The roots of `square * ratio^2 - 2 * middle * ratio + constant`.
    let root = |middle: f64, square: f64, constant: f64| {
        (middle * middle - square * constant).max(0.0).sqrt()
    };
    let middle = p_a * p_b - phi * (p_b - b.low) * (a.high - p_a);
    let (square, constant) = (a.high * (2.0 * p_a - a.high), b.low * (2.0 * p_b - b.low));
    // In this form also for a square's factor of 0.
    let denominator = middle + root(middle, square, constant);
    let low = if constant > 0.0 {
        constant / denominator
    } else {
        0.0
    };
    let middle = p_a * p_b - phi * (b.high - p_b) * (p_a - a.low);
    let (square, constant) = (a.low * (2.0 * p_a - a.low), b.high * (2.0 * p_b - b.high));
    let high = (middle + root(middle, square, constant)) / square;
    let ratio = p_b / p_a;
    Ok(Interval {
        low: low.clamp(0.0, ratio),
        high: high.max(ratio),
        confidence,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::paired_difference_interval;
    use proptest::prelude::*;

    #[test]
    fn a_ratio_of_one_is_inside_exactly_when_a_difference_of_zero_is() {
        for only_b in 0..60 {
            let counts = [900, 20, only_b, 40];
            let [both, only_a, only_b, neither] = counts;
            let ratio = paired_ratio_interval(both, only_a, only_b, neither, 0.95).unwrap();
            let difference =
                paired_difference_interval(both, only_a, only_b, neither, 0.95).unwrap();
            assert_eq!(ratio.contains(1.0), difference.contains(0.0), "{counts:?}");
        }
    }

    #[test]
    fn nothing_right_and_nonsense() {
        let interval = paired_ratio_interval(0, 10, 0, 5, 0.95).unwrap();
        assert!(interval.low == 0.0 && interval.high > 0.0 && interval.high < 1.0);
        assert!(paired_ratio_interval(0, 0, 3, 5, 0.95).is_err());
        assert!(paired_ratio_interval(0, 0, 0, 0, 0.95).is_err());
        assert!(paired_ratio_interval(1, 0, 0, 0, 1.0).is_err());
    }

    proptest! {
        #[test]
        fn it_holds_the_ratio_and_is_finite(
            both in 0_u64..2_000,
            only_a in 0_u64..300,
            only_b in 0_u64..300,
            neither in 0_u64..2_000,
        ) {
            prop_assume!(both + only_a > 0);
            let interval = paired_ratio_interval(both, only_a, only_b, neither, 0.95).unwrap();
            let ratio = (both + only_b) as f64 / (both + only_a) as f64;
            prop_assert!(interval.low <= ratio && ratio <= interval.high);
            prop_assert!(interval.low >= 0.0 && interval.high.is_finite());
        }
    }
}
