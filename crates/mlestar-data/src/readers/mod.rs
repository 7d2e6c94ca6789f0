//! Readers for the supported image formats.
//!
//! Nothing is left out silently: if a set is smaller than it looks, all its figures are wrong. An unreadable
//! file is listed with the reason. If the share of unreadable files exceeds the configured limit, the set is
//! refused.

pub mod attributes;
pub mod cifar;
pub mod class_names;
mod csv;
pub mod folder;
pub mod litter;
pub mod manifest;
pub mod name;
pub mod pixel_cache;
mod skipped;
mod walk;

pub use mlestar_image::{picture, resize};
