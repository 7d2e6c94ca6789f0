//! A few real training steps and predictions: what they cost, and whether they work.
//!
//! The steps are those of training itself ([`TrainingSteps`]), with full-size images. Where some epochs have smaller
//! images, steps with the smallest are timed as well.

use super::{GradientFigure, SmallStepTiming, StepTiming, gradients};
use crate::machine::process_memory_bytes;
use crate::training;
use crate::{StageContext, WorkflowError};
use mlestar_data::ImageSet;
use mlestar_data::normalization::Normalization;
use mlestar_export::benchmark::latencies_ms;
use mlestar_export::{FrozenModel, Predictor};
use mlestar_model::{ImageClassifier, ModelSpec};
use mlestar_train::{TrainingSteps, logits};
use std::time::Instant;

/// Steps before the clock counts: the first ones allocate memory and, on a GPU, choose kernels.
const WARM_UP_STEPS: usize = 2;
/// At least this many steps are measured ...
const FEWEST_STEPS: usize = 3;
/// ... and at most this many ...
const MOST_STEPS: usize = 20;
/// ... unless this much time has passed.
const ENOUGH_SECONDS: f64 = 2.0;
/// At least this many batches of the loader are measured while nothing else runs ...
const FEWEST_LOADED: usize = 4;
/// ... and at most this many ...
const MOST_LOADED: usize = 200;
/// ... unless this much time has passed.
const ENOUGH_LOADED_SECONDS: f64 = 0.3;
/// Predictions of one image before the clock counts, and those that are measured.
const WARM_UP_PREDICTIONS: usize = 5;
const MEASURED_PREDICTIONS: usize = 60;

/// What the probe found.
pub(crate) struct StepProbe {
    pub(crate) timing: StepTiming,
    /// `[images, classes]` of the first forward pass.
    pub(crate) output_shape: [usize; 2],
    /// Logits of the first forward pass that are not finite.
    pub(crate) n_not_finite_logits: usize,
    /// Loss of each training step, warm-up included; the first is that of the initial weights.
    pub(crate) losses: Vec<f64>,
    pub(crate) gradients: Vec<GradientFigure>,
}

/// Takes a few steps with the configured model on training images.
pub(crate) fn probe(
    context: &mut StageContext<'_>,
    spec: &ModelSpec,
    normalization: Normalization,
) -> Result<StepProbe, WorkflowError> {
    let (train, validation) = context.training_sets()?;
    let config = context.config;
    let mut steps = TrainingSteps::new(training::setup(
        config,
        spec,
        normalization,
        &train,
        context.device,
        context.threads,
    )?)?;
    let batch_size = steps.batch_size();
    let (output_shape, n_not_finite_logits) =
        look_untrained(context, steps.model(), &train, batch_size, &normalization)?;
    let rate = config.training.optimizer.learning_rate;
    let first = steps.take(rate, true)?;
    let gradients = gradients::figures(steps.model(), &first.gradients.unwrap_or_default());
    let mut losses = vec![first.loss];
    let step_seconds = measure_steps(context, &mut steps, &mut losses)?;
    let size = [train.height(), train.width()];
    let loader_images_per_second = measure_loader(context, &mut steps, size)?;
    let smallest_pictures = measure_smallest(context, &mut steps, size)?;
    let pictures = if validation.is_empty() {
        &train
    } else {
        &validation
    };
    let latency_ms = latencies(context, spec, pictures, &normalization)?;
    let prediction_seconds_per_image =
        throughput(context, steps.model(), pictures, &normalization)?;
    Ok(StepProbe {
        timing: StepTiming {
            batch_size,
            n_warm_up_steps: WARM_UP_STEPS,
            step_seconds,
            smallest_pictures,
            loader_images_per_second,
            latency_ms,
            prediction_seconds_per_image,
            resident_bytes: process_memory_bytes().unwrap_or(0),
        },
        output_shape,
        n_not_finite_logits,
        losses,
        gradients,
    })
}

/// Shape and number of non-finite values of the untrained model's logits for one batch of images.
fn look_untrained(
    context: &StageContext<'_>,
    model: &ImageClassifier,
    train: &ImageSet,
    batch_size: usize,
    normalization: &Normalization,
) -> Result<([usize; 2], usize), WorkflowError> {
    let some = train.select(&(0..batch_size).collect::<Vec<usize>>())?;
    let logits = logits_of(context, model, &some, batch_size, normalization)?;
    let n_not_finite = logits.iter().filter(|value| !value.is_finite()).count();
    Ok(([batch_size, logits.len() / batch_size], n_not_finite))
}

/// Trains after the first step, adds the losses to `losses` and times the steps after the warm-up, in seconds. A step
/// waits for the batch and runs forward pass, backward pass and update.
fn measure_steps(
    context: &mut StageContext<'_>,
    steps: &mut TrainingSteps<'_, ImageClassifier>,
    losses: &mut Vec<f64>,
) -> Result<Vec<f64>, WorkflowError> {
    let rate = context.config.training.optimizer.learning_rate;
    let mut step_seconds = Vec::new();
    loop {
        context.check_stop()?;
        let clock = Instant::now();
        losses.push(steps.take(rate, false)?.loss);
        let seconds = clock.elapsed().as_secs_f64();
        if losses.len() > WARM_UP_STEPS {
            step_seconds.push(seconds);
        }
        context.reporter.progress(
            "measuring training steps",
            losses.len() as u64,
            (WARM_UP_STEPS + MOST_STEPS) as u64,
        );
        let is_enough = step_seconds.len() >= FEWEST_STEPS
            && step_seconds.iter().sum::<f64>() >= ENOUGH_SECONDS;
        if is_enough || step_seconds.len() >= MOST_STEPS {
            return Ok(step_seconds);
        }
    }
}

/// Images per second that the loader delivers, `size` pixels high and wide, while nothing else runs.
fn measure_loader(
    context: &StageContext<'_>,
    steps: &mut TrainingSteps<'_, ImageClassifier>,
    size: [usize; 2],
) -> Result<f64, WorkflowError> {
    // A new epoch, with nothing prepared ahead. Its first batch starts the threads.
    steps.resize(size)?;
    steps.load()?;
    let clock = Instant::now();
    let mut images = 0;
    for batch in 1.. {
        context.check_stop()?;
        images += steps.load()?;
        let seconds = clock.elapsed().as_secs_f64();
        if batch >= MOST_LOADED || (batch >= FEWEST_LOADED && seconds >= ENOUGH_LOADED_SECONDS) {
            break;
        }
    }
    Ok(images as f64 / clock.elapsed().as_secs_f64().max(1e-9))
}

/// Times steps with the smallest images of any epoch. Full-size images are `full` high and wide.
fn measure_smallest(
    context: &mut StageContext<'_>,
    steps: &mut TrainingSteps<'_, ImageClassifier>,
    full: [usize; 2],
) -> Result<Option<SmallStepTiming>, WorkflowError> {
    let training = &context.config.training;
    let area = |epoch: &usize| training.picture_area(*epoch);
    let smallest = (1..=training.epochs).min_by(|a, b| area(a).total_cmp(&area(b)));
    let Some(epoch) = smallest.filter(|epoch| area(epoch) < 1.0) else {
        return Ok(None);
    };
    let (picture_area, size) = (area(&epoch), training.picture_size(epoch, full));
    steps.resize(size)?;
    let step_seconds = measure_steps(context, steps, &mut Vec::new())?;
    Ok(Some(SmallStepTiming {
        picture_area,
        step_seconds,
    }))
}

/// Times of predicting one image with the program that stage 7 deploys, in milliseconds, measured as in stage 7. The
/// weights are initial ones: they do not affect the cost.
fn latencies(
    context: &StageContext<'_>,
    spec: &ModelSpec,
    pictures: &ImageSet,
    normalization: &Normalization,
) -> Result<Vec<f64>, WorkflowError> {
    let model = spec.init(context.config.seed, context.device);
    let normalization = (normalization.mean, normalization.std);
    let frozen = FrozenModel::freeze(&model, spec, normalization, pictures.classes())?;
    let some: Vec<u8> = (0..pictures.len().min(WARM_UP_PREDICTIONS))
        .flat_map(|index| pictures.interleaved(index))
        .collect();
    let predictor = Predictor::new(frozen);
    Ok(latencies_ms(
        &predictor,
        &some,
        WARM_UP_PREDICTIONS,
        MEASURED_PREDICTIONS,
    )?)
}

/// Seconds per image when many are predicted in batches, as in validation. The first batch warms up.
fn throughput(
    context: &StageContext<'_>,
    model: &ImageClassifier,
    pictures: &ImageSet,
    normalization: &Normalization,
) -> Result<f64, WorkflowError> {
    let batch_size = context.config.training.evaluation_batch_size;
    let n = batch_size.min(pictures.len());
    let some = pictures.select(&(0..n).collect::<Vec<usize>>())?;
    let run = || -> Result<f64, WorkflowError> {
        let clock = Instant::now();
        logits_of(context, model, &some, batch_size, normalization)?;
        Ok(clock.elapsed().as_secs_f64() / n as f64)
    };
    run()?;
    run()
}

/// Logits of all `pictures`, predicted in batches; too few to show progress for.
fn logits_of(
    context: &StageContext<'_>,
    model: &ImageClassifier,
    pictures: &ImageSet,
    batch_size: usize,
    normalization: &Normalization,
) -> Result<Vec<f32>, WorkflowError> {
    let device = context.device;
    let quiet = &mut |_, _| {};
    Ok(logits(
        model,
        pictures,
        normalization,
        batch_size,
        device,
        quiet,
    )?)
}
