/// Roughly how many samples in total would move the limit out of the confidence interval if the value stayed
/// the same; `None` if that cannot be computed (the value is on the limit, or the input is malformed).
///
/// * A Wilson score interval of a proportion p of n samples excludes a limit L exactly when
///   `(p - L)^2 > z^2 L (1 - L) / n`, so the answer is `z^2 L (1 - L) / (p - L)^2`; z is computed from the interval, whose ends
///   satisfy the same equation. (Wilson 1927, "Probable inference".)
/// * Any other interval is assumed to narrow with the square root of n:
///   `n (end nearest the limit - p)^2 / (p - L)^2`.
///
/// `samples` is the number behind `value` and `interval`; the result includes them.
///
/// ```
/// use mlestar_gates::samples_to_decide;
/// // 860 of 1,000 correct, Wilson 95%.
/// let needed = samples_to_decide(0.86, [0.837138, 0.880132], 1_000, 0.85);
/// assert!(needed.is_some_and(|n| (4_800..5_000).contains(&n)));
/// ```
pub fn samples_to_decide(value: f64, interval: [f64; 2], samples: u64, limit: f64) -> Option<u64> {
    let [low, high] = interval;
    let distance = value - limit;
    let well_formed = low.is_finite() && high.is_finite() && low <= value && value <= high;
    if !well_formed || !limit.is_finite() || distance == 0.0 || samples == 0 {
        return None;
    }
    let n = samples as f64;
    let needed = match wilson_z_squared(value, interval, n) {
        Some(z_squared) if 0.0 < limit && limit < 1.0 => {
            z_squared * limit * (1.0 - limit) / (distance * distance)
        }
        _ => {
            let end = if distance > 0.0 { low } else { high };
            n * ((value - end) / distance).powi(2)
        }
    };
    // Beyond 2^53 samples the answer has no practical meaning.
    (needed.is_finite() && needed < 9e15).then(|| needed.ceil() as u64)
}

/// The squared normal quantile of a Wilson interval; `None` if its two ends disagree.
fn wilson_z_squared(value: f64, [low, high]: [f64; 2], n: f64) -> Option<f64> {
    let from_end = |end: f64| {
        (end > 0.0 && end < 1.0).then(|| n * (value - end).powi(2) / (end * (1.0 - end)))
    };
    match (from_end(low), from_end(high)) {
        // Ends may be rounded to a few digits, hence the wide tolerance.
        (Some(a), Some(b)) => ((a - b).abs() <= 0.01 * a.max(b)).then_some(0.5 * (a + b)),
        (Some(z_squared), None) if high == 1.0 && value == 1.0 => Some(z_squared),
        (None, Some(z_squared)) if low == 0.0 && value == 0.0 => Some(z_squared),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wilson(value: f64, n: f64) -> [f64; 2] {
        let z_squared = 1.959963984540054_f64.powi(2);
        let center = (value + z_squared / (2.0 * n)) / (1.0 + z_squared / n);
        let half = (z_squared / n * (value * (1.0 - value) + z_squared / (4.0 * n))).sqrt()
            / (1.0 + z_squared / n);
        [center - half, center + half]
    }

    #[test]
    fn the_answer_decides_and_a_little_less_does_not() {
        for (value, limit, samples) in [(0.86, 0.85, 500), (0.84, 0.85, 900), (0.02, 0.01, 300)] {
            let needed =
                samples_to_decide(value, wilson(value, samples as f64), samples, limit).unwrap();
            let excludes = |n: f64| {
                let [low, high] = wilson(value, n);
                limit < low || limit > high
            };
            assert!(excludes(needed as f64 * 1.01), "{value} {limit} {needed}");
            assert!(!excludes(needed as f64 * 0.99), "{value} {limit} {needed}");
        }
    }

    #[test]
    fn other_intervals_narrow_with_the_square_root() {
        assert!(matches!(
            samples_to_decide(0.5, [0.3, 0.8], 100, 0.4),
            Some(400..=401)
        ));
        assert_eq!(samples_to_decide(12.0, [9.0, 15.0], 10, 11.0), Some(90));
    }

    #[test]
    fn nothing_is_promised_where_nothing_can_be_told() {
        assert_eq!(samples_to_decide(0.85, [0.8, 0.9], 100, 0.85), None);
        assert_eq!(samples_to_decide(f64::NAN, [0.8, 0.9], 100, 0.85), None);
        assert_eq!(samples_to_decide(0.86, [0.9, 0.8], 100, 0.85), None);
        assert_eq!(samples_to_decide(0.86, [0.8, 0.9], 0, 0.85), None);
        assert_eq!(
            samples_to_decide(0.86, [0.8, 0.9], u64::MAX, 0.8599999999),
            None
        );
    }
}
