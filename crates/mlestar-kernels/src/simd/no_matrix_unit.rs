//! Processors whose matrix unit, if any, is not used.

use super::blocks::{Products, Target};

/// There is none.
pub(crate) enum MatrixUnit {}

impl MatrixUnit {
    /// # Safety
    ///
    /// Nothing calls this.
    pub(crate) unsafe fn multiply(&mut self, _: Products, _: Target) {
        match *self {}
    }
}
