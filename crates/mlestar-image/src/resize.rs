//! Resizes images of any size to one size.

use image::RgbImage;
use image::imageops::{self, FilterType};

use crate::resample::{Axis, Filter, resample};

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
        return Err(too_long_and_thin(
            [from_height, from_width],
            [scaled_height, scaled_width],
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

/// Scales an image so that its shorter side has `side` pixels, and crops it to the centre of `[height, width]`.
///
/// The bytes are those of torchvision's `Resize(side)` and `CenterCrop` of a Pillow image: the longer side is rounded
/// down, [`resample`](crate::resample) weights the pixels, and a crop that cannot be exactly central starts at the even
/// one of the two closest positions.
///
/// # Errors
/// If `side` is 0 or less than the height or the width; if the image is so long and thin that the scaled image would take
/// too much memory; the text gives its size.
///
/// ```
/// use image::RgbImage;
/// use mlestar_image::{Filter, resize::fit_shorter_side};
/// let photograph = RgbImage::new(500, 375);
/// assert_eq!(fit_shorter_side(&photograph, 256, [224, 224], Filter::Bilinear)?.dimensions(), (224, 224));
/// assert!(fit_shorter_side(&photograph, 200, [224, 224], Filter::Bilinear).is_err());
/// # Ok::<(), String>(())
/// ```
pub fn fit_shorter_side(
    picture: &RgbImage,
    side: u32,
    to: [u32; 2],
    filter: Filter,
) -> Result<RgbImage, String> {
    let (width, height) = picture.dimensions();
    let extents = [height, width].map(|side| Extent {
        start: 0.0,
        length: f64::from(side),
    });
    fit_reduced(picture, [height, width], extents, side, to, filter)
}

/// The part of the rows or columns of a decoded image that shows the file's image, in pixels.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Extent {
    /// Where it starts.
    pub start: f64,
    /// How long it is: the side of the file's image, divided by the factor of the reduction.
    pub length: f64,
}

/// As [`fit_shorter_side`], for an image of the size `[height, width]` that was decoded at a smaller size, of which the
/// `extents` of rows and columns show it.
///
/// # Errors
/// As for [`fit_shorter_side`].
pub fn fit_reduced(
    picture: &RgbImage,
    [from_height, from_width]: [u32; 2],
    extents: [Extent; 2],
    side: u32,
    [height, width]: [u32; 2],
    filter: Filter,
) -> Result<RgbImage, String> {
    if side == 0 || side < height.max(width) {
        return Err(format!(
            "the shorter side would have {side} pixels, too few for {height} x {width} (height x width): set a larger \
             resize_side"
        ));
    }
    let shorter = u64::from(from_width.min(from_height).max(1));
    let scaled = |from: u32| u64::from(from) * u64::from(side) / shorter;
    let [scaled_height, scaled_width] = [scaled(from_height), scaled(from_width)];
    let bytes = 3 * u64::from(side) * u64::from(from_height.max(from_width));
    if 3 * scaled_height * scaled_width > MAX_SCALED_BYTES || bytes > MAX_SCALED_BYTES {
        return Err(too_long_and_thin(
            [from_height, from_width],
            [scaled_height, scaled_width],
        ));
    }
    let axis = |source: u32, extent: Extent, scaled: u64, keep: u32| {
        let first = first_of_crop(scaled - u64::from(keep)) as usize;
        Axis {
            keep: first..first + keep as usize,
            start: extent.start,
            length: extent.length,
            ..Axis::whole(source as usize, scaled as usize)
        }
    };
    let axes = [
        axis(picture.height(), extents[0], scaled_height, height),
        axis(picture.width(), extents[1], scaled_width, width),
    ];
    let pixels = resample::<3>(picture.as_raw(), &axes, filter);
    RgbImage::from_raw(width, height, pixels)
        .ok_or_else(|| format!("{height} x {width} pixels are too many"))
}

/// Half of the rest of a side, rounded as Python's `round`: halves to the even number.
fn first_of_crop(rest: u64) -> u64 {
    let half = rest / 2;
    half + (rest % 2) * (half % 2)
}

fn too_long_and_thin(from: [u32; 2], scaled: [u64; 2]) -> String {
    format!(
        "its {} x {} pixels (height x width) would be scaled to {} x {}, more than {} MiB: crop it to a less extreme shape",
        from[0],
        from[1],
        scaled[0],
        scaled[1],
        MAX_SCALED_BYTES >> 20
    )
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

    #[test]
    fn the_shorter_side_decides_and_the_crop_is_central() {
        // A tall image whose middle third is green.
        let tall = RgbImage::from_fn(100, 300, |_, y| match y / 100 {
            0 => Rgb([255, 0, 0]),
            1 => Rgb([0, 255, 0]),
            _ => Rgb([0, 0, 255]),
        });
        let small = fit_shorter_side(&tall, 40, [30, 20], Filter::Bicubic).unwrap();
        assert_eq!(small.dimensions(), (20, 30));
        assert!(small.pixels().all(|pixel| *pixel == Rgb([0, 255, 0])));
        assert_eq!([0, 1, 2, 3, 4, 5].map(first_of_crop), [0, 0, 1, 2, 2, 2]);
        let thin = RgbImage::new(1, 30_000);
        let error = fit_shorter_side(&thin, 256, [224, 224], Filter::Bilinear).unwrap_err();
        assert!(
            error.contains("would be scaled to 7680000 x 256"),
            "{error}"
        );
    }

    proptest! {
        #[test]
        fn every_shape_gives_the_size_asked_for(h in 1_u32..90, w in 1_u32..90, height in 1_u32..30, width in 1_u32..30) {
            let side = height.max(width) + 3;
            let plain = RgbImage::from_pixel(w, h, Rgb([90, 120, 200]));
            let out = fit_shorter_side(&plain, side, [height, width], Filter::Bilinear).unwrap();
            prop_assert_eq!(out.dimensions(), (width, height));
            prop_assert!(out.pixels().all(|p| p.0 == [90, 120, 200]));
        }

        #[test]
        fn every_size_comes_out_right(h in 1_u32..40, w in 1_u32..40, height in 1_u32..40, width in 1_u32..40) {
            let grey = RgbImage::from_pixel(w, h, Rgb([90, 120, 200]));
            let out = fit(grey, height, width).unwrap();
            prop_assert_eq!(out.dimensions(), (width, height));
            prop_assert!(out.pixels().all(|p| p.0 == [90, 120, 200]));
        }
    }
}
