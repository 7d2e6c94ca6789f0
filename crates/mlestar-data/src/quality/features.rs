//! Small versions of images, and features computed from them.

/// A grey or colour plane as floats, pixels in 0-1.
pub(super) struct Plane {
    pub(super) height: usize,
    pub(super) width: usize,
    pub(super) values: Vec<f32>,
}

impl Plane {
    /// Brightness (0.299 R + 0.587 G + 0.114 B) of a planar image.
    pub(super) fn brightness(pixels: &[u8], height: usize, width: usize) -> Self {
        let area = height * width;
        let (red, rest) = pixels.split_at(area);
        let (green, blue) = rest.split_at(area);
        let values = red.iter().zip(green).zip(blue).map(|((r, g), b)| {
            (0.299 * f32::from(*r) + 0.587 * f32::from(*g) + 0.114 * f32::from(*b)) / 255.0
        });
        Self {
            height,
            width,
            values: values.collect(),
        }
    }

    /// One channel of a planar image.
    pub(super) fn channel(pixels: &[u8], channel: usize, height: usize, width: usize) -> Self {
        let area = height * width;
        let plane = &pixels[channel * area..][..area];
        Self {
            height,
            width,
            values: plane.iter().map(|v| f32::from(*v) / 255.0).collect(),
        }
    }

    /// The plane as `rows` x `columns` means over boxes, which overlap by a pixel if the sizes are not
    /// divisible.
    pub(super) fn shrink(&self, rows: usize, columns: usize) -> Self {
        let mut values = Vec::with_capacity(rows * columns);
        for row in 0..rows {
            let (top, bottom) = box_bounds(row, rows, self.height);
            for column in 0..columns {
                let (left, right) = box_bounds(column, columns, self.width);
                let sum: f32 = (top..bottom)
                    .map(|y| {
                        self.values[y * self.width + left..y * self.width + right]
                            .iter()
                            .sum::<f32>()
                    })
                    .sum();
                values.push(sum / ((bottom - top) * (right - left)) as f32);
            }
        }
        Self {
            height: rows,
            width: columns,
            values,
        }
    }
}

fn box_bounds(number: usize, n_boxes: usize, side: usize) -> (usize, usize) {
    (
        number * side / n_boxes,
        ((number + 1) * side).div_ceil(n_boxes),
    )
}

/// Subtracts the mean and scales to length 1; `None` if nothing remains.
pub(super) fn centred_unit(values: &[f32]) -> Option<Vec<f32>> {
    let mean = values.iter().sum::<f32>() / values.len() as f32;
    let centred: Vec<f32> = values.iter().map(|v| v - mean).collect();
    let length = centred.iter().map(|v| v * v).sum::<f32>().sqrt();
    // Half a grey level of standard deviation: below it, noise determines the direction.
    let smallest = 0.002 * (values.len() as f32).sqrt();
    (length > smallest).then(|| centred.into_iter().map(|v| v / length).collect())
}

/// Scalar product; both slices must have the same length. Eight sums side by side, so that the compiler can
/// use vector instructions.
pub(super) fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0.0_f32; 8];
    let (chunks_a, chunks_b) = (a.chunks_exact(8), b.chunks_exact(8));
    let rest: f32 = chunks_a
        .remainder()
        .iter()
        .zip(chunks_b.remainder())
        .map(|(x, y)| x * y)
        .sum();
    for (x, y) in chunks_a.zip(chunks_b) {
        for lane in 0..8 {
            sums[lane] += x[lane] * y[lane];
        }
    }
    sums.iter().sum::<f32>() + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shrinking_takes_means_also_where_sizes_do_not_divide() {
        let plane = Plane {
            height: 2,
            width: 4,
            values: vec![0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0],
        };
        assert_eq!(plane.shrink(1, 2).values, [2.5, 4.5]);
        assert_eq!(plane.shrink(1, 1).values, [3.5]);
        assert_eq!(plane.shrink(2, 3).values, [0.5, 1.5, 2.5, 4.5, 5.5, 6.5]);
        // Larger than the plane: pixels repeat.
        assert_eq!(plane.shrink(4, 4).values.len(), 16);
    }

    #[test]
    fn dot_covers_the_remainder() {
        let a: Vec<f32> = (0..19).map(|v| v as f32).collect();
        assert_eq!(dot(&a, &a), (0..19).map(|v| (v * v) as f32).sum::<f32>());
    }

    #[test]
    fn a_flat_plane_has_no_direction() {
        assert_eq!(centred_unit(&[0.5; 64]), None);
        let unit = centred_unit(&[0.0, 1.0]).unwrap();
        assert!((unit[1] - 0.5_f32.sqrt()).abs() < 1e-6);
    }
}
