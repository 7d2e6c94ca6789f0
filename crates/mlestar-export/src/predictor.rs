//! Classifies raw images.

use mlestar_image::Preparation;
use serde::{Deserialize, Serialize};
use std::path::Path;

use crate::confidence::familiarity;
use crate::error::ExportError;
use crate::executor::{Choice, ChoiceOptions, Executor, Pool, Precision};
use crate::frozen::FrozenModel;
use crate::int8_model::QuantizedModel;

/// The prediction of the model for one image.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Prediction {
    /// Index of the most probable class; of equally probable ones, the lowest.
    pub class_index: usize,
    /// Name of that class.
    pub class: String,
    /// Its calibrated probability, 0-1.
    pub probability: f64,
    /// Whether the image is unlike the training images, so that the class means nothing. Always `false` for a model
    /// without a limit of familiarity.
    pub none_of_these: bool,
    /// How much the image resembles the training images ([`crate::familiarity`]).
    pub familiarity: f64,
    /// Probability of every class, in the order of the class indices; they sum to 1.
    pub probabilities: Vec<f64>,
}

/// A class with its probability.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RankedClass {
    /// Index of the class.
    pub class_index: usize,
    /// Name of the class.
    pub class: String,
    /// Probability, 0-1.
    pub probability: f64,
}

/// A model that is ready to classify raw 8-bit RGB images.
///
/// It can be shared between threads (`Send + Sync`); each call uses the threads of its rayon pool. Images are
/// interleaved (`[row, column, channel]`, as from image libraries) and must have exactly the size that the
/// model was trained on. Image files are decoded and resized as in training: a package records how
/// ([`Predictor::preparation`]).
///
/// ```
/// use mlestar_export::Predictor;
#[doc = include_str!("doc_model.in")]
/// let predictor = Predictor::new(model);
/// let blue_picture = [0, 0, 255].repeat(4);
/// let prediction = predictor.predict(&blue_picture, 2, 2)?;
/// assert_eq!(prediction.class, "blue");
/// assert!(prediction.probability > 0.7);
///
/// let error = predictor.predict(&blue_picture, 1, 4).unwrap_err();
/// assert!(error.to_string().contains("takes images of 2x2"));
/// # Ok::<(), mlestar_export::ExportError>(())
/// ```
pub struct Predictor {
    model: FrozenModel,
    executor: Executor,
    preparation: Preparation,
    /// Memory for the logits of a call.
    logits: Pool<Vec<f32>>,
}

impl std::fmt::Debug for Predictor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Predictor")
            .field("model", &self.model)
            .field("executor", &self.executor)
            .field("preparation", &self.preparation)
            .finish_non_exhaustive()
    }
}

impl Predictor {
    /// Prepares `model`, with image files prepared by [`Preparation::new`]. [`Predictor::open`] reads a model
    /// from a package.
    #[must_use]
    pub fn new(model: FrozenModel) -> Self {
        let executor = Executor::new(&model);
        Self::with_executor(model, executor)
    }

    /// Like [`Predictor::new`], with the fastest of the allowed precisions on this machine: see
    /// [`Executor::fastest`], also for errors.
    ///
    /// ```
    /// use mlestar_export::{ChoiceOptions, Predictor};
    #[doc = include_str!("doc_model.in")]
    /// let (predictor, choice) = Predictor::fastest(model, None, &ChoiceOptions::default())?;
    /// println!("{}: {:.3} ms", choice.precision.name(), choice.timings[0].median_ms);
    /// assert_eq!(predictor.precision(), choice.precision);
    /// # Ok::<(), mlestar_export::ExportError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ExportError::InvalidArgument`] if no allowed precision is left.
    pub fn fastest(
        model: FrozenModel,
        quantized: Option<&QuantizedModel>,
        options: &ChoiceOptions,
    ) -> Result<(Self, Choice), ExportError> {
        let (executor, choice) = Executor::fastest(&model, quantized, options)?;
        Ok((Self::with_executor(model, executor), choice))
    }

    /// Predicts with an executor of `model`, or of its quantised form.
    pub(crate) fn with_executor(model: FrozenModel, executor: Executor) -> Self {
        Self {
            executor,
            preparation: Preparation::new(model.height(), model.width()),
            model,
            logits: Pool::new(),
        }
    }

    /// The numbers in which it multiplies.
    #[must_use]
    pub fn precision(&self) -> Precision {
        self.executor.precision()
    }

    /// Prepares image files in another way. The model's size does not change.
    #[must_use]
    pub fn with_preparation(self, preparation: Preparation) -> Self {
        Self {
            preparation: Preparation {
                height: self.model.height(),
                width: self.model.width(),
                ..preparation
            },
            ..self
        }
    }

    /// How image files are prepared.
    #[must_use]
    pub fn preparation(&self) -> &Preparation {
        &self.preparation
    }

    /// Classifies an image file of any size.
    ///
    /// ```
    /// use mlestar_export::Predictor;
    #[doc = include_str!("doc_model.in")]
    /// # let folder = tempfile::tempdir()?;
    /// # let photograph = folder.path().join("photograph.png");
    /// # image::RgbImage::from_pixel(640, 480, image::Rgb([0, 0, 250])).save(&photograph)?;
    /// let predictor = Predictor::new(model);
    /// assert_eq!(predictor.predict_file(&photograph)?.class, "blue");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ExportError::Image`] with the file and the reason if it cannot be read as an image.
    pub fn predict_file(&self, path: &Path) -> Result<Prediction, ExportError> {
        let pixels = self.preparation.read(path);
        self.predict_pixels(pixels, &path.display().to_string())
    }

    /// Classifies an image, given as the content of a file in any format that training reads.
    ///
    /// # Errors
    ///
    /// [`ExportError::Image`] with the reason if it cannot be read as an image.
    pub fn predict_image(&self, content: &[u8]) -> Result<Prediction, ExportError> {
        self.predict_pixels(self.preparation.apply(content), "the image")
    }

    fn predict_pixels(
        &self,
        pixels: Result<image::RgbImage, String>,
        name: &str,
    ) -> Result<Prediction, ExportError> {
        let pixels = pixels.map_err(|reason| ExportError::Image {
            name: name.to_owned(),
            reason,
        })?;
        self.predict(&pixels, self.model.height(), self.model.width())
    }

    /// The model that predicts.
    #[must_use]
    pub fn model(&self) -> &FrozenModel {
        &self.model
    }

    /// The memory for predicting `n` images at a time, in bytes, computed: the weights as read and as laid out
    /// for the CPU, the buffers between the layers, and the images.
    ///
    /// ```
    /// use mlestar_export::Predictor;
    #[doc = include_str!("doc_model.in")]
    /// let weights = model.parameters() * 4;
    /// let predictor = Predictor::new(model);
    /// assert!(predictor.memory_bytes(1) >= 2 * weights);
    /// assert!(predictor.memory_bytes(8) > predictor.memory_bytes(1));
    /// # Ok::<(), mlestar_export::ExportError>(())
    /// ```
    #[must_use]
    pub fn memory_bytes(&self, n: usize) -> usize {
        self.model.parameters() * size_of::<f32>() + self.executor.memory_bytes(n)
    }

    /// Classifies one image of `height * width * 3` bytes.
    ///
    /// # Errors
    ///
    /// [`ExportError::PictureSize`] if the image does not have the model's size, [`ExportError::PixelCount`] if
    /// `picture` does not have the right number of bytes.
    pub fn predict(
        &self,
        picture: &[u8],
        height: usize,
        width: usize,
    ) -> Result<Prediction, ExportError> {
        let mut prediction = Prediction::default();
        self.predict_into(picture, height, width, &mut prediction)?;
        Ok(prediction)
    }

    /// Like [`Predictor::predict`], written over an earlier prediction. After the first call it allocates nothing.
    ///
    /// ```
    /// use mlestar_export::{Prediction, Predictor};
    #[doc = include_str!("doc_model.in")]
    /// let predictor = Predictor::new(model);
    /// let mut prediction = Prediction::default();
    /// for colour in [[0, 0, 255], [255, 0, 0]] {
    ///     predictor.predict_into(&colour.repeat(4), 2, 2, &mut prediction)?;
    ///     println!("{} {:.3}", prediction.class, prediction.probability);
    /// }
    /// # Ok::<(), mlestar_export::ExportError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`Predictor::predict`]; `prediction` is then as before.
    pub fn predict_into(
        &self,
        picture: &[u8],
        height: usize,
        width: usize,
        prediction: &mut Prediction,
    ) -> Result<(), ExportError> {
        self.with_logits(picture, 1, [height, width], |logits| {
            self.write_prediction(logits, prediction);
        })
    }

    /// Classifies `n` images stored one after the other in `pictures`.
    ///
    /// An image gets the same prediction, to the bit, alone and in any batch.
    ///
    /// # Errors
    ///
    /// As for [`Predictor::predict`].
    pub fn predict_batch(
        &self,
        pictures: &[u8],
        n: usize,
        height: usize,
        width: usize,
    ) -> Result<Vec<Prediction>, ExportError> {
        let mut predictions = Vec::new();
        self.predict_batch_into(pictures, n, [height, width], &mut predictions)?;
        Ok(predictions)
    }

    /// Like [`Predictor::predict_batch`], written over earlier predictions. `predictions` has `n` entries afterwards.
    /// After a call for as many images it allocates nothing.
    ///
    /// # Errors
    ///
    /// As for [`Predictor::predict`]; `predictions` is then as before.
    pub fn predict_batch_into(
        &self,
        pictures: &[u8],
        n: usize,
        size: [usize; 2],
        predictions: &mut Vec<Prediction>,
    ) -> Result<(), ExportError> {
        self.with_logits(pictures, n, size, |logits| {
            predictions.resize_with(n, Prediction::default);
            let rows = logits.chunks_exact(self.model.n_classes());
            for (row, prediction) in rows.zip(predictions) {
                self.write_prediction(row, prediction);
            }
        })
    }

    /// Hands the logits of `n` images of this height and width to `read`.
    fn with_logits(
        &self,
        pictures: &[u8],
        n: usize,
        [height, width]: [usize; 2],
        read: impl FnOnce(&[f32]),
    ) -> Result<(), ExportError> {
        let (expected_height, expected_width) = (self.model.height(), self.model.width());
        if (height, width) != (expected_height, expected_width) {
            return Err(ExportError::PictureSize {
                expected_height,
                expected_width,
                height,
                width,
            });
        }
        // Before memory is asked for: `n` may be wrong.
        self.executor.check_pixels(pictures, n)?;
        let mut logits = self.logits.take();
        logits.resize(n * self.model.n_classes(), 0.0);
        let computed = self.executor.logits_into(pictures, n, &mut logits);
        if computed.is_ok() {
            read(&logits);
        }
        self.logits.give_back(logits);
        computed
    }

    /// Logits, row-major `[n, classes]`, of `n` images of the model's size.
    ///
    /// # Errors
    ///
    /// [`ExportError::PixelCount`] if the length of `pictures` does not match `n` images.
    pub fn logits(&self, pictures: &[u8], n: usize) -> Result<Vec<f32>, ExportError> {
        self.executor.logits(pictures, n)
    }

    /// The `k` most probable classes of a prediction, most probable first (all if there are fewer); equally
    /// probable ones by class index.
    #[must_use]
    pub fn top_k(&self, prediction: &Prediction, k: usize) -> Vec<RankedClass> {
        let probability = |index: usize| prediction.probabilities.get(index).copied();
        let mut ranked: Vec<usize> = (0..self.model.n_classes()).collect();
        ranked.sort_by(|&a, &b| {
            let (a, b) = (probability(a).unwrap_or(0.0), probability(b).unwrap_or(0.0));
            b.total_cmp(&a)
        });
        ranked
            .into_iter()
            .take(k)
            .map(|class_index| RankedClass {
                class_index,
                class: self.model.classes()[class_index].clone(),
                probability: probability(class_index).unwrap_or(0.0),
            })
            .collect()
    }

    /// The predictions for logits, row-major `[n, classes]`, as [`Predictor::logits`] gives them; values after the last
    /// whole row are left out.
    #[must_use]
    pub fn predictions(&self, logits: &[f32]) -> Vec<Prediction> {
        let rows = logits.chunks_exact(self.model.n_classes());
        rows.map(|row| self.prediction(row)).collect()
    }

    pub(crate) fn prediction(&self, logits: &[f32]) -> Prediction {
        let mut prediction = Prediction::default();
        self.write_prediction(logits, &mut prediction);
        prediction
    }

    fn write_prediction(&self, logits: &[f32], prediction: &mut Prediction) {
        let confidence = self.model.confidence();
        confidence.probabilities_into(logits, &mut prediction.probabilities);
        prediction.class_index = argmax(logits);
        self.model.classes()[prediction.class_index].clone_into(&mut prediction.class);
        prediction.probability = prediction.probabilities[prediction.class_index];
        prediction.none_of_these = confidence.is_none_of_these(logits);
        prediction.familiarity = familiarity(logits);
    }
}

/// Index of the largest value; of equal ones, the lowest. 0 for an empty slice.
pub(crate) fn argmax(values: &[f32]) -> usize {
    let mut best = 0;
    for (index, value) in values.iter().enumerate() {
        if *value > values[best] {
            best = index;
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ties_go_to_the_lowest_index() {
        assert_eq!(argmax(&[1.0, 2.0, 2.0]), 1);
    }

    #[test]
    fn predictors_are_shared_between_threads() {
        fn shared<T: Send + Sync>() {}
        shared::<Predictor>();
    }
}
