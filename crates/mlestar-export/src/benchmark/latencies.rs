//! A fixed number of single predictions, without a rule.

use std::time::Instant;

use super::model::MeasuredModel;
use crate::error::ExportError;

/// The times, in milliseconds and in order, of `n` predictions of one image after `warm_up` unmeasured ones.
/// `images` are whole images of the model's size, one after the other, used in turn.
///
/// # Errors
///
/// Those of the model; [`ExportError::InvalidArgument`] if there is no image, or an incomplete one.
pub fn latencies_ms(
    model: &dyn MeasuredModel,
    images: &[u8],
    warm_up: usize,
    n: usize,
) -> Result<Vec<f64>, ExportError> {
    let image_bytes = model.image_bytes();
    if images.is_empty() || !images.len().is_multiple_of(image_bytes) {
        let reason = format!("{} bytes, images have {image_bytes} each", images.len());
        return Err(ExportError::argument("images", reason));
    }
    let mut times_ms = Vec::with_capacity(n);
    let images = images.chunks_exact(image_bytes).cycle();
    for (index, image) in images.take(warm_up + n).enumerate() {
        let start = Instant::now();
        model.answer(image, 1)?;
        let elapsed = start.elapsed();
        if index >= warm_up {
            times_ms.push(elapsed.as_secs_f64() * 1e3);
        }
    }
    Ok(times_ms)
}

#[cfg(test)]
mod tests {
    use super::super::testing::FakeModel;
    use super::*;

    #[test]
    fn the_warm_up_is_not_measured() {
        let fake = FakeModel::new(0.0);
        assert_eq!(latencies_ms(&fake, &[0; 6], 5, 7).unwrap().len(), 7);
        assert_eq!(fake.n_answered(), 12);
        for images in [&[][..], &[0; 4]] {
            let error = latencies_ms(&fake, images, 1, 1).unwrap_err().to_string();
            assert!(error.contains("images have 3 each"), "{error}");
        }
    }
}
