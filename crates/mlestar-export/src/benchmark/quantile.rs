//! Quantiles of measured values, and how well a sample knows them.

/// The confidence of every interval of a benchmark.
pub const CONFIDENCE: f64 = 0.95;

/// The value below which the share `fraction` (0 to 1) of the sorted values lies: linear interpolation between the
/// two nearest values, as NumPy's default. NaN without values.
///
/// ```
/// use mlestar_export::benchmark::quantile;
/// assert!((quantile(&[1.0, 2.0, 3.0, 4.0, 10.0], 0.95) - 8.8).abs() < 1e-12);
/// ```
#[must_use]
pub fn quantile(sorted: &[f64], fraction: f64) -> f64 {
    let Some(last) = sorted.len().checked_sub(1) else {
        return f64::NAN;
    };
    let position = fraction.clamp(0.0, 1.0) * last as f64;
    let below = position.floor() as usize;
    let above = (below + 1).min(last);
    sorted[below] + (sorted[above] - sorted[below]) * (position - below as f64)
}

/// The interval that contains the quantile `fraction` of the distribution with a confidence of at least
/// `confidence`, from the sorted values: two order statistics, without an assumption about the distribution (H. A.
/// David and H. N. Nagaraja, "Order Statistics", 2003, section 7.1). The values must be independent. `None` if there
/// are too few values: for the 99th percentile with 95 %, at least 368 are needed.
///
/// ```
/// use mlestar_export::benchmark::quantile_interval;
/// let values: Vec<f64> = (1..=10).map(f64::from).collect();
/// assert_eq!(quantile_interval(&values, 0.5, 0.95), Some([2.0, 9.0]));
/// assert_eq!(quantile_interval(&values, 0.99, 0.95), None);
/// ```
#[must_use]
pub fn quantile_interval(sorted: &[f64], fraction: f64, confidence: f64) -> Option<[f64; 2]> {
    let (low, high) = ranks(sorted.len(), fraction, confidence)?;
    Some([sorted[low - 1], sorted[high - 1]])
}

/// The ranks, counted from 1, of the two order statistics. The number of values below the quantile has the binomial
/// distribution of `n` and `fraction`; each rank may be on the wrong side with half of the remaining probability.
fn ranks(n: usize, fraction: f64, confidence: f64) -> Option<(usize, usize)> {
    if n == 0 || !(fraction > 0.0 && fraction < 1.0 && confidence < 1.0) {
        return None;
    }
    let tail = 0.5 * (1.0 - confidence);
    let (first, masses) = binomial_masses(n, fraction);
    // `below` becomes P(count <= k), starting with k = first - 1, where it is 0 to the last digit.
    let (mut below, mut low, mut high) = (0.0, first, None);
    for (index, mass) in masses.iter().enumerate() {
        below += mass;
        let k = first + index;
        if below <= tail {
            low = k + 1;
        }
        if below >= 1.0 - tail {
            high = Some(k + 1);
            break;
        }
    }
    let high = high?;
    (low >= 1 && high <= n).then_some((low, high))
}

/// The probabilities of the binomial distribution around its mode, from the first returned count on. What is left
/// out has less than the precision of a number.
fn binomial_masses(n: usize, p: f64) -> (usize, Vec<f64>) {
    const NOTHING: f64 = 1e-20;
    let odds = p / (1.0 - p);
    let mode = (((n + 1) as f64 * p).floor() as usize).min(n);
    let (mut falling, mut mass) = (Vec::new(), 1.0);
    for k in (1..=mode).rev() {
        mass *= k as f64 / ((n - k + 1) as f64 * odds);
        if mass < NOTHING {
            break;
        }
        falling.push(mass);
    }
    let first = mode - falling.len();
    let mut masses: Vec<f64> = falling.into_iter().rev().chain([1.0]).collect();
    mass = 1.0;
    for k in mode..n {
        mass *= (n - k) as f64 * odds / (k + 1) as f64;
        if mass < NOTHING {
            break;
        }
        masses.push(mass);
    }
    let sum: f64 = masses.iter().sum();
    masses.iter_mut().for_each(|mass| *mass /= sum);
    (first, masses)
}

#[cfg(test)]
mod tests {
    use super::*;
    use mlestar_random::Stream;
    use proptest::prelude::*;

    /// `numpy.quantile([4, 1, 3, 2, 10, 7.5], q)`.
    #[test]
    fn quantiles_are_those_of_numpy() {
        let sorted = [1.0, 2.0, 3.0, 4.0, 7.5, 10.0];
        for (fraction, expected) in [
            (0.0, 1.0),
            (0.5, 3.5),
            (0.9, 8.75),
            (0.95, 9.375),
            (0.99, 9.875),
            (0.999, 9.9875),
            (1.0, 10.0),
        ] {
            let found = quantile(&sorted, fraction);
            assert!((found - expected).abs() < 1e-12, "{fraction}: {found}");
        }
        assert_eq!(quantile(&[2.5], 0.99), 2.5);
        assert!(quantile(&[], 0.5).is_nan());
    }

    /// Ranks from SciPy: `binom.cdf(l - 1, n, p) <= 0.025` for the largest l, `binom.cdf(u - 1, n, p) >= 0.975` for
    /// the smallest u.
    #[test]
    fn ranks_are_those_of_the_binomial_distribution() {
        for (n, fraction, expected) in SCIPY_RANKS {
            assert_eq!(ranks(n, fraction, 0.95), expected, "{n} {fraction}");
        }
    }

    /// Number of values, fraction, ranks.
    #[allow(clippy::type_complexity)] // A table that is read in one place.
    const SCIPY_RANKS: [(usize, f64, Option<(usize, usize)>); 15] = [
        (1, 0.5, None),
        (5, 0.5, None),
        (6, 0.5, Some((1, 6))),
        (10, 0.5, Some((2, 9))),
        (100, 0.5, Some((40, 61))),
        (100, 0.9, Some((84, 96))),
        (100, 0.95, Some((90, 100))),
        (100, 0.99, None),
        (367, 0.99, None),
        (368, 0.99, Some((360, 368))),
        (1000, 0.99, Some((983, 997))),
        (3687, 0.999, None),
        (3688, 0.999, Some((3680, 3688))),
        (3689, 0.999, Some((3681, 3689))),
        (100000, 0.99, Some((98938, 99062))),
    ];

    #[test]
    fn masses_sum_to_one_and_have_the_mean() {
        for (n, p) in [(1, 0.5), (10, 0.9), (1000, 0.999), (1_000_000, 0.99)] {
            let (first, masses) = binomial_masses(n, p);
            let sum: f64 = masses.iter().sum();
            let weighted = masses.iter().enumerate();
            let mean: f64 = weighted.map(|(k, mass)| (first + k) as f64 * mass).sum();
            assert!((sum - 1.0).abs() < 1e-12);
            assert!(
                (mean / (n as f64 * p) - 1.0).abs() < 1e-9,
                "{n} {p}: {mean}"
            );
        }
    }

    /// Of samples of the exponential distribution, whose quantile is `-ln(1 - p)`.
    #[test]
    fn intervals_cover_the_quantile_as_often_as_they_say() {
        let n_samples = 4000;
        for (n, fraction) in [(40, 0.5), (100, 0.9), (400, 0.95), (600, 0.99)] {
            let truth = -f64::ln(1.0 - fraction);
            let mut n_covered = 0;
            for sample in 0..n_samples {
                let mut stream = Stream::new(21, "coverage", n as u64, sample);
                let mut values: Vec<f64> = (0..n).map(|_| -(1.0 - stream.uniform()).ln()).collect();
                values.sort_by(f64::total_cmp);
                let [low, high] = quantile_interval(&values, fraction, 0.95).unwrap();
                n_covered += usize::from(low <= truth && truth <= high);
            }
            let covered = n_covered as f64 / n_samples as f64;
            // At least 95 %, less four standard errors; order statistics are discrete, so up to all the rest more.
            assert!(
                (0.936..=0.99).contains(&covered),
                "{n} {fraction}: {covered}"
            );
        }
    }

    proptest! {
        #[test]
        fn an_interval_encloses_its_quantile_and_grows_with_confidence(
            mut values in prop::collection::vec(0.0_f64..1e3, 1..300),
            fraction in 0.01_f64..0.99,
        ) {
            values.sort_by(f64::total_cmp);
            if let Some([low, high]) = quantile_interval(&values, fraction, 0.95) {
                let value = quantile(&values, fraction);
                prop_assert!(low <= value && value <= high);
                let [inner_low, inner_high] = quantile_interval(&values, fraction, 0.5).unwrap();
                prop_assert!(low <= inner_low && inner_high <= high);
            }
        }
    }
}
