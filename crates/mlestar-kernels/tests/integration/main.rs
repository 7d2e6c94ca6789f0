//! The kernels compared with references in 64 bits, over random shapes and at every level of instructions.

// Clippy's exemption for tests does not reach their helper functions.
#![allow(clippy::unwrap_used)]

mod batch_norm;
#[cfg(feature = "burn")]
mod burn;
mod bytes;
mod convolution;
mod depthwise;
#[cfg(feature = "burn")]
mod finite_differences;
mod max_pool;
mod muon;
mod non_finite;
mod optimizer;
mod reference;
mod sum_of_squares;
mod threads;
