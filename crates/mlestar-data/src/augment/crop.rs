//! Crops the padded image and flips it, in one pass that also maps the bytes to values.

use super::PaddingMode;

/// The part of the padded image that is used.
#[derive(Debug, Clone, Copy)]
pub(super) struct Window {
    pub(super) offset: [usize; 2],
    pub(super) flip: bool,
}

/// Cuts windows out of padded images of one size.
#[derive(Debug, Clone)]
pub(super) struct Cropper {
    padding: usize,
    mode: PaddingMode,
    height: usize,
    width: usize,
}

impl Cropper {
    pub(super) fn new(padding: usize, mode: PaddingMode, height: usize, width: usize) -> Self {
        Self {
            padding,
            mode,
            height,
            width,
        }
    }

    /// The source rows and columns of a window and of `margin` pixels around it; `None` if the padding is
    /// black.
    pub(super) fn sources(&self, offset: [usize; 2], margin: usize) -> [Vec<Option<usize>>; 2] {
        [(self.height, offset[0]), (self.width, offset[1])].map(|(side, offset)| {
            (offset..offset + side + 2 * margin)
                .map(|position| source_position(position, self.padding + margin, side, self.mode))
                .collect()
        })
    }

    /// Writes the window of `pixels`; each byte is replaced by its value in the table of its channel.
    pub(super) fn crop(
        &self,
        pixels: &[u8],
        window: Window,
        table_of: impl Fn(usize) -> [f32; 256],
        out: &mut [f32],
    ) {
        let area = self.height * self.width;
        let planes = pixels.chunks_exact(area).zip(out.chunks_exact_mut(area));
        for (channel, (plane, plane_out)) in planes.enumerate() {
            let table = table_of(channel);
            for (y, row_out) in plane_out.chunks_exact_mut(self.width).enumerate() {
                match source_position(y + window.offset[0], self.padding, self.height, self.mode) {
                    Some(source_y) => {
                        let row = &plane[source_y * self.width..][..self.width];
                        self.crop_row(row, window.offset[1], &table, row_out);
                    }
                    None => row_out.fill(table[0]),
                }
                if window.flip {
                    row_out.reverse();
                }
            }
        }
    }

    fn crop_row(&self, row: &[u8], offset: usize, table: &[f32; 256], out: &mut [f32]) {
        // The columns of the window that show the image itself; there are width - |shift| of them.
        let first = self.padding.saturating_sub(offset);
        let source_first = offset.saturating_sub(self.padding);
        let n_inside = self.width - first.max(source_first);
        let inside = &mut out[first..first + n_inside];
        for (value, level) in inside.iter_mut().zip(&row[source_first..]) {
            *value = table[usize::from(*level)];
        }
        for x in (0..first).chain(first + n_inside..self.width) {
            let source = source_position(x + offset, self.padding, self.width, self.mode);
            out[x] = source.map_or(table[0], |source_x| table[usize::from(row[source_x])]);
        }
    }
}

/// The source row or column at `position` of the padded image; `None` if the padding is black.
fn source_position(
    position: usize,
    padding: usize,
    side: usize,
    mode: PaddingMode,
) -> Option<usize> {
    let inside = position
        .checked_sub(padding)
        .filter(|source| *source < side);
    match mode {
        PaddingMode::Zero => inside,
        PaddingMode::Reflect => Some(inside.unwrap_or_else(|| {
            // Reflected twice.
            let period = (2 * (side - 1)).max(1);
            let distance = position.abs_diff(padding) % period;
            distance.min(period - distance)
        })),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reflection_does_not_repeat_the_border() {
        let reflected: Vec<_> = (0..8)
            .map(|position| source_position(position, 2, 4, PaddingMode::Reflect))
            .collect();
        assert_eq!(reflected, [2, 1, 0, 1, 2, 3, 2, 1].map(Some));
        let black: Vec<_> = (0..8)
            .map(|position| source_position(position, 2, 4, PaddingMode::Zero))
            .collect();
        assert_eq!(
            black,
            [None, None, Some(0), Some(1), Some(2), Some(3), None, None]
        );
    }
}
