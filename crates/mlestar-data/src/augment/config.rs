//! The `[augmentation]` section of a project's config.

use super::Policy;
use super::policy::N_BINS;
use crate::DataError;
use serde::{Deserialize, Serialize};

/// The area outside the image for a random crop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PaddingMode {
    /// Black, that is 0 before normalisation.
    #[default]
    Zero,
    /// The image mirrored at its border, without repeating the border pixels.
    Reflect,
}

/// How to choose the images that are mirrored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FlipMode {
    /// Randomly in every epoch, with `horizontal_flip_probability`.
    #[default]
    Random,
    /// Every image in every second epoch. A fair coin per image decides whether that starts with the first
    /// epoch. About half of the images are mirrored in any epoch, and any two consecutive epochs show both
    /// forms of each image (Jordan 2024, <https://arxiv.org/abs/2404.00498>). The probability must be 0.5,
    /// which is the resulting rate, or 0, which switches mirroring off.
    Alternating,
}

/// Any angle, in either direction.
const MAX_ROTATION_DEGREES: f64 = 180.0;

/// The largest ratio of width to height or of height to width.
const MAX_RATIO: f64 = 20.0;

/// The most operations of RandAugment.
const MAX_OPERATIONS: usize = 14;

/// Random changes to training images; all are off by default.
///
/// | key | default | range | meaning |
/// |---|---|---|---|
/// | `random_crop_padding` | 0 | less than the smaller side | pixels of padding on every side before a crop to the original size |
/// | `padding_mode` | `"zero"` | `"zero"`, `"reflect"` | contents of the padding |
/// | `horizontal_flip_probability` | 0 | 0 to 1 | probability of mirroring left to right |
/// | `horizontal_flip_mode` | `"random"` | `"random"`; `"alternating"` with a probability of 0.5 or 0 | how to choose the mirrored images, see [`FlipMode`] |
/// | `rotation_degrees` | 0 | 0 to 180 | largest rotation angle, in either direction |
/// | `zoom` | 0 | 0 to 1 | images are scaled by a factor between `1 / (1 + zoom)` and `1 + zoom` |
/// | `warp_probability` | 1 | 0 to 1 | probability that an image is rotated and zoomed |
/// | `brightness` | 0 | 0 to 1 | half-width of the brightness factor around 1 |
/// | `contrast` | 0 | 0 to 1 | half-width of the contrast factor around 1 |
/// | `saturation` | 0 | 0 to 1 | half-width of the saturation factor around 1 |
/// | `cutout_size` | 0 | at most the smaller side | side of the square hole, in pixels |
/// | `random_resized_crop_scale` | `[1, 1]` | above 0, at most 1 | the share of the area that a random crop keeps before it is resized to the original size; `[1, 1]` switches it off |
/// | `random_resized_crop_ratio` | `[3/4, 4/3]` | 1/20 to 20 | ratio of width to height of this crop |
/// | `policy` | `"none"` | `"none"`, `"trivial-augment-wide"`, `"rand-augment"` | operations that are drawn for each image, see [`Policy`] |
/// | `policy_operations` | 2 | 1 to 14 | operations for each image with `"rand-augment"` |
/// | `policy_magnitude` | 9 | 0 to 30 | their strength |
/// | `random_erasing_probability` | 0 | 0 to 1 | probability that a random rectangle is cleared |
/// | `random_erasing_scale` | `[0.02, 0.33]` | above 0, at most 1 | its share of the area |
/// | `random_erasing_ratio` | `[0.3, 3.3]` | 1/20 to 20 | its ratio of height to width |
///
/// The random resized crop, the policy and random erasing are computed on the host only
/// ([`AugmentationConfig::needs_host`]).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AugmentationConfig {
    /// Pixels of padding on every side before a random crop to the original size.
    pub random_crop_padding: usize,
    /// Contents of the padding.
    pub padding_mode: PaddingMode,
    /// Probability of mirroring an image left to right.
    pub horizontal_flip_probability: f64,
    /// How to choose the mirrored images.
    pub horizontal_flip_mode: FlipMode,
    /// Largest rotation angle about the centre, in degrees, in either direction.
    pub rotation_degrees: f64,
    /// Images are scaled by a factor between `1 / (1 + zoom)` and `1 + zoom`.
    pub zoom: f64,
    /// Probability that an image is rotated and zoomed.
    pub warp_probability: f64,
    /// Half-width of the brightness factor around 1.
    pub brightness: f64,
    /// Half-width of the contrast factor around 1.
    pub contrast: f64,
    /// Half-width of the saturation factor around 1.
    pub saturation: f64,
    /// Side of the square hole, in pixels.
    pub cutout_size: usize,
    /// Share of the area that a random crop keeps before it is resized to the original size, smallest and largest.
    pub random_resized_crop_scale: [f64; 2],
    /// Ratio of width to height of this crop, smallest and largest.
    pub random_resized_crop_ratio: [f64; 2],
    /// Operations that are drawn for each image.
    pub policy: Policy,
    /// Operations for each image with [`Policy::RandAugment`].
    pub policy_operations: usize,
    /// Their strength, 0 to 30.
    pub policy_magnitude: usize,
    /// Probability that a random rectangle is cleared.
    pub random_erasing_probability: f64,
    /// Its share of the area, smallest and largest.
    pub random_erasing_scale: [f64; 2],
    /// Its ratio of height to width, smallest and largest.
    pub random_erasing_ratio: [f64; 2],
}

impl Default for AugmentationConfig {
    /// Every operation is off.
    fn default() -> Self {
        Self {
            random_crop_padding: 0,
            padding_mode: PaddingMode::default(),
            horizontal_flip_probability: 0.0,
            horizontal_flip_mode: FlipMode::default(),
            rotation_degrees: 0.0,
            zoom: 0.0,
            warp_probability: 1.0,
            brightness: 0.0,
            contrast: 0.0,
            saturation: 0.0,
            cutout_size: 0,
            random_resized_crop_scale: [1.0, 1.0],
            random_resized_crop_ratio: [3.0 / 4.0, 4.0 / 3.0],
            policy: Policy::None,
            policy_operations: 2,
            policy_magnitude: 9,
            random_erasing_probability: 0.0,
            random_erasing_scale: [0.02, 0.33],
            random_erasing_ratio: [0.3, 3.3],
        }
    }
}

impl AugmentationConfig {
    /// Whether no operation is on.
    pub fn is_off(&self) -> bool {
        self.random_crop_padding == 0
            && self.horizontal_flip_probability <= 0.0
            && !self.has_warp()
            && !self.has_color_jitter()
            && self.cutout_size == 0
            && !self.needs_host()
    }

    /// Whether an operation is on that only [`Augmenter::apply`](super::Augmenter::apply) does, and no
    /// [`PictureView`](super::PictureView) describes: the random resized crop, the policy or random erasing.
    pub fn needs_host(&self) -> bool {
        self.has_resized_crop()
            || self.policy != Policy::None
            || self.random_erasing_probability > 0.0
    }

    /// Whether a random part of the image is resized to the whole size.
    pub(super) fn has_resized_crop(&self) -> bool {
        self.random_resized_crop_scale != [1.0, 1.0]
    }

    /// Whether images are rotated or zoomed.
    pub fn has_warp(&self) -> bool {
        self.warp_probability > 0.0 && (self.rotation_degrees > 0.0 || self.zoom > 0.0)
    }

    /// Whether brightness, contrast or saturation is on.
    pub(super) fn has_color_jitter(&self) -> bool {
        self.brightness > 0.0 || self.contrast > 0.0 || self.saturation > 0.0
    }

    /// Checks the settings for images of `height` x `width` pixels.
    ///
    /// # Errors
    /// The key, its value and its range.
    pub fn check(&self, height: usize, width: usize) -> Result<(), DataError> {
        let side = height.min(width);
        if side == 0 {
            let size = format!("{height} x {width}");
            return Err(DataError::invalid_setting(
                "image size",
                size,
                "at least 1 x 1",
            ));
        }
        if self.random_crop_padding >= side {
            return Err(DataError::invalid_setting(
                "augmentation.random_crop_padding",
                self.random_crop_padding,
                format!("less than {side}, the smaller side of the images; 4 is usual for 32 x 32"),
            ));
        }
        if self.cutout_size > side {
            return Err(DataError::invalid_setting(
                "augmentation.cutout_size",
                self.cutout_size,
                format!("at most {side}, the smaller side of the images; 0 switches it off"),
            ));
        }
        for (key, value) in [
            (
                "augmentation.horizontal_flip_probability",
                self.horizontal_flip_probability,
            ),
            ("augmentation.zoom", self.zoom),
            ("augmentation.warp_probability", self.warp_probability),
            (
                "augmentation.random_erasing_probability",
                self.random_erasing_probability,
            ),
            ("augmentation.brightness", self.brightness),
            ("augmentation.contrast", self.contrast),
            ("augmentation.saturation", self.saturation),
        ] {
            if !(0.0..=1.0).contains(&value) {
                let allowed = "0 to 1; write 10% as 0.1; 0 switches it off";
                return Err(DataError::invalid_setting(key, value, allowed));
            }
        }
        if !(0.0..=MAX_ROTATION_DEGREES).contains(&self.rotation_degrees) {
            return Err(DataError::invalid_setting(
                "augmentation.rotation_degrees",
                self.rotation_degrees,
                format!("0 to {MAX_ROTATION_DEGREES}; 0 switches it off"),
            ));
        }
        self.check_regions()?;
        self.check_policy()?;
        let probability = self.horizontal_flip_probability;
        if self.horizontal_flip_mode == FlipMode::Alternating && ![0.0, 0.5].contains(&probability)
        {
            return Err(DataError::invalid_setting(
                "augmentation.horizontal_flip_probability",
                probability,
                "0.5 with horizontal_flip_mode \"alternating\", which mirrors every image in every \
                 second epoch; 0 switches it off",
            ));
        }
        Ok(())
    }

    fn check_regions(&self) -> Result<(), DataError> {
        let scales = [
            ("random_resized_crop_scale", self.random_resized_crop_scale),
            ("random_erasing_scale", self.random_erasing_scale),
        ];
        let ratios = [
            ("random_resized_crop_ratio", self.random_resized_crop_ratio),
            ("random_erasing_ratio", self.random_erasing_ratio),
        ];
        let fits = |[low, high]: [f64; 2], least: f64, most: f64| {
            low >= least && low <= high && high <= most
        };
        for (key, [low, high]) in scales {
            if !(low > 0.0 && fits([low, high], 0.0, 1.0)) {
                return Err(DataError::invalid_setting(
                    format!("augmentation.{key}"),
                    format!("[{low}, {high}]"),
                    "[smallest, largest] share of the area, above 0 and at most 1, such as [0.08, 1.0]",
                ));
            }
        }
        for (key, [low, high]) in ratios {
            if !fits([low, high], 1.0 / MAX_RATIO, MAX_RATIO) {
                return Err(DataError::invalid_setting(
                    format!("augmentation.{key}"),
                    format!("[{low}, {high}]"),
                    format!(
                        "[smallest, largest] from 1/{MAX_RATIO} to {MAX_RATIO}, such as [0.75, 1.33]"
                    ),
                ));
            }
        }
        Ok(())
    }

    fn check_policy(&self) -> Result<(), DataError> {
        if !(1..=MAX_OPERATIONS).contains(&self.policy_operations) {
            return Err(DataError::invalid_setting(
                "augmentation.policy_operations",
                self.policy_operations,
                format!("1 to {MAX_OPERATIONS}; 2 is usual"),
            ));
        }
        if self.policy_magnitude >= N_BINS {
            return Err(DataError::invalid_setting(
                "augmentation.policy_magnitude",
                self.policy_magnitude,
                format!("0 to {}; 9 is usual", N_BINS - 1),
            ));
        }
        Ok(())
    }
}
