//! ONNX files, written and read without an ONNX library.
//!
//! The graph takes raw images and contains all preprocessing:
//!
//! | | name | type | shape |
//! |---|---|---|---|
//! | input | `images` | uint8 | `[batch, height, width, 3]`, interleaved RGB |
//! | output | `logits` | float | `[batch, classes]` |
//! | output | `probabilities` | float | `[batch, classes]`, calibrated, rows sum to 1 |
//! | output | `familiarity` | float | `[batch]`, low for images unlike the training images |
//! | output | `none_of_these` | bool | `[batch]`, only if the model has a limit of familiarity |
//!
//! `batch` is symbolic: any number of images. The file uses operator set 18 (`Cast`, `Div`,
//! `Sub`, `Transpose`, `Conv`, `Add`, `Relu`, `MaxPool`, `GlobalAveragePool`, `Flatten`, `Gemm`, `Softmax`,
//! `ReduceLogSumExp`, `Less`;
//! with SiLU also `Sigmoid` and `Mul`; with attention these and `ReduceMean`, `ReduceMax`, `Concat`; with averages over
//! views also `Slice` or `Gather`, and `Concat`, `Reshape`, `ReduceMean`).
//! Its metadata contain the class names (`classes`, a JSON list; position is index) and the normalisation
//! (`normalization`, JSON; for information, because the graph contains it).
//!
//! [`write_quantized`] writes a quantised model with the same input and outputs, in QDQ form: around each int8 layer stand
//! `QuantizeLinear` and `DequantizeLinear`, from which runtimes make integer kernels. Its weights are int8 with a scale
//! for each output channel, its biases int32 in steps of the product of both scales, its buffers uint8.
//!
//! [`read`] and [`read_quantized`] read the files that [`write()`] and [`write_quantized`] write, in this version of
//! the format, and reject every other ONNX file.
//!
//! ```
//! use mlestar_export::onnx;
#![doc = include_str!("../doc_model.in")]
//! # let folder = tempfile::tempdir()?;
//! let path = folder.path().join("model.onnx");
//! onnx::write(&model, &path)?;
//! assert_eq!(onnx::read(&path)?, model);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod attention;
mod graph;
mod proto;
mod quantized;
mod read;
mod wire;

pub(crate) use graph::{FAMILIARITY, INPUT, LOGITS, NONE_OF_THESE, PROBABILITIES};

use std::path::Path;

use mlestar_artifact::write_atomically;

use crate::bytes::read_file;
use crate::error::ExportError;
use crate::frozen::FrozenModel;
use crate::int8_model::QuantizedModel;

/// Operator set of the files.
pub const OPSET: i64 = 18;
/// Version of the ONNX format; 8 belongs to operator set 18.
const IR_VERSION: i64 = 8;
const CLASSES_KEY: &str = "classes";
const NORMALIZATION_KEY: &str = "normalization";

/// The bytes of the ONNX file of `model`.
#[must_use]
pub fn to_bytes(model: &FrozenModel) -> Vec<u8> {
    encode(model, graph::graph_of(model))
}

/// A file with the metadata of `model`.
fn encode(model: &FrozenModel, graph: proto::Graph) -> Vec<u8> {
    proto::encode(&proto::Model {
        ir_version: IR_VERSION,
        producer_name: env!("CARGO_PKG_NAME").to_owned(),
        producer_version: env!("CARGO_PKG_VERSION").to_owned(),
        doc_string: "Image classifier. Feed raw 8-bit RGB images as `images`; `metadata_props` \
                     has the class names."
            .to_owned(),
        graph,
        opsets: vec![(String::new(), OPSET)],
        metadata: vec![
            (
                CLASSES_KEY.to_owned(),
                serde_json::json!(model.classes()).to_string(),
            ),
            (
                NORMALIZATION_KEY.to_owned(),
                serde_json::json!(model.normalization()).to_string(),
            ),
        ],
    })
}

/// Writes `model` as an ONNX file, atomically.
///
/// # Errors
///
/// [`ExportError::Artifact`] if the file cannot be written.
pub fn write(model: &FrozenModel, path: &Path) -> Result<(), ExportError> {
    Ok(write_atomically(path, &to_bytes(model))?)
}

/// Reads an ONNX file that [`write()`] has written.
///
/// # Errors
///
/// [`ExportError::Read`] if the file cannot be read, [`ExportError::Malformed`] if it is not such a file.
pub fn read(path: &Path) -> Result<FrozenModel, ExportError> {
    from_bytes(&read_file(path)?).map_err(|reason| ExportError::malformed(path, reason))
}

/// Reads the content of an ONNX file that this crate has written.
///
/// # Errors
///
/// What is wrong with the file, as text.
pub fn from_bytes(bytes: &[u8]) -> Result<FrozenModel, String> {
    read::model_of(&decode(bytes)?)
}

/// The messages of a file of our operator set.
fn decode(bytes: &[u8]) -> Result<proto::Model, String> {
    let model = proto::decode(bytes)?;
    if model.opsets != [(String::new(), OPSET)] || model.ir_version != IR_VERSION {
        return Err(format!(
            "operator sets {:?} and format version {}, but this reader knows operator set {OPSET} \
             and format version {IR_VERSION}",
            model.opsets, model.ir_version
        ));
    }
    Ok(model)
}

/// The bytes of the ONNX file of a quantised model.
#[must_use]
pub fn quantized_to_bytes(model: &QuantizedModel) -> Vec<u8> {
    encode(model.model(), quantized::graph_of(model))
}

/// Writes a quantised model as an ONNX file in QDQ form, atomically.
///
/// # Errors
///
/// [`ExportError::Artifact`] if the file cannot be written.
pub fn write_quantized(model: &QuantizedModel, path: &Path) -> Result<(), ExportError> {
    Ok(write_atomically(path, &quantized_to_bytes(model))?)
}

/// Reads an ONNX file that [`write_quantized`] has written.
///
/// # Errors
///
/// [`ExportError::Read`] if the file cannot be read, [`ExportError::Malformed`] if it is not such a file.
pub fn read_quantized(path: &Path) -> Result<QuantizedModel, ExportError> {
    quantized_from_bytes(&read_file(path)?).map_err(|reason| ExportError::malformed(path, reason))
}

/// Reads the content of an ONNX file of a quantised model that this crate has written.
///
/// # Errors
///
/// What is wrong with the file, as text.
pub fn quantized_from_bytes(bytes: &[u8]) -> Result<QuantizedModel, String> {
    quantized::model_of(&decode(bytes)?)
}
