//! Memory for packed weights, intermediate values and results.

mod buffer;
mod shelf;

use std::cell::Cell;

pub(crate) use buffer::Buffer;
pub use shelf::release_memory;

/// A check in an innermost loop, enabled in this crate's unit tests and in builds with debug assertions.
#[inline(always)]
#[track_caller]
pub(crate) fn check(holds: bool) {
    if cfg!(any(test, debug_assertions)) {
        assert!(holds);
    }
}

/// Scratch memory of a thread, kept between calls.
#[derive(Default)]
pub(crate) struct Scratch {
    pub first: Buffer,
    pub second: Buffer,
    pub sources: Vec<*const f32>,
    pub targets: Vec<usize>,
}

thread_local! {
    static SCRATCH: Cell<Option<Box<Scratch>>> = const { Cell::new(None) };
}

/// The scratch memory of this thread, borrowed until this is dropped. A second borrow in the meantime gets its
/// own.
///
/// A value and not a closure's argument: the compiler gives a closure none of the instructions of the
/// surrounding code.
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

/// Types of which any bits are a value.
pub(crate) trait Plain: Copy {}
impl Plain for f32 {}
impl Plain for u16 {}
impl Plain for u8 {}

/// The memory of `values` as values of another type, as many as fit.
pub(crate) fn cast<T: Plain>(values: &[f32]) -> &[T] {
    let len = size_of_val(values) / size_of::<T>();
    // SAFETY: any bits are a `T`; none of the types needs a stricter alignment than `f32`.
    unsafe { std::slice::from_raw_parts(values.as_ptr().cast(), len) }
}

/// The same for changing them.
pub(crate) fn cast_mut<T: Plain>(values: &mut [f32]) -> &mut [T] {
    let len = size_of_val(values) / size_of::<T>();
    // SAFETY: any bits are a `T` and an `f32`; none of the types needs a stricter alignment than `f32`.
    unsafe { std::slice::from_raw_parts_mut(values.as_mut_ptr().cast(), len) }
}

/// A pointer through which threads write, each at its own positions.
#[derive(Clone, Copy)]
pub(crate) struct Shared(*mut f32, usize);

// SAFETY: code that dereferences the pointer ensures that no two threads write the same position.
unsafe impl Send for Shared {}
// SAFETY: as above.
unsafe impl Sync for Shared {}

impl Shared {
    pub(crate) fn new(values: &mut [f32]) -> Self {
        Self(values.as_mut_ptr(), values.len())
    }

    /// The address of value `index`. One past the end is allowed.
    #[inline(always)]
    pub(crate) fn at(self, index: usize) -> *mut f32 {
        check(index <= self.1);
        self.0.wrapping_add(index)
    }
}
