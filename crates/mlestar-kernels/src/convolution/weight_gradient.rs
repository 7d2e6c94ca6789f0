//! The gradient of the weights for any kernel: for each tap, the sum over pixels of its input pixel times the
//! gradient of the output.

use std::ops::Range;

use rayon::prelude::*;

use super::{
    Conv2dShape,
    patch::{Patches, Place, Places},
};
use crate::{
    Padding,
    matrix::{
        Single, WIDEST_TILE,
        outer::{self, Left, PANEL_ROWS},
        tile_width,
    },
    memory::{Buffer, ScratchLoan, Shared},
    simd::{Operation, Simd},
};

/// Pixels whose output gradients are packed together.
const CHUNK_PIXELS: usize = 2048;
/// Channels of an input that is read where it is, at most.
const MOST_IN_PLACE: usize = 128;
/// Pixels multiplied at a time: two panels with this number of rows fit the first-level cache.
const DEPTH_PIXELS: usize = 128;

/// Sets `gradient`, `[channels_out][channels_in][height][width]`. The order of every sum does not depend on the
/// number of threads.
pub(crate) fn weight_gradient<S: Simd>(
    simd: S,
    shape: &Conv2dShape,
    input: &[f32],
    output_gradient: &[f32],
    gradient: &mut [f32],
) {
    assert_eq!(input.len(), shape.input_len());
    assert_eq!(output_gradient.len(), shape.output_len());
    assert_eq!(gradient.len(), shape.weight_len());
    let width = tile_width::<S>();
    let k = shape.channels_out;
    let [height, out_width] = shape.output();
    let pixels = shape.n * height * out_width;
    let columns = shape.taps() * shape.channels_in;
    let panels = k.div_ceil(width);
    let chunk = CHUNK_PIXELS.min(pixels);
    let mut errors = Buffer::default();
    errors.resize(panels * chunk * width);
    // `[tap][channel_in][channel_out]`
    let mut sums = Buffer::zeros(columns * k);

    for first in (0..pixels).step_by(chunk.max(1)) {
        let range = first..pixels.min(first + chunk);
        pack_errors::<S>(
            &output_gradient[range.start * k..range.end * k],
            k,
            &mut errors,
        );
        let job = Job {
            shape,
            places: Places::new(shape.output()),
            input,
            pixels: range,
            errors: errors.as_slice(),
            sums: Shared::new(sums.as_mut_slice()),
        };
        let pieces = columns.div_ceil(PANEL_ROWS);
        (0..pieces)
            .into_par_iter()
            .with_max_len(1)
            .for_each(|piece| {
                simd.vectorize(Piece { job: &job, piece });
            });
    }

    let (taps, sums) = (shape.taps(), sums.as_slice());
    let outputs = gradient.par_chunks_exact_mut(taps * shape.channels_in);
    outputs.enumerate().for_each(|(channel_out, gradient)| {
        for (channel_in, kernel) in gradient.chunks_exact_mut(taps).enumerate() {
            for (tap, value) in kernel.iter_mut().enumerate() {
                *value = sums[(tap * shape.channels_in + channel_in) * k + channel_out];
            }
        }
    });
}

/// Whether the input is read where it is: each pixel is that of an output pixel, and its channels are so few that the
/// pixels of a panel do not displace each other in the cache.
fn is_in_place(shape: &Conv2dShape) -> bool {
    shape.taps() == 1
        && shape.stride == [1; 2]
        && shape.padding == Padding::NONE
        && shape.channels_in <= MOST_IN_PLACE
}

/// Copies `[pixel][k]` to `[panel][pixel][tile_width]`.
fn pack_errors<S: Simd>(errors: &[f32], k: usize, target: &mut Buffer) {
    let width = tile_width::<S>();
    let pixels = errors.len() / k;
    target.resize(k.div_ceil(width) * pixels * width);
    let panels = target.as_mut_slice().par_chunks_exact_mut(pixels * width);
    panels.enumerate().for_each(|(panel, values)| {
        let first = panel * width;
        let real = width.min(k - first);
        for (pixel, values) in errors.chunks_exact(k).zip(values.chunks_exact_mut(width)) {
            let pixel = &pixel[first..first + real];
            // Copying a whole widest panel, or half of one, needs no call.
            let wide = values.as_mut_array::<WIDEST_TILE>();
            if let (Some(pixel), Some(values)) = (pixel.as_array::<WIDEST_TILE>(), wide) {
                *values = *pixel;
            } else if let Some(pixel) = pixel.as_array::<{ WIDEST_TILE / 2 }>() {
                values[..WIDEST_TILE / 2].copy_from_slice(pixel);
                values[WIDEST_TILE / 2..].fill(0.0);
            } else {
                values[..real].copy_from_slice(pixel);
                values[real..].fill(0.0);
            }
        }
    });
}

struct Job<'a> {
    shape: &'a Conv2dShape,
    places: Places,
    input: &'a [f32],
    /// Output pixels of the chunk.
    pixels: Range<usize>,
    errors: &'a [f32],
    sums: Shared,
}

/// [`PANEL_ROWS`] pairs of tap and input channel.
struct Piece<'a> {
    job: &'a Job<'a>,
    piece: usize,
}

impl Operation for Piece<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Job {
            shape,
            ref pixels,
            input,
            errors,
            sums,
            ..
        } = *self.job;
        let width = tile_width::<S>();
        let k = shape.channels_out;
        let first = self.piece * PANEL_ROWS;
        let rows = PANEL_ROWS.min(shape.taps() * shape.channels_in - first);
        let mut loan = ScratchLoan::take();
        let gathered = &mut loan.get().first;
        for start in (0..pixels.len()).step_by(DEPTH_PIXELS) {
            let depth = DEPTH_PIXELS.min(pixels.len() - start);
            let a = match is_in_place(shape) {
                true => Left {
                    start: input[(pixels.start + start) * shape.channels_in + first..].as_ptr(),
                    stride: shape.channels_in,
                },
                false => {
                    gathered.resize(depth * PANEL_ROWS);
                    let columns = first..first + rows;
                    self.gather(pixels.start + start, columns, gathered.as_mut_slice());
                    Left::panel(gathered.as_slice().as_ptr())
                }
            };
            for panel in 0..k.div_ceil(width) {
                let b = (panel * pixels.len() + start) * width;
                let target = outer::Target {
                    start: sums.at(first * k + panel * width),
                    row_stride: k,
                    rows,
                    columns: width.min(k - panel * width),
                };
                let b = errors[b..][..depth * width].as_ptr();
                // SAFETY: both panels hold `depth` pixels; only this task writes these rows of the sums.
                unsafe { outer::accumulate::<S, Single>(simd, a, b, depth, target) };
            }
        }
    }
}

impl Piece<'_> {
    /// Copies the inputs of the taps and channels in `columns`, for each output pixel from `first` on, to
    /// `[pixel][PANEL_ROWS]`.
    #[inline(always)]
    fn gather(&self, first: usize, columns: Range<usize>, target: &mut [f32]) {
        let Job {
            shape,
            input,
            places,
            ..
        } = self.job;
        let mut place = places.place(first);
        if let Some(patches) = Patches::of(shape) {
            const { assert!(Patches::MOST_VALUES.is_multiple_of(PANEL_ROWS)) };
            let mut patch = [0.0; Patches::MOST_VALUES];
            let rows = patches.kernel_rows(&columns);
            for values in target.chunks_exact_mut(PANEL_ROWS) {
                patches.copy_rows(input, place, 0.0, rows.clone(), &mut patch);
                // Copies a whole panel, which needs no call: columns after the last are unused zeros.
                values.copy_from_slice(&patch[columns.start..][..PANEL_ROWS]);
                places.advance(&mut place);
            }
            return;
        }
        let (runs, n_runs) = runs(shape, columns);
        for values in target.chunks_exact_mut(PANEL_ROWS) {
            for run in &runs[..n_runs] {
                run.copy(shape, input, place, values);
            }
            places.advance(&mut place);
        }
    }
}

/// Neighbouring columns of one tap: channels that lie side by side in the input.
#[derive(Debug, Clone, Copy, Default)]
struct Run {
    /// The tap's pixel minus `stride * output pixel`, down and across.
    offset: [isize; 2],
    /// First channel.
    channel: usize,
    /// First column in the panel.
    at: usize,
    /// Number of columns.
    len: usize,
}

/// The runs of `columns`, and how many there are. Computed once per panel, so that no pixel pays for the divisions.
fn runs(shape: &Conv2dShape, columns: Range<usize>) -> ([Run; PANEL_ROWS], usize) {
    let channels = shape.channels_in;
    let mut runs = [Run::default(); PANEL_ROWS];
    let (mut column, mut count) = (columns.start, 0);
    while column < columns.end {
        let (tap, channel) = (column / channels, column % channels);
        let tap = [tap / shape.kernel[1], tap % shape.kernel[1]];
        let len = (channels - channel).min(columns.end - column);
        runs[count] = Run {
            offset: std::array::from_fn(|axis| {
                (tap[axis] * shape.dilation[axis]) as isize - shape.padding.start[axis] as isize
            }),
            channel,
            at: column - columns.start,
            len,
        };
        column += len;
        count += 1;
    }
    (runs, count)
}

impl Run {
    /// Copies what the tap saw from `place` into its columns of a panel; zeros in the padding.
    #[inline(always)]
    fn copy(&self, shape: &Conv2dShape, input: &[f32], place: Place, panel: &mut [f32]) {
        let values = &mut panel[self.at..][..self.len];
        let [height, width] = shape.input;
        // A negative index wraps round to a large one, which fails the test below.
        let y = ((place.y * shape.stride[0]) as isize + self.offset[0]) as usize;
        let x = ((place.x * shape.stride[1]) as isize + self.offset[1]) as usize;
        if y >= height || x >= width {
            values.fill(0.0);
            return;
        }
        let pixel = (place.picture * height + y) * width + x;
        let from = &input[pixel * shape.channels_in + self.channel..][..self.len];
        // Usually the panel is whole, which needs no call.
        match (
            from.as_array::<PANEL_ROWS>(),
            values.as_mut_array::<PANEL_ROWS>(),
        ) {
            (Some(from), Some(values)) => *values = *from,
            _ => values.copy_from_slice(from),
        }
    }
}
