//! The views of an image over which evaluation averages the logits.

use serde::{Deserialize, Serialize};

use std::fmt;

#[cfg(feature = "burn")]
use burn::tensor::{Int, Tensor, TensorData};

/// Of which views of an image evaluation takes the mean of the logits: the image itself and, where asked
/// for, others on which a network errs differently (Jordan 2024, <https://arxiv.org/abs/2404.00498>, has the
/// same six with other weights).
///
/// ```
/// use mlestar_model::Views;
///
/// let views = Views { mirrored: true, shifted: true };
/// assert_eq!(views.count(), 6);
/// assert_eq!(views.others().count(), 5);
/// assert_eq!(Views::default().count(), 1);
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Views {
    /// Whether the mirror image (left to right) of each view is also a view.
    pub mirrored: bool,
    /// Whether the image shifted by one pixel up and to the left, and by one pixel down and to the right, are
    /// also views. The border is filled by reflection.
    pub shifted: bool,
}

/// A view of an image: shifted, then mirrored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct View {
    /// How much further down and to the right each pixel is read: 1 shifts the image up and to the left.
    offset: isize,
    mirrored: bool,
}

impl Views {
    /// Number of views, 1, 2, 3 or 6; evaluation takes as many passes.
    #[must_use]
    pub fn count(self) -> usize {
        1 + self.others().count()
    }

    /// All views except the unchanged image.
    pub fn others(self) -> impl Iterator<Item = View> {
        let offsets: &'static [isize] = match self.shifted {
            true => &[0, 1, -1],
            false => &[0],
        };
        let mirrored: &'static [bool] = match self.mirrored {
            true => &[false, true],
            false => &[false],
        };
        let views = mirrored.iter().flat_map(move |&mirrored| {
            let view = move |&offset| View { offset, mirrored };
            offsets.iter().map(view)
        });
        views.skip(1)
    }
}

/// The views in words, as in "the mean over ...".
impl fmt::Display for Views {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match (self.shifted, self.mirrored) {
            (false, false) => "the image alone",
            (false, true) => "the image and its mirror image",
            (true, false) => "the image and two that are shifted by a pixel",
            (true, true) => {
                "the image, two that are shifted by a pixel, and the mirror images of all three"
            }
        })
    }
}

impl View {
    /// The source row of each row of the view, of `height` rows.
    #[must_use]
    pub fn rows(self, height: usize) -> Vec<usize> {
        (0..height).map(|row| self.read_at(row, height)).collect()
    }

    /// The source column of each column of the view, of `width` columns.
    #[must_use]
    pub fn columns(self, width: usize) -> Vec<usize> {
        let mut columns: Vec<usize> = (0..width)
            .map(|column| self.read_at(column, width))
            .collect();
        if self.mirrored {
            columns.reverse();
        }
        columns
    }

    /// Reflection at the border, without repeating it: what precedes 0 is 1.
    fn read_at(self, position: usize, side: usize) -> usize {
        match position.checked_add_signed(self.offset) {
            None => 1.min(side - 1),
            Some(after) if after == side => side.saturating_sub(2),
            Some(inside) => inside,
        }
    }

    /// This view of images `[n, channels, height, width]`.
    #[cfg(feature = "burn")]
    pub(crate) fn of(self, images: Tensor<4>) -> Tensor<4> {
        let [_, _, height, width] = images.dims();
        if self.offset == 0 {
            return if self.mirrored {
                images.flip([3])
            } else {
                images
            };
        }
        let device = images.device();
        let indices = |sources: Vec<usize>| {
            let sources: Vec<i32> = sources.into_iter().map(|at| at as i32).collect();
            let shape = [sources.len()];
            Tensor::<1, Int>::from_data(TensorData::new(sources, shape), &device)
        };
        images
            .select(2, indices(self.rows(height)))
            .select(3, indices(self.columns(width)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(offset: isize, mirrored: bool) -> View {
        View { offset, mirrored }
    }

    #[test]
    fn what_is_beyond_the_border_is_its_reflection() {
        assert_eq!(view(1, false).rows(4), [1, 2, 3, 2]);
        assert_eq!(view(-1, false).rows(4), [1, 0, 1, 2]);
        assert_eq!(view(1, true).columns(4), [2, 3, 2, 1]);
        assert_eq!(view(-1, true).rows(4), [1, 0, 1, 2]);
        assert_eq!(view(0, true).columns(3), [2, 1, 0]);
        for offset in [-1, 1] {
            assert_eq!(view(offset, false).rows(2), [1, 0]);
            assert_eq!(view(offset, true).columns(1), [0]);
        }
    }

    #[test]
    fn views_of_tensors_read_the_rows_and_columns_that_they_say() {
        let device = burn::tensor::Device::flex();
        let views = Views {
            mirrored: true,
            shifted: true,
        };
        for [height, width] in [[3, 5], [1, 4], [2, 1], [1, 1]] {
            let values: Vec<f32> = (0..2 * 3 * height * width).map(|i| i as f32).collect();
            let shape = [2, 3, height, width];
            let images = Tensor::<4>::from_data(TensorData::new(values.clone(), shape), &device);
            for view in views.others() {
                let mut expected = Vec::new();
                for map in values.chunks(height * width) {
                    for row in view.rows(height) {
                        let columns = view.columns(width).into_iter();
                        expected.extend(columns.map(|column| map[row * width + column]));
                    }
                }
                let found = view.of(images.clone()).into_data();
                let found: Vec<f32> = found.try_into_vec().unwrap();
                assert_eq!(found, expected, "{view:?} {height}x{width}");
            }
        }
    }
}
