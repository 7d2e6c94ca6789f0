//! Comparison with the definitions, computed in a slow and obvious way.

use mlestar_eval::*;
use proptest::collection::vec;
use proptest::prelude::*;

use crate::strategies::{binary, predictions};

/// Share of (positive, negative) pairs in which the positive scores higher, where a tie counts half.
fn auc_by_pairs(truth: &[bool], scores: &[f64]) -> Option<f64> {
    let (mut wins, mut pairs) = (0.0, 0.0);
    for (&positive, &score) in truth.iter().zip(scores).filter(|(positive, _)| **positive) {
        for (&other, &below) in truth.iter().zip(scores).filter(|(positive, _)| !**positive) {
            assert!(positive && !other);
            pairs += 1.0;
            wins += match score.total_cmp(&below) {
                std::cmp::Ordering::Greater => 1.0,
                std::cmp::Ordering::Equal => 0.5,
                std::cmp::Ordering::Less => 0.0,
            };
        }
    }
    (pairs > 0.0).then(|| wins / pairs)
}

/// Precision and recall if samples with a score of at least `threshold` are predicted as positive.
fn precision_recall_at(truth: &[bool], scores: &[f64], threshold: f64) -> (f64, f64) {
    let called = scores.iter().filter(|&&score| score >= threshold).count() as f64;
    let positives = truth.iter().filter(|&&positive| positive).count() as f64;
    let found = truth
        .iter()
        .zip(scores)
        .filter(|&(&positive, &score)| positive && score >= threshold)
        .count() as f64;
    (found / called, found / positives)
}

/// Two-sided p-value by adding up the probabilities of all outcomes that are no more likely.
fn fair_coin_by_enumeration(successes: u64, n: u64) -> f64 {
    let mut mass = vec![0.0; n as usize + 1];
    mass[0] = 1.0;
    for toss in 1..=n as usize {
        for heads in (0..=toss).rev() {
            let one_less = if heads > 0 { mass[heads - 1] } else { 0.0 };
            mass[heads] = 0.5 * (mass[heads] + one_less);
        }
    }
    let observed = mass[successes as usize];
    let no_more_likely = mass.iter().filter(|&&mass| mass <= observed * (1.0 + 1e-9));
    no_more_likely.sum::<f64>().min(1.0)
}

proptest! {
    #[test]
    fn auc_counts_pairs((truth, scores) in binary()) {
        let found = roc_auc(&truth, &scores).unwrap();
        match (found, auc_by_pairs(&truth, &scores)) {
            (Some(found), Some(expected)) => prop_assert!((found - expected).abs() < 1e-12),
            (found, expected) => prop_assert_eq!(found, expected),
        }
        if let Some(curve) = roc_curve(&truth, &scores).unwrap() {
            prop_assert!((curve.area() - found.unwrap()).abs() < 1e-12);
        }
    }

    #[test]
    fn every_point_of_the_precision_recall_curve_is_as_defined((truth, scores) in binary()) {
        let Some(curve) = precision_recall_curve(&truth, &scores).unwrap() else {
            prop_assert!(!truth.contains(&true));
            return Ok(());
        };
        for (index, &threshold) in curve.thresholds.iter().enumerate() {
            let (precision, recall) = precision_recall_at(&truth, &scores, threshold);
            prop_assert_eq!(curve.precision[index], precision);
            prop_assert_eq!(curve.recall[index], recall);
        }
        prop_assert!(curve.thresholds.windows(2).all(|pair| pair[0] < pair[1]));
    }

    #[test]
    fn per_class_figures_count_samples(predictions in predictions()) {
        let metrics = class_metrics(&ConfusionMatrix::from(&predictions));
        let pairs = || predictions.labels().iter().zip(predictions.predicted_labels());
        for (class, metrics) in metrics.iter().enumerate() {
            let class = class as u32;
            let count = |of: &dyn Fn(u32, u32) -> bool| pairs().filter(|&(&t, &p)| of(t, p)).count() as f64;
            let hits = count(&|truth, predicted| truth == class && predicted == class);
            let support = count(&|truth, _| truth == class);
            let called = count(&|_, predicted| predicted == class);
            prop_assert_eq!(metrics.recall, (support > 0.0).then(|| hits / support));
            prop_assert_eq!(metrics.precision, (called > 0.0).then(|| hits / called));
            prop_assert_eq!(metrics.support as f64, support);
        }
    }

    #[test]
    fn calibration_error_from_bins_looked_up_one_by_one(predictions in predictions(), n_bins in 1usize..20) {
        let n = predictions.len();
        let mut expected = 0.0;
        for bin in 0..n_bins {
            let (low, high) = (bin as f64 / n_bins as f64, (bin + 1) as f64 / n_bins as f64);
            let inside: Vec<usize> = (0..n)
                .filter(|&index| low < predictions.confidence(index) && predictions.confidence(index) <= high)
                .collect();
            let right = inside.iter().filter(|&&index| predictions.predicted(index) == predictions.label(index));
            let confidence: f64 = inside.iter().map(|&index| predictions.confidence(index)).sum();
            expected += (right.count() as f64 - confidence).abs() / n as f64;
        }
        let found = expected_calibration_error(&predictions, n_bins).unwrap();
        prop_assert!((found - expected).abs() < 1e-12);
    }

    #[test]
    fn mcnemar_p_value_by_enumeration(only_a in 0u64..60, only_b in 0u64..60) {
        let comparison = mcnemar_from_counts(3, only_a, only_b, 4, 0.95).unwrap();
        let expected = fair_coin_by_enumeration(only_a, only_a + only_b);
        prop_assert!((comparison.p_value / expected - 1.0).abs() < 1e-11, "{} {}", comparison.p_value, expected);
    }

    #[test]
    fn wilson_ends_solve_the_score_equation(n in 1u64..100_000, share in 0.0..=1.0f64, confidence in 0.5..0.999f64) {
        let successes = ((n as f64 * share).round() as u64).min(n);
        let interval = wilson(successes, n, confidence).unwrap();
        let z = normal_quantile(0.5 + 0.5 * confidence);
        let p = successes as f64 / n as f64;
        for end in interval.ends() {
            let (left, right) = ((p - end) * (p - end), z * z * end * (1.0 - end) / n as f64);
            prop_assert!((left - right).abs() < 1e-12, "{} {}", left, right);
        }
    }

    #[test]
    fn matthews_of_two_classes_is_the_phi_coefficient(counts in [0u64..50, 0u64..50, 0u64..50, 0u64..50]) {
        let [a, b, c, d] = counts.map(|count| count as f64);
        prop_assume!(a + b + c + d > 0.0);
        let matrix = ConfusionMatrix::from_counts(vec![counts[..2].to_vec(), counts[2..].to_vec()]).unwrap();
        let margins = (a + b) * (c + d) * (a + c) * (b + d);
        let expected = if margins > 0.0 { (a * d - b * c) / margins.sqrt() } else { 0.0 };
        prop_assert!((matthews_correlation(&matrix) - expected).abs() < 1e-12);
    }

    #[test]
    fn quantiles_are_between_their_neighbours(values in vec(-1e3..1e3f64, 1..40), fraction in 0.0..=1.0f64) {
        let found = quantile(&values, fraction).unwrap();
        let at_or_below = values.iter().filter(|&&value| value <= found).count() as f64;
        let position = fraction * (values.len() - 1) as f64;
        prop_assert!(at_or_below >= position.floor());
        prop_assert!(values.iter().filter(|&&value| value < found).count() as f64 <= position.ceil());
    }
}
