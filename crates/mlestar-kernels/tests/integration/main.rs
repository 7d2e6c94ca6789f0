//! The kernels against references in 64 bits, over random shapes and at every level of instructions.

mod batch_norm;
#[cfg(feature = "burn")]
mod burn;
mod convolution;
mod non_finite;
mod optimizer;
mod reference;
mod threads;
