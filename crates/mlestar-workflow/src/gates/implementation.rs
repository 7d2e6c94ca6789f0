//! The gate of stage 4.

use super::reader::agree_whole;
use super::{ArtifactReader, Found, agree};
use crate::config::Config;
use crate::metrics::first_of;
use crate::stages::implementation::{
    HEAD_ACCURACY, HeadAccuracy, TIMING, TrainingSummary, TrainingTiming, accuracy_of_head,
};
use crate::training::{MEMORY, TrainingMemory};
use crate::words::counted;
use crate::{RunFolder, Stage};
use burn::tensor::Device;
use mlestar_eval::{Predictions, accuracy, difference_interval, wilson};
use mlestar_gates::{Evidence, Measurement};
use mlestar_train::checkpoint::CheckpointRecord;
use mlestar_train::{EpochRecord, StepRecord, checkpoint};
use std::collections::BTreeSet;
use std::path::Path;

const STAGE: Stage = Stage::Implementation;
pub(super) const SUMMARY: &str = "training_summary.json";
const METRICS: &str = "metrics.jsonl";
const BEST: &str = "checkpoints/best";
const VALIDATION: &str = "validation_predictions.jsonl";
const TRAIN: &str = "train_predictions.jsonl";

/// Measures the criterion `id` of stage 4; `None` where it has no such criterion.
pub(super) fn measure(
    id: &str,
    reader: &ArtifactReader<'_>,
    config: &Config,
) -> Option<Found<Measurement>> {
    Some(match id {
        "training_completed" => completed(reader),
        "validation_accuracy" => validation_accuracy(reader, config),
        "overfitting_gap" => overfitting_gap(reader, config),
        "classes_answered" => classes_answered(reader),
        "checkpoints_readable" => checkpoints_readable(reader),
        "metrics_logged" => metrics_logged(reader, config),
        "training_time" => time_of(reader, STAGE, ""),
        "training_memory" => memory_of(reader, STAGE, ""),
        _ => return None,
    })
}

/// The time of the training whose files `stage` wrote to `folder`. Its file and the record of the epochs must agree.
pub(super) fn time_of(
    reader: &ArtifactReader<'_>,
    stage: Stage,
    folder: &str,
) -> Found<Measurement> {
    let name = format!("{folder}{TIMING}");
    let timing: TrainingTiming = reader.artifact(stage, &name)?;
    let epochs: Vec<EpochRecord> = reader.lines(stage, &format!("{folder}{METRICS}"))?;
    let total = |field: fn(&EpochRecord) -> f64| epochs.iter().map(field).sum::<f64>();
    let file = RunFolder::display_name(stage, &name);
    let of_epochs: Vec<f64> = epochs.iter().map(|epoch| epoch.seconds).collect();
    agree_whole(&file, &timing.epoch_seconds, &of_epochs)?;
    let images = |epoch: &EpochRecord| epoch.images_per_second * epoch.seconds;
    let images: f64 = epochs.iter().map(images).sum();
    for (what, claimed, recomputed) in [
        (
            "images_per_second",
            timing.images_per_second,
            images / of_epochs.iter().sum::<f64>().max(1e-9),
        ),
        (
            "training_seconds",
            timing.training_seconds,
            total(|epoch| epoch.seconds),
        ),
        (
            "validation_seconds",
            timing.validation_seconds,
            total(|epoch| epoch.validation_seconds),
        ),
    ] {
        agree(file.clone(), what, claimed, recomputed)?;
    }
    Ok(Measurement::exact(timing.total_seconds()).noted(counted(epochs.len(), "epoch")))
}

/// The peak memory of the training whose files `stage` wrote to `folder`.
pub(super) fn memory_of(
    reader: &ArtifactReader<'_>,
    stage: Stage,
    folder: &str,
) -> Found<Measurement> {
    let name = format!("{folder}{MEMORY}");
    let memory: TrainingMemory = reader.artifact(stage, &name)?;
    match memory.peak_bytes {
        Some(bytes) => Ok(Measurement::exact(bytes as f64).noted(memory.since.describe())),
        None => Err(Box::new(Evidence::missing(
            RunFolder::display_name(stage, &name),
            "peak memory cannot be read on this operating system",
        ))),
    }
}

/// The epoch that a training keeps: the one with the highest validation accuracy; among equals the lowest loss, then
/// the earliest.
pub(super) fn best_epoch(epochs: &[EpochRecord]) -> Option<&EpochRecord> {
    let score = |epoch: &EpochRecord| Some((epoch.validation_accuracy?, -epoch.validation_loss?));
    epochs
        .iter()
        .filter(|epoch| score(epoch).is_some())
        .reduce(|best, epoch| match score(epoch) > score(best) {
            true => epoch,
            false => best,
        })
}

fn completed(reader: &ArtifactReader<'_>) -> Found<Measurement> {
    let summary: TrainingSummary = reader.artifact(STAGE, SUMMARY)?;
    let is_whole = summary.epochs_run >= 1
        && (1..=summary.epochs_run).contains(&summary.best_epoch)
        && summary.validation_loss.is_finite();
    let note = format!(
        "{} of {}, best is {}",
        summary.epochs_run,
        counted(summary.epochs_planned, "epoch"),
        summary.best_epoch
    );
    Ok(Measurement::flag(is_whole).noted(note))
}

fn validation_accuracy(reader: &ArtifactReader<'_>, config: &Config) -> Found<Measurement> {
    let predictions = reader.predictions(STAGE, VALIDATION)?;
    let summary: TrainingSummary = reader.artifact(STAGE, SUMMARY)?;
    let value = accuracy(&predictions);
    let epochs: Vec<EpochRecord> = reader.lines(STAGE, METRICS)?;
    let best = best_epoch(&epochs).and_then(|best| best.validation_loss);
    for (what, claimed, recomputed) in [
        ("validation_accuracy", summary.validation_accuracy, value),
        (
            "validation_pictures",
            summary.validation_pictures as f64,
            predictions.len() as f64,
        ),
        (
            "validation_loss",
            summary.validation_loss,
            best.unwrap_or(f64::NAN),
        ),
    ] {
        let file = RunFolder::display_name(STAGE, SUMMARY);
        agree(file, what, claimed, recomputed)?;
    }
    let (correct, n) = correct_of(&predictions);
    let interval = wilson(correct, n, config.evaluation.confidence)
        .map_err(|error| cannot_compute(VALIDATION, error))?;
    let mut note = format!("{n} validation images, Wilson interval");
    if reader.has_written(STAGE, HEAD_ACCURACY) {
        let head = head_accuracy(reader, &epochs, predictions.len(), config)?;
        note += &format!("; {}", head.in_words());
    }
    Ok(Measurement::proportion(value, [interval.low, interval.high], n).noted(note))
}

/// The accuracy of the head over repeated splits, which decides nothing. Its figures must follow from what each part held
/// out, and from the epoch that fitted the head.
fn head_accuracy(
    reader: &ArtifactReader<'_>,
    epochs: &[EpochRecord],
    n_validation: usize,
    config: &Config,
) -> Found<HeadAccuracy> {
    let head: HeadAccuracy = reader.artifact(STAGE, HEAD_ACCURACY)?;
    let file = RunFolder::display_name(STAGE, HEAD_ACCURACY);
    for (what, claimed, recomputed) in [
        (
            "images",
            head.held_out.iter().sum(),
            (head.images * head.repeats) as u64,
        ),
        (
            "parts",
            head.held_out.len() as u64,
            head.correct.len() as u64,
        ),
    ] {
        agree(file.clone(), what, claimed as f64, recomputed as f64)?;
    }
    let single = (accuracy_of_head(epochs).unwrap_or(f64::NAN), n_validation);
    let recomputed = HeadAccuracy::of(
        &head.cross_validation(),
        single,
        config.evaluation.confidence,
    )
    .map_err(|error| cannot_compute(HEAD_ACCURACY, error))?;
    agree_whole(&file, &head, &recomputed)?;
    Ok(head)
}

fn overfitting_gap(reader: &ArtifactReader<'_>, config: &Config) -> Found<Measurement> {
    let validation = reader.predictions(STAGE, VALIDATION)?;
    let train = reader.predictions(STAGE, TRAIN)?;
    let summary: TrainingSummary = reader.artifact(STAGE, SUMMARY)?;
    let gap = accuracy(&train) - accuracy(&validation);
    for (what, claimed, recomputed) in [
        ("overfitting_gap", summary.overfitting_gap, gap),
        ("train_accuracy", summary.train_accuracy, accuracy(&train)),
        (
            "train_pictures",
            summary.train_pictures as f64,
            train.len() as f64,
        ),
    ] {
        let file = RunFolder::display_name(STAGE, SUMMARY);
        agree(file, what, claimed, recomputed)?;
    }
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
            "{n_train} training and {n_validation} validation images, Newcombe interval"
        )),
    )
}

fn classes_answered(reader: &ArtifactReader<'_>) -> Found<Measurement> {
    let train = reader.predictions(STAGE, TRAIN)?;
    let validation = reader.predictions(STAGE, VALIDATION)?;
    let summary: TrainingSummary = reader.artifact(STAGE, SUMMARY)?;
    Ok(share_answered(&train, &validation, &summary.classes))
}

/// The share of the classes of the training images that the model predicts for any training or validation image. Few
/// test images of a rare class decide nothing about it. A class that is never predicted, even where it was learned,
/// does.
fn share_answered(
    train: &Predictions,
    validation: &Predictions,
    classes: &[String],
) -> Measurement {
    let shown: BTreeSet<u32> = train.labels().iter().copied().collect();
    let answers = train
        .predicted_labels()
        .iter()
        .chain(validation.predicted_labels());
    let answered: BTreeSet<u32> = answers.copied().collect();
    let never: Vec<u32> = shown.difference(&answered).copied().collect();
    let n_answered = shown.len() - never.len();
    let name = |class: &u32| classes.get(*class as usize).map_or("?", String::as_str);
    let never: Vec<&str> = never.iter().map(name).collect();
    let note = match never.is_empty() {
        true => format!("all {n_answered}"),
        false => format!(
            "{n_answered} of {}; never: {}",
            shown.len(),
            first_of(&never)
        ),
    };
    Measurement::exact(n_answered as f64 / shown.len().max(1) as f64).noted(note)
}

fn checkpoints_readable(reader: &ArtifactReader<'_>) -> Found<Measurement> {
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
            let reason = format!("stage {STAGE} has not written it");
            return Err(Box::new(Evidence::missing(file, reason)));
        }
    }
    let epochs: Vec<EpochRecord> = reader.lines(STAGE, METRICS)?;
    let mut n_readable = 0;
    let mut problems = Vec::new();
    for folder in &folders {
        let path = reader.path(STAGE, &format!("{folder}/checkpoint.json"))?;
        let Some(path) = path.parent() else { continue };
        let problem = match checkpoint::verify(path) {
            Ok(record) => problem_of_checkpoint(folder, path, &record, &summary, &epochs),
            Err(error) => Some(error.to_string()),
        };
        match problem {
            Some(problem) => problems.push(problem),
            None => n_readable += 1,
        }
    }
    let note = match problems.first() {
        Some(problem) => problem.clone(),
        None => counted(folders.len(), "checkpoint"),
    };
    Ok(Measurement::exact(n_readable as f64 / folders.len() as f64).noted(note))
}

/// How an intact checkpoint contradicts the summary of the training or the record of the epochs.
fn problem_of_checkpoint(
    folder: &str,
    path: &Path,
    record: &CheckpointRecord,
    summary: &TrainingSummary,
    epochs: &[EpochRecord],
) -> Option<String> {
    let identity = &record.identity;
    if identity.spec().as_ref() != Ok(&summary.model) {
        return Some(format!("{folder} belongs to another model"));
    }
    if identity.seed != summary.seed || identity.normalization != summary.normalization {
        return Some(format!("{folder} belongs to another training"));
    }
    if !epochs.starts_with(&record.history) {
        return Some(format!("{folder} records other epochs than {METRICS}"));
    }
    if folder != BEST {
        return None;
    }
    if record.epoch != summary.best_epoch {
        return Some(format!(
            "{folder} is of epoch {}, {SUMMARY} says {}",
            record.epoch, summary.best_epoch
        ));
    }
    let weights = path.join("model.safetensors");
    checkpoint::load_weights(&weights, &summary.model, &Device::flex())
        .err()
        .map(|error| error.to_string())
}

fn metrics_logged(reader: &ArtifactReader<'_>, config: &Config) -> Found<Measurement> {
    let summary: TrainingSummary = reader.artifact(STAGE, SUMMARY)?;
    let epochs: Vec<EpochRecord> = reader.lines(STAGE, METRICS)?;
    let steps: Vec<StepRecord> = reader.lines(STAGE, "steps.jsonl")?;
    reader.files_under(STAGE, "tensorboard/")?;
    let file = RunFolder::display_name(STAGE, SUMMARY);
    let recorded = |what, claimed: usize, recomputed: usize| {
        agree(file.clone(), what, claimed as f64, recomputed as f64)
    };
    recorded("epochs_run", summary.epochs_run, epochs.len())?;
    let parameters = summary.model.summary().parameters;
    recorded(
        "parameters",
        summary.parameters as usize,
        parameters as usize,
    )?;
    let best = best_epoch(&epochs).map_or(0, |best| best.epoch);
    recorded("best_epoch", summary.best_epoch, best)?;
    let with_steps = epochs.iter().rfind(|epoch| epoch.head.is_none());
    let last_with_steps = with_steps.map_or(0, |epoch| epoch.epoch);
    if let Some(problem) = problem_of_steps(&steps, last_with_steps) {
        return Err(cannot_compute("steps.jsonl", problem));
    }
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
        .noted(format!("{n_good} of {}", counted(n_needed, "epoch"))))
}

/// What is wrong with the record of the steps, of which the last belongs to `last_epoch` (0 where no epoch took any). A
/// power cut may have cost some, so they need not be gapless.
fn problem_of_steps(steps: &[StepRecord], last_epoch: usize) -> Option<String> {
    let Some(last) = steps.last() else {
        return (last_epoch > 0).then(|| "it holds no step".into());
    };
    if let Some(pair) = steps.windows(2).find(|pair| pair[1].step <= pair[0].step) {
        return Some(format!(
            "step {} follows step {}",
            pair[1].step, pair[0].step
        ));
    }
    let is_good = |step: &&StepRecord| {
        step.loss.is_finite() && step.learning_rate.is_finite() && step.epoch >= 1
    };
    if let Some(step) = steps.iter().find(|step| !is_good(step)) {
        return Some(format!("step {} holds no finite loss", step.step));
    }
    (last.epoch != last_epoch)
        .then(|| format!("its last step is of epoch {}, not {last_epoch}", last.epoch))
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Answers the classes of `answers` to images of the classes of `labels`.
    fn predictions(labels: &[u32], answers: &[usize]) -> Predictions {
        let logits = answers
            .iter()
            .flat_map(|answer| (0..3).map(|class| f32::from(u8::from(class == *answer))));
        Predictions::from_logits(labels.to_vec(), logits.collect(), 3).unwrap()
    }

    #[test]
    fn a_model_that_answers_the_majority_alone_does_not_pass() {
        let classes = ["ant", "bee", "fly"].map(str::to_owned);
        let mut criteria = Config::default().criteria(STAGE).into_iter();
        let criterion = criteria
            .find(|criterion| criterion.id == "classes_answered")
            .unwrap();
        let judged = |train: &Predictions, validation: &Predictions| {
            let found = share_answered(train, validation, &classes);
            let note = found.note.clone();
            (criterion.judge(found).status, note)
        };
        // Two classes of 4 and 100 images, of which the small one is never answered.
        let majority = predictions(&[0, 0, 1, 0], &[0, 0, 0, 0]);
        let (status, note) = judged(&majority, &majority);
        assert_eq!(status, mlestar_gates::Status::Fail);
        assert_eq!(note, "1 of 2; never: bee");
        // Answered once, even if wrongly.
        let once = predictions(&[0, 0], &[0, 1]);
        let (status, note) = judged(&majority, &once);
        assert_eq!(
            (status, note.as_str()),
            (mlestar_gates::Status::Pass, "all 2")
        );
    }
}
