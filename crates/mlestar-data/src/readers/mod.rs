//! Readers of the formats that pictures come in.
//!
//! Nothing is left out silently: a set that is smaller than it looks makes every figure that is computed from
//! it wrong. A file that cannot be read is listed with the reason, and beyond a share that the config sets
//! the set is refused.

pub mod cifar;
pub mod class_names;
pub mod folder;
pub mod litter;
pub mod name;
mod skipped;
mod walk;

pub use mlestar_image::{picture, resize};
