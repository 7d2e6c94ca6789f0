//! Images rounded to bfloat16, as blocks of factors (see `matrix::block`).

use std::ops::Range;

use crate::{
    matrix::block::{CELLS, SIDE, TILE, TILE_CELLS},
    simd::Simd,
    values::Stored,
};

/// `[n][pixels][channels]`, channels in multiples of 16.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pictures<'a, T = f32> {
    pub values: &'a [T],
    pub n: usize,
    pub pixels: usize,
    pub channels: usize,
}

impl<T> Pictures<'_, T> {
    pub(super) fn check(&self) {
        assert!(self.channels.is_multiple_of(TILE));
        assert_eq!(self.values.len(), self.n * self.pixels * self.channels);
    }

    /// Blocks of a pixel's channels.
    pub(super) fn blocks(&self) -> usize {
        self.channels.div_ceil(SIDE)
    }

    /// 16 channels of a pixel; `None` beyond the last image or channel.
    #[inline(always)]
    fn tile(&self, picture: usize, pixel: usize, channel: usize) -> Option<&[T]> {
        (picture < self.n && channel < self.channels).then(|| {
            let start = (picture * self.pixels + pixel) * self.channels + channel;
            &self.values[start..][..TILE]
        })
    }
}

/// Left factors for sums over channels: blocks `[pixel][block of channels]` whose rows are images.
#[inline(always)]
pub(super) fn left_rows<S: Simd, T: Stored>(
    simd: S,
    pictures: Pictures<T>,
    group: usize,
    pixels: Range<usize>,
    target: &mut [f32],
) {
    let blocks = pictures.blocks();
    assert_eq!(target.len(), pixels.len() * blocks * CELLS);
    for (index, pixel) in pixels.enumerate() {
        for row in 0..SIDE {
            let picture = group * SIDE + row;
            for channel in (0..blocks * SIDE).step_by(TILE) {
                let block = (index * blocks + channel / SIDE) * CELLS;
                let cells = &mut target[block + row * TILE + channel % SIDE / 2..][..TILE / 2];
                match pictures.tile(picture, pixel, channel) {
                    Some(values) => {
                        for v in (0..TILE).step_by(S::LANES) {
                            // SAFETY: both slices hold 16 values; those that are written have 16 bits.
                            unsafe {
                                let values = T::load(simd, values.as_ptr().add(v));
                                let target = cells.as_mut_ptr().cast::<u16>().add(v);
                                simd.store_rounded(target, values);
                            }
                        }
                    }
                    None => cells.fill(0.0),
                }
            }
        }
    }
}

/// One half of a block of right factors for sums over images: rows are cells of two images, columns are the 16
/// channels starting with `channel`.
#[inline(always)]
pub(super) fn right_pairs<S: Simd>(
    simd: S,
    pictures: Pictures,
    group: usize,
    [pixel, channel]: [usize; 2],
    target: &mut [f32; TILE_CELLS],
) {
    const ZEROS: [f32; TILE] = [0.0; TILE];
    for (pair, cells) in target.chunks_exact_mut(TILE).enumerate() {
        let picture = group * SIDE + 2 * pair;
        let first = pictures.tile(picture, pixel, channel).unwrap_or(&ZEROS);
        let second = pictures.tile(picture + 1, pixel, channel).unwrap_or(&ZEROS);
        for v in (0..TILE).step_by(S::LANES) {
            // SAFETY: all three hold 16 values.
            unsafe {
                let first = simd.load(first.as_ptr().add(v));
                let second = simd.load(second.as_ptr().add(v));
                simd.store(cells.as_mut_ptr().add(v), simd.pack_pairs(first, second));
            }
        }
    }
}

/// One half of a block of left factors for sums over images: rows are the 16 channels starting with `channel`.
#[inline(always)]
pub(super) fn left_pairs<S: Simd>(
    simd: S,
    pictures: Pictures,
    group: usize,
    place: [usize; 2],
    target: &mut [f32; TILE_CELLS],
) {
    let mut pairs = [0.0; TILE_CELLS];
    right_pairs(simd, pictures, group, place, &mut pairs);
    // SAFETY: both hold 16 rows of 16 cells.
    unsafe { simd.transpose(pairs.as_ptr(), target.as_mut_ptr()) };
}
