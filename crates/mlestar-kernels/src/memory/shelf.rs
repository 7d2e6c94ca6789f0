//! Memory that was returned and waits for its next use.
//!
//! A training allocates the same sizes in every step. The system would map and clear fresh memory page by page
//! each time, and release it afterwards. Memory on the shelf holds old results: it is initialised but
//! meaningless, and a new user must overwrite all of it.

use std::{
    collections::BTreeMap,
    mem,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// One cache line.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub(super) struct Line([f32; Line::VALUES]);

impl Line {
    pub(super) const VALUES: usize = 16;
    const ZERO: Self = Self([0.0; Self::VALUES]);
}

/// Smaller sizes than this, 64 KiB, come from the allocator, which caches such pieces itself.
const LEAST_LINES: usize = 1024;
/// Memory that was not reused within this many allocations, those of many steps, is freed.
const PATIENCE: u64 = 2048;
/// How often to search for such memory.
const SWEEP_EVERY: u64 = 256;

static SHELF: Mutex<Shelf> = Mutex::new(Shelf::new());

#[derive(Default)]
struct Shelf {
    /// Number of allocations so far.
    clock: u64,
    /// Memory by number of lines; the last returned is used first, because caches may still hold it.
    pieces: BTreeMap<usize, Vec<Piece>>,
}

struct Piece {
    lines: Vec<Line>,
    /// The allocation count when it was returned.
    since: u64,
}

impl Shelf {
    const fn new() -> Self {
        Self {
            clock: 0,
            pieces: BTreeMap::new(),
        }
    }

    fn take(&mut self, lines: usize) -> Option<Vec<Line>> {
        self.clock += 1;
        if self.clock.is_multiple_of(SWEEP_EVERY) {
            self.sweep();
        }
        self.pieces.get_mut(&lines)?.pop().map(|piece| piece.lines)
    }

    fn give_back(&mut self, lines: Vec<Line>) {
        let since = self.clock;
        let piece = Piece { lines, since };
        self.pieces
            .entry(piece.lines.len())
            .or_default()
            .push(piece);
    }

    fn sweep(&mut self) {
        let oldest = self.clock.saturating_sub(PATIENCE);
        self.pieces.retain(|_, pieces| {
            pieces.retain(|piece| piece.since >= oldest);
            !pieces.is_empty()
        });
    }
}

fn shelf() -> MutexGuard<'static, Shelf> {
    // Nothing can panic between two states of the shelf.
    SHELF.lock().unwrap_or_else(PoisonError::into_inner)
}

/// This many lines, with unspecified contents.
pub(super) fn take(lines: usize) -> Vec<Line> {
    let kept = match lines >= LEAST_LINES {
        true => shelf().take(lines),
        false => None,
    };
    // Outside the lock, because this takes long.
    kept.unwrap_or_else(|| vec![Line::ZERO; lines])
}

pub(super) fn give_back(lines: Vec<Line>) {
    if lines.len() >= LEAST_LINES {
        shelf().give_back(lines);
    }
}

/// Frees the memory that was kept for the next results of the same sizes. Worth calling after a training; memory in
/// use is not touched.
///
/// The kernels keep the memory of tensors and intermediate values as long as it is reused.
pub fn release_memory() {
    let pieces = mem::take(&mut shelf().pieces);
    drop(pieces);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn piece(lines: usize, mark: f32) -> Vec<Line> {
        vec![Line([mark; Line::VALUES]); lines]
    }

    #[test]
    fn a_piece_is_taken_again_by_its_size_the_last_one_first() {
        let mut shelf = Shelf::new();
        assert!(shelf.take(2000).is_none());
        for (lines, mark) in [(2000, 1.0), (3000, 2.0), (2000, 3.0)] {
            shelf.give_back(piece(lines, mark));
        }
        for expected in [Some(3.0), Some(1.0), None] {
            let found = shelf.take(2000);
            assert!(found.as_ref().is_none_or(|lines| lines.len() == 2000));
            assert_eq!(found.map(|lines| lines[0].0[0]), expected);
        }
        assert!(shelf.take(3000).is_some());
    }

    #[test]
    fn what_nobody_asks_for_is_freed() {
        let mut shelf = Shelf::new();
        shelf.give_back(piece(5000, 1.0));
        // Sizes that change leave nothing behind, those that stay in use do.
        for _ in 0..PATIENCE + SWEEP_EVERY {
            let lines = shelf.take(2000).unwrap_or_else(|| piece(2000, 2.0));
            shelf.give_back(lines);
        }
        assert_eq!(shelf.pieces.keys().collect::<Vec<_>>(), [&2000]);
    }
}
