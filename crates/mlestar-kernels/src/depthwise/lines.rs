//! Rows of the source in scratch memory: padded, in `f32`, and one block of channels wide.

use super::plan::{BLOCK, Plan};
use crate::{
    memory::{Buffer, check},
    simd::Simd,
    values::Source,
};

/// The rows that a row of results reads, and some that the rows before it have read. A row is copied once.
pub(super) struct Lines<'a> {
    plan: &'a Plan,
    source: Source,
    /// First pixel of the image in the source.
    image: usize,
    /// `[slot][pixel of the line][BLOCK]`; row `y` is in slot `y % slots`.
    values: &'a mut [f32],
    slots: usize,
    /// First row that is not copied yet.
    next: usize,
}

impl<'a> Lines<'a> {
    /// For the image of this number.
    pub(super) fn new(
        plan: &'a Plan,
        source: Source,
        image: usize,
        scratch: &'a mut Buffer,
    ) -> Self {
        let slots = plan.rows();
        scratch.resize(slots * plan.line.pixels() * BLOCK);
        let values = scratch.as_mut_slice();
        // Copying leaves the zeros at both ends of each row as they are.
        values.fill(0.0);
        Self {
            plan,
            source,
            image: image * plan.source[0] * plan.source[1],
            values,
            slots,
            next: 0,
        }
    }

    /// Forgets all rows: the next ones are of another block of channels.
    pub(super) fn restart(&mut self) {
        self.next = 0;
    }

    /// The lines of all prepared rows.
    pub(super) fn values(&self) -> &[f32] {
        self.values
    }

    /// Position of the line of source row `row`: `[pixel of the line][BLOCK]`.
    #[inline(always)]
    pub(super) fn line(&self, row: usize) -> usize {
        row % self.slots * self.plan.line.pixels() * BLOCK
    }

    /// Copies the rows that row `y` of the results reads, for the channels of `block`. Rows of results must come in
    /// rising order.
    ///
    /// # Safety
    ///
    /// The source must hold the image, and nobody may write it.
    #[inline(always)]
    pub(super) unsafe fn prepare<S: Simd>(&mut self, simd: S, y: usize, block: usize) {
        let rows = self.plan.source_rows(y);
        for row in rows.start.max(self.next)..rows.end {
            // SAFETY: the caller's promise.
            unsafe { self.copy(simd, row, block) };
        }
        self.next = self.next.max(rows.end);
    }

    /// # Safety
    ///
    /// As for [`prepare`](Self::prepare).
    #[inline(always)]
    unsafe fn copy<S: Simd>(&mut self, simd: S, row: usize, block: usize) {
        let (plan, line, source) = (self.plan, self.plan.line, self.source);
        let channels = plan.channels();
        let first_channel = block * BLOCK;
        let used = BLOCK.min(channels - first_channel);
        let width = plan.source[1];
        let start = (self.image + row * width) * channels + first_channel;
        let target = self.line(row);
        for segment in 0..line.segments {
            // The first pixel of the segment that is not padding, in the padded row.
            let padded = line.first + (segment + line.step - line.first % line.step) % line.step;
            let (column, pixel) = (padded - line.first, padded / line.step);
            let count = width.saturating_sub(column).div_ceil(line.step);
            let count = count.min(line.segment_len.saturating_sub(pixel));
            let mut from = start + column * channels;
            let mut to = target + (segment * line.segment_len + pixel) * BLOCK;
            check(count == 0 || to + count * BLOCK <= self.values.len());
            // SAFETY: the caller's promise.
            if let (BLOCK, Some(values)) = (used, unsafe { source.as_f32() }) {
                for _ in 0..count {
                    check(from + BLOCK <= values.len());
                    for lane in (0..BLOCK).step_by(S::LANES) {
                        // SAFETY: all channels of the block exist, in the source and in the line.
                        unsafe {
                            let values = simd.load(values.as_ptr().add(from + lane));
                            simd.store(self.values.as_mut_ptr().add(to + lane), values);
                        }
                    }
                    from += line.step * channels;
                    to += BLOCK;
                }
                continue;
            }
            for _ in 0..count {
                for lane in (0..used).step_by(S::LANES) {
                    let n = S::LANES.min(used - lane);
                    // SAFETY: `n` channels of a source pixel are left, as the caller promises; a block of the line
                    // is a multiple of the lanes.
                    unsafe {
                        let values = match n == S::LANES {
                            true => source.load(simd, from + lane),
                            false => source.load_some(simd, from + lane, n),
                        };
                        simd.store(self.values.as_mut_ptr().add(to + lane), values);
                    }
                }
                from += line.step * channels;
                to += BLOCK;
            }
        }
    }
}
