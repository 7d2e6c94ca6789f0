//! A few real training steps and predictions: what they cost, and whether they work.
//!
//! Used by stage 2 (is the training time feasible?) and stage 3 (does the architecture work?). The
//! steps are those of training: the configured model, batches from the loader with augmentation,
//! dropout, loss, gradient clipping and optimizer.

use crate::{StageContext, WorkflowError};
use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::{Device, Int, Tensor, TensorData};
use mlestar_data::ImageSet;
use mlestar_data::loader::{Batch, EpochIter, Loader, LoaderConfig};
use mlestar_data::normalization::Normalization;
use mlestar_model::{ImageClassifier, ModelSpec, dropout_mask};
use mlestar_train::{GradientNorm, Optimizer, TrainError, TrainingConfig, cross_entropy, predict};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Instant;
use sysinfo::{ProcessRefreshKind, ProcessesToUpdate, System};

/// Steps before the clock counts: the first ones allocate memory and, on a GPU, choose kernels.
const WARM_UP_STEPS: usize = 2;
/// At least so many steps are measured ...
const FEWEST_STEPS: usize = 3;
/// ... and at most so many ...
const MOST_STEPS: usize = 20;
/// ... unless this much time has passed.
const ENOUGH_SECONDS: f64 = 2.0;
/// Predictions of one picture before the clock counts, and those that are measured.
const WARM_UP_PREDICTIONS: usize = 3;
const MEASURED_PREDICTIONS: usize = 15;

/// What a few steps cost on this machine. Different in every run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StepTiming {
    /// Pictures a step.
    pub batch_size: usize,
    /// Steps that were taken before.
    pub n_warm_up_steps: usize,
    /// Time of each measured step, from fetching the batch to the updated weights, in seconds.
    pub step_seconds: Vec<f64>,
    /// Time of predicting one picture with the training program, in milliseconds, several times.
    pub latency_ms: Vec<f64>,
    /// Time of predicting many pictures in batches, in seconds a picture.
    pub prediction_seconds_per_image: f64,
    /// Memory of this process after the steps, in bytes; 0 where the system does not tell.
    pub resident_bytes: u64,
}

impl StepTiming {
    /// The median time of a step, in seconds.
    pub fn median_step_seconds(&self) -> f64 {
        median(&self.step_seconds)
    }

    /// The shortest and the longest step, in seconds.
    pub fn step_range_seconds(&self) -> [f64; 2] {
        let shortest = self
            .step_seconds
            .iter()
            .copied()
            .fold(f64::INFINITY, f64::min);
        let longest = self.step_seconds.iter().copied().fold(0.0, f64::max);
        [shortest, longest]
    }

    /// The median latency of one picture, in milliseconds.
    pub fn median_latency_ms(&self) -> f64 {
        median(&self.latency_ms)
    }

    /// The longest latency of one picture, in milliseconds.
    pub fn worst_latency_ms(&self) -> f64 {
        self.latency_ms.iter().copied().fold(0.0, f64::max)
    }

    /// Training of `epochs` epochs of `n_train` pictures, each followed by a pass over
    /// `n_validation` pictures, when every step with pictures of full size takes `step_seconds`, and
    /// others take less in proportion to the area.
    pub fn training_seconds(&self, step_seconds: f64, work: &TrainingWork) -> f64 {
        let epoch = work.steps_per_epoch as f64 * step_seconds * work.mean_picture_area
            + work.n_validation as f64 * self.prediction_seconds_per_image;
        work.epochs as f64 * epoch
    }
}

/// How much a training has to do.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainingWork {
    /// Epochs at most.
    pub epochs: usize,
    /// Steps an epoch.
    pub steps_per_epoch: usize,
    /// Area of a training picture as a fraction of the full one, the mean over the epochs.
    pub mean_picture_area: f64,
    /// Validation pictures after each epoch.
    pub n_validation: usize,
}

impl TrainingWork {
    /// The work of training on `n_train` and validating on `n_validation` pictures.
    pub fn new(training: &TrainingConfig, n_train: usize, n_validation: usize) -> Self {
        let areas = (1..=training.epochs).map(|epoch| training.picture_area(epoch));
        Self {
            epochs: training.epochs,
            steps_per_epoch: n_train.div_ceil(training.batch_size),
            mean_picture_area: areas.sum::<f64>() / training.epochs.max(1) as f64,
            n_validation,
        }
    }
}

/// The middle value; the mean of both when there are two; NaN without values.
pub(crate) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => f64::NAN,
        n if n % 2 == 1 => sorted[middle],
        _ => (sorted[middle - 1] + sorted[middle]) / 2.0,
    }
}

/// The gradient of one parameter after the first backward pass.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GradientFigure {
    /// The parameter.
    pub name: String,
    /// Its values.
    pub n_values: usize,
    /// Whether the backward pass reached it.
    pub is_present: bool,
    /// Values that are not finite.
    pub n_not_finite: usize,
    /// Values that are exactly 0.
    pub n_zero: usize,
    /// Euclidean norm of the finite values.
    pub norm: f64,
}

impl GradientFigure {
    /// Whether the parameter can learn: its gradient is there, finite, and not all 0.
    pub fn is_sound(&self) -> bool {
        self.is_present && self.n_not_finite == 0 && self.n_zero < self.n_values
    }
}

/// What the probe found.
pub(crate) struct StepProbe {
    pub(crate) timing: StepTiming,
    /// `[pictures, classes]` of the first forward pass.
    pub(crate) output_shape: [usize; 2],
    /// Logits of the first forward pass that are not finite.
    pub(crate) n_not_finite_logits: usize,
    /// Loss of each training step, warm-up included; the first is that of the initial weights.
    pub(crate) losses: Vec<f64>,
    pub(crate) gradients: Vec<GradientFigure>,
}

/// Takes a few steps with the configured model on training pictures.
pub(crate) fn probe(
    context: &mut StageContext<'_>,
    spec: &ModelSpec,
    normalization: Normalization,
) -> Result<StepProbe, WorkflowError> {
    let (train, validation) = context.training_sets()?;
    let device = context.device.clone().autodiff();
    let mut session = Session {
        spec,
        training: &context.config.training,
        seed: context.config.seed,
        device: &device,
        optimizer: Optimizer::new(context.config.training.optimizer.clone()),
        losses: Vec::new(),
    };
    let mut batches = Batches::new(context, Arc::clone(&train), normalization)?;
    let model = spec.init(session.seed, &device);
    let first = batches.next_batch()?;
    let (output_shape, n_not_finite_logits) = session.look_untrained(&model, &first)?;
    let (model, gradients) = session.step(model, first, true)?;
    let (model, step_seconds) = measure_steps(context, &mut session, &mut batches, model)?;
    let pictures = if validation.is_empty() {
        &train
    } else {
        &validation
    };
    let latency_ms = latencies(context, &model, pictures, &normalization)?;
    let prediction_seconds_per_image = throughput(context, &model, pictures, &normalization)?;
    Ok(StepProbe {
        timing: StepTiming {
            batch_size: batches.batch_size,
            n_warm_up_steps: WARM_UP_STEPS,
            step_seconds,
            latency_ms,
            prediction_seconds_per_image,
            resident_bytes: resident_bytes(),
        },
        output_shape,
        n_not_finite_logits,
        losses: session.losses,
        gradients: gradients.unwrap_or_default(),
    })
}

/// Goes on training after the first step and times the steps after the warm-up, in seconds.
fn measure_steps(
    context: &mut StageContext<'_>,
    session: &mut Session<'_>,
    batches: &mut Batches,
    mut model: ImageClassifier,
) -> Result<(ImageClassifier, Vec<f64>), WorkflowError> {
    let mut step_seconds = Vec::new();
    let mut n_done = 1;
    loop {
        context.check_stop()?;
        let clock = Instant::now();
        let batch = batches.next_batch()?;
        model = session.step(model, batch, false)?.0;
        let seconds = clock.elapsed().as_secs_f64();
        n_done += 1;
        if n_done > WARM_UP_STEPS {
            step_seconds.push(seconds);
        }
        context.reporter.progress(
            "measuring training steps",
            n_done as u64,
            (WARM_UP_STEPS + MOST_STEPS) as u64,
        );
        let is_enough = step_seconds.len() >= FEWEST_STEPS
            && step_seconds.iter().sum::<f64>() >= ENOUGH_SECONDS;
        if is_enough || step_seconds.len() >= MOST_STEPS {
            return Ok((model, step_seconds));
        }
    }
}

/// An endless run of training batches.
struct Batches {
    loader: Loader,
    epoch: u64,
    current: EpochIter,
    batch_size: usize,
}

impl Batches {
    fn new(
        context: &StageContext<'_>,
        train: Arc<ImageSet>,
        normalization: Normalization,
    ) -> Result<Self, WorkflowError> {
        // A batch cannot be larger than the set; an empty set is refused by the loader.
        let batch_size = context.config.training.batch_size.min(train.len().max(1));
        let config = LoaderConfig {
            batch_size,
            drop_last: true,
            threads: context.threads.max(1),
            seed: context.config.seed,
            ..LoaderConfig::default()
        };
        let augmentation = context.config.augmentation.clone();
        let loader = Loader::new(train, Some(augmentation), normalization, config)?;
        Ok(Self {
            current: loader.epoch(0),
            epoch: 0,
            loader,
            batch_size,
        })
    }

    fn next_batch(&mut self) -> Result<Batch, WorkflowError> {
        if let Some(batch) = self.current.next() {
            return Ok(batch);
        }
        self.epoch += 1;
        self.current = self.loader.epoch(self.epoch);
        let empty = TrainError::EmptySet { split: "training" };
        self.current.next().ok_or_else(|| empty.into())
    }
}

/// Weights, optimizer and device of the probe.
struct Session<'a> {
    spec: &'a ModelSpec,
    training: &'a TrainingConfig,
    seed: u64,
    device: &'a Device,
    optimizer: Optimizer,
    losses: Vec<f64>,
}

impl Session<'_> {
    /// Shape and number of non-finite values of the logits that the untrained model gives.
    fn look_untrained(
        &self,
        model: &ImageClassifier,
        batch: &Batch,
    ) -> Result<([usize; 2], usize), WorkflowError> {
        let plain = self.device.clone().without_autodiff();
        let logits = model.valid().forward(images_of(batch, &plain));
        let shape = logits.dims();
        let n_not_finite = to_host(logits)?
            .iter()
            .filter(|value| !value.is_finite())
            .count();
        Ok((shape, n_not_finite))
    }

    /// One training step; also the gradients, when they are wanted.
    fn step(
        &mut self,
        model: ImageClassifier,
        batch: Batch,
        look_at_gradients: bool,
    ) -> Result<(ImageClassifier, Option<Vec<GradientFigure>>), WorkflowError> {
        let dropout = self.spec.config().dropout;
        let step = self.losses.len() as u64;
        let mask = (dropout > 0.0).then(|| {
            dropout_mask(
                self.seed,
                step,
                batch.n,
                self.spec.features(),
                dropout,
                self.device,
            )
        });
        let logits = model.forward_train(images_of(&batch, self.device), mask);
        let labels = labels_of(&batch, self.device);
        let loss = cross_entropy(logits, labels, self.training.label_smoothing);
        let gradients = GradientsParams::from_grads(loss.backward(), &model);
        let figures = match look_at_gradients {
            true => Some(gradient_figures(&model, &gradients)?),
            false => None,
        };
        let scale = self.training.max_gradient_norm.and_then(|limit| {
            GradientNorm::of(&model, &gradients).map(|norm| norm.clip_factor(limit))
        });
        let rate = self.training.optimizer.learning_rate;
        let model = self.optimizer.step(model, gradients, rate, scale);
        // Reading a weight waits for the update; reading the loss alone would not.
        to_host(model.head.bias.val())?;
        self.losses.push(first_value(loss)?);
        Ok((model, figures))
    }
}

fn images_of(batch: &Batch, device: &Device) -> Tensor<4> {
    let shape = [batch.n, ModelSpec::CHANNELS, batch.height, batch.width];
    Tensor::from_data(TensorData::new(batch.images.clone(), shape), device)
}

fn labels_of(batch: &Batch, device: &Device) -> Tensor<1, Int> {
    let labels: Vec<i32> = batch.labels.iter().map(|label| *label as i32).collect();
    Tensor::from_data(TensorData::new(labels, [batch.n]), device)
}

fn to_host<const D: usize>(tensor: Tensor<D>) -> Result<Vec<f32>, WorkflowError> {
    let failed = |message: String| TrainError::Device {
        action: "probing a training step",
        message,
    };
    let data = tensor
        .try_into_data()
        .map_err(|error| failed(error.to_string()))?;
    Ok(data
        .try_into_vec::<f32>()
        .map_err(|error| failed(format!("{error:?}")))?)
}

fn first_value(tensor: Tensor<1>) -> Result<f64, WorkflowError> {
    Ok(to_host(tensor)?
        .first()
        .map_or(f64::NAN, |value| f64::from(*value)))
}

/// The gradient of every trainable parameter of `model`.
fn gradient_figures(
    model: &ImageClassifier,
    gradients: &GradientsParams,
) -> Result<Vec<GradientFigure>, WorkflowError> {
    let mut visitor = GradientVisitor {
        gradients,
        fixed: model.fixed_parameters(),
        path: Vec::new(),
        figures: Ok(Vec::new()),
    };
    model.visit(&mut visitor);
    visitor.figures
}

struct GradientVisitor<'a> {
    gradients: &'a GradientsParams,
    fixed: Vec<String>,
    path: Vec<String>,
    figures: Result<Vec<GradientFigure>, WorkflowError>,
}

impl ModuleVisitor for GradientVisitor<'_> {
    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let value = param.val();
        let name = self.path.join(".");
        // Running statistics are visited too; no gradient is meant to reach them and what is fixed.
        if !value.is_require_grad() || self.fixed.contains(&name) {
            return;
        }
        let n_values = value.shape().num_elements();
        let gradient = self.gradients.get::<D>(param.id).map(to_host).transpose();
        let figure = gradient.map(|values| figure_of(name, n_values, values));
        self.figures = match (std::mem::replace(&mut self.figures, Ok(Vec::new())), figure) {
            (Ok(mut figures), Ok(figure)) => {
                figures.push(figure);
                Ok(figures)
            }
            (Err(error), _) | (_, Err(error)) => Err(error),
        };
    }
}

fn figure_of(name: String, n_values: usize, gradient: Option<Vec<f32>>) -> GradientFigure {
    let is_present = gradient.is_some();
    let values = gradient.unwrap_or_default();
    let finite = values.iter().filter(|value| value.is_finite());
    let squares: f64 = finite.map(|value| f64::from(*value).powi(2)).sum();
    GradientFigure {
        name,
        n_values,
        is_present,
        n_not_finite: values.iter().filter(|value| !value.is_finite()).count(),
        n_zero: values.iter().filter(|value| **value == 0.0).count(),
        norm: squares.sqrt(),
    }
}

/// Times of predicting one picture, in milliseconds.
fn latencies(
    context: &StageContext<'_>,
    model: &ImageClassifier,
    pictures: &ImageSet,
    normalization: &Normalization,
) -> Result<Vec<f64>, WorkflowError> {
    let mut times = Vec::with_capacity(MEASURED_PREDICTIONS);
    for run in 0..WARM_UP_PREDICTIONS + MEASURED_PREDICTIONS {
        let one = pictures.select(&[run % pictures.len()])?;
        let clock = Instant::now();
        predict(
            model,
            &one,
            normalization,
            1,
            context.device,
            &mut |_, _| {},
        )?;
        if run >= WARM_UP_PREDICTIONS {
            times.push(clock.elapsed().as_secs_f64() * 1_000.0);
        }
    }
    Ok(times)
}

/// Seconds a picture when many are predicted in batches, as validation does. The first batch warms
/// up.
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
        predict(
            model,
            &some,
            normalization,
            batch_size,
            context.device,
            &mut |_, _| {},
        )?;
        Ok(clock.elapsed().as_secs_f64() / n as f64)
    };
    run()?;
    run()
}

/// Memory that this process holds, in bytes; 0 where the system does not tell.
fn resident_bytes() -> u64 {
    let Ok(pid) = sysinfo::get_current_pid() else {
        return 0;
    };
    let Ok(mut system) = System::new() else {
        return 0;
    };
    let what = ProcessRefreshKind::nothing().with_memory();
    system.refresh_processes_specifics(ProcessesToUpdate::Some(&[pid]), true, what);
    system.process(pid).map_or(0, sysinfo::Process::memory)
}

#[cfg(test)]
mod tests {
    use super::*;
    use mlestar_train::ProgressiveResizing;

    fn timing(step_seconds: Vec<f64>) -> StepTiming {
        StepTiming {
            batch_size: 10,
            n_warm_up_steps: 2,
            step_seconds,
            latency_ms: vec![3.0, 1.0, 2.0],
            prediction_seconds_per_image: 0.01,
            resident_bytes: 0,
        }
    }

    #[test]
    fn training_time_is_steps_and_validation_times_epochs() {
        let training = TrainingConfig {
            epochs: 3,
            batch_size: 10,
            ..TrainingConfig::default()
        };
        let work = TrainingWork::new(&training, 101, 20);
        assert_eq!(work.steps_per_epoch, 11);
        let timing = timing(vec![0.5, 0.1, 0.3]);
        assert_eq!(timing.median_step_seconds(), 0.3);
        assert_eq!(timing.step_range_seconds(), [0.1, 0.5]);
        let seconds = timing.training_seconds(0.3, &work);
        assert!(
            (seconds - 3.0 * (11.0 * 0.3 + 0.2)).abs() < 1e-9,
            "{seconds}"
        );
        // One epoch of three at a quarter of the area.
        let progressive_resizing = vec![ProgressiveResizing {
            until_fraction: 0.34,
            scale: 0.5,
        }];
        let work = TrainingWork::new(
            &TrainingConfig {
                progressive_resizing,
                ..training
            },
            101,
            20,
        );
        let seconds = timing.training_seconds(0.3, &work);
        assert!(
            (seconds - (2.25 * 11.0 * 0.3 + 3.0 * 0.2)).abs() < 1e-9,
            "{seconds}"
        );
        assert_eq!(
            (timing.median_latency_ms(), timing.worst_latency_ms()),
            (2.0, 3.0)
        );
    }

    #[test]
    fn medians_of_none_two_and_three() {
        assert!(median(&[]).is_nan());
        assert_eq!(median(&[4.0, 2.0]), 3.0);
        assert_eq!(median(&[9.0, 1.0, 2.0]), 2.0);
    }

    #[test]
    fn unsound_gradients_are_recognised() {
        let figure = |values: Option<Vec<f32>>| figure_of("w".into(), 2, values);
        assert!(figure(Some(vec![0.0, 3.0])).is_sound());
        assert_eq!(figure(Some(vec![4.0, 3.0])).norm, 5.0);
        assert!(!figure(Some(vec![0.0, 0.0])).is_sound());
        assert!(!figure(Some(vec![f32::NAN, 3.0])).is_sound());
        assert!(!figure(None).is_sound());
    }

    #[test]
    fn this_process_has_memory() {
        assert!(resident_bytes() > 1_000_000 || !cfg!(target_os = "linux"));
    }
}
