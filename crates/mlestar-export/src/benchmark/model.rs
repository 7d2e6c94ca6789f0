//! What can be measured.

use crate::error::ExportError;
use crate::predictor::Predictor;

/// A model that answers images, in any format and precision: all that a scenario needs.
pub trait MeasuredModel {
    /// Bytes of one image: height times width times 3.
    fn image_bytes(&self) -> usize;

    /// Answers `n` images that lie one after the other in `images`, and drops the answers.
    ///
    /// # Errors
    ///
    /// Whatever keeps the model from answering.
    fn answer(&self, images: &[u8], n: usize) -> Result<(), ExportError>;

    /// The computed memory for answering `n` images at a time, in bytes; `None` if the model cannot tell.
    fn memory_bytes(&self, n: usize) -> Option<u64>;
}

impl MeasuredModel for Predictor {
    fn image_bytes(&self) -> usize {
        self.model().height() * self.model().width() * 3
    }

    fn answer(&self, images: &[u8], n: usize) -> Result<(), ExportError> {
        let (height, width) = (self.model().height(), self.model().width());
        std::hint::black_box(self.predict_batch(images, n, height, width)?);
        Ok(())
    }

    fn memory_bytes(&self, n: usize) -> Option<u64> {
        Some(Predictor::memory_bytes(self, n) as u64)
    }
}
