//! How image files become the input of a network, as a record that a model stores.

use crate::picture::{self, Picture};
use crate::resample::Filter;
use crate::resize;
use image::RgbImage;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// How an image of another size is resized to the network's size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Resize {
    /// [`resize::RULE`].
    CoverAndCropCentre,
    /// [`resize::fit_shorter_side`]: how the usual pretrained networks read images (`Resize`, then `CenterCrop`, of
    /// torchvision).
    ShorterSideAndCropCentre {
        /// The shorter side after scaling, in pixels; at least the network's height and width.
        resize_side: usize,
        /// The filter.
        filter: Filter,
    },
}

impl Resize {
    /// The rule in words.
    pub fn describe(self) -> String {
        match self {
            Self::CoverAndCropCentre => resize::RULE.to_string(),
            Self::ShorterSideAndCropCentre {
                resize_side,
                filter,
            } => format!(
                "scaled so that the shorter side has {resize_side} pixels ({filter}, with antialiasing, as Pillow does \
                 it; JPEGs of four times the size are decoded at a smaller one), then cropped to its centre"
            ),
        }
    }
}

/// Everything that determines the pixels that a network sees of an image file. Training and prediction use the
/// same code, so equal records give equal pixels.
///
/// The record does not contain what never changes: EXIF orientation is applied, grey images get three equal
/// channels, 16-bit channels are rounded to 8, colour profiles are ignored, and the first frame of an animation
/// is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Preparation {
    /// How images of another size are resized.
    pub resize: Resize,
    /// Height in pixels, at least 1.
    pub height: usize,
    /// Width in pixels, at least 1.
    pub width: usize,
    /// Red, green and blue of the background of transparent images.
    pub background: [u8; 3],
}

impl Preparation {
    /// Resizes to `height` x `width` by [`Resize::CoverAndCropCentre`], with transparent images on white.
    pub fn new(height: usize, width: usize) -> Self {
        Self {
            resize: Resize::CoverAndCropCentre,
            height,
            width,
            background: [255; 3],
        }
    }

    /// The pixels of a file's content, `height` x `width`, 8-bit RGB.
    ///
    /// # Errors
    /// A text that describes the problem: as for [`picture::decode`] and [`resize::fit`].
    ///
    /// ```
    /// use image::{ImageFormat, RgbImage};
    /// use mlestar_image::Preparation;
    /// let mut file = std::io::Cursor::new(Vec::new());
    /// RgbImage::new(640, 480).write_to(&mut file, ImageFormat::Png)?;
    /// let pixels = Preparation::new(64, 48).apply(file.get_ref())?;
    /// assert_eq!(pixels.dimensions(), (48, 64));
    /// assert!(Preparation::new(64, 48).apply(b"no image").is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn apply(&self, content: &[u8]) -> Result<RgbImage, String> {
        self.finish(self.decode(content)?)
    }

    /// Decodes a file's content, before it is resized. By [`Resize::ShorterSideAndCropCentre`], a JPEG that is at least four
    /// times as large is decoded at a smaller size, at least twice `resize_side` ([`picture::decode_at_least`]).
    ///
    /// # Errors
    /// As for [`picture::decode`].
    pub fn decode(&self, content: &[u8]) -> Result<Picture, String> {
        match self.resize {
            Resize::CoverAndCropCentre => picture::decode(content, self.background),
            Resize::ShorterSideAndCropCentre { resize_side, .. } => {
                let side = u32::try_from(2 * resize_side).unwrap_or(u32::MAX);
                picture::decode_at_least(content, self.background, side)
            }
        }
    }

    /// Resizes what [`Preparation::decode`] gave.
    ///
    /// # Errors
    /// As for [`resize::fit`] and [`resize::fit_shorter_side`].
    pub fn finish(&self, picture: Picture) -> Result<RgbImage, String> {
        let side = |side: usize| u32::try_from(side).unwrap_or(u32::MAX);
        match self.resize {
            Resize::CoverAndCropCentre => {
                resize::fit(picture.rgb, side(self.height), side(self.width))
            }
            Resize::ShorterSideAndCropCentre {
                resize_side,
                filter,
            } => resize::fit_reduced(
                &picture.rgb,
                picture.size,
                picture.extents,
                side(resize_side),
                [side(self.height), side(self.width)],
                filter,
            ),
        }
    }

    /// Like [`Preparation::apply`], for a file.
    ///
    /// # Errors
    /// A text that describes the problem, without the file's name: as for [`picture::read_file`] and
    /// [`Preparation::apply`].
    pub fn read(&self, path: &Path) -> Result<RgbImage, String> {
        self.apply(&picture::read_file(path)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_record_reads_back_and_refuses_what_it_does_not_know() {
        let preparation = Preparation {
            background: [1, 2, 3],
            ..Preparation::new(32, 48)
        };
        let json = serde_json::to_string(&preparation).unwrap();
        let expected =
            r#"{"resize":"cover_and_crop_centre","height":32,"width":48,"background":[1,2,3]}"#;
        assert_eq!(json, expected);
        assert_eq!(
            serde_json::from_str::<Preparation>(&json).unwrap(),
            preparation
        );
        let other = json.replace("cover_and_crop_centre", "squeeze");
        let shorter_side = Preparation {
            resize: Resize::ShorterSideAndCropCentre {
                resize_side: 64,
                filter: Filter::Bicubic,
            },
            ..preparation
        };
        let json = serde_json::to_string(&shorter_side).unwrap();
        let rule = r#"{"shorter_side_and_crop_centre":{"resize_side":64,"filter":"bicubic"}}"#;
        assert!(json.contains(rule), "{json}");
        assert_eq!(
            serde_json::from_str::<Preparation>(&json).unwrap(),
            shorter_side
        );
        assert!(serde_json::from_str::<Preparation>(&other).is_err());
    }

    #[test]
    fn a_transparent_image_is_laid_on_the_background() {
        let mut file = std::io::Cursor::new(Vec::new());
        let clear = image::RgbaImage::from_pixel(9, 5, image::Rgba([200, 0, 0, 0]));
        clear.write_to(&mut file, image::ImageFormat::Png).unwrap();
        let preparation = Preparation {
            background: [10, 20, 30],
            ..Preparation::new(4, 4)
        };
        let pixels = preparation.apply(file.get_ref()).unwrap();
        assert!(pixels.pixels().all(|pixel| pixel.0 == [10, 20, 30]));
    }

    #[test]
    fn a_file_that_is_not_there_is_an_error_and_no_panic() {
        let error = Preparation::new(4, 4)
            .read(Path::new("/nowhere.png"))
            .unwrap_err();
        assert!(error.contains("cannot be read"), "{error}");
        let error = Preparation::new(4, 4)
            .read(&std::env::temp_dir())
            .unwrap_err();
        assert_eq!(error, "it is no file");
    }
}
