//! Collects the results of steps that are still on the device.

use std::time::Instant;

use burn::tensor::Tensor;

use crate::{StepRecord, TrainError, checkpoint::EpochPosition, device::to_host};

/// A step whose results have not been read yet.
struct Pending {
    result: Tensor<1>,
    squares: Vec<(String, Tensor<1>)>,
    learning_rate: f64,
    indices: Vec<usize>,
}

/// Reads the results of several steps together: on a GPU every read waits for the device and empties its queue.
pub(crate) struct Meter {
    epoch: usize,
    /// Steps of the whole training before this epoch's.
    steps_before: u64,
    pending: Vec<Pending>,
    last_read: Instant,
    pub totals: EpochTotals,
}

/// Sums over the steps of an epoch that have been read.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct EpochTotals {
    pub position: EpochPosition,
    pub last_learning_rate: f64,
    pub last_gradient_norm: f64,
}

impl EpochTotals {
    pub(crate) fn mean_loss(&self) -> f64 {
        self.position.loss_sum / self.position.images.max(1) as f64
    }

    pub(crate) fn accuracy(&self) -> f64 {
        self.position.correct / self.position.images.max(1) as f64
    }

    pub(crate) fn mean_gradient_norm(&self) -> f64 {
        self.position.gradient_norm_sum / self.position.steps.max(1) as f64
    }
}

/// Results are read after this time ...
const READ_EVERY_SECONDS: f64 = 0.2;
/// ... or when this many steps are waiting.
const MOST_PENDING: usize = 64;

impl Meter {
    /// Resumes at `position` in `epoch`.
    pub(crate) fn new(epoch: usize, steps_before: u64, position: EpochPosition) -> Self {
        Self {
            epoch,
            steps_before,
            pending: Vec::new(),
            last_read: Instant::now(),
            totals: EpochTotals {
                position,
                ..EpochTotals::default()
            },
        }
    }

    pub(crate) fn push(
        &mut self,
        result: Tensor<1>,
        squares: Vec<(String, Tensor<1>)>,
        learning_rate: f64,
        indices: Vec<usize>,
    ) {
        self.pending.push(Pending {
            result,
            squares,
            learning_rate,
            indices,
        });
    }

    pub(crate) fn is_due(&self) -> bool {
        self.pending.len() >= MOST_PENDING
            || self.last_read.elapsed().as_secs_f64() >= READ_EVERY_SECONDS
    }

    /// Waits for the device, adds up its results and returns them step by step.
    pub(crate) fn read(&mut self) -> Result<Vec<StepRecord>, TrainError> {
        if self.pending.is_empty() {
            return Ok(Vec::new());
        }
        let pending = std::mem::take(&mut self.pending);
        let results = pending.iter().map(|step| step.result.clone()).collect();
        let values = to_host(Tensor::cat(results, 0), "training")?;
        self.last_read = Instant::now();
        let steps = pending.into_iter().zip(values.chunks_exact(3));
        steps.map(|(step, values)| self.add(step, values)).collect()
    }

    fn add(&mut self, step: Pending, values: &[f32]) -> Result<StepRecord, TrainError> {
        let [loss, correct, norm] = [0, 1, 2].map(|i| f64::from(values[i]));
        let n = step.indices.len();
        let totals = &mut self.totals;
        let position = &mut totals.position;
        if !(loss.is_finite() && norm.is_finite()) {
            return Err(TrainError::NonFinite {
                epoch: self.epoch,
                step: position.steps + 1,
                loss,
                gradient_norm: norm,
                largest_gradients: largest(step.squares)?,
                indices: step.indices,
            });
        }
        position.steps += 1;
        position.images += n;
        position.loss_sum += loss * n as f64;
        position.correct += correct;
        position.gradient_norm_sum += norm;
        totals.last_learning_rate = step.learning_rate;
        totals.last_gradient_norm = norm;
        Ok(StepRecord {
            step: self.steps_before + position.steps as u64,
            epoch: self.epoch,
            loss,
            learning_rate: step.learning_rate,
            gradient_norm: norm,
        })
    }
}

/// Number of norms that a report lists.
const REPORTED_GRADIENTS: usize = 5;

/// The largest gradient norms, computed from their squares; values that are not finite come first.
fn largest(squares: Vec<(String, Tensor<1>)>) -> Result<Vec<(String, f64)>, TrainError> {
    if squares.is_empty() {
        return Ok(Vec::new());
    }
    let (names, squares): (Vec<String>, Vec<Tensor<1>>) = squares.into_iter().unzip();
    let values = to_host(Tensor::cat(squares, 0), "reading gradients")?;
    let mut norms: Vec<(String, f64)> = names
        .into_iter()
        .zip(values.iter().map(|&square| f64::from(square).sqrt()))
        .collect();
    let size = |norm: f64| if norm.is_nan() { f64::INFINITY } else { norm };
    norms.sort_by(|a, b| size(b.1).total_cmp(&size(a.1)));
    norms.truncate(REPORTED_GRADIENTS);
    Ok(norms)
}
