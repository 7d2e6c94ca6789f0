//! Single training steps, without the rest of a training.

use mlestar_model::{NamedTensor, Network};

use crate::{
    TrainError, TrainingSetup,
    batches::{BatchSource, Pictures, StepBatch},
    device::{catching_out_of_memory, to_host},
    initial::initial_model,
    optimizer::Optimizer,
    setup::Machinery,
    step::StepInput,
};

/// The result of a step.
#[derive(Debug, Clone)]
pub struct TakenStep {
    /// Mean loss of the batch before the update.
    pub loss: f64,
    /// The gradient of every parameter that has one, if requested.
    pub gradients: Option<Vec<NamedTensor>>,
}

/// An endless sequence of training steps with its own model. It uses the batches, loss, mixing, accumulation,
/// dropout and optimizer of a training, and stores images where a training would. Nothing is validated,
/// recorded or saved. On the CPU the same request gives the same bits.
///
/// ```
/// use std::{sync::Arc, time::Instant};
///
/// use burn::tensor::Device;
/// use mlestar_data::synthetic::{SyntheticConfig, generate};
/// use mlestar_model::{ModelConfig, StageConfig};
/// use mlestar_train::{TrainingConfig, TrainingSetup, TrainingSteps};
///
/// let sizes = SyntheticConfig { n_train: 64, n_validation: 20, n_test: 10, ..SyntheticConfig::default() };
/// let splits = generate(&sizes.without_flaws(), 1)?.splits;
/// let stages = vec![StageConfig { channels: 4, blocks: 1, stride: 4 }];
/// let spec = ModelConfig { stem_channels: 4, stages, ..ModelConfig::small() }.check(10, 32, 32)?;
/// let device = Device::flex();
/// let mut steps = TrainingSteps::new(TrainingSetup {
///     training: TrainingConfig { batch_size: 32, ..TrainingConfig::default() }.check()?,
///     ..TrainingSetup::new(spec.init(0, &device), Arc::new(splits.train), &device)?
/// })?;
/// for _ in 0..3 {
///     let clock = Instant::now();
///     let step = steps.take(0.001, false)?;
///     println!("loss {:.3} in {:?}", step.loss, clock.elapsed());
///     assert!(step.loss.is_finite());
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// The schedule, the number of epochs and the image sizes (see [`TrainingSteps::resize`]) of the settings are
/// not used.
pub struct TrainingSteps<'a, M> {
    setup: TrainingSetup<'a, M>,
    machinery: Machinery,
    batches: Batches,
    model: M,
    optimizer: Optimizer,
}

impl<'a, M: Network> TrainingSteps<'a, M> {
    /// The model with its initial weights, before any step.
    ///
    /// # Errors
    ///
    /// [`TrainError`]: a setting out of range, an empty set or one that does not fit the model, or a failing
    /// device.
    pub fn new(setup: TrainingSetup<'a, M>) -> Result<Self, TrainError> {
        setup.check()?;
        let train = &setup.train;
        let machinery = setup.machinery(train, Some(setup.augmentation.clone()))?;
        let batches = Batches::new(&machinery.batches, [train.height(), train.width()])?;
        let file = setup.training.initial_weights.as_deref();
        Ok(Self {
            model: initial_model(&setup.network, file, &machinery.autodiff)?.model,
            optimizer: Optimizer::new(setup.training.optimizer.clone()),
            batches,
            machinery,
            setup,
        })
    }

    /// The model after the steps so far, on the autodiff device.
    #[must_use]
    pub fn model(&self) -> &M {
        &self.model
    }

    /// Images per step: the batch size, or the whole set if that is smaller.
    #[must_use]
    pub fn batch_size(&self) -> usize {
        let setup = &self.setup;
        setup.training.batch_size.min(setup.train.len())
    }

    /// From the next step on, uses the images of a new epoch, `height` and `width` pixels large. Until this is
    /// called, images have the size of the training set. The model and the optimizer are kept.
    ///
    /// # Errors
    ///
    /// [`TrainError`] if the images cannot have this size or the network needs larger ones.
    pub fn resize(&mut self, [height, width]: [usize; 2]) -> Result<(), TrainError> {
        let size = [height, width];
        self.setup
            .network
            .check(self.setup.train.n_classes(), size)?;
        self.batches.begin(&self.machinery.batches, size)
    }

    /// Prepares the next batch as a step would, waits for it and discards it. Timing this call measures how
    /// fast images can be prepared. Returns the number of images.
    ///
    /// # Errors
    ///
    /// [`TrainError`] if the device fails or is out of memory.
    pub fn load(&mut self) -> Result<usize, TrainError> {
        catching_out_of_memory(|| {
            let batch = self.batches.next(&self.machinery.batches)?;
            if let Pictures::Device(images) = batch.pictures {
                let one = images.slice([0..1, 0..1, 0..1, 0..1]).reshape([1]);
                to_host::<1>(one, "making a batch")?;
            }
            Ok(batch.indices.len())
        })
    }

    /// The loss of one constant answer for every image ([`Loss::of_guessing`](crate::Loss::of_guessing)); `None` if the loss also depends
    /// on teachers.
    #[must_use]
    pub fn loss_of_guessing(&self) -> Option<f64> {
        let train = &self.setup.train;
        let loss = &self.machinery.loss;
        let of_labels = || loss.of_guessing(train.labels(), train.n_classes());
        self.machinery.teachers.is_none().then(of_labels)
    }

    /// Takes the next step and waits for its loss. A loss that is not finite is no error, but all later ones
    /// will not be finite either.
    ///
    /// # Errors
    ///
    /// [`TrainError`] if the device fails or is out of memory.
    pub fn take(
        &mut self,
        learning_rate: f64,
        keep_gradients: bool,
    ) -> Result<TakenStep, TrainError> {
        let parts = self.setup.training.accumulation_steps;
        // No group is frozen: a step of the last, longest epochs of fine-tuning.
        let context = self.machinery.step(&self.setup, parts, 0);
        let (model, step) = (self.model.clone(), self.optimizer.steps());
        let (output, values) = catching_out_of_memory(|| {
            let input = StepInput {
                batch: self.batches.next(&self.machinery.batches)?,
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

/// The batches of all epochs, in order.
struct Batches {
    /// From 1, like those of a training.
    epoch: usize,
    of_epoch: Box<dyn Iterator<Item = StepBatch>>,
    /// Height and width of the images.
    size: [usize; 2],
}

impl Batches {
    fn new(source: &BatchSource, size: [usize; 2]) -> Result<Self, TrainError> {
        let epoch = 1;
        Ok(Self {
            of_epoch: source.epoch_from(epoch, 0, size)?,
            epoch,
            size,
        })
    }

    /// Starts the next epoch, with images of this size.
    fn begin(&mut self, source: &BatchSource, size: [usize; 2]) -> Result<(), TrainError> {
        self.of_epoch = source.epoch_from(self.epoch + 1, 0, size)?;
        self.epoch += 1;
        self.size = size;
        Ok(())
    }

    fn next(&mut self, source: &BatchSource) -> Result<StepBatch, TrainError> {
        // No epoch is empty.
        loop {
            if let Some(batch) = self.of_epoch.next() {
                return Ok(batch);
            }
            self.begin(source, self.size)?;
        }
    }
}
