//! The pixels of a tile, and their transform.

use super::{
    tiles::{PATCH, POSITIONS, TILE},
    transform,
};
use crate::{matrix::Factors, simd::Simd, values::Stored};

/// `PIXELS` pixels, rows first: those of the input's patch or of the output gradient's tile.
pub(super) struct Patch<const PIXELS: usize, T = f32>([*const T; PIXELS]);

impl<const PIXELS: usize, T: Stored> Patch<PIXELS, T> {
    /// `None` means `zeros`, which must be as long as a pixel.
    #[inline(always)]
    pub(super) fn new(
        pixels: [Option<usize>; PIXELS],
        source: &[T],
        channels: usize,
        zeros: &[T],
    ) -> Self {
        assert!(zeros.len() >= channels);
        let mut pointers = [zeros.as_ptr(); PIXELS];
        for (pointer, pixel) in pointers.iter_mut().zip(pixels) {
            if let Some(pixel) = pixel {
                *pointer = source[pixel * channels..][..channels].as_ptr();
            }
        }
        Self(pointers)
    }
}

/// Pixels that can be transformed to the positions.
pub(super) trait Transform {
    /// The transformed values at each position, for the channels starting with `channel`.
    ///
    /// # Safety
    ///
    /// There must be a vector of channels at this position.
    unsafe fn transform<S: Simd>(&self, simd: S, channel: usize) -> [S::Vector; POSITIONS];
}

/// The input's patch.
impl<T: Stored> Transform for Patch<POSITIONS, T> {
    #[inline(always)]
    unsafe fn transform<S: Simd>(&self, simd: S, channel: usize) -> [S::Vector; POSITIONS] {
        let mut columns = [[simd.splat(0.0); PATCH]; PATCH];
        for x in 0..PATCH {
            let mut d = [simd.splat(0.0); PATCH];
            for (y, value) in d.iter_mut().enumerate() {
                // SAFETY: the caller's promise.
                *value = unsafe { T::load(simd, self.0[y * PATCH + x].add(channel)) };
            }
            let v = transform::input(simd, d);
            for y in 0..PATCH {
                columns[y][x] = v[y];
            }
        }
        let mut positions = [simd.splat(0.0); POSITIONS];
        for y in 0..PATCH {
            let row = transform::input(simd, columns[y]);
            positions[y * PATCH..][..PATCH].copy_from_slice(&row);
        }
        positions
    }
}

/// The output gradient's tile.
impl Transform for Patch<{ TILE * TILE }> {
    #[inline(always)]
    unsafe fn transform<S: Simd>(&self, simd: S, channel: usize) -> [S::Vector; POSITIONS] {
        let mut columns = [[simd.splat(0.0); TILE]; PATCH];
        for x in 0..TILE {
            let mut d = [simd.splat(0.0); TILE];
            for (y, value) in d.iter_mut().enumerate() {
                // SAFETY: the caller's promise.
                *value = unsafe { simd.load(self.0[y * TILE + x].add(channel)) };
            }
            let e = transform::output_gradient(simd, d);
            for y in 0..PATCH {
                columns[y][x] = e[y];
            }
        }
        let mut positions = [simd.splat(0.0); POSITIONS];
        for y in 0..PATCH {
            let row = transform::output_gradient(simd, columns[y]);
            positions[y * PATCH..][..PATCH].copy_from_slice(&row);
        }
        positions
    }
}

/// The cells of two tiles' channels at each position; only of the first tile's if a cell holds one factor.
///
/// # Safety
///
/// As for [`Transform::transform`].
#[inline(always)]
pub(super) unsafe fn cells<S: Simd, F: Factors>(
    simd: S,
    [first, second]: &[impl Transform; 2],
    channel: usize,
) -> [S::Vector; POSITIONS] {
    // SAFETY: the caller's promise.
    let mut cells = unsafe { first.transform(simd, channel) };
    if F::PER_CELL == 2 {
        // SAFETY: as above.
        let second = unsafe { second.transform(simd, channel) };
        for position in 0..POSITIONS {
            cells[position] = simd.pack_pairs(cells[position], second[position]);
        }
    }
    cells
}
