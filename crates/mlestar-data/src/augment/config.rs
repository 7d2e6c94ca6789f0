//! The `[augmentation]` section of a project's config.

use crate::DataError;
use serde::{Deserialize, Serialize};

/// What lies outside the picture before a random crop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PaddingMode {
    /// Black, that is 0 before normalisation.
    #[default]
    Zero,
    /// The picture mirrored at its border, without repeating the border pixels.
    Reflect,
}

/// How it is decided which pictures are mirrored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FlipMode {
    /// Anew in every epoch, with `horizontal_flip_probability`.
    #[default]
    Random,
    /// Every picture in every second epoch. A fair coin a picture decides whether that begins with the
    /// first, so that about half of the pictures are mirrored in any epoch, and any two epochs in a row
    /// show both forms of each (Jordan 2024, <https://arxiv.org/abs/2404.00498>). The probability must
    /// be 0.5, which is what this comes to, or 0, which switches mirroring off.
    Alternating,
}

/// Any angle, either way.
const MAX_ROTATION_DEGREES: f64 = 180.0;

/// Random changes to training pictures; every one is off by default.
///
/// | key | default | range | meaning |
/// |---|---|---|---|
/// | `random_crop_padding` | 0 | less than the smaller side | pixels of padding on every side before a crop to the original size |
/// | `padding_mode` | `"zero"` | `"zero"`, `"reflect"` | what the padding shows |
/// | `horizontal_flip_probability` | 0 | 0 to 1 | probability of mirroring left to right |
/// | `horizontal_flip_mode` | `"random"` | `"random"`; `"alternating"` with a probability of 0.5 or 0 | how it is decided, see [`FlipMode`] |
/// | `rotation_degrees` | 0 | 0 to 180 | largest angle by which a picture is turned, either way |
/// | `zoom` | 0 | 0 to 1 | pictures become up to `1 + zoom` times as large or as small |
/// | `warp_probability` | 1 | 0 to 1 | probability that a picture is turned and zoomed at all |
/// | `brightness` | 0 | 0 to 1 | half-width of the brightness factor around 1 |
/// | `contrast` | 0 | 0 to 1 | half-width of the contrast factor around 1 |
/// | `saturation` | 0 | 0 to 1 | half-width of the saturation factor around 1 |
/// | `cutout_size` | 0 | at most the smaller side | side of the square hole, in pixels |
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AugmentationConfig {
    /// Pixels of padding on every side before a random crop to the original size.
    pub random_crop_padding: usize,
    /// What the padding shows.
    pub padding_mode: PaddingMode,
    /// Probability of mirroring a picture left to right.
    pub horizontal_flip_probability: f64,
    /// How it is decided which pictures are mirrored.
    pub horizontal_flip_mode: FlipMode,
    /// Largest angle by which a picture is turned about its centre, in degrees, either way.
    pub rotation_degrees: f64,
    /// Pictures become up to `1 + zoom` times as large or as small.
    pub zoom: f64,
    /// Probability that a picture is turned and zoomed at all.
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

    /// Whether pictures are turned or zoomed.
    pub fn has_warp(&self) -> bool {
        self.warp_probability > 0.0 && (self.rotation_degrees > 0.0 || self.zoom > 0.0)
    }

    /// Whether brightness, contrast or saturation is on.
    pub(super) fn has_color_jitter(&self) -> bool {
        self.brightness > 0.0 || self.contrast > 0.0 || self.saturation > 0.0
    }

    /// Checks the settings for pictures of `height` x `width` pixels.
    ///
    /// # Errors
    /// Names the key, its value and its range.
    pub fn check(&self, height: usize, width: usize) -> Result<(), DataError> {
        let side = height.min(width);
        if side == 0 {
            let size = format!("{height} x {width}");
            return Err(DataError::invalid_setting(
                "picture size",
                size,
                "at least 1 x 1",
            ));
        }
        if self.random_crop_padding >= side {
            return Err(DataError::invalid_setting(
                "augmentation.random_crop_padding",
                self.random_crop_padding,
                format!(
                    "less than {side}, the smaller side of the pictures; 4 is usual for 32 x 32"
                ),
            ));
        }
        if self.cutout_size > side {
            return Err(DataError::invalid_setting(
                "augmentation.cutout_size",
                self.cutout_size,
                format!("at most {side}, the smaller side of the pictures; 0 switches it off"),
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
                "0.5 with horizontal_flip_mode \"alternating\", which mirrors every picture in every \
                 second epoch; 0 switches it off",
            ));
        }
        Ok(())
    }
}
