//! Mixup and CutMix: training images that combine two images, with matching labels.

use std::ops::Range;

use burn::tensor::{Int, Tensor, TensorData};
use mlestar_data::{ImageSet, loader::Batch};
use mlestar_random::Stream;

use crate::config::MixingConfig;

/// Mixes the images of batches with one another.
///
/// Mixup (Zhang et al. 2017, <https://arxiv.org/abs/1710.09412>) blends each image with a partner from its
/// batch, `lambda * picture + (1 - lambda) * partner`. CutMix (Yun et al. 2019,
/// <https://arxiv.org/abs/1905.04899>) replaces a box of the image by that of the partner. `lambda` is drawn
/// from Beta(a, a), once per batch.
///
/// All draws come from the stream of (seed, `"mixing"`, 0, step), so a resumed training mixes exactly as an
/// uninterrupted one.
///
/// ```
/// use mlestar_data::loader::Batch;
/// use mlestar_train::{Mixer, MixingConfig};
///
/// let config = MixingConfig { mixup_alpha: 1.0, ..MixingConfig::default() };
/// let mixer = Mixer::new(&config, 42).ok_or("it is switched on")?;
/// // Two images of one pixel: black and white.
/// let images = [[0.0; 3], [1.0; 3]].concat();
/// let mut batch = Batch { images, labels: vec![7, 8], indices: vec![0, 1], n: 2, height: 1, width: 1 };
/// let mixed = mixer.mix(&mut batch, 0).ok_or("every batch is mixed")?;
/// let white = if mixed.partner_labels[0] == 8 { 1.0 - mixed.lambda } else { 0.0 };
/// assert!((f64::from(batch.images[0]) - white).abs() < 1e-6);
/// # Ok::<(), &str>(())
/// ```
#[derive(Debug, Clone)]
pub struct Mixer {
    config: MixingConfig,
    seed: u64,
}

/// The labels of a mixed batch: its own with the weight `lambda`, those of the partners with the weight
/// `1 - lambda`.
#[derive(Debug, Clone, PartialEq)]
pub struct Mixed {
    /// Position in the batch of each image's partner; an image may be its own partner.
    pub partners: Vec<usize>,
    /// Label of each image's partner.
    pub partner_labels: Vec<u32>,
    /// Share of each image's own label (0-1), the same for the whole batch; with CutMix exactly the share of
    /// the pixels that are the image's own.
    pub lambda: f64,
}

impl Mixer {
    /// `None` if the configuration mixes nothing. The configuration must have been checked.
    #[must_use]
    pub fn new(config: &MixingConfig, seed: u64) -> Option<Self> {
        (!config.is_off()).then(|| Self {
            config: config.clone(),
            seed,
        })
    }

    /// Mixes the images of the batch of `step`, counted from 0 over the whole training, in place. Returns
    /// `None` if this batch is not mixed.
    pub fn mix(&self, batch: &mut Batch, step: u64) -> Option<Mixed> {
        let mixture = self.draw(step, batch.n, [batch.height, batch.width])?;
        mixture.apply(&mut batch.images);
        Some(mixture.labelled(&batch.labels))
    }

    /// How to mix the `n` images of `size` (height and width) in the batch of `step`.
    pub(crate) fn draw(&self, step: u64, n: usize, size: [usize; 2]) -> Option<Mixture> {
        let mut stream = Stream::new(self.seed, "mixing", 0, step);
        let is_mixed = stream.bernoulli(self.config.probability);
        let is_heads = stream.bernoulli(0.5);
        if !is_mixed || n == 0 {
            return None;
        }
        let MixingConfig {
            mixup_alpha,
            cutmix_alpha,
            ..
        } = self.config;
        let is_cutmix = cutmix_alpha > 0.0 && (mixup_alpha == 0.0 || is_heads);
        let alpha = if is_cutmix { cutmix_alpha } else { mixup_alpha };
        let lambda = stream.beta(alpha, alpha);
        let mut partners: Vec<usize> = (0..n).collect();
        stream.shuffle(&mut partners);
        let patch = is_cutmix.then(|| {
            let center = size.map(|side| stream.below(side as u64) as usize);
            Patch::around(center, lambda, size)
        });
        Some(Mixture {
            lambda: patch
                .as_ref()
                .map_or(lambda, |patch| patch.kept_share(size)),
            partners,
            patch,
            size,
        })
    }
}

/// How a batch is mixed.
pub(crate) struct Mixture {
    partners: Vec<usize>,
    lambda: f64,
    /// For CutMix, the box taken from the partner.
    patch: Option<Patch>,
    /// Height and width of the images.
    size: [usize; 2],
}

impl Mixture {
    /// Mixes the images of a batch, `[n, 3, height, width]`.
    pub(crate) fn apply(&self, images: &mut [f32]) {
        match &self.patch {
            Some(patch) => patch.paste(images, &self.partners, self.size),
            None => blend(images, &self.partners, self.lambda),
        }
    }

    /// The same for images on a device.
    pub(crate) fn apply_on_device(&self, images: Tensor<4>) -> Tensor<4> {
        let n = self.partners.len();
        let partners: Vec<i32> = self
            .partners
            .iter()
            .map(|&partner| partner as i32)
            .collect();
        let data = TensorData::new(partners, [n]);
        let partners = Tensor::<1, Int>::from_data(data, &images.device());
        let Some(patch) = &self.patch else {
            let others = images.clone().select(0, partners);
            return images.mul_scalar(self.lambda as f32)
                + others.mul_scalar((1.0 - self.lambda) as f32);
        };
        let (rows, columns) = (patch.rows.clone(), patch.columns.clone());
        if rows.is_empty() || columns.is_empty() {
            return images;
        }
        let area = [0..n, 0..ImageSet::CHANNELS, rows, columns];
        let others = images.clone().slice(area.clone()).select(0, partners);
        images.slice_assign(area, others)
    }

    /// The mixed labels of the batch.
    pub(crate) fn labelled(self, labels: &[u32]) -> Mixed {
        let partner_labels = self.partners.iter().map(|&partner| labels[partner]);
        Mixed {
            partner_labels: partner_labels.collect(),
            partners: self.partners,
            lambda: self.lambda,
        }
    }
}

/// `lambda * picture + (1 - lambda) * partner` for every image of `images`, which all have one size.
fn blend(images: &mut [f32], partners: &[usize], lambda: f64) {
    let original = images.to_vec();
    let len = images.len() / partners.len();
    let (own_share, partner_share) = (lambda as f32, (1.0 - lambda) as f32);
    for (picture, &partner) in images.chunks_exact_mut(len).zip(partners) {
        for (value, other) in picture.iter_mut().zip(&original[partner * len..][..len]) {
            *value = *value * own_share + other * partner_share;
        }
    }
}

/// The box that CutMix replaces.
struct Patch {
    rows: Range<usize>,
    columns: Range<usize>,
}

impl Patch {
    /// The box around `center` whose sides are `sqrt(1 - lambda)` of the image's sides, rounded down, clipped
    /// at the borders.
    fn around(center: [usize; 2], lambda: f64, size: [usize; 2]) -> Self {
        let share = (1.0 - lambda).max(0.0).sqrt();
        let [rows, columns] = [0, 1].map(|axis| {
            let side = (size[axis] as f64 * share) as usize;
            let end = (center[axis] + side - side / 2).min(size[axis]);
            center[axis].saturating_sub(side / 2)..end
        });
        Self { rows, columns }
    }

    /// Share of the pixels outside the box.
    fn kept_share(&self, [height, width]: [usize; 2]) -> f64 {
        let pixels = height * width;
        let kept = pixels - self.rows.len() * self.columns.len();
        kept as f64 / pixels as f64
    }

    fn paste(&self, images: &mut [f32], partners: &[usize], [height, width]: [usize; 2]) {
        let original = images.to_vec();
        let len = images.len() / partners.len();
        for (picture, &partner) in images.chunks_exact_mut(len).zip(partners) {
            let source = &original[partner * len..][..len];
            let planes = picture.chunks_exact_mut(height * width);
            for (plane, source) in planes.zip(source.chunks_exact(height * width)) {
                for row in self.rows.clone() {
                    let at = row * width + self.columns.start;
                    let run = at..at + self.columns.len();
                    plane[run.clone()].copy_from_slice(&source[run]);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Each image is filled with its own position; its label is ten times that.
    fn batch(n: usize, height: usize, width: usize) -> Batch {
        let len = 3 * height * width;
        Batch {
            images: (0..n).flat_map(|index| vec![index as f32; len]).collect(),
            labels: (0..n).map(|index| 10 * index as u32).collect(),
            indices: (0..n).collect(),
            n,
            height,
            width,
        }
    }

    fn mixer(mixup_alpha: f64, cutmix_alpha: f64, probability: f64) -> Mixer {
        let config = MixingConfig {
            mixup_alpha,
            cutmix_alpha,
            probability,
        };
        Mixer::new(&config, 3).unwrap()
    }

    fn check_labels(batch: &Batch, mixed: &Mixed) {
        let mut sorted = mixed.partners.clone();
        sorted.sort_unstable();
        assert!(sorted.into_iter().eq(0..batch.n));
        for (&partner, &label) in mixed.partners.iter().zip(&mixed.partner_labels) {
            assert_eq!(label, 10 * partner as u32);
        }
        // The labels of the batch do not change.
        assert!(
            batch
                .labels
                .iter()
                .copied()
                .eq((0..batch.n as u32).map(|index| 10 * index))
        );
    }

    proptest! {
        #[test]
        fn the_mass_of_a_cutmix_label_is_the_area_of_its_pixels(
            step in any::<u64>(), n in 1_usize..6, height in 1_usize..12, width in 1_usize..12,
            alpha in 0.05_f64..5.0,
        ) {
            let mut batch = batch(n, height, width);
            let mixed = mixer(0.0, alpha, 1.0).mix(&mut batch, step).unwrap();
            check_labels(&batch, &mixed);
            let area = height * width;
            for (index, picture) in batch.images.chunks(3 * area).enumerate() {
                let partner = mixed.partners[index];
                for plane in picture.chunks(area) {
                    let count = |which: usize| plane.iter().filter(|v| **v == which as f32).count();
                    prop_assert!(plane.iter().all(|v| [index as f32, partner as f32].contains(v)));
                    let expected = if partner == index { 1.0 } else { mixed.lambda };
                    prop_assert_eq!(count(index) as f64 / area as f64, expected);
                }
            }
        }

        #[test]
        fn mixup_blends_by_the_label_s_mass(
            step in any::<u64>(), n in 1_usize..6, alpha in 0.05_f64..5.0,
        ) {
            let mut batch = batch(n, 3, 2);
            let mixed = mixer(alpha, 0.0, 1.0).mix(&mut batch, step).unwrap();
            check_labels(&batch, &mixed);
            prop_assert!((0.0..=1.0).contains(&mixed.lambda));
            for (index, picture) in batch.images.chunks(18).enumerate() {
                let partner = mixed.partners[index] as f64;
                let expected = mixed.lambda * index as f64 + (1.0 - mixed.lambda) * partner;
                prop_assert!(picture.iter().all(|v| (f64::from(*v) - expected).abs() < 1e-5));
            }
        }
    }

    #[test]
    fn a_device_mixes_as_the_host_does() {
        let device = burn::tensor::Device::flex();
        let size = [5, 4];
        let shape = [6, 3, 5, 4];
        for mixer in [mixer(0.4, 0.0, 1.0), mixer(0.0, 1.0, 1.0)] {
            for step in 0..20 {
                let mut draws = Stream::new(step, "pictures", 0, 0);
                let mut images: Vec<f32> = (0..360).map(|_| draws.range_f32(-2.0, 2.0)).collect();
                let data = TensorData::new(images.clone(), shape);
                let mixture = mixer.draw(step, 6, size).unwrap();
                let on_device = mixture.apply_on_device(Tensor::from_data(data, &device));
                mixture.apply(&mut images);
                let on_device: Vec<f32> = on_device.into_data().iter::<f32>().collect();
                assert_eq!(on_device, images);
            }
        }
    }

    #[test]
    fn shares_of_0_and_1_are_exact() {
        let partners = [1, 2, 0];
        let original = batch(3, 2, 2).images;
        let mut images = original.clone();
        blend(&mut images, &partners, 1.0);
        assert_eq!(images, original);
        blend(&mut images, &partners, 0.0);
        let moved: Vec<f32> = partners.iter().flat_map(|&p| vec![p as f32; 12]).collect();
        assert_eq!(images, moved);

        let nothing = Patch::around([1, 1], 1.0, [4, 6]);
        assert_eq!(nothing.kept_share([4, 6]), 1.0);
        // From the middle, the box covers everything; from a corner, a quarter.
        let all = Patch::around([2, 3], 0.0, [4, 6]);
        assert_eq!(all.kept_share([4, 6]), 0.0);
        let corner = Patch::around([0, 0], 0.0, [4, 6]);
        assert_eq!(corner.kept_share([4, 6]), 0.75);
    }

    #[test]
    fn a_picture_alone_is_its_own_partner() {
        for mixer in [mixer(0.4, 0.0, 1.0), mixer(0.0, 1.0, 1.0)] {
            let mut alone = batch(1, 4, 4);
            alone.images = (0..48).map(|index| index as f32 / 7.0).collect();
            let before = alone.images.clone();
            let mixed = mixer.mix(&mut alone, 5).unwrap();
            assert_eq!((mixed.partners, mixed.partner_labels), (vec![0], vec![0]));
            for (found, expected) in alone.images.iter().zip(&before) {
                assert!((found - expected).abs() < 1e-6);
            }
        }
    }

    #[test]
    fn a_step_is_mixed_the_same_way_whenever() {
        let mixer = mixer(0.4, 1.0, 1.0);
        let run = |step: u64| {
            let mut batch = batch(5, 6, 6);
            let mixed = mixer.mix(&mut batch, step);
            (batch, mixed)
        };
        assert_eq!(run(7), run(7));
        assert_ne!(run(7), run(8));
    }

    #[test]
    fn the_coin_and_the_probability_share_out_the_batches() {
        let mixer = mixer(1.0, 1.0, 0.5);
        let (mut cut, mut blended) = (0, 0);
        for step in 0..1000 {
            let mut batch = batch(4, 8, 8);
            let Some(mixed) = mixer.mix(&mut batch, step) else {
                assert_eq!(batch, super::tests::batch(4, 8, 8));
                continue;
            };
            let is_whole = |value: &f32| value.fract() == 0.0;
            match batch.images.iter().all(is_whole) {
                // A permutation may pair every image with itself.
                true if mixed.partners == [0, 1, 2, 3] => {}
                true => cut += 1,
                false => blended += 1,
            }
        }
        // Five standard errors around a quarter, minus the 1 in 24 without a partner.
        assert!(
            (170..310).contains(&cut) && (170..310).contains(&blended),
            "{cut} {blended}"
        );
        assert!(Mixer::new(&MixingConfig::default(), 3).is_none());
    }
}
