//! What augmentation does to a picture, apart from doing it.

use super::Warp;
use std::ops::Range;

/// Where the pixels of an augmented picture come from and what becomes of them: all that a device with the
/// pictures in its memory must know to augment one.
///
/// [`Augmenter::apply`](super::Augmenter::apply) does on the CPU what [`Augmenter::view`](super::Augmenter::view)
/// says.
#[derive(Debug, Clone, PartialEq)]
pub struct PictureView {
    /// Row of the picture that each row shows, from `margin` rows above the first one to as many below the last,
    /// `[height + 2 * margin]`; none where the padding is black.
    pub rows: Vec<Option<usize>>,
    /// Column of the picture that each column shows, `[width + 2 * margin]`, in reverse when it is mirrored; none
    /// where the padding is black.
    pub columns: Vec<Option<usize>>,
    /// Pixels around the window of which rows and columns tell; 0 where no picture is turned or zoomed.
    pub margin: usize,
    /// Where in what rows and columns show each pixel is read; none where it is its own place.
    pub warp: Option<Warp>,
    /// Factors of brightness, contrast and saturation; none where colours stay as they are.
    pub factors: Option<[f32; 3]>,
    /// Rows and columns whose common pixels are 0 after normalisation; none without cutout.
    pub hole: Option<[Range<usize>; 2]>,
}

impl PictureView {
    /// A picture of `height` x `width` pixels as it is.
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
            // The value of a byte is the byte, less a half so that black differs from the hole.
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
