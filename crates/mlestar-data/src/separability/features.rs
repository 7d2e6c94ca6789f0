//! Simple features of images: mean colours on a coarse grid.

use crate::ImageSet;
use rayon::prelude::*;

/// Cells per side of the grid; fewer if the image has fewer pixels.
const GRID_SIDE: usize = 8;

/// One row of mean colours per image, values in 0-1.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Features {
    /// Row-major: `n` rows of `dimension` values, ordered channel, grid row, grid column.
    values: Vec<f32>,
    dimension: usize,
    grid: [usize; 2],
    labels: Vec<u32>,
}

impl Features {
    /// The features of the images of `set` at `indices`; `mirrored` swaps left and right first.
    pub(super) fn of(set: &ImageSet, indices: &[usize], mirrored: bool) -> Self {
        let grid = [set.height().min(GRID_SIDE), set.width().min(GRID_SIDE)];
        let rows: Vec<Vec<f32>> = indices
            .par_iter()
            .map(|index| {
                cell_means(
                    set.pixels(*index),
                    set.height(),
                    set.width(),
                    grid,
                    mirrored,
                )
            })
            .collect();
        Self {
            values: rows.concat(),
            dimension: ImageSet::CHANNELS * grid[0] * grid[1],
            grid,
            labels: indices.iter().map(|index| set.label(*index)).collect(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.labels.len()
    }

    pub(super) fn dimension(&self) -> usize {
        self.dimension
    }

    /// Rows and columns of the grid.
    pub(super) fn grid(&self) -> [usize; 2] {
        self.grid
    }

    pub(super) fn labels(&self) -> &[u32] {
        &self.labels
    }

    pub(super) fn row(&self, index: usize) -> &[f32] {
        &self.values[index * self.dimension..(index + 1) * self.dimension]
    }
}

/// The mean of each grid cell of each channel. Cell `i` of `n` covers the pixels from
/// `floor(i * side / n)` to `floor((i + 1) * side / n)`.
fn cell_means(
    pixels: &[u8],
    height: usize,
    width: usize,
    [rows, columns]: [usize; 2],
    mirrored: bool,
) -> Vec<f32> {
    let mut means = Vec::with_capacity(ImageSet::CHANNELS * rows * columns);
    for plane in pixels.chunks_exact(height * width) {
        for row in 0..rows {
            let lines = row * height / rows..(row + 1) * height / rows;
            for column in 0..columns {
                let column = if mirrored {
                    columns - 1 - column
                } else {
                    column
                };
                let span = column * width / columns..(column + 1) * width / columns;
                let n_pixels = (lines.len() * span.len()) as f32;
                let sum: u32 = lines
                    .clone()
                    .flat_map(|line| &plane[line * width + span.start..line * width + span.end])
                    .map(|level| u32::from(*level))
                    .sum();
                means.push(sum as f32 / (255.0 * n_pixels));
            }
        }
    }
    means
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Origin;

    fn set(height: usize, width: usize, pixels: Vec<u8>) -> ImageSet {
        let n = pixels.len() / (3 * height * width);
        let origins = (0..n as u64)
            .map(|index| Origin::Synthetic { index })
            .collect();
        let classes = vec!["a".to_owned(), "b".to_owned()].into();
        ImageSet::new(classes, height, width, pixels, vec![0; n], origins).unwrap()
    }

    #[test]
    fn a_picture_as_large_as_the_grid_is_its_own_features() {
        let pixels: Vec<u8> = (0..12).map(|value| value * 20).collect();
        let features = Features::of(&set(2, 2, pixels.clone()), &[0], false);
        assert_eq!(
            (features.grid(), features.dimension(), features.len()),
            ([2, 2], 12, 1)
        );
        let expected: Vec<f32> = pixels.iter().map(|v| f32::from(*v) / 255.0).collect();
        assert_eq!(features.row(0), expected);
    }

    #[test]
    fn mirroring_swaps_columns_and_uneven_cells_cover_every_pixel() {
        // 1 x 16 pixels: two pixels per cell.
        let plane: Vec<u8> = (0..16).collect();
        let pixels = [plane.clone(), plane.clone(), plane].concat();
        let plain = Features::of(&set(1, 16, pixels.clone()), &[0], false);
        let mirrored = Features::of(&set(1, 16, pixels), &[0], true);
        assert_eq!(plain.row(0)[0], 0.5 / 255.0);
        let reversed: Vec<f32> = mirrored.row(0)[..8].iter().rev().copied().collect();
        assert_eq!(&plain.row(0)[..8], reversed);
        let uneven = Features::of(&set(1, 11, vec![255; 33]), &[0], false);
        assert!(uneven.row(0).iter().all(|value| *value == 1.0));
    }
}
