//! What an evaluation shows, each finding with its figure and what to do about it.

use super::Opportunity;
use crate::config::Config;
use crate::stages::evaluation::EvaluationResults;
use crate::stages::implementation::TrainingSummary;
use crate::words::counted;

/// A class this far below the mean recall is weak.
const WEAK_CLASS_MARGIN: f64 = 0.05;
/// A pair that takes this share of a class is worth naming.
const CONFUSED_FRACTION: f64 = 0.05;
/// Below this training accuracy the network has not learned its training images.
const UNDERFITTING_ACCURACY: f64 = 0.95;
/// A calibration error above this is visible in a reliability diagram.
const CALIBRATION_ERROR: f64 = 0.05;

pub(super) fn overfitting(config: &Config, training: &TrainingSummary) -> Option<Opportunity> {
    let limit = config.task.quality.overfitting_gap_max;
    (training.overfitting_gap > limit).then(|| Opportunity {
        kind: "overfitting".into(),
        finding: format!(
            "training accuracy is {:.4} above validation accuracy",
            training.overfitting_gap
        ),
        evidence: training.overfitting_gap,
        threshold: limit,
        proposals: Vec::new(),
        suggestion: "stronger augmentation, more dropout or more weight decay".into(),
        keys: vec![
            "augmentation".into(),
            "model.dropout".into(),
            "training.optimizer.weight_decay".into(),
        ],
    })
}

pub(super) fn underfitting(training: &TrainingSummary) -> Option<Opportunity> {
    (training.train_accuracy < UNDERFITTING_ACCURACY).then(|| Opportunity {
        kind: "underfitting".into(),
        finding: format!(
            "accuracy on the training images themselves is {:.4}",
            training.train_accuracy
        ),
        evidence: training.train_accuracy,
        threshold: UNDERFITTING_ACCURACY,
        proposals: Vec::new(),
        suggestion: "more epochs, a higher learning rate, or a wider network".into(),
        keys: vec![
            "training.epochs".into(),
            "training.optimizer.learning_rate".into(),
            "model.stages".into(),
        ],
    })
}

pub(super) fn still_improving(training: &TrainingSummary) -> Option<Opportunity> {
    let position = training.best_epoch as f64 / training.epochs_run.max(1) as f64;
    (training.best_epoch == training.epochs_run).then(|| Opportunity {
        kind: "still_improving".into(),
        finding: format!(
            "the last of {} was the best one",
            counted(training.epochs_run, "epoch")
        ),
        evidence: position,
        threshold: 1.0,
        proposals: Vec::new(),
        suggestion: "train longer".into(),
        keys: vec!["training.epochs".into()],
    })
}

/// Classes that are named one by one; more are counted.
const MOST_NAMED: usize = 10;

/// Classes far below the mean recall. Where every class misses the required recall, no single class is the weak one.
pub(super) fn weak_classes(config: &Config, results: &EvaluationResults) -> Vec<Opportunity> {
    let demanded = config.task.quality.per_class_recall_min;
    let mean = results.summary.balanced_accuracy.value;
    let recalls: Vec<(&str, f64)> = results
        .summary
        .per_class
        .iter()
        .filter_map(|class| Some((class.class.as_str(), class.recall?)))
        .collect();
    let best = recalls
        .iter()
        .map(|(_, recall)| *recall)
        .fold(0.0, f64::max);
    if !recalls.is_empty() && best < demanded {
        return vec![Opportunity {
            kind: "all_classes_weak".into(),
            finding: format!(
                "no class reaches the required recall of {demanded}: the best has {best:.4}, the mean is {mean:.4}"
            ),
            evidence: best,
            threshold: demanded,
            proposals: Vec::new(),
            suggestion: "the model as a whole is weak: more epochs, another learning rate, a wider network or more \
                         images"
                .into(),
            keys: vec![
                "training.epochs".into(),
                "training.optimizer.learning_rate".into(),
                "model.stages".into(),
                "data".into(),
            ],
        }];
    }
    let threshold = mean - WEAK_CLASS_MARGIN;
    let mut weak: Vec<(&str, f64)> = recalls
        .into_iter()
        .filter(|(_, recall)| *recall < threshold)
        .collect();
    weak.sort_by(|a, b| a.1.total_cmp(&b.1));
    let n_unnamed = weak.len().saturating_sub(MOST_NAMED);
    let more = match n_unnamed {
        0 => String::new(),
        n => format!("; {} below {threshold:.4}", counted(n, "more class")),
    };
    let (losses, keys) = losses_for_weak_classes(config);
    let n_named = weak.len().min(MOST_NAMED);
    weak.into_iter()
        .take(MOST_NAMED)
        .enumerate()
        .map(|(place, (class, recall))| Opportunity {
            kind: "weak_class".into(),
            finding: format!(
                "recall of {class} is {recall:.4}, the mean is {mean:.4}{}",
                if place + 1 == n_named { &more } else { "" }
            ),
            evidence: recall,
            threshold,
            proposals: Vec::new(),
            suggestion: format!(
                "look at the mistakes on {class}; add images of it, or check its labels{losses}"
            ),
            keys: keys.clone(),
        })
        .collect()
}

/// How the loss could make weak classes count more, as far as the config allows it and does not do it already: in
/// words, and the keys.
fn losses_for_weak_classes(config: &Config) -> (String, Vec<String>) {
    let training = &config.training;
    let mut keys = vec!["data".to_owned()];
    let mut words = String::new();
    if training.class_weights.is_none() {
        words.push_str("; where it is small, training.class_weights = \"balanced\"");
        keys.push("training.class_weights".into());
    }
    // The focal loss has one label per image.
    if training.focal_gamma.is_none() && training.label_smoothing == 0.0 {
        words.push_str("; where its images are hard, training.focal_gamma = 2.0");
        keys.push("training.focal_gamma".into());
    }
    (words, keys)
}

pub(super) fn confused_pairs(results: &EvaluationResults) -> Vec<Opportunity> {
    let classes = &results.summary.classes;
    results
        .summary
        .most_confused
        .iter()
        .filter(|pair| pair.fraction_of_truth >= CONFUSED_FRACTION)
        .take(5)
        .map(|pair| {
            let truth = &classes[pair.truth as usize];
            let predicted = &classes[pair.predicted as usize];
            Opportunity {
                kind: "confused_pair".into(),
                finding: format!(
                    "{} of {truth} ({:.3}) classified as {predicted}",
                    counted(pair.count as usize, "image"),
                    pair.fraction_of_truth
                ),
                evidence: pair.fraction_of_truth,
                threshold: CONFUSED_FRACTION,
                proposals: Vec::new(),
                suggestion: format!(
                    "augmentation or a low resolution may hide what distinguishes {truth} from {predicted}"
                ),
                keys: vec!["augmentation".into(), "data.image_size".into()],
            }
        })
        .collect()
}

/// Mean confidence minus accuracy, over all images: above 0 the model is overconfident.
fn overconfidence(results: &EvaluationResults) -> f64 {
    let bins = &results.summary.reliability.bins;
    let (sum, n) = bins.iter().fold((0.0, 0.0), |(sum, n), bin| {
        let gap = bin.mean_confidence.zip(bin.accuracy);
        let count = bin.count as f64;
        (
            sum + gap.map_or(0.0, |(confidence, accuracy)| {
                count * (confidence - accuracy)
            }),
            n + count,
        )
    });
    sum / f64::max(n, 1.0)
}

/// Overconfidence and underconfidence have opposite remedies.
pub(super) fn calibration(config: &Config, results: &EvaluationResults) -> Option<Opportunity> {
    let error = results.summary.reliability.expected_calibration_error;
    let gap = overconfidence(results);
    let training = &config.training;
    let (kind, sense, suggestion, keys) = if gap > error / 2.0 {
        let smoothing = match training.focal_gamma {
            None => (
                "label smoothing, ",
                vec!["training.label_smoothing".to_owned()],
            ),
            Some(_) => ("", Vec::new()),
        };
        (
            "overconfidence",
            format!("predictions are overconfident by {gap:.4}"),
            format!("{}fewer epochs or more weight decay", smoothing.0),
            [
                smoothing.1,
                vec![
                    "training.epochs".into(),
                    "training.optimizer.weight_decay".into(),
                ],
            ]
            .concat(),
        )
    } else if gap < -error / 2.0 {
        let mut softening = Vec::new();
        if training.label_smoothing > 0.0 {
            softening.push("training.label_smoothing");
        }
        if !training.mixing.is_off() {
            softening.push("training.mixing");
        }
        if training.focal_gamma.is_some() {
            softening.push("training.focal_gamma");
        }
        if config.model.dropout > 0.0 {
            softening.push("model.dropout");
        }
        let less = match softening.is_empty() {
            true => "more epochs".to_owned(),
            false => format!("more epochs, or lower {}", softening.join(", ")),
        };
        let keys = std::iter::once("training.epochs").chain(softening);
        (
            "underconfidence",
            format!("predictions are underconfident by {:.4}", -gap),
            less,
            keys.map(str::to_owned).collect(),
        )
    } else {
        (
            "calibration",
            "overconfident in some ranges and underconfident in others".to_owned(),
            "thresholds chosen on validation images".to_owned(),
            vec!["data".into()],
        )
    };
    (error > CALIBRATION_ERROR).then(|| Opportunity {
        kind: kind.into(),
        finding: format!("the expected calibration error is {error:.4}: {sense}"),
        evidence: error,
        threshold: CALIBRATION_ERROR,
        proposals: Vec::new(),
        suggestion,
        keys,
    })
}

/// What the search will try is part of the plan.
pub(super) fn search_space(config: &Config) -> Option<Opportunity> {
    let keys: Vec<String> = config
        .refinement
        .space
        .iter()
        .map(|(key, _)| key.to_owned())
        .collect();
    let trials = config.refinement.trials as f64;
    config.refinement.enabled.then(|| Opportunity {
        kind: "hyper_parameters".into(),
        finding: format!(
            "{} not searched yet; {} planned",
            counted(keys.len(), "setting"),
            counted(config.refinement.trials, "trial")
        ),
        evidence: trials,
        threshold: 1.0,
        proposals: Vec::new(),
        suggestion: "search them on validation images".into(),
        keys,
    })
}

/// Without overfitting, other augmentation is still worth a comparison.
pub(super) fn untried_augmentation(training: &TrainingSummary) -> Option<Opportunity> {
    Some(Opportunity {
        kind: "untried_augmentation".into(),
        finding: format!(
            "other augmentation was not compared; training accuracy is {:.4}, validation accuracy {:.4}",
            training.train_accuracy, training.validation_accuracy
        ),
        evidence: training.overfitting_gap,
        threshold: 0.0,
        proposals: Vec::new(),
        suggestion: "compare policies on validation images".into(),
        keys: vec!["augmentation".into(), "training.mixing".into()],
    })
}

/// A network that learns its training images may still not be the best one for the task.
pub(super) fn untried_networks(training: &TrainingSummary) -> Option<Opportunity> {
    Some(Opportunity {
        kind: "untried_networks".into(),
        finding: format!(
            "other networks were not compared; this one has {} parameters",
            training.parameters
        ),
        evidence: training.parameters as f64,
        threshold: 0.0,
        proposals: Vec::new(),
        suggestion: "compare variants on validation images".into(),
        keys: vec!["model".into()],
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use mlestar_artifact::ContentHash;
    use mlestar_eval::{Predictions, summarize};

    fn config(text: &str) -> Config {
        Config::parse(text, "test.toml", &[]).unwrap()
    }

    /// Results of `n` images of each of two classes: the first has `right` answers right, the second `n`, all with
    /// this probability of the answer.
    fn results(n: usize, right: [usize; 2], confidence: f64) -> EvaluationResults {
        let mut labels = Vec::new();
        let mut probabilities = Vec::new();
        for (class, right) in right.into_iter().enumerate() {
            for index in 0..n {
                labels.push(class as u32);
                let answer = if index < right { class } else { 1 - class };
                let mut row = [1.0 - confidence; 2];
                row[answer] = confidence;
                probabilities.extend(row);
            }
        }
        let predictions = Predictions::new(labels, probabilities, 2).unwrap();
        let classes = ["ants".to_owned(), "bees".to_owned()];
        EvaluationResults {
            model: ContentHash::of_bytes(b""),
            summary: summarize(&predictions, &classes, 0.95).unwrap(),
            curves: Vec::new(),
            mistakes: Vec::new(),
        }
    }

    /// Label smoothing lowers confidence, so it is a remedy for overconfidence only.
    #[test]
    fn confidence_is_lowered_where_it_is_too_high_and_raised_where_it_is_too_low() {
        let found = |text: &str, right, confidence| {
            calibration(&config(text), &results(100, right, confidence)).unwrap()
        };
        let over = found("", [60, 60], 0.95);
        assert_eq!(over.kind, "overconfidence");
        assert!(over.keys.contains(&"training.label_smoothing".to_owned()));
        let under = found("", [95, 95], 0.6);
        assert_eq!(under.kind, "underconfidence");
        assert!(!under.keys.contains(&"training.label_smoothing".to_owned()));
        assert!(!under.suggestion.contains("label"), "{}", under.suggestion);
        let smoothed = found("[training]\nlabel_smoothing = 0.2\n", [95, 95], 0.6);
        assert_eq!(
            smoothed.suggestion,
            "more epochs, or lower training.label_smoothing, model.dropout"
        );
        // The focal loss takes no smoothing.
        let focal = found("[training]\nfocal_gamma = 2.0\n", [60, 60], 0.95);
        assert!(!focal.suggestion.contains("label"), "{}", focal.suggestion);
        assert!(calibration(&config(""), &results(100, [90, 90], 0.9)).is_none());
    }

    #[test]
    fn a_class_is_weak_beside_others_and_not_where_all_are() {
        let kinds = |text: &str, right| -> Vec<String> {
            let found = weak_classes(&config(text), &results(100, right, 0.9));
            found.into_iter().map(|found| found.kind).collect()
        };
        assert_eq!(kinds("", [60, 95]), ["weak_class"]);
        assert_eq!(kinds("", [20, 55]), ["all_classes_weak"]);
        assert_eq!(kinds("", [95, 95]), Vec::<String>::new());
        let keys = |text: &str| {
            weak_classes(&config(text), &results(100, [60, 95], 0.9))[0]
                .keys
                .clone()
        };
        let all = ["data", "training.class_weights", "training.focal_gamma"];
        assert_eq!(keys(""), all);
        assert_eq!(keys("[training]\nlabel_smoothing = 0.1\n"), all[..2]);
        assert_eq!(
            keys("[training]\nclass_weights = \"balanced\"\n"),
            [all[0], all[2]]
        );
    }
}
