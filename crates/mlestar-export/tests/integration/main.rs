//! Behaviour across modules: the executor against a naive convolution and Burn, files against each
//! other and against an independent ONNX runtime, damaged files.

// Clippy's exemption of tests covers functions marked `#[test]`, not the helpers that they call.
#![allow(clippy::unwrap_used)]

mod allocations;
mod attention;
mod burn_parity;
mod damaged_files;
mod depthwise;
mod executor;
mod golden;
mod models;
mod new_architectures;
mod onnx_runtime;
mod packages;
mod precisions;
mod published;
mod quantization;
mod round_trips;
mod torch;
