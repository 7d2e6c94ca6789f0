#![doc = include_str!("../README.md")]

pub mod picture;
mod preparation;
pub mod resample;
pub mod resize;

pub use preparation::{Preparation, Resize};
pub use resample::Filter;

/// The code of this crate, as text. A cache of prepared pixels compares it with the code that made them.
pub const SOURCES: [&str; 4] = [
    include_str!("picture.rs"),
    include_str!("preparation.rs"),
    include_str!("resample.rs"),
    include_str!("resize.rs"),
];
