//! Rotation and zoom about the centre, with bilinear interpolation.

use crate::ImageSet;

/// A rotation and a zoom of an image about its centre: the source position of each pixel.
///
/// ```
/// use mlestar_data::augment::Warp;
///
/// // What was on the left comes to the top.
/// let warp = Warp::new(90.0, 1.0);
/// let [row, column] = warp.read_at([0, 2], [5, 5]);
/// assert!((row - 2.0).abs() < 1e-6 && column.abs() < 1e-6);
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Warp {
    /// The matrix for the row and the column of a pixel, relative to the centre.
    pub matrix: [[f32; 2]; 2],
}

impl Warp {
    /// The identity.
    pub const IDENTITY: Self = Self {
        matrix: [[1.0, 0.0], [0.0, 1.0]],
    };

    /// A clockwise rotation by `degrees`, and a scaling by `factor` (above 0).
    #[must_use]
    pub fn new(degrees: f32, factor: f32) -> Self {
        let (sine, cosine) = degrees.to_radians().sin_cos();
        let [along, across] = [cosine / factor, sine / factor];
        // The inverse: from the position in the result to the position in the source.
        Self {
            matrix: [[along, -across], [across, along]],
        }
    }

    /// Row and column of the fixed point in an image of `size`, height and width.
    #[must_use]
    pub fn center(size: [usize; 2]) -> [f32; 2] {
        size.map(|side| (side as f32 - 1.0) / 2.0)
    }

    /// The row and column, between pixels, of the source of `pixel` in an image of `size` (height and width);
    /// they may lie outside the image.
    #[must_use]
    pub fn read_at(&self, pixel: [usize; 2], size: [usize; 2]) -> [f32; 2] {
        let center = Self::center(size);
        let [y, x] = [0, 1].map(|axis| pixel[axis] as f32 - center[axis]);
        [0, 1].map(|axis| {
            let [of_y, of_x] = self.matrix[axis];
            of_y * y + of_x * x + center[axis]
        })
    }
}

/// How far outside an image of `size`, in pixels, a warp reads that scales down by at most `shrink` (at least
/// 1). Includes the neighbours for interpolation.
pub(super) fn margin(size: [usize; 2], shrink: f64) -> usize {
    let [y, x] = Warp::center(size).map(f64::from);
    let farthest = shrink * y.hypot(x);
    (farthest - y.min(x)).ceil() as usize + 2
}

/// The sources of the pixels of an image and its surroundings.
pub(super) struct Surroundings<'a> {
    /// Source row of each row, from `margin` rows before the first one on; `None` if it is black.
    pub rows: &'a [Option<usize>],
    /// The same for columns.
    pub columns: &'a [Option<usize>],
    pub margin: usize,
}

impl Surroundings<'_> {
    /// Writes the warped planar image of `size` with values in [0, 1].
    pub(super) fn warped(&self, pixels: &[u8], warp: Warp, size: [usize; 2], out: &mut [f32]) {
        let [height, width] = size;
        let area = height * width;
        for y in 0..height {
            for x in 0..width {
                let [row, column] = warp.read_at([y, x], size);
                let ([top, bottom], down) = self.neighbours(self.rows, row);
                let ([left, right], aside) = self.neighbours(self.columns, column);
                for channel in 0..ImageSet::CHANNELS {
                    let plane = &pixels[channel * area..][..area];
                    let level = |row: Option<usize>, column: Option<usize>| {
                        row.zip(column).map_or(0.0, |(row, column)| {
                            f32::from(plane[row * width + column]) / 255.0
                        })
                    };
                    let above = mix(level(top, left), level(top, right), aside);
                    let below = mix(level(bottom, left), level(bottom, right), aside);
                    out[channel * area + y * width + x] = mix(above, below, down);
                }
            }
        }
    }

    /// The sources of the rows or columns before and after `position`, and its distance from the first as a
    /// fraction.
    fn neighbours(&self, sources: &[Option<usize>], position: f32) -> ([Option<usize>; 2], f32) {
        let before = position.floor();
        let last = sources.len() - 2;
        let index = ((before + self.margin as f32).max(0.0) as usize).min(last);
        ([sources[index], sources[index + 1]], position - before)
    }
}

fn mix(from: f32, to: f32, share: f32) -> f32 {
    from + (to - from) * share
}
