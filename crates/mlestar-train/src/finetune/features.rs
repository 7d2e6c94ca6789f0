//! Features of images: what the network hands to its last linear layer.

use burn::tensor::{Device, Tensor, TensorData};
use mlestar_data::{ImageSet, Normalization};
use mlestar_model::Network;

use crate::{TrainError, device::to_host};

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
    let table = normalization.table();
    let device = device.clone().without_autodiff();
    let model = model.valid();
    let (height, width) = (set.height(), set.width());
    let picture = ImageSet::CHANNELS * height * width;
    let mut features = Vec::new();
    let mut n_features = 0;
    let mut done = 0;
    while done < set.len() {
        let n = batch_size.clamp(1, set.len() - done);
        let mut values = vec![0.0_f32; n * picture];
        for (offset, out) in values.chunks_exact_mut(picture).enumerate() {
            table.apply(set.pixels(done + offset), out);
        }
        let data = TensorData::new(values, [n, ImageSet::CHANNELS, height, width]);
        let batch = model.features(Tensor::from_data(data, &device));
        let batch = batch.ok_or(TrainError::NoFeatures)?;
        n_features = batch.dims()[1];
        features.extend(to_host(batch, "computing features")?);
        done += n;
        if !progress(done) {
            return Ok(None);
        }
    }
    Ok(Some((features, n_features)))
}
