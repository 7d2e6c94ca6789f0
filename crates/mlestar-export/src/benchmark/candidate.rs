//! The ways to run the model of a package.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::model::MeasuredModel;
use crate::error::ExportError;
use crate::executor::Precision;
use crate::onnx;
use crate::package::{INT8_FILE, ONNX_FILE, SAFETENSORS_FILE, read_file};
use crate::predictor::Predictor;

/// One way to run the model of a package: which file is read, and in which precision it computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Candidate {
    /// `model.safetensors` in 32 bits: what [`Predictor::open`] does.
    SafetensorsF32,
    /// `model.onnx` in 32 bits, read by [`onnx::read`].
    OnnxF32,
    /// `model.safetensors` with factors in bfloat16.
    SafetensorsBf16,
    /// `model.int8.onnx`, its layers multiplying bytes.
    OnnxInt8,
}

impl Candidate {
    /// Every candidate, the usual one first.
    pub const ALL: [Self; 4] = [
        Self::SafetensorsF32,
        Self::OnnxF32,
        Self::SafetensorsBf16,
        Self::OnnxInt8,
    ];

    /// Its name in commands and files.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::SafetensorsF32 => "safetensors-f32",
            Self::OnnxF32 => "onnx-f32",
            Self::SafetensorsBf16 => "safetensors-bf16",
            Self::OnnxInt8 => "onnx-int8",
        }
    }

    /// The format of its file.
    #[must_use]
    pub fn format(self) -> &'static str {
        match self {
            Self::SafetensorsF32 | Self::SafetensorsBf16 => "safetensors",
            Self::OnnxF32 | Self::OnnxInt8 => "ONNX",
        }
    }

    /// The precision that it computes in.
    #[must_use]
    pub fn precision(self) -> &'static str {
        match self {
            Self::SafetensorsF32 | Self::OnnxF32 => Precision::F32.name(),
            Self::SafetensorsBf16 => Precision::Bf16.name(),
            Self::OnnxInt8 => Precision::Int8.name(),
        }
    }

    /// The file of the package that it reads.
    #[must_use]
    pub fn file(self) -> &'static str {
        match self {
            Self::SafetensorsF32 | Self::SafetensorsBf16 => SAFETENSORS_FILE,
            Self::OnnxF32 => ONNX_FILE,
            Self::OnnxInt8 => INT8_FILE,
        }
    }

    /// Opens the package in the folder `dir` in this way. Files that differ from the manifest are refused.
    ///
    /// # Errors
    ///
    /// As for [`Predictor::open`] and [`onnx::read`].
    pub fn open(self, dir: &Path) -> Result<Box<dyn MeasuredModel>, ExportError> {
        match self {
            Self::SafetensorsF32 => Ok(Box::new(Predictor::open(dir)?)),
            Self::OnnxF32 => {
                let model = onnx::from_bytes(&read_file(dir, ONNX_FILE)?)
                    .map_err(|reason| ExportError::malformed(&dir.join(ONNX_FILE), reason))?;
                Ok(Box::new(Predictor::new(model)))
            }
            Self::SafetensorsBf16 => Ok(Box::new(Predictor::open_in(dir, Precision::Bf16, 1)?)),
            Self::OnnxInt8 => Ok(Box::new(Predictor::open_in(dir, Precision::Int8, 1)?)),
        }
    }
}
