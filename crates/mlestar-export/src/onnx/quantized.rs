//! A quantised model as an ONNX graph in QDQ form, and back.
//!
//! The graph is that of the model in `f32`, changed in two places. After a node that writes a quantised buffer, the
//! value `v` passes `QuantizeLinear` and `DequantizeLinear`, and what read `v` reads `v.dq`. The weight and
//! bias of an int8 layer are no initializers but come from integer initializers through `DequantizeLinear`.

use std::collections::HashMap;

use super::graph::{self, node, to_int, value_name};
use super::proto::{Attribute, Graph, Model, Node, Tensor, Values};
use super::read::{described_by, difference};
use crate::frozen::FrozenModel;
use crate::int8_model::{BufferScale, QuantizedModel, QuantizedWeights};

const QUANTIZE: &str = "QuantizeLinear";
const DEQUANTIZE: &str = "DequantizeLinear";

/// The scale of each buffer.
type Buffers = Vec<Option<BufferScale>>;
/// The integers of each operation.
type Layers = Vec<Option<QuantizedWeights>>;

/// The graph of a quantised model.
pub(super) fn graph_of(model: &QuantizedModel) -> Graph {
    let mut graph = graph::graph_of(model.model());
    let scales: HashMap<String, BufferScale> = (model.buffers().iter().enumerate())
        .filter_map(|(buffer, scale)| Some((value_name(model.model(), buffer), (*scale)?)))
        .collect();
    let layers = int8_layers(model);
    let mut tensors = Vec::new();
    for tensor in std::mem::take(&mut graph.initializers) {
        match layers.iter().find_map(|layer| layer.integers(&tensor)) {
            Some(integers) => tensors.extend(integers),
            None => tensors.push(tensor),
        }
    }
    let mut nodes = Vec::new();
    for mut node in std::mem::take(&mut graph.nodes) {
        for input in &mut node.inputs {
            if scales.contains_key(input) {
                *input = format!("{input}.dq");
            }
        }
        let has_weights = matches!(node.operator.as_str(), "Conv" | "Gemm");
        if has_weights && layers.iter().any(|layer| layer.name == node.name) {
            nodes.extend(["weight", "bias"].map(|part| dequantize_weights(&node.name, part)));
        }
        let written = scales.get_key_value(&node.outputs[0]);
        nodes.push(node);
        if let Some((value, scale)) = written {
            nodes.extend(rounding_nodes(value));
            tensors.extend(rounding_tensors(value, *scale));
        }
    }
    Graph {
        nodes,
        initializers: tensors,
        // Descriptions of values are optional. For a small network they would be a tenth of the file.
        values: match layers.is_empty() {
            true => graph.values,
            false => Vec::new(),
        },
        ..graph
    }
}

/// An int8 layer and the scale of its input.
struct Int8Layer<'a> {
    name: &'a str,
    weights: &'a QuantizedWeights,
    bias_steps: &'a [i32],
    input: BufferScale,
}

fn int8_layers(model: &QuantizedModel) -> Vec<Int8Layer<'_>> {
    let operations = model.model().operations().iter().zip(model.layers());
    let layers = operations
        .enumerate()
        .filter_map(|(index, (operation, weights))| {
            Some(Int8Layer {
                name: &operation.name,
                weights: weights.as_ref()?,
                bias_steps: model.bias_steps(index)?,
                input: model.buffers()[operation.input]?,
            })
        });
    layers.collect()
}

impl Int8Layer<'_> {
    /// The integers and scales in the place of `tensor`, if it is this layer's weight or bias.
    fn integers(&self, tensor: &Tensor) -> Option<[Tensor; 2]> {
        let part = tensor.name.strip_prefix(self.name)?;
        let scales = self.weights.scales.iter();
        let (values, scales) = match part {
            ".weight" => (
                Values::Int8(self.weights.values.clone()),
                scales.copied().collect(),
            ),
            ".bias" => {
                let steps = scales.map(|scale| self.input.scale * scale);
                (
                    Values::Int32(self.bias_steps.to_vec()),
                    steps.collect::<Vec<_>>(),
                )
            }
            _ => return None,
        };
        let integers = Tensor {
            name: format!("{}.q", tensor.name),
            dimensions: tensor.dimensions.clone(),
            values,
        };
        let scales = Tensor {
            name: format!("{}.scale", tensor.name),
            dimensions: vec![to_int(scales.len())],
            values: Values::Float(scales),
        };
        Some([integers, scales])
    }
}

/// The node that makes the weight or bias of a layer, one scale for each output channel.
fn dequantize_weights(layer: &str, part: &str) -> Node {
    let value = format!("{layer}.{part}");
    let inputs = [format!("{value}.q"), format!("{value}.scale")];
    Node {
        attributes: vec![("axis".to_owned(), Attribute::Int(0))],
        ..node(
            &value,
            DEQUANTIZE,
            &inputs.each_ref().map(String::as_str),
            &value,
        )
    }
}

/// The nodes that round a value to 8 bits and back.
fn rounding_nodes(value: &str) -> [Node; 2] {
    let [quantized, dequantized, scale, zero_point] =
        ["q", "dq", "scale", "zp"].map(|part| format!("{value}.{part}"));
    [
        node(
            &quantized,
            QUANTIZE,
            &[value, &scale, &zero_point],
            &quantized,
        ),
        node(
            &dequantized,
            DEQUANTIZE,
            &[&quantized, &scale, &zero_point],
            &dequantized,
        ),
    ]
}

fn rounding_tensors(value: &str, scale: BufferScale) -> [Tensor; 2] {
    let tensor = |part: &str, values: Values| Tensor {
        name: format!("{value}.{part}"),
        dimensions: Vec::new(),
        values,
    };
    [
        tensor("scale", Values::Float(vec![scale.scale])),
        tensor("zp", Values::Uint8(vec![scale.zero_point])),
    ]
}

/// The quantised model that `read` describes. As with other files, the result is converted to a graph again and must
/// equal the input.
pub(super) fn model_of(read: &Model) -> Result<QuantizedModel, String> {
    let mut parts = Parts::of(&read.graph)?;
    let frozen = described_by(read, &parts.graph)?;
    let (buffers, layers) = parts.integers(&frozen)?;
    let model = QuantizedModel::new(frozen, buffers, layers).map_err(|error| error.to_string())?;
    match difference(&graph_of(&model), &read.graph) {
        None => Ok(model),
        Some(place) => Err(format!("{place} is not what mlestar-export writes")),
    }
}

/// A quantised graph taken apart.
struct Parts {
    /// The graph in `f32`.
    graph: Graph,
    /// Integers and scales of each weight, by its name in the `f32` graph.
    weights: HashMap<String, QuantizedWeights>,
    /// The scale of each rounded value.
    scales: HashMap<String, BufferScale>,
}

impl Parts {
    fn of(read: &Graph) -> Result<Self, String> {
        let mut tensors: HashMap<&str, &Tensor> = (read.initializers.iter())
            .map(|tensor| (tensor.name.as_str(), tensor))
            .collect();
        let (mut weights, mut scales) = (HashMap::new(), HashMap::new());
        let (mut nodes, mut initializers) = (Vec::new(), Vec::new());
        // From each value after the rounding to the one before it.
        let mut before: HashMap<&str, &str> = HashMap::new();
        for node in &read.nodes {
            let first = node.inputs.first().map_or("", String::as_str);
            let output = node.outputs.first().map_or("", String::as_str);
            match node.operator.as_str() {
                QUANTIZE => {
                    scales.insert(first.to_owned(), scale_of(node, &tensors)?);
                    before.insert(output, first);
                }
                DEQUANTIZE if before.contains_key(first) => {
                    before.insert(output, before[first]);
                }
                DEQUANTIZE => {
                    // Removed from the map, so that no two nodes can read them and multiply the memory.
                    let integers = take(node, 0, &mut tensors)?;
                    let steps = take(node, 1, &mut tensors)?;
                    initializers.push(dequantized(output, integers, steps)?);
                    let of_layer = weights_of(integers, steps);
                    weights.extend(of_layer.map(|found| (output.to_owned(), found)));
                }
                _ => {
                    let mut node = node.clone();
                    for input in &mut node.inputs {
                        if let Some(&value) = before.get(input.as_str()) {
                            value.clone_into(input);
                        }
                    }
                    nodes.push(node);
                }
            }
        }
        initializers.extend(tensors.into_values().cloned());
        let graph = Graph {
            nodes,
            initializers,
            inputs: read.inputs.clone(),
            ..Graph::default()
        };
        Ok(Self {
            graph,
            weights,
            scales,
        })
    }

    /// The lists of a [`QuantizedModel`] for the `f32` model that the graph describes.
    fn integers(&mut self, frozen: &FrozenModel) -> Result<(Buffers, Layers), String> {
        let n = frozen.operations().len();
        let buffers = (0..=n).map(|buffer| self.scales.remove(&value_name(frozen, buffer)));
        let buffers = buffers.collect();
        let names = frozen
            .operations()
            .iter()
            .map(|operation| format!("{}.weight", operation.name));
        let layers = names.map(|name| self.weights.remove(&name)).collect();
        match self.weights.keys().chain(self.scales.keys()).min() {
            Some(name) => Err(format!("integers of {name:?} belong to no operation")),
            None => Ok((buffers, layers)),
        }
    }
}

/// Removes the initializer that is input `index` of `node`.
fn take<'a>(
    node: &Node,
    index: usize,
    tensors: &mut HashMap<&str, &'a Tensor>,
) -> Result<&'a Tensor, String> {
    let name = node.inputs.get(index).map_or("", String::as_str);
    tensors.remove(name).ok_or_else(|| {
        format!(
            "node {:?} has no initializer of its own as input {index}",
            node.name
        )
    })
}

/// The scale of a `QuantizeLinear`.
fn scale_of(node: &Node, tensors: &HashMap<&str, &Tensor>) -> Result<BufferScale, String> {
    let values = |index: usize| {
        let tensor = node
            .inputs
            .get(index)
            .and_then(|name| tensors.get(name.as_str()));
        tensor.map(|tensor| &tensor.values)
    };
    match (values(1), values(2)) {
        (Some(Values::Float(scale)), Some(Values::Uint8(zero_point)))
            if scale.len() == 1 && zero_point.len() == 1 =>
        {
            Ok(BufferScale {
                scale: scale[0],
                zero_point: zero_point[0],
            })
        }
        _ => Err(format!(
            "node {:?} has no scale and zero point of one value",
            node.name
        )),
    }
}

/// The integer weights of a layer; `None` for a bias.
fn weights_of(integers: &Tensor, scales: &Tensor) -> Option<QuantizedWeights> {
    match &integers.values {
        Values::Int8(values) => Some(QuantizedWeights {
            values: values.clone(),
            scales: scales.floats().to_vec(),
        }),
        _ => None,
    }
}

/// The `f32` tensor of integers with a scale for each channel of the first dimension.
fn dequantized(name: &str, integers: &Tensor, scales: &Tensor) -> Result<Tensor, String> {
    let values: Vec<f32> = match &integers.values {
        Values::Int8(values) => values.iter().map(|&value| f32::from(value)).collect(),
        Values::Int32(values) => values.iter().map(|&value| value as f32).collect(),
        _ => {
            return Err(format!(
                "{name:?} is neither int8 nor int32 before it is dequantised"
            ));
        }
    };
    let scales = scales.floats();
    if scales.is_empty() || !values.len().is_multiple_of(scales.len()) {
        return Err(format!(
            "{name:?} has {} values and {} scales",
            values.len(),
            scales.len()
        ));
    }
    let per_channel = values.len() / scales.len();
    let scaled = values.iter().enumerate().map(|(index, value)| {
        // Biases of at most 2^22 steps: in `f64` the product is rounded once.
        (f64::from(*value) * f64::from(scales[index / per_channel])) as f32
    });
    Ok(Tensor {
        name: name.to_owned(),
        dimensions: integers.dimensions.clone(),
        values: Values::Float(scaled.collect()),
    })
}
