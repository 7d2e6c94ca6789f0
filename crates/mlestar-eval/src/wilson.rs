use crate::error::check_confidence;
use crate::normal::two_sided_quantile;
use crate::{EvalError, Interval};

/// Wilson's score interval of a proportion.
///
/// The proportions p that a two-sided score test at this confidence does not reject:
/// `(p^ + z^2/2n -+ z sqrt(p^ (1 - p^)/n + z^2/4n^2)) / (1 + z^2/n)` (Wilson 1927, "Probable inference, the law of
/// succession, and statistical inference"). Always within 0-1, never of width 0, good for small n.
/// `statsmodels.stats.proportion.proportion_confint(method="wilson")`.
///
/// # Errors
/// [`EvalError::Empty`] for `n = 0`; [`EvalError::ParameterOutOfRange`] if `successes > n` or `confidence` is
/// not strictly between 0 and 1.
///
/// ```
/// use mlestar_eval::wilson;
/// let interval = wilson(8_312, 10_000, 0.95)?;
/// assert_eq!(format!("{:.4} {:.4}", interval.low, interval.high), "0.8237 0.8384");
/// # Ok::<(), mlestar_eval::EvalError>(())
/// ```
pub fn wilson(successes: u64, n: u64, confidence: f64) -> Result<Interval, EvalError> {
    if n == 0 {
        return Err(EvalError::Empty {
            what: "the sample of a proportion",
        });
    }
    if successes > n {
        return Err(EvalError::ParameterOutOfRange {
            name: "successes",
            value: successes as f64,
            range: format!("0 to n = {n}"),
        });
    }
    check_confidence(confidence)?;
    let (count, proportion) = (n as f64, successes as f64 / n as f64);
    let z = two_sided_quantile(confidence);
    let z_squared_over_n = z * z / count;
    let scale = 1.0 + z_squared_over_n;
    let center = (proportion + 0.5 * z_squared_over_n) / scale;
    let variance = proportion * (1.0 - proportion) / count;
    let half = z * (variance + 0.25 * z_squared_over_n / count).sqrt() / scale;
    // The formula gives these ends exactly, but rounding does not.
    let low = if successes == 0 { 0.0 } else { center - half };
    let high = if successes == n { 1.0 } else { center + half };
    Ok(Interval {
        low: low.clamp(0.0, proportion),
        high: high.clamp(proportion, 1.0),
        confidence,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_are_exact_where_nothing_or_everything_succeeded() {
        assert_eq!(wilson(0, 7, 0.95).unwrap().low, 0.0);
        assert_eq!(wilson(7, 7, 0.95).unwrap().high, 1.0);
        // 0 of 10 at 95%: z^2 / (n + z^2).
        assert!((wilson(0, 10, 0.95).unwrap().high - 0.277_532_799_862_889_26).abs() < 1e-14);
    }

    #[test]
    fn nonsense_is_refused() {
        assert!(matches!(wilson(0, 0, 0.95), Err(EvalError::Empty { .. })));
        assert!(wilson(2, 1, 0.95).is_err());
        for confidence in [0.0, 1.0, -1.0, 95.0, f64::NAN] {
            let error = wilson(1, 2, confidence).unwrap_err().to_string();
            assert!(error.contains("confidence"), "{error}");
        }
    }
}
