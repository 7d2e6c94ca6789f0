//! Worked examples from the literature.

use mlestar_eval::{ConfusionMatrix, cohen_kappa, paired_difference_interval, wilson};

/// Newcombe 1998, "Two-sided confidence intervals for the single proportion: comparison of seven methods", table I,
/// score method without continuity correction, 95%.
#[test]
fn wilson_intervals_of_newcombe() {
    for (successes, n, low, high) in [
        (81, 263, "0.2553", "0.3662"),
        (15, 148, "0.0624", "0.1605"),
        (0, 20, "0.0000", "0.1611"),
        (1, 29, "0.0061", "0.1718"),
    ] {
        let interval = wilson(successes, n, 0.95).unwrap();
        assert_eq!(format!("{:.4}", interval.low), low, "{successes}/{n}");
        assert_eq!(format!("{:.4}", interval.high), high, "{successes}/{n}");
    }
}

/// Airway hyper-responsiveness before and after transplantation (Bentur et al. 2009), as analysed by Fagerland,
/// Lydersen and Laake 2014, "Recommended tests and confidence intervals for paired binomial proportions": 1 and 7 of
/// 21 children discordant.
#[test]
fn paired_interval_of_fagerland() {
    let interval = paired_difference_interval(1, 1, 7, 12, 0.95).unwrap();
    assert_eq!(format!("{:.3}", interval.low), "0.026");
    assert_eq!(format!("{:.3}", interval.high), "0.507");
}

/// Two readers of 50 grant proposals, the textbook example: 20 + 15 agreements give kappa 0.4.
#[test]
fn kappa_of_the_textbook() {
    let matrix = ConfusionMatrix::from_counts(vec![vec![20, 5], vec![10, 15]]).unwrap();
    assert!((cohen_kappa(&matrix).unwrap() - 0.4).abs() < 1e-15);
}
