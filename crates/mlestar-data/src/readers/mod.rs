//! Readers of the formats that pictures come in.
//!
//! Each reader says what is wrong with a data set instead of leaving pictures out: a set that is
//! silently smaller than it looks makes every figure that is computed from it wrong.

pub mod cifar;
pub mod folder;
pub mod name;
pub mod picture;
pub mod resize;
