//! Steps of a training without the training around them.

use std::sync::Arc;

use burn::tensor::Device;
use mlestar_data::{
    ImageSet, augment::AugmentationConfig, loader::Loader, normalization::Normalization,
};
use mlestar_model::{ImageClassifier, ModelSpec, NamedTensor, Precision};

use crate::{
    Loss, Mixer, TrainError,
    batches::{BatchSource, Pictures, StepBatch},
    config::TrainingConfig,
    distillation::Teachers,
    fit::{check_set, check_settings, loader_config},
    initial::initial_model,
    optimizer::Optimizer,
    predict::to_host,
    step::{StepContext, StepInput, catching_out_of_memory},
};

/// What steps are taken with, as a training would take them.
pub struct StepsRequest<'a> {
    /// The model; its initial weights come from `seed`.
    pub model: &'a ModelSpec,
    /// The training configuration. Its schedule, length and sizes of pictures (see [`TrainingSteps::resize`]) are not used.
    pub training: &'a TrainingConfig,
    /// Random changes to the training pictures.
    pub augmentation: &'a AugmentationConfig,
    /// Normalisation of all pictures.
    pub normalization: Normalization,
    /// Pictures to learn from.
    pub train: Arc<ImageSet>,
    /// Seed of the initial weights, the order, the augmentation and dropout.
    pub seed: u64,
    /// Where to compute, with or without autodiff.
    pub device: &'a Device,
    /// Threads that prepare batches, at least 1. They do not change any result.
    pub threads: usize,
}

/// What a step gave.
#[derive(Debug, Clone)]
pub struct TakenStep {
    /// Mean loss of the batch before the update.
    pub loss: f64,
    /// The gradient of every parameter that has one, where they were asked for.
    pub gradients: Option<Vec<NamedTensor>>,
}

/// An endless run of training steps with a model of its own: the batches, loss, mixing, accumulation,
/// dropout and optimizer of a training, with pictures where it would have them. Nothing is validated,
/// recorded or saved. On the CPU the same request gives the same bits.
///
/// ```
/// use std::{sync::Arc, time::Instant};
///
/// use burn::tensor::Device;
/// use mlestar_data::{
///     augment::AugmentationConfig,
///     normalization::Normalization,
///     synthetic::{SyntheticConfig, generate},
/// };
/// use mlestar_model::{ModelConfig, StageConfig};
/// use mlestar_train::{StepsRequest, TrainingConfig, TrainingSteps};
///
/// let sizes = SyntheticConfig { n_train: 64, n_validation: 20, n_test: 10, ..SyntheticConfig::default() };
/// let splits = generate(&sizes.without_flaws(), 1)?.splits;
/// let stages = vec![StageConfig { channels: 4, blocks: 1, stride: 4 }];
/// let spec = ModelConfig { stem_channels: 4, stages, ..ModelConfig::small() }.check(10, 32, 32)?;
/// let training = TrainingConfig { batch_size: 32, ..TrainingConfig::default() };
/// let augmentation = AugmentationConfig::default();
/// let device = Device::flex();
/// let mut steps = TrainingSteps::new(StepsRequest {
///     model: &spec,
///     training: &training,
///     augmentation: &augmentation,
///     normalization: Normalization::new([0.5; 3], [0.25; 3])?,
///     train: Arc::new(splits.train),
///     seed: 0,
///     device: &device,
///     threads: 1,
/// })?;
/// for _ in 0..3 {
///     let clock = Instant::now();
///     let step = steps.take(0.001, false)?;
///     println!("loss {:.3} in {:?}", step.loss, clock.elapsed());
///     assert!(step.loss.is_finite());
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct TrainingSteps<'a> {
    request: StepsRequest<'a>,
    /// With autodiff.
    device: Device,
    precision: Precision,
    loss: Loss,
    mixer: Option<Mixer>,
    teachers: Option<Teachers>,
    batches: Batches,
    model: ImageClassifier,
    optimizer: Optimizer,
}

impl<'a> TrainingSteps<'a> {
    /// The model with its initial weights, before any step.
    ///
    /// # Errors
    ///
    /// [`TrainError`]: a setting out of range, an empty set or one that does not fit the model, or a
    /// failing device.
    pub fn new(request: StepsRequest<'a>) -> Result<Self, TrainError> {
        let (spec, training, train) = (request.model, request.training, &request.train);
        check_settings(
            spec,
            training,
            request.augmentation,
            &request.normalization,
            request.threads,
        )?;
        check_set("training", train, spec)?;
        let device = request.device.clone().without_autodiff().autodiff();
        let loader = Loader::new(
            Arc::clone(train),
            Some(request.augmentation.clone()),
            request.normalization,
            loader_config(train.len(), training, request.threads, request.seed),
        )?;
        let source = BatchSource::new(loader, training.picture_memory, &device)?;
        let batches = Batches::new(source, [train.height(), train.width()])?;
        let precision = training.precision.on(&device)?;
        let plain = device.clone().without_autodiff();
        Ok(Self {
            precision,
            teachers: Teachers::of(training, spec, &request.normalization, precision, &plain)?,
            loss: Loss::new(training, train.labels(), spec.n_classes())?,
            mixer: Mixer::new(&training.mixing, request.seed),
            batches,
            model: initial_model(
                spec,
                training.initial_weights.as_deref(),
                request.seed,
                &device,
            )?
            .model,
            optimizer: Optimizer::new(training.optimizer.clone()),
            device,
            request,
        })
    }

    /// The model as the steps so far have left it, on the autodiff device.
    #[must_use]
    pub fn model(&self) -> &ImageClassifier {
        &self.model
    }

    /// Pictures a step: those of a batch, or the whole set where that is smaller.
    #[must_use]
    pub fn batch_size(&self) -> usize {
        self.request
            .training
            .batch_size
            .min(self.request.train.len())
    }

    /// From the next step on, the pictures of a new epoch, `height` and `width` pixels large; they are those of the
    /// training set until this is called. The model and the optimizer stay.
    ///
    /// # Errors
    ///
    /// [`TrainError`] when the pictures are not that large or the network needs larger ones.
    pub fn resize(&mut self, [height, width]: [usize; 2]) -> Result<(), TrainError> {
        let spec = self.request.model;
        spec.config().check(spec.n_classes(), height, width)?;
        self.batches.begin([height, width])
    }

    /// Makes the next batch as a step would have it, waits for it and leaves it out: with a clock around this, how fast
    /// pictures can be had. Returns how many it holds.
    ///
    /// # Errors
    ///
    /// [`TrainError`] when the device fails or its memory is exhausted.
    pub fn load(&mut self) -> Result<usize, TrainError> {
        catching_out_of_memory(|| {
            let batch = self.batches.next()?;
            if let Pictures::Device(images) = batch.pictures {
                let one = images.slice([0..1, 0..1, 0..1, 0..1]).reshape([1]);
                to_host::<1>(one, "making a batch")?;
            }
            Ok(batch.indices.len())
        })
    }

    /// The loss of one and the same answer for every picture ([`Loss::of_guessing`]); none where the loss is also about
    /// what teachers say.
    #[must_use]
    pub fn loss_of_guessing(&self) -> Option<f64> {
        let train = &self.request.train;
        let of_labels = || self.loss.of_guessing(train.labels(), train.n_classes());
        self.teachers.is_none().then(of_labels)
    }

    /// Takes the next step and waits for its loss. A loss that is not finite is no error; what follows
    /// it will not be finite either.
    ///
    /// # Errors
    ///
    /// [`TrainError`] when the device fails or its memory is exhausted.
    pub fn take(
        &mut self,
        learning_rate: f64,
        keep_gradients: bool,
    ) -> Result<TakenStep, TrainError> {
        let request = &self.request;
        let context = StepContext {
            spec: request.model,
            training: request.training,
            loss: &self.loss,
            mixer: self.mixer.as_ref(),
            teachers: self.teachers.as_ref(),
            seed: request.seed,
            device: &self.device,
            accumulation_steps: request.training.accumulation_steps,
            precision: self.precision,
        };
        let (model, step) = (self.model.clone(), self.optimizer.steps());
        let (output, values) = catching_out_of_memory(|| {
            let input = StepInput {
                batch: self.batches.next()?,
                step,
                learning_rate,
                spoil: false,
                keep_gradients,
            };
            let output = context.run(model, &mut self.optimizer, input);
            let values = to_host(output.result.clone(), "taking a training step")?;
            Ok((output, values))
        })?;
        self.model = output.model;
        Ok(TakenStep {
            loss: values.first().copied().map_or(f64::NAN, f64::from),
            gradients: output.gradients,
        })
    }
}

/// Epoch after epoch.
struct Batches {
    source: BatchSource,
    /// From 1, like those of a training.
    epoch: usize,
    of_epoch: Box<dyn Iterator<Item = StepBatch>>,
    /// Height and width of the pictures.
    size: [usize; 2],
}

impl Batches {
    fn new(source: BatchSource, size: [usize; 2]) -> Result<Self, TrainError> {
        let epoch = 1;
        Ok(Self {
            of_epoch: source.epoch_from(epoch, 0, size)?,
            source,
            epoch,
            size,
        })
    }

    /// Begins the next epoch, with pictures of this size.
    fn begin(&mut self, size: [usize; 2]) -> Result<(), TrainError> {
        self.of_epoch = self.source.epoch_from(self.epoch + 1, 0, size)?;
        self.epoch += 1;
        self.size = size;
        Ok(())
    }

    fn next(&mut self) -> Result<StepBatch, TrainError> {
        // No epoch is empty.
        loop {
            if let Some(batch) = self.of_epoch.next() {
                return Ok(batch);
            }
            self.begin(self.size)?;
        }
    }
}
