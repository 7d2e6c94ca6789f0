//! A pool of reusable scratch memory.

use std::sync::{Mutex, PoisonError};

/// Values that are created on demand and reused.
pub(crate) struct Pool<T>(Mutex<Vec<T>>);

impl<T: Default> Pool<T> {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(Vec::new()))
    }

    /// An unused value, or a new one.
    pub(crate) fn take(&self) -> T {
        // Scratch memory contains nothing that a panic elsewhere could leave half-done.
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop()
            .unwrap_or_default()
    }

    pub(crate) fn give_back(&self, value: T) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(value);
    }
}
