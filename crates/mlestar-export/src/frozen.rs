//! The frozen model: a plain description of a trained classifier, free of Burn.

use mlestar_model::Views;

use crate::confidence::Confidence;
use crate::error::ExportError;
use crate::graph::{self, BufferShape, Operation, PixelNormalization};

/// A trained classifier with batch norm folded into its convolutions, checked as a whole.
///
/// It holds everything needed to classify raw 8-bit images: the operations with their weights, the
/// normalisation of pixels, the image size and the class names.
///
/// ```
/// use mlestar_export::{FrozenModel, Layer, Linear, Operation, PixelNormalization};
///
/// // Mean colour, then red against blue.
/// let model = FrozenModel::new(
///     vec!["red".to_owned(), "blue".to_owned()],
///     PixelNormalization { mean: [0.0; 3], std: [1.0; 3] },
///     2,
///     2,
///     vec![
///         Operation { name: "pool".to_owned(), input: 0, layer: Layer::GlobalAveragePool },
///         Operation {
///             name: "head".to_owned(),
///             input: 1,
///             layer: Layer::Linear(Linear {
///                 weight_shape: [2, 3],
///                 weight: vec![1.0, 0.0, 0.0, 0.0, 0.0, 1.0],
///                 bias: vec![0.0, 0.0],
///             }),
///         },
///     ],
/// )?;
/// let red_picture = [255, 0, 0].repeat(4);
/// assert_eq!(model.logits(&red_picture, 1)?, [1.0, 0.0]);
/// # Ok::<(), mlestar_export::ExportError>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct FrozenModel {
    classes: Vec<String>,
    normalization: PixelNormalization,
    height: usize,
    width: usize,
    operations: Vec<Operation>,
    shapes: Vec<BufferShape>,
    views: Views,
    confidence: Confidence,
}

impl FrozenModel {
    /// Creates a model from its parts and checks them.
    ///
    /// # Errors
    ///
    /// [`ExportError::InvalidGraph`] if shapes do not chain, a size is outside its limit, a value is not
    /// finite, a name is not unique, the graph does not end with its only linear layer, or the number of
    /// classes differs from the number of outputs.
    pub fn new(
        classes: Vec<String>,
        normalization: PixelNormalization,
        height: usize,
        width: usize,
        operations: Vec<Operation>,
    ) -> Result<Self, ExportError> {
        let shapes = graph::check_graph(&classes, &normalization, height, width, &operations)?;
        Ok(Self {
            classes,
            normalization,
            height,
            width,
            operations,
            shapes,
            views: Views::default(),
            confidence: Confidence::default(),
        })
    }

    /// The same model with other operations, which are checked.
    pub(crate) fn with_operations(self, operations: Vec<Operation>) -> Result<Self, ExportError> {
        let shapes = graph::check_graph(
            &self.classes,
            &self.normalization,
            self.height,
            self.width,
            &operations,
        )?;
        Ok(Self {
            operations,
            shapes,
            ..self
        })
    }

    /// The same model with logits averaged over these views of an image.
    #[must_use]
    pub fn with_views(self, views: Views) -> Self {
        Self { views, ..self }
    }

    /// The views of an image over which the logits are averaged.
    #[must_use]
    pub fn views(&self) -> Views {
        self.views
    }

    /// The same model with these probabilities and this limit for "none of these".
    ///
    /// # Errors
    ///
    /// [`ExportError::InvalidGraph`] if a number is not finite or the temperature is not above 0.
    pub fn with_confidence(self, confidence: Confidence) -> Result<Self, ExportError> {
        confidence.check()?;
        Ok(Self { confidence, ..self })
    }

    /// How logits become probabilities and "none of these".
    #[must_use]
    pub fn confidence(&self) -> Confidence {
        self.confidence
    }

    /// Class names; position is class index.
    #[must_use]
    pub fn classes(&self) -> &[String] {
        &self.classes
    }

    /// Number of classes.
    #[must_use]
    pub fn n_classes(&self) -> usize {
        self.classes.len()
    }

    /// How pixels are normalised.
    #[must_use]
    pub fn normalization(&self) -> &PixelNormalization {
        &self.normalization
    }

    /// Height of the images, in pixels.
    #[must_use]
    pub fn height(&self) -> usize {
        self.height
    }

    /// Width of the images, in pixels.
    #[must_use]
    pub fn width(&self) -> usize {
        self.width
    }

    /// The operations in the order in which they run.
    #[must_use]
    pub fn operations(&self) -> &[Operation] {
        &self.operations
    }

    /// Shape `[channels, height, width]` of every buffer; 0 is the normalised image.
    #[must_use]
    pub fn buffer_shapes(&self) -> &[BufferShape] {
        &self.shapes
    }

    /// Number of weights and biases after folding.
    #[must_use]
    pub fn parameters(&self) -> usize {
        self.operations.iter().map(Operation::parameters).sum()
    }

    /// Multiply-adds for one image (convolutions and linear layer), over all its views.
    #[must_use]
    pub fn multiply_adds(&self) -> u64 {
        self.views.count() as u64 * graph::multiply_adds(&self.operations, &self.shapes)
    }
}
