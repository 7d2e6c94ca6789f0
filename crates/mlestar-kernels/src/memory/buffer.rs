use super::{
    check,
    shelf::{self, Line},
};

/// `f32` values aligned to a cache line, so that no vector load of packed values crosses two lines.
#[derive(Default)]
pub(crate) struct Buffer {
    lines: Vec<Line>,
    len: usize,
}

impl Buffer {
    /// `len` values with unspecified contents.
    pub(crate) fn new(len: usize) -> Self {
        let mut buffer = Self {
            lines: shelf::take(len.div_ceil(Line::VALUES)),
            len,
        };
        if cfg!(any(test, debug_assertions)) {
            // Detects values that a kernel leaves out, here in unit tests; see `backend::storage`.
            buffer.as_mut_slice().fill(f32::NAN);
        }
        buffer
    }

    /// `len` zeros.
    pub(crate) fn zeros(len: usize) -> Self {
        let mut buffer = Self::new(len);
        buffer.as_mut_slice().fill(0.0);
        buffer
    }

    /// Makes room for `len` values with unspecified contents.
    pub(crate) fn resize(&mut self, len: usize) {
        let lines = len.div_ceil(Line::VALUES);
        if lines > self.lines.len() {
            *self = Self::new(len);
        }
        self.len = len;
    }

    pub(crate) fn as_slice(&self) -> &[f32] {
        check(self.len <= self.lines.len() * Line::VALUES);
        // SAFETY: a `Line` is `VALUES` `f32` without padding; `new` and `resize` keep `len` within the
        // lines.
        unsafe { std::slice::from_raw_parts(self.lines.as_ptr().cast(), self.len) }
    }

    pub(crate) fn as_mut_slice(&mut self) -> &mut [f32] {
        check(self.len <= self.lines.len() * Line::VALUES);
        // SAFETY: as in `as_slice`.
        unsafe { std::slice::from_raw_parts_mut(self.lines.as_mut_ptr().cast(), self.len) }
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        shelf::give_back(std::mem::take(&mut self.lines));
    }
}

impl std::fmt::Debug for Buffer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Buffer").field("len", &self.len).finish()
    }
}
