//! What an evaluation suggests, each suggestion with the figure that it rests on.

use super::{ImprovementAnalysis, Opportunity};
use crate::config::Config;
use crate::stages::evaluation::EvaluationResults;
use crate::stages::implementation::TrainingSummary;

/// A class this far below the mean recall is weak.
const WEAK_CLASS_MARGIN: f64 = 0.05;
/// A pair that takes this share of a class is worth naming.
const CONFUSED_FRACTION: f64 = 0.05;
/// Below this training accuracy the network has not learned its own pictures.
const UNDERFITTING_ACCURACY: f64 = 0.95;
/// A calibration error above this is visible in a reliability diagram.
const CALIBRATION_ERROR: f64 = 0.05;

pub(super) fn analyse(
    config: &Config,
    results: &EvaluationResults,
    training: &TrainingSummary,
) -> ImprovementAnalysis {
    let mut opportunities = Vec::new();
    opportunities.extend(overfitting(config, training));
    opportunities.extend(underfitting(training));
    opportunities.extend(still_improving(training));
    opportunities.extend(weak_classes(results));
    opportunities.extend(confused_pairs(results));
    opportunities.extend(calibration(results));
    opportunities.extend(search_space(config));
    ImprovementAnalysis { opportunities }
}

fn overfitting(config: &Config, training: &TrainingSummary) -> Option<Opportunity> {
    let limit = config.task.quality.overfitting_gap_max;
    (training.overfitting_gap > limit).then(|| Opportunity {
        kind: "overfitting".into(),
        finding: format!(
            "training accuracy is {:.4} above validation accuracy",
            training.overfitting_gap
        ),
        evidence: training.overfitting_gap,
        threshold: limit,
        suggestion: "stronger augmentation, more dropout or more weight decay".into(),
        keys: vec![
            "augmentation".into(),
            "model.dropout".into(),
            "training.optimizer.weight_decay".into(),
        ],
    })
}

fn underfitting(training: &TrainingSummary) -> Option<Opportunity> {
    (training.train_accuracy < UNDERFITTING_ACCURACY).then(|| Opportunity {
        kind: "underfitting".into(),
        finding: format!(
            "accuracy on the training pictures themselves is {:.4}",
            training.train_accuracy
        ),
        evidence: training.train_accuracy,
        threshold: UNDERFITTING_ACCURACY,
        suggestion: "more epochs, a higher learning rate, or a wider network".into(),
        keys: vec![
            "training.epochs".into(),
            "training.optimizer.learning_rate".into(),
            "model.stages".into(),
        ],
    })
}

fn still_improving(training: &TrainingSummary) -> Option<Opportunity> {
    let position = training.best_epoch as f64 / training.epochs_run.max(1) as f64;
    (training.best_epoch == training.epochs_run).then(|| Opportunity {
        kind: "still_improving".into(),
        finding: format!(
            "the last of {} epochs was the best one",
            training.epochs_run
        ),
        evidence: position,
        threshold: 1.0,
        suggestion: "train longer".into(),
        keys: vec!["training.epochs".into(), "refinement.final_epochs".into()],
    })
}

fn weak_classes(results: &EvaluationResults) -> Vec<Opportunity> {
    let mean = results.summary.balanced_accuracy.value;
    let mut weak: Vec<(&str, f64)> = results
        .summary
        .per_class
        .iter()
        .filter_map(|class| Some((class.class.as_str(), class.recall?)))
        .filter(|(_, recall)| *recall < mean - WEAK_CLASS_MARGIN)
        .collect();
    weak.sort_by(|a, b| a.1.total_cmp(&b.1));
    weak.into_iter()
        .map(|(class, recall)| Opportunity {
            kind: "weak_class".into(),
            finding: format!("recall of {class} is {recall:.4}, the mean is {mean:.4}"),
            evidence: recall,
            threshold: mean - WEAK_CLASS_MARGIN,
            suggestion: format!(
                "look at the mistakes on {class}; add pictures of it, or check its labels"
            ),
            keys: vec!["data".into()],
        })
        .collect()
}

fn confused_pairs(results: &EvaluationResults) -> Vec<Opportunity> {
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
                    "{} pictures of {truth} ({:.3}) are taken for {predicted}",
                    pair.count, pair.fraction_of_truth
                ),
                evidence: pair.fraction_of_truth,
                threshold: CONFUSED_FRACTION,
                suggestion: format!(
                    "what tells {truth} from {predicted} may be lost to augmentation or resolution"
                ),
                keys: vec!["augmentation".into(), "data.image_size".into()],
            }
        })
        .collect()
}

fn calibration(results: &EvaluationResults) -> Option<Opportunity> {
    let error = results.summary.reliability.expected_calibration_error;
    (error > CALIBRATION_ERROR).then(|| Opportunity {
        kind: "calibration".into(),
        finding: format!("the expected calibration error is {error:.4}"),
        evidence: error,
        threshold: CALIBRATION_ERROR,
        suggestion: "label smoothing, fewer epochs, or thresholds chosen on validation pictures"
            .into(),
        keys: vec!["training.label_smoothing".into()],
    })
}

/// What the search will try is part of the plan.
fn search_space(config: &Config) -> Option<Opportunity> {
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
            "{} settings have not been searched yet; {} trials are planned",
            keys.len(),
            config.refinement.trials
        ),
        evidence: trials,
        threshold: 1.0,
        suggestion: "search them on validation pictures".into(),
        keys,
    })
}
