#![doc = include_str!("../README.md")]

pub mod picture;
mod preparation;
pub mod resize;

pub use preparation::{Preparation, Resize};
