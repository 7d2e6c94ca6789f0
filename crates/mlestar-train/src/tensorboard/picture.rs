//! Images in memory for logging.

use image::{ImageFormat, RgbImage};
use std::io::Cursor;

use crate::TrainError;

/// The longest side, in pixels.
const MAX_SIDE: usize = 4096;
/// The colour between the images of a grid.
const MARGIN_COLOUR: u8 = 0xff;

/// An 8-bit RGB image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RgbPicture {
    width: usize,
    height: usize,
    /// Red, green and blue of each pixel, interleaved, row by row.
    pixels: Vec<u8>,
}

/// White pixels around the images of a gallery.
const MARGIN: usize = 2;
/// A gallery enlarges images whose longer side is below this many pixels, by an integer factor.
const SMALL_SIDE: usize = 64;

impl RgbPicture {
    /// A uniformly grey image.
    ///
    /// # Errors
    ///
    /// [`TrainError::OutOfRange`] if a side is not 1 to 4096 pixels.
    pub(super) fn filled(width: usize, height: usize, grey: u8) -> Result<Self, TrainError> {
        for (key, side) in [("width", width), ("height", height)] {
            if !(1..=MAX_SIDE).contains(&side) {
                let limit = format!("1 to {MAX_SIDE} pixels");
                return Err(TrainError::out_of_range(key, side, limit));
            }
        }
        Ok(Self {
            width,
            height,
            pixels: vec![grey; 3 * width * height],
        })
    }

    /// Images in a grid, `columns` per row, with `margin` white pixels around each, every pixel enlarged to
    /// `scale` x `scale`.
    ///
    /// `pictures` are planar, `[3, height, width]`, as returned by [`ImageSet::pixels`].
    ///
    /// ```
    /// use mlestar_train::tensorboard::RgbPicture;
    ///
    /// let (black, white) = ([0; 3 * 4 * 5], [255; 3 * 4 * 5]);
    /// let grid = RgbPicture::grid(&[&black, &white, &black], (4, 5), 2, 1, 3)?;
    /// assert_eq!((grid.width(), grid.height()), (2 * 15 + 3, 2 * 12 + 3));
    /// # Ok::<(), mlestar_train::TrainError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`TrainError::OutOfRange`] if there is no image, one has another size, a size, `columns` or `scale` is
    /// 0, or a side of the grid exceeds 4096 pixels.
    ///
    /// [`ImageSet::pixels`]: mlestar_data::ImageSet::pixels
    pub fn grid(
        pictures: &[&[u8]],
        (height, width): (usize, usize),
        columns: usize,
        margin: usize,
        scale: usize,
    ) -> Result<Self, TrainError> {
        for (key, value) in [
            ("pictures", pictures.len()),
            ("height", height),
            ("width", width),
            ("columns", columns),
            ("scale", scale),
        ] {
            if value == 0 {
                return Err(TrainError::out_of_range(key, 0, "at least 1"));
            }
        }
        let expected = height.saturating_mul(width).saturating_mul(3);
        if let Some(picture) = pictures.iter().find(|picture| picture.len() != expected) {
            let limit = format!("{expected}, which is 3 x {height} x {width}");
            return Err(TrainError::out_of_range(
                "bytes of an image",
                picture.len(),
                limit,
            ));
        }
        let columns = columns.min(pictures.len());
        let rows = pictures.len().div_ceil(columns);
        // One pitch is an image and the margin before it.
        let pitch = |side: usize| side.saturating_mul(scale).saturating_add(margin);
        let (pitch_x, pitch_y) = (pitch(width), pitch(height));
        let side = |n: usize, pitch: usize| n.saturating_mul(pitch).saturating_add(margin);
        let mut grid = Self::filled(side(columns, pitch_x), side(rows, pitch_y), MARGIN_COLOUR)?;
        for (index, picture) in pictures.iter().enumerate() {
            let left = margin + index % columns * pitch_x;
            let top = margin + index / columns * pitch_y;
            for y in 0..height {
                for x in 0..width {
                    let colour = [0, 1, 2].map(|c| picture[(c * height + y) * width + x]);
                    grid.fill((left + x * scale, top + y * scale), scale, colour);
                }
            }
        }
        Ok(grid)
    }

    /// Images in a roughly square grid, like [`RgbPicture::grid`], with small images enlarged.
    ///
    /// # Errors
    ///
    /// As for [`RgbPicture::grid`].
    pub fn gallery(
        pictures: &[&[u8]],
        (height, width): (usize, usize),
    ) -> Result<Self, TrainError> {
        let columns = (pictures.len() as f64).sqrt().ceil() as usize;
        let scale = (SMALL_SIDE / height.max(width).max(1)).max(1);
        Self::grid(pictures, (height, width), columns.max(1), MARGIN, scale)
    }

    /// Paints a square with its upper left corner at `(x, y)`, which must lie within the image.
    pub(super) fn fill(&mut self, (x, y): (usize, usize), side: usize, colour: [u8; 3]) {
        for row in y..y + side {
            let start = 3 * (row * self.width + x);
            for pixel in self.pixels[start..start + 3 * side].chunks_exact_mut(3) {
                pixel.copy_from_slice(&colour);
            }
        }
    }

    /// Draws another image, which must fit, over this one.
    pub(super) fn paste(&mut self, other: &Self, (x, y): (usize, usize)) {
        for (row, pixels) in other.pixels.chunks_exact(3 * other.width).enumerate() {
            let start = 3 * ((y + row) * self.width + x);
            self.pixels[start..start + pixels.len()].copy_from_slice(pixels);
        }
    }

    /// Width, in pixels.
    #[must_use]
    pub fn width(&self) -> usize {
        self.width
    }

    /// Height, in pixels.
    #[must_use]
    pub fn height(&self) -> usize {
        self.height
    }

    /// Red, green and blue (0-255) of the pixel in column `x` and row `y`; `None` outside.
    #[must_use]
    pub fn pixel(&self, x: usize, y: usize) -> Option<[u8; 3]> {
        if x >= self.width || y >= self.height {
            return None;
        }
        let start = 3 * (y * self.width + x);
        self.pixels.get(start..start + 3)?.try_into().ok()
    }

    /// The image as a PNG file.
    ///
    /// # Errors
    ///
    /// [`TrainError::Picture`] if the encoder fails.
    pub fn to_png(&self) -> Result<Vec<u8>, TrainError> {
        let refuse = |reason: String| TrainError::Picture {
            tag: String::new(),
            reason,
        };
        // Both sides are at most MAX_SIDE.
        let size = (self.width as u32, self.height as u32);
        let picture = RgbImage::from_raw(size.0, size.1, self.pixels.clone())
            .ok_or_else(|| refuse("its pixels do not fit its size".to_owned()))?;
        let mut png = Vec::new();
        picture
            .write_to(&mut Cursor::new(&mut png), ImageFormat::Png)
            .map_err(|error| refuse(error.to_string()))?;
        Ok(png)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_grid_holds_every_pixel_and_survives_png(
            n in 1_usize..8, height in 1_usize..5, width in 1_usize..5, columns in 1_usize..5,
            margin in 0_usize..3, scale in 1_usize..4,
        ) {
            let pictures: Vec<Vec<u8>> = (0..n)
                .map(|i| (0..3 * height * width).map(|p| (i * 31 + p * 7) as u8 % 200).collect())
                .collect();
            let borrowed: Vec<&[u8]> = pictures.iter().map(Vec::as_slice).collect();
            let grid = RgbPicture::grid(&borrowed, (height, width), columns, margin, scale).unwrap();
            let columns = columns.min(n);
            let decoded = image::load_from_memory(&grid.to_png().unwrap()).unwrap().to_rgb8();
            prop_assert_eq!(decoded.dimensions(), (grid.width() as u32, grid.height() as u32));
            let mut covered = 0;
            for (i, picture) in pictures.iter().enumerate() {
                for y in 0..height * scale {
                    for x in 0..width * scale {
                        let left = margin + (i % columns) * (width * scale + margin);
                        let top = margin + (i / columns) * (height * scale + margin);
                        let at = (y / scale) * width + x / scale;
                        let expected = [0, 1, 2].map(|c| picture[c * height * width + at]);
                        prop_assert_eq!(grid.pixel(left + x, top + y), Some(expected));
                        prop_assert_eq!(decoded.get_pixel((left + x) as u32, (top + y) as u32).0, expected);
                        covered += 1;
                    }
                }
            }
            let white = decoded.pixels().filter(|pixel| pixel.0 == [255; 3]).count();
            prop_assert_eq!(white + covered, grid.width() * grid.height());
        }
    }

    #[test]
    fn what_cannot_be_a_grid_is_refused() {
        let picture = [0; 3 * 2 * 2];
        let refused = |pictures: &[&[u8]], size, columns, scale, expected: &str| {
            let error = RgbPicture::grid(pictures, size, columns, 1, scale).unwrap_err();
            assert_eq!(error.to_string(), expected);
        };
        let one = [&picture[..]];
        refused(
            &[],
            (2, 2),
            1,
            1,
            "pictures = 0 is out of range: it must be at least 1",
        );
        refused(
            &one,
            (2, 2),
            0,
            1,
            "columns = 0 is out of range: it must be at least 1",
        );
        refused(
            &one,
            (2, 2),
            1,
            0,
            "scale = 0 is out of range: it must be at least 1",
        );
        refused(
            &one,
            (2, 3),
            1,
            1,
            "bytes of an image = 12 is out of range: it must be 18, which is 3 x 2 x 3",
        );
        refused(
            &one,
            (2, 2),
            1,
            3000,
            "width = 6002 is out of range: it must be 1 to 4096 pixels",
        );
        refused(
            &[&[]],
            (0, 2),
            1,
            1,
            "height = 0 is out of range: it must be at least 1",
        );
    }

    #[test]
    fn outside_there_is_no_pixel() {
        let picture = RgbPicture::filled(2, 1, 9).unwrap();
        assert_eq!(picture.pixel(1, 0), Some([9; 3]));
        assert_eq!(picture.pixel(2, 0), None);
        assert_eq!(picture.pixel(0, 1), None);
    }
}
