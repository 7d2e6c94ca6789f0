//! A quantised model on the kernels for `f32`: fast enough to compare many of them.

use rayon::prelude::*;

use crate::error::ExportError;
use crate::executor::ObservedExecutor;
use crate::int8_model::{BufferScale, QuantizedModel};

/// Values in one task.
const PIECE: usize = 1 << 14;

/// Runs a quantised model in `f32` with weights and buffers rounded as the integers round them.
///
/// The sums are rounded instead of exact. Where one is nearly halfway between two integers, the buffer's value can
/// differ from the reference's by one step.
pub struct Simulation<'a> {
    executor: ObservedExecutor<'a>,
    buffers: &'a [Option<BufferScale>],
}

impl<'a> Simulation<'a> {
    /// Lays out the weights of `model`.
    #[must_use]
    pub fn new(model: &'a QuantizedModel) -> Self {
        Self {
            executor: ObservedExecutor::new(model.model()),
            buffers: model.buffers(),
        }
    }

    /// Logits, row-major `[n, classes]`, of `n` images of interleaved RGB bytes (`[n, height, width, 3]`).
    ///
    /// # Errors
    ///
    /// [`ExportError::PixelCount`] if the length of `pixels` does not match `n` images.
    pub fn logits(&self, pixels: &[u8], n: usize) -> Result<Vec<f32>, ExportError> {
        self.executor.logits(pixels, n, &mut |buffer, values| {
            if let Some(scale) = self.buffers[buffer] {
                let pieces = values.par_chunks_mut(PIECE);
                pieces.for_each(|values| {
                    values
                        .iter_mut()
                        .for_each(|value| *value = scale.round(*value));
                });
            }
        })
    }
}

impl std::fmt::Debug for Simulation<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Simulation")
            .field("buffers", &self.buffers)
            .finish_non_exhaustive()
    }
}
