//! The kernels against references in 64 bits, over random shapes and at every level of instructions.

mod convolution;
mod non_finite;
mod reference;
