//! Largest value of each window of pixels.

use std::ops::Range;

use rayon::prelude::*;

use crate::{
    KernelError, Level,
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
    pub padding: usize,
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
            padding: 0,
        }
    }

    /// Height and width of the output.
    #[must_use]
    pub fn output(&self) -> [usize; 2] {
        self.input.map(|side| {
            let room = (side + 2 * self.padding).checked_sub(self.window);
            room.map_or(0, |room| room / self.stride.max(1) + 1)
        })
    }

    /// Whether every pixel is in at most one window.
    fn is_side_by_side(&self) -> bool {
        self.stride == self.window && self.padding == 0
    }

    /// For the output pixel at `index` along `axis`: the taps of its window that are inside the input, and the
    /// start of the window in the padded input.
    #[inline(always)]
    fn taps(&self, axis: usize, index: usize) -> (Range<usize>, usize) {
        let begin = index * self.stride;
        let end = self.window.min(self.input[axis] + self.padding - begin);
        (self.padding.saturating_sub(begin)..end, begin)
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
            && self.padding <= self.window / 2;
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
    let level = Level::current();
    let pictures = input.par_chunks_exact(shape.input_len());
    let outputs = output.par_chunks_exact_mut(shape.output_len());
    let Some(places) = places else {
        pictures.zip(outputs).for_each(|(picture, output)| {
            level.run(Largest {
                shape,
                picture,
                output,
                places: None,
            });
        });
        return Ok(());
    };
    check_length("places", places, outputs.len() * shape.output_len())?;
    let places = places.par_chunks_exact_mut(shape.output_len());
    pictures
        .zip(outputs)
        .zip(places)
        .for_each(|((picture, output), places)| {
            level.run(Largest {
                shape,
                picture,
                output,
                places: Some(places),
            });
        });
    Ok(())
}

/// [`max_pool`] of one image. The loops use no explicit instructions; the compiler vectorises them.
struct Largest<'a> {
    shape: &'a MaxPoolShape,
    picture: &'a [f32],
    output: &'a mut [f32],
    places: Option<&'a mut [u8]>,
}

impl Operation for Largest<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        if !self.shape.is_side_by_side() {
            return self.overlapping();
        }
        let Self {
            shape,
            picture,
            output,
            mut places,
        } = self;
        let (channels, window) = (shape.channels, shape.window);
        let row = shape.input[1] * channels;
        let [_, width] = shape.output();
        for (pixel, output) in output.chunks_exact_mut(channels).enumerate() {
            let corner = pixel / width * window * row + pixel % width * window * channels;
            for (lane, output) in output.chunks_mut(LANES).enumerate() {
                let first = corner + lane * LANES;
                let used = output.len();
                let mut largest = [f32::NEG_INFINITY; LANES];
                let mut place = [0_u32; LANES];
                for tap in 0..(window * window) {
                    let from = first + tap / window * row + tap % window * channels;
                    let mut values = [f32::NEG_INFINITY; LANES];
                    values[..used].copy_from_slice(&picture[from..from + used]);
                    for c in 0..LANES {
                        let takes = (values[c] > largest[c]) | values[c].is_nan();
                        largest[c] = if takes { values[c] } else { largest[c] };
                        place[c] = if takes { tap as u32 } else { place[c] };
                    }
                }
                output.copy_from_slice(&largest[..used]);
                if let Some(places) = &mut places {
                    let from = pixel * channels + lane * LANES;
                    for (to, place) in places[from..from + used].iter_mut().zip(place) {
                        *to = place as u8;
                    }
                }
            }
        }
    }
}

impl Largest<'_> {
    /// Windows of any stride and padding. A separate method, because a common loop slows down the other case.
    #[inline(always)]
    fn overlapping(mut self) {
        let shape = self.shape;
        let (channels, row) = (shape.channels, shape.input[1] * shape.channels);
        let [_, width] = shape.output();
        for (pixel, output) in self.output.chunks_exact_mut(channels).enumerate() {
            let (down, top) = shape.taps(0, pixel / width);
            let (across, left) = shape.taps(1, pixel % width);
            for (lane, output) in output.chunks_mut(LANES).enumerate() {
                let used = output.len();
                let mut largest = [f32::NEG_INFINITY; LANES];
                let mut place = [0_u32; LANES];
                for y in down.clone() {
                    let line = (top + y - shape.padding) * row + lane * LANES;
                    for x in across.clone() {
                        let from = line + (left + x - shape.padding) * channels;
                        let mut values = [f32::NEG_INFINITY; LANES];
                        values[..used].copy_from_slice(&self.picture[from..from + used]);
                        for c in 0..LANES {
                            let takes = (values[c] > largest[c]) | values[c].is_nan();
                            largest[c] = if takes { values[c] } else { largest[c] };
                            place[c] = if takes {
                                (y * shape.window + x) as u32
                            } else {
                                place[c]
                            };
                        }
                    }
                }
                output.copy_from_slice(&largest[..used]);
                if let Some(places) = &mut self.places {
                    let from = pixel * channels + lane * LANES;
                    for (to, place) in places[from..from + used].iter_mut().zip(place) {
                        *to = place as u8;
                    }
                }
            }
        }
    }
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
                let (line, column) = (top + y - shape.padding, left + x - shape.padding);
                let from = line * row + column * channels;
                let values = &mut self.picture[from..from + channels];
                for ((value, gradient), place) in values.iter_mut().zip(gradient).zip(places) {
                    let is_here = usize::from(*place) == y * shape.window + x;
                    *value += if is_here { *gradient } else { 0.0 };
                }
            }
        }
    }
}
