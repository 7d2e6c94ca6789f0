use std::io::Cursor;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use image::codecs::jpeg::JpegEncoder;
use image::{ImageFormat, RgbImage, imageops};

use crate::ReportError;

/// Up to this side, in pixels, an image is kept as it is: it can be looked at pixel by pixel.
const KEPT_SIDE: u32 = 64;
/// Larger ones are scaled down to this longest side: pages hold hundreds of thumbnails.
const LONGEST_SIDE: u32 = 96;
/// Of 100; what a photograph of this size loses cannot be seen.
const JPEG_QUALITY: u8 = 82;

/// An image as a `data:image/...;base64,...` URI for [`Picture`](crate::Picture).
///
/// `pixels` are 8-bit RGB, `height` rows of `width` pixels, three values for each (red, green, blue next to each
/// other). An image of up to 64 pixels a side is kept pixel by pixel, as PNG; a larger one is scaled down to 96 pixels
/// and stored as JPEG, about 5 kB.
///
/// # Errors
/// [`ReportError::PictureSize`] when a side is 0 or above 65,535, [`ReportError::LengthMismatch`] when `pixels` has
/// not `height * width * 3` values.
///
/// ```
/// let checkers = [255, 0, 0, 0, 0, 255, 0, 0, 255, 255, 0, 0];
/// let uri = mlestar_report::thumbnail(&checkers, 2, 2)?;
/// assert!(uri.starts_with("data:image/png;base64,"));
/// assert!(mlestar_report::thumbnail(&checkers, 3, 2).is_err());
/// # Ok::<(), mlestar_report::ReportError>(())
/// ```
pub fn thumbnail(pixels: &[u8], height: usize, width: usize) -> Result<String, ReportError> {
    let image = image_of(pixels, height, width)?;
    let (width, height) = image.dimensions();
    let longest = width.max(height);
    let mut bytes = Vec::new();
    if longest <= KEPT_SIDE {
        image.write_to(&mut Cursor::new(&mut bytes), ImageFormat::Png)?;
        return Ok(uri("png", &bytes));
    }
    // At least one pixel of a very narrow image is left.
    let scaled = |side: u32| (side * LONGEST_SIDE / longest).max(1);
    let small = match longest > LONGEST_SIDE {
        true => imageops::thumbnail(&image, scaled(width), scaled(height)),
        false => image,
    };
    small.write_with_encoder(JpegEncoder::new_with_quality(&mut bytes, JPEG_QUALITY))?;
    Ok(uri("jpeg", &bytes))
}

fn image_of(pixels: &[u8], height: usize, width: usize) -> Result<RgbImage, ReportError> {
    let size_error = || ReportError::PictureSize { height, width };
    let side = |side: usize| match u16::try_from(side) {
        Ok(side) if side > 0 => Ok(u32::from(side)),
        _ => Err(size_error()),
    };
    let (image_height, image_width) = (side(height)?, side(width)?);
    let expected = height * width * 3;
    if pixels.len() != expected {
        return Err(ReportError::LengthMismatch {
            chart: "thumbnail",
            what: "pixels".to_string(),
            expected,
            found: pixels.len(),
            reason: "height x width x 3 channels",
        });
    }
    RgbImage::from_raw(image_width, image_height, pixels.to_vec()).ok_or_else(size_error)
}

fn uri(format: &str, bytes: &[u8]) -> String {
    format!("data:image/{format};base64,{}", STANDARD.encode(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(uri: &str) -> RgbImage {
        let (_, base64) = uri.split_once(";base64,").unwrap();
        let bytes = STANDARD.decode(base64).unwrap();
        image::load_from_memory(&bytes).unwrap().to_rgb8()
    }

    #[test]
    fn small_images_are_kept_pixel_by_pixel() {
        let pixels: Vec<u8> = (0..2 * 3 * 3).map(|value| value * 13).collect();
        let image = decode(&thumbnail(&pixels, 2, 3).unwrap());
        assert_eq!(image.dimensions(), (3, 2));
        assert_eq!(image.into_raw(), pixels);
    }

    /// The worst case for any format: noise, whose thumbnail must still be small.
    #[test]
    fn large_images_are_scaled_down_to_a_few_kilobytes() {
        let noise: Vec<u8> = (0_u32..500 * 400 * 3)
            .map(|index| (index.wrapping_mul(2_654_435_761) >> 24) as u8)
            .collect();
        let uri = thumbnail(&noise, 500, 400).unwrap();
        assert!(uri.starts_with("data:image/jpeg;base64,"));
        assert!(uri.len() < 8_000, "{} bytes", uri.len());
        assert_eq!(decode(&uri).dimensions(), (76, 96));
        let line = thumbnail(&[7; 3 * 2000], 1, 2000).unwrap();
        assert_eq!(decode(&line).dimensions(), (96, 1));
        let grey = decode(&thumbnail(&[90; 3 * 300 * 300], 300, 300).unwrap());
        assert!(
            grey.pixels()
                .all(|pixel| pixel.0.iter().all(|level| level.abs_diff(90) < 3))
        );
    }

    #[test]
    fn impossible_sizes_are_refused() {
        for (height, width) in [(0, 1), (1, 0), (70_000, 1), (usize::MAX, usize::MAX)] {
            let error = thumbnail(&[], height, width).unwrap_err();
            assert!(
                matches!(error, ReportError::PictureSize { .. }),
                "{height}x{width}: {error}"
            );
        }
        let error = thumbnail(&[0; 11], 2, 2).unwrap_err();
        assert!(error.to_string().contains("12 are needed"), "{error}");
    }
}
