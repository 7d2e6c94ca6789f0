//! The interface between training and networks.

use std::{
    ops::Range,
    panic::{AssertUnwindSafe, catch_unwind},
};

use burn::{
    module::Module,
    tensor::{Device, Tensor},
};
use mlestar_random::Stream;
use serde_json::{Value, json};

use crate::{
    Description, ImageClassifier, ModelError, NamedTensor, Precision, TrainingPass, branch_factors,
    dropout_mask, state,
};

/// A Burn module that classifies images: everything `mlestar_train::fit` needs to train it.
///
/// Only [`forward`](Self::forward) has no default. A module of Burn's own layers needs nothing else: Burn's
/// batch normalisation and dropout infer from the device whether they train. The default of
/// [`forward_train`](Self::forward_train) seeds Burn's generator before each step, so that a resumed training
/// draws the same numbers as an uninterrupted one.
///
/// ```
/// use burn::{
///     module::Module,
///     nn::{Linear, LinearConfig},
///     tensor::{Device, Tensor},
/// };
/// use mlestar_model::Network;
///
/// #[derive(Module, Debug)]
/// struct LogisticRegression {
///     linear: Linear,
/// }
///
/// impl Network for LogisticRegression {
///     fn forward(&self, images: Tensor<4>) -> Tensor<2> {
///         self.linear.forward(images.flatten(1, 3))
///     }
/// }
///
/// let device = Device::flex();
/// let network = LogisticRegression { linear: LinearConfig::new(3 * 8 * 8, 2).init(&device) };
/// network.check(2, [8, 8])?;
/// let names: Vec<String> = network.state().into_iter().map(|tensor| tensor.name).collect();
/// assert_eq!(names, ["linear.weight", "linear.bias"]);
///
/// let error = network.check(10, [8, 8]).unwrap_err();
/// assert_eq!(error.to_string(), "the network returns 2 logits per image, but there are 10 classes");
/// # Ok::<(), mlestar_model::ModelError>(())
/// ```
pub trait Network: Module {
    /// Logits `[n, classes]` of normalised images `[n, 3, height, width]`. Without autodiff, this is how the
    /// deployed network predicts; it changes nothing in the network.
    fn forward(&self, images: Tensor<4>) -> Tensor<2>;

    /// Logits `[n, classes]` of a training batch, or of a part of one, on an autodiff device.
    ///
    /// Random draws must depend only on `part`; otherwise a resumed training ends with different weights.
    fn forward_train(&self, images: Tensor<4>, part: &BatchPart) -> Tensor<2> {
        part.seed_burn(&images.device());
        self.forward(images)
    }

    /// What the network hands to its last linear layer, `[n, features]`, for normalised images
    /// `[n, 3, height, width]`, as in [`forward`](Self::forward) (of the unchanged image, if that averages over views).
    /// Only a network whose last layer has the tensors `head.weight`, `[classes, features]`, and `head.bias` returns
    /// them. Fine-tuning fits that layer to them. `None`, the default, means that it cannot.
    fn features(&self, _images: Tensor<4>) -> Option<Tensor<2>> {
        None
    }

    /// The names of the parameters in groups, from the input to the output; the last group is the head. Fine-tuning
    /// trains groups from the end, with smaller rates towards the input. The default is one group of all.
    fn groups(&self) -> Vec<Vec<String>> {
        vec![self.state().into_iter().map(|tensor| tensor.name).collect()]
    }

    /// Identifies the network beyond its tensors: a checkpoint is resumed only by a network with an equal
    /// description. The default is the name of the type. A network with settings that its tensors do not show
    /// (an activation, a dropout rate) should add them.
    fn description(&self) -> Value {
        json!(std::any::type_name::<Self>())
    }

    /// The `[height, width]` of the images that the network was made for; `None` if it accepts any size.
    /// Training uses no other size, except for the smaller images of progressive resizing.
    fn image_size(&self) -> Option<[usize; 2]> {
        None
    }

    /// Checks that the network accepts images of `[height, width]` pixels and has `n_classes` outputs. The
    /// default tries one black image.
    ///
    /// # Errors
    ///
    /// [`ModelError`] with the requirement that the network does not meet.
    fn check(&self, n_classes: usize, [height, width]: [usize; 2]) -> Result<(), ModelError> {
        let network = self.valid();
        let device = network.devices().into_iter().next().unwrap_or_default();
        let try_one = AssertUnwindSafe(|| {
            let image = Tensor::zeros([1, 3, height, width], &device.without_autodiff());
            network.forward(image).dims()
        });
        match catch_unwind(try_one) {
            Ok([_, logits]) if logits == n_classes => Ok(()),
            Ok([_, logits]) => Err(ModelError::OtherClasses { logits, n_classes }),
            Err(_) => Err(ModelError::ImagesRefused { height, width }),
        }
    }

    /// All parameters and running statistics, in the order of the fields, on the host. Integer and boolean
    /// tensors are assumed to be constants.
    fn state(&self) -> Vec<NamedTensor> {
        state::collect(self)
    }

    /// The same network with the values of `state`, on `device`; with autodiff, ready to be trained.
    ///
    /// # Errors
    ///
    /// [`ModelError`] with the tensor, if one is missing, unknown or occurs twice, has another shape, a number
    /// of values that does not fit its shape, a value that is not finite, or a negative running variance.
    fn load_state(self, state: &[NamedTensor], device: &Device) -> Result<Self, ModelError> {
        state::load(self, state, device)
    }
}

/// Identifies the images and the step of a training pass. The network's random draws depend on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchPart {
    /// Seed of the training.
    pub seed: u64,
    /// The step, from 0 over the whole training.
    pub step: u64,
    /// Number of images in the whole batch.
    pub batch_size: usize,
    /// The images of this pass: all, or some if a batch is computed in parts.
    pub rows: Range<usize>,
    /// The allowed precision of convolutions.
    pub precision: Precision,
    /// The first groups, by [`Network::groups`], that do not learn. The network must not change them, and may compute
    /// them without gradients, with their running statistics.
    pub frozen_groups: usize,
    /// Whether the batch norms of learning groups use their running statistics too, and leave them as they are.
    pub frozen_statistics: bool,
}

impl BatchPart {
    /// A batch of `n` images in one part, in full precision.
    #[must_use]
    pub fn whole(seed: u64, step: u64, n: usize) -> Self {
        Self {
            seed,
            step,
            batch_size: n,
            rows: 0..n,
            precision: Precision::F32,
            frozen_groups: 0,
            frozen_statistics: false,
        }
    }

    /// Seeds Burn's own generator from the seed, the step and the part. That generator belongs to the whole
    /// process: concurrent draws by other code change the results.
    pub fn seed_burn(&self, device: &Device) {
        let mut stream = Stream::new(
            self.seed,
            "Burn's generator",
            self.rows.start as u64,
            self.step,
        );
        device.seed(stream.next_u64());
    }
}

impl Network for ImageClassifier {
    fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        self.forward(images)
    }

    fn forward_train(&self, images: Tensor<4>, part: &BatchPart) -> Tensor<2> {
        let description = &*self.description;
        let dropout_mask = (description.dropout > 0.0).then(|| {
            let device = images.device();
            let (n, p) = (part.batch_size, description.dropout);
            let [_, features] = self.head.weight.dims();
            let mask = dropout_mask(part.seed, part.step, n, features, p, &device);
            mask.slice_dim(0, part.rows.clone())
        });
        let branch_factors = branch_factors(description, part.seed, part.step);
        let pass = TrainingPass {
            dropout_mask,
            branch_factors: &branch_factors,
            precision: part.precision,
            frozen_blocks: self.blocks_in_groups(part.frozen_groups),
            frozen_statistics: part.frozen_statistics,
        };
        self.forward_train_with(images, pass)
    }

    fn features(&self, images: Tensor<4>) -> Option<Tensor<2>> {
        Some(self.features(images))
    }

    fn groups(&self) -> Vec<Vec<String>> {
        self.groups()
    }

    fn description(&self) -> Value {
        // A specification consists of names and finite numbers, all of which have a JSON form.
        match &self.spec {
            Some(spec) => serde_json::to_value(&**spec).unwrap_or(Value::Null),
            None => json!(format!("{:?}", self.description)),
        }
    }

    fn image_size(&self) -> Option<[usize; 2]> {
        Some(self.description.image)
    }

    fn check(&self, n_classes: usize, image: [usize; 2]) -> Result<(), ModelError> {
        let logits = self.description.n_classes;
        if n_classes != logits {
            return Err(ModelError::OtherClasses { logits, n_classes });
        }
        let description = Description {
            image,
            ..Description::clone(&self.description)
        };
        description.check()
    }
}
