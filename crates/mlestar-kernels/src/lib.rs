//! Fast CPU kernels for convolutional networks, in pure Rust.
//!
//! The functions work on plain slices of channels-last images, `[n, height, width, channels]`, and
//! use the threads of the rayon pool that they are called in. Their bits do not depend on the number
//! of those threads. With the feature `burn` (on by default), [`backend`] offers them as differentiable
//! operations on tensors of Burn's CPU backend.

// A closure in a kernel is compiled without the vector instructions of the surrounding code. Kernels therefore
// loop over arrays by index, and use `match` instead of `Option::map`.
#![allow(clippy::needless_range_loop, clippy::manual_map)]

mod activation;
mod average_pool;
#[cfg(feature = "burn")]
pub mod backend;
mod batch_norm;
mod convolution;
mod depthwise;
mod error;
mod lion;
mod matrix;
mod max_pool;
mod memory;
mod muon;
mod optimizer;
mod padding;
mod product;
mod simd;
mod sum_of_squares;
mod values;

pub use activation::{Activation, activate};
pub use average_pool::{
    global_average_pool, global_average_pool_backward, global_average_pool_values,
};
pub use batch_norm::{
    Activated, BatchNormGradients, ChannelStatistics, batch_norm_backward, batch_norm_forward,
    channel_statistics,
};
pub use convolution::{
    Algorithm, Conv2dShape, Epilogue, PackedConv2d, Precision, QuantizedWeights, conv2d,
    conv2d_input_gradient, conv2d_input_gradient_with, conv2d_weight_gradient,
    conv2d_weight_gradient_with, conv2d_with,
};
pub use depthwise::{
    DepthwiseShape, PackedDepthwise, depthwise_conv2d, depthwise_conv2d_input_gradient,
    depthwise_conv2d_input_gradient_with, depthwise_conv2d_weight_gradient,
    depthwise_conv2d_weight_gradient_with, depthwise_conv2d_with,
};
pub use error::KernelError;
pub use lion::{LionStep, lion_step};
pub use max_pool::{MaxPoolShape, max_pool, max_pool_backward};
pub use memory::release_memory;
pub use muon::{
    MuonStep, NEWTON_SCHULZ_COEFFICIENTS, NEWTON_SCHULZ_EPSILON, NEWTON_SCHULZ_ROUNDS, muon_step,
    orthogonalize,
};
pub use optimizer::{AdamStep, SgdStep, adam_step, sgd_step};
pub use padding::Padding;
pub use simd::Level;
pub use sum_of_squares::sum_of_squares;
pub use values::{ByteScale, Values, ValuesMut, convert};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
