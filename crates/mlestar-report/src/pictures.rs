use std::io::Cursor;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use image::{ImageFormat, RgbImage, imageops};

use crate::ReportError;

/// The longest side of a scaled thumbnail, in pixels. Pages hold hundreds of thumbnails.
const MAX_SIDE: usize = 2048;

/// A picture as a `data:image/png;base64,...` URI for [`Picture`](crate::Picture).
///
/// `pixels` are 8-bit RGB, `height` rows of `width` pixels, three values for each (red, green,
/// blue next to each other). Each pixel becomes a square of `scale` by `scale`, so that small
/// pictures can be looked at pixel by pixel.
///
/// # Errors
/// [`ReportError::PictureSize`] when a side or the scale is 0 or the result would be larger than
/// 2048 pixels, [`ReportError::LengthMismatch`] when `pixels` has not `height * width * 3` values.
///
/// ```
/// let checkers = [255, 0, 0, 0, 0, 255, 0, 0, 255, 255, 0, 0];
/// let uri = mlestar_report::thumbnail(&checkers, 2, 2, 8)?;
/// assert!(uri.starts_with("data:image/png;base64,"));
/// assert!(mlestar_report::thumbnail(&checkers, 3, 2, 8).is_err());
/// # Ok::<(), mlestar_report::ReportError>(())
/// ```
pub fn thumbnail(
    pixels: &[u8],
    height: usize,
    width: usize,
    scale: usize,
) -> Result<String, ReportError> {
    let size_error = || ReportError::PictureSize {
        height,
        width,
        scale,
        limit: MAX_SIDE,
    };
    let scaled_side = |side: usize| {
        side.checked_mul(scale)
            .filter(|&scaled| (1..=MAX_SIDE).contains(&scaled))
            .and_then(|scaled| u32::try_from(scaled).ok())
            .ok_or_else(size_error)
    };
    let (scaled_height, scaled_width) = (scaled_side(height)?, scaled_side(width)?);
    // Both sides are at most MAX_SIDE here.
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
    let scale_u32 = scaled_width / width as u32;
    let picture = RgbImage::from_raw(
        scaled_width / scale_u32,
        scaled_height / scale_u32,
        pixels.to_vec(),
    )
    .ok_or_else(size_error)?;
    let picture = if scale == 1 {
        picture
    } else {
        imageops::resize(
            &picture,
            scaled_width,
            scaled_height,
            imageops::FilterType::Nearest,
        )
    };
    let mut png = Vec::new();
    picture.write_to(&mut Cursor::new(&mut png), ImageFormat::Png)?;
    Ok(format!("data:image/png;base64,{}", STANDARD.encode(png)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(uri: &str) -> RgbImage {
        let base64 = uri.strip_prefix("data:image/png;base64,").unwrap();
        let png = STANDARD.decode(base64).unwrap();
        image::load_from_memory(&png).unwrap().to_rgb8()
    }

    #[test]
    fn pixels_survive_the_round_trip_enlarged() {
        let pixels: Vec<u8> = (0..2 * 3 * 3).map(|value| value * 13).collect();
        let picture = decode(&thumbnail(&pixels, 2, 3, 4).unwrap());
        assert_eq!(picture.dimensions(), (12, 8));
        for (x, y, pixel) in picture.enumerate_pixels() {
            let start = ((y as usize / 4) * 3 + x as usize / 4) * 3;
            assert_eq!(pixel.0, pixels[start..start + 3]);
        }
    }

    #[test]
    fn impossible_sizes_are_refused() {
        for (height, width, scale) in [(0, 1, 1), (1, 0, 1), (1, 1, 0), (4096, 1, 1), (2, 2, 2000)]
        {
            let pixels = vec![0; height * width * 3];
            let error = thumbnail(&pixels, height, width, scale).unwrap_err();
            assert!(
                matches!(error, ReportError::PictureSize { .. }),
                "{height}x{width}x{scale}: {error}"
            );
        }
        assert!(thumbnail(&[], usize::MAX, usize::MAX, usize::MAX).is_err());
        let error = thumbnail(&[0; 11], 2, 2, 1).unwrap_err();
        assert!(error.to_string().contains("12 are needed"), "{error}");
    }
}
