use crate::error::check_confidence;
use crate::{EvalError, Interval, wilson};

/// Interval of the difference `p_b - p_a` of two proportions measured on the same samples.
///
/// The four counts are the samples on which both succeeded, only a, only b, and neither. Method 10 of Newcombe
/// 1998, "Improved confidence intervals for the difference between binomial proportions based on paired data":
/// combines the Wilson intervals of the two proportions with their correlation (continuity-corrected). Within
/// -1 to 1.
///
/// # Errors
/// [`EvalError::Empty`] if all counts are 0; [`EvalError::CountOverflow`]; [`EvalError::ParameterOutOfRange`]
/// for an invalid confidence.
///
/// ```
/// use mlestar_eval::paired_difference_interval;
/// let interval = paired_difference_interval(8_000, 200, 320, 1_480, 0.95)?;
/// assert_eq!(format!("{:.4} {:.4}", interval.low, interval.high), "0.0075 0.0165");
/// # Ok::<(), mlestar_eval::EvalError>(())
/// ```
pub fn paired_difference_interval(
    both: u64,
    only_a: u64,
    only_b: u64,
    neither: u64,
    confidence: f64,
) -> Result<Interval, EvalError> {
    check_confidence(confidence)?;
    let n = checked_total([both, only_a, only_b, neither])?;
    let (right_a, right_b) = (both + only_a, both + only_b);
    let (p_a, p_b) = (right_a as f64 / n as f64, right_b as f64 / n as f64);
    let (a, b) = (
        wilson(right_a, n, confidence)?,
        wilson(right_b, n, confidence)?,
    );
    let phi = correlation([both, only_a, only_b, neither].map(|count| count as f64));
    let difference = p_b - p_a;
    let below = joined(p_b - b.low, a.high - p_a, phi);
    let above = joined(b.high - p_b, p_a - a.low, phi);
    Ok(Interval {
        low: (difference - below).clamp(-1.0, difference),
        high: (difference + above).clamp(difference, 1.0),
        confidence,
    })
}

pub(crate) fn checked_total(counts: [u64; 4]) -> Result<u64, EvalError> {
    let what = "the paired samples";
    let n = counts
        .iter()
        .try_fold(0u64, |sum, &count| sum.checked_add(count))
        .ok_or(EvalError::CountOverflow { what })?;
    if n == 0 {
        return Err(EvalError::Empty { what });
    }
    Ok(n)
}

/// Half-width of a difference whose two parts have half-widths x and y and correlation phi.
fn joined(x: f64, y: f64, phi: f64) -> f64 {
    (x * x - 2.0 * phi * x * y + y * y).max(0.0).sqrt()
}

/// Phi coefficient of the 2x2 table, with Newcombe's continuity correction; 0 where it is undefined.
pub(crate) fn correlation([both, only_a, only_b, neither]: [f64; 4]) -> f64 {
    let margins = [
        both + only_a,
        only_b + neither,
        both + only_b,
        only_a + neither,
    ]
    .map(f64::sqrt);
    let product: f64 = margins.iter().product();
    if product == 0.0 {
        return 0.0;
    }
    let determinant = both * neither - only_a * only_b;
    let half_n = 0.5 * (both + only_a + only_b + neither);
    let corrected = if determinant > 0.0 {
        (determinant - half_n).max(0.0)
    } else {
        determinant
    };
    corrected / product
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identical_proportions_without_discordance() {
        let interval = paired_difference_interval(10, 0, 0, 0, 0.95).unwrap();
        assert!(interval.low < 0.0 && interval.high > 0.0);
    }

    #[test]
    fn swapping_the_two_mirrors_the_interval() {
        let forward = paired_difference_interval(50, 7, 19, 24, 0.95).unwrap();
        let backward = paired_difference_interval(50, 19, 7, 24, 0.95).unwrap();
        assert!((forward.low + backward.high).abs() < 1e-15);
        assert!((forward.high + backward.low).abs() < 1e-15);
    }

    #[test]
    fn nonsense_is_refused() {
        assert!(matches!(
            paired_difference_interval(0, 0, 0, 0, 0.95),
            Err(EvalError::Empty { .. })
        ));
        assert!(matches!(
            paired_difference_interval(u64::MAX, 1, 0, 0, 0.95),
            Err(EvalError::CountOverflow { .. })
        ));
        assert!(paired_difference_interval(1, 1, 1, 1, 1.0).is_err());
    }
}
