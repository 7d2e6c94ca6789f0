use burn::tensor::{Device, Tensor, TensorData};
use mlestar_data::{ImageSet, normalization::Normalization};
use mlestar_model::Network;

use crate::{TrainError, device::to_host};

/// Logits of every image of `set`, row-major `n x classes`, computed with the running statistics and without
/// dropout.
///
/// `device` is the device of `model`; autodiff is not used. `progress` is called after every batch with the
/// number of images done and their total. The labels are not used.
///
/// # Errors
///
/// If `batch_size` is 0, the normalisation is out of range or the device fails. An empty set gives no logits.
pub fn logits<M: Network>(
    model: &M,
    set: &ImageSet,
    normalization: &Normalization,
    batch_size: usize,
    device: &Device,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<Vec<f32>, TrainError> {
    if batch_size == 0 {
        return Err(TrainError::out_of_range("batch_size", 0, "at least 1"));
    }
    normalization.check()?;
    let model = model.valid();
    let mut logits = Vec::with_capacity(set.len() * set.n_classes());
    for_each_batch(set, normalization, batch_size, device, |images, done| {
        logits.extend(to_host(model.forward(images), "evaluating the model")?);
        progress(done, set.len());
        Ok(true)
    })?;
    Ok(logits)
}

/// Hands normalised images `[n, 3, height, width]` of `set` to `evaluate`, in order, with the number of images up to the
/// end of the batch, until it returns false. Returns whether all images had their turn.
pub(crate) fn for_each_batch(
    set: &ImageSet,
    normalization: &Normalization,
    batch_size: usize,
    device: &Device,
    mut evaluate: impl FnMut(Tensor<4>, usize) -> Result<bool, TrainError>,
) -> Result<bool, TrainError> {
    let table = normalization.table();
    let device = device.clone().without_autodiff();
    let (height, width) = (set.height(), set.width());
    let picture = ImageSet::CHANNELS * height * width;
    let mut done = 0;
    while done < set.len() {
        let n = batch_size.min(set.len() - done);
        let mut values = vec![0.0_f32; n * picture];
        for (offset, out) in values.chunks_exact_mut(picture).enumerate() {
            table.apply(set.pixels(done + offset), out);
        }
        let data = TensorData::new(values, [n, ImageSet::CHANNELS, height, width]);
        done += n;
        if !evaluate(Tensor::from_data(data, &device), done)? {
            return Ok(false);
        }
    }
    Ok(true)
}
