//! Smaller copies of images; each value is the mean of the area that it covers.

/// Resizes planar images from one size to a smaller one.
///
/// A pixel of the result covers `source / target` pixels of the source in each direction and is their mean;
/// partly covered pixels count partly, as in OpenCV's `INTER_AREA`. The mean over the whole image does not
/// change.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Shrinker {
    rows: Vec<AreaSpan>,
    columns: Vec<AreaSpan>,
    source_width: usize,
    source_height: usize,
}

/// The rows or columns that one row or column of a smaller image averages.
#[derive(Debug, Clone, PartialEq)]
pub struct AreaSpan {
    /// The first of them.
    pub first: usize,
    /// The weight of each one, starting with `first`; the sum is 1.
    pub shares: Vec<f32>,
}

impl Shrinker {
    /// From `source` to `target`, `[height, width]` in pixels. The target must be at most the source and at
    /// least 1 in both directions.
    pub(super) fn new(source: [usize; 2], target: [usize; 2]) -> Self {
        let [rows, columns] = [0, 1].map(|axis| spans(source[axis], target[axis]));
        Self {
            rows,
            columns,
            source_height: source[0],
            source_width: source[1],
        }
    }

    /// The source rows and columns that the rows and columns of the result average.
    pub(super) fn spans(&self) -> [&[AreaSpan]; 2] {
        [&self.rows, &self.columns]
    }

    /// Writes the smaller copy of `picture`, which may have any number of planes, to `out`, which has the same
    /// number.
    pub(super) fn apply(&self, picture: &[f32], out: &mut [f32]) {
        let planes = picture.chunks_exact(self.source_height * self.source_width);
        let [height, width] = [self.rows.len(), self.columns.len()];
        let mut row_mean = vec![0.0; self.source_width];
        for (plane, out) in planes.zip(out.chunks_exact_mut(height * width)) {
            for (span, out) in self.rows.iter().zip(out.chunks_exact_mut(width)) {
                row_mean.fill(0.0);
                let rows = plane.chunks_exact(self.source_width).skip(span.first);
                for (row, share) in rows.zip(&span.shares) {
                    for (mean, value) in row_mean.iter_mut().zip(row) {
                        *mean += share * value;
                    }
                }
                for (out, span) in out.iter_mut().zip(&self.columns) {
                    let values = row_mean[span.first..].iter().zip(&span.shares);
                    *out = values.map(|(value, share)| value * share).sum();
                }
            }
        }
    }
}

fn spans(source: usize, target: usize) -> Vec<AreaSpan> {
    let covered = |index: usize| {
        // In units of 1 / target of a source pixel, all values are integers.
        let [start, end] = [index * source, (index + 1) * source];
        let [first, last] = [start / target, (end - 1) / target];
        let share = |pixel: usize| {
            let overlap = end.min((pixel + 1) * target) - start.max(pixel * target);
            overlap as f32 / source as f32
        };
        AreaSpan {
            first,
            shares: (first..=last).map(share).collect(),
        }
    };
    (0..target).map(covered).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn shrink(picture: &[f32], source: [usize; 2], target: [usize; 2]) -> Vec<f32> {
        let planes = picture.len() / (source[0] * source[1]);
        let mut out = vec![f32::NAN; planes * target[0] * target[1]];
        Shrinker::new(source, target).apply(picture, &mut out);
        out
    }

    #[test]
    fn halves_are_means_of_four_and_thirds_count_by_their_part() {
        let picture: Vec<f32> = (0..16).map(|value| value as f32).collect();
        assert_eq!(shrink(&picture, [4, 4], [2, 2]), [2.5, 4.5, 10.5, 12.5]);
        let row = [0.0, 3.0, 9.0];
        let out = shrink(&row, [1, 3], [1, 2]);
        // Each covers one pixel and a half.
        assert!(
            (out[0] - 1.0).abs() < 1e-6 && (out[1] - 7.0).abs() < 1e-6,
            "{out:?}"
        );
        assert_eq!(shrink(&row, [1, 3], [1, 3]), row);
    }

    proptest! {
        #[test]
        fn means_stay_and_every_plane_is_its_own(
            height in 1_usize..20, width in 1_usize..20, rows in 1_usize..20, columns in 1_usize..20,
            seed in any::<u64>(),
        ) {
            let target = [rows.min(height), columns.min(width)];
            let mut stream = mlestar_random::Stream::new(seed, "pictures", 0, 0);
            let picture: Vec<f32> =
                (0..2 * height * width).map(|_| stream.range_f32(-1.0, 1.0)).collect();
            let out = shrink(&picture, [height, width], target);
            let (plane, small) = (height * width, target[0] * target[1]);
            for index in 0..2 {
                let mean = |values: &[f32]| {
                    values.iter().map(|value| f64::from(*value)).sum::<f64>() / values.len() as f64
                };
                let source = &picture[index * plane..][..plane];
                let result = &out[index * small..][..small];
                prop_assert!((mean(source) - mean(result)).abs() < 1e-5);
                prop_assert_eq!(&shrink(source, [height, width], target)[..], result);
            }
        }
    }
}
