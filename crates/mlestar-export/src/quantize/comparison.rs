//! Compares quantised models with the `f32` model on labelled images.

use mlestar_eval::{Predictions, accuracy, log_loss, paired_difference_interval};

use super::record::ModelFigures;
use super::simulation::Simulation;
use crate::error::ExportError;
use crate::frozen::FrozenModel;
use crate::int8_model::QuantizedModel;
use crate::parity;

/// Confidence with which one accuracy counts as higher than another.
const CONFIDENCE: f64 = 0.95;

/// Images with their labels, for choosing.
#[derive(Debug, Clone, Copy)]
pub struct LabelledImages<'a> {
    /// Interleaved RGB bytes, `[n, height, width, 3]`.
    pub pixels: &'a [u8],
    /// The class index of each image.
    pub labels: &'a [u32],
}

/// Labelled images and what the `f32` model answers.
pub(super) struct Comparison {
    pixels: Vec<u8>,
    labels: Vec<u32>,
    n_classes: usize,
    reference: Vec<f32>,
}

impl Comparison {
    /// `most` of the images, evenly spread: callers may have them in the order of their classes.
    pub(super) fn new(
        model: &FrozenModel,
        images: LabelledImages,
        most: usize,
    ) -> Result<Self, ExportError> {
        let n = images.labels.len();
        let image = model.height() * model.width() * 3;
        if n == 0 || Some(images.pixels.len()) != image.checked_mul(n) {
            let bytes = images.pixels.len();
            let reason = format!("{bytes} bytes for {n} labels, but an image has {image} bytes");
            return Err(ExportError::argument("validation images", reason));
        }
        let pixels = spread_images(images.pixels, image, most);
        let labels = spread(n, most)
            .map(|index| images.labels[index])
            .collect::<Vec<_>>();
        let reference = model.logits(&pixels, labels.len())?;
        Ok(Self {
            pixels,
            labels,
            n_classes: model.n_classes(),
            reference,
        })
    }

    /// Number of images.
    pub(super) fn n(&self) -> usize {
        self.labels.len()
    }

    /// The first images of these, evenly spread.
    pub(super) fn reduced(&self, most: usize) -> Self {
        let image = self.pixels.len() / self.n();
        let rows = spread(self.n(), most).flat_map(|index| {
            self.reference[index * self.n_classes..][..self.n_classes]
                .iter()
                .copied()
        });
        Self {
            pixels: spread_images(&self.pixels, image, most),
            labels: spread(self.n(), most)
                .map(|index| self.labels[index])
                .collect(),
            n_classes: self.n_classes,
            reference: rows.collect(),
        }
    }

    /// Accuracy and log loss of the `f32` model.
    pub(super) fn reference_figures(&self) -> Result<(f64, f64), ExportError> {
        let predictions = self.predictions(&self.reference)?;
        Ok((accuracy(&predictions), log_loss(&predictions)))
    }

    /// The figures of a quantised model, simulated.
    pub(super) fn measure(&self, model: &QuantizedModel) -> Result<Measured, ExportError> {
        let logits = Simulation::new(model).logits(&self.pixels, self.n())?;
        let parity = parity::compare(&self.reference, &logits, self.n_classes)?;
        let predictions = self.predictions(&logits)?;
        let figures = ModelFigures {
            accuracy: accuracy(&predictions),
            log_loss: log_loss(&predictions),
            mean_logit_difference: parity.mean_abs_difference,
            agreement: parity.top1_agreement,
        };
        Ok(Measured {
            figures,
            correct: predictions.correct(),
        })
    }

    fn predictions(&self, logits: &[f32]) -> Result<Predictions, ExportError> {
        Predictions::from_logits(self.labels.clone(), logits.to_vec(), self.n_classes)
            .map_err(invalid)
    }
}

/// What a quantised model gives on the images of a comparison.
pub(super) struct Measured {
    pub figures: ModelFigures,
    /// Whether the prediction of each image is correct.
    correct: Vec<bool>,
}

impl Measured {
    /// Whether the accuracy is higher than `other`'s beyond chance, on the same images.
    pub(super) fn is_more_accurate_than(&self, other: &Self) -> Result<bool, ExportError> {
        let mut counts = [[0_u64; 2]; 2];
        for (own, other) in self.correct.iter().zip(&other.correct) {
            counts[usize::from(*own)][usize::from(*other)] += 1;
        }
        let [[neither, only_other], [only_own, both]] = counts;
        let interval = paired_difference_interval(both, only_other, only_own, neither, CONFIDENCE)
            .map_err(invalid)?;
        Ok(interval.low > 0.0)
    }
}

fn invalid(error: mlestar_eval::EvalError) -> ExportError {
    ExportError::argument("validation images", error.to_string())
}

/// At most `most` of `n` positions, evenly spread.
fn spread(n: usize, most: usize) -> impl Iterator<Item = usize> {
    let taken = n.min(most);
    (0..taken).map(move |index| index * n / taken)
}

/// At most `most` of the images, evenly spread.
pub(super) fn spread_images(pixels: &[u8], image: usize, most: usize) -> Vec<u8> {
    let images = spread(pixels.len() / image, most);
    images
        .flat_map(|index| &pixels[index * image..][..image])
        .copied()
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(correct: &[(bool, usize)]) -> Measured {
        let figures = ModelFigures {
            accuracy: 0.0,
            log_loss: 0.0,
            mean_logit_difference: 0.0,
            agreement: 0.0,
        };
        let correct = correct
            .iter()
            .flat_map(|&(is_correct, n)| vec![is_correct; n]);
        Measured {
            figures,
            correct: correct.collect(),
        }
    }

    #[test]
    fn a_few_images_more_are_chance() {
        let all = measured(&[(true, 500)]);
        for (wrong, expected) in [(0, false), (2, false), (30, true)] {
            let other = measured(&[(false, wrong), (true, 500 - wrong)]);
            assert_eq!(
                all.is_more_accurate_than(&other).unwrap(),
                expected,
                "{wrong}"
            );
            assert!(!other.is_more_accurate_than(&all).unwrap());
        }
    }

    #[test]
    fn positions_are_spread_over_all() {
        assert_eq!(spread(10, 4).collect::<Vec<_>>(), [0, 2, 5, 7]);
        assert_eq!(spread(3, 5).collect::<Vec<_>>(), [0, 1, 2]);
        assert_eq!(spread(0, 5).count(), 0);
        assert_eq!(spread_images(&[1, 2, 3, 4, 5, 6, 7, 8], 2, 2), [1, 2, 5, 6]);
    }
}
