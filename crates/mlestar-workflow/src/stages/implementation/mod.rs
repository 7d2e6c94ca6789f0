//! Stage 4, implementation: training.

mod artifact;
mod head_accuracy;
mod page;

pub use artifact::{TrainingSummary, TrainingTiming};
pub(crate) use head_accuracy::{HEAD_ACCURACY, accuracy_of_head};
pub use head_accuracy::{HeadAccuracy, SingleSplit};
pub(crate) use page::curves;

use crate::stages::action_planning::ArchitectureCheck;
use crate::stages::situation_analysis::SituationAnalysis;
use crate::training::{self, train};
use crate::{Stage, StageContext, WorkflowError, predictions};
use mlestar_artifact::write_artifact;
use mlestar_data::split::stratified_subset;
use mlestar_data::{ImageSet, Normalization};
use mlestar_eval::{Predictions, accuracy, log_loss};
use mlestar_model::ImageClassifier;
use mlestar_train::FitRequest;
use std::sync::Arc;

/// The training images that the overfitting gap is measured on, at most. 10,000 give a standard
/// error below half a point.
const TRAIN_PICTURES_FOR_GAP: usize = 10_000;

/// How long a training took: a file of its folder.
pub(crate) const TIMING: &str = "training_timing.json";

/// Trains the baseline and records the predictions of its best epoch for validation and training images.
///
/// # Errors
/// When the data cannot be read, training fails or is interrupted, or the run folder cannot be
/// written.
pub fn run(context: &mut StageContext<'_>) -> Result<(), WorkflowError> {
    let analysis: SituationAnalysis =
        context.upstream(Stage::SituationAnalysis, "situation_analysis.json")?;
    let (train_set, validation_set) = context.training_sets()?;
    let config = context.config;
    let model = config
        .model
        .check(train_set.n_classes(), train_set.height(), train_set.width())?;
    let setup = training::setup(
        config,
        &model,
        analysis.normalization,
        &train_set,
        context.device,
        context.threads,
    )?;
    let folder = context.folder();
    let outcome = train(
        context,
        "baseline",
        FitRequest {
            resume: context.resume,
            faults: config.faults.clone(),
            step_costs: ArchitectureCheck::measured_costs(context.run),
            ..FitRequest::from_setup(setup.clone(), Arc::clone(&validation_set), &folder)
        },
    )?;

    let subset = training_subset(&train_set, config.seed)?;
    let normalization = &analysis.normalization;
    let best = &outcome.best_model;
    let validation = predict_into(
        context,
        best,
        normalization,
        &validation_set,
        "validation_predictions.jsonl",
    )?;
    let training = predict_into(
        context,
        best,
        normalization,
        &subset,
        "train_predictions.jsonl",
    )?;
    let summary = TrainingSummary {
        model: model.clone(),
        parameters: model.summary().parameters,
        classes: train_set.classes().to_vec(),
        normalization: analysis.normalization,
        seed: config.seed,
        batch_size: config.training.batch_size,
        epochs_planned: config.training.epochs,
        epochs_run: outcome.history.len(),
        stopped: outcome.stopped.clone(),
        remedies: outcome.remedies.clone(),
        precision: outcome.precision,
        best_epoch: outcome.best_epoch,
        validation_pictures: validation.len(),
        validation_accuracy: accuracy(&validation),
        validation_loss: log_loss(&validation),
        train_pictures: training.len(),
        train_accuracy: accuracy(&training),
        overfitting_gap: accuracy(&training) - accuracy(&validation),
    };
    write_artifact(&context.path("training_summary.json"), &summary)?;
    let timing = TrainingTiming::of(&outcome);
    write_artifact(&context.path(TIMING), &timing)?;
    let head = head_accuracy::measure(context, &setup, &validation_set, &outcome.history)?;
    let page = page::render(
        context.config,
        &summary,
        &timing,
        &outcome.history,
        head.as_ref(),
    )?;
    context.write_text("training_report.html", &page)
}

/// A stratified part of the training images, without augmentation.
fn training_subset(train: &ImageSet, seed: u64) -> Result<ImageSet, WorkflowError> {
    if train.len() <= TRAIN_PICTURES_FOR_GAP {
        return Ok(train.clone());
    }
    let indices = stratified_subset(train.labels(), TRAIN_PICTURES_FOR_GAP, seed);
    Ok(train.select(&indices)?)
}

/// Predicts `set` and writes the rows into the stage's folder.
fn predict_into(
    context: &mut StageContext<'_>,
    model: &ImageClassifier,
    normalization: &Normalization,
    set: &ImageSet,
    name: &str,
) -> Result<Predictions, WorkflowError> {
    let logits = context.logits("predicting", model, set, normalization)?;
    predictions::write(&context.path(name), set, &logits)
}
