//! Products of rows, given by pointers, and packed weights.
//!
//! A row consists of `taps` pieces of `depth` values at any address: the pixels that a kernel reads, or zeros
//! over the edge. No copy is needed (Dukhan 2019, "The Indirect Convolution Algorithm",
//! <https://arxiv.org/abs/1907.02129>).

use std::ops::Range;

use super::{Factors, TILE_ROWS, WIDEST_TILE, call_tile, tile_width};
use crate::{
    Activation,
    memory::check,
    simd::Simd,
    values::{Source, Target},
};

/// Weights `[panel][tap][depth][tile_width]` in the order of use, one cell per place (see [`Factors`]).
/// Channels beyond the last are zeros.
#[derive(Clone, Copy)]
pub(crate) struct Panels<'a> {
    pub values: &'a [f32],
    pub taps: usize,
    /// Cells per piece.
    pub depth: usize,
    /// Number of real output channels.
    pub channels: usize,
}

/// The operations on the sums of a tile before they are stored.
#[derive(Clone, Copy)]
pub(crate) struct Finish<'a> {
    /// For sums of integers.
    pub integers: Option<Integers<'a>>,
    /// Added to every row; one value per channel.
    pub bias: Option<&'a [f32]>,
    /// Values that are added to the results, position by position.
    pub residual: Option<Source>,
    pub activation: Option<Activation>,
}

/// What integer sums mean.
#[derive(Clone, Copy)]
pub(crate) struct Integers<'a> {
    /// Sums start with these: the bits of `i32`, for all channels of all panels.
    pub start: &'a [f32],
    /// Value of a step of each channel.
    pub steps: &'a [f32],
}

impl Finish<'_> {
    pub(crate) const NOTHING: Self = Finish {
        integers: None,
        bias: None,
        residual: None,
        activation: None,
    };

    /// The results of a vector of sums, for the `n` channels starting with `channel`, where the first one has
    /// position `index` in the target.
    ///
    /// # Safety
    ///
    /// These channels must have a step, a bias and a residual.
    #[inline(always)]
    pub(crate) unsafe fn apply<S: Simd>(
        &self,
        simd: S,
        mut sums: S::Vector,
        [channel, index]: [usize; 2],
        n: usize,
    ) -> S::Vector {
        // SAFETY: the caller's promise.
        unsafe {
            if let Some(integers) = self.integers {
                sums = simd.mul(
                    simd.integers_to_f32(sums),
                    some(simd, integers.steps, channel, n),
                );
            }
            if let Some(bias) = self.bias {
                sums = simd.add(sums, some(simd, bias, channel, n));
            }
            if let Some(residual) = self.residual {
                let values = match n == S::LANES {
                    true => residual.load(simd, index),
                    false => residual.load_some(simd, index, n),
                };
                sums = simd.add(sums, values);
            }
            match self.activation {
                Some(activation) => activation.apply(simd, sums),
                None => sums,
            }
        }
    }
}

/// `n` of the values starting with `first`.
#[inline(always)]
fn some<S: Simd>(simd: S, values: &[f32], first: usize, n: usize) -> S::Vector {
    check(first + n <= values.len());
    let mut lanes = [0.0; WIDEST_TILE];
    // SAFETY: the values are there, and no vector is longer than `lanes`.
    unsafe {
        if n == S::LANES {
            return simd.load(values.as_ptr().wrapping_add(first));
        }
        let values = values.as_ptr().wrapping_add(first);
        std::ptr::copy_nonoverlapping(values, lanes.as_mut_ptr(), n);
        simd.load(lanes.as_ptr())
    }
}

/// Rows in groups of [`TILE_ROWS`].
pub(crate) struct Rows<'a> {
    /// `[group][tap][row of the group]`, each the start of `depth` cells. The last group is filled with any
    /// readable pointers.
    pub sources: &'a [*const f32],
    /// Position of each row's first output channel in the target.
    pub targets: &'a [usize],
}

/// Multiplies `rows` by the panels in `range` and stores the results in `target`.
///
/// # Safety
///
/// `depth` cells must be readable at every source. `channels` values must be writable in the target at every row's
/// position, by this call only, and readable at the same position of the residual. `values` must hold whole panels
/// up to the end of `range`.
#[inline(always)]
pub(crate) unsafe fn multiply<S: Simd, F: Factors>(
    simd: S,
    rows: &Rows,
    panels: Panels,
    range: Range<usize>,
    finish: Finish,
    target: Target,
) {
    let width = tile_width::<S>();
    let panel_len = panels.taps * panels.depth * width;
    check(range.end * panel_len <= panels.values.len());
    let groups = rows.targets.len().div_ceil(TILE_ROWS);
    check(rows.sources.len() == groups * panels.taps * TILE_ROWS);
    for panel in range {
        let weights = panels.values.as_ptr().wrapping_add(panel * panel_len);
        let channel = panel * width;
        let store = Store {
            channel,
            channels: width.min(panels.channels - channel),
            finish,
            target,
        };
        // SAFETY: the caller's promise, for this panel.
        unsafe {
            match S::TILE_VECTORS == 2 && store.channels <= S::LANES {
                true => multiply_narrow::<S, F>(simd, rows, weights, panels, store),
                false => multiply_wide::<S, F>(simd, rows, weights, panels, store),
            }
        }
    }
}

#[derive(Clone, Copy)]
struct Store<'a> {
    /// First channel of the panel.
    channel: usize,
    /// Number of real channels in the panel.
    channels: usize,
    finish: Finish<'a>,
    target: Target,
}

/// # Safety
///
/// As for [`multiply`].
#[inline(always)]
unsafe fn multiply_wide<S: Simd, F: Factors>(
    simd: S,
    rows: &Rows,
    weights: *const f32,
    panels: Panels,
    store: Store,
) {
    let group_len = panels.taps * TILE_ROWS;
    for (group, targets) in rows.targets.chunks(TILE_ROWS).enumerate() {
        let sources = &rows.sources[group * group_len..];
        // SAFETY: the caller's promise, for these rows.
        unsafe {
            call_tile!(
                S,
                F,
                targets.len(),
                tile(simd, sources, targets, weights, panels, store)
            );
        }
    }
}

/// A panel whose channels fit half of a tile: twice the rows keep the multiply-add units busy.
///
/// # Safety
///
/// As for [`multiply`]; a tile has two vectors.
#[inline(always)]
unsafe fn multiply_narrow<S: Simd, F: Factors>(
    simd: S,
    rows: &Rows,
    weights: *const f32,
    panels: Panels,
    store: Store,
) {
    let group_len = panels.taps * TILE_ROWS;
    for (pair, targets) in rows.targets.chunks(2 * TILE_ROWS).enumerate() {
        let sources = &rows.sources[2 * pair * group_len..];
        // SAFETY: the caller's promise, for these rows.
        unsafe {
            if targets.len() > TILE_ROWS {
                tile::<S, F, { 2 * TILE_ROWS }, 1>(simd, sources, targets, weights, panels, store);
            } else {
                tile::<S, F, TILE_ROWS, 1>(simd, sources, targets, weights, panels, store);
            }
        }
    }
}

/// Computes `ROWS` rows, and stores as many as there are targets.
///
/// # Safety
///
/// As for [`multiply`]; sources of `ROWS` rows, in groups of [`TILE_ROWS`].
#[inline(always)]
unsafe fn tile<S: Simd, F: Factors, const ROWS: usize, const VECTORS: usize>(
    simd: S,
    sources: &[*const f32],
    targets: &[usize],
    mut weights: *const f32,
    panels: Panels,
    store: Store,
) {
    let mut sums = [[simd.splat(0.0); VECTORS]; ROWS];
    if let Some(integers) = store.finish.integers {
        check(store.channel + tile_width::<S>() <= integers.start.len());
        for v in 0..VECTORS {
            let start = integers
                .start
                .as_ptr()
                .wrapping_add(store.channel + v * S::LANES);
            for r in 0..ROWS {
                // SAFETY: there are starts for all channels of all panels.
                sums[r][v] = unsafe { simd.load(start) };
            }
        }
    }
    let group_len = panels.taps * TILE_ROWS;
    check(sources.len() >= ROWS.div_ceil(TILE_ROWS) * group_len);
    for tap in 0..panels.taps {
        let mut row = [std::ptr::null(); ROWS];
        for r in 0..ROWS {
            let place = r / TILE_ROWS * group_len + tap * TILE_ROWS + r % TILE_ROWS;
            // SAFETY: within the groups of these rows, as checked.
            row[r] = unsafe { *sources.get_unchecked(place) };
        }
        for index in 0..panels.depth {
            // SAFETY: `depth` cells are readable at each source, and the panel holds a row of
            // weights for each.
            unsafe {
                let mut weight = [simd.splat(0.0); VECTORS];
                for v in 0..VECTORS {
                    weight[v] = simd.load(weights.add(v * S::LANES));
                }
                for r in 0..ROWS {
                    // Cells of bytes may lie anywhere.
                    let value = simd.splat(row[r].add(index).read_unaligned());
                    for v in 0..VECTORS {
                        sums[r][v] = F::mul_add(simd, value, weight[v], sums[r][v]);
                    }
                }
                weights = weights.add(tile_width::<S>());
            }
        }
    }
    for (sums, &target) in sums.into_iter().zip(targets) {
        // SAFETY: the caller's promise for this target.
        unsafe { store_row(simd, target, sums, store) };
    }
}

/// # Safety
///
/// `channels` values must be writable at the panel's first channel from position `target` on, and readable there
/// in the residual.
#[inline(always)]
unsafe fn store_row<S: Simd, const VECTORS: usize>(
    simd: S,
    target: usize,
    sums: [S::Vector; VECTORS],
    store: Store,
) {
    let Store {
        channel,
        channels,
        finish,
        ..
    } = store;
    for (v, sum) in sums.into_iter().enumerate() {
        let channel = channel + v * S::LANES;
        // A target may count from the first channel of a part of the panels.
        let index = target.wrapping_add(channel);
        let n = channels.saturating_sub(v * S::LANES).min(S::LANES);
        // SAFETY: `n` channels are left from here on, so many lanes are real.
        unsafe {
            if n == S::LANES {
                let result = finish.apply(simd, sum, [channel, index], S::LANES);
                store.target.store(simd, index, result);
            } else if n > 0 {
                let result = finish.apply(simd, sum, [channel, index], n);
                store.target.store_some(simd, index, n, result);
            }
        }
    }
}
