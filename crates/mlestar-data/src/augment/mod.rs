//! Seeded augmentation of single images on the CPU.
//!
//! The operations, in this fixed order:
//!
//! - **random resized crop**: a random part of the image, of a share `random_resized_crop_scale` of its area and with a ratio
//!   of width to height drawn log-uniformly from `random_resized_crop_ratio`, is resized to the whole size (bilinear);
//! - **policy**: operations that TrivialAugment or RandAugment draws ([`Policy`], [`Operation`]);
//! 1. **random crop**: the image is padded on all sides by `random_crop_padding` pixels (with black, before
//!    normalisation, or by reflection), and a window of the original size is cut out at a uniformly random
//!    position;
//! 2. **horizontal flip**, with `horizontal_flip_probability`, or in every second epoch ([`FlipMode`]);
//! 3. **warp**, with `warp_probability`: the image is rotated about its centre by an angle drawn uniformly from
//!    `[-rotation_degrees, rotation_degrees]` and scaled by `(1 + zoom)^u`, with `u` drawn uniformly from [-1, 1].
//!    Values are interpolated between the four nearest pixels. Outside the window, the padding continues: first
//!    its surroundings in the image, then reflections or black;
//! 4. **brightness**, then **contrast**, then **saturation**, each with a factor drawn uniformly from
//!    `[max(0, 1 - w), 1 + w]`, where `w` is the setting. As in torchvision for float images, brightness blends with black,
//!    contrast with the mean grey of the image, and saturation with each pixel's own grey (0.2989 R + 0.587 G +
//!    0.114 B); each result is clamped to `[0, 1]`. torchvision draws the order of the three; here it is fixed.
//! 5. **cutout** (DeVries and Taylor, 2017): a square of `cutout_size` pixels around a uniformly random pixel,
//!    clipped at the borders, becomes 0 *after* normalisation, the mean colour.
//! 6. **random erasing** (Zhong et al. 2017, <https://arxiv.org/abs/1708.04896>), with `random_erasing_probability`: a random
//!    rectangle, of a share `random_erasing_scale` of the area, becomes 0 *after* normalisation.
//!
//! The draws of rectangles, the operations of the policies, their strengths and, byte for byte, their results are those of
//! torchvision for Pillow images (`benches/peers/augmentation.py` compares them). These three work on the host only, the
//! others also in the memory of a device ([`PictureView`]).
//!
//! All draws come from the stream of (seed, `"augmentation"`, epoch, index), so the augmentation of an image
//! depends neither on threads nor on the order of work. Alternating flips connect the epochs of an image and
//! come from the stream of (seed, `"alternating flip"`, 0, index). The random resized crop, the policy and random erasing have
//! streams of their own.

mod color;
mod config;
mod crop;
mod cutout;
mod operation;
mod policy;
mod region;
mod view;
mod warp;

pub use color::GREY_WEIGHTS;
pub use config::{AugmentationConfig, FlipMode, PaddingMode};
pub use operation::Operation;
pub use policy::Policy;
pub use view::PictureView;
pub use warp::Warp;

use crate::DataError;
use crate::normalization::{Normalization, NormalizationTable};
use color::ColorJitter;
use crop::{Cropper, Window};
use cutout::Hole;
use mlestar_random::Stream;
use warp::Surroundings;

/// Augments and normalises images of one size.
///
/// ```
/// use mlestar_data::augment::{AugmentationConfig, Augmenter};
/// use mlestar_data::normalization::Normalization;
///
/// let config = AugmentationConfig {
///     random_crop_padding: 1,
///     horizontal_flip_probability: 0.5,
///     ..AugmentationConfig::default()
/// };
/// let normalization = Normalization::new([0.5; 3], [0.25; 3])?;
/// let augmenter = Augmenter::new(&config, normalization, 4, 4)?;
/// let picture: Vec<u8> = (0..48).collect(); // planar: 3 x 4 x 4
/// let (mut once, mut again) = ([0.0; 48], [0.0; 48]);
/// augmenter.apply(&picture, 42, 0, 7, &mut once);
/// augmenter.apply(&picture, 42, 0, 7, &mut again);
/// assert_eq!(once, again);
///
/// let too_much = AugmentationConfig { random_crop_padding: 4, ..config };
/// assert!(Augmenter::new(&too_much, normalization, 4, 4).is_err());
/// # Ok::<(), mlestar_data::DataError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Augmenter {
    config: AugmentationConfig,
    normalization: Normalization,
    table: NormalizationTable,
    cropper: Cropper,
    /// Pixels around the window that a warp may read.
    margin: usize,
    height: usize,
    width: usize,
}

/// All random values of one augmented image.
#[derive(Debug, Clone, PartialEq)]
pub struct Draws {
    /// Row and column of the padded image where the window starts, each in `0..=2 * padding`.
    pub offset: [usize; 2],
    /// Whether the window is mirrored left to right.
    pub flip: bool,
    /// Factors of brightness, contrast and saturation; 1 leaves the image unchanged.
    pub factors: [f32; 3],
    /// Row and column of the pixel at the centre of the hole.
    pub hole_center: [usize; 2],
    /// Whether the image is rotated and zoomed.
    pub warp: bool,
    /// Degrees of clockwise rotation, if it is rotated.
    pub degrees: f32,
    /// Scale factor, if it is zoomed.
    pub zoom: f32,
}

impl Augmenter {
    /// An augmenter for planar images of `height` x `width` pixels.
    ///
    /// # Errors
    /// If a value of `config` is out of range, the padding is not smaller than the image, the hole is larger
    /// than the image, or `normalization` is out of range.
    pub fn new(
        config: &AugmentationConfig,
        normalization: Normalization,
        height: usize,
        width: usize,
    ) -> Result<Self, DataError> {
        config.check(height, width)?;
        normalization.check()?;
        Ok(Self {
            config: config.clone(),
            normalization,
            table: normalization.table(),
            cropper: Cropper::new(
                config.random_crop_padding,
                config.padding_mode,
                height,
                width,
            ),
            margin: match config.has_warp() {
                true => warp::margin([height, width], 1.0 + config.zoom),
                false => 0,
            },
            height,
            width,
        })
    }

    /// Whether an operation is on that no [`PictureView`] describes.
    pub fn needs_host(&self) -> bool {
        self.config.needs_host()
    }

    /// The random values of `apply` for the image `index` in `epoch`. All values are drawn, whether or not
    /// their operation is on.
    pub fn draws(&self, seed: u64, epoch: u64, index: u64) -> Draws {
        let mut stream = Stream::new(seed, "augmentation", epoch, index);
        let n_offsets = 2 * self.config.random_crop_padding as u64 + 1;
        let offset = [(); 2].map(|()| stream.below(n_offsets) as usize);
        let probability = self.config.horizontal_flip_probability;
        let is_flipped = stream.bernoulli(probability);
        let flip = match self.config.horizontal_flip_mode {
            FlipMode::Alternating if probability > 0.0 => {
                let is_odd = epoch % 2 == 1;
                Stream::new(seed, "alternating flip", 0, index).bernoulli(0.5) != is_odd
            }
            _ => is_flipped,
        };
        let half_widths = [
            self.config.brightness,
            self.config.contrast,
            self.config.saturation,
        ];
        let factors =
            half_widths.map(|w| stream.range_f32((1.0 - w).max(0.0) as f32, (1.0 + w) as f32));
        let hole_center = [self.height, self.width].map(|side| stream.below(side as u64) as usize);
        let warp = stream.bernoulli(self.config.warp_probability) && self.config.has_warp();
        let largest = self.config.rotation_degrees as f32;
        let degrees = stream.range_f32(-largest, largest);
        let zoom = (1.0 + self.config.zoom as f32).powf(stream.range_f32(-1.0, 1.0));
        Draws {
            warp,
            degrees,
            zoom,
            offset,
            flip,
            factors,
            hole_center,
        }
    }

    /// What `apply` does to the image `index` in `epoch`, for augmentation on another device, without the
    /// operations of [`AugmentationConfig::needs_host`].
    pub fn view(&self, seed: u64, epoch: u64, index: u64) -> PictureView {
        let draws = self.draws(seed, epoch, index);
        let [rows, columns] = self.sources(&draws);
        PictureView {
            rows,
            columns,
            margin: self.margin,
            warp: warp_of(&draws),
            factors: self.config.has_color_jitter().then_some(draws.factors),
            hole: self.hole(&draws).map(Hole::into_ranges),
        }
    }

    /// The source rows and columns of the window and its margin.
    fn sources(&self, draws: &Draws) -> [Vec<Option<usize>>; 2] {
        let [rows, mut columns] = self.cropper.sources(draws.offset, self.margin);
        if draws.flip {
            columns.reverse();
        }
        [rows, columns]
    }

    fn hole(&self, draws: &Draws) -> Option<Hole> {
        let size = self.config.cutout_size;
        (size > 0).then(|| Hole::around(draws.hole_center, size, self.height, self.width))
    }

    /// Writes the augmented and normalised image to `out`, planar like `pixels`.
    ///
    /// # Panics
    /// If `pixels` or `out` does not hold 3 x height x width values.
    pub fn apply(&self, pixels: &[u8], seed: u64, epoch: u64, index: u64, out: &mut [f32]) {
        let n_values = 3 * self.height * self.width;
        assert_eq!(
            pixels.len(),
            n_values,
            "the image has another size than the augmenter"
        );
        assert_eq!(
            out.len(),
            n_values,
            "the output has another size than the augmenter"
        );
        let moment = [seed, epoch, index];
        let changed = self.cropped_and_changed(pixels, moment);
        let pixels = changed.as_deref().unwrap_or(pixels);
        let draws = self.draws(seed, epoch, index);
        let window = Window {
            offset: draws.offset,
            flip: draws.flip,
        };
        if let Some(warp) = warp_of(&draws) {
            let [rows, columns] = self.sources(&draws);
            let surroundings = Surroundings {
                rows: &rows,
                columns: &columns,
                margin: self.margin,
            };
            surroundings.warped(pixels, warp, [self.height, self.width], out);
            if self.config.has_color_jitter() {
                let jitter = ColorJitter::new(draws.factors);
                jitter.brighten(out);
                jitter.finish(out, &self.normalization);
            } else {
                self.normalization.apply(out);
            }
        } else if self.config.has_color_jitter() {
            let jitter = ColorJitter::new(draws.factors);
            self.cropper
                .crop(pixels, window, |_| jitter.brightness_table(), out);
            jitter.finish(out, &self.normalization);
        } else {
            self.cropper
                .crop(pixels, window, |channel| *self.table.channel(channel), out);
        }
        if let Some(hole) = self.hole(&draws) {
            hole.clear(out, self.height, self.width);
        }
        if let Some(rectangle) = self.erased(moment) {
            rectangle.clear(out, self.height, self.width);
        }
    }

    /// The operations that the policy draws for the image `index` in `epoch`.
    pub fn operations(&self, seed: u64, epoch: u64, index: u64) -> Vec<Operation> {
        let config = &self.config;
        policy::draw(
            config.policy,
            config.policy_operations,
            config.policy_magnitude,
            [self.height, self.width],
            [seed, epoch, index],
        )
    }

    /// The image after the random resized crop and the policy; `None` if both are off.
    fn cropped_and_changed(&self, pixels: &[u8], moment: [u64; 3]) -> Option<Vec<u8>> {
        let [seed, epoch, index] = moment;
        let size = [self.height, self.width];
        let config = &self.config;
        let mut changed = config.has_resized_crop().then(|| {
            let mut stream = Stream::new(seed, "random resized crop", epoch, index);
            let (scale, ratio) = (
                config.random_resized_crop_scale,
                config.random_resized_crop_ratio,
            );
            let region = region::resized_crop(size, scale, ratio, &mut stream);
            region::resized(pixels, size, &region)
        });
        if config.policy != Policy::None {
            for operation in self.operations(seed, epoch, index) {
                let before = changed.as_deref().unwrap_or(pixels);
                changed = Some(operation.apply(before, size));
            }
        }
        changed
    }

    fn erased(&self, [seed, epoch, index]: [u64; 3]) -> Option<Hole> {
        let config = &self.config;
        if config.random_erasing_probability <= 0.0 {
            return None;
        }
        let mut stream = Stream::new(seed, "random erasing", epoch, index);
        if !stream.bernoulli(config.random_erasing_probability) {
            return None;
        }
        let (scale, ratio) = (config.random_erasing_scale, config.random_erasing_ratio);
        region::erased([self.height, self.width], scale, ratio, &mut stream).map(Hole::of)
    }
}

fn warp_of(draws: &Draws) -> Option<Warp> {
    draws.warp.then(|| Warp::new(draws.degrees, draws.zoom))
}
