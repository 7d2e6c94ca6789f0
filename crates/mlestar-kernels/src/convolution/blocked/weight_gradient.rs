//! The gradient of the weights: for each tap the sum, over pixels and images, of its source value times the
//! gradient of the output.

use std::ops::Range;

use rayon::prelude::*;

use super::{
    super::Conv2dShape,
    layout::{self, Pictures},
    view::View,
};
use crate::{
    matrix::block::{CELLS, Multiplier, Product, Products, SIDE, SUMS, TILE, TILE_CELLS, Target},
    memory::{Buffer, Shared},
    simd::{Operation, Simd},
};

/// Pixels of the output's gradient that are converted together: each block of sums is loaded once for this many
/// products, whose factors fit the second-level cache.
const CHUNK_PIXELS: usize = 256;

/// Sets `gradient`, `[channels_out][channels_in][height][width]`. The order of every sum does not depend on the
/// number of threads.
pub(crate) fn weight_gradient<S: Simd>(
    simd: S,
    shape: &Conv2dShape,
    [input, output_gradient]: [&[f32]; 2],
    gradient: &mut [f32],
) {
    assert_eq!(gradient.len(), shape.weight_len());
    let view = View::forward(shape);
    let pictures = |values, [height, width]: [usize; 2], channels| Pictures {
        values,
        n: shape.n,
        pixels: height * width,
        channels,
    };
    let input = pictures(input, view.source, shape.channels_in);
    let errors = pictures(output_gradient, view.result, shape.channels_out);
    input.check();
    errors.check();
    let [height, width] = view.result;
    let taps = shape.taps();
    let blocks = [input.blocks(), errors.blocks()];
    // `[input block][output block][tap]`
    let mut sums = Buffer::zeros(blocks[0] * blocks[1] * taps * SUMS);
    let [mut left, mut right] = [Buffer::default(), Buffer::default()];
    let mut products = vec![Vec::new(); taps];

    let most_rows = (CHUNK_PIXELS / width.max(1)).clamp(1, height.max(1));
    let parts = height.div_ceil(most_rows);
    for chunk in 0..shape.n.div_ceil(SIDE) * parts {
        let (group, part) = (chunk / parts, chunk % parts);
        let rows = part * height / parts..(part + 1) * height / parts;
        let source_rows = view.source_rows(rows.clone());
        let left_pixels = source_rows.start * view.source[1]..source_rows.end * view.source[1];
        let right_pixels = rows.start * width..rows.end * width;
        convert::<S, true>(simd, input, group, left_pixels.clone(), &mut left);
        convert::<S, false>(simd, errors, group, right_pixels.clone(), &mut right);

        products.iter_mut().for_each(Vec::clear);
        let (left, right) = (left.as_slice(), right.as_slice());
        for y in rows {
            for x in 0..width {
                let pixel = y * width + x - right_pixels.start;
                view.for_each_tap([y, x], |[source_y, source_x], tap| {
                    let source = source_y * view.source[1] + source_x - left_pixels.start;
                    products[tap].push(Product {
                        left: left[source * CELLS..].as_ptr(),
                        right: right[pixel * CELLS..].as_ptr(),
                    });
                });
            }
        }
        let lists: Vec<List> = products.iter().map(|list| List(list)).collect();
        let pixels = [left_pixels.len(), right_pixels.len()];
        let shared = Shared::new(sums.as_mut_slice());
        (0..blocks[0] * blocks[1])
            .into_par_iter()
            .with_max_len(1)
            .for_each(|pair| {
                simd.vectorize(MultiplyPair {
                    lists: &lists,
                    shift: [
                        pair / blocks[1] * pixels[0] * CELLS,
                        pair % blocks[1] * pixels[1] * CELLS,
                    ],
                    sums: shared.at(pair * taps * SUMS),
                });
            });
    }

    let sums = sums.as_slice();
    let [c, k] = [shape.channels_in, shape.channels_out];
    let gradient = Shared::new(gradient);
    (0..blocks[0] * blocks[1]).into_par_iter().for_each(|pair| {
        let [channels, channels_out] = [(pair / blocks[1], c), (pair % blocks[1], k)]
            .map(|(block, channels)| block * SIDE..channels.min((block + 1) * SIDE));
        for channel in channels.clone() {
            for tap in 0..taps {
                let row = (pair * taps + tap) * SUMS + (channel - channels.start) * SIDE;
                let row = &sums[row..][..channels_out.len()];
                for (channel_out, sum) in channels_out.clone().zip(row) {
                    // SAFETY: only this task writes this pair of blocks.
                    unsafe { *gradient.at((channel_out * c + channel) * taps + tap) = *sum };
                }
            }
        }
    });
}

/// Converts some pixels of a group to blocks `[block of channels][pixel]`: left or right factors.
fn convert<S: Simd, const LEFT: bool>(
    simd: S,
    pictures: Pictures,
    group: usize,
    pixels: Range<usize>,
    target: &mut Buffer,
) {
    let blocks = pictures.blocks();
    target.resize(blocks * pixels.len() * CELLS);
    let target = Shared::new(target.as_mut_slice());
    pixels.clone().into_par_iter().for_each(|pixel| {
        simd.vectorize(Convert::<LEFT> {
            pictures,
            group,
            pixel,
            target: target.at((pixel - pixels.start) * CELLS),
            stride: pixels.len() * CELLS,
        });
    });
}

struct Convert<'a, const LEFT: bool> {
    pictures: Pictures<'a>,
    group: usize,
    pixel: usize,
    /// Position of this pixel in the first block of channels.
    target: *mut f32,
    /// Distance from one block of channels to the next.
    stride: usize,
}

impl<const LEFT: bool> Operation for Convert<'_, LEFT> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        for channel in (0..self.pictures.blocks() * SIDE).step_by(TILE) {
            let place = channel / SIDE * self.stride + channel % SIDE / TILE * TILE_CELLS;
            // SAFETY: each block of channels has a block of cells for this pixel, which only this task writes.
            let target = unsafe { &mut *self.target.add(place).cast::<[f32; TILE_CELLS]>() };
            let at = [self.pixel, channel];
            match LEFT {
                true => layout::left_pairs(simd, self.pictures, self.group, at, target),
                false => layout::right_pairs(simd, self.pictures, self.group, at, target),
            }
        }
    }
}

/// Products of a tap, read by threads.
struct List<'a>(&'a [Product]);

// SAFETY: the factors at these pointers are not written while the list exists.
unsafe impl Sync for List<'_> {}

/// The sums of all taps for a block of input channels and one of output channels.
struct MultiplyPair<'a> {
    lists: &'a [List<'a>],
    shift: [usize; 2],
    /// Blocks `[tap]`.
    sums: *mut f32,
}

impl Operation for MultiplyPair<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let mut multiplier = Multiplier::new(simd);
        for (tap, list) in self.lists.iter().enumerate() {
            let products = Products {
                list: list.0,
                shift: self.shift,
                depth: 1,
            };
            let target = Target {
                start: self.sums.wrapping_add(tap * SUMS),
                row_stride: SIDE,
                add: true,
            };
            // SAFETY: each list points to blocks of one pixel in the first block of channels, and the shift
            // leads to those of other channels. Only this task writes the sums of this pair.
            unsafe { multiplier.multiply(products, target) };
        }
    }
}
