//! Convolution as a product of gathered rows: any kernel, stride, padding and dilation, forward and
//! for the gradient of the input.

use std::{marker::PhantomData, ops::Range};

use rayon::prelude::*;

use super::{
    Conv2dShape,
    patch::{Patches, Places},
    weights::WeightView,
};
use crate::{
    matrix::{
        Factors, TILE_ROWS,
        rows::{self, Finish, Panels, Rows},
        tile_width,
    },
    memory::{Buffer, Plain, Scratch, ScratchLoan, cast_mut},
    simd::{Operation, Simd},
    values::Target,
};

/// Pixels that are computed together: their sources stay in the second-level cache.
const BLOCK_PIXELS: usize = 16 * TILE_ROWS;

/// A tap of the kernel, as one phase uses it.
#[derive(Debug, Clone, Copy)]
struct Tap {
    /// Position in the kernel.
    index: usize,
    /// Source pixel minus `step * grid position`, vertical and horizontal.
    offset: [isize; 2],
}

/// Result pixels that use the same taps. A forward convolution has one phase; the gradient of an input has
/// `stride * stride`, because neighbouring pixels were read by different taps.
#[derive(Debug)]
struct Phase {
    /// Result pixel of grid position 0.
    start: [usize; 2],
    /// Result pixels from one grid position to the next.
    spacing: [usize; 2],
    /// Number of grid positions, vertical and horizontal.
    grid: [usize; 2],
    /// Source pixels from one grid position to the next.
    step: [usize; 2],
    taps: Vec<Tap>,
    weights: Buffer,
}

/// A convolution, or the gradient of its input, with packed weights.
#[derive(Debug)]
pub(crate) struct Direct<F: Factors> {
    factors: PhantomData<F>,
    /// Height and width of the source.
    source: [usize; 2],
    /// Height and width of the result.
    result: [usize; 2],
    summed: usize,
    results: usize,
    /// Columns of a panel: weights are packed for one instruction set.
    width: usize,
    phases: Vec<Phase>,
    /// Rows are copied together if there are few channels, or if channels do not fill their cells.
    patches: Option<Patches>,
    /// A pixel of zeros, or a row of the kernel, read by taps over the edge.
    zeros: Vec<F::Value>,
}

impl<F: Factors<Value: Plain>> Direct<F> {
    /// The convolution itself. `zero` is the value that stands for 0.
    pub(crate) fn forward<S: Simd>(
        _simd: S,
        shape: &Conv2dShape,
        weights: WeightView<F::Weight>,
        zero: F::Value,
    ) -> Self {
        let taps = (0..shape.taps()).map(|index| {
            let [y, x] = [index / shape.kernel[1], index % shape.kernel[1]];
            let offset = |axis: usize, tap: usize| {
                (tap * shape.dilation[axis]) as isize - shape.padding.start[axis] as isize
            };
            Tap {
                index,
                offset: [offset(0, y), offset(1, x)],
            }
        });
        let phase = Phase {
            start: [0; 2],
            spacing: [1; 2],
            grid: shape.output(),
            step: shape.stride,
            taps: taps.collect(),
            weights: Buffer::default(),
        };
        let fills_cells = shape.channels_in.is_multiple_of(F::PER_CELL);
        Self {
            patches: Patches::of(shape).or_else(|| (!fills_cells).then(|| Patches::always(shape))),
            zeros: vec![zero; shape.channels_in * shape.kernel[1]],
            ..Self::pack::<S>(shape.input, shape.output(), weights, zero, vec![phase])
        }
    }

    /// The gradient of the input from that of the output.
    pub(crate) fn input_gradient<S: Simd>(
        _simd: S,
        shape: &Conv2dShape,
        weights: WeightView<F::Weight>,
    ) -> Self {
        let [down, across] = shape.stride;
        let phases = (0..down * across)
            .map(|phase| input_gradient_phase(shape, [phase / across, phase % across]))
            .filter(|phase| phase.grid[0] * phase.grid[1] > 0)
            .collect();
        Self::pack::<S>(
            shape.output(),
            shape.input,
            weights,
            F::Value::default(),
            phases,
        )
    }

    fn pack<S: Simd>(
        source: [usize; 2],
        result: [usize; 2],
        weights: WeightView<F::Weight>,
        zero: F::Value,
        mut phases: Vec<Phase>,
    ) -> Self {
        for phase in &mut phases {
            let taps: Vec<usize> = phase.taps.iter().map(|tap| tap.index).collect();
            weights.pack::<S, F>(&taps, &mut phase.weights);
        }
        Self {
            factors: PhantomData,
            source,
            result,
            summed: weights.summed,
            results: weights.results,
            width: tile_width::<S>(),
            phases,
            patches: None,
            zeros: vec![zero; weights.summed],
        }
    }

    /// Computes the results of all `n` images. `target` has as many values as the results.
    pub(crate) fn run<S: Simd>(
        &self,
        simd: S,
        n: usize,
        source: &[F::Value],
        finish: Finish,
        target: Target,
    ) {
        assert_eq!(
            source.len(),
            n * self.source[0] * self.source[1] * self.summed
        );
        assert_eq!(
            self.width,
            tile_width::<S>(),
            "packed for other instructions"
        );
        for phase in &self.phases {
            let job = Job {
                direct: self,
                phase,
                source,
                target,
                finish,
            };
            job.run(simd, n);
        }
    }

    /// Bytes of the packed weights.
    pub(crate) fn bytes(&self) -> usize {
        let values = self
            .phases
            .iter()
            .map(|phase| phase.weights.as_slice().len());
        values.sum::<usize>() * size_of::<f32>()
    }
}

/// Length of equal pieces of at most `most`, as many for each of `workers`.
pub(super) fn piece_len(total: usize, most: usize, workers: usize) -> usize {
    let rounds = total.div_ceil(most * workers).max(1);
    total.div_ceil(rounds * workers).max(1)
}

/// Input pixel `y` was seen by tap `ky` for output pixel `(y + padding - ky * dilation) / stride`,
/// where that is whole.
fn input_gradient_phase(shape: &Conv2dShape, start: [usize; 2]) -> Phase {
    let offset = |axis: usize, tap: usize| {
        let numerator = (start[axis] + shape.padding.start[axis]) as isize
            - (tap * shape.dilation[axis]) as isize;
        let stride = shape.stride[axis] as isize;
        (numerator.rem_euclid(stride) == 0).then(|| numerator.div_euclid(stride))
    };
    let taps = (0..shape.taps()).filter_map(|index| {
        let [y, x] = [index / shape.kernel[1], index % shape.kernel[1]];
        Some(Tap {
            index,
            offset: [offset(0, y)?, offset(1, x)?],
        })
    });
    Phase {
        start,
        spacing: shape.stride,
        grid: std::array::from_fn(|axis| {
            shape.input[axis]
                .saturating_sub(start[axis])
                .div_ceil(shape.stride[axis])
        }),
        step: [1; 2],
        taps: taps.collect(),
        weights: Buffer::default(),
    }
}

struct Job<'a, F: Factors> {
    direct: &'a Direct<F>,
    phase: &'a Phase,
    source: &'a [F::Value],
    target: Target,
    finish: Finish<'a>,
}

/// Some pixels of a phase, for some panels of weights.
struct Piece<'a, F: Factors> {
    job: &'a Job<'a, F>,
    pixels: Range<usize>,
    panels: Range<usize>,
}

impl<F: Factors<Value: Plain>> Job<'_, F> {
    fn run<S: Simd>(&self, simd: S, n: usize) {
        let pixels = n * self.phase.grid[0] * self.phase.grid[1];
        let panels = self.direct.results.div_ceil(tile_width::<S>());
        let threads = rayon::current_num_threads();
        // Threads that have no block of their own take some of a block's panels: so each reads a part
        // of the weights, and not all of them for a few pixels.
        let parts = threads
            .div_ceil(pixels.div_ceil(BLOCK_PIXELS).max(1))
            .min(panels);
        let block = piece_len(pixels, BLOCK_PIXELS, threads.div_ceil(parts));
        let block = block.next_multiple_of(TILE_ROWS);
        let blocks = pixels.div_ceil(block);
        (0..blocks * parts)
            .into_par_iter()
            .with_max_len(1)
            .for_each(|piece| {
                let (first, part) = (piece / parts * block, piece % parts);
                let piece = Piece {
                    job: self,
                    pixels: first..pixels.min(first + block),
                    panels: part * panels / parts..(part + 1) * panels / parts,
                };
                simd.vectorize(piece);
            });
    }
}

impl<F: Factors<Value: Plain>> Operation for Piece<'_, F> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Job {
            direct,
            phase,
            finish,
            target,
            ..
        } = *self.job;
        let mut loan = ScratchLoan::take();
        let scratch = loan.get();
        self.locate_targets(scratch);
        let (taps, depth) = match &direct.patches {
            Some(patches) => match patches.run_len() {
                Some(run) if F::PER_CELL == 1 => {
                    self.locate_runs(patches, run, scratch);
                    (patches.row_len() / run, run)
                }
                _ => {
                    self.copy_patches(patches, scratch);
                    (1, patches.row_len().div_ceil(F::PER_CELL))
                }
            },
            None => {
                self.locate_sources(scratch);
                (phase.taps.len(), direct.summed / F::PER_CELL)
            }
        };
        let rows = Rows {
            sources: &scratch.sources,
            targets: &scratch.targets,
        };
        let panels = Panels {
            values: phase.weights.as_slice(),
            taps,
            depth,
            channels: direct.results,
        };
        // SAFETY: every source is a pixel of the input, a pixel of zeros or a copied patch, `depth` cells
        // each; every target is a pixel of the result, which is in one piece for these panels.
        unsafe { rows::multiply::<S, F>(simd, &rows, panels, self.panels, finish, target) };
    }
}

impl<F: Factors<Value: Plain>> Piece<'_, F> {
    /// Writes down where each pixel's result lies.
    fn locate_targets(&self, scratch: &mut Scratch) {
        let Job { direct, phase, .. } = *self.job;
        let [height, width] = direct.result;
        scratch.targets.clear();
        if phase.grid == direct.result {
            let pixels = self.pixels.clone();
            scratch
                .targets
                .extend(pixels.map(|pixel| pixel * direct.results));
            return;
        }
        let places = Places::new(phase.grid);
        let mut place = places.place(self.pixels.start);
        scratch.targets.extend(self.pixels.clone().map(|_| {
            let y = phase.start[0] + place.y * phase.spacing[0];
            let x = phase.start[1] + place.x * phase.spacing[1];
            let pixel = (place.picture * height + y) * width + x;
            places.advance(&mut place);
            pixel * direct.results
        }));
    }

    /// Writes down where the pixels lie that each tap sees.
    fn locate_sources(&self, scratch: &mut Scratch) {
        let Job {
            direct,
            phase,
            source,
            ..
        } = *self.job;
        let zeros = direct.zeros.as_slice();
        let [height, width] = direct.source;
        let taps = &phase.taps;
        let groups = self.pixels.len().div_ceil(TILE_ROWS);
        let mut pixel = self.pixels.start;
        scratch.sources.clear();
        scratch
            .sources
            .resize(groups * taps.len() * TILE_ROWS, zeros.as_ptr().cast());
        let places = Places::new(phase.grid);
        let mut place = places.place(self.pixels.start);
        // Grid positions whose taps are all inside the source.
        let inside = [0, 1].map(|axis| {
            let offsets = || taps.iter().map(|tap| tap.offset[axis]);
            let least = -offsets().min().unwrap_or(0);
            let most = direct.source[axis] as isize - offsets().max().unwrap_or(0);
            least.max(0) as usize..most.max(0) as usize
        });
        // Pixels of a group stand side by side for each tap.
        for group in scratch
            .sources
            .chunks_exact_mut(taps.len().max(1) * TILE_ROWS)
        {
            for row in 0..TILE_ROWS.min(self.pixels.end - pixel) {
                let first = [place.y * phase.step[0], place.x * phase.step[1]];
                if inside[0].contains(&first[0]) && inside[1].contains(&first[1]) {
                    let centre = (place.picture * height + first[0]) * width + first[1];
                    let values = source.as_ptr().wrapping_add(centre * direct.summed);
                    for (sources, tap) in group.chunks_exact_mut(TILE_ROWS).zip(taps) {
                        let [y, x] = tap.offset;
                        let distance = (y * width as isize + x) * direct.summed as isize;
                        sources[row] = values.wrapping_offset(distance).cast();
                    }
                    places.advance(&mut place);
                    pixel += 1;
                    continue;
                }
                for (sources, tap) in group.chunks_exact_mut(TILE_ROWS).zip(taps) {
                    // A negative index wraps round to a large one, which fails the test below.
                    let [y, x] =
                        [0, 1].map(|axis| (first[axis] as isize + tap.offset[axis]) as usize);
                    if y < height && x < width {
                        let pixel = (place.picture * height + y) * width + x;
                        let values = &source[pixel * direct.summed..][..direct.summed];
                        sources[row] = values.as_ptr().cast();
                    }
                }
                places.advance(&mut place);
                pixel += 1;
            }
        }
    }

    /// Writes down where the pixels lie that each row of the kernel sees: side by side, except at the left and right
    /// border, where they are copied together with the padding.
    fn locate_runs(&self, patches: &Patches, run: usize, scratch: &mut Scratch) {
        let Job { direct, source, .. } = *self.job;
        let row_len = patches.row_len();
        let rows = row_len / run;
        let zeros = direct.zeros.as_ptr();
        scratch.first.resize(self.pixels.len() * row_len);
        let copied = cast_mut::<F::Value>(scratch.first.as_mut_slice());
        let groups = self.pixels.len().div_ceil(TILE_ROWS);
        scratch.sources.clear();
        scratch
            .sources
            .resize(groups * rows * TILE_ROWS, zeros.cast());
        let places = Places::new(self.job.phase.grid);
        let mut place = places.place(self.pixels.start);
        for (pixel, copied) in (0..self.pixels.len()).zip(copied.chunks_exact_mut(row_len)) {
            let first = pixel / TILE_ROWS * rows * TILE_ROWS + pixel % TILE_ROWS;
            let sources = scratch.sources[first..].iter_mut().step_by(TILE_ROWS);
            if let Some(x) = patches.column(place) {
                for (tap, to) in sources.take(rows).enumerate() {
                    if let Some(y) = patches.row(place, tap) {
                        let pixel = (place.picture * direct.source[0] + y) * direct.source[1] + x;
                        *to = source[pixel * direct.summed..][..run].as_ptr().cast();
                    }
                }
            } else {
                patches.copy(source, place, direct.zeros[0], copied);
                for (run, to) in copied.chunks_exact(run).zip(sources) {
                    *to = run.as_ptr().cast();
                }
            }
            places.advance(&mut place);
        }
    }

    /// Copies what the kernel sees from each pixel into a row of whole cells.
    fn copy_patches(&self, patches: &Patches, scratch: &mut Scratch) {
        let cells = patches.row_len().div_ceil(F::PER_CELL);
        let rows = self.pixels.len().next_multiple_of(TILE_ROWS);
        scratch.first.resize(rows * cells);
        let places = Places::new(self.job.phase.grid);
        let mut place = places.place(self.pixels.start);
        let zero = self.job.direct.zeros[0];
        let copied = &mut scratch.first.as_mut_slice()[..self.pixels.len() * cells];
        let values = cast_mut::<F::Value>(copied);
        for row in values.chunks_exact_mut(cells * F::PER_CELL) {
            let (row, rest) = row.split_at_mut(patches.row_len());
            patches.copy(self.job.source, place, zero, row);
            // Their weights are zeros, but a product with NaN would not be.
            rest.fill(zero);
            places.advance(&mut place);
        }
        scratch.sources.clear();
        let rows = scratch.first.as_slice().chunks_exact(cells);
        scratch.sources.extend(rows.map(<[f32]>::as_ptr));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_equal_and_not_too_long() {
        // 100 for two workers in pieces of up to 24: three rounds of two.
        assert_eq!(piece_len(100, 24, 2), 17);
        assert_eq!(piece_len(16, 24, 2), 8);
        assert_eq!(piece_len(3, 24, 8), 1);
        assert_eq!(piece_len(0, 24, 2), 1);
    }
}
