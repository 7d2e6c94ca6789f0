//! Everything that the steps of a training need.

use std::sync::Arc;

use burn::tensor::Device;
use mlestar_data::{
    ImageSet,
    augment::AugmentationConfig,
    describe::describe,
    loader::{Loader, LoaderConfig},
    normalization::Normalization,
};
use mlestar_model::{ModelError, Network, Precision};

use crate::{
    Loss, Mixer, PictureMemory, ProgressiveResizing, TrainError,
    batches::BatchSource,
    config::{TrainingConfig, TrainingSpec},
    distillation::Teachers,
    step::StepContext,
};

/// A network, its training images and the settings of the training: the common input of [`fit`](crate::fit),
/// [`TrainingSteps`](crate::TrainingSteps) and [`find_learning_rate`](crate::lr_find::find_learning_rate).
///
/// ```
/// use std::sync::Arc;
///
/// use burn::tensor::Device;
/// use mlestar_data::synthetic::{SyntheticConfig, generate};
/// use mlestar_model::ModelConfig;
/// use mlestar_train::{TrainingConfig, TrainingSetup};
///
/// let sizes = SyntheticConfig { n_train: 64, n_validation: 20, n_test: 10, ..SyntheticConfig::default() };
/// let train = Arc::new(generate(&sizes.without_flaws(), 1)?.splits.train);
/// let device = Device::flex();
/// let network = ModelConfig::small().check(10, 32, 32)?.init(42, &device);
/// let setup = TrainingSetup {
///     training: TrainingConfig { epochs: 3, ..TrainingConfig::default() }.check()?,
///     seed: 42,
///     ..TrainingSetup::new(network, train, &device)?
/// };
/// assert_eq!(setup.training.epochs, 3);
///
/// let error = TrainingConfig { epochs: 0, ..TrainingConfig::default() }.check().unwrap_err();
/// assert_eq!(error.to_string(), "epochs = 0 is out of range: it must be 1 to 100000");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct TrainingSetup<'a, M> {
    /// The network with its initial weights, on any device; it is not changed. For a network of
    /// `mlestar-model`, use `spec.init(seed, &device)`.
    pub network: M,
    /// The settings of the training.
    pub training: TrainingSpec,
    /// Random augmentation of the training images.
    pub augmentation: AugmentationConfig,
    /// Normalisation of all images.
    pub normalization: Normalization,
    /// Images to learn from. An incomplete last batch is left out of each epoch unless it is the only one. The
    /// order changes, so no image is left out permanently.
    pub train: Arc<ImageSet>,
    /// Seed of the order, the augmentation and dropout.
    pub seed: u64,
    /// The device to compute on, with or without autodiff.
    pub device: &'a Device,
    /// Threads that prepare batches, at least 1. Their number does not change any result.
    pub threads: usize,
}

impl<'a, M> TrainingSetup<'a, M> {
    /// The default settings of [`TrainingConfig`] and [`AugmentationConfig`], normalisation by the training
    /// images, seed 0, and all cores for preparing batches.
    ///
    /// # Errors
    ///
    /// [`TrainError::Data`] if the images cannot be normalised: there are none, or a channel is constant.
    pub fn new(network: M, train: Arc<ImageSet>, device: &'a Device) -> Result<Self, TrainError> {
        Ok(Self {
            network,
            training: TrainingSpec::default(),
            augmentation: AugmentationConfig::default(),
            normalization: Normalization::from_description(&describe(&train))?,
            train,
            seed: 0,
            device,
            threads: std::thread::available_parallelism().map_or(1, usize::from),
        })
    }
}

impl<M: Network> TrainingSetup<'_, M> {
    /// Checks that the network, the images and the settings fit each other.
    pub(crate) fn check(&self) -> Result<(), TrainError> {
        self.check_set("training", &self.train)?;
        let full = [self.train.height(), self.train.width()];
        self.augmentation.check(full[0], full[1])?;
        self.normalization.check()?;
        self.check_smaller_images(full)?;
        if self.training.picture_memory == PictureMemory::Device && self.augmentation.needs_host() {
            return Err(TrainError::out_of_range(
                "picture_memory",
                "device",
                "\"auto\" or \"host\" with augmentation.random_resized_crop_scale, policy or \
                 random_erasing_probability, which are computed on the host",
            ));
        }
        match self.threads {
            0 => Err(TrainError::out_of_range("threads", 0, "at least 1")),
            _ => Ok(()),
        }
    }

    pub(crate) fn check_set(&self, split: &'static str, set: &ImageSet) -> Result<(), TrainError> {
        if set.is_empty() {
            return Err(TrainError::EmptySet { split });
        }
        let mismatch = |expected: String, found: String| TrainError::SetMismatch {
            split,
            expected,
            found,
        };
        let of_size = |[height, width]: [usize; 2]| format!("images of {height}x{width} pixels");
        let size = [set.height(), set.width()];
        match self.network.image_size() {
            Some(expected) if expected != size => {
                return Err(mismatch(of_size(expected), of_size(size)));
            }
            _ => {}
        }
        match self.network.check(set.n_classes(), size) {
            Err(ModelError::OtherClasses { logits, n_classes }) => Err(mismatch(
                format!("{logits} classes"),
                format!("{n_classes} classes"),
            )),
            checked => Ok(checked?),
        }
    }

    /// Checks that the smaller images of progressive resizing are still large enough for the network.
    fn check_smaller_images(&self, full: [usize; 2]) -> Result<(), TrainError> {
        for entry in &self.training.progressive_resizing {
            let checked = self
                .network
                .check(self.train.n_classes(), entry.size_of(full));
            if let Err(error) = checked {
                let limit = format!("enough for the network: {error}");
                let key = ProgressiveResizing::SCALE_KEY;
                return Err(TrainError::out_of_range(key, entry.scale, limit));
            }
        }
        Ok(())
    }

    /// Everything that steps on the images of `train` need besides the network.
    pub(crate) fn machinery(
        &self,
        train: &Arc<ImageSet>,
        augmentation: Option<AugmentationConfig>,
    ) -> Result<Machinery, TrainError> {
        let training: &TrainingConfig = &self.training;
        let plain = self.device.clone().without_autodiff();
        let autodiff = plain.clone().autodiff();
        let precision = training.precision.on(&plain)?;
        let loader = LoaderConfig {
            batch_size: training.batch_size,
            shuffle: true,
            drop_last: training.drops_last(train.len()),
            prefetch: self.threads.saturating_mul(2).min(8),
            threads: self.threads,
            seed: self.seed,
        };
        let loader = Loader::new(Arc::clone(train), augmentation, self.normalization, loader)?;
        let images = ([train.height(), train.width()], train.n_classes());
        Ok(Machinery {
            batches: BatchSource::new(loader, training.picture_memory, &autodiff)?,
            loss: Loss::new(training, train.labels(), train.n_classes())?,
            mixer: Mixer::new(&training.mixing, self.seed),
            teachers: Teachers::of(training, images, &self.normalization, precision, &plain)?,
            full_size: [train.height(), train.width()],
            plain,
            autodiff,
            precision,
        })
    }
}

/// What the steps of a training share.
pub(crate) struct Machinery {
    pub plain: Device,
    pub autodiff: Device,
    pub precision: Precision,
    pub batches: BatchSource,
    pub loss: Loss,
    pub mixer: Option<Mixer>,
    pub teachers: Option<Teachers>,
    /// Full height and width of the images.
    full_size: [usize; 2],
}

impl Machinery {
    /// A step of a training with `setup`, with each batch in this many parts, and so many groups of the network that do
    /// not learn.
    pub(crate) fn step<'a, M>(
        &'a self,
        setup: &'a TrainingSetup<'_, M>,
        accumulation_steps: usize,
        frozen_groups: usize,
    ) -> StepContext<'a> {
        StepContext {
            training: &setup.training,
            loss: &self.loss,
            mixer: self.mixer.as_ref(),
            teachers: self.teachers.as_ref(),
            seed: setup.seed,
            full_size: self.full_size,
            device: &self.autodiff,
            accumulation_steps,
            precision: self.precision,
            frozen_groups,
        }
    }
}
