use burn::{
    module::Module,
    tensor::{Device, Tensor, TensorData},
};
use mlestar_data::{ImageSet, normalization::Normalization};
use mlestar_model::ImageClassifier;

use crate::TrainError;

/// Logits of every picture of `set`, row-major `n x classes`, with the running statistics and
/// without dropout.
///
/// `device` is where `model` is; an autodiff device is used without its autodiff. `progress` is
/// called after every batch with the pictures done and their total. The labels are not used.
///
/// # Errors
///
/// When `batch_size` is 0, the normalisation is out of range or the device fails. An empty set
/// gives no logits.
pub fn predict(
    model: &ImageClassifier,
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
    let table = normalization.table();
    let device = device.clone().without_autodiff();
    let model = model.valid();
    let [n_classes] = model.head.bias.dims();
    let (height, width) = (set.height(), set.width());
    let picture = ImageSet::CHANNELS * height * width;
    let mut logits = Vec::with_capacity(set.len() * n_classes);
    let mut done = 0;
    while done < set.len() {
        let n = batch_size.min(set.len() - done);
        let mut values = vec![0.0_f32; n * picture];
        for (offset, out) in values.chunks_exact_mut(picture).enumerate() {
            table.apply(set.pixels(done + offset), out);
        }
        let data = TensorData::new(values, [n, ImageSet::CHANNELS, height, width]);
        let batch = model.forward(Tensor::from_data(data, &device));
        logits.extend(to_host(batch, "evaluating the model")?);
        done += n;
        progress(done, set.len());
    }
    Ok(logits)
}

/// Probabilities, row by row, of logits with `k` values a row: `exp(x) / sum(exp(x))` in f64.
/// Values after the last whole row are ignored; `k` 0 gives nothing.
///
/// ```
/// let rows = mlestar_train::softmax_rows(&[0.0, 0.0, 1000.0, 0.0], 2);
/// assert_eq!(rows, [0.5, 0.5, 1.0, 0.0]);
/// ```
#[must_use]
pub fn softmax_rows(logits: &[f32], k: usize) -> Vec<f64> {
    let mut probabilities = Vec::with_capacity(logits.len());
    if k == 0 {
        return probabilities;
    }
    for row in logits.chunks_exact(k) {
        let highest = row.iter().fold(f64::NEG_INFINITY, |a, &b| a.max(b.into()));
        let start = probabilities.len();
        probabilities.extend(row.iter().map(|&v| (f64::from(v) - highest).exp()));
        let sum: f64 = probabilities[start..].iter().sum();
        for value in &mut probabilities[start..] {
            *value /= sum;
        }
    }
    probabilities
}

/// Waits for a tensor and copies it to the host.
pub(crate) fn to_host<const D: usize>(
    tensor: Tensor<D>,
    action: &'static str,
) -> Result<Vec<f32>, TrainError> {
    let failed = |message: String| TrainError::Device { action, message };
    let data = tensor
        .try_into_data()
        .map_err(|error| failed(error.to_string()))?;
    data.try_into_vec::<f32>()
        .map_err(|error| failed(format!("{error:?}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn rows_sum_to_one_and_keep_their_order(
            logits in proptest::collection::vec(-100.0_f32..100.0, 12),
        ) {
            let rows = softmax_rows(&logits, 4);
            prop_assert_eq!(rows.len(), 12);
            for (row, logits) in rows.chunks(4).zip(logits.chunks(4)) {
                prop_assert!((row.iter().sum::<f64>() - 1.0).abs() < 1e-12);
                for i in 0..3 {
                    if logits[i] > logits[i + 1] {
                        prop_assert!(row[i] >= row[i + 1]);
                    }
                }
            }
        }
    }
}
