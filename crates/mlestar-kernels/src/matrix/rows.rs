//! Products of rows, given by pointers, and packed weights.
//!
//! A row consists of `taps` pieces of `depth` values at any address: the pixels that a kernel reads, or zeros
//! over the edge. No copy is needed (Dukhan 2019, "The Indirect Convolution Algorithm",
//! <https://arxiv.org/abs/1907.02129>).

use std::ops::Range;

use super::{Factors, TILE_ROWS, WIDEST_TILE, call_tile, tile_width};
use crate::{memory::check, simd::Simd};

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
    /// Added to every row; one value per channel.
    pub bias: Option<&'a [f32]>,
    pub residual: Option<Residual<'a>>,
    /// Negative values become 0.
    pub relu: bool,
}

impl Finish<'_> {
    pub(crate) const NOTHING: Self = Finish {
        bias: None,
        residual: None,
        relu: false,
    };
}

/// Values that are added to the output, position by position.
#[derive(Clone, Copy)]
pub(crate) struct Residual<'a> {
    values: &'a [f32],
    /// Address of the output's first value.
    output: usize,
}

impl<'a> Residual<'a> {
    /// `values` must be as long as `output`.
    pub(crate) fn new(values: &'a [f32], output: &[f32]) -> Self {
        assert_eq!(values.len(), output.len());
        Self {
            values,
            output: output.as_ptr().addr(),
        }
    }

    /// The values to add at `target`, an address in the output.
    #[inline(always)]
    pub(crate) fn at(self, target: *mut f32) -> *const f32 {
        let index = target.addr().wrapping_sub(self.output) / size_of::<f32>();
        check(index < self.values.len());
        self.values.as_ptr().wrapping_add(index)
    }
}

/// Rows in groups of [`TILE_ROWS`].
pub(crate) struct Rows<'a> {
    /// `[group][tap][row of the group]`, each the start of `depth` cells. The last group is filled with any
    /// readable pointers.
    pub sources: &'a [*const f32],
    /// Address of each row's first output channel.
    pub targets: &'a [*mut f32],
}

/// Multiplies `rows` by the panels in `range` and stores the results.
///
/// # Safety
///
/// `depth` cells must be readable at every source. `channels` values must be writable at every target, by this
/// call only, and readable at its residual. `values` must hold whole panels up to the end of `range`.
#[inline(always)]
pub(crate) unsafe fn multiply<S: Simd, F: Factors>(
    simd: S,
    rows: &Rows,
    panels: Panels,
    range: Range<usize>,
    finish: Finish,
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
        };
        let group_len = panels.taps * TILE_ROWS;
        for (group, targets) in rows.targets.chunks(TILE_ROWS).enumerate() {
            let sources = &rows.sources[group * group_len..][..group_len];
            // SAFETY: the caller's promise, for this panel and these rows.
            unsafe { multiply_group::<S, F>(simd, sources, targets, weights, panels, store) };
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
}

/// # Safety
///
/// As for [`multiply`].
#[inline(always)]
unsafe fn multiply_group<S: Simd, F: Factors>(
    simd: S,
    sources: &[*const f32],
    targets: &[*mut f32],
    weights: *const f32,
    panels: Panels,
    store: Store,
) {
    // SAFETY: the caller's promise.
    unsafe {
        call_tile!(
            S,
            F,
            targets.len(),
            tile(simd, sources, targets, weights, panels, store)
        );
    }
}

/// # Safety
///
/// As for [`multiply`]; `ROWS` targets.
#[inline(always)]
unsafe fn tile<S: Simd, F: Factors, const ROWS: usize, const VECTORS: usize>(
    simd: S,
    sources: &[*const f32],
    targets: &[*mut f32],
    mut weights: *const f32,
    panels: Panels,
    store: Store,
) {
    let mut sums = [[simd.splat(0.0); VECTORS]; ROWS];
    for tap in sources.chunks_exact(TILE_ROWS) {
        let row: [*const f32; ROWS] = std::array::from_fn(|row| tap[row]);
        for index in 0..panels.depth {
            // SAFETY: `depth` cells are readable at each source, and the panel holds a row of
            // weights for each.
            unsafe {
                let mut weight = [simd.splat(0.0); VECTORS];
                for v in 0..VECTORS {
                    weight[v] = simd.load(weights.add(v * S::LANES));
                }
                for r in 0..ROWS {
                    let value = simd.splat(*row[r].add(index));
                    for v in 0..VECTORS {
                        sums[r][v] = F::mul_add(simd, value, weight[v], sums[r][v]);
                    }
                }
                weights = weights.add(VECTORS * S::LANES);
            }
        }
    }
    for (row, sums) in sums.into_iter().enumerate() {
        // SAFETY: the caller's promise for this target.
        unsafe { store_row(simd, targets[row], sums, store) };
    }
}

/// # Safety
///
/// `channels` values must be writable at the panel's first channel of `target`, and readable at its residual.
#[inline(always)]
unsafe fn store_row<S: Simd, const VECTORS: usize>(
    simd: S,
    target: *mut f32,
    sums: [S::Vector; VECTORS],
    store: Store,
) {
    let Store {
        channel,
        channels,
        finish,
    } = store;
    let target = target.wrapping_add(channel);
    if channels == VECTORS * S::LANES {
        for (v, mut sum) in sums.into_iter().enumerate() {
            let target = target.wrapping_add(v * S::LANES);
            // SAFETY: the panel is full, so every lane is a channel.
            unsafe {
                if let Some(bias) = finish.bias {
                    check(channel + channels <= bias.len());
                    sum = simd.add(sum, simd.load(bias.as_ptr().add(channel + v * S::LANES)));
                }
                if let Some(residual) = finish.residual {
                    sum = simd.add(sum, simd.load(residual.at(target)));
                }
                if finish.relu {
                    sum = simd.relu(sum);
                }
                simd.store(target, sum);
            }
        }
        return;
    }
    let mut lanes = [0.0; WIDEST_TILE];
    for (v, sum) in sums.into_iter().enumerate() {
        // SAFETY: no tile is wider than `lanes`.
        unsafe { simd.store(lanes.as_mut_ptr().add(v * S::LANES), sum) };
    }
    for (lane, &sum) in lanes[..channels].iter().enumerate() {
        let mut value = sum;
        if let Some(bias) = finish.bias {
            value += bias[channel + lane];
        }
        let target = target.wrapping_add(lane);
        // SAFETY: `lane` is below the number of real channels.
        unsafe {
            if let Some(residual) = finish.residual {
                value += *residual.at(target);
            }
            *target = if finish.relu && value <= 0.0 {
                0.0
            } else {
                value
            };
        }
    }
}
