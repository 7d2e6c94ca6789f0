//! Safetensors files: the folded weights with everything needed to run them, and plain tensors.
//!
//! The file of a frozen model holds `<operation>.weight` and `<operation>.bias` (`f32`) for every convolution
//! and linear layer; an attention layer has `<operation>.reduce` and `<operation>.expand`, or `<operation>.conv`, in
//! the place of `<operation>`. Its metadata describe how they are connected:
//!
//! | key | value |
//! |---|---|
//! | `format` | `mlestar.frozen_model` |
//! | `format_version` | `5` |
//! | `views` | JSON of the [`Views`] of an image over which the logits are averaged |
//! | `confidence` | JSON of the [`Confidence`] |
//! | `classes` | JSON list of names; position is class index |
//! | `normalization` | JSON `{"mean": [r, g, b], "std": [r, g, b]}` of pixels in 0-1 |
//! | `picture` | JSON `{"height": h, "width": w}` |
//! | `operations` | JSON list of [`OperationRecord`]; operation `i` writes buffer `i + 1` |
//!
//! Equal models give equal bytes.
//!
//! [`Confidence`]: crate::Confidence
//! [`Views`]: mlestar_model::Views

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use mlestar_artifact::write_atomically;
use mlestar_model::{Activation, NamedTensor, Padding};
use safetensors::{Dtype, SafeTensors};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::bytes::{floats, read_file};
use crate::error::ExportError;
use crate::frozen::FrozenModel;
use crate::graph::{AttentionLayer, Convolution, Factors, Layer, LayerWeights, Linear, Operation};

const FORMAT: &str = "mlestar.frozen_model";

const FORMAT_VERSION: &str = "5";

/// One operation of a frozen model without its weights.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OperationRecord {
    /// Unique name.
    pub name: String,
    /// The input buffer; 0 is the normalised image.
    pub input: usize,
    /// The computation.
    #[serde(flatten)]
    pub kind: OperationKind,
}

/// The computation of an operation, without its weights.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum OperationKind {
    /// Convolution with bias, then the residual sum, then the activation.
    Convolution {
        /// Stride down and across.
        stride: [usize; 2],
        /// Zero padding above and at the left.
        padding: [usize; 2],
        /// Zero padding below and at the right, if it differs.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        end_padding: Option<[usize; 2]>,
        /// Groups of channels that are computed separately, if there are several.
        #[serde(default = "one", skip_serializing_if = "is_one")]
        groups: usize,
        /// The buffer to add.
        add_from: Option<usize>,
        /// Whether the activation is a ReLU.
        relu: bool,
        /// The activation, if it is another one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        activation: Option<Activation>,
    },
    /// Largest value of each window.
    MaxPool {
        /// Side of the windows.
        window: usize,
        /// Pixels from one window to the next, if different from the side.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        stride: Option<usize>,
        /// Pixels around the map that windows may cover.
        #[serde(default, skip_serializing_if = "is_zero")]
        padding: usize,
        /// The activation applied to each largest value.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        activation: Option<Activation>,
    },
    /// Product with factors between 0 and 1, then the residual sum, then the activation.
    Attention {
        /// What has a factor of its own.
        factors: FactorKind,
        /// The buffer to add.
        add_from: Option<usize>,
        /// The activation.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        activation: Option<Activation>,
    },
    /// Mean over height and width.
    GlobalAveragePool,
    /// Fully connected layer.
    Linear,
}

/// What has a factor of its own in an attention layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FactorKind {
    /// Each channel ([`Factors::OfChannels`]).
    OfChannels,
    /// Each pixel ([`Factors::OfPixels`]).
    OfPixels,
}

fn one() -> usize {
    1
}

// Serde passes a reference.
#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_one(value: &usize) -> bool {
    *value == 1
}

#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_zero(value: &usize) -> bool {
    *value == 0
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PictureSize {
    height: usize,
    width: usize,
}

/// The bytes of the safetensors file of `model`.
#[must_use]
pub fn to_bytes(model: &FrozenModel) -> Vec<u8> {
    let records: Vec<OperationRecord> = model.operations().iter().map(record_of).collect();
    let picture = PictureSize {
        height: model.height(),
        width: model.width(),
    };
    let metadata = BTreeMap::from([
        ("format", FORMAT.to_owned()),
        ("format_version", FORMAT_VERSION.to_owned()),
        ("views", json!(model.views()).to_string()),
        ("confidence", json!(model.confidence()).to_string()),
        ("classes", json!(model.classes()).to_string()),
        ("normalization", json!(model.normalization()).to_string()),
        ("picture", json!(picture).to_string()),
        ("operations", json!(records).to_string()),
    ]);
    let mut tensors = Vec::new();
    for (name, part) in model.operations().iter().flat_map(Operation::parts) {
        let (shape, weight, bias) = part.weights();
        tensors.push((format!("{name}.weight"), shape.to_vec(), weight));
        tensors.push((format!("{name}.bias"), vec![bias.len()], bias));
    }
    let borrowed = tensors
        .iter()
        .map(|(name, shape, values)| TensorRef {
            name,
            shape,
            values,
        })
        .collect::<Vec<_>>();
    encode(&borrowed, &metadata)
}

/// Writes `model` as a safetensors file, atomically.
///
/// # Errors
///
/// [`ExportError::Artifact`] if the file cannot be written.
pub fn write(model: &FrozenModel, path: &Path) -> Result<(), ExportError> {
    Ok(write_atomically(path, &to_bytes(model))?)
}

/// Reads a model from its safetensors file alone.
///
/// # Errors
///
/// [`ExportError::Read`] if the file cannot be read, [`ExportError::Malformed`] if it is not the file of a
/// frozen model.
pub fn read(path: &Path) -> Result<FrozenModel, ExportError> {
    from_bytes(&read_file(path)?).map_err(|reason| ExportError::malformed(path, reason))
}

/// Reads a model from the content of its safetensors file.
///
/// # Errors
///
/// What is wrong with the file, as text.
pub fn from_bytes(bytes: &[u8]) -> Result<FrozenModel, String> {
    let (_, header) = SafeTensors::read_metadata(bytes).map_err(|error| error.to_string())?;
    let tensors = SafeTensors::deserialize(bytes).map_err(|error| error.to_string())?;
    let metadata = header.metadata().clone().unwrap_or_default();
    let found = |key: &str| metadata.get(key).map(String::as_str);
    let refused = |key: &str, expected: &str| {
        let found = metadata.get(key);
        Err(format!("metadata {key:?} is {found:?}, not {expected}"))
    };
    if found("format") != Some(FORMAT) {
        return refused("format", &format!("{FORMAT:?}"));
    }
    if found("format_version") != Some(FORMAT_VERSION) {
        return refused("format_version", &format!("{FORMAT_VERSION:?}"));
    }
    let picture: PictureSize = parse(&metadata, "picture")?;
    let records: Vec<OperationRecord> = parse(&metadata, "operations")?;
    // Serde accepts unknown keys in a flattened enum, but one of them could change the result.
    if json!(records) != parse::<serde_json::Value>(&metadata, "operations")? {
        return Err("metadata \"operations\" has keys that this reader does not know".to_owned());
    }
    let mut reader = TensorReader {
        tensors: tensors.iter().collect(),
    };
    let operations: Vec<Operation> = records
        .into_iter()
        .map(|record| reader.operation(record))
        .collect::<Result<_, _>>()?;
    if let Some(name) = reader.tensors.keys().min() {
        return Err(format!("tensor {name:?} belongs to no operation"));
    }
    let model = FrozenModel::new(
        parse(&metadata, "classes")?,
        parse(&metadata, "normalization")?,
        picture.height,
        picture.width,
        operations,
    )
    .map_err(|error| error.to_string())?
    .with_views(parse(&metadata, "views")?);
    model
        .with_confidence(parse(&metadata, "confidence")?)
        .map_err(|error| error.to_string())
}

/// Writes `tensors` (for example the `state` of a `mlestar_model::Network`: unfolded, with the names
/// that PyTorch would use) as a safetensors file, atomically.
///
/// ```
/// use std::collections::BTreeMap;
/// use mlestar_export::safetensors_file::write_state_safetensors;
/// use mlestar_model::NamedTensor;
///
/// # let folder = tempfile::tempdir()?;
/// let path = folder.path().join("state.safetensors");
/// let bias = NamedTensor { name: "head.bias".to_owned(), shape: vec![2], values: vec![0.5, -0.5] };
/// write_state_safetensors(&[bias], &BTreeMap::from([("epoch", "3")]), &path)?;
/// assert!(path.exists());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
///
/// [`ExportError::InvalidArgument`] if a name is used twice or values do not fill their shape,
/// [`ExportError::Artifact`] if the file cannot be written.
pub fn write_state_safetensors(
    tensors: &[NamedTensor],
    metadata: &BTreeMap<&str, &str>,
    path: &Path,
) -> Result<(), ExportError> {
    let mut names = std::collections::BTreeSet::new();
    for NamedTensor {
        name,
        shape,
        values,
    } in tensors
    {
        if !names.insert(name) || name == "__metadata__" {
            return Err(ExportError::argument(
                "tensors",
                format!("the name `{name}` is taken"),
            ));
        }
        let elements = shape
            .iter()
            .try_fold(1_usize, |product, &side| product.checked_mul(side));
        if elements != Some(values.len()) {
            let reason = format!("`{name}` of shape {shape:?} has {} values", values.len());
            return Err(ExportError::argument("tensors", reason));
        }
    }
    let borrowed: Vec<TensorRef> = tensors
        .iter()
        .map(|tensor| TensorRef {
            name: &tensor.name,
            shape: &tensor.shape,
            values: &tensor.values,
        })
        .collect();
    let metadata = metadata
        .iter()
        .map(|(&key, &value)| (key, value.to_owned()))
        .collect();
    Ok(write_atomically(path, &encode(&borrowed, &metadata))?)
}

struct TensorRef<'a> {
    name: &'a str,
    shape: &'a [usize],
    values: &'a [f32],
}

/// Length of the header, the header padded to 8 bytes, the data. The `safetensors` crate is not used here,
/// because it orders metadata differently on every run.
fn encode(tensors: &[TensorRef], metadata: &BTreeMap<&str, String>) -> Vec<u8> {
    let mut header = serde_json::Map::new();
    header.insert("__metadata__".to_owned(), json!(metadata));
    let mut end = 0;
    for tensor in tensors {
        let start = end;
        end += 4 * tensor.values.len();
        let entry = json!({"dtype": "F32", "shape": tensor.shape, "data_offsets": [start, end]});
        header.insert(tensor.name.to_owned(), entry);
    }
    let mut header = serde_json::Value::Object(header).to_string().into_bytes();
    header.resize(header.len().next_multiple_of(8), b' ');
    let mut bytes = Vec::with_capacity(8 + header.len() + end);
    bytes.extend_from_slice(&(header.len() as u64).to_le_bytes());
    bytes.extend_from_slice(&header);
    for tensor in tensors {
        bytes.extend(tensor.values.iter().flat_map(|value| value.to_le_bytes()));
    }
    bytes
}

fn record_of(operation: &Operation) -> OperationRecord {
    let kind = match &operation.layer {
        Layer::Convolution(layer) => OperationKind::Convolution {
            stride: layer.stride,
            padding: layer.padding.start,
            end_padding: (layer.padding.start != layer.padding.end).then_some(layer.padding.end),
            groups: layer.groups,
            add_from: layer.add_from,
            relu: layer.activation == Some(Activation::Relu),
            activation: layer
                .activation
                .filter(|activation| *activation != Activation::Relu),
        },
        &Layer::MaxPool {
            window,
            stride,
            padding,
            activation,
        } => OperationKind::MaxPool {
            window,
            stride: (stride != window).then_some(stride),
            padding,
            activation,
        },
        Layer::Attention(attention) => OperationKind::Attention {
            factors: match attention.factors {
                Factors::OfChannels { .. } => FactorKind::OfChannels,
                Factors::OfPixels(_) => FactorKind::OfPixels,
            },
            add_from: attention.add_from,
            activation: attention.activation,
        },
        Layer::GlobalAveragePool => OperationKind::GlobalAveragePool,
        Layer::Linear(_) => OperationKind::Linear,
    };
    OperationRecord {
        name: operation.name.clone(),
        input: operation.input,
        kind,
    }
}

fn parse<T: DeserializeOwned>(metadata: &HashMap<String, String>, key: &str) -> Result<T, String> {
    let text = metadata
        .get(key)
        .ok_or_else(|| format!("metadata {key:?} is missing"))?;
    serde_json::from_str(text).map_err(|error| format!("metadata {key:?}: {error}"))
}

struct TensorReader<'a> {
    tensors: HashMap<&'a str, safetensors::tensor::TensorView<'a>>,
}

impl TensorReader<'_> {
    fn operation(&mut self, record: OperationRecord) -> Result<Operation, String> {
        let layer = match record.kind {
            OperationKind::Convolution {
                stride,
                padding,
                end_padding,
                groups,
                add_from,
                relu,
                activation,
            } => {
                let activation = match (relu, activation) {
                    (true, None) => Some(Activation::Relu),
                    (false, Some(Activation::Relu)) | (true, Some(_)) => {
                        return Err(format!(
                            "operation {:?} names its ReLU wrongly",
                            record.name
                        ));
                    }
                    (false, other) => other,
                };
                let (weight_shape, weight, bias) = self.weights(&record.name)?;
                Layer::Convolution(Convolution {
                    weight_shape,
                    groups,
                    weight,
                    bias,
                    stride,
                    padding: Padding {
                        start: padding,
                        end: end_padding.unwrap_or(padding),
                    },
                    add_from,
                    activation,
                })
            }
            OperationKind::MaxPool {
                window,
                stride,
                padding,
                activation,
            } => Layer::MaxPool {
                window,
                stride: stride.unwrap_or(window),
                padding,
                activation,
            },
            OperationKind::GlobalAveragePool => Layer::GlobalAveragePool,
            OperationKind::Attention {
                factors,
                add_from,
                activation,
            } => Layer::Attention(AttentionLayer {
                factors: self.factors(&record.name, factors)?,
                add_from,
                activation,
            }),
            OperationKind::Linear => Layer::Linear(self.linear(&record.name)?),
        };
        Ok(Operation {
            name: record.name,
            input: record.input,
            layer,
        })
    }

    fn linear(&mut self, name: &str) -> Result<Linear, String> {
        let (weight_shape, weight, bias) = self.weights(name)?;
        Ok(Linear {
            weight_shape,
            weight,
            bias,
        })
    }

    /// The parts of the attention layer `name`. What a file does not say of the convolution follows from its kernel.
    fn factors(&mut self, name: &str, kind: FactorKind) -> Result<Factors, String> {
        if kind == FactorKind::OfChannels {
            return Ok(Factors::OfChannels {
                reduce: self.linear(&format!("{name}.reduce"))?,
                expand: self.linear(&format!("{name}.expand"))?,
            });
        }
        let (weight_shape, weight, bias) = self.weights(&format!("{name}.conv"))?;
        Ok(Factors::OfPixels(Convolution::of_maps(
            weight_shape,
            weight,
            bias,
        )))
    }

    /// Weight (of `N` dimensions) and bias of the operation `name`.
    fn weights<const N: usize>(&mut self, name: &str) -> Result<LayerWeights<N>, String> {
        let (weight_shape, weight) = self.take(&format!("{name}.weight"))?;
        let ([_], bias) = self.take(&format!("{name}.bias"))?;
        Ok((weight_shape, weight, bias))
    }

    /// Removes a tensor from the map, so that no two operations can read it and multiply the memory.
    fn take<const N: usize>(&mut self, name: &str) -> Result<([usize; N], Vec<f32>), String> {
        let view = self
            .tensors
            .remove(name)
            .ok_or_else(|| format!("tensor {name:?} is missing or used twice"))?;
        if view.dtype() != Dtype::F32 {
            return Err(format!(
                "tensor {name:?} has type {:?}, not F32",
                view.dtype()
            ));
        }
        let shape = <[usize; N]>::try_from(view.shape()).map_err(|_| {
            format!(
                "tensor {name:?} has shape {:?}, not {N} dimensions",
                view.shape()
            )
        })?;
        Ok((shape, floats(view.data())))
    }
}
