//! Agreement with scikit-learn, scipy, numpy and statsmodels, whose answers `tests/fixtures/make_fixtures.py` wrote.

use mlestar_eval::*;
use serde_json::Value;

const TOLERANCE: f64 = 1e-9;

fn read(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

fn statistics() -> Value {
    read(include_str!("../fixtures/statistics.json"))
}

fn floats(value: &Value) -> Vec<f64> {
    let list = value.as_array().unwrap();
    list.iter().map(|number| number.as_f64().unwrap()).collect()
}

fn rows(value: &Value) -> Vec<Vec<f64>> {
    value.as_array().unwrap().iter().map(floats).collect()
}

/// Converts a mean over all classes to one over the classes with a sample.
fn of_present(matrix: &ConfusionMatrix) -> f64 {
    let classes = 0..matrix.n_classes();
    let n_present = classes.filter(|&class| matrix.support(class) > 0).count();
    matrix.n_classes() as f64 / n_present as f64
}

/// `null` means undefined.
fn optional_floats(value: &Value) -> Vec<Option<f64>> {
    value
        .as_array()
        .unwrap()
        .iter()
        .map(Value::as_f64)
        .collect()
}

#[track_caller]
fn close(what: &str, found: f64, expected: f64) {
    let scale = expected.abs().max(1.0);
    assert!(
        (found - expected).abs() <= TOLERANCE * scale,
        "{what}: {found} but expected {expected}"
    );
}

#[track_caller]
fn close_list(what: &str, found: &[f64], expected: &Value) {
    let expected = floats(expected);
    assert_eq!(found.len(), expected.len(), "{what}");
    for (index, (found, expected)) in found.iter().zip(expected).enumerate() {
        close(&format!("{what}[{index}]"), *found, expected);
    }
}

#[track_caller]
fn close_optional(what: &str, found: Option<f64>, expected: Option<f64>) {
    match (found, expected) {
        (Some(found), Some(expected)) => close(what, found, expected),
        _ => assert_eq!(found, expected, "{what}"),
    }
}

#[track_caller]
fn close_optional_list(what: &str, found: &[Option<f64>], expected: &Value) {
    let expected = optional_floats(expected);
    assert_eq!(found.len(), expected.len(), "{what}");
    for (index, (found, expected)) in found.iter().zip(expected).enumerate() {
        close_optional(&format!("{what}[{index}]"), *found, expected);
    }
}

/// Calls `check` with every prediction set: its name, the predictions, scikit-learn's answers.
fn for_each_set(check: impl Fn(&str, &Predictions, &Value)) {
    let fixture = read(include_str!("../fixtures/predictions.json"));
    let sets = fixture["sets"].as_object().unwrap();
    for needed in ["class_absent", "class_never_predicted", "ties", "one_sided"] {
        assert!(sets.contains_key(needed), "{needed}");
    }
    for (name, set) in sets {
        let labels = floats(&set["labels"])
            .into_iter()
            .map(|label| label as u32)
            .collect();
        let n_classes = set["n_classes"].as_u64().unwrap() as usize;
        let predictions =
            Predictions::new(labels, floats(&set["probabilities"]), n_classes).unwrap();
        check(name, &predictions, &set["answers"]);
    }
}

#[test]
fn the_fixture_says_which_scikit_learn_answered() {
    for text in [
        include_str!("../fixtures/predictions.json"),
        include_str!("../fixtures/statistics.json"),
    ] {
        let versions = &read(text)["made_with"];
        assert!(
            versions["scikit-learn"].as_str().unwrap().starts_with("1."),
            "{versions}"
        );
    }
}

#[test]
fn accuracy_and_top_k() {
    for_each_set(|name, predictions, answers| {
        close(
            name,
            accuracy(predictions),
            answers["accuracy"].as_f64().unwrap(),
        );
        let top_k: Vec<f64> = (1..=predictions.n_classes())
            .map(|k| top_k_accuracy(predictions, k).unwrap())
            .collect();
        close_list(&format!("{name} top k"), &top_k, &answers["top_k"]);
    });
}

#[test]
fn confusion_matrix_and_what_follows_from_it() {
    for_each_set(|name, predictions, answers| {
        let matrix = ConfusionMatrix::from(predictions);
        let expected: Vec<Vec<u64>> = serde_json::from_value(answers["confusion"].clone()).unwrap();
        let every: Vec<usize> = (0..matrix.n_classes()).collect();
        assert_eq!(matrix.among(&every), expected, "{name}");
        let balanced = answers["balanced_accuracy"].as_f64().unwrap();
        close(
            &format!("{name} balanced"),
            balanced_accuracy(&matrix),
            balanced,
        );
        let matthews = answers["matthews"].as_f64().unwrap();
        close(
            &format!("{name} matthews"),
            matthews_correlation(&matrix),
            matthews,
        );
        let kappa = answers["cohen_kappa"].as_f64();
        close_optional(&format!("{name} kappa"), cohen_kappa(&matrix), kappa);
    });
}

#[test]
fn precision_recall_f1_and_averages() {
    for_each_set(|name, predictions, answers| {
        let matrix = ConfusionMatrix::from(predictions);
        let metrics = class_metrics(&matrix);
        let zero_division = |value: fn(&ClassMetrics) -> Option<f64>| -> Vec<f64> {
            metrics
                .iter()
                .map(|class| value(class).unwrap_or(0.0))
                .collect()
        };
        let expected = &answers["per_class"];
        close_list(
            name,
            &zero_division(|class| class.precision),
            &expected["precision"],
        );
        close_list(
            name,
            &zero_division(|class| class.recall),
            &expected["recall"],
        );
        close_list(name, &zero_division(|class| class.f1), &expected["f1"]);
        close_list(
            name,
            &zero_division(|class| Some(class.support as f64)),
            &expected["support"],
        );
        let averages = averages(&matrix);
        for (average, key) in [
            (averages.macro_average, "macro"),
            (averages.micro_average, "micro"),
            (averages.weighted_average, "weighted"),
        ] {
            // scikit-learn computed all classes; an absent class adds 0 to its sums there and does not count
            // here.
            let scale = match key {
                "macro" => of_present(&matrix),
                _ => 1.0,
            };
            let expected = |figure: &str| scale * answers[key][figure].as_f64().unwrap();
            close(
                &format!("{name} {key} precision"),
                average.precision,
                expected("precision"),
            );
            close(
                &format!("{name} {key} recall"),
                average.recall,
                expected("recall"),
            );
            close(&format!("{name} {key} f1"), average.f1, expected("f1"));
        }
    });
}

#[test]
fn probability_scores() {
    for_each_set(|name, predictions, answers| {
        let expected = |key: &str| answers[key].as_f64().unwrap();
        close(
            &format!("{name} log loss"),
            log_loss(predictions),
            expected("log_loss"),
        );
        close(
            &format!("{name} brier"),
            brier_score(predictions),
            expected("brier"),
        );
        let ece = |bins| expected_calibration_error(predictions, bins).unwrap();
        close(&format!("{name} ece 10"), ece(10), expected("ece_10"));
        close(&format!("{name} ece 15"), ece(15), expected("ece_15"));
        if answers["calibration_10"].is_object() {
            let reliability = reliability(predictions, 10).unwrap();
            let filled = |value: fn(&ReliabilityBin) -> Option<f64>| -> Vec<f64> {
                reliability.bins.iter().filter_map(value).collect()
            };
            let expected = &answers["calibration_10"];
            close_list(name, &filled(|bin| bin.accuracy), &expected["accuracy"]);
            close_list(
                name,
                &filled(|bin| bin.mean_confidence),
                &expected["confidence"],
            );
        }
    });
}

#[test]
fn areas() {
    for_each_set(|name, predictions, answers| {
        let auc = roc_auc_one_vs_rest(predictions);
        close_optional_list(&format!("{name} auc"), &auc.per_class, &answers["roc_auc"]);
        close_optional(name, auc.macro_average, answers["roc_auc_macro"].as_f64());
        close_optional(
            name,
            auc.weighted_average,
            answers["roc_auc_weighted"].as_f64(),
        );
        let ap = average_precision_one_vs_rest(predictions);
        close_optional_list(
            &format!("{name} ap"),
            &ap.per_class,
            &answers["average_precision"],
        );
        close_optional(
            name,
            ap.macro_average,
            answers["average_precision_macro"].as_f64(),
        );
        close_optional(
            name,
            ap.weighted_average,
            answers["average_precision_weighted"].as_f64(),
        );
    });
}

#[test]
fn figures_of_logits() {
    let fixture = read(include_str!("../fixtures/logits.json"));
    for (name, set) in fixture["sets"].as_object().unwrap() {
        let labels = floats(&set["labels"]).iter().map(|&l| l as u32).collect();
        let logits = floats(&set["logits"]).iter().map(|&z| z as f32).collect();
        let n_classes = set["n_classes"].as_u64().unwrap() as usize;
        let predictions = Predictions::from_logits(labels, logits, n_classes).unwrap();
        let answers = &set["answers"];
        let auc = roc_auc_one_vs_rest(&predictions).per_class;
        close_optional_list(&format!("{name} auc"), &auc, &answers["roc_auc"]);
        let ap = average_precision_one_vs_rest(&predictions).per_class;
        close_optional_list(&format!("{name} ap"), &ap, &answers["average_precision"]);
        let expected = |figure: &str| answers[figure].as_f64().unwrap();
        close(name, log_loss(&predictions), expected("log_loss"));
        close(name, accuracy(&predictions), expected("accuracy"));
    }
}

#[test]
fn points_of_the_curves() {
    for_each_set(|name, predictions, answers| {
        let Some(curves) = answers["curves"].as_array() else {
            return;
        };
        for (class, expected) in curves.iter().enumerate() {
            let what = format!("{name} class {class}");
            let (truth, scores) = predictions.one_vs_rest(class).unwrap();
            match roc_curve(&truth, &scores).unwrap() {
                Some(curve) => {
                    let expected = &expected["roc"];
                    close_list(&what, &curve.false_positive_rate, &expected["fpr"]);
                    close_list(&what, &curve.true_positive_rate, &expected["tpr"]);
                    assert_eq!(curve.thresholds[0], f64::INFINITY);
                    close_list(&what, &curve.thresholds[1..], &expected["thresholds"]);
                }
                None => assert!(expected["roc"].is_null(), "{what}"),
            }
            match precision_recall_curve(&truth, &scores).unwrap() {
                Some(curve) => {
                    let expected = &expected["precision_recall"];
                    close_list(&what, &curve.precision, &expected["precision"]);
                    close_list(&what, &curve.recall, &expected["recall"]);
                    close_list(&what, &curve.thresholds, &expected["thresholds"]);
                }
                None => assert!(expected["precision_recall"].is_null(), "{what}"),
            }
        }
    });
}

#[test]
fn the_summary_holds_the_same_figures() {
    for_each_set(|name, predictions, answers| {
        let classes: Vec<String> = (0..predictions.n_classes())
            .map(|class| format!("class {class}"))
            .collect();
        let summary = summarize(predictions, &classes, 0.95).unwrap();
        let expected = |key: &str| answers[key].as_f64().unwrap();
        close(name, summary.accuracy.value, expected("accuracy"));
        close(
            name,
            summary.balanced_accuracy.value,
            expected("balanced_accuracy"),
        );
        close(
            name,
            summary.matthews_correlation.value,
            expected("matthews"),
        );
        close(name, summary.log_loss.value, expected("log_loss"));
        close(name, summary.brier_score.value, expected("brier"));
        close(
            name,
            summary.macro_f1.value,
            of_present(&summary.confusion) * answers["macro"]["f1"].as_f64().unwrap(),
        );
        close(
            name,
            summary.reliability.expected_calibration_error,
            expected("ece_15"),
        );
        close_optional(name, summary.cohen_kappa, answers["cohen_kappa"].as_f64());
        close_optional(
            name,
            summary.macro_roc_auc,
            answers["roc_auc_macro"].as_f64(),
        );
        close_optional(
            name,
            summary.weighted_roc_auc,
            answers["roc_auc_weighted"].as_f64(),
        );
        close_optional(
            name,
            summary.mean_average_precision,
            answers["average_precision_macro"].as_f64(),
        );
        for top_k in &summary.top_k {
            close(
                name,
                top_k.accuracy.value,
                answers["top_k"][top_k.k - 1].as_f64().unwrap(),
            );
        }
        let auc: Vec<Option<f64>> = summary
            .per_class
            .iter()
            .map(|class| class.roc_auc)
            .collect();
        close_optional_list(name, &auc, &answers["roc_auc"]);
        for class in &summary.per_class {
            let present = class.support > 0;
            assert_eq!(class.recall.is_some(), present, "{name} {}", class.class);
            assert_eq!(
                class.recall_interval.is_some(),
                present,
                "{name} {}",
                class.class
            );
        }
    });
}

#[test]
fn wilson_intervals() {
    for row in rows(&statistics()["wilson"]) {
        let interval = wilson(row[0] as u64, row[1] as u64, row[2]).unwrap();
        close(&format!("{row:?} low"), interval.low, row[3]);
        close(&format!("{row:?} high"), interval.high, row[4]);
    }
}

#[test]
fn resampled_accuracies() {
    for set in statistics()["resampled_accuracy"].as_array().unwrap() {
        let splits: Vec<HeldOut> = rows(&set["splits"])
            .iter()
            .map(|row| HeldOut {
                samples: row[0] as u64,
                correct: row[1] as u64,
            })
            .collect();
        let (n, confidence) = (set["n"].as_u64().unwrap(), set["confidence"].as_f64());
        let found = resampled_accuracy(&splits, n, confidence.unwrap()).unwrap();
        let [low, high] = found.interval.ends();
        let figures = [found.mean, found.deviation, found.standard_error, low, high];
        close_list(&format!("{splits:?} of {n}"), &figures, &set["answers"]);
    }
}

#[test]
fn mcnemar_p_values() {
    for row in rows(&statistics()["mcnemar"]) {
        let [both, only_a, only_b, neither] = [0, 1, 2, 3].map(|index| row[index] as u64);
        let comparison = mcnemar_from_counts(both, only_a, only_b, neither, 0.95).unwrap();
        close(&format!("{row:?}"), comparison.p_value, row[4]);
        // Small p-values must also agree as ratios.
        assert!(
            (comparison.p_value / row[4] - 1.0).abs() < 1e-9,
            "{row:?}: {}",
            comparison.p_value
        );
    }
}

#[test]
fn paired_difference_intervals() {
    for row in rows(&statistics()["paired_difference"]) {
        let [both, only_a, only_b, neither] = [0, 1, 2, 3].map(|index| row[index] as u64);
        let interval = paired_difference_interval(both, only_a, only_b, neither, row[4]).unwrap();
        close(&format!("{row:?} low"), interval.low, row[5]);
        close(&format!("{row:?} high"), interval.high, row[6]);
    }
}

#[test]
fn normal_quantiles() {
    for row in rows(&statistics()["normal_quantile"]) {
        let found = normal_quantile(row[0]);
        // Two good algorithms differ by some units in the last place, even if the quantile is near 0.
        assert!(
            (found - row[1]).abs() <= 1e-14 * row[1].abs().max(1e-2),
            "{row:?}: {found}"
        );
    }
}

#[test]
fn quantiles_of_lists() {
    let fixture = &statistics()["quantile"];
    let values = floats(&fixture["values"]);
    let found: Vec<f64> = floats(&fixture["fractions"])
        .into_iter()
        .map(|fraction| quantile(&values, fraction).unwrap())
        .collect();
    close_list("quantile", &found, &fixture["answers"]);
}
