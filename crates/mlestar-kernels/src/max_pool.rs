//! Largest value of each window of pixels.

use std::ops::Range;

use rayon::prelude::*;

use crate::{
    KernelError, Level, Padding,
    error::check_length,
    simd::{Operation, Simd},
};

/// Number of channels compared together.
const LANES: usize = 16;

/// The sizes of a max pooling. Incomplete windows at the lower and right border are left out, as in PyTorch by
/// default.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MaxPoolShape {
    /// Height and width of the input.
    pub input: [usize; 2],
    /// Channels of input and output.
    pub channels: usize,
    /// Side of the square window: 1 to 15.
    pub window: usize,
    /// Pixels from one window to the next.
    pub stride: usize,
    /// Pixels around the input that windows may cover, at most half a window; they are ignored.
    pub padding: Padding,
}

impl MaxPoolShape {
    /// Maximum side of a window: a position in it is stored in a byte.
    pub const MAX_WINDOW: usize = 15;

    /// Windows side by side, none of them over the border.
    #[must_use]
    pub fn side_by_side(input: [usize; 2], channels: usize, window: usize) -> Self {
        Self {
            input,
            channels,
            window,
            stride: window,
            padding: Padding::NONE,
        }
    }

    /// Height and width of the output.
    #[must_use]
    pub fn output(&self) -> [usize; 2] {
        std::array::from_fn(|axis| {
            let padded = self.input[axis] + self.padding.total(axis);
            let room = padded.checked_sub(self.window);
            room.map_or(0, |room| room / self.stride.max(1) + 1)
        })
    }

    /// Whether every pixel is in at most one window.
    fn is_side_by_side(&self) -> bool {
        self.stride == self.window && self.padding == Padding::NONE
    }

    /// For the output pixel at `index` along `axis`: the taps of its window that are inside the input, and the
    /// start of the window in the padded input.
    #[inline(always)]
    fn taps(&self, axis: usize, index: usize) -> (Range<usize>, usize) {
        let begin = index * self.stride;
        let padding = self.padding.start[axis];
        let end = self.window.min(self.input[axis] + padding - begin);
        (padding.saturating_sub(begin)..end, begin)
    }

    /// Values of one image's input.
    fn input_len(&self) -> usize {
        self.input[0] * self.input[1] * self.channels
    }

    /// Values of one image's output.
    fn output_len(&self) -> usize {
        let [height, width] = self.output();
        height * width * self.channels
    }

    /// Checks all sizes.
    fn check(&self, input: &[f32], output: &[f32]) -> Result<(), KernelError> {
        let fits = (1..=Self::MAX_WINDOW).contains(&self.window)
            && self.stride > 0
            && self.padding.largest() <= self.window / 2;
        if !fits || self.output_len() == 0 {
            return Err(KernelError::Shape {
                what: "max pool",
                reason: format!(
                    "windows of {0}x{0} pixels over {1}x{2} pixels of {3} channels; the window must be 1 \
                     to {4} and no larger than the image, and there must be channels; the stride is {5} and \
                     must be above 0, the padding {6} and at most half a window",
                    self.window,
                    self.input[0],
                    self.input[1],
                    self.channels,
                    Self::MAX_WINDOW,
                    self.stride,
                    self.padding
                ),
            });
        }
        let n = output.len() / self.output_len();
        check_length("output", output, n * self.output_len())?;
        check_length("input", input, n * self.input_len())
    }
}

/// Sets `output`, `[n, height, width, channels]` of [`MaxPoolShape::output`], to the largest value of each
/// window of `input`, `[n, height, width, channels]`, and `places`, of the same length, to its position in the
/// window (row by row). Of equal values the first counts; NaN counts as the largest.
///
/// # Errors
///
/// [`KernelError`] if a slice has the wrong length, the window is 0, larger than 15 or larger than the image,
/// the stride is 0, or the padding is larger than half a window.
///
/// ```
/// use mlestar_kernels::{MaxPoolShape, max_pool};
///
/// let shape = MaxPoolShape::side_by_side([2, 2], 1, 2);
/// let (mut largest, mut places) = ([0.0], [0]);
/// max_pool(&shape, &[1.0, 4.0, 3.0, 2.0], &mut largest, Some(&mut places))?;
/// assert_eq!((largest, places), ([4.0], [1]));
/// # Ok::<(), mlestar_kernels::KernelError>(())
/// ```
pub fn max_pool(
    shape: &MaxPoolShape,
    input: &[f32],
    output: &mut [f32],
    places: Option<&mut [u8]>,
) -> Result<(), KernelError> {
    shape.check(input, output)?;
    if let Some(places) = &places {
        check_length("places", places, output.len())?;
    }
    let level = Level::current();
    let [height, width] = shape.output();
    let row_len = width * shape.channels;
    let rows = output.par_chunks_exact_mut(row_len).enumerate();
    let row = |index: usize| Row {
        shape,
        picture: &input[index / height * shape.input_len()..][..shape.input_len()],
        y: index % height,
    };
    match places {
        None => rows.for_each(|(index, output)| {
            level.run(Largest::<false> {
                row: row(index),
                output,
                places: &mut [],
            });
        }),
        Some(places) => {
            rows.zip(places.par_chunks_exact_mut(row_len))
                .for_each(|((index, output), places)| {
                    level.run(Largest::<true> {
                        row: row(index),
                        output,
                        places,
                    });
                })
        }
    }
    Ok(())
}

/// A row of the output of one image.
struct Row<'a> {
    shape: &'a MaxPoolShape,
    picture: &'a [f32],
    y: usize,
}

/// [`max_pool`] of a row, with the places of the largest values if `PLACES`. The loops use no explicit instructions;
/// the compiler vectorises them.
struct Largest<'a, const PLACES: bool> {
    row: Row<'a>,
    output: &'a mut [f32],
    places: &'a mut [u8],
}

/// The part of a window that is inside the image.
struct Window {
    /// Position of its first pixel's first channel.
    start: usize,
    rows: usize,
    columns: usize,
    /// Place of its first pixel in the whole window.
    place: usize,
}

impl<const PLACES: bool> Operation for Largest<'_, PLACES> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        let Row { shape, picture, y } = self.row;
        let channels = shape.channels;
        let (down, top) = shape.taps(0, y);
        let first_row = top + down.start - shape.padding.start[0];
        for (x, output) in self.output.chunks_exact_mut(channels).enumerate() {
            let (across, left) = shape.taps(1, x);
            let first_column = left + across.start - shape.padding.start[1];
            let window = Window {
                start: (first_row * shape.input[1] + first_column) * channels,
                rows: down.len(),
                columns: across.len(),
                place: down.start * shape.window + across.start,
            };
            for (lane, output) in output.chunks_mut(LANES).enumerate() {
                let first = lane * LANES;
                let (largest, place) = match output.len() {
                    // A whole vector is copied without a call.
                    LANES => largest::<PLACES, true>(shape, picture, &window, first, LANES),
                    used => largest::<PLACES, false>(shape, picture, &window, first, used),
                };
                output.copy_from_slice(&largest[..output.len()]);
                if PLACES {
                    let from = x * channels + first;
                    let places = &mut self.places[from..from + output.len()];
                    for (to, place) in places.iter_mut().zip(place) {
                        *to = place as u8;
                    }
                }
            }
        }
    }
}

/// The largest values of `used` channels from `channel` on, and their places in the window. `WHOLE` if `used` is
/// [`LANES`].
#[inline(always)]
fn largest<const PLACES: bool, const WHOLE: bool>(
    shape: &MaxPoolShape,
    picture: &[f32],
    window: &Window,
    channel: usize,
    used: usize,
) -> ([f32; LANES], [u32; LANES]) {
    let mut largest = [f32::NEG_INFINITY; LANES];
    let mut place = [window.place as u32; LANES];
    for y in 0..window.rows {
        let row = window.start + y * shape.input[1] * shape.channels + channel;
        for x in 0..window.columns {
            let from = row + x * shape.channels;
            let mut values = [f32::NEG_INFINITY; LANES];
            if WHOLE {
                values.copy_from_slice(&picture[from..from + LANES]);
            } else {
                values[..used].copy_from_slice(&picture[from..from + used]);
            }
            let tap = (window.place + y * shape.window + x) as u32;
            for c in 0..LANES {
                let takes = (values[c] > largest[c]) | values[c].is_nan();
                largest[c] = if takes { values[c] } else { largest[c] };
                if PLACES {
                    place[c] = if takes { tap } else { place[c] };
                }
            }
        }
    }
    (largest, place)
}

/// Sets `input_gradient`, of the input's length, from the gradient of [`max_pool`]'s output and its `places`:
/// the gradient of a window goes to the position of its largest value, where gradients are added up.
///
/// # Errors
///
/// [`KernelError`], as for [`max_pool`].
pub fn max_pool_backward(
    shape: &MaxPoolShape,
    places: &[u8],
    output_gradient: &[f32],
    input_gradient: &mut [f32],
) -> Result<(), KernelError> {
    shape.check(input_gradient, output_gradient)?;
    check_length("places", places, output_gradient.len())?;
    let level = Level::current();
    input_gradient
        .par_chunks_exact_mut(shape.input_len())
        .zip(output_gradient.par_chunks_exact(shape.output_len()))
        .zip(places.par_chunks_exact(shape.output_len()))
        .for_each(|((picture, gradient), places)| {
            level.run(Scatter {
                shape,
                picture,
                gradient,
                places,
            });
        });
    Ok(())
}

/// [`max_pool_backward`] of one image.
struct Scatter<'a> {
    shape: &'a MaxPoolShape,
    picture: &'a mut [f32],
    gradient: &'a [f32],
    places: &'a [u8],
}

impl Operation for Scatter<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        let shape = self.shape;
        if !shape.is_side_by_side() {
            return self.sum();
        }
        let Self {
            picture,
            gradient,
            places,
            ..
        } = self;
        let (channels, window) = (shape.channels, shape.window);
        let row = shape.input[1] * channels;
        let [height, width] = shape.output();
        // Pixels outside all windows.
        if height * window != shape.input[0] || width * window != shape.input[1] {
            picture.fill(0.0);
        }
        let pixels = gradient
            .chunks_exact(channels)
            .zip(places.chunks_exact(channels));
        for (index, (gradient, places)) in pixels.enumerate() {
            let corner = index / width * window * row + index % width * window * channels;
            for tap in 0..(window * window) {
                let from = corner + tap / window * row + tap % window * channels;
                let values = &mut picture[from..from + channels];
                for ((value, gradient), place) in values.iter_mut().zip(gradient).zip(places) {
                    // As wide as the values, so that one comparison handles a vector of them.
                    let is_here = u32::from(*place) == tap as u32;
                    *value = if is_here { *gradient } else { 0.0 };
                }
            }
        }
    }
}

impl Scatter<'_> {
    /// For overlapping windows: a pixel gets the gradients of all windows whose largest value it is.
    #[inline(always)]
    fn sum(self) {
        let shape = self.shape;
        let (channels, row) = (shape.channels, shape.input[1] * shape.channels);
        let [_, width] = shape.output();
        self.picture.fill(0.0);
        let pixels = (self.gradient.chunks_exact(channels)).zip(self.places.chunks_exact(channels));
        for (index, (gradient, places)) in pixels.enumerate() {
            let (down, top) = shape.taps(0, index / width);
            let (across, left) = shape.taps(1, index % width);
            for (y, x) in down.flat_map(|y| across.clone().map(move |x| (y, x))) {
                let line = top + y - shape.padding.start[0];
                let column = left + x - shape.padding.start[1];
                let from = line * row + column * channels;
                let values = &mut self.picture[from..from + channels];
                for ((value, gradient), place) in values.iter_mut().zip(gradient).zip(places) {
                    let is_here = u32::from(*place) == (y * shape.window + x) as u32;
                    *value += if is_here { *gradient } else { 0.0 };
                }
            }
        }
    }
}
