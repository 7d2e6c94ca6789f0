//! The hole of cutout and of random erasing.

use std::ops::Range;

/// Rows and columns that are cleared.
#[derive(Debug, Clone)]
pub(super) struct Hole {
    rows: Range<usize>,
    columns: Range<usize>,
}

impl Hole {
    /// The square of side `size` that starts `size / 2` before `center`, clipped at the borders.
    pub(super) fn around(center: [usize; 2], size: usize, height: usize, width: usize) -> Self {
        let span = |center: usize, side: usize| {
            let end = (center + size - size / 2).min(side);
            center.saturating_sub(size / 2)..end
        };
        Self {
            rows: span(center[0], height),
            columns: span(center[1], width),
        }
    }

    /// These rows and columns.
    pub(super) fn of([rows, columns]: [Range<usize>; 2]) -> Self {
        Self { rows, columns }
    }

    /// Its rows and its columns.
    pub(super) fn into_ranges(self) -> [Range<usize>; 2] {
        [self.rows, self.columns]
    }

    /// Sets the hole to 0 in all channels of a planar image.
    pub(super) fn clear(&self, values: &mut [f32], height: usize, width: usize) {
        for plane in values.chunks_exact_mut(height * width) {
            for row in plane
                .chunks_exact_mut(width)
                .take(self.rows.end)
                .skip(self.rows.start)
            {
                row[self.columns.clone()].fill(0.0);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holes_have_the_stated_size_and_stay_inside() {
        for (center, size, rows, columns) in [
            ([4, 4], 3, 3..6, 3..6),
            ([4, 4], 4, 2..6, 2..6),
            ([0, 8], 4, 0..2, 6..9),
            ([8, 0], 1, 8..9, 0..1),
        ] {
            let hole = Hole::around(center, size, 9, 9);
            assert_eq!((hole.rows, hole.columns), (rows, columns));
        }
    }
}
