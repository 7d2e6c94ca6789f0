//! Batches of augmented, normalised images, prepared in advance by threads, in a fixed order.
//!
//! The order of an epoch depends only on (seed, epoch) and the augmentation of an image only on (seed, epoch,
//! its index). The number of threads and how far they work ahead do not change a bit of any batch, and an epoch
//! can be resumed in its middle ([`Loader::epoch_from`]).

mod prefetch;
mod shrink;

use crate::augment::{AugmentationConfig, Augmenter, PictureView};
use crate::normalization::{Normalization, NormalizationTable};
use crate::{DataError, ImageSet};
use mlestar_random::Stream;
use prefetch::Prefetch;
use shrink::Shrinker;
use std::iter::FusedIterator;
use std::sync::Arc;

pub use shrink::AreaSpan;

/// Images and labels of one step.
#[derive(Debug, Clone, PartialEq)]
pub struct Batch {
    /// Normalised images, `[n, 3, height, width]` in row-major order.
    pub images: Vec<f32>,
    /// Labels, `[n]`.
    pub labels: Vec<u32>,
    /// Index of every image in the set, `[n]`.
    pub indices: Vec<usize>,
    /// Number of images.
    pub n: usize,
    /// Height of every image, in pixels.
    pub height: usize,
    /// Width of every image, in pixels.
    pub width: usize,
}

/// The plan of a [`Batch`], for a device that has the images of the set in its memory.
#[derive(Debug, Clone, PartialEq)]
pub struct BatchPlan {
    /// The view of each image, `[n]`, in the set's size.
    pub views: Vec<PictureView>,
    /// Labels, `[n]`.
    pub labels: Vec<u32>,
    /// Index of every image in the set, `[n]`.
    pub indices: Vec<usize>,
}

/// Settings of a [`Loader`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoaderConfig {
    /// Images in a batch, at least 1; the last batch of an epoch may have fewer.
    pub batch_size: usize,
    /// Whether every epoch has its own random order; otherwise the order of the set.
    pub shuffle: bool,
    /// Whether an incomplete last batch is left out.
    pub drop_last: bool,
    /// Maximum number of batches prepared in advance; with 0, each batch is prepared on request.
    pub prefetch: usize,
    /// Threads that prepare batches, at least 1; at most `prefetch` are started.
    pub threads: usize,
    /// Seed of the order and of the augmentation.
    pub seed: u64,
}

impl Default for LoaderConfig {
    /// Batches of 128, shuffled, 4 ahead on one thread, seed 0.
    fn default() -> Self {
        Self {
            batch_size: 128,
            shuffle: true,
            drop_last: false,
            prefetch: 4,
            threads: 1,
            seed: 0,
        }
    }
}

/// Prepares the batches of any epoch of a set.
///
/// ```
/// use mlestar_data::loader::{Loader, LoaderConfig};
/// use mlestar_data::normalization::Normalization;
/// use mlestar_data::synthetic::{SyntheticConfig, generate};
/// use std::sync::Arc;
///
/// let sizes = SyntheticConfig { n_train: 100, n_validation: 10, n_test: 10, ..SyntheticConfig::default() };
/// let train = Arc::new(generate(&sizes.without_flaws(), 42)?.splits.train);
/// let config = LoaderConfig { batch_size: 32, ..LoaderConfig::default() };
/// let loader = Loader::new(train, None, Normalization::new([0.5; 3], [0.25; 3])?, config)?;
/// let sizes: Vec<usize> = loader.epoch(0).map(|batch| batch.n).collect();
/// assert_eq!(sizes, [32, 32, 32, 4]);
/// assert_eq!(loader.epoch_from(0, 3).next(), loader.epoch(0).last());
/// # Ok::<(), mlestar_data::DataError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Loader {
    source: Arc<Source>,
    config: LoaderConfig,
}

/// What the threads need to prepare a batch, apart from its indices.
#[derive(Debug, Clone)]
struct Source {
    set: Arc<ImageSet>,
    augmenter: Option<Augmenter>,
    normalization: Normalization,
    table: NormalizationTable,
    seed: u64,
    /// How to resize images to a smaller size after augmentation, if configured.
    shrinker: Option<Shrinker>,
    /// Height and width of the images in a batch.
    size: [usize; 2],
}

impl Loader {
    /// A loader for `set`; without `augmentation` the images are only normalised.
    ///
    /// # Errors
    /// If the set is empty, the batch size or the number of threads is 0, `drop_last` would leave no batch, or
    /// `augmentation` or `normalization` is out of range.
    pub fn new(
        set: Arc<ImageSet>,
        augmentation: Option<AugmentationConfig>,
        normalization: Normalization,
        config: LoaderConfig,
    ) -> Result<Self, DataError> {
        check(&set, &config)?;
        normalization.check()?;
        let augmenter = match augmentation.filter(|augmentation| !augmentation.is_off()) {
            Some(augmentation) => Some(Augmenter::new(
                &augmentation,
                normalization,
                set.height(),
                set.width(),
            )?),
            None => None,
        };
        let table = normalization.table();
        let seed = config.seed;
        Ok(Self {
            source: Arc::new(Source {
                size: [set.height(), set.width()],
                set,
                augmenter,
                normalization,
                table,
                seed,
                shrinker: None,
            }),
            config,
        })
    }

    /// The same batches with smaller images, `[height, width]` in pixels: augmented and normalised as before,
    /// then each pixel is the mean of the area that it covers.
    ///
    /// # Errors
    /// If a side is 0 or larger than that of the set's images.
    pub fn shrunk_to(&self, size: [usize; 2]) -> Result<Self, DataError> {
        let set = &self.source.set;
        let full = [set.height(), set.width()];
        for ((key, side), most) in ["height", "width"].into_iter().zip(size).zip(full) {
            if !(1..=most).contains(&side) {
                return Err(DataError::invalid_setting(
                    key,
                    side,
                    format!("1 to {most}, that of the images"),
                ));
            }
        }
        let source = Source {
            shrinker: (size != full).then(|| Shrinker::new(full, size)),
            size,
            ..Source::clone(&self.source)
        };
        Ok(Self {
            source: Arc::new(source),
            config: self.config.clone(),
        })
    }

    /// The set.
    pub fn set(&self) -> &ImageSet {
        &self.source.set
    }

    /// Normalisation of the images.
    pub fn normalization(&self) -> &Normalization {
        &self.source.normalization
    }

    /// Whether the images must be augmented on the host, because [`Loader::plans_from`] cannot describe it; see
    /// [`AugmentationConfig::needs_host`].
    pub fn needs_host(&self) -> bool {
        let augmenter = self.source.augmenter.as_ref();
        augmenter.is_some_and(Augmenter::needs_host)
    }

    /// Number of batches in every epoch.
    pub fn batches_per_epoch(&self) -> usize {
        let n = self.source.set.len();
        if self.config.drop_last {
            n / self.config.batch_size
        } else {
            n.div_ceil(self.config.batch_size)
        }
    }

    /// The batches of `epoch`.
    pub fn epoch(&self, epoch: u64) -> EpochIter {
        self.epoch_from(epoch, 0)
    }

    /// The batches of `epoch` from `first_batch` on: exactly the end of [`Loader::epoch`].
    pub fn epoch_from(&self, epoch: u64, first_batch: usize) -> EpochIter {
        let source = Arc::clone(&self.source);
        let order = self.order(epoch);
        let batch_size = self.config.batch_size;
        let make = move |number: usize| {
            let start = number * batch_size;
            let end = (start + batch_size).min(order.len());
            source.batch(epoch, &order[start..end])
        };
        let range = first_batch..self.batches_per_epoch();
        EpochIter {
            batches: Prefetch::new(range, self.config.prefetch, self.config.threads, make),
        }
    }

    /// The plans of the batches of [`Loader::epoch_from`], in the same order, without the operations of [`Loader::needs_host`].
    pub fn plans_from(
        &self,
        epoch: u64,
        first_batch: usize,
    ) -> impl Iterator<Item = BatchPlan> + use<> {
        let source = Arc::clone(&self.source);
        let order = self.order(epoch);
        let batch_size = self.config.batch_size;
        (first_batch..self.batches_per_epoch()).map(move |number| {
            let start = number * batch_size;
            let end = (start + batch_size).min(order.len());
            source.plan(epoch, &order[start..end])
        })
    }

    /// For each row and column of a smaller image, the source rows and columns that it averages; `None` if
    /// images keep their size.
    pub fn area_spans(&self) -> Option<[&[AreaSpan]; 2]> {
        self.source.shrinker.as_ref().map(Shrinker::spans)
    }

    /// Indices of the set in the order of `epoch`.
    pub fn order(&self, epoch: u64) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.source.set.len()).collect();
        if self.config.shuffle {
            Stream::new(self.config.seed, "shuffle", epoch, 0).shuffle(&mut order);
        }
        order
    }
}

fn check(set: &ImageSet, config: &LoaderConfig) -> Result<(), DataError> {
    if set.is_empty() {
        return Err(DataError::invalid_setting(
            "the set to load",
            "empty",
            "at least one image; check the sizes of the splits",
        ));
    }
    for (key, value) in [
        ("batch_size", config.batch_size),
        ("threads", config.threads),
    ] {
        if value == 0 {
            return Err(DataError::invalid_setting(key, value, "at least 1"));
        }
    }
    if config.drop_last && config.batch_size > set.len() {
        return Err(DataError::invalid_setting(
            "batch_size",
            config.batch_size,
            format!(
                "at most {}, the size of the set, while drop_last is on",
                set.len()
            ),
        ));
    }
    Ok(())
}

impl Source {
    fn batch(&self, epoch: u64, indices: &[usize]) -> Batch {
        let [height, width] = self.size;
        let values_per_picture = ImageSet::CHANNELS * height * width;
        let mut images = vec![0.0_f32; indices.len() * values_per_picture];
        let whole_values = ImageSet::CHANNELS * self.set.height() * self.set.width();
        let mut whole = self.shrinker.as_ref().map(|_| vec![0.0; whole_values]);
        for (index, out) in indices
            .iter()
            .zip(images.chunks_exact_mut(values_per_picture))
        {
            match self.shrinker.as_ref().zip(whole.as_mut()) {
                Some((shrinker, whole)) => {
                    self.picture(epoch, *index, whole);
                    shrinker.apply(whole, out);
                }
                None => self.picture(epoch, *index, out),
            }
        }
        Batch {
            images,
            labels: self.labels(indices),
            indices: indices.to_vec(),
            n: indices.len(),
            height,
            width,
        }
    }

    fn plan(&self, epoch: u64, indices: &[usize]) -> BatchPlan {
        let view = |index: &usize| match &self.augmenter {
            Some(augmenter) => augmenter.view(self.seed, epoch, *index as u64),
            None => PictureView::unchanged(self.set.height(), self.set.width()),
        };
        BatchPlan {
            views: indices.iter().map(view).collect(),
            labels: self.labels(indices),
            indices: indices.to_vec(),
        }
    }

    fn labels(&self, indices: &[usize]) -> Vec<u32> {
        indices.iter().map(|index| self.set.label(*index)).collect()
    }

    /// Writes an image in the set's size, augmented and normalised.
    fn picture(&self, epoch: u64, index: usize, out: &mut [f32]) {
        let pixels = self.set.pixels(index);
        match &self.augmenter {
            Some(augmenter) => augmenter.apply(pixels, self.seed, epoch, index as u64, out),
            None => self.table.apply(pixels, out),
        }
    }
}

/// The batches of one epoch, in order. Dropping it stops its threads.
pub struct EpochIter {
    batches: Prefetch<Batch>,
}

impl Iterator for EpochIter {
    type Item = Batch;

    fn next(&mut self) -> Option<Batch> {
        self.batches.next()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.batches.size_hint()
    }
}

impl ExactSizeIterator for EpochIter {}
impl FusedIterator for EpochIter {}
