//! Memory for packed weights and intermediate values.

use std::cell::Cell;

/// One cache line.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Line([f32; 16]);

/// A check in an innermost loop: made in this crate's unit tests and in builds with debug assertions.
#[inline(always)]
#[track_caller]
pub(crate) fn check(holds: bool) {
    if cfg!(any(test, debug_assertions)) {
        assert!(holds);
    }
}

/// `f32` values that start at a cache line, so that no vector load of packed values straddles two.
#[derive(Clone, Default)]
pub(crate) struct Buffer {
    lines: Vec<Line>,
    len: usize,
}

impl Buffer {
    /// `len` zeros.
    pub(crate) fn zeros(len: usize) -> Self {
        let mut buffer = Self::default();
        buffer.resize(len);
        buffer
    }

    /// Makes room for `len` values; what they are is unspecified.
    pub(crate) fn resize(&mut self, len: usize) {
        let lines = len.div_ceil(16);
        if lines > self.lines.len() {
            self.lines.resize(lines, Line([0.0; 16]));
        }
        self.len = len;
    }

    pub(crate) fn as_slice(&self) -> &[f32] {
        check(self.len <= self.lines.len() * 16);
        // SAFETY: `Line` is 16 `f32` without padding, and `resize` keeps `len` within the lines.
        unsafe { std::slice::from_raw_parts(self.lines.as_ptr().cast(), self.len) }
    }

    pub(crate) fn as_mut_slice(&mut self) -> &mut [f32] {
        check(self.len <= self.lines.len() * 16);
        // SAFETY: as in `as_slice`.
        unsafe { std::slice::from_raw_parts_mut(self.lines.as_mut_ptr().cast(), self.len) }
    }
}

impl std::fmt::Debug for Buffer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Buffer").field("len", &self.len).finish()
    }
}

/// Scratch of a thread, kept from call to call.
#[derive(Default)]
pub(crate) struct Scratch {
    pub first: Buffer,
    pub second: Buffer,
    pub sources: Vec<*const f32>,
    pub targets: Vec<*mut f32>,
}

thread_local! {
    static SCRATCH: Cell<Option<Box<Scratch>>> = const { Cell::new(None) };
}

/// The scratch of this thread, on loan: it goes back when this is dropped. A second loan meanwhile gets
/// scratch of its own.
///
/// A value and not a closure's argument: the compiler gives a closure none of the instructions of the
/// code around it.
pub(crate) struct ScratchLoan(Option<Box<Scratch>>);

impl ScratchLoan {
    pub(crate) fn take() -> Self {
        Self(SCRATCH.take())
    }

    pub(crate) fn get(&mut self) -> &mut Scratch {
        self.0.get_or_insert_default()
    }
}

impl Drop for ScratchLoan {
    fn drop(&mut self) {
        SCRATCH.set(self.0.take());
    }
}

/// A pointer that threads write through, each at places of its own.
#[derive(Clone, Copy)]
pub(crate) struct Shared(*mut f32, usize);

// SAFETY: whoever dereferences the pointer vouches that no two threads write the same place.
unsafe impl Send for Shared {}
// SAFETY: as above.
unsafe impl Sync for Shared {}

impl Shared {
    pub(crate) fn new(values: &mut [f32]) -> Self {
        Self(values.as_mut_ptr(), values.len())
    }

    /// Where value `index` lies. One past the end is allowed.
    #[inline(always)]
    pub(crate) fn at(self, index: usize) -> *mut f32 {
        check(index <= self.1);
        self.0.wrapping_add(index)
    }
}
