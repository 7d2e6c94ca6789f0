//! What the package remembers of the training images, to notice later that images have changed.

use mlestar_data::ImageSet;
use mlestar_eval::Predictions;
use mlestar_export::package::{Histogram, ImageStatistics, TrainingData};
use rayon::prelude::*;

/// Brightness and contrast of the training images, and the classes that the model predicts for the validation images.
pub(super) fn describe(train: &ImageSet, validation: &Predictions) -> TrainingData {
    let statistics: Vec<ImageStatistics> = (0..train.len())
        .into_par_iter()
        .map(|index| ImageStatistics::of(&train.interleaved(index)))
        .collect();
    let histogram = |value: fn(&ImageStatistics) -> f64| {
        Histogram::of(&statistics.iter().map(value).collect::<Vec<_>>())
    };
    TrainingData {
        brightness: histogram(|statistics| statistics.brightness),
        contrast: histogram(|statistics| statistics.contrast),
        predicted_classes: predicted_classes(validation),
    }
}

/// How often each class is predicted.
pub(crate) fn predicted_classes(predictions: &Predictions) -> Vec<u64> {
    let mut counts = vec![0; predictions.n_classes()];
    for &class in predictions.predicted_labels() {
        counts[class as usize] += 1;
    }
    counts
}
