//! Tail probabilities of the symmetric binomial distribution, to nearly full precision for any n.

use std::f64::consts::PI;

/// Two-sided p-value of the exact binomial test that `successes` of `n` tosses come from a fair coin.
///
/// Twice the smaller tail, at most 1; by symmetry this equals the sum over outcomes that are not more likely,
/// as in `scipy.stats.binomtest`. The cost grows with the square root of n.
pub(crate) fn fair_coin_p_value(successes: u64, n: u64) -> f64 {
    let smaller = successes.min(n - successes);
    if n - smaller <= smaller + 1 {
        // The two tails meet or overlap (also for n = 0 and 1).
        return 1.0;
    }
    // P(X <= m) = pmf(m) (1 + m/(n-m+1) (1 + (m-1)/(n-m+2) (1 + ...))): terms of one sign, so nothing cancels.
    let mut term = 1.0;
    let mut sum = 1.0;
    let mut k = smaller;
    while k > 0 && term > sum * f64::EPSILON * 0.01 {
        term *= k as f64 / (n - k + 1) as f64;
        sum += term;
        k -= 1;
    }
    (2.0 * fair_coin_mass(smaller, n) * sum).min(1.0)
}

/// Probability of exactly `k` heads in `n` tosses.
///
/// Saddle-point form of Loader 2000, "Fast and accurate computation of binomial probabilities". The logarithms
/// of the three factorials, of order n log n, never appear, so nothing cancels for large n.
fn fair_coin_mass(k: u64, n: u64) -> f64 {
    if k == 0 || k == n {
        return (-(n as f64) * std::f64::consts::LN_2).exp();
    }
    let (n, k) = (n as f64, k as f64);
    let rest = n - k;
    let mean = 0.5 * n;
    let exponent = stirling_error(n)
        - stirling_error(k)
        - stirling_error(rest)
        - deviance(k, mean)
        - deviance(rest, mean);
    exponent.exp() * (n / (2.0 * PI * k * rest)).sqrt()
}

/// `ln n! - ln(sqrt(2 pi n) (n/e)^n)` for integer n >= 1.
fn stirling_error(n: f64) -> f64 {
    if n < 16.0 {
        let factorial: f64 = (1..=n as u32).map(f64::from).product();
        return factorial.ln() - (0.5 * (2.0 * PI * n).ln() + n * n.ln() - n);
    }
    let square = n * n;
    (1.0 / 12.0
        - (1.0 / 360.0 - (1.0 / 1260.0 - (1.0 / 1680.0 - 1.0 / 1188.0 / square) / square) / square)
            / square)
        / n
}

/// `x ln(x/m) + m - x`, computed by its series if x is near m, where the plain form would cancel.
fn deviance(x: f64, mean: f64) -> f64 {
    let difference = x - mean;
    if difference.abs() >= 0.1 * (x + mean) {
        return x * (x / mean).ln() - difference;
    }
    let ratio = difference / (x + mean);
    let mut sum = difference * ratio;
    let mut power = 2.0 * x * ratio;
    for j in 1..1000 {
        power *= ratio * ratio;
        let next = sum + power / f64::from(2 * j + 1);
        if next == sum {
            break;
        }
        sum = next;
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_cases_by_hand() {
        assert_eq!(fair_coin_p_value(0, 0), 1.0);
        assert_eq!(fair_coin_p_value(1, 1), 1.0);
        assert_eq!(fair_coin_p_value(1, 2), 1.0);
        assert!((fair_coin_p_value(0, 5) - 2.0 / 32.0).abs() < 1e-16);
        assert!((fair_coin_p_value(1, 6) - 2.0 * 7.0 / 64.0).abs() < 1e-15);
        assert!((fair_coin_p_value(9, 10) - 2.0 * 11.0 / 1024.0).abs() < 1e-16);
    }

    #[test]
    fn probabilities_sum_to_one() {
        for n in [1u64, 2, 15, 16, 17, 100, 1000] {
            let sum: f64 = (0..=n).map(|k| fair_coin_mass(k, n)).sum();
            assert!((sum - 1.0).abs() < 1e-13, "{n}: {sum}");
        }
    }

    #[test]
    fn huge_counts_neither_overflow_nor_stall() {
        let p = fair_coin_p_value(500_000_000_000, 1_000_000_000_003);
        assert!(p > 0.99 && p <= 1.0, "{p}");
        assert_eq!(fair_coin_p_value(0, u64::MAX), 0.0);
    }
}
