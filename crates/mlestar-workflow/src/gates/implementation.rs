//! The gate of stage 4.

use super::{ArtifactReader, Check, Found, agree};
use crate::config::Config;
use crate::stages::implementation::TrainingSummary;
use crate::{RunFolder, Stage};
use mlestar_eval::{Predictions, accuracy, difference_interval, wilson};
use mlestar_gates::{Evidence, Limit, Measurement, Unit};
use mlestar_train::{EpochRecord, checkpoint};

const STAGE: Stage = Stage::Implementation;
const SUMMARY: &str = "training_summary.json";
const VALIDATION: &str = "validation_predictions.jsonl";
const TRAIN: &str = "train_predictions.jsonl";

/// The checks of stage 4.
pub fn checks(config: &Config) -> Vec<Check> {
    let quality = &config.task.quality;
    vec![
        Check {
            id: "training_completed",
            title: "training ended without a critical error",
            unit: Unit::Flag,
            limit: Limit::Equals(1.0),
            remedy: "Look at training_report.html; lower training.optimizer.learning_rate or set \
                     training.max_gradient_norm.",
            measure: completed,
        },
        Check {
            id: "validation_accuracy",
            title: "validation accuracy",
            unit: Unit::Fraction,
            limit: Limit::AtLeast(quality.validation_accuracy_min),
            remedy: "Train longer (training.epochs), try other learning rates, or a larger model.",
            measure: validation_accuracy,
        },
        Check {
            id: "overfitting_gap",
            title: "training accuracy less validation accuracy",
            unit: Unit::Fraction,
            limit: Limit::AtMost(quality.overfitting_gap_max),
            remedy: "More augmentation, dropout or weight decay, fewer epochs, or more data.",
            measure: overfitting_gap,
        },
        Check {
            id: "checkpoints_readable",
            title: "checkpoints that can be read and fit the model",
            unit: Unit::Fraction,
            limit: Limit::AtLeast(1.0),
            remedy: "Run the stage again: cargo xtask stage implementation --force.",
            measure: checkpoints_readable,
        },
        Check {
            id: "metrics_logged",
            title: "epochs with complete, finite metrics",
            unit: Unit::Fraction,
            limit: Limit::AtLeast(1.0),
            remedy: "Run the stage again: cargo xtask stage implementation --force.",
            measure: metrics_logged,
        },
    ]
}

fn completed(reader: &ArtifactReader<'_>, _config: &Config) -> Found<Measurement> {
    let summary: TrainingSummary = reader.artifact(STAGE, SUMMARY)?;
    let is_whole = summary.epochs_run >= 1
        && (1..=summary.epochs_run).contains(&summary.best_epoch)
        && summary.validation_loss.is_finite();
    let note = format!(
        "{} of {} epochs, best is {}",
        summary.epochs_run, summary.epochs_planned, summary.best_epoch
    );
    Ok(Measurement::flag(is_whole).noted(note))
}

fn validation_accuracy(reader: &ArtifactReader<'_>, config: &Config) -> Found<Measurement> {
    let predictions = reader.predictions(STAGE, VALIDATION)?;
    let summary: TrainingSummary = reader.artifact(STAGE, SUMMARY)?;
    let value = accuracy(&predictions);
    let file = RunFolder::display_name(STAGE, SUMMARY);
    agree(
        file,
        "validation_accuracy",
        summary.validation_accuracy,
        value,
    )?;
    let (correct, n) = correct_of(&predictions);
    let interval = wilson(correct, n, config.evaluation.confidence)
        .map_err(|error| cannot_compute(VALIDATION, error))?;
    Ok(
        Measurement::proportion(value, [interval.low, interval.high], n)
            .noted(format!("{n} validation pictures, Wilson interval")),
    )
}

fn overfitting_gap(reader: &ArtifactReader<'_>, config: &Config) -> Found<Measurement> {
    let validation = reader.predictions(STAGE, VALIDATION)?;
    let train = reader.predictions(STAGE, TRAIN)?;
    let summary: TrainingSummary = reader.artifact(STAGE, SUMMARY)?;
    let gap = accuracy(&train) - accuracy(&validation);
    let file = RunFolder::display_name(STAGE, SUMMARY);
    agree(file, "overfitting_gap", summary.overfitting_gap, gap)?;
    let (train_correct, n_train) = correct_of(&train);
    let (validation_correct, n_validation) = correct_of(&validation);
    let interval = difference_interval(
        train_correct,
        n_train,
        validation_correct,
        n_validation,
        config.evaluation.confidence,
    )
    .map_err(|error| cannot_compute(TRAIN, error))?;
    Ok(
        Measurement::with_interval(gap, [interval.low, interval.high]).noted(format!(
            "{n_train} training and {n_validation} validation pictures, Newcombe interval"
        )),
    )
}

fn checkpoints_readable(reader: &ArtifactReader<'_>, _config: &Config) -> Found<Measurement> {
    let summary: TrainingSummary = reader.artifact(STAGE, SUMMARY)?;
    let files = reader.files_under(STAGE, "checkpoints/")?;
    let mut folders: Vec<&str> = files
        .iter()
        .filter_map(|file| file.rsplit_once('/').map(|(folder, _)| folder))
        .collect();
    folders.dedup();
    for needed in ["checkpoints/best", "checkpoints/last"] {
        if !folders.contains(&needed) {
            let file = RunFolder::display_name(STAGE, needed);
            let reason = format!("stage {STAGE} has not left it");
            return Err(Box::new(Evidence::missing(file, reason)));
        }
    }
    let mut n_readable = 0;
    let mut problems = Vec::new();
    for folder in &folders {
        let path = reader.path(STAGE, &format!("{folder}/checkpoint.json"))?;
        match path.parent().map(checkpoint::verify) {
            Some(Ok(record)) if record.identity.model == summary.model => n_readable += 1,
            Some(Ok(_)) => problems.push(format!("{folder} is of another model")),
            Some(Err(error)) => problems.push(error.to_string()),
            None => {}
        }
    }
    let note = match problems.first() {
        Some(problem) => problem.clone(),
        None => format!("{} checkpoints", folders.len()),
    };
    Ok(Measurement::exact(n_readable as f64 / folders.len() as f64).noted(note))
}

fn metrics_logged(reader: &ArtifactReader<'_>, config: &Config) -> Found<Measurement> {
    let summary: TrainingSummary = reader.artifact(STAGE, SUMMARY)?;
    let epochs: Vec<EpochRecord> = reader.lines(STAGE, "metrics.jsonl")?;
    reader.files_under(STAGE, "tensorboard/")?;
    // A validation that is due must be there, and whatever is there must be a number.
    let is_finite = |epoch: &EpochRecord| {
        let is_due = config.training.validates(epoch.epoch);
        let validation = [epoch.validation_loss, epoch.validation_accuracy];
        [epoch.train_loss, epoch.train_accuracy, epoch.learning_rate]
            .iter()
            .all(|value| value.is_finite())
            && validation
                .iter()
                .all(|value| value.map_or(!is_due, f64::is_finite))
    };
    let n_good = epochs
        .iter()
        .enumerate()
        .filter(|(index, epoch)| epoch.epoch == index + 1 && is_finite(epoch))
        .count();
    let n_needed = summary.epochs_run.max(epochs.len()).max(1);
    Ok(Measurement::exact(n_good as f64 / n_needed as f64)
        .noted(format!("{n_good} of {n_needed} epochs")))
}

/// How many predictions are right, of how many.
fn correct_of(predictions: &Predictions) -> (u64, u64) {
    let correct = predictions.correct().iter().filter(|is| **is).count();
    (correct as u64, predictions.len() as u64)
}

fn cannot_compute(name: &str, error: impl ToString) -> Box<Evidence> {
    let file = RunFolder::display_name(STAGE, name);
    Box::new(Evidence::missing(file, error.to_string()))
}
