//! Image files to the pixels of the network, within limits.

use crate::model::ServedModel;
use crate::refusal::Refusal;
use mlestar_image::picture;

/// The pixels of an image file, of the model's size, prepared as in training.
///
/// # Errors
/// 413 if its header tells of more than `max_pixels`, before anything is decoded; 422 with the reason if it cannot be
/// decoded.
pub fn prepare(model: &ServedModel, content: &[u8], max_pixels: u64) -> Result<Vec<u8>, Refusal> {
    let [height, width] = picture::size(content).map_err(Refusal::undecodable)?;
    if u64::from(height) * u64::from(width) > max_pixels {
        return Err(Refusal::too_large(format!(
            "it has {height} x {width} pixels (height x width), but the limit is {max_pixels} pixels: make it smaller"
        )));
    }
    let pixels = model.predictor.preparation().apply(content);
    pixels
        .map(image::RgbImage::into_raw)
        .map_err(Refusal::undecodable)
}
