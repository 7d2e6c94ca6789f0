//! Patches: the inputs of one output pixel, copied into one row.
//!
//! With few input channels (the first layer has 3), the pieces of a row are so short that following pointers to
//! them costs more than copying them together.

use std::ops::Range;

use super::Conv2dShape;

/// Copies patches of one convolution.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patches {
    shape: Conv2dShape,
}

/// An output pixel.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub picture: usize,
    pub y: usize,
    pub x: usize,
}

/// The output's pixels in order.
#[derive(Debug, Clone, Copy)]
pub(super) struct Places {
    output: [usize; 2],
}

impl Places {
    /// Height and width of the output.
    pub(super) fn new(output: [usize; 2]) -> Self {
        Self { output }
    }

    pub(super) fn place(&self, pixel: usize) -> Place {
        let [height, width] = self.output;
        Place {
            picture: pixel / width / height,
            y: pixel / width % height,
            x: pixel % width,
        }
    }

    /// The pixel after `place`.
    #[inline(always)]
    pub(super) fn advance(&self, place: &mut Place) {
        let [height, width] = self.output;
        place.x += 1;
        if place.x == width {
            place.x = 0;
            place.y += 1;
            if place.y == height {
                place.y = 0;
                place.picture += 1;
            }
        }
    }
}

impl Patches {
    /// Copying pays off with fewer input channels than this.
    const MOST_CHANNELS: usize = 8;
    /// Maximum length of a row.
    pub(super) const MOST_VALUES: usize = 160;

    /// For any shape.
    pub(super) fn always(shape: &Conv2dShape) -> Self {
        Self { shape: *shape }
    }

    /// `None` if following pointers is faster.
    pub(super) fn of(shape: &Conv2dShape) -> Option<Self> {
        let worth = shape.taps() > 1
            && shape.channels_in < Self::MOST_CHANNELS
            && shape.taps() * shape.channels_in <= Self::MOST_VALUES;
        worth.then_some(Self { shape: *shape })
    }

    /// Values of a row: taps times channels.
    pub(super) fn row_len(&self) -> usize {
        self.shape.taps() * self.shape.channels_in
    }

    /// Values of a row of the kernel, which lie side by side in the input, if they do.
    pub(super) fn run_len(&self) -> Option<usize> {
        let run = self.shape.kernel[1] * self.shape.channels_in;
        (self.shape.dilation[1] == 1).then_some(run)
    }

    /// The input row that row `tap` of the kernel sees.
    pub(super) fn row(&self, place: Place, tap: usize) -> Option<usize> {
        let y = place.y * self.shape.stride[0] + tap * self.shape.dilation[0];
        let y = y.checked_sub(self.shape.padding.start[0])?;
        (y < self.shape.input[0]).then_some(y)
    }

    /// The input column that the kernel begins with, if all of its columns are inside.
    pub(super) fn column(&self, place: Place) -> Option<usize> {
        let x = (place.x * self.shape.stride[1]).checked_sub(self.shape.padding.start[1])?;
        (x + self.shape.kernel[1] <= self.shape.input[1]).then_some(x)
    }

    /// The rows of the kernel of which `columns` of a row of values hold a part.
    pub(super) fn kernel_rows(&self, columns: &Range<usize>) -> Range<usize> {
        let run = self.shape.kernel[1] * self.shape.channels_in;
        columns.start / run..columns.end.div_ceil(run)
    }

    /// Writes `[tap][channel]` values to `row`, and `zero` for the padding.
    #[inline(always)]
    pub(super) fn copy<T: Copy>(&self, input: &[T], place: Place, zero: T, row: &mut [T]) {
        self.copy_rows(input, place, zero, 0..self.shape.kernel[0], row);
    }

    /// As [`copy`](Self::copy), but only the values of these rows of the kernel.
    #[inline(always)]
    pub(super) fn copy_rows<T: Copy>(
        &self,
        input: &[T],
        place: Place,
        zero: T,
        rows: Range<usize>,
        row: &mut [T],
    ) {
        let shape = &self.shape;
        let [height, width] = shape.input;
        let channels = shape.channels_in;
        let run = shape.kernel[1] * channels;
        let left = (place.x * shape.stride[1]) as isize - shape.padding.start[1] as isize;
        let inside =
            shape.dilation[1] == 1 && left >= 0 && left as usize + shape.kernel[1] <= width;
        let values = row[rows.start * run..rows.end * run].chunks_exact_mut(run);
        for (tap_y, values) in rows.zip(values) {
            let y = place.y * shape.stride[0] + tap_y * shape.dilation[0];
            let Some(y) = y
                .checked_sub(shape.padding.start[0])
                .filter(|&y| y < height)
            else {
                values.fill(zero);
                continue;
            };
            let line = (place.picture * height + y) * width;
            if inside {
                copy_run(&input[(line + left as usize) * channels..][..run], values);
                continue;
            }
            for (tap_x, values) in values.chunks_exact_mut(channels).enumerate() {
                let x = left + (tap_x * shape.dilation[1]) as isize;
                match x >= 0 && (x as usize) < width {
                    true => {
                        let from = (line + x as usize) * channels;
                        values.copy_from_slice(&input[from..from + channels]);
                    }
                    false => values.fill(zero),
                }
            }
        }
    }
}

/// Copies a run; those of 3x3 and 7x7 kernels on 3 channels need no call.
#[inline(always)]
fn copy_run<T: Copy>(from: &[T], to: &mut [T]) {
    if let (Some(from), Some(to)) = (from.as_array::<9>(), to.as_mut_array::<9>()) {
        *to = *from;
    } else if let (Some(from), Some(to)) = (from.as_array::<21>(), to.as_mut_array::<21>()) {
        *to = *from;
    } else {
        to.copy_from_slice(from);
    }
}
