//! Functions of the normal distribution.

use std::f64::consts::{PI, SQRT_2};

/// `exp(x^2) * erfc(x)` for `x >= 0`, relative error below 1.2e-7 (Press et al., "Numerical Recipes", section 6.2).
fn scaled_erfc(x: f64) -> f64 {
    const COEFFICIENTS: [f64; 10] = [
        -1.265_512_23,
        1.000_023_68,
        0.374_091_96,
        0.096_784_18,
        -0.186_288_06,
        0.278_868_07,
        -1.135_203_98,
        1.488_515_87,
        -0.822_152_23,
        0.170_872_77,
    ];
    let t = 1.0 / (1.0 + 0.5 * x);
    let polynomial = COEFFICIENTS.iter().rev().fold(0.0, |sum, c| sum * t + c);
    t * polynomial.exp()
}

/// Distribution function of the standard normal, relative error below 1.2e-7 in the lower tail.
pub(crate) fn normal_cdf(z: f64) -> f64 {
    let tail = 0.5 * scaled_erfc(z.abs() / SQRT_2) * (-0.5 * z * z).exp();
    if z < 0.0 { tail } else { 1.0 - tail }
}

/// Logarithm of the standard normal's density.
pub(crate) fn log_normal_density(z: f64) -> f64 {
    -0.5 * z * z - 0.5 * (2.0 * PI).ln()
}

/// Logarithm of the standard normal's distribution function.
pub(crate) fn log_normal_cdf(z: f64) -> f64 {
    if z < 0.0 {
        (0.5 * scaled_erfc(-z / SQRT_2)).ln() - 0.5 * z * z
    } else {
        normal_cdf(z).ln()
    }
}

/// `ln(density(z) + z * cdf(z))`: the logarithm of the expected improvement of a normal variable with deviation 1, for all
/// `z` (Ament et al. 2023, "Unexpected Improvements to Expected Improvement for Bayesian Optimization").
pub(crate) fn log_improvement(z: f64) -> f64 {
    if z > -1.0 {
        (log_normal_density(z).exp() + z * normal_cdf(z)).ln()
    } else if z > -20.0 {
        let ratio = (PI / 2.0).sqrt() * scaled_erfc(-z / SQRT_2);
        log_normal_density(z) + (z * ratio).ln_1p()
    } else {
        let square = z * z;
        log_normal_density(z) + (1.0 / square - 3.0 / (square * square)).ln()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_distribution_function_matches_tables() {
        for (z, expected) in [
            (0.0, 0.5),
            (1.0, 0.841_344_746),
            (-1.959_963_985, 0.025),
            (3.0, 0.998_650_102),
        ] {
            assert!((normal_cdf(z) - expected).abs() < 2e-7, "z = {z}");
            assert!((log_normal_cdf(z) - expected.ln()).abs() < 3e-7, "z = {z}");
        }
        // scipy.stats.norm.logcdf(-30)
        assert!((log_normal_cdf(-30.0) + 454.321_243_655_6).abs() < 1e-5);
    }

    /// `improvement(z)` is the integral of the distribution function up to `z`.
    #[test]
    fn the_improvement_is_an_integral_and_has_no_jumps() {
        for z in [-6.0_f64, -3.0, -1.01, -0.99, 0.0, 2.0] {
            let steps = 200_000;
            let width = 20.0 / f64::from(steps);
            let integral: f64 = (0..steps)
                .map(|step| normal_cdf(z - (f64::from(step) + 0.5) * width) * width)
                .sum();
            assert!((log_improvement(z) - integral.ln()).abs() < 1e-5, "z = {z}");
        }
        for z in [-1.0, -20.0] {
            let jump = log_improvement(z + 1e-9) - log_improvement(z - 1e-9);
            assert!(jump.abs() < 1e-4, "z = {z}: {jump}");
        }
    }
}
