//! Batches for training steps, prepared by the loader's threads or on the training device.

mod resident;

use std::sync::Arc;

use burn::tensor::{Device, Tensor};
use mlestar_data::loader::{Batch, Loader};
use mlestar_kernels::backend as kernels;

use crate::{PictureMemory, TrainError, device::catching_out_of_memory, mix::Mixture};
use resident::{AreaMeans, ResidentPictures};

/// Limit of the device memory for images with [`PictureMemory::Auto`].
const MOST_RESIDENT_BYTES: usize = 1 << 30;

/// Images of a step, `[n, 3, height, width]`, augmented and normalised.
#[allow(clippy::large_enum_variant)] // There is one per step.
pub(crate) enum Pictures {
    Host(Vec<f32>),
    Device(Tensor<4>),
}

impl Pictures {
    pub(crate) fn mixed(self, mixture: &Mixture) -> Self {
        match self {
            Self::Host(mut values) => {
                mixture.apply(&mut values);
                Self::Host(values)
            }
            Self::Device(images) => Self::Device(mixture.apply_on_device(images)),
        }
    }
}

/// Images and labels of one step.
pub(crate) struct StepBatch {
    pub pictures: Pictures,
    /// Labels, `[n]`.
    pub labels: Vec<u32>,
    /// Index of every image in the set, `[n]`.
    pub indices: Vec<usize>,
    /// Height and width of the images.
    pub size: [usize; 2],
}

impl From<Batch> for StepBatch {
    fn from(batch: Batch) -> Self {
        Self {
            pictures: Pictures::Host(batch.images),
            labels: batch.labels,
            indices: batch.indices,
            size: [batch.height, batch.width],
        }
    }
}

/// Prepares the batches of a training.
pub(crate) struct BatchSource {
    loader: Loader,
    resident: Option<Arc<ResidentPictures>>,
}

impl BatchSource {
    /// The batches of `loader` for steps on `device`.
    ///
    /// # Errors
    ///
    /// If the device must hold the images and fails. If it need not hold them, they stay on the host instead.
    pub(crate) fn new(
        loader: Loader,
        memory: PictureMemory,
        device: &Device,
    ) -> Result<Self, TrainError> {
        let bytes = ResidentPictures::bytes(loader.set());
        let may_be_resident =
            !loader.needs_host() && is_resident(memory, kernels::available(device), bytes);
        let resident = match may_be_resident {
            true => uploaded(memory, || {
                ResidentPictures::new(loader.set(), loader.normalization(), device)
            })?,
            false => None,
        };
        Ok(Self {
            loader,
            resident: resident.map(Arc::new),
        })
    }

    pub(crate) fn batches_per_epoch(&self) -> usize {
        self.loader.batches_per_epoch()
    }

    /// Whether the images are in the memory of the training device.
    pub(crate) fn is_resident(&self) -> bool {
        self.resident.is_some()
    }

    /// The first batch of the loader in `epoch`, on the host.
    pub(crate) fn sample(
        &self,
        epoch: usize,
        size: [usize; 2],
    ) -> Result<Option<Batch>, TrainError> {
        Ok(self.loader.shrunk_to(size)?.epoch(epoch as u64).next())
    }

    /// The batches of `epoch` starting with `first`, with images of `size` (height and width).
    pub(crate) fn epoch_from(
        &self,
        epoch: usize,
        first: usize,
        size: [usize; 2],
    ) -> Result<Box<dyn Iterator<Item = StepBatch>>, TrainError> {
        let loader = self.loader.shrunk_to(size)?;
        let Some(resident) = &self.resident else {
            return Ok(Box::new(
                loader.epoch_from(epoch as u64, first).map(StepBatch::from),
            ));
        };
        let resident = Arc::clone(resident);
        let means = loader
            .area_spans()
            .map(|spans| AreaMeans::new(spans, resident.device()));
        let plans = loader.plans_from(epoch as u64, first);
        Ok(Box::new(plans.map(move |plan| StepBatch {
            pictures: Pictures::Device(resident.images(&plan, means.as_ref())),
            labels: plan.labels,
            indices: plan.indices,
            size,
        })))
    }
}

/// Whether the device is to hold images that take `bytes` there.
fn is_resident(memory: PictureMemory, is_cpu: bool, bytes: usize) -> bool {
    match memory {
        PictureMemory::Host => false,
        PictureMemory::Device => true,
        PictureMemory::Auto => !is_cpu && bytes <= MOST_RESIDENT_BYTES,
    }
}

/// The result of `upload`; `None` if memory is short and the images may stay on the host.
fn uploaded<T>(
    memory: PictureMemory,
    upload: impl FnOnce() -> Result<T, TrainError>,
) -> Result<Option<T>, TrainError> {
    match catching_out_of_memory(upload) {
        Err(TrainError::OutOfMemory { .. }) if memory == PictureMemory::Auto => Ok(None),
        uploaded => uploaded.map(Some),
    }
}

#[cfg(test)]
mod tests;
