//! A network up to its features.

use mlestar_model::{Description, NamedTensor};

use crate::error::ExportError;
use crate::executor::Executor;
use crate::frozen::FrozenModel;
use crate::graph::{Layer, Linear};

/// The network of a description without its linear layer: images to features, for training another linear layer on
/// features that are computed once.
///
/// ```
/// use mlestar_export::Backbone;
/// use mlestar_model::ModelConfig;
/// # use burn::tensor::Device;
/// # use mlestar_model::Network as _;
///
/// let spec = ModelConfig::small().check(2, 32, 32)?;
/// # let state = spec.init(0, &Device::flex()).state();
/// let backbone = Backbone::new(&state, &spec.description(), ([0.5; 3], [0.25; 3]))?;
/// let pictures = vec![128_u8; 3 * 32 * 32 * 3];
/// let features = backbone.features(&pictures, 3)?;
/// assert_eq!(features.len(), 3 * spec.features());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Backbone {
    executor: Executor,
}

impl Backbone {
    /// Freezes the network of `description` with the weights in `state`, which needs no head, for pixels in 0-1 that are
    /// normalised with this mean and standard deviation.
    ///
    /// # Errors
    ///
    /// [`ExportError`] if a tensor is missing, has an unexpected shape or is not finite, or the normalisation is not
    /// usable.
    pub fn new(
        state: &[NamedTensor],
        description: &Description,
        normalization: ([f32; 3], [f32; 3]),
    ) -> Result<Self, ExportError> {
        // Every graph ends with a linear layer; the executor leaves this one out.
        let features = description.features();
        let unread = Layer::Linear(Linear {
            weight_shape: [1, features],
            weight: vec![0.0; features],
            bias: vec![0.0],
        });
        let classes = ["features".to_owned()];
        let model = FrozenModel::with_head(state, description, normalization, &classes, unread)?;
        Ok(Self {
            executor: Executor::with_large_batches(&model),
        })
    }

    /// Number of features of an image.
    #[must_use]
    pub fn n_features(&self) -> usize {
        self.executor.n_features()
    }

    /// Height and width of the images, in pixels.
    #[must_use]
    pub fn picture_size(&self) -> (usize, usize) {
        self.executor.picture_size()
    }

    /// Features, row-major `[n, features]`, of `n` images of interleaved RGB bytes (`[n, height, width, 3]`), on all
    /// threads; see [`Executor::features`].
    ///
    /// # Errors
    ///
    /// [`ExportError::PixelCount`] if the length of `pixels` does not match `n` images.
    pub fn features(&self, pixels: &[u8], n: usize) -> Result<Vec<f32>, ExportError> {
        self.executor.features(pixels, n)
    }
}
