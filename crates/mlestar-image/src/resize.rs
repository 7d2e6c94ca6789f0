//! Resizes images of any size to one size.

use image::RgbImage;
use image::imageops::{self, FilterType};

/// The rule, in words, for reports.
pub const RULE: &str = "scaled so that the image just covers the target (for a square target: the shorter side to the \
                        target; triangle filter), then cropped to its centre; images that already have the target's \
                        size are left alone";

/// Limit of the scaled image in bytes, before it is cropped: only extremely long and thin images exceed it.
const MAX_SCALED_BYTES: u64 = 256 << 20;

/// Resizes an image to `height` x `width` pixels by [`RULE`].
///
/// The sides of the scaled image are rounded to the nearest pixel, halves up. If the crop cannot be exactly
/// central, it is half a pixel closer to the top left.
///
/// # Errors
/// If the image is so long and thin that the scaled image would take too much memory; the text gives its size.
///
/// ```
/// use image::RgbImage;
/// use mlestar_image::resize::fit;
/// assert_eq!(fit(RgbImage::new(640, 480), 64, 48)?.dimensions(), (48, 64));
/// assert!(fit(RgbImage::new(1, 20_000), 512, 512).unwrap_err().contains("10240000 x 512"));
/// # Ok::<(), String>(())
/// ```
pub fn fit(picture: RgbImage, height: u32, width: u32) -> Result<RgbImage, String> {
    let (from_width, from_height) = picture.dimensions();
    if (from_height, from_width) == (height, width) {
        return Ok(picture);
    }
    let (scaled_height, scaled_width) = scaled_size([from_height, from_width], [height, width]);
    if scaled_height * scaled_width * 3 > MAX_SCALED_BYTES {
        return Err(format!(
            "its {from_height} x {from_width} pixels (height x width) would be scaled to {scaled_height} x {scaled_width}, \
             more than {} MiB: crop it to a less extreme shape",
            MAX_SCALED_BYTES >> 20
        ));
    }
    // Both are below the limit on bytes, which is below `u32::MAX`.
    let (scaled_height, scaled_width) = (scaled_height as u32, scaled_width as u32);
    let scaled = if (scaled_height, scaled_width) == (from_height, from_width) {
        picture
    } else {
        imageops::resize(&picture, scaled_width, scaled_height, FilterType::Triangle)
    };
    let (x, y) = ((scaled_width - width) / 2, (scaled_height - height) / 2);
    Ok(imageops::crop_imm(&scaled, x, y, width, height).to_image())
}

/// The smallest size of the shape `from` that covers `to`; both are `[height, width]`.
fn scaled_size(from: [u32; 2], to: [u32; 2]) -> (u64, u64) {
    let [from_height, from_width] = from.map(u64::from);
    let [height, width] = to.map(u64::from);
    if height * from_width >= width * from_height {
        (height, rounded(from_width * height, from_height).max(width))
    } else {
        (rounded(from_height * width, from_width).max(height), width)
    }
}

/// `a / b` rounded to the nearest integer, halves up.
fn rounded(a: u64, b: u64) -> u64 {
    (2 * a + b) / (2 * b)
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::Rgb;
    use proptest::prelude::*;

    #[test]
    fn the_right_size_is_left_alone() {
        let picture = RgbImage::from_fn(5, 4, |x, y| Rgb([x as u8, y as u8, 9]));
        assert_eq!(fit(picture.clone(), 4, 5).unwrap(), picture);
    }

    #[test]
    fn a_picture_that_only_needs_cropping_is_not_resampled() {
        let picture = RgbImage::from_fn(9, 4, |x, y| Rgb([x as u8, y as u8, 9]));
        let cropped = fit(picture, 4, 4).unwrap();
        assert_eq!(
            cropped,
            RgbImage::from_fn(4, 4, |x, y| Rgb([x as u8 + 2, y as u8, 9]))
        );
    }

    #[test]
    fn the_centre_is_kept() {
        // A red left third, a green middle third and a blue right third: only green stays.
        let picture = RgbImage::from_fn(300, 100, |x, _| match x / 100 {
            0 => Rgb([255, 0, 0]),
            1 => Rgb([0, 255, 0]),
            _ => Rgb([0, 0, 255]),
        });
        let small = fit(picture, 10, 10).unwrap();
        assert_eq!(small.get_pixel(5, 5), &Rgb([0, 255, 0]));
        assert_eq!(small.get_pixel(2, 9), &Rgb([0, 255, 0]));
    }

    #[test]
    fn shrinking_averages() {
        // Alternate black and white columns come out grey, not as one of the two.
        let picture = RgbImage::from_fn(64, 64, |x, _| Rgb([if x % 2 == 0 { 0 } else { 255 }; 3]));
        let small = fit(picture, 8, 8).unwrap();
        for pixel in small.pixels() {
            assert!((120..=135).contains(&pixel.0[0]), "{pixel:?}");
        }
    }

    #[test]
    fn sizes_cover_the_target() {
        for (from, to, expect) in [
            ([480, 640], [32, 32], (32, 43)),
            ([640, 480], [32, 32], (43, 32)),
            ([1, 1], [32, 48], (48, 48)),
            ([100, 200], [50, 100], (50, 100)),
            ([3, 1000], [2, 2], (2, 667)),
        ] {
            assert_eq!(scaled_size(from, to), expect, "{from:?} to {to:?}");
        }
    }

    proptest! {
        #[test]
        fn every_size_comes_out_right(h in 1_u32..40, w in 1_u32..40, height in 1_u32..40, width in 1_u32..40) {
            let grey = RgbImage::from_pixel(w, h, Rgb([90, 120, 200]));
            let out = fit(grey, height, width).unwrap();
            prop_assert_eq!(out.dimensions(), (width, height));
            prop_assert!(out.pixels().all(|p| p.0 == [90, 120, 200]));
        }
    }
}
