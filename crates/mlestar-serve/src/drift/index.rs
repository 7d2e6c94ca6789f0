//! The population stability index, and how many images it takes.

/// The index above which a shift is called moderate by convention; below it is noise or nothing.
const MODERATE: f64 = 0.1;

/// The upper 95 % point of the standard normal distribution.
const Z_95: f64 = 1.644_854;

/// The sum over bins of `(q - p) ln(q / p)`, where `p` and `q` are the bins' shares of `expected` and `found`.
///
/// Half an image is added to each bin of both, because an empty bin would make the index infinite.
pub fn population_stability_index(expected: &[u64], found: &[u64]) -> f64 {
    let shares = |counts: &[u64]| -> Vec<f64> {
        let total = counts.iter().sum::<u64>() as f64 + 0.5 * counts.len() as f64;
        counts.iter().map(|&n| (n as f64 + 0.5) / total).collect()
    };
    let pairs = shares(expected).into_iter().zip(shares(found));
    pairs.map(|(p, q)| (q - p) * (q / p).ln()).sum()
}

/// The least number of images with which chance alone stays below an index of 0.1 in 95 % of cases, if the training
/// had `m`; `None` if the training had too few for any number.
///
/// Without drift, the index of `n` images in `bins` bins is distributed as `(1/n + 1/m)` times chi-squared with
/// `bins - 1` degrees of freedom (B. Yurdakul, "Statistical Properties of Population Stability Index", Western Michigan
/// University, 2018); its mean is `(bins - 1) (1/n + 1/m)`.
pub fn least_images(bins: usize, m: u64) -> Option<u64> {
    let rest = MODERATE / chi_squared_95(bins.saturating_sub(1)) - 1.0 / m as f64;
    (m > 0 && rest > 0.0).then(|| (1.0 / rest).ceil() as u64)
}

/// The upper 95 % point of chi-squared by Wilson and Hilferty's approximation (1931), within 1.5 % from 2 degrees of
/// freedom on and within 3 % at 1.
fn chi_squared_95(degrees: usize) -> f64 {
    let k = degrees.max(1) as f64;
    let spread = 2.0 / (9.0 * k);
    k * (1.0 - spread + Z_95 * spread.sqrt()).powi(3)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn equal_shares_have_no_index_and_a_shift_has_its_own() {
        assert_eq!(population_stability_index(&[30, 70], &[30, 70]), 0.0);
        // (0.7 - 0.3) ln(7/3) + (0.3 - 0.7) ln(3/7), up to the half images.
        let index = population_stability_index(&[30_000, 70_000], &[70_000, 30_000]);
        assert!((index - 0.8 * (7.0_f64 / 3.0).ln()).abs() < 1e-3, "{index}");
        assert!(population_stability_index(&[0, 10], &[10, 0]).is_finite());
    }

    /// Quantiles of SciPy 1.17: `chi2.ppf(0.95, k)`.
    #[test]
    fn the_quantile_is_close_to_the_exact_one() {
        for (k, exact) in [
            (1, 3.8415),
            (2, 5.9915),
            (9, 16.9190),
            (99, 123.2252),
            (999, 1073.6426),
        ] {
            let found = chi_squared_95(k);
            assert!(
                (found / exact - 1.0).abs() < 0.03,
                "{k}: {found}, not {exact}"
            );
        }
    }

    #[test]
    fn few_training_images_or_many_bins_take_more() {
        assert_eq!(least_images(10, 1_000_000), Some(170));
        assert_eq!(least_images(10, 1_000), Some(204));
        assert_eq!(least_images(10, 100), None);
        assert_eq!(least_images(10, 0), None);
        assert!(least_images(1000, 50_000) > Some(10_000));
    }

    proptest! {
        #[test]
        fn it_is_never_negative_and_symmetric(
            bins in prop::collection::vec((0_u64..1000, 0_u64..1000), 1..30),
        ) {
            let (a, b): (Vec<u64>, Vec<u64>) = bins.into_iter().unzip();
            let (there, back) = (population_stability_index(&a, &b), population_stability_index(&b, &a));
            prop_assert!(there >= 0.0);
            prop_assert!((there - back).abs() <= 1e-9 * there.max(1.0));
        }

        /// The claim behind `least_images`: samples without drift stay below the limit in 95 % of cases.
        #[test]
        fn chance_stays_below_the_limit(seed in 0_u64..20) {
            const REPEATS: u64 = 200;
            let m = 1_000_000;
            let n = least_images(10, m).unwrap();
            let expected = [m / 10; 10];
            let mut state = seed;
            let mut draw = || {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                (state >> 33) as usize % 10
            };
            let above = (0..REPEATS).filter(|_| {
                let mut found = [0; 10];
                (0..n).for_each(|_| found[draw()] += 1);
                population_stability_index(&expected, &found) >= MODERATE
            }).count();
            // 10 are expected of 200; 25 lies almost five standard deviations above.
            prop_assert!(above < 25, "{}", above);
        }
    }
}
