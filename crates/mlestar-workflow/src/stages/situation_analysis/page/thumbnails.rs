//! Pictures of any size as thumbnails of a size that pages can hold.

use crate::WorkflowError;
use mlestar_data::ImageSet;
use mlestar_report::thumbnail;

/// The longest side of a thumbnail, in pixels.
const LONGEST_SIDE: usize = 128;

/// One picture of a set.
pub(super) fn of_set(set: &ImageSet, index: usize) -> Result<String, WorkflowError> {
    of_pixels(&set.interleaved(index), set.height(), set.width())
}

/// An interleaved 8-bit picture, averaged over square blocks until it is small enough.
pub(super) fn of_pixels(
    pixels: &[u8],
    height: usize,
    width: usize,
) -> Result<String, WorkflowError> {
    let block = height.max(width).div_ceil(LONGEST_SIDE).max(1);
    // A picture may be one pixel high: at least one block is kept on each side.
    let (rows, columns) = ((height / block).max(1), (width / block).max(1));
    let mut small = Vec::with_capacity(rows * columns * 3);
    for row in 0..rows {
        for column in 0..columns {
            for channel in 0..3 {
                let lines = row * block..((row + 1) * block).min(height);
                let (mut sum, mut n_pixels) = (0_u32, 0_u32);
                for line in lines {
                    for place in column * block..((column + 1) * block).min(width) {
                        sum += u32::from(pixels[(line * width + place) * 3 + channel]);
                        n_pixels += 1;
                    }
                }
                small.push((sum / n_pixels.max(1)) as u8);
            }
        }
    }
    Ok(thumbnail(&small, rows, columns, 1)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_pictures_are_averaged_and_small_ones_kept() {
        let small = of_pixels(&[10; 3 * 4], 2, 2).unwrap();
        assert_eq!(small, thumbnail(&[10; 12], 2, 2, 1).unwrap());
        let large = of_pixels(&vec![77; 3 * 300 * 300], 300, 300).unwrap();
        assert_eq!(
            large,
            thumbnail(&vec![77; 3 * 100 * 100], 100, 100, 1).unwrap()
        );
        assert!(of_pixels(&vec![77; 3 * 1_000], 1, 1_000).is_ok());
    }
}
