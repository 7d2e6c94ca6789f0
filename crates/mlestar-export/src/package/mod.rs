//! A deployable model as a folder, or as one `.tar.zst` file.
//!
//! | file | content |
//! |---|---|
//! | `model.safetensors` | folded weights, operations, classes, normalisation: what [`Predictor`] runs |
//! | `model.onnx` | the same model for any ONNX runtime |
//! | `model.int8.onnx` | the model in int8 (QDQ form), if the exporter quantised it |
//! | `model.py` | code that loads `model.safetensors` into PyTorch |
//! | `manifest.json` | [`Manifest`]: input and output contract, hashes and sizes of the files, provenance |
//! | `golden/` | images whose recorded predictions every copy must reproduce |
//! | others | documents and files for deployment, as the exporter added them ([`add_files`]) |
//!
//! [`Predictor::open`] checks the recorded hash of every file that it uses, so that a damaged or altered model is
//! rejected by name. [`verify`] checks every file with both hashes and predicts the golden images again. Hashes find
//! damage and mix-ups. They are no signature and do not protect against someone who also rewrites the manifest.
//!
//! [`Predictor`]: crate::Predictor
//! [`Predictor::open`]: crate::Predictor::open

pub mod archive;
mod golden;
mod manifest;
mod openapi;
mod read;
mod training_data;
mod verification;
mod write;

pub use golden::{GOLDEN_TOLERANCE, GoldenImage, GoldenInput, GoldenResult};
pub use manifest::{
    Calibration, FileRole, GateRecord, InputContract, Manifest, MetricRecord, OutputContract,
    PackageFile, PrecisionRecord,
};
pub use openapi::{openapi, openapi_of};
pub use read::{open, open_quantized, read_file, read_manifest};
pub use training_data::{Histogram, ImageStatistics, TrainingData};
pub use verification::{Verification, verify};
pub use write::{AddedFile, Contents, add_files, record_gates, write_package};

/// File name of the weights in a package.
pub const SAFETENSORS_FILE: &str = "model.safetensors";
/// File name of the ONNX model in a package.
pub const ONNX_FILE: &str = "model.onnx";
/// File name of the int8 model in a package.
pub const INT8_FILE: &str = "model.int8.onnx";
/// File name of the PyTorch code in a package.
pub const TORCH_FILE: &str = "model.py";
/// File name of the manifest in a package.
pub const MANIFEST_FILE: &str = "manifest.json";
/// Folder of the golden images in a package.
pub const GOLDEN_FOLDER: &str = "golden";
