//! The messages of `onnx.proto` that this crate writes, with the fields that it uses.
//!
//! Reading rejects every other field: this crate did not write such a file, and ignoring a field could change
//! the result.

use super::wire::{Reader, Value, Writer};

/// `TensorProto.DataType`.
pub(super) const FLOAT: i64 = 1;
pub(super) const UINT8: i64 = 2;
const INT8: i64 = 3;
const INT32: i64 = 6;
const INT64: i64 = 7;
pub(super) const BOOL: i64 = 9;

/// `AttributeProto.AttributeType`.
const ATTRIBUTE_INT: i64 = 2;
const ATTRIBUTE_INTS: i64 = 7;

#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Model {
    pub ir_version: i64,
    pub producer_name: String,
    pub producer_version: String,
    pub doc_string: String,
    pub graph: Graph,
    /// Domain and version.
    pub opsets: Vec<(String, i64)>,
    pub metadata: Vec<(String, String)>,
}

#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Graph {
    pub nodes: Vec<Node>,
    pub name: String,
    pub initializers: Vec<Tensor>,
    pub doc_string: String,
    pub inputs: Vec<ValueInfo>,
    pub outputs: Vec<ValueInfo>,
    pub values: Vec<ValueInfo>,
}

#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Node {
    pub inputs: Vec<String>,
    pub outputs: Vec<String>,
    pub name: String,
    pub operator: String,
    pub attributes: Vec<(String, Attribute)>,
    pub doc_string: String,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Attribute {
    Int(i64),
    Ints(Vec<i64>),
}

#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Tensor {
    pub name: String,
    pub dimensions: Vec<i64>,
    pub values: Values,
}

impl Tensor {
    /// The values of a tensor of `f32`; none of another one.
    pub(super) fn floats(&self) -> &[f32] {
        match &self.values {
            Values::Float(values) => values,
            _ => &[],
        }
    }
}

/// The values of a tensor, in row-major order.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Values {
    Float(Vec<f32>),
    Uint8(Vec<u8>),
    Int8(Vec<i8>),
    Int32(Vec<i32>),
    Int64(Vec<i64>),
}

impl Default for Values {
    fn default() -> Self {
        Self::Float(Vec::new())
    }
}

impl Values {
    fn element_type(&self) -> i64 {
        match self {
            Self::Float(_) => FLOAT,
            Self::Uint8(_) => UINT8,
            Self::Int8(_) => INT8,
            Self::Int32(_) => INT32,
            Self::Int64(_) => INT64,
        }
    }

    fn bytes(&self) -> Vec<u8> {
        match self {
            Self::Float(values) => values
                .iter()
                .flat_map(|value| value.to_le_bytes())
                .collect(),
            Self::Uint8(values) => values.clone(),
            Self::Int8(values) => values.iter().map(|value| value.cast_unsigned()).collect(),
            Self::Int32(values) => values
                .iter()
                .flat_map(|value| value.to_le_bytes())
                .collect(),
            Self::Int64(values) => values
                .iter()
                .flat_map(|value| value.to_le_bytes())
                .collect(),
        }
    }

    /// The values of this type and the size of one in bytes; bytes that do not fill a value are left out.
    fn read(element_type: i64, bytes: &[u8]) -> Option<(Self, usize)> {
        Some(match element_type {
            FLOAT => (Self::Float(crate::bytes::floats(bytes)), 4),
            UINT8 => (Self::Uint8(bytes.to_vec()), 1),
            INT8 => {
                let values = bytes.iter().map(|byte| byte.cast_signed());
                (Self::Int8(values.collect()), 1)
            }
            INT32 => {
                let (values, _) = bytes.as_chunks::<4>();
                let values = values.iter().map(|&value| i32::from_le_bytes(value));
                (Self::Int32(values.collect()), 4)
            }
            INT64 => (Self::Int64(crate::bytes::integers(bytes)), 8),
            _ => return None,
        })
    }
}

#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct ValueInfo {
    pub name: String,
    pub element_type: i64,
    pub dimensions: Vec<Dimension>,
    pub doc_string: String,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Dimension {
    Fixed(i64),
    Symbolic(String),
}

pub(super) fn encode(model: &Model) -> Vec<u8> {
    let mut writer = Writer::default();
    writer.int(1, model.ir_version);
    writer.string(2, &model.producer_name);
    writer.string(3, &model.producer_version);
    writer.string(6, &model.doc_string);
    writer.message(7, |writer| encode_graph(writer, &model.graph));
    for (domain, version) in &model.opsets {
        writer.message(8, |writer| {
            writer.string(1, domain);
            writer.int(2, *version);
        });
    }
    for (key, value) in &model.metadata {
        writer.message(14, |writer| {
            writer.string(1, key);
            writer.string(2, value);
        });
    }
    writer.into_bytes()
}

fn encode_graph(writer: &mut Writer, graph: &Graph) {
    for node in &graph.nodes {
        writer.message(1, |writer| encode_node(writer, node));
    }
    writer.string(2, &graph.name);
    for tensor in &graph.initializers {
        writer.message(5, |writer| encode_tensor(writer, tensor));
    }
    writer.string(10, &graph.doc_string);
    for (field, infos) in [
        (11, &graph.inputs),
        (12, &graph.outputs),
        (13, &graph.values),
    ] {
        for info in infos {
            writer.message(field, |writer| encode_value_info(writer, info));
        }
    }
}

fn encode_node(writer: &mut Writer, node: &Node) {
    for input in &node.inputs {
        writer.bytes(1, input.as_bytes());
    }
    for output in &node.outputs {
        writer.bytes(2, output.as_bytes());
    }
    writer.string(3, &node.name);
    writer.string(4, &node.operator);
    for (name, attribute) in &node.attributes {
        writer.message(5, |writer| {
            writer.string(1, name);
            match attribute {
                Attribute::Int(value) => {
                    writer.int(3, *value);
                    writer.int(20, ATTRIBUTE_INT);
                }
                Attribute::Ints(values) => {
                    for value in values {
                        writer.int(8, *value);
                    }
                    writer.int(20, ATTRIBUTE_INTS);
                }
            }
        });
    }
    writer.string(6, &node.doc_string);
}

fn encode_tensor(writer: &mut Writer, tensor: &Tensor) {
    for &dimension in &tensor.dimensions {
        writer.int(1, dimension);
    }
    writer.int(2, tensor.values.element_type());
    writer.string(8, &tensor.name);
    writer.bytes(9, &tensor.values.bytes());
}

fn encode_value_info(writer: &mut Writer, info: &ValueInfo) {
    writer.string(1, &info.name);
    writer.message(2, |writer| {
        writer.message(1, |writer| {
            writer.int(1, info.element_type);
            writer.message(2, |writer| {
                for dimension in &info.dimensions {
                    writer.message(1, |writer| match dimension {
                        Dimension::Fixed(value) => writer.int(1, *value),
                        Dimension::Symbolic(name) => writer.string(2, name),
                    });
                }
            });
        });
    });
    writer.string(3, &info.doc_string);
}

/// Calls `visit` for every field of `message`; `visit` returns `false` for an unknown field.
fn fields<'a>(
    name: &str,
    message: &'a [u8],
    mut visit: impl FnMut(u64, Value<'a>) -> Result<bool, String>,
) -> Result<(), String> {
    let mut reader = Reader::new(message);
    while let Some((field, value)) = reader.next().map_err(|reason| format!("{name} {reason}"))? {
        match visit(field, value) {
            Ok(true) => {}
            Ok(false) => {
                return Err(format!(
                    "{name} has field {field}, which mlestar-export never writes"
                ));
            }
            Err(reason) => return Err(format!("{name}, field {field}: {reason}")),
        }
    }
    Ok(())
}

pub(super) fn decode(bytes: &[u8]) -> Result<Model, String> {
    let mut model = Model::default();
    let mut graphs = 0;
    fields("ModelProto", bytes, |field, value| {
        match field {
            1 => model.ir_version = value.int()?,
            2 => model.producer_name = value.string()?,
            3 => model.producer_version = value.string()?,
            6 => model.doc_string = value.string()?,
            7 => {
                graphs += 1;
                model.graph = decode_graph(value.bytes()?)?;
            }
            8 => model.opsets.push(decode_opset(value.bytes()?)?),
            14 => model.metadata.push(decode_entry(value.bytes()?)?),
            _ => return Ok(false),
        }
        Ok(true)
    })?;
    if graphs != 1 {
        return Err(format!("ModelProto has {graphs} graphs, not 1"));
    }
    Ok(model)
}

fn decode_opset(bytes: &[u8]) -> Result<(String, i64), String> {
    let mut opset = (String::new(), 0);
    fields("OperatorSetIdProto", bytes, |field, value| {
        match field {
            1 => opset.0 = value.string()?,
            2 => opset.1 = value.int()?,
            _ => return Ok(false),
        }
        Ok(true)
    })?;
    Ok(opset)
}

fn decode_entry(bytes: &[u8]) -> Result<(String, String), String> {
    let mut entry = (String::new(), String::new());
    fields("StringStringEntryProto", bytes, |field, value| {
        match field {
            1 => entry.0 = value.string()?,
            2 => entry.1 = value.string()?,
            _ => return Ok(false),
        }
        Ok(true)
    })?;
    Ok(entry)
}

fn decode_graph(bytes: &[u8]) -> Result<Graph, String> {
    let mut graph = Graph::default();
    fields("GraphProto", bytes, |field, value| {
        match field {
            1 => graph.nodes.push(decode_node(value.bytes()?)?),
            2 => graph.name = value.string()?,
            5 => graph.initializers.push(decode_tensor(value.bytes()?)?),
            10 => graph.doc_string = value.string()?,
            11 => graph.inputs.push(decode_value_info(value.bytes()?)?),
            12 => graph.outputs.push(decode_value_info(value.bytes()?)?),
            13 => graph.values.push(decode_value_info(value.bytes()?)?),
            _ => return Ok(false),
        }
        Ok(true)
    })?;
    Ok(graph)
}

fn decode_node(bytes: &[u8]) -> Result<Node, String> {
    let mut node = Node::default();
    fields("NodeProto", bytes, |field, value| {
        match field {
            1 => node.inputs.push(value.string()?),
            2 => node.outputs.push(value.string()?),
            3 => node.name = value.string()?,
            4 => node.operator = value.string()?,
            5 => node.attributes.push(decode_attribute(value.bytes()?)?),
            6 => node.doc_string = value.string()?,
            _ => return Ok(false),
        }
        Ok(true)
    })?;
    Ok(node)
}

fn decode_attribute(bytes: &[u8]) -> Result<(String, Attribute), String> {
    let (mut name, mut kind, mut int, mut ints) = (String::new(), 0, None, Vec::new());
    fields("AttributeProto", bytes, |field, value| {
        match field {
            1 => name = value.string()?,
            3 => int = Some(value.int()?),
            8 => ints.push(value.int()?),
            20 => kind = value.int()?,
            _ => return Ok(false),
        }
        Ok(true)
    })?;
    match (kind, int) {
        (ATTRIBUTE_INT, Some(value)) if ints.is_empty() => Ok((name, Attribute::Int(value))),
        (ATTRIBUTE_INTS, None) => Ok((name, Attribute::Ints(ints))),
        _ => Err(format!(
            "attribute {name:?} of type {kind} does not hold what its type says"
        )),
    }
}

fn decode_tensor(bytes: &[u8]) -> Result<Tensor, String> {
    let mut tensor = Tensor::default();
    let mut element_type = 0;
    let mut raw: &[u8] = &[];
    fields("TensorProto", bytes, |field, value| {
        match field {
            1 => tensor.dimensions.push(value.int()?),
            2 => element_type = value.int()?,
            8 => tensor.name = value.string()?,
            9 => raw = value.bytes()?,
            _ => return Ok(false),
        }
        Ok(true)
    })?;
    let Some((values, size)) = Values::read(element_type, raw) else {
        return Err(format!(
            "tensor {:?} has data type {element_type}, not 1 (float), 2 (uint8), 3 (int8), 6 (int32) or 7 (int64)",
            tensor.name
        ));
    };
    let elements = tensor
        .dimensions
        .iter()
        .try_fold(1_usize, |product, &dimension| {
            product.checked_mul(usize::try_from(dimension).ok()?)
        });
    if elements.and_then(|elements| elements.checked_mul(size)) != Some(raw.len()) {
        return Err(format!(
            "tensor {:?} of shape {:?} has {} bytes of data",
            tensor.name,
            tensor.dimensions,
            raw.len()
        ));
    }
    tensor.values = values;
    Ok(tensor)
}

fn decode_value_info(bytes: &[u8]) -> Result<ValueInfo, String> {
    let mut info = ValueInfo::default();
    fields("ValueInfoProto", bytes, |field, value| {
        match field {
            1 => info.name = value.string()?,
            2 => fields("TypeProto", value.bytes()?, |field, value| {
                if field == 1 {
                    decode_tensor_type(value.bytes()?, &mut info)?;
                }
                Ok(field == 1)
            })?,
            3 => info.doc_string = value.string()?,
            _ => return Ok(false),
        }
        Ok(true)
    })?;
    Ok(info)
}

fn decode_tensor_type(bytes: &[u8], info: &mut ValueInfo) -> Result<(), String> {
    fields("TypeProto.Tensor", bytes, |field, value| {
        match field {
            1 => info.element_type = value.int()?,
            2 => fields("TensorShapeProto", value.bytes()?, |field, value| {
                if field == 1 {
                    info.dimensions.push(decode_dimension(value.bytes()?)?);
                }
                Ok(field == 1)
            })?,
            _ => return Ok(false),
        }
        Ok(true)
    })
}

fn decode_dimension(bytes: &[u8]) -> Result<Dimension, String> {
    let mut dimension = None;
    fields("TensorShapeProto.Dimension", bytes, |field, value| {
        match field {
            1 => dimension = Some(Dimension::Fixed(value.int()?)),
            2 => dimension = Some(Dimension::Symbolic(value.string()?)),
            _ => return Ok(false),
        }
        Ok(true)
    })?;
    dimension.ok_or_else(|| "a dimension without value".to_owned())
}
