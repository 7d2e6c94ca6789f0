//! Fast CPU kernels for convolutional networks, in pure Rust.
//!
//! The functions work on plain slices of channels-last pictures, `[n, height, width, channels]`, and
//! use the threads of the rayon pool that they are called in.

mod convolution;
mod error;
mod matrix;
mod memory;
mod simd;

pub use convolution::{
    Algorithm, Conv2dShape, Epilogue, PackedConv2d, conv2d, conv2d_input_gradient,
    conv2d_input_gradient_with, conv2d_weight_gradient, conv2d_weight_gradient_with, conv2d_with,
};
pub use error::KernelError;
pub use simd::Level;
