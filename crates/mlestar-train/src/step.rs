//! One training step, and the results that wait on the device.

use std::time::Instant;

use burn::{
    optim::GradientsParams,
    tensor::{Device, Int, Tensor, TensorData},
};
use mlestar_data::loader::Batch;
use mlestar_model::{ImageClassifier, ModelSpec, dropout_mask};

use crate::{
    TrainError, config::TrainingConfig, gradient_norm::GradientNorm, loss::cross_entropy,
    optimizer::Optimizer, predict::to_host,
};

/// What stays the same from step to step.
pub(crate) struct StepContext<'a> {
    pub spec: &'a ModelSpec,
    pub training: &'a TrainingConfig,
    pub seed: u64,
    /// An autodiff device.
    pub device: &'a Device,
}

/// Results of a step: loss, correct pictures, gradient norm; `[3]`, on the device.
pub(crate) type StepResult = Tensor<1>;

impl StepContext<'_> {
    /// Forward, backward and update. `step` counts from 0 over the whole training.
    pub(crate) fn run(
        &self,
        model: ImageClassifier,
        optimizer: &mut Optimizer,
        batch: Batch,
        step: u64,
        learning_rate: f64,
    ) -> (ImageClassifier, StepResult) {
        let n = batch.n;
        let images = TensorData::new(
            batch.images,
            [n, ModelSpec::CHANNELS, batch.height, batch.width],
        );
        let images = Tensor::<4>::from_data(images, self.device);
        let labels: Vec<i32> = batch.labels.iter().map(|&label| label as i32).collect();
        let labels = Tensor::<1, Int>::from_data(TensorData::new(labels, [n]), self.device);
        let dropout = self.spec.config().dropout;
        let mask = (dropout > 0.0).then(|| {
            dropout_mask(
                self.seed,
                step,
                n,
                self.spec.features(),
                dropout,
                self.device,
            )
        });

        let logits = model.forward_train(images, mask);
        let loss = cross_entropy(
            logits.clone(),
            labels.clone(),
            self.training.label_smoothing,
        );
        let gradients = GradientsParams::from_grads(loss.backward(), &model);

        let plain = self.device.clone().without_autodiff();
        let norm = GradientNorm::of(&model, &gradients);
        let scale = match (&norm, self.training.max_gradient_norm) {
            (Some(norm), Some(max)) => Some(norm.clip_factor(max)),
            _ => None,
        };
        let norm = norm.map_or_else(|| Tensor::zeros([1], &plain), |norm| norm.tensor());
        let model = optimizer.step(model, gradients, learning_rate, scale);
        let correct = count_correct(logits.without_autodiff(), labels.without_autodiff());
        let result = Tensor::cat(vec![loss.without_autodiff(), correct, norm], 0);
        (model, result)
    }
}

/// Pictures whose highest logit is the label's, `[1]`.
fn count_correct(logits: Tensor<2>, labels: Tensor<1, Int>) -> Tensor<1> {
    let [n, _] = logits.dims();
    let predicted = logits.argmax(1).reshape([n]);
    predicted.equal(labels).float().sum()
}

/// A step whose results have not been read yet.
struct Pending {
    result: StepResult,
    n: usize,
    learning_rate: f64,
    indices: Vec<usize>,
}

/// Reads the results of steps, several together: on a GPU every read waits for the device, and the
/// queue of work runs dry.
pub(crate) struct Meter {
    epoch: usize,
    pending: Vec<Pending>,
    last_read: Instant,
    pub totals: EpochTotals,
}

/// Sums over the steps of an epoch that have been read.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct EpochTotals {
    pub steps: usize,
    pub images: usize,
    loss: f64,
    correct: f64,
    gradient_norm: f64,
    pub last_learning_rate: f64,
    pub last_gradient_norm: f64,
}

impl EpochTotals {
    pub(crate) fn mean_loss(&self) -> f64 {
        self.loss / self.images.max(1) as f64
    }

    pub(crate) fn accuracy(&self) -> f64 {
        self.correct / self.images.max(1) as f64
    }

    pub(crate) fn mean_gradient_norm(&self) -> f64 {
        self.gradient_norm / self.steps.max(1) as f64
    }
}

/// Results are read when so much time has passed ...
const READ_EVERY_SECONDS: f64 = 0.2;
/// ... or so many steps wait.
const MOST_PENDING: usize = 64;

impl Meter {
    pub(crate) fn new(epoch: usize) -> Self {
        Self {
            epoch,
            pending: Vec::new(),
            last_read: Instant::now(),
            totals: EpochTotals::default(),
        }
    }

    pub(crate) fn push(
        &mut self,
        result: StepResult,
        n: usize,
        learning_rate: f64,
        indices: Vec<usize>,
    ) {
        self.pending.push(Pending {
            result,
            n,
            learning_rate,
            indices,
        });
    }

    pub(crate) fn is_due(&self) -> bool {
        self.pending.len() >= MOST_PENDING
            || self.last_read.elapsed().as_secs_f64() >= READ_EVERY_SECONDS
    }

    /// Waits for the device and adds up what it found.
    pub(crate) fn read(&mut self) -> Result<(), TrainError> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let pending = std::mem::take(&mut self.pending);
        let results = pending.iter().map(|step| step.result.clone()).collect();
        let values = to_host(Tensor::cat(results, 0), "training")?;
        for (step, values) in pending.into_iter().zip(values.chunks_exact(3)) {
            self.add(step, values)?;
        }
        self.last_read = Instant::now();
        Ok(())
    }

    fn add(&mut self, step: Pending, values: &[f32]) -> Result<(), TrainError> {
        let [loss, correct, norm] = [0, 1, 2].map(|i| f64::from(values[i]));
        let totals = &mut self.totals;
        totals.steps += 1;
        if !(loss.is_finite() && norm.is_finite()) {
            return Err(TrainError::NonFinite {
                epoch: self.epoch,
                step: totals.steps,
                loss,
                gradient_norm: norm,
                indices: step.indices,
            });
        }
        totals.images += step.n;
        totals.loss += loss * step.n as f64;
        totals.correct += correct;
        totals.gradient_norm += norm;
        totals.last_learning_rate = step.learning_rate;
        totals.last_gradient_norm = norm;
        Ok(())
    }
}
