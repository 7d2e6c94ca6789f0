//! 3x3 convolutions of stride 1 with a quarter of the multiplications (Winograd).
//!
//! Each 4x4 tile of the result is computed from its 6x6 input patch: the patch is transformed, each of its 36
//! positions is multiplied by the transformed weights of that position (a matrix product over channels), and
//! the products are transformed back.

mod patch;
mod tiles;
mod transform;
mod weight_gradient;

use std::{marker::PhantomData, ops::Range};

use rayon::prelude::*;

use super::{Conv2dShape, direct::piece_len, weights::WeightView};
use crate::{
    matrix::{
        Factors, TILE_ROWS, WIDEST_TILE,
        rows::{self, Finish, Panels, Rows},
        tile_width,
    },
    memory::{Buffer, Scratch, ScratchLoan, Shared, check},
    simd::{Operation, Simd},
    values::{Stored, Target, ValuesMut},
};
use patch::{Patch, Transform as _};
use tiles::{PATCH, POSITIONS, TILE, Tile};

pub(crate) use tiles::Tiles;
pub(crate) use weight_gradient::weight_gradient;

/// Channel counts must be multiples of this: the widest vector.
const CHANNEL_MULTIPLE: usize = 16;
/// Extra distance between the planes of positions, so that the 36 places to which a patch is written are not in
/// the same set of the first-level cache.
const PLANE_PADDING: usize = 16;

/// Every this many tiles, another thread gets its own blocks; further threads share the panels.
const LEAST_BLOCK_TILES: usize = 2 * TILE_ROWS;

/// Whether this algorithm can compute a convolution, forward and for both gradients.
pub(crate) fn applies(shape: &Conv2dShape) -> bool {
    shape.kernel == [3, 3]
        && shape.stride == [1, 1]
        && shape.dilation == [1, 1]
        && shape.padding.largest() <= 2
        && shape.channels_in.is_multiple_of(CHANNEL_MULTIPLE)
        && shape.channels_out.is_multiple_of(CHANNEL_MULTIPLE)
}

/// A convolution, or the gradient of its input, with transformed weights. The factors of the products are
/// stored as `F`.
#[derive(Debug)]
pub(crate) struct Winograd<F> {
    factors: PhantomData<F>,
    tiles: Tiles,
    summed: usize,
    results: usize,
    /// Columns of a panel: weights are packed for one instruction set.
    width: usize,
    /// Cells `[position][panel][summed / PER_CELL][width]`.
    weights: Buffer,
    /// A pixel of the padding: in every form, zeros are zero bits.
    zeros: Vec<f32>,
}

impl<F: Factors> Winograd<F> {
    pub(crate) fn forward<S: Simd>(simd: S, shape: &Conv2dShape, weights: WeightView) -> Self {
        let tiles = Tiles {
            source: shape.input,
            result: shape.output(),
            padding: shape.padding.start,
        };
        Self::pack(simd, tiles, weights, false)
    }

    /// The gradient of the input is a convolution of that of the output with the rotated kernel.
    pub(crate) fn input_gradient<S: Simd>(
        simd: S,
        shape: &Conv2dShape,
        weights: WeightView,
    ) -> Self {
        let tiles = Tiles {
            source: shape.output(),
            result: shape.input,
            padding: shape.padding.start.map(|padding| 2 - padding),
        };
        Self::pack(simd, tiles, weights, true)
    }

    fn pack<S: Simd>(simd: S, tiles: Tiles, weights: WeightView, turned: bool) -> Self {
        let width = tile_width::<S>();
        let panels = weights.results.div_ceil(width);
        let mut packed = Buffer::new(POSITIONS * panels * weights.summed / F::PER_CELL * width);
        let shared = Shared::new(packed.as_mut_slice());
        (0..panels).into_par_iter().for_each(|panel| {
            simd.vectorize(PackPanel::<F> {
                factors: PhantomData,
                weights,
                turned,
                panel,
                panels,
                packed: shared,
            });
        });
        Self {
            factors: PhantomData,
            tiles,
            summed: weights.summed,
            results: weights.results,
            width,
            weights: packed,
            zeros: vec![0.0; weights.summed],
        }
    }

    fn zeros<T: Stored>(&self) -> &[T] {
        T::zeros(&self.zeros)
    }

    /// Cells of a pixel's channels.
    fn cells(&self) -> usize {
        self.summed / F::PER_CELL
    }

    /// Bytes of the packed weights.
    pub(crate) fn bytes(&self) -> usize {
        size_of_val(self.weights.as_slice())
    }

    /// Computes the results of `n` images. `weights` are the unpacked weights; they are used for tiles whose
    /// results are not finite. `target` has as many values as the results.
    pub(crate) fn run<S: Simd, T: Stored>(
        &self,
        simd: S,
        n: usize,
        source: &[T],
        weights: Kernel,
        finish: Finish,
        target: Target,
    ) {
        let Tiles { source: s, .. } = self.tiles;
        assert_eq!(source.len(), n * s[0] * s[1] * self.summed);
        assert_eq!(
            self.width,
            tile_width::<S>(),
            "packed for other instructions"
        );
        let tiles = n * self.tiles.per_picture();
        let job = Job {
            winograd: self,
            source,
            zeros: self.zeros(),
            kernel: weights,
            target,
            finish,
        };
        let threads = rayon::current_num_threads();
        let panels = self.results.div_ceil(self.width);
        // Threads without a block of their own take some of a block's panels, so each reads only a part of the
        // weights. The patches are then transformed twice, which costs little.
        let parts = threads
            .div_ceil(tiles.div_ceil(LEAST_BLOCK_TILES).max(1))
            .min(panels);
        let most = block_tiles(self.cells(), self.results);
        let block = piece_len(tiles, most, threads.div_ceil(parts));
        (0..tiles.div_ceil(block) * parts)
            .into_par_iter()
            .with_max_len(1)
            .for_each(|piece| {
                let (first, part) = (piece / parts * block, piece % parts);
                simd.vectorize(Block {
                    job: &job,
                    tiles: first..tiles.min(first + block),
                    panels: part * panels / parts..(part + 1) * panels / parts,
                });
            });
    }
}

/// Target size of a block's transformed values in bytes: most of a second-level cache.
const BLOCK_BYTES: usize = 384 << 10;

/// Tiles that are computed together: many share each reading of the weights; few keep the transformed values in
/// the second-level cache.
fn block_tiles(cells: usize, results: usize) -> usize {
    let bytes = POSITIONS * (cells + results) * size_of::<f32>();
    let tiles = BLOCK_BYTES / bytes.max(1);
    (tiles / TILE_ROWS * TILE_ROWS).clamp(4 * TILE_ROWS, 16 * TILE_ROWS)
}

/// The unpacked weights.
#[derive(Clone, Copy)]
pub(crate) struct Kernel<'a> {
    pub weights: WeightView<'a>,
    /// Whether the kernel is rotated.
    pub turned: bool,
}

#[inline(always)]
fn tap_of(turned: bool, tap: usize) -> usize {
    if turned { 8 - tap } else { tap }
}

struct PackPanel<'a, F> {
    factors: PhantomData<F>,
    weights: WeightView<'a>,
    turned: bool,
    panel: usize,
    panels: usize,
    packed: Shared,
}

impl<F: Factors> Operation for PackPanel<'_, F> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let width = tile_width::<S>();
        let WeightView {
            values,
            results,
            summed,
            ..
        } = self.weights;
        let first = self.panel * width;
        let real = width.min(results - first);
        let cells = summed / F::PER_CELL;
        // Of each channel of a cell.
        let mut taps = [[[0.0; WIDEST_TILE]; 9]; 2];
        for cell in 0..cells {
            for (part, taps) in taps[..F::PER_CELL].iter_mut().enumerate() {
                let channel = cell * F::PER_CELL + part;
                for lane in 0..real {
                    let kernel = &values[self.weights.position(first + lane, channel)..][..9];
                    for (tap, lanes) in taps.iter_mut().enumerate() {
                        lanes[lane] = kernel[tap_of(self.turned, tap)];
                    }
                }
            }
            for v in (0..width).step_by(S::LANES) {
                let transformed = transform_kernel(simd, &taps[0], v);
                let second = match F::PER_CELL {
                    1 => transformed,
                    _ => transform_kernel(simd, &taps[1], v),
                };
                for y in 0..PATCH {
                    for x in 0..PATCH {
                        let position = y * PATCH + x;
                        let row = (position * self.panels + self.panel) * cells + cell;
                        let value = match F::PER_CELL {
                            1 => transformed[y][x],
                            _ => simd.pack_pairs(transformed[y][x], second[y][x]),
                        };
                        // SAFETY: only this task writes this row of this panel.
                        unsafe { simd.store(self.packed.at(row * width + v), value) };
                    }
                }
            }
        }
    }
}

/// The transformed kernels of the output channels starting with `first`, as many as there are lanes.
#[inline(always)]
fn transform_kernel<S: Simd>(
    simd: S,
    taps: &[[f32; WIDEST_TILE]; 9],
    first: usize,
) -> [[S::Vector; PATCH]; PATCH] {
    check(first + S::LANES <= WIDEST_TILE);
    let mut columns = [[simd.splat(0.0); 3]; PATCH];
    for x in 0..3 {
        let mut g = [simd.splat(0.0); 3];
        for (y, tap) in g.iter_mut().enumerate() {
            // SAFETY: the panel's width is at most `WIDEST_TILE`.
            *tap = unsafe { simd.load(taps[y * 3 + x].as_ptr().add(first)) };
        }
        let u = transform::filter(simd, g);
        for y in 0..PATCH {
            columns[y][x] = u[y];
        }
    }
    let mut positions = [[simd.splat(0.0); PATCH]; PATCH];
    for y in 0..PATCH {
        positions[y] = transform::filter(simd, columns[y]);
    }
    positions
}

struct Job<'a, F, T> {
    winograd: &'a Winograd<F>,
    source: &'a [T],
    /// A pixel of the padding.
    zeros: &'a [T],
    kernel: Kernel<'a>,
    target: Target,
    finish: Finish<'a>,
}

/// Some tiles, for some panels of weights.
struct Block<'a, F, T> {
    job: &'a Job<'a, F, T>,
    tiles: Range<usize>,
    panels: Range<usize>,
}

impl<F: Factors, T: Stored> Operation for Block<'_, F, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let mut loan = ScratchLoan::take();
        let scratch = loan.get();
        let cells = self.job.winograd.cells();
        let n = self.tiles.len();
        let planes = [cells, self.channels().len()].map(|values| n * values + PLANE_PADDING);
        scratch.first.resize(POSITIONS * planes[0]);
        scratch.second.resize(POSITIONS * planes[1]);
        self.transform_input(simd, scratch.first.as_mut_slice(), planes[0]);
        self.multiply(simd, scratch, planes);
        self.transform_output(simd, scratch.second.as_slice(), planes[1]);
    }
}

impl<F: Factors, T: Stored> Block<'_, F, T> {
    /// The channels of the panels.
    fn channels(&self) -> Range<usize> {
        let Winograd { width, results, .. } = *self.job.winograd;
        self.panels.start * width..results.min(self.panels.end * width)
    }

    /// Cells `[position][tile][summed / PER_CELL]`.
    #[inline(always)]
    fn transform_input<S: Simd>(&self, simd: S, target: &mut [f32], plane: usize) {
        let winograd = self.job.winograd;
        let cells = winograd.cells();
        check(winograd.summed.is_multiple_of(S::LANES));
        assert_eq!(target.len(), POSITIONS * plane);
        let target = Shared::new(target);
        for (index, tile) in self.tiles.clone().enumerate() {
            let start = index * cells;
            let pixels = winograd.tiles.source_pixels(winograd.tiles.tile(tile));
            let patch = Patch::new(pixels, self.job.source, winograd.summed, self.job.zeros);
            for c in (0..winograd.summed).step_by(S::LANES) {
                // SAFETY: there are whole vectors of channels.
                let values = unsafe { patch.transform(simd, c) };
                for (position, value) in values.into_iter().enumerate() {
                    let row = target.at(position * plane + start);
                    // SAFETY: the vector lies in the plane of its position, which holds a cell for each channel
                    // of each tile of the block.
                    unsafe {
                        match F::PER_CELL {
                            1 => simd.store(row.wrapping_add(c), value),
                            _ => simd.store_rounded(row.cast::<u16>().wrapping_add(c), value),
                        }
                    }
                }
            }
        }
    }

    /// Multiplies the tiles of each position by its weights; the result is `[tile][channel]`.
    #[inline(always)]
    fn multiply<S: Simd>(&self, simd: S, scratch: &mut Scratch, planes: [usize; 2]) {
        let Winograd {
            results,
            ref weights,
            ..
        } = *self.job.winograd;
        let cells = self.job.winograd.cells();
        let n = self.tiles.len();
        let channels = self.channels();
        let panels = results.div_ceil(tile_width::<S>());
        let position_len = panels * cells * tile_width::<S>();
        let (first, second) = (scratch.first.as_slice(), scratch.second.as_mut_slice());
        for position in 0..POSITIONS {
            let from = first[position * planes[0]..][..n * cells].as_ptr();
            let to = &mut second[position * planes[1]..][..n * channels.len()];
            let whole = n.next_multiple_of(TILE_ROWS);
            scratch.sources.clear();
            let sources = (0..whole).map(|tile| from.wrapping_add(tile.min(n - 1) * cells));
            scratch.sources.extend(sources);
            scratch.targets.clear();
            // Rows are stored starting with the first channel of their panel, counted from 0.
            let targets = (0..n).map(|tile| (tile * channels.len()).wrapping_sub(channels.start));
            scratch.targets.extend(targets);
            let rows = Rows {
                sources: &scratch.sources,
                targets: &scratch.targets,
            };
            let values = &weights.as_slice()[position * position_len..][..position_len];
            let packed = Panels {
                values,
                taps: 1,
                depth: cells,
                channels: results,
            };
            // SAFETY: sources and targets are the tiles of this position's planes, which hold the
            // channels of these panels.
            unsafe {
                let panels = self.panels.clone();
                let target = ValuesMut::F32(to).target();
                rows::multiply::<S, F>(simd, &rows, packed, panels, Finish::NOTHING, target);
            }
        }
    }

    #[inline(always)]
    fn transform_output<S: Simd>(&self, simd: S, products: &[f32], plane: usize) {
        let Winograd { tiles, width, .. } = self.job.winograd;
        let channels = self.channels();
        assert_eq!(products.len(), POSITIONS * plane);
        for (index, tile) in self.tiles.clone().enumerate() {
            let tile = tiles.tile(tile);
            let products = &products[index * channels.len()..];
            let all = channels.clone();
            // SAFETY: the planes hold products of `channels` for each tile, and only this block writes these
            // channels of the tile's pixels.
            let finite = unsafe { self.transform_tile(simd, tile, products, plane, all) };
            if finite {
                continue;
            }
            // Panel by panel, so that the bits do not depend on how the panels are distributed.
            for first in channels.clone().step_by(*width) {
                let panel = first..channels.end.min(first + width);
                let products = &products[first - channels.start..];
                // SAFETY: as above.
                let finite =
                    unsafe { self.transform_tile(simd, tile, products, plane, panel.clone()) };
                if !finite {
                    self.recompute(simd, tile, panel);
                }
            }
        }
    }

    /// Writes some channels of the pixels of a tile; returns false if a result is infinite or NaN.
    ///
    /// # Safety
    ///
    /// The products of `channels` must be readable at the start of each plane. These channels of the tile's
    /// pixels must be writable, and by this call only.
    #[inline(always)]
    unsafe fn transform_tile<S: Simd>(
        &self,
        simd: S,
        tile: Tile,
        products: &[f32],
        plane: usize,
        channels: Range<usize>,
    ) -> bool {
        let Job { target, finish, .. } = *self.job;
        let Winograd { tiles, results, .. } = self.job.winograd;
        let results = *results;
        let pixels = tiles.result_pixels(tile);
        let mut doubt = simd.splat(0.0);
        for c in channels.clone().step_by(S::LANES) {
            let products = products.as_ptr().wrapping_add(c - channels.start);
            let mut columns = [[simd.splat(0.0); PATCH]; TILE];
            for x in 0..PATCH {
                let mut m = [simd.splat(0.0); PATCH];
                for (y, value) in m.iter_mut().enumerate() {
                    // SAFETY: the caller's promise; there are whole vectors of channels.
                    *value = unsafe { simd.load(products.add((y * PATCH + x) * plane)) };
                }
                let y = transform::output(simd, m);
                for row in 0..TILE {
                    columns[row][x] = y[row];
                }
            }
            let mut rows = [[simd.splat(0.0); TILE]; TILE];
            for y in 0..TILE {
                rows[y] = transform::output(simd, columns[y]);
            }
            // The four corners together depend on all 36 products. Infinity minus infinity is NaN, and NaN
            // propagates.
            let top = simd.add(rows[0][0], rows[0][TILE - 1]);
            let bottom = simd.add(rows[TILE - 1][0], rows[TILE - 1][TILE - 1]);
            let corners = simd.add(top, bottom);
            doubt = simd.add(doubt, simd.sub(corners, corners));
            for (index, pixel) in pixels.iter().enumerate() {
                let Some(pixel) = pixel else { continue };
                let place = pixel * results + c;
                let value = rows[index / TILE][index % TILE];
                // SAFETY: the pixel is in the result, and so in the residual; `run` has checked that the bias has
                // `results` values.
                unsafe {
                    let value = finish.apply(simd, value, [c, place], S::LANES);
                    target.store(simd, place, value);
                }
            }
        }
        let mut lanes = [0.0; WIDEST_TILE];
        // SAFETY: no vector is longer than `lanes`.
        unsafe { simd.store(lanes.as_mut_ptr(), doubt) };
        lanes.iter().all(|lane| !lane.is_nan())
    }

    /// Computes a tile tap by tap, so that an infinity or NaN reaches only the pixels that read it.
    #[cold]
    fn recompute<S: Simd>(&self, simd: S, tile: Tile, channels: Range<usize>) {
        let Job {
            winograd,
            source,
            zeros,
            kernel: Kernel { weights, turned },
            target,
            finish,
        } = *self.job;
        let (summed, results) = (winograd.summed, winograd.results);
        for index in 0..TILE * TILE {
            let [y, x] = [index / TILE, index % TILE];
            let Some(pixel) = winograd.tiles.result_pixel(tile, [y, x]) else {
                continue;
            };
            for first in channels.clone().step_by(S::LANES) {
                let mut sums = [0.0; WIDEST_TILE];
                for lane in 0..S::LANES {
                    for tap in 0..9 {
                        let place = [y + tap / 3, x + tap % 3];
                        let pixel = match winograd.tiles.source_pixel(tile, place) {
                            Some(from) => &source[from * summed..][..summed],
                            None => zeros,
                        };
                        let kernel_tap = tap_of(turned, tap);
                        for (c, value) in pixel.iter().enumerate() {
                            let position = weights.position(first + lane, c) + kernel_tap;
                            sums[lane] += value.value() * weights.values[position];
                        }
                    }
                }
                let place = pixel * results + first;
                // SAFETY: as for the vectors of `transform_tile`.
                unsafe {
                    let sums = simd.load(sums.as_ptr());
                    let values = finish.apply(simd, sums, [first, place], S::LANES);
                    target.store(simd, place, values);
                }
            }
        }
    }
}
