//! The Open Inference Protocol, version 2, with the extensions for binary tensors and for classification.
//!
//! Only bytes and values: nothing here knows HTTP or runs a network.

mod binary;
mod data;
pub mod metadata;
mod request;
mod response;

pub use crate::output::Output;
pub use request::{InferRequest, Input, OutputForm, RequestedOutput};
pub use response::{InferResponse, OutputValues, respond};

/// The header with the number of bytes of JSON before binary tensors.
pub const HEADER_LENGTH: &str = "inference-header-content-length";

/// The input with pixels of the model's size.
pub const PIXELS_INPUT: &str = "images";

/// The input with image files of any size.
pub const FILES_INPUT: &str = "raw";
