//! The model that a training begins with.

use burn::tensor::Device;
use mlestar_data::{ImageSet, Normalization};
use mlestar_model::{ImageClassifier, ModelSpec, PatchCovariance, StemKind};

use crate::TrainError;

/// Pictures that the whitening filters are computed from: two million patches of 32x32 pictures.
const WHITENED_PICTURES: usize = 2_000;

/// The initial weights of `seed`, with the filters of a whitening stem from pictures of `train`, evenly
/// spread over it and as the network sees them, without augmentation.
pub(crate) fn initial_model(
    spec: &ModelSpec,
    seed: u64,
    train: &ImageSet,
    normalization: &Normalization,
    device: &Device,
) -> Result<ImageClassifier, TrainError> {
    let model = spec.init(seed, device);
    if spec.config().stem != StemKind::Whitening {
        return Ok(model);
    }
    let mut patches = PatchCovariance::new(spec.height(), spec.width());
    let mut picture = vec![0.0; ModelSpec::CHANNELS * spec.height() * spec.width()];
    let table = normalization.table();
    let n = train.len().min(WHITENED_PICTURES);
    for index in 0..n {
        let pixels = train.pixels(index * train.len() / n);
        table.apply(pixels, &mut picture);
        patches.add(&picture)?;
    }
    Ok(model.with_stem_filters(patches.filters(spec.config().stem_channels))?)
}
