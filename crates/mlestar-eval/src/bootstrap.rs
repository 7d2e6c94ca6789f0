use crate::error::{check_confidence, check_not_empty};
use crate::{EvalError, Interval};

/// Percentile bootstrap interval of a statistic of `n` samples.
///
/// Draws `resamples` sets of `n` sample indices with replacement, computes the statistic of each and returns
/// the `(1 -+ confidence) / 2` quantiles (Efron 1979, "Bootstrap methods: another look at the jackknife"). The
/// draws depend only on `seed`. `statistic` returns `None` if it is undefined; such resamples are left out. Use
/// at least 1,000 resamples for 95%.
///
/// # Errors
/// [`EvalError::Empty`] for `n = 0`; [`EvalError::ParameterOutOfRange`] for fewer than 2 resamples, more than
/// 2^32 samples, or an invalid confidence; [`EvalError::BootstrapUndefined`] if the statistic is undefined
/// (`None` or NaN) on more than half of the resamples.
///
/// ```
/// use mlestar_eval::bootstrap;
/// let seconds = [1.0, 1.2, 0.9, 1.1, 5.0, 1.0, 1.3, 0.8];
/// let median = |indices: &[usize]| {
///     let mut values: Vec<f64> = indices.iter().map(|&index| seconds[index]).collect();
///     values.sort_by(f64::total_cmp);
///     Some(0.5 * (values[3] + values[4]))
/// };
/// let interval = bootstrap(seconds.len(), 1_000, 0.95, 42, median)?;
/// assert!(interval.low < 1.05 && 1.05 < interval.high);
/// assert_eq!(interval, bootstrap(seconds.len(), 1_000, 0.95, 42, median)?);
/// # Ok::<(), mlestar_eval::EvalError>(())
/// ```
pub fn bootstrap(
    n: usize,
    resamples: usize,
    confidence: f64,
    seed: u64,
    mut statistic: impl FnMut(&[usize]) -> Option<f64>,
) -> Result<Interval, EvalError> {
    let [interval] = bootstrap_many(n, resamples, confidence, seed, |indices| {
        [statistic(indices)]
    })?;
    interval
}

/// [`bootstrap`] of several statistics of the same samples, with common resamples.
///
/// # Errors
/// As for [`bootstrap`]; a statistic that is undefined too often affects only its own interval.
pub fn bootstrap_many<const STATISTICS: usize>(
    n: usize,
    resamples: usize,
    confidence: f64,
    seed: u64,
    mut statistics: impl FnMut(&[usize]) -> [Option<f64>; STATISTICS],
) -> Result<[Result<Interval, EvalError>; STATISTICS], EvalError> {
    check_not_empty("the sample to resample", n)?;
    check_confidence(confidence)?;
    let Some(bound) = u32::try_from(n).ok() else {
        return Err(EvalError::ParameterOutOfRange {
            name: "n",
            value: n as f64,
            range: format!("1 to {}", u32::MAX),
        });
    };
    if resamples < 2 {
        return Err(EvalError::ParameterOutOfRange {
            name: "resamples",
            value: resamples as f64,
            range: "2 or more; 1000 is usual".to_string(),
        });
    }
    let mut generator = SplitMix64(seed);
    let mut indices = vec![0usize; n];
    let mut values: [Vec<f64>; STATISTICS] =
        std::array::from_fn(|_| Vec::with_capacity(resamples.min(1 << 20)));
    for _ in 0..resamples {
        for index in &mut indices {
            *index = generator.below(bound) as usize;
        }
        for (values, value) in values.iter_mut().zip(statistics(&indices)) {
            values.extend(value.filter(|value| !value.is_nan()));
        }
    }
    Ok(values.map(|values| percentile_interval(values, resamples, confidence)))
}

fn percentile_interval(
    mut values: Vec<f64>,
    resamples: usize,
    confidence: f64,
) -> Result<Interval, EvalError> {
    if values.len() * 2 < resamples {
        return Err(EvalError::BootstrapUndefined {
            undefined: resamples - values.len(),
            resamples,
        });
    }
    values.sort_by(f64::total_cmp);
    let tail = 0.5 * (1.0 - confidence);
    Ok(Interval {
        low: sorted_quantile(&values, tail),
        high: sorted_quantile(&values, 1.0 - tail),
        confidence,
    })
}

/// The `fraction` quantile of a list in any order, interpolated linearly between its two neighbours in rank
/// (`numpy.quantile`'s default, type 7 of Hyndman and Fan 1996).
///
/// # Errors
/// [`EvalError::Empty`]; [`EvalError::NotFinite`] for NaN and infinities; [`EvalError::ParameterOutOfRange`]
/// for a fraction outside 0-1.
///
/// ```
/// use mlestar_eval::quantile;
/// assert_eq!(quantile(&[4.0, 1.0, 2.0, 3.0], 0.5)?, 2.5);
/// # Ok::<(), mlestar_eval::EvalError>(())
/// ```
pub fn quantile(values: &[f64], fraction: f64) -> Result<f64, EvalError> {
    check_not_empty("the list of values", values.len())?;
    if !(0.0..=1.0).contains(&fraction) {
        return Err(EvalError::ParameterOutOfRange {
            name: "fraction",
            value: fraction,
            range: "0 to 1".to_string(),
        });
    }
    if let Some(index) = values.iter().position(|value| !value.is_finite()) {
        return Err(EvalError::NotFinite {
            what: "value",
            index,
            value: values[index],
        });
    }
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    Ok(sorted_quantile(&sorted, fraction))
}

fn sorted_quantile(sorted: &[f64], fraction: f64) -> f64 {
    let last = sorted.len() - 1;
    let position = fraction * last as f64;
    let below = (position.floor() as usize).min(last);
    let above = (below + 1).min(last);
    let (low, high) = (sorted[below], sorted[above]);
    if low == high {
        // Also if both are the same infinity, whose difference is NaN.
        low
    } else {
        low + (high - low) * (position - below as f64)
    }
}

/// Steele, Lea and Flood 2014, "Fast splittable pseudorandom number generators". This crate depends on no other
/// crate of the workspace, and resampling needs nothing better.
pub(crate) struct SplitMix64(pub(crate) u64);

impl SplitMix64 {
    fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Uniform in `0..bound`, by the high half of a product: with a 64-bit draw and a 32-bit bound the bias is below
    /// 2^-32.
    pub(crate) fn below(&mut self, bound: u32) -> u32 {
        ((u128::from(self.next_u64()) * u128::from(bound)) >> 64) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generator_matches_the_published_sequence() {
        // First outputs for seed 1234567, as the reference implementation (prng.di.unimi.it) prints them.
        let mut generator = SplitMix64(1_234_567);
        assert_eq!(generator.next_u64(), 6_457_827_717_110_365_317);
        assert_eq!(generator.next_u64(), 3_203_168_211_198_807_973);
    }

    #[test]
    fn coverage_of_a_mean_is_about_the_confidence() {
        // 400 samples of 50 uniform values; the interval of the mean should hold 0.5 in about 90% of them.
        let mut generator = SplitMix64(7);
        let held = (0..400)
            .filter(|&round| {
                let values: Vec<f64> = (0..50)
                    .map(|_| generator.next_u64() as f64 / u64::MAX as f64)
                    .collect();
                let mean = |indices: &[usize]| {
                    Some(indices.iter().map(|&index| values[index]).sum::<f64>() / 50.0)
                };
                bootstrap(50, 300, 0.9, round, mean).unwrap().contains(0.5)
            })
            .count();
        assert!((340..=380).contains(&held), "{held} of 400");
    }

    #[test]
    fn undefined_statistics_and_bad_parameters_are_errors() {
        assert!(matches!(
            bootstrap(3, 10, 0.9, 0, |_| None),
            Err(EvalError::BootstrapUndefined {
                undefined: 10,
                resamples: 10
            })
        ));
        assert!(bootstrap(3, 10, 0.9, 0, |_| Some(f64::NAN)).is_err());
        assert!(bootstrap(0, 10, 0.9, 0, |_| Some(1.0)).is_err());
        assert!(bootstrap(3, 1, 0.9, 0, |_| Some(1.0)).is_err());
        assert!(bootstrap(3, 10, 1.0, 0, |_| Some(1.0)).is_err());
        let constant = bootstrap(3, 10, 0.9, 0, |_| Some(f64::INFINITY)).unwrap();
        assert_eq!(constant.ends(), [f64::INFINITY; 2]);
    }

    #[test]
    fn quantile_refuses_nonsense() {
        assert!(quantile(&[], 0.5).is_err());
        assert!(quantile(&[1.0], 1.5).is_err());
        assert!(quantile(&[1.0, f64::NAN], 0.5).is_err());
        assert_eq!(quantile(&[3.0], 0.99).unwrap(), 3.0);
    }
}
