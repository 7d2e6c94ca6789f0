use std::f64::consts::{FRAC_2_PI, FRAC_PI_2};

/// The two-sided quantile of Student's distribution: a variable with `degrees` of freedom (at least 1) is within plus or
/// minus this with probability `confidence`, which is above 0 and below 1.
///
/// For whole degrees of freedom the distribution is a finite sum of powers of a cosine (Abramowitz and Stegun 1964,
/// "Handbook of Mathematical Functions", 26.7.3 and 26.7.4), whose terms have one sign. The cost grows with `degrees`.
/// `scipy.stats.t.ppf((1 + confidence) / 2, degrees)`.
pub(crate) fn two_sided_quantile(confidence: f64, degrees: u64) -> f64 {
    // The probability grows with the angle, from 0 to 1.
    let (mut low, mut high) = (0.0, FRAC_PI_2);
    loop {
        let angle = 0.5 * (low + high);
        if angle <= low || angle >= high {
            break;
        }
        match probability_within(angle, degrees) < confidence {
            true => low = angle,
            false => high = angle,
        }
    }
    high.tan() * (degrees as f64).sqrt()
}

/// The probability that a variable is within plus or minus `tan(angle) * sqrt(degrees)`.
fn probability_within(angle: f64, degrees: u64) -> f64 {
    let (sine, cosine) = angle.sin_cos();
    let square = cosine * cosine;
    let is_odd = degrees % 2 == 1;
    // Odd degrees: cos + 2/3 cos^3 + 2/3 4/5 cos^5 ...; even ones: 1 + 1/2 cos^2 + 1/2 3/4 cos^4 ...
    let mut term = if is_odd { cosine } else { 1.0 };
    let mut sum = 0.0;
    for power in (u64::from(is_odd)..=degrees.saturating_sub(2)).step_by(2) {
        sum += term;
        term *= square * (power + 1) as f64 / (power + 2) as f64;
    }
    match (degrees, is_odd) {
        (1, _) => FRAC_2_PI * angle,
        (_, true) => FRAC_2_PI * (angle + sine * sum),
        (_, false) => sine * sum,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `scipy.stats.t.ppf` of scipy 1.17.
    #[test]
    fn quantiles_are_those_of_scipy() {
        for (confidence, degrees, expected) in QUANTILES {
            let found = two_sided_quantile(confidence, degrees);
            assert!(
                (found / expected - 1.0).abs() < 1e-10,
                "{confidence} {degrees}: {found}"
            );
        }
    }

    const QUANTILES: [(f64, u64, f64); 12] = [
        (0.5, 1, 1.0000000000000002),
        (0.95, 1, 12.706204736174694),
        (0.99, 1, 63.656741162871526),
        (0.95, 2, 4.302652729749462),
        (0.95, 3, 3.1824463052837078),
        (0.95, 4, 2.7764451051977934),
        (0.9, 9, 1.833112932656237),
        (0.95, 19, 2.0930240544083087),
        (0.99, 20, 2.8453397097861077),
        (0.9999, 49, 4.235725936988712),
        (0.95, 99, 1.9842169515864174),
        (0.1, 500, 0.125725186671953),
    ];

    #[test]
    fn many_degrees_approach_the_normal_distribution() {
        let normal = crate::normal::two_sided_quantile(0.95);
        let found = two_sided_quantile(0.95, 1_000_000);
        assert!(found > normal && found - normal < 1e-5, "{found}");
    }
}
