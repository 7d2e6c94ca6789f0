//! Describes what augmentation does to an image, without doing it.

use super::Warp;
use std::ops::Range;

/// The source of each pixel of an augmented image and the changes to it: everything a device needs to augment
/// an image that is in its memory.
///
/// [`Augmenter::apply`](super::Augmenter::apply) does on the CPU what
/// [`Augmenter::view`](super::Augmenter::view) describes.
#[derive(Debug, Clone, PartialEq)]
pub struct PictureView {
    /// Source row of each row, from `margin` rows above the first one to `margin` rows below the last one,
    /// `[height + 2 * margin]`; `None` if the padding is black.
    pub rows: Vec<Option<usize>>,
    /// Source column of each column, `[width + 2 * margin]`, in reverse order if the image is mirrored; `None`
    /// if the padding is black.
    pub columns: Vec<Option<usize>>,
    /// Pixels around the window that rows and columns include; 0 if no image is rotated or zoomed.
    pub margin: usize,
    /// The position in these rows and columns at which each pixel is read; `None` if it is not moved.
    pub warp: Option<Warp>,
    /// Factors of brightness, contrast and saturation; `None` if colours do not change.
    pub factors: Option<[f32; 3]>,
    /// The rows and columns of the hole, whose pixels are 0 after normalisation; `None` without cutout.
    pub hole: Option<[Range<usize>; 2]>,
}

impl PictureView {
    /// An unchanged image of `height` x `width` pixels.
    #[must_use]
    pub fn unchanged(height: usize, width: usize) -> Self {
        Self {
            rows: (0..height).map(Some).collect(),
            columns: (0..width).map(Some).collect(),
            margin: 0,
            warp: None,
            factors: None,
            hole: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::augment::{AugmentationConfig, Augmenter, PaddingMode};
    use crate::normalization::Normalization;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_a_view_says_is_what_is_done(
            height in 1_usize..9, width in 1_usize..9, padding in 0_usize..9, hole in 0_usize..9,
            reflects: bool, jitters: bool, (seed, epoch, index) in any::<(u64, u64, u64)>(),
        ) {
            let side = height.min(width);
            let config = AugmentationConfig {
                random_crop_padding: padding % side,
                padding_mode: if reflects { PaddingMode::Reflect } else { PaddingMode::Zero },
                horizontal_flip_probability: 0.5,
                contrast: if jitters { 0.3 } else { 0.0 },
                cutout_size: hole % (side + 1),
                ..AugmentationConfig::default()
            };
            // The value of a byte is the byte minus a half, so that black differs from the hole.
            let normalization = Normalization::new([0.5 / 255.0; 3], [1.0 / 255.0; 3]).unwrap();
            let augmenter = Augmenter::new(&config, normalization, height, width).unwrap();
            let view = augmenter.view(seed, epoch, index);
            prop_assert_eq!(view.factors.is_some(), jitters);
            if jitters {
                prop_assert_eq!(view.factors, Some(augmenter.draws(seed, epoch, index).factors));
                return Ok(());
            }
            let mut stream = mlestar_random::Stream::new(seed, "pixels", 0, 0);
            let pixels: Vec<u8> =
                (0..3 * height * width).map(|_| stream.next_u32() as u8).collect();
            let mut out = vec![f32::NAN; pixels.len()];
            augmenter.apply(&pixels, seed, epoch, index, &mut out);
            for (position, value) in out.iter().enumerate() {
                let (channel, row, column) =
                    (position / (height * width), position / width % height, position % width);
                let is_cut = view.hole.as_ref().is_some_and(|[rows, columns]| {
                    rows.contains(&row) && columns.contains(&column)
                });
                let byte = view.rows[row].zip(view.columns[column]).map_or(0, |(row, column)| {
                    pixels[(channel * height + row) * width + column]
                });
                let expected = if is_cut { 0.0 } else { f32::from(byte) - 0.5 };
                prop_assert!((value - expected).abs() < 1e-3, "{} is not {}", value, expected);
            }
        }
    }
}
