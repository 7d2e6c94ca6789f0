//! Properties of all predictions.

use mlestar_eval::*;
use proptest::collection::vec;
use proptest::prelude::*;

use crate::strategies::{binary, logits, predictions};

fn names(n: usize) -> Vec<String> {
    (0..n).map(|class| format!("class {class}")).collect()
}

proptest! {
    #[test]
    fn a_confusion_matrix_counts_every_sample_once(predictions in predictions()) {
        let matrix = ConfusionMatrix::from(&predictions);
        prop_assert_eq!(matrix.total(), predictions.len() as u64);
        prop_assert_eq!(matrix.cells().map(|(_, _, count)| count).sum::<u64>(), matrix.total());
        for class in 0..predictions.n_classes() {
            let of = |labels: &[u32]| labels.iter().filter(|&&label| label as usize == class).count() as u64;
            prop_assert_eq!(matrix.support(class), of(predictions.labels()));
            prop_assert_eq!((0..predictions.n_classes()).map(|other| matrix.count(class, other)).sum::<u64>(), matrix.support(class));
            prop_assert_eq!(matrix.predicted_total(class), of(predictions.predicted_labels()));
        }
        let again = ConfusionMatrix::from_labels(
            predictions.labels(), predictions.predicted_labels(), predictions.n_classes());
        prop_assert_eq!(Ok(matrix), again);
    }

    #[test]
    fn figures_that_must_agree_do(predictions in predictions()) {
        let matrix = ConfusionMatrix::from(&predictions);
        let averages = averages(&matrix);
        let accuracy = accuracy(&predictions);
        prop_assert_eq!(averages.micro_average.f1, accuracy);
        prop_assert!((averages.weighted_average.recall - accuracy).abs() < 1e-12);
        prop_assert_eq!(top_k_accuracy(&predictions, 1).unwrap(), accuracy);
        prop_assert_eq!(top_k_accuracy(&predictions, predictions.n_classes()).unwrap(), 1.0);
        let correct = predictions.correct().iter().filter(|&&correct| correct).count() as u64;
        prop_assert_eq!(matrix.correct(), correct);
    }

    #[test]
    fn figures_stay_in_their_ranges(predictions in predictions()) {
        let matrix = ConfusionMatrix::from(&predictions);
        let unit = 0.0..=1.0 + 1e-12;
        prop_assert!(unit.contains(&balanced_accuracy(&matrix)));
        prop_assert!((-1.0..=1.0).contains(&matthews_correlation(&matrix)));
        prop_assert!(cohen_kappa(&matrix).is_none_or(|kappa| (-1.0..=1.0).contains(&kappa)));
        prop_assert!((0.0..=2.0).contains(&brier_score(&predictions)));
        prop_assert!((0.0..=36.1).contains(&log_loss(&predictions)));
        let reliability = reliability(&predictions, 15).unwrap();
        prop_assert!(reliability.expected_calibration_error <= reliability.maximum_calibration_error + 1e-12);
        prop_assert_eq!(reliability.bins.iter().map(|bin| bin.count).sum::<u64>(), predictions.len() as u64);
        let top = |k| top_k_accuracy(&predictions, k).unwrap();
        for k in 2..=predictions.n_classes() {
            prop_assert!(top(k - 1) <= top(k));
        }
    }

    #[test]
    fn the_auc_sees_only_the_order_of_the_scores((truth, scores) in binary()) {
        let auc = roc_auc(&truth, &scores).unwrap();
        let stretched: Vec<f64> = scores.iter().map(|score| (3.0 * score).exp() - 7.0).collect();
        prop_assert_eq!(roc_auc(&truth, &stretched).unwrap(), auc);
        let negated: Vec<f64> = scores.iter().map(|score| -score).collect();
        match (roc_auc(&truth, &negated).unwrap(), auc) {
            (Some(negated), Some(auc)) => prop_assert!((negated - (1.0 - auc)).abs() < 1e-12),
            (negated, auc) => prop_assert_eq!(negated, auc),
        }
    }

    #[test]
    fn roc_curves_climb_from_corner_to_corner((truth, scores) in binary(), points in 2usize..10) {
        let Some(curve) = roc_curve(&truth, &scores).unwrap() else {
            prop_assert!(truth.iter().all(|&positive| positive == truth[0]));
            return Ok(());
        };
        for curve in [&curve, &curve.thinned(points)] {
            let points: Vec<(f64, f64)> = curve.false_positive_rate.iter().copied()
                .zip(curve.true_positive_rate.iter().copied()).collect();
            prop_assert_eq!(points[0], (0.0, 0.0));
            prop_assert_eq!(points[points.len() - 1], (1.0, 1.0));
            prop_assert!(points.windows(2).all(|pair| pair[0].0 <= pair[1].0 && pair[0].1 <= pair[1].1));
        }
    }

    #[test]
    fn the_order_of_the_samples_does_not_matter(predictions in predictions(), by in 0usize..60) {
        let n = predictions.len();
        let order: Vec<usize> = (0..n).map(|index| (index + by) % n).rev().collect();
        let labels = order.iter().map(|&index| predictions.label(index)).collect();
        let rows = order.iter().flat_map(|&index| predictions.row(index).to_vec()).collect();
        let shuffled = Predictions::new(labels, rows, predictions.n_classes()).unwrap();
        prop_assert_eq!(ConfusionMatrix::from(&shuffled), ConfusionMatrix::from(&predictions));
        prop_assert_eq!(roc_auc_one_vs_rest(&shuffled), roc_auc_one_vs_rest(&predictions));
        prop_assert!((log_loss(&shuffled) - log_loss(&predictions)).abs() < 1e-12);
    }

    #[test]
    fn both_of_two_classes_have_the_same_auc(
        labels in vec(0u32..2, 1..80),
        values in vec(prop_oneof![-3.0f32..3.0, -300.0f32..300.0, Just(0.0)], 160),
    ) {
        let values = values[..2 * labels.len()].to_vec();
        let predictions = Predictions::from_logits(labels, values, 2).unwrap();
        let auc = roc_auc_one_vs_rest(&predictions).per_class;
        prop_assert_eq!(auc[0], auc[1]);
    }

    #[test]
    fn logits_and_their_probabilities_tell_the_same(predictions in logits()) {
        let (k, n) = (predictions.n_classes(), predictions.len());
        let rows = predictions.probabilities().to_vec();
        let rounded = Predictions::new(predictions.labels().to_vec(), rows, k).unwrap();
        for index in 0..n {
            let (exact, clipped) = (
                predictions.log_probability_of_truth(index),
                rounded.log_probability_of_truth(index),
            );
            prop_assert!(exact <= 0.0);
            prop_assert!((exact - clipped).abs() < 1e-9 || clipped < -36.0);
        }
        // Log-odds rank distinguishable probabilities in the same way.
        for class in 0..k {
            let (_, odds) = predictions.one_vs_rest(class).unwrap();
            for i in 0..n {
                for j in 0..n {
                    let (a, b) = (predictions.row(i)[class], predictions.row(j)[class]);
                    if a < b && (b - a) > 1e-12 * b {
                        prop_assert!(odds[i] < odds[j], "{a} {b} {} {}", odds[i], odds[j]);
                    }
                }
            }
        }
    }

    #[test]
    fn wilson_holds_the_estimate_and_narrows_with_n(n in 1u64..5_000, successes in 0u64..5_000, confidence in 0.5..0.999f64) {
        let successes = successes % (n + 1);
        let p = successes as f64 / n as f64;
        let interval = wilson(successes, n, confidence).unwrap();
        prop_assert!(interval.contains(p));
        prop_assert!(0.0 <= interval.low && interval.high <= 1.0);
        prop_assert!(interval.width() > 0.0);
        let more = wilson(successes * 4, n * 4, confidence).unwrap();
        prop_assert!(more.width() < interval.width());
        let surer = wilson(successes, n, 0.5 * (1.0 + confidence)).unwrap();
        prop_assert!(surer.low <= interval.low && interval.high <= surer.high);
        let mirrored = wilson(n - successes, n, confidence).unwrap();
        prop_assert!((mirrored.low - (1.0 - interval.high)).abs() < 1e-12);
    }

    #[test]
    fn comparing_two_classifiers_is_fair(pairs in vec((any::<bool>(), any::<bool>()), 1..80), confidence in 0.5..0.99f64) {
        let (a, b): (Vec<bool>, Vec<bool>) = pairs.into_iter().unzip();
        let forward = mcnemar(&a, &b, confidence).unwrap();
        let backward = mcnemar(&b, &a, confidence).unwrap();
        prop_assert_eq!(forward.p_value, backward.p_value);
        prop_assert_eq!(forward.difference, 0.0 - backward.difference);
        prop_assert!((0.0..=1.0).contains(&forward.p_value));
        prop_assert!((forward.accuracy_b - forward.accuracy_a - forward.difference).abs() < 1e-12);
        prop_assert!(forward.interval.contains(forward.difference));
        prop_assert!(-1.0 <= forward.interval.low && forward.interval.high <= 1.0);
        prop_assert_eq!(forward.both + forward.only_a + forward.only_b + forward.neither, a.len() as u64);
    }

    #[test]
    fn confused_pairs_are_sorted_and_complete(predictions in predictions()) {
        let matrix = ConfusionMatrix::from(&predictions);
        let pairs = most_confused_pairs(&matrix, usize::MAX);
        prop_assert_eq!(pairs.iter().map(|pair| pair.count).sum::<u64>(), matrix.total() - matrix.correct());
        prop_assert!(pairs.windows(2).all(|two| two[0].count >= two[1].count));
        for pair in &pairs {
            prop_assert_eq!(matrix.count(pair.truth as usize, pair.predicted as usize), pair.count);
        }
        prop_assert_eq!(&most_confused_pairs(&matrix, 1)[..], &pairs[..pairs.len().min(1)]);
    }

    #[test]
    fn arbitrary_numbers_are_refused_or_evaluated_but_never_panic(
        labels in vec(0u32..5, 0..6),
        probabilities in vec(prop_oneof![any::<f64>(), 0.0..=1.0f64, Just(f64::NAN)], 0..12),
        n_classes in 0usize..4,
    ) {
        let new = Predictions::new(labels.clone(), probabilities.clone(), n_classes);
        prop_assert!(new.is_ok() || !new.unwrap_err().to_string().is_empty());
        let truth: Vec<bool> = labels.iter().map(|&label| label > 1).collect();
        let bad = truth.is_empty() || truth.len() != probabilities.len()
            || probabilities.iter().any(|score| !score.is_finite());
        prop_assert_eq!(roc_curve(&truth, &probabilities).is_err(), bad);
        prop_assert_eq!(roc_auc(&truth, &probabilities).is_err(), bad);
        prop_assert_eq!(precision_recall_curve(&truth, &probabilities).is_err(), bad);
        prop_assert_eq!(average_precision(&truth, &probabilities).is_err(), bad);
    }
}

proptest! {
    // Each case draws 1,000 resamples.
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn a_summary_is_deterministic_and_its_intervals_are_in_order(predictions in predictions()) {
        let classes = names(predictions.n_classes());
        let summary = summarize(&predictions, &classes, 0.95).unwrap();
        prop_assert_eq!(&summarize(&predictions, &classes, 0.95).unwrap(), &summary);
        for estimate in [
            summary.accuracy, summary.balanced_accuracy, summary.macro_f1, summary.matthews_correlation,
            summary.log_loss, summary.brier_score,
        ] {
            prop_assert!(estimate.interval.low <= estimate.interval.high);
        }
        let json = serde_json::to_string(&summary).unwrap();
        prop_assert_eq!(serde_json::from_str::<EvaluationSummary>(&json).unwrap(), summary);
    }

    #[test]
    fn bootstrap_follows_its_seed_and_stays_within_the_statistic(values in vec(-5.0..5.0f64, 1..40), seed in any::<u64>()) {
        let mean = |indices: &[usize]| {
            Some(indices.iter().map(|&index| values[index]).sum::<f64>() / indices.len() as f64)
        };
        let interval = bootstrap(values.len(), 200, 0.9, seed, mean).unwrap();
        prop_assert_eq!(bootstrap(values.len(), 200, 0.9, seed, mean).unwrap(), interval);
        let low = values.iter().copied().fold(f64::INFINITY, f64::min);
        let high = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        prop_assert!(low - 1e-12 <= interval.low && interval.low <= interval.high && interval.high <= high + 1e-12);
        let wider = bootstrap(values.len(), 200, 0.99, seed, mean).unwrap();
        prop_assert!(wider.low <= interval.low && interval.high <= wider.high);
    }
}
