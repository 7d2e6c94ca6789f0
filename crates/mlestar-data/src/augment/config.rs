//! The `[augmentation]` section of a project's config.

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
}
