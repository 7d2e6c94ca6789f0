//! Seeded augmentation of single pictures on the CPU.
//!
//! The operations, always in this order:
//!
//! 1. **random crop**: the picture is padded on all sides by `random_crop_padding` pixels (with
//!    black, before normalisation, or by reflection) and a window of its own size is cut out at a
//!    uniformly random place;
//! 2. **horizontal flip**, with `horizontal_flip_probability`, or in every second epoch ([`FlipMode`]);
//! 3. **warp**, with `warp_probability`: the picture is turned about its centre by an angle drawn uniformly from
//!    `[-rotation_degrees, rotation_degrees]` and becomes `(1 + zoom)^u` times as large, `u` drawn uniformly from
//!    [-1, 1]. Values are interpolated between the four nearest pixels; what lies outside of the window is what the
//!    padding continues with: its surroundings in the picture, then reflections or black;
//! 4. **brightness**, then **contrast**, then **saturation**, each with a factor drawn uniformly
//!    from `[max(0, 1 - w), 1 + w]`, where `w` is the setting. As torchvision does for float
//!    pictures: brightness blends with black, contrast with the mean grey of the picture, and
//!    saturation with each pixel's own grey (0.2989 R + 0.587 G + 0.114 B); each result is clamped
//!    to `[0, 1]`. torchvision draws the order of the three; here it is fixed.
//! 5. **cutout** (DeVries and Taylor, 2017): a square of `cutout_size` pixels around a uniformly
//!    random pixel, cut off at the borders, becomes 0 *after* normalisation, the mean colour.
//!
//! All draws come from the stream of (seed, `"augmentation"`, epoch, index), so a picture's
//! augmentation depends neither on threads nor on the order of work. Alternating flips, which tie the
//! epochs of a picture together, come from the stream of (seed, `"alternating flip"`, 0, index).

mod color;
mod config;
mod crop;
mod cutout;
mod view;
mod warp;

pub use color::GREY_WEIGHTS;
pub use config::{AugmentationConfig, FlipMode, PaddingMode};
pub use view::PictureView;
pub use warp::Warp;

use crate::DataError;
use crate::normalization::{Normalization, NormalizationTable};
use color::ColorJitter;
use crop::{Cropper, Window};
use cutout::Hole;
use mlestar_random::Stream;
use warp::Surroundings;

/// Augments and normalises pictures of one size.
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

/// Everything that is random about one augmented picture.
#[derive(Debug, Clone, PartialEq)]
pub struct Draws {
    /// Row and column of the padded picture where the window starts, each in `0..=2 * padding`.
    pub offset: [usize; 2],
    /// Whether the window is mirrored left to right.
    pub flip: bool,
    /// Factors of brightness, contrast and saturation; 1 leaves the picture as it is.
    pub factors: [f32; 3],
    /// Row and column of the pixel around which the hole is cut.
    pub hole_center: [usize; 2],
    /// Whether the picture is turned and zoomed.
    pub warp: bool,
    /// By how many degrees it is turned clockwise, if it is.
    pub degrees: f32,
    /// How many times as large it becomes, if it does.
    pub zoom: f32,
}

impl Augmenter {
    /// An augmenter for planar pictures of `height` x `width` pixels.
    ///
    /// # Errors
    /// When a value of `config` is out of range, the padding is not smaller than the picture, the
    /// hole is larger than the picture, or `normalization` is out of range.
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

    /// What `apply` draws for the picture `index` in `epoch`. Every draw is made whether or not
    /// its operation is on.
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

    /// What `apply` does to the picture `index` in `epoch`, for whoever does it elsewhere.
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

    /// The rows and the columns of the picture that the window and the margin around it show.
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

    /// Writes the augmented and normalised picture to `out`, planar as `pixels`.
    ///
    /// # Panics
    /// When `pixels` or `out` does not hold 3 x height x width values.
    pub fn apply(&self, pixels: &[u8], seed: u64, epoch: u64, index: u64, out: &mut [f32]) {
        let n_values = 3 * self.height * self.width;
        assert_eq!(
            pixels.len(),
            n_values,
            "picture of another size than the augmenter's"
        );
        assert_eq!(
            out.len(),
            n_values,
            "output of another size than the augmenter's"
        );
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
    }
}

fn warp_of(draws: &Draws) -> Option<Warp> {
    draws.warp.then(|| Warp::new(draws.degrees, draws.zoom))
}
