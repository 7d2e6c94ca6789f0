//! Features of images: what the network hands to its last linear layer.

use burn::tensor::Device;
use mlestar_data::{ImageSet, Normalization};
use mlestar_model::Network;

use crate::{TrainError, device::to_host, logits::for_each_batch};

/// Features of every image of `set`, row-major `[n, width]`, computed as in deployment, and their width. `None` if
/// `progress`, which is called after every batch with the number of images done, returns false.
///
/// # Errors
///
/// [`TrainError::NoFeatures`] if the network gives none; or the device fails.
pub(crate) fn features<M: Network>(
    model: &M,
    set: &ImageSet,
    normalization: &Normalization,
    batch_size: usize,
    device: &Device,
    progress: &mut dyn FnMut(usize) -> bool,
) -> Result<Option<(Vec<f32>, usize)>, TrainError> {
    let model = model.valid();
    let mut features = Vec::new();
    let mut width = 0;
    let is_whole = for_each_batch(set, normalization, batch_size, device, |images, done| {
        let batch = model.features(images).ok_or(TrainError::NoFeatures)?;
        width = batch.dims()[1];
        features.extend(to_host(batch, "computing features")?);
        Ok(progress(done))
    })?;
    Ok(is_whole.then_some((features, width)))
}
